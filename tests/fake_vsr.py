"""``vsr`` as its own process, with the network that only interpolates.

python tests/fake_vsr.py [--keep-frames] [--seconds-a-frame S] ARGUMENTS...

With --keep-frames, the frames of unfinished segments are kept at once, as if the network took
minutes for each.
"""

from __future__ import annotations

import sys
import time

from fake import FakeBackend, open_fake

import vsrcli.jobs.upscale as module
from vsrcli.backends import Float
from vsrcli.cli import main
from vsrcli.segments import frame_keeper


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
    setattr(module, "open_backend", open_fake)  # noqa: B010
    if arguments[:1] == ["--keep-frames"]:
        arguments = arguments[1:]
        setattr(frame_keeper, "_WORTH_SECONDS", 0.0)  # noqa: B010
        setattr(frame_keeper, "_SAVE_SECONDS", 0.0)  # noqa: B010
    if arguments[:1] == ["--seconds-a-frame"]:
        pause = float(arguments[1])
        arguments = arguments[2:]
        opener = lambda *given, **options: Slow(pause)  # noqa: E731
        setattr(module, "open_backend", opener)  # noqa: B010
    main(arguments)
