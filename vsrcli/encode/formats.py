"""The pixel format that an encoder is given, and what it cannot keep of the source's."""

from __future__ import annotations

from vsrcli.encode.encoders import find_codec
from vsrcli.errors import OutputError
from vsrcli.frame import PixelFormat
from vsrcli.options import EncoderOptions


def _packed_rgb(*names: str, bits: int, has_alpha: bool) -> dict[str, PixelFormat]:
    return {
        name: PixelFormat(
            name,
            bits,
            0,
            0,
            has_chroma=True,
            has_alpha=has_alpha,
            is_rgb=True,
        )
        for name in names
    }


# Layouts that some encoders take instead of planar ones; they carry the same samples.
_PACKED = {
    "nv12": PixelFormat(
        "nv12",
        8,
        1,
        1,
        has_chroma=True,
    ),
    "nv16": PixelFormat(
        "nv16",
        8,
        1,
        0,
        has_chroma=True,
    ),
    "p010le": PixelFormat(
        "p010le",
        10,
        1,
        1,
        has_chroma=True,
    ),
    **_packed_rgb(
        "rgb24",
        "bgr24",
        "rgb0",
        "bgr0",
        bits=8,
        has_alpha=False,
    ),
    **_packed_rgb(
        "rgba",
        "bgra",
        "argb",
        bits=8,
        has_alpha=True,
    ),
    **_packed_rgb(
        "rgb48le",
        "rgb48be",
        bits=16,
        has_alpha=False,
    ),
    **_packed_rgb(
        "rgba64le",
        "rgba64be",
        bits=16,
        has_alpha=True,
    ),
}
# This one takes decoded frames as they are, but no alpha.
_WRAPPED_FRAMES = "wrapped_avframe"
# Encoders that FFmpeg lists no formats for: they take all.
_TAKE_ALL = ("rawvideo", _WRAPPED_FRAMES)
# FFmpeg lists formats with alpha for it, which it refuses unless it is built for them.
_NO_ALPHA = ("libx265",)
# Full-range formats that FFmpeg deprecates; the others carry the same samples.
_FULL_RANGE_PREFIX = "yuvj"


def choose_format(
    options: EncoderOptions,
    source: PixelFormat,
) -> tuple[PixelFormat, str | None]:
    """Choose the pixel format that the encoder is given.

    Args:
        options: the encoder and, perhaps, the format to use.
        source: the source's planar format.

    Returns:
        The format: planar YUV, gray, RGB if the source is RGB, or a packed one of the same samples.
        And a line for the user if samples are lost or of another kind.

    Raises:
        OutputError: no such encoder, or it does not take the format asked for, or nothing suitable.
    """
    supported = _supported_formats(options, source)
    if options.pix_fmt is not None:
        return _requested_format(options, supported, source)
    supported = [each for each in supported if each.is_rgb == source.is_rgb]
    if not supported:
        kind = "RGB" if source.is_rgb else "YUV"
        raise OutputError(
            f"{options.codec} takes no {kind} pictures: "
            "choose another encoder with --codec"
        )
    same = _same_format(supported, source)
    if same is not None:
        return same, None
    best = min(supported, key=lambda candidate: _distance(candidate, source))
    losses = _losses(best, source)
    if not losses and _sampling(best) == _sampling(source):
        return best, None
    note = f"{options.codec} does not take {source.name}: the output is {best.name}"
    if losses:
        note += f", which loses {' and '.join(losses)}{_way_out(source)}"
    return best, note


def _supported_formats(
    options: EncoderOptions,
    source: PixelFormat,
) -> list[PixelFormat]:
    """The formats that the encoder takes and that frames can be converted to."""
    codec = find_codec(options.codec)
    if options.codec not in _TAKE_ALL:
        names = [item.name for item in codec.video_formats or ()]
    elif options.pix_fmt is not None:
        names = [options.pix_fmt]
    elif options.codec == _WRAPPED_FRAMES:
        names = [source.opaque.name]
    else:
        names = [source.name]
    formats = []
    for name in names:
        candidate = _describe(name)
        if candidate is None:
            continue
        if candidate.has_alpha and options.codec in _NO_ALPHA:
            continue
        formats.append(candidate)
    return formats


