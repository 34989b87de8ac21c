"""The planar format that frames of a stored pixel format are delivered in."""

from __future__ import annotations

import av

from vsrcli.errors import InputError
from vsrcli.frame import PixelFormat

_GRAY_WITH_ALPHA_COMPONENTS = 2
_DEPTHS = (8, 9, 10, 12, 14, 16)
# Names of subsampling, by the size of a chroma plane of 16x16 pixels.
_SUBSAMPLINGS = {
    (16, 16): "444",
    (8, 16): "422",
    (8, 8): "420",
    (16, 8): "440",
    (4, 16): "411",
    (4, 4): "410",
}


def delivered_format(stored: str, *, keep_rgb: bool = False) -> PixelFormat:
    """The planar format that frames of FFmpeg's format ``stored`` are delivered in.

    It has the same samples where that is possible. RGB is delivered as 4:4:4 luma and chroma unless
    ``keep_rgb``; alpha stays.

    Raises:
        InputError: no planar format has these samples.
    """
    same = PixelFormat.parse(stored.replace("yuvj", "yuv"))
    if same is not None and (keep_rgb or not same.is_rgb):
        return same
    described = av.VideoFormat(stored)
    bits = _depth(described)
    has_alpha = has_transparency(stored)
    if has_alpha and bits == 14 and not keep_rgb:
        bits = 16
    name = _family(stored, described, keep_rgb=keep_rgb)
    if bits > 8:
        name += f"{bits}le"
    layout = PixelFormat.parse(name)
    if layout is None:
        raise InputError(
            f"pixel format {stored} is not one that vsr knows: convert the video to yuv420p first"
        )
    return layout


def without_alpha(stored: str, delivered: PixelFormat) -> PixelFormat:
    """The format for frames of ``stored`` whose alpha means nothing: gray stays gray."""
    opaque = delivered.opaque
    is_gray = len(av.VideoFormat(stored).components) == _GRAY_WITH_ALPHA_COMPONENTS
    if not is_gray:
        return opaque
    name = "gray" if opaque.bits == 8 else f"gray{opaque.bits}le"
    return PixelFormat.parse(name) or opaque


def is_rgb(stored: str) -> bool:
    """True if frames of that format need a matrix to be turned into luma and chroma."""
    described = av.VideoFormat(stored)
    return described.is_rgb or described.has_palette


def has_transparency(stored: str) -> bool:
    """True if frames of that format have alpha of their own (a palette's is not considered)."""
    described = av.VideoFormat(stored)
    if described.has_palette:
        return False
    return any(component.is_alpha for component in described.components)


def _depth(described: av.VideoFormat) -> int:
    """The smallest depth that holds every component."""
    bits = max(component.bits for component in described.components)
    for depth in _DEPTHS:
        if depth >= bits:
            return depth
    return _DEPTHS[-1]


def _family(
    stored: str,
    described: av.VideoFormat,
    *,
    keep_rgb: bool,
) -> str:
    """The name of the delivered format, without its depth."""
    alpha = "a" if has_transparency(stored) else ""
    if is_rgb(stored):
        return f"gbr{alpha}p" if keep_rgb else f"yuv{alpha}444p"
    colours = [part for part in described.components if not part.is_alpha]
    if len(colours) < 3:
        return "yuva444p" if alpha else "gray"
    size = (described.chroma_width(16), described.chroma_height(16))
    subsampling = _SUBSAMPLINGS.get(size, "444")
    return f"yuv{alpha}{subsampling}p"
