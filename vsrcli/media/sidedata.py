"""What rides along with decoded frames: the display matrix and HDR metadata, read from FFmpeg's structures, and written as encoders' options."""

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
_MASTERING = struct.Struct(
    "=20i2I"
)  # ten AVRational: red, green, blue, white (x, y), darkest, brightest; then which of them are there
_IDENTITY = (65536, 0, 0, 0, 65536, 0, 0, 0, 1073741824)
# Units of SMPTE ST 2086 as HEVC and x265 count them.
_CHROMATICITY, _LUMINANCE = 50000, 10000


def display_matrix(frame: av.VideoFrame) -> tuple[int, ...] | None:
    """FFmpeg's display matrix of a decoded frame: 9 numbers, or None where there is none or it changes nothing."""
    for name, content in _items(frame):
        if name == "DISPLAYMATRIX":
            matrix = struct.unpack("=9i", content[:36])
            return None if matrix == _IDENTITY else matrix
    return None


def hdr_metadata(frame: av.VideoFrame) -> Hdr:
    """HDR metadata of a decoded frame; zeros where the stream leaves something open count as absent."""
    mastering, light, dynamic = None, None, []
    for name, content in _items(frame):
        if name == "MASTERING_DISPLAY_METADATA":
            mastering = _mastering(content)
        elif name == "CONTENT_LIGHT_LEVEL":
            brightest, average = struct.unpack("=2I", content[:8])
            light = (brightest, average) if brightest or average else None
        elif name in _DYNAMIC and _DYNAMIC[name] not in dynamic:
            dynamic.append(_DYNAMIC[name])
    return Hdr(mastering, light, tuple(dynamic))


def _items(frame: av.VideoFrame) -> Iterator[tuple[str, bytes]]:
    # PyAV iterates over the items, whatever its type annotation says
    items: Any = frame.side_data
    for item in items:
        yield item.type.name, bytes(item)


def _mastering(content: bytes) -> MasteringDisplay | None:
    if len(content) < _MASTERING.size:
        return None
    *numbers, has_primaries, has_luminance = _MASTERING.unpack(
        content[: _MASTERING.size]
    )
    pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
    if not (has_primaries and has_luminance) or any(below == 0 for _, below in pairs):
        return None
    values = [Fraction(above, below) for above, below in pairs]
    red, green, blue, white = [
        (values[place], values[place + 1]) for place in range(0, 8, 2)
    ]
    return MasteringDisplay(
        red, green, blue, white, max_luminance=values[9], min_luminance=values[8]
    )


def hdr_settings(hdr: Hdr, codec: str) -> dict[str, str]:
    """The encoder options that write static HDR metadata into the stream; empty where the encoder takes none.

    Args:
        hdr: the metadata.
        codec: the encoder's name.
    """
    parts: dict[str, str] = {}
    if codec == "libx265":
        if hdr.mastering:
            parts["master-display"] = _display(hdr.mastering, integers=True)
        if hdr.content_light:
            parts["max-cll"] = "{},{}".format(*hdr.content_light)
        if parts:
            parts |= {"hdr10": "1", "repeat-headers": "1"}
        key = "x265-params"
    elif codec == "libx264":
        if hdr.mastering:
            parts["mastering-display"] = _display(hdr.mastering, integers=True)
        if hdr.content_light:
            parts["cll"] = "{},{}".format(*hdr.content_light)
        key = "x264-params"
    elif codec == "libsvtav1":
        if hdr.mastering:
            parts["mastering-display"] = _display(hdr.mastering, integers=False)
        if hdr.content_light:
            parts["content-light"] = "{},{}".format(*hdr.content_light)
        key = "svtav1-params"
    return (
        {key: ":".join(f"{name}={value}" for name, value in parts.items())}
        if parts
        else {}
    )


def _display(display: MasteringDisplay, *, integers: bool) -> str:
    """``G(x,y)B(x,y)R(x,y)WP(x,y)L(max,min)``: in units of ST 2086 for x264 and x265, plain for SVT-AV1."""

    def shown(value: Fraction, unit: int) -> str:
        return str(round(value * unit)) if integers else f"{float(value):.6g}"

    points: list[tuple[str, Any]] = [
        ("G", display.green),
        ("B", display.blue),
        ("R", display.red),
        ("WP", display.white),
    ]
    text = "".join(
        f"{name}({shown(x, _CHROMATICITY)},{shown(y, _CHROMATICITY)})"
        for name, (x, y) in points
    )
    return f"{text}L({shown(display.max_luminance, _LUMINANCE)},{shown(display.min_luminance, _LUMINANCE)})"
