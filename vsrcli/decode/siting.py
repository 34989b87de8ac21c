"""The chroma siting of a stream, which PyAV does not give.

It is read from a Matroska header that FFmpeg writes about the stream.
"""

from __future__ import annotations

import io

import av
from av.video.stream import VideoStream

from vsrcli.containers.table import MATROSKA_MUXER

# Matroska's ChromaSitingHorz and ChromaSitingVert: element number, a length of one byte, then 1 for
# co-sited with the first luma sample or 2 for halfway.
_HORIZONTAL = b"\x55\xb7\x81"
_VERTICAL = b"\x55\xb8\x81"
_LOCATIONS = {
    (1, 1): "topleft",
    (1, 2): "left",
    (2, 1): "top",
    (2, 2): "center",
}


def chroma_location(stream: VideoStream) -> str | None:
    """Chroma siting as FFmpeg knows it, from the bitstream or by the rules of the codec.

    FFmpeg gives H.264, HEVC, MPEG-2 and MPEG-4 without a tag as ``left``, MPEG-1 and JPEG as
    ``center``, VP8, VP9 and FFV1 not at all.

    Args:
        stream: a stream of an open input.

    Returns:
        ``left``, ``center``, ``topleft``, ``top``, or None if untagged (and for the bottom ones,
        which Matroska has no values for).
    """
    header = io.BytesIO()
    try:
        with av.open(header, "w", format=MATROSKA_MUXER) as scratch:
            # opaque: streams without a decoder of the container's default name (AV1) are described
            # as well
            scratch.add_stream_from_template(stream, opaque=True)
            scratch.start_encoding()
    except (av.FFmpegError, ValueError):
        return None  # a codec that Matroska does not take
    content = header.getvalue()
    horizontal = _byte_after(content, _HORIZONTAL)
    vertical = _byte_after(content, _VERTICAL)
    return _LOCATIONS.get((horizontal, vertical))


def _byte_after(content: bytes, element: bytes) -> int:
    """The byte after the first occurrence of an element, or 0."""
    _, found, rest = content.partition(element)
    return rest[0] if found and rest else 0
