"""Who looks at a run that is at work."""

from __future__ import annotations

from typing import Protocol

from vsrcli.frame import Frame


class Onlooker(Protocol):
    """Sees frames as they are finished; called in the chroma thread."""

    def show(self, source: Frame, result: Frame) -> None:
        """Look at a frame.

        Args:
            source: as the network took it.
            result: doubled, in the same format.
        """
        ...
