"""Standard input as a file that may be opened several times, and standard output as one that is only written to.

Probing, decoding and the copying of streams each open the source for themselves. What comes through a pipe comes once: it is kept until all of them have it.
"""

from __future__ import annotations

import sys
import weakref
from functools import cache
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from vsrcli.errors import InputError

STANDARD_INPUT = Path("-")
_PIPE_PREFIX = "pipe:"
_TRIM_BYTES = 1 << 20


def is_standard_input(path: Path) -> bool:
    """Whether a source is named ``-``."""
    return path == STANDARD_INPUT


def output_pipe(container: str) -> Path:
    """The name under which standard output goes through the program: ``pipe:`` and a container."""
    return Path(f"{_PIPE_PREFIX}{container}")


def piped_container(target: Path | str) -> str | None:
    """The container of a name that ``output_pipe`` gave, or None for any other target."""
    name = str(target)
    return name.removeprefix(_PIPE_PREFIX) if name.startswith(_PIPE_PREFIX) else None


class SharedPipe:
    """A stream of bytes that comes once, for several readers, each of which sees it from its beginning."""

    def __init__(self, source: BinaryIO) -> None:
        """Take over a stream.

        Args:
            source: open for reading; nothing is read yet.
        """
        self._source, self._lock = source, Lock()
        self._kept, self._base = bytearray(), 0
        self._readers: weakref.WeakSet[PipeReader] = weakref.WeakSet()
        self._is_sealed = False

    def reader(self) -> PipeReader:
        """A further reader, at the beginning.

        Raises:
            InputError: the beginning is gone already.
        """
        with self._lock:
            if self._is_sealed:
                raise InputError(
                    "standard input cannot be read from its beginning again: save it to a file first"
                )
            found = PipeReader(self)
            self._readers.add(found)
            return found

    def seal(self) -> None:
        """Say that no further reader comes: from now on only what the present ones have not seen yet is kept."""
        self._is_sealed = True

    def read_at(self, place: int, size: int) -> bytes:
        """Up to ``size`` bytes from the given place on, as soon as there are some; none at the end."""
        with self._lock:
            begin = place - self._base
            if begin >= len(self._kept):
                self._kept += (
                    self._source.read1(size)
                    if hasattr(self._source, "read1")
                    else self._source.read(size)
                )
            content = bytes(self._kept[begin : begin + size])
            if self._is_sealed:
                self._trim()
            return content

    def _trim(self) -> None:
        passed = (
            min((reader.place for reader in self._readers), default=self._base)
            - self._base
        )
        if passed > _TRIM_BYTES:
            del self._kept[:passed]
            self._base += passed


class PipeReader:
    """One reader's view of a ``SharedPipe``, for FFmpeg: it can only read on."""

    def __init__(self, pipe: SharedPipe) -> None:
        self._pipe, self.place = pipe, 0

    def read(self, size: int) -> bytes:
        """The next bytes, at most ``size``; none at the end."""
        content = self._pipe.read_at(self.place, size)
        self.place += len(content)
        return content


@cache
def standard_input() -> SharedPipe:
    """The process's standard input.

    Raises:
        InputError: it is a terminal, or closed.
    """
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        raise InputError(
            "nothing is piped into vsr: name a file, or write `ffmpeg -i in.mp4 -f nut - | vsr upscale - out.mp4`"
        )
    return SharedPipe(sys.stdin.buffer)


class StandardOutput:
    """The process's standard output, for FFmpeg: it can only be written to."""

    def __init__(self) -> None:
        self._sink = sys.stdout.buffer

    def write(self, content: bytes) -> int:
        """Write all of it."""
        return self._sink.write(content)

    def flush(self) -> None:
        """Let it go."""
        self._sink.flush()
