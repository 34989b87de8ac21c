"""Side data of decoded frames, read from FFmpeg's structures: display matrix and HDR metadata."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av

from vsrcli.frame import Hdr, MasteringDisplay

_DYNAMIC = {
    "DOVI_RPU_BUFFER": "Dolby Vision",
    "DOVI_METADATA": "Dolby Vision",
    "DYNAMIC_HDR_PLUS": "HDR10+",
    "DYNAMIC_HDR_VIVID": "HDR Vivid",
}
# Ten AVRational: red, green, blue, white (x, y), darkest, brightest; then whether there are
# primaries and luminances.
_MASTERING = struct.Struct("=20i2I")
_IDENTITY = (65536, 0, 0, 0, 65536, 0, 0, 0, 1073741824)
_MATRIX_BYTES = 36
_CONTENT_LIGHT_BYTES = 8


def display_matrix(frame: av.VideoFrame) -> tuple[int, ...] | None:
    """FFmpeg's display matrix of a decoded frame.

    Returns:
        9 numbers, or None where there is none or it changes nothing.
    """
    for name, content in _items(frame):
        if name == "DISPLAYMATRIX":
            matrix = struct.unpack("=9i", content[:_MATRIX_BYTES])
            return None if matrix == _IDENTITY else matrix
    return None


def hdr_metadata(frame: av.VideoFrame) -> Hdr:
    """HDR metadata of a decoded frame. Zeros, which leave a value open, count as absent."""
    mastering = None
    content_light = None
    dynamic = []
    for name, content in _items(frame):
        if name == "MASTERING_DISPLAY_METADATA":
            mastering = _read_mastering(content)
        elif name == "CONTENT_LIGHT_LEVEL":
            values = struct.unpack("=2I", content[:_CONTENT_LIGHT_BYTES])
            brightest, average = values
            content_light = (brightest, average) if any(values) else None
        elif name in _DYNAMIC and _DYNAMIC[name] not in dynamic:
            dynamic.append(_DYNAMIC[name])
    return Hdr(mastering, content_light, tuple(dynamic))


def _items(frame: av.VideoFrame) -> Iterator[tuple[str, bytes]]:
    # PyAV iterates over the items, whatever its type annotation says
    items: Any = frame.side_data
    for item in items:
        yield item.type.name, bytes(item)


def _read_mastering(content: bytes) -> MasteringDisplay | None:
    if len(content) < _MASTERING.size:
        return None
    *numbers, has_primaries, has_luminance = _MASTERING.unpack(
        content[: _MASTERING.size]
    )
    numerators = numbers[::2]
    denominators = numbers[1::2]
    if not has_primaries or not has_luminance or 0 in denominators:
        return None
    values = [
        Fraction(numerator, denominator)
        for numerator, denominator in zip(numerators, denominators, strict=True)
    ]
    return MasteringDisplay(
        red=(values[0], values[1]),
        green=(values[2], values[3]),
        blue=(values[4], values[5]),
        white=(values[6], values[7]),
        max_luminance=values[9],
        min_luminance=values[8],
    )
