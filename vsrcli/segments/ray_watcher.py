"""Ends a run's own Ray cluster with the run, whatever way that goes: a process of its own.

Ray's processes outlive one that is killed. The watcher waits for the end of its standard input,
which only the run holds open. Every process of the cluster has a log file open in its folder.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_MAX_SECONDS = 10.0
_PAUSE_SECONDS = 0.1


def main(folder: Path) -> None:
    """Wait for the end of the run, then end its cluster and remove the folder."""
    sys.stdin.buffer.read()
    last = time.monotonic() + _MAX_SECONDS
    while folder.exists() and time.monotonic() < last:
        for number in _users(folder):
            with contextlib.suppress(OSError):
                os.kill(number, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(_PAUSE_SECONDS)


def _users(folder: Path) -> Iterator[int]:
    """Numbers of the processes that have a file open in the folder."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            files = [link.readlink() for link in (process / "fd").iterdir()]
            if any(file.is_relative_to(folder) for file in files):
                yield int(process.name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
