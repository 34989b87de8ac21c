"""The chroma siting of a stream, which PyAV does not give."""

from __future__ import annotations

from vsrcli.decode.stream_header import StreamHeader

# Matroska's ChromaSitingHorz and ChromaSitingVert: 1 for co-sited with the first luma sample, 2 for
# halfway.
_HORIZONTAL = 0x55B7
_VERTICAL = 0x55B8
_LOCATIONS = {
    (1, 1): "topleft",
    (1, 2): "left",
    (2, 1): "top",
    (2, 2): "center",
}


def chroma_location(header: StreamHeader) -> str | None:
    """Chroma siting as FFmpeg knows it, from the bitstream or by the rules of the codec.

    FFmpeg gives H.264, HEVC, MPEG-2 and MPEG-4 without a tag as ``left``, MPEG-1 and JPEG as
    ``center``, VP8, VP9 and FFV1 not at all.

    Returns:
        ``left``, ``center``, ``topleft``, ``top``, or None if untagged (and for the bottom ones,
        which Matroska has no values for).
    """
    place = (header.number(_HORIZONTAL), header.number(_VERTICAL))
    return _LOCATIONS.get(place)
