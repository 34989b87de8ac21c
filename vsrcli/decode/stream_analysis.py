"""How far into a file FFmpeg reads before it says what the streams are.

By default, FFmpeg stops after 5 MB or a few seconds. A stream that begins later is not listed, or
is listed as sound of 0 Hz. Only then is more read, so that ordinary files open as fast as before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

Opener = Callable[[dict[str, str]], InputContainer]

# A stream whose first packet comes later stays unknown. FFmpeg keeps in memory what it has read.
MAX_ANALYSED_BYTES = 256 << 20
_ANALYSED_BYTES = (16 << 20, 64 << 20, MAX_ANALYSED_BYTES)
_ANY_DURATION = str(24 * 3600 * 1_000_000)
# Demuxers of formats that do not list their streams: one is known from its first packet on.
_UNLISTED = {"mpeg", "flv"}
# By name, size and time of change of a file.
_known_options: dict[tuple[str, int, int], dict[str, str]] = {}


def open_analysed(path: Path, open_with: Opener) -> InputContainer:
    """Open a file so that the streams that begin late are known too.

    Args:
        path: the file.
        open_with: opens it with options for FFmpeg's demuxer; may raise.

    Returns:
        The open file. The result of a longer analysis is remembered for the next time. What is not
        a regular file is opened once, as it may not be there twice.
    """
    if not path.is_file():
        return open_with({})
    state = path.stat()
    key = (str(path), state.st_size, state.st_mtime_ns)
    known = _known_options.get(key)
    if known is not None:
        return open_with(known)
    container = open_with({})
    options: dict[str, str] = {}
    if _may_hide_streams(container):
        options = _sufficient_options(container, open_with)
    _known_options[key] = options
    if not options:
        return container
    container.close()
    return open_with(options)


def demux(container: InputContainer, *streams: Stream) -> Iterator[Packet[Any]]:
    """What PyAV's ``demux`` gives, also where streams appear that were not there at the beginning.

    PyAV leaves their packets out, and may fail at the end of the file.

    Args:
        container: the open file.
        streams: those to read; none: all.

    Raises:
        av.FFmpegError: the demuxer gave up.
    """
    try:
        yield from container.demux(*streams)
    except IndexError:
        return


def is_unknown(stream: Any) -> bool:
    """Whether FFmpeg has met no packet that says what a stream is, though it knows the codec."""
    context = stream.codec_context
    if context is None:
        return False
    if stream.type == "audio":
        return not context.sample_rate
    return stream.type == "video" and not context.width


def _may_hide_streams(container: InputContainer) -> bool:
    is_unlisted = container.format.name in _UNLISTED
    return is_unlisted or any(is_unknown(stream) for stream in container.streams)


def _count_known(container: InputContainer) -> int:
    return sum(not is_unknown(stream) for stream in container.streams)


def _sufficient_options(container: InputContainer, open_with: Opener) -> dict[str, str]:
    """The options that make every stream known; none where more bytes say no more."""
    count = _count_known(container)
    # reads as far as possible without keeping the packets, which is cheap and can go no further
    try:
        with open_with(
            _options(MAX_ANALYSED_BYTES) | {"fflags": "nobuffer"}
        ) as scanned:
            possible_count = _count_known(scanned)
    except av.FFmpegError:
        return {}  # the file opens, and what is damaged further on is the reader's to report
    if possible_count <= count:
        return {}
    for size in _ANALYSED_BYTES:
        options = _options(size)
        with open_with(options) as analysed:
            if _count_known(analysed) >= possible_count:
                return options
    return _options(MAX_ANALYSED_BYTES)


def _options(size: int) -> dict[str, str]:
    return {"probesize": str(size), "analyzeduration": _ANY_DURATION}
