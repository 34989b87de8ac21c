"""What FFmpeg knows of a stream beyond what PyAV gives: read from a Matroska header.

FFmpeg writes chroma siting, cropping, stereoscopy, projection and the configuration of Dolby Vision
of a stream into a Matroska header in memory, whatever container the stream is from.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

import av
from av.video.stream import VideoStream

from vsrcli.containers.table import MATROSKA_MUXER

# Element numbers of Matroska (RFC 9559).
SEGMENT = 0x18538067
TRACKS = 0x1654AE6B
TRACK_ENTRY = 0xAE
VIDEO = 0xE0
COLOUR = 0x55B0
BLOCK_ADDITION_MAPPING = 0x41E4
_MASTERS = (SEGMENT, TRACKS, TRACK_ENTRY, VIDEO, COLOUR, BLOCK_ADDITION_MAPPING)
_MAX_DEPTH = 8

Element = tuple[int, bytes]


class StreamHeader:
    """The Matroska elements that describe a stream."""

    def __init__(self, elements: tuple[Element, ...]) -> None:
        """Take the elements of a track, without their nesting."""
        self._elements = elements

    @classmethod
    def of_stream(cls, stream: VideoStream) -> StreamHeader:
        """Have FFmpeg describe a stream of an open input.

        It is empty for a codec that Matroska does not take.
        """
        header = io.BytesIO()
        try:
            with av.open(header, "w", format=MATROSKA_MUXER) as scratch:
                # opaque: streams without a decoder of the container's default name (AV1) are
                # described as well
                scratch.add_stream_from_template(stream, opaque=True)
                scratch.start_encoding()
        except (av.FFmpegError, ValueError):
            return cls(())
        return cls(tuple(leaves(header.getvalue())))

    def number(self, element: int) -> int:
        """The unsigned integer in an element, or 0."""
        return int.from_bytes(self.content(element) or b"", "big")

    def content(self, element: int) -> bytes | None:
        """The content of the first element of that number."""
        return next(iter(self.contents(element)), None)

    def contents(self, element: int) -> list[bytes]:
        """The contents of all elements of that number."""
        return [content for number, content in self._elements if number == element]


def leaves(data: bytes, depth: int = 0) -> Iterator[Element]:
    """The elements of a track's description that hold no others; a projection counts as one.

    Args:
        data: elements in a row; whatever is not complete at the end is left out.
        depth: of nesting so far.
    """
    for number, content in elements(data):
        if number in _MASTERS and depth < _MAX_DEPTH:
            yield from leaves(content, depth + 1)
        else:
            yield number, content


def elements(data: bytes) -> Iterator[Element]:
    """The elements of EBML data in a row: number and content.

    One that claims more than there is, or does not know its length, gets what is there.
    """
    position = 0
    while position < len(data):
        length = _varint_length(data[position])
        number = int.from_bytes(data[position : position + length], "big")
        position += length
        if not length or position >= len(data):
            return
        length = _varint_length(data[position])
        size = int.from_bytes(data[position : position + length], "big")
        size &= (1 << 7 * length) - 1
        position += length
        if not length or position > len(data):
            return
        yield number, data[position : position + size]
        position += size


def element(number: int, content: bytes) -> bytes:
    """An element of EBML, to be written."""
    name = number.to_bytes((number.bit_length() + 7) // 8, "big")
    size = len(content) | 1 << 56
    return name + size.to_bytes(8, "big") + content


def _varint_length(first: int) -> int:
    """Bytes of a number of variable length, by its first byte; 0 for none."""
    return 9 - first.bit_length() if first else 0