def _same_format(
    supported: list[PixelFormat],
    source: PixelFormat,
) -> PixelFormat | None:
    """The source's own format, by its modern name where the encoder knows it."""
    plain_name = source.name.replace(_FULL_RANGE_PREFIX, "yuv")
    by_name = {candidate.name: candidate for candidate in reversed(supported)}
    if plain_name in by_name:
        return by_name[plain_name]
    return by_name.get(source.name)


def _sampling(layout: PixelFormat) -> tuple[int, int, int, bool]:
    return (
        layout.bits,
        layout.log2_chroma_w,
        layout.log2_chroma_h,
        layout.has_chroma,
    )


def _way_out(source: PixelFormat) -> str:
    """What keeps all samples of a format, where anything does."""
    for item in find_codec("ffv1").video_formats or ():
        candidate = _describe(item.name)
        if candidate is None or candidate.is_rgb != source.is_rgb:
            continue
        if not _losses(candidate, source):
            return " (--codec ffv1, in .mkv, keeps it)"
    return ""


def _losses(chosen: PixelFormat, source: PixelFormat) -> list[str]:
    losses = []
    if chosen.bits < source.bits:
        losses.append("bit depth")
    is_narrower = chosen.log2_chroma_w > source.log2_chroma_w
    is_lower = chosen.log2_chroma_h > source.log2_chroma_h
    if source.has_chroma and not chosen.has_chroma:
        losses.append("colour")
    elif source.has_chroma and (is_narrower or is_lower):
        losses.append("chroma resolution")
    if source.has_alpha and not chosen.has_alpha:
        losses.append("alpha")
    return losses


def _requested_format(
    options: EncoderOptions,
    supported: list[PixelFormat],
    source: PixelFormat,
) -> tuple[PixelFormat, str | None]:
    suitable = [each for each in supported if each.is_rgb == source.is_rgb]
    for candidate in suitable:
        if candidate.name == options.pix_fmt:
            losses = " and ".join(_losses(candidate, source))
            note = f"--pix-fmt {candidate.name} loses {losses} of {source.name}"
            return candidate, note if losses else None
    names = ", ".join(candidate.name for candidate in suitable)
    raise OutputError(
        f"{options.codec} does not take pixel format {options.pix_fmt!r}: "
        f"choose from {names or 'another encoder'}"
    )


def _describe(name: str) -> PixelFormat | None:
    return _PACKED.get(name) or PixelFormat.parse(name)


def _distance(
    candidate: PixelFormat,
    source: PixelFormat,
) -> tuple[bool, bool, int, int, int, bool, bool]:
    """How far a format is from the source's; the most important difference comes first."""
    extra_bits = candidate.bits - source.bits
    if source.has_chroma:
        coarser_w = candidate.log2_chroma_w - source.log2_chroma_w
        coarser_h = candidate.log2_chroma_h - source.log2_chroma_h
        lost_chroma = max(0, coarser_w) + max(0, coarser_h)
    else:
        # gray: the less chroma there is to fill, the better
        coarser_w = -candidate.log2_chroma_w
        coarser_h = -candidate.log2_chroma_h
        lost_chroma = 2 + coarser_w + coarser_h
    extra = max(0, extra_bits) + max(0, -coarser_w) + max(0, -coarser_h)
    if candidate.has_alpha and not source.has_alpha:
        extra += 4
    return (
        source.has_chroma and not candidate.has_chroma,
        source.has_alpha and not candidate.has_alpha,
        max(0, -extra_bits),
        lost_chroma,
        extra,
        candidate.name.startswith(_FULL_RANGE_PREFIX),
        candidate.name in _PACKED,
    )
