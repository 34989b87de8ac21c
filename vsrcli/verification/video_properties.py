"""Comparisons of how two video streams are described: colours, HDR metadata, pixel format."""

from __future__ import annotations

from fractions import Fraction

from vsrcli.frame import UNSPECIFIED, ColorTags, Hdr, MasteringDisplay, PixelFormat

# Headers of these cannot leave the range open: their decoders report limited.
_ALWAYS_HAVE_A_RANGE = ("hevc", "av1", "vp9")
_CHROMATICITY_TOLERANCE = Fraction(1, 25_000)


def compare_colour(
    source: ColorTags,
    output: ColorTags,
    codec: str,
) -> list[str]:
    """Which colour tags differ.

    A range that the source leaves open and the codec cannot leave open counts as limited. The
    chroma location counts only where both streams have one.

    Args:
        source: the tags that there should be.
        output: the output's tags.
        codec: canonical name of the output's video codec.
    """
    problems = []
    for name in ("matrix", "primaries", "transfer"):
        expected = getattr(source, name)
        actual = getattr(output, name)
        if actual != expected:
            difference = f"{_code(actual)}, the source's is {_code(expected)}"
            problems.append(f"{name} {difference}")
    if codec != "mjpeg" and not _same_range(source, output, codec):
        expected_range = source.range or "not said"
        actual_range = output.range or "not said"
        problems.append(f"range {actual_range}, the source's is {expected_range}")
    expected_location = source.chroma_location
    actual_location = output.chroma_location
    both_known = bool(expected_location) and bool(actual_location)
    if both_known and expected_location != actual_location:
        problems.append(
            f"chroma location {actual_location}, the source's is {expected_location}"
        )
    return problems


def _same_range(
    source: ColorTags,
    output: ColorTags,
    codec: str,
) -> bool:
    if source.range == output.range:
        return True
    colours = (source.matrix, source.primaries, source.transfer)
    has_colours = any(code != UNSPECIFIED for code in colours)
    if source.range is None and output.range == "limited":
        return codec in _ALWAYS_HAVE_A_RANGE or (codec == "h264" and has_colours)
    # x264 does not write a range if that is all it knows of the colours; it means limited
    is_implied = codec == "h264" and not has_colours
    return is_implied and source.range == "limited" and output.range is None


def _code(code: int) -> str:
    return "not said" if code == UNSPECIFIED else str(code)


def compare_hdr(source: Hdr, output: Hdr) -> list[str]:
    """Which static HDR metadata is missing or different, to within the units of its encoding."""
    problems = []
    if source.mastering is None and output.mastering is not None:
        problems.append("mastering display that the source does not have")
    if source.content_light is None and output.content_light is not None:
        problems.append("content light level that the source does not have")
    if source.mastering is not None:
        if output.mastering is None:
            problems.append("mastering display lost")
        elif not _same_display(source.mastering, output.mastering):
            problems.append("mastering display changed")
    if source.content_light is not None:
        actual = output.content_light
        if actual is None:
            problems.append("content light level lost")
        elif actual != source.content_light:
            problems.append(f"content light level {actual}, not {source.content_light}")
    return problems


def _same_display(source: MasteringDisplay, output: MasteringDisplay) -> bool:
    for name in ("red", "green", "blue", "white"):
        expected_point = getattr(source, name)
        actual_point = getattr(output, name)
        for expected, actual in zip(expected_point, actual_point, strict=True):
            if abs(actual - expected) > _CHROMATICITY_TOLERANCE:
                return False
    max_tolerance = Fraction(1, 2) + source.max_luminance / 1000
    min_tolerance = Fraction(1, 5000) + source.min_luminance / 100
    max_error = abs(output.max_luminance - source.max_luminance)
    min_error = abs(output.min_luminance - source.min_luminance)
    return max_error <= max_tolerance and min_error <= min_tolerance


def compare_depth(source: PixelFormat, output: PixelFormat) -> list[str]:
    """Which samples of the source the output's pixel format cannot hold."""
    problems = []
    if output.bits < source.bits:
        problems.append(f"{output.bits} bits, the source has {source.bits}")
    if source.has_chroma and not output.has_chroma:
        problems.append(f"{output.name} has no colour")
    return problems
