"""Standard input as a file that may be opened several times, and standard output as a target.

Probing, decoding, and copying streams each open the source for themselves. What comes through a
pipe comes once: it is kept until all of them have it.
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
    """True for a source named ``-``."""
    return path == STANDARD_INPUT


def output_pipe(container: str) -> Path:
    """The name of standard output inside the program: ``pipe:`` and a container."""
    return Path(f"{_PIPE_PREFIX}{container}")


def piped_container(target: Path | str) -> str | None:
    """The container in a name that ``output_pipe`` gave; None for any other target."""
    name = str(target)
    if not name.startswith(_PIPE_PREFIX):
        return None
    return name.removeprefix(_PIPE_PREFIX)


class SharedPipe:
    """A stream of bytes that comes once, for several readers that each see it from its start."""

    def __init__(self, source: BinaryIO) -> None:
        """Take over a stream.

        Args:
            source: open for reading; nothing is read yet.
        """
        self._source = source
        self._lock = Lock()
        self._kept = bytearray()
        self._kept_from = 0
        self._readers: weakref.WeakSet[PipeReader] = weakref.WeakSet()
        self._is_sealed = False

    def reader(self) -> PipeReader:
        """Another reader, at the beginning.

        Raises:
            InputError: the beginning is gone already.
        """
        with self._lock:
            if self._is_sealed:
                raise InputError(
                    "standard input cannot be read from its beginning again: "
                    "save it to a file first"
                )
            reader = PipeReader(self)
            self._readers.add(reader)
            return reader

    def seal(self) -> None:
        """Promise that no other reader comes: only what the present ones still need is kept."""
        self._is_sealed = True

    def read_at(self, position: int, size: int) -> bytes:
        """Up to ``size`` bytes from a position on, as soon as there are some; none at the end."""
        with self._lock:
            begin = position - self._kept_from
            if begin >= len(self._kept):
                self._kept += self._read(size)
            content = bytes(self._kept[begin : begin + size])
            if self._is_sealed:
                self._trim()
            return content

    def _read(self, size: int) -> bytes:
        if hasattr(self._source, "read1"):
            return bytes(self._source.read1(size))
        return self._source.read(size)

    def _trim(self) -> None:
        """Forget what every reader has seen."""
        positions = [reader.position for reader in self._readers]
        seen_by_all = min(positions, default=self._kept_from) - self._kept_from
        if seen_by_all > _TRIM_BYTES:
            del self._kept[:seen_by_all]
            self._kept_from += seen_by_all


class PipeReader:
    """One reader's view of a ``SharedPipe``, for FFmpeg: it can only read on."""

    def __init__(self, pipe: SharedPipe) -> None:
        self._pipe = pipe
        self.position = 0

    def read(self, size: int) -> bytes:
        """The next bytes, at most ``size``; none at the end."""
        content = self._pipe.read_at(self.position, size)
        self.position += len(content)
        return content


@cache
def standard_input() -> SharedPipe:
    """The process's standard input.

    Raises:
        InputError: it is a terminal, or closed.
    """
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        raise InputError(
            "nothing is piped into vsr: name a file, or write "
            "`ffmpeg -i in.mp4 -c copy -f nut - | vsr upscale - out.mp4`"
        )
    return SharedPipe(sys.stdin.buffer)


def seal_input(source: Path) -> None:
    """Promise that nobody opens a source any more; it matters for standard input alone."""
    if is_standard_input(source):
        standard_input().seal()


class StandardOutput:
    """The process's standard output, for FFmpeg: it can only be written to."""

    def __init__(self) -> None:
        self._sink = sys.stdout.buffer

    def write(self, content: bytes) -> int:
        """Write all of ``content``."""
        return self._sink.write(content)

    def flush(self) -> None:
        """Pass on what is buffered."""
        self._sink.flush()


class PipedOutput:
    """Standard output where an ``AtomicFile`` would be: what is written cannot be taken back."""

    def __init__(self) -> None:
        self.sink = StandardOutput()
        self.part = None

    def commit(self) -> None:
        """Pass on the last bytes."""
        self.sink.flush()

    def discard(self) -> None:
        """Nothing can be taken back."""
