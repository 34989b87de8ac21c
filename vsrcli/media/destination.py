"""Where an output goes: a file that has its name only when it is whole, or standard output."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from vsrcli.media.pipe import StandardOutput

_LONGEST_NAME_BYTES = 200


class FileDestination:
    """A hidden temporary file ending in ``.part``, beside the target or in a folder of its own.

    Attributes:
        sink: what FFmpeg writes to.
        part: the temporary file.
    """

    def __init__(self, target: Path, folder: Path | None = None) -> None:
        """Create it.

        Args:
            target: the name that the file will have.
            folder: where it lies until then, on the same disk; None: beside the target.

        Raises:
            OSError: the folder refuses.
        """
        self._target = target.resolve()
        stem = os.fsdecode(os.fsencode(self._target.name)[:_LONGEST_NAME_BYTES])
        self.part: Path | None = (
            folder or self._target.parent
        ) / f".{stem}.{secrets.token_hex(4)}.part"
        self.sink: str | StandardOutput = str(self.part)
        os.close(os.open(self.part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))

    def publish(self) -> None:
        """Give the whole file its name, once it is safe on the disk.

        Raises:
            OSError: the disk refuses.
        """
        if self.part is not None:
            sync(self.part)
            self.part.replace(self._target)
            sync(self._target.parent)

    def discard(self) -> None:
        """Remove the temporary file; may be called more than once."""
        if self.part is not None:
            self.part.unlink(missing_ok=True)


class PipeDestination:
    """Standard output: what is written is gone. The attributes are those of ``FileDestination``."""

    def __init__(self) -> None:
        self.sink: str | StandardOutput = StandardOutput()
        self.part: Path | None = None

    def publish(self) -> None:
        """Let go of the last bytes."""
        if isinstance(self.sink, StandardOutput):
            self.sink.flush()

    def discard(self) -> None:
        """Nothing can be taken back."""


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are safe on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
