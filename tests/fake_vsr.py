"""``vsr`` as its own process, with the network that only interpolates.

python tests/fake_vsr.py [--seconds-a-frame S] ARGUMENTS...
"""

from __future__ import annotations

import sys
import time

from fake import FakeBackend

import vsrcli.jobs.upscale as module
from vsrcli.backends import Float
from vsrcli.cli import main


class Slow(FakeBackend):
    """Takes its time."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def run(self, windows: Float) -> Float:
        """Wait, then interpolate."""
        time.sleep(self._seconds)
        self.windows.clear()
        return super().run(windows)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    pause = 0.0
    if arguments[:1] == ["--seconds-a-frame"]:
        pause = float(arguments[1])
        arguments = arguments[2:]
    setattr(module, "open_backend", lambda *given, **options: Slow(pause))  # noqa: B010
    main(arguments)
