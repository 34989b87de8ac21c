"""A lock on a folder, which the system releases if the process that holds it dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

LOCK_NAME = "lock"
_FLAGS = os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK


class FolderLock:
    """Holds a folder for one process at a time; makes the folder if it is missing."""

    def __init__(self, folder: Path) -> None:
        """Take the lock.

        Args:
            folder: its parent must exist.

        Raises:
            BlockingIOError: another process holds it.
            OSError: the folder cannot be made or written.
        """
        self._path = folder / LOCK_NAME
        self._descriptor = -1
        try:
            while not self._try_to_take():
                pass
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Let other processes have it; may be called more than once."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _try_to_take(self) -> bool:
        """False if another process removed the folder meanwhile: it had just finished its run."""
        self._path.parent.mkdir(exist_ok=True)
        try:
            self._descriptor = os.open(self._path, _FLAGS, 0o666)
        except FileNotFoundError:
            return False
        fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        locked = os.fstat(self._descriptor)
        with contextlib.suppress(FileNotFoundError):
            if self._path.stat().st_ino == locked.st_ino:
                return True
        self.release()
        return False
