"""A file that gets its name only when it is complete."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

_MAX_NAME_BYTES = 200


class AtomicFile:
    """A hidden temporary file ending in ``.part``, beside the target or in another folder.

    Attributes:
        sink: what FFmpeg writes to.
        part: the temporary file.
    """

    def __init__(self, target: Path, folder: Path | None = None) -> None:
        """Create the temporary file.

        Args:
            target: the name that the file will have.
            folder: where the temporary file is, on the same disk; None: beside the target.

        Raises:
            OSError: the folder refuses.
        """
        self._target = target.resolve()
        encoded_name = os.fsencode(self._target.name)
        stem = os.fsdecode(encoded_name[:_MAX_NAME_BYTES])
        name = f".{stem}.{secrets.token_hex(4)}.part"
        self.part = (folder or self._target.parent) / name
        self.sink = str(self.part)
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
        descriptor = os.open(self.part, flags, 0o666)
        os.close(descriptor)

    def commit(self) -> None:
        """Give the complete file its name, once it is safe on the disk.

        Raises:
            OSError: the disk refuses.
        """
        sync(self.part)
        self.part.replace(self._target)
        sync(self._target.parent)

    def discard(self) -> None:
        """Remove the temporary file; may be called more than once."""
        self.part.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are safe on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
