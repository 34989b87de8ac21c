"""What keeps doubled luma beyond a run, so that no frame goes through the network twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from vsrcli.frame import Plane
from vsrcli.timing import Scheduled


class LumaKeeper(Protocol):
    """Knows what earlier runs have doubled; called in the network's thread, in order of frames."""

    def recall(
        self, item: Scheduled, window: Sequence[Plane]
    ) -> Callable[[], Plane] | None:
        """What gives the doubled luma of a frame, for any thread; None: it has to be computed.

        Args:
            item: the frame.
            window: luma of the frames around it and of itself, as the network takes them.
        """
        ...

    def keep(
        self, item: Scheduled, window: Sequence[Plane], luma: Plane, seconds: float
    ) -> None:
        """Keep what was computed, if that is worth it.

        Args:
            item: the frame.
            window: as for ``recall``.
            luma: its doubled luma, (2H, 2W), which does not change any more.
            seconds: how long that took.
        """
        ...


class KeepsNothing(LumaKeeper):
    """Nothing is known, and nothing kept."""

    def recall(
        self, item: Scheduled, window: Sequence[Plane]
    ) -> Callable[[], Plane] | None:
        """Has to be computed."""
        return None

    def keep(
        self, item: Scheduled, window: Sequence[Plane], luma: Plane, seconds: float
    ) -> None:
        """Has no effect."""
