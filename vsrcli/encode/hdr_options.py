"""HDR metadata as options of encoders."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from vsrcli.frame import Hdr, MasteringDisplay

# Units of SMPTE ST 2086, as HEVC and x265 count them.
_CHROMATICITY_UNITS = 50000
_LUMINANCE_UNITS = 10000
_ENCODERS = ("libx265", "libx264", "libsvtav1")


def kept_hdr(hdr: Hdr, codec: str) -> Hdr:
    """What an encoder writes of static HDR metadata.

    Args:
        hdr: the metadata.
        codec: the encoder's name.
    """
    if codec not in _ENCODERS:
        return replace(hdr, mastering=None, content_light=None)
    mastering = hdr.mastering
    if codec == "libsvtav1" and mastering is not None and not mastering.max_luminance:
        return replace(hdr, mastering=None)  # it takes none without its luminance
    return hdr


def hdr_settings(hdr: Hdr, codec: str) -> dict[str, str]:
    """The encoder options that write static HDR metadata into the stream.

    Args:
        hdr: the metadata.
        codec: the encoder's name.

    Returns:
        Empty where the encoder takes none. Zeros stand for what is not stated.
    """
    hdr = kept_hdr(hdr, codec)
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
