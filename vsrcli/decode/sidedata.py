"""Side data of decoded frames: the display matrix and HDR metadata.

They are read from FFmpeg's structures, and HDR metadata is written as options of encoders.
"""

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
# Units of SMPTE ST 2086, as HEVC and x265 count them.
_CHROMATICITY_UNITS = 50000
_LUMINANCE_UNITS = 10000


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


def hdr_settings(hdr: Hdr, codec: str) -> dict[str, str]:
    """The encoder options that write static HDR metadata into the stream.

    Args:
        hdr: the metadata.
        codec: the encoder's name.

    Returns:
        Empty where the encoder takes none.
    """
    if codec == "libx265":
        parameters = _parameters(
            hdr,
            "master-display",
            "max-cll",
            integers=True,
        )
        if parameters:
            parameters["hdr10"] = "1"
            parameters["repeat-headers"] = "1"
        option = "x265-params"
    elif codec == "libx264":
        parameters = _parameters(
            hdr,
            "mastering-display",
            "cll",
            integers=True,
        )
        option = "x264-params"
    elif codec == "libsvtav1":
        parameters = _parameters(
            hdr,
            "mastering-display",
            "content-light",
            integers=False,
        )
        option = "svtav1-params"
    else:
        return {}
    if not parameters:
        return {}
    return {option: ":".join(f"{name}={value}" for name, value in parameters.items())}


def _parameters(
    hdr: Hdr,
    mastering_name: str,
    light_name: str,
    *,
    integers: bool,
) -> dict[str, str]:
    parameters = {}
    if hdr.mastering:
        parameters[mastering_name] = _display(hdr.mastering, integers=integers)
    if hdr.content_light:
        brightest, average = hdr.content_light
        parameters[light_name] = f"{brightest},{average}"
    return parameters


def _display(display: MasteringDisplay, *, integers: bool) -> str:
    """A display as ``G(x,y)B(x,y)R(x,y)WP(x,y)L(max,min)``.

    In units of ST 2086 for x264 and x265, plain for SVT-AV1.
    """

    def format_value(value: Fraction, units: int) -> str:
        return str(round(value * units)) if integers else f"{float(value):.6g}"

    points = {
        "G": display.green,
        "B": display.blue,
        "R": display.red,
        "WP": display.white,
    }
    text = ""
    for name, point in points.items():
        x, y = [format_value(value, _CHROMATICITY_UNITS) for value in point]
        text += f"{name}({x},{y})"
    brightest = format_value(display.max_luminance, _LUMINANCE_UNITS)
    darkest = format_value(display.min_luminance, _LUMINANCE_UNITS)
    return f"{text}L({brightest},{darkest})"
