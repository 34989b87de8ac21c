"""The pixel format that an encoder is given, and what it cannot keep of the source's."""

from __future__ import annotations

from vsrcli.errors import OutputError
from vsrcli.frame import PixelFormat
from vsrcli.media.encoders import find_codec
from vsrcli.options import EncoderOptions

# Layouts that some encoders take instead of planar ones; they carry the same samples.
_PACKED = {
    "nv12": PixelFormat("nv12", 8, 1, 1, has_chroma=True),
    "nv16": PixelFormat("nv16", 8, 1, 0, has_chroma=True),
    "p010le": PixelFormat("p010le", 10, 1, 1, has_chroma=True),
    **{
        name: PixelFormat(name, 8, 0, 0, has_chroma=True, is_rgb=True)
        for name in ("rgb24", "bgr24", "rgb0", "bgr0")
    },
    **{
        name: PixelFormat(name, 8, 0, 0, has_chroma=True, has_alpha=True, is_rgb=True)
        for name in ("rgba", "bgra", "argb")
    },
    **{
        name: PixelFormat(name, 16, 0, 0, has_chroma=True, is_rgb=True)
        for name in ("rgb48le", "rgb48be")
    },
    **{
        name: PixelFormat(name, 16, 0, 0, has_chroma=True, has_alpha=True, is_rgb=True)
        for name in ("rgba64le", "rgba64be")
    },
}
# Lossless encoders that FFmpeg lists no formats for: they take every one.
_TAKE_ALL = ("rawvideo", "wrapped_avframe")
# It lists formats with alpha and refuses them: libx265 has to be built for it.
_NO_ALPHA = ("libx265",)


def choose_format(
    options: EncoderOptions, wanted: PixelFormat
) -> tuple[PixelFormat, str | None]:
    """Choose the pixel format that the encoder is given.

    Args:
        options: encoder and, perhaps, the format to use.
        wanted: the source's planar format.

    Returns:
        The format (planar YUV, gray, RGB where the source is, or a packed one of the same samples), and a line for the user where samples are lost or of
        another kind.

    Raises:
        OutputError: no such encoder, or it does not take the format asked for, or no YUV at all.
    """
    codec = find_codec(options.codec)
    names = [wanted.opaque.name if options.codec == "wrapped_avframe" else wanted.name] if options.codec in _TAKE_ALL else [
        item.name for item in codec.video_formats or ()
    ]  # fmt: skip
    if options.codec in _TAKE_ALL and options.pix_fmt is not None:
        names = [options.pix_fmt]
    taken = [
        described
        for name in names
        if (described := _describe(name)) is not None
        and not (described.has_alpha and options.codec in _NO_ALPHA)
    ]
    if options.pix_fmt is not None:
        return _asked_format(options, taken, wanted)
    taken = [candidate for candidate in taken if candidate.is_rgb == wanted.is_rgb]
    if not taken:
        raise OutputError(
            f"{options.codec} takes no {'RGB' if wanted.is_rgb else 'YUV'} pictures: choose another encoder with --codec"
        )
    plain = wanted.name.replace("yuvj", "yuv")
    for name in (wanted.name, plain):
        for candidate in taken:
            if candidate.name == name and not (
                name.startswith("yuvj") and any(other.name == plain for other in taken)
            ):
                return candidate, None
    best = min(taken, key=lambda candidate: _distance(candidate, wanted))
    losses = _losses(best, wanted)
    if not losses and (best.bits, best.log2_chroma_w, best.log2_chroma_h, best.has_chroma) == (
        wanted.bits, wanted.log2_chroma_w, wanted.log2_chroma_h, wanted.has_chroma,
    ):  # fmt: skip
        return best, None
    lost = f", which loses {' and '.join(losses)}{_way_out(wanted)}" if losses else ""
    return (
        best,
        f"{options.codec} does not take {wanted.name}: the output is {best.name}{lost}",
    )


def _way_out(wanted: PixelFormat) -> str:
    """What keeps ``wanted``'s samples whole, where anything does."""
    candidates = [
        described
        for item in find_codec("ffv1").video_formats or ()
        if (described := _describe(item.name)) is not None
    ]
    keeps = any(
        candidate.is_rgb == wanted.is_rgb and not _losses(candidate, wanted)
        for candidate in candidates
    )
    return " (--codec ffv1, in .mkv, keeps it)" if keeps else ""


def _losses(chosen: PixelFormat, wanted: PixelFormat) -> list[str]:
    losses = ["bit depth"] if chosen.bits < wanted.bits else []
    if wanted.has_chroma and not chosen.has_chroma:
        losses.append("colour")
    elif wanted.has_chroma and (
        chosen.log2_chroma_w > wanted.log2_chroma_w
        or chosen.log2_chroma_h > wanted.log2_chroma_h
    ):
        losses.append("chroma resolution")
    return losses + (["alpha"] if wanted.has_alpha and not chosen.has_alpha else [])


def _asked_format(
    options: EncoderOptions, taken: list[PixelFormat], wanted: PixelFormat
) -> tuple[PixelFormat, str | None]:
    for candidate in taken:
        if candidate.name == options.pix_fmt and candidate.is_rgb == wanted.is_rgb:
            losses = _losses(candidate, wanted)
            return (
                candidate,
                f"--pix-fmt {candidate.name} loses {' and '.join(losses)} of {wanted.name}"
                if losses
                else None,
            )
    names = ", ".join(
        candidate.name for candidate in taken if candidate.is_rgb == wanted.is_rgb
    )
    raise OutputError(
        f"{options.codec} does not take pixel format {options.pix_fmt!r}: choose from {names or 'another encoder'}"
    )


def _describe(name: str) -> PixelFormat | None:
    return _PACKED.get(name) or PixelFormat.parse(name)


def _distance(
    candidate: PixelFormat, wanted: PixelFormat
) -> tuple[bool, bool, int, int, int, bool, bool]:
    loses_colour = wanted.has_chroma and not candidate.has_chroma
    loses_alpha = wanted.has_alpha and not candidate.has_alpha
    wide, high = (
        candidate.log2_chroma_w - wanted.log2_chroma_w,
        candidate.log2_chroma_h - wanted.log2_chroma_h,
    )
    if not wanted.has_chroma:
        wide, high = -candidate.log2_chroma_w, -candidate.log2_chroma_h
    lost_bits = max(0, wanted.bits - candidate.bits)
    lost_chroma = max(0, wide) + max(0, high) if wanted.has_chroma else 2 + wide + high
    extra = (
        max(0, candidate.bits - wanted.bits)
        + max(0, -wide)
        + max(0, -high)
        + 4 * (candidate.has_alpha and not wanted.has_alpha)
    )
    return (
        loses_colour,
        loses_alpha,
        lost_bits,
        lost_chroma,
        extra,
        candidate.name.startswith("yuvj"),
        candidate.name in _PACKED,
    )
