"""Luma and chroma to R'G'B' and back, by the matrices of ITU-T H.273: a round trip keeps the codes.

Subsampled chroma needs care. On the way to RGB it is interpolated linearly, on the way back it is
averaged ([1 2 1]/4 about a sample that lies on a pixel, the mean of both pixels about one between
them). Together these would blur it by [1 6 1]/8. So the inverse of that filter goes first, and
colours that RGB can hold come back unchanged. The price is an overshoot of a fifth about hard edges
of colour, one pixel wide.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vsrcli.frame import ColorTags, Frame, PixelFormat, Plane
from vsrcli.picture.chroma import DEFAULT_LOCATION, SITING
from vsrcli.picture.matrices import IDENTITY, WEIGHTS, YCGCO

Float = NDArray[np.float32]

# The inverse of the filter [1 6 1]/8 falls off by this factor from sample to sample; nine of them
# leave a millionth.
_DECAY = 2 * np.sqrt(2) - 3
_REACH = 9
_DISTANCES = np.abs(np.arange(-_REACH, _REACH + 1))
_SHARPENER = (np.sqrt(2) * _DECAY**_DISTANCES).astype(np.float32)
_QUARTER = np.float32(0.25)
_HALF = np.float32(0.5)
_THREE_QUARTERS = np.float32(0.75)


def rgb_layout(bits: int, *, alpha: bool) -> PixelFormat:
    """Planar RGB of that depth."""
    name = "gbrap" if alpha else "gbrp"
    return PixelFormat(
        name=_with_depth(name, bits),
        bits=bits,
        log2_chroma_w=0,
        log2_chroma_h=0,
        has_chroma=True,
        has_alpha=alpha,
        is_rgb=True,
    )


def gray_layout(bits: int) -> PixelFormat:
    """Luma alone, of that depth."""
    return PixelFormat(
        name=_with_depth("gray", bits),
        bits=bits,
        log2_chroma_w=0,
        log2_chroma_h=0,
        has_chroma=False,
    )


def _with_depth(name: str, bits: int) -> str:
    return name if bits == 8 else f"{name}{bits}le"


def to_rgb(frame: Frame, tags: ColorTags, matrix: int, bits: int) -> Frame:
    """Convert a picture to RGB; gray stays gray, in full range.

    Args:
        frame: luma and chroma, gray, or RGB (of which only the depth changes).
        tags: its range and chroma siting.
        matrix: its matrix, as ``matrix_of`` says.
        bits: depth of the result, 8..16.

    Returns:
        Full-range planes G, B, R (and alpha), or gray; colours beyond black and white are clipped.
    """
    layout = frame.format
    if layout.is_rgb:
        if layout.bits == bits:
            return frame
        gain = np.float32(1 / layout.peak)
        planes = [plane * gain for plane in frame.planes]
        return _from_unit(planes, rgb_layout(bits, alpha=layout.has_alpha), frame)
    full = tags.is_full_range
    black, span = _luma_range(layout, full)
    luma = (frame.luma.astype(np.float32) - black) / span
    if not layout.has_chroma:
        return _from_unit([luma], gray_layout(bits), frame)
    across, down = SITING[tags.chroma_location or DEFAULT_LOCATION]
    neutral, chroma_span = _chroma_range(layout, full)
    chroma = []
    for plane in frame.chroma:
        values = (plane.astype(np.float32) - neutral) / chroma_span
        widened = _expand(values, frame.width, layout.log2_chroma_w, across)
        columns = _expand(widened.T, frame.height, layout.log2_chroma_h, down)
        chroma.append(columns.T)
    planes = list(_to_gbr(luma, chroma[0], chroma[1], matrix))
    if frame.alpha is not None:
        planes.append(frame.alpha.astype(np.float32) / np.float32(layout.peak))
    return _from_unit(planes, rgb_layout(bits, alpha=layout.has_alpha), frame)


def from_rgb(frame: Frame, layout: PixelFormat, tags: ColorTags, matrix: int) -> Frame:
    """Convert RGB to luma and chroma: the inverse of ``to_rgb``.

    Args:
        frame: full-range planes G, B, R (and alpha), or gray.
        layout: of the result; gray gets neutral chroma if the layout has chroma.
        tags: range and chroma siting of the result.
        matrix: as in ``to_rgb``.

    Returns:
        The picture, rounded to nearest. Alpha is left out if ``layout`` has none, and opaque if
        only ``layout`` has it.
    """
    peak = np.float32(frame.format.peak)
    full = tags.is_full_range
    if frame.format.is_rgb:
        green, blue, red = (_unit(plane, peak) for plane in frame.planes[:3])
        luma, *chroma = _from_gbr(green, blue, red, matrix)
    else:
        luma = _unit(frame.luma, peak)
        neutral_plane = np.zeros_like(luma)
        chroma = [neutral_plane, neutral_plane]
    black, span = _luma_range(layout, full)
    planes = [luma * span + black]
    if layout.has_chroma:
        across, down = SITING[tags.chroma_location or DEFAULT_LOCATION]
        neutral, chroma_span = _chroma_range(layout, full)
        for values in chroma:
            columns = _reduce(values.T, layout.log2_chroma_h, down)
            reduced = _reduce(columns.T, layout.log2_chroma_w, across)
            planes.append(reduced * chroma_span + neutral)
    if layout.has_alpha:
        opaque = np.ones_like(luma)
        alpha = opaque if frame.alpha is None else _unit(frame.alpha, peak)
        planes.append(alpha * np.float32(layout.peak))
    return _frame(planes, layout, frame)


def _from_unit(planes: list[Float], layout: PixelFormat, source: Frame) -> Frame:
    """A frame of planes of 0..1, at the time of ``source``."""
    peak = np.float32(layout.peak)
    return _frame([plane * peak for plane in planes], layout, source)


def _frame(planes: list[Float], layout: PixelFormat, source: Frame) -> Frame:
    """A frame of planes of codes not yet rounded, at the time of ``source``."""
    rounded = tuple(_round(plane, layout) for plane in planes)
    return replace(source, planes=rounded, format=layout)


def _round(values: Float, layout: PixelFormat) -> Plane:
    rounded = np.clip(np.rint(values), 0, layout.peak)
    if layout.bits == 8:
        return rounded.astype(np.uint8)
    return rounded.astype(np.uint16)


def _unit(plane: Plane, peak: np.float32) -> Float:
    return plane.astype(np.float32) / peak


def _luma_range(layout: PixelFormat, full: bool) -> tuple[np.float32, np.float32]:
    """Code of black, and codes from black to white."""
    if full:
        return np.float32(0), np.float32(layout.peak)
    shift = layout.bits - 8
    return np.float32(16 << shift), np.float32(219 << shift)


def _chroma_range(layout: PixelFormat, full: bool) -> tuple[np.float32, np.float32]:
    """Code of neutral chroma, and codes from its least to its largest value."""
    neutral = 1 << (layout.bits - 1)
    span = layout.peak if full else 224 << (layout.bits - 8)
    return np.float32(neutral), np.float32(span)


def _to_gbr(
    luma: Float,
    blue: Float,
    red: Float,
    matrix: int,
) -> tuple[Float, Float, Float]:
    """Luma 0..1 and chroma -0.5..0.5 to green, blue and red."""
    if matrix == IDENTITY:
        return luma, blue + _HALF, red + _HALF
    if matrix == YCGCO:  # blue holds Cg, red Co
        rest = luma - blue
        return luma + blue, rest - red, rest + red
    kr, kb = WEIGHTS[matrix]
    kg = 1 - kr - kb
    # luma is kr r + kg g + kb b, and chroma is b - luma and r - luma, each divided by its range
    blue_range = 2 * (1 - kb)
    red_range = 2 * (1 - kr)
    b = luma + np.float32(blue_range) * blue
    r = luma + np.float32(red_range) * red
    g = luma - np.float32(2 * kb * (1 - kb) / kg) * blue
    g -= np.float32(2 * kr * (1 - kr) / kg) * red
    return g, b, r


def _from_gbr(g: Float, b: Float, r: Float, matrix: int) -> tuple[Float, Float, Float]:
    """Green, blue and red to luma 0..1 and chroma -0.5..0.5."""
    if matrix == IDENTITY:
        return g, b - _HALF, r - _HALF
    if matrix == YCGCO:
        mean = (b + r) * _HALF
        luma = (g + mean) * _HALF
        green_chroma = (g - mean) * _HALF
        orange_chroma = (r - b) * _HALF
        return luma, green_chroma, orange_chroma
    kr, kb = WEIGHTS[matrix]
    kg = 1 - kr - kb
    luma = np.float32(kr) * r + np.float32(kg) * g + np.float32(kb) * b
    blue_range = 2 * (1 - kb)
    red_range = 2 * (1 - kr)
    blue = (b - luma) / np.float32(blue_range)
    red = (r - luma) / np.float32(red_range)
    return luma, blue, red


def _expand(plane: Float, length: int, log2_factor: int, siting: float) -> Float:
    """Interpolate along the last axis to ``length`` samples; ``_reduce`` gives ``plane`` back."""
    if not log2_factor:
        return plane
    if log2_factor > 1:
        repeated = np.repeat(plane, 1 << log2_factor, axis=-1)
        return repeated[..., :length]
    count = plane.shape[-1]
    if siting == 1:
        flipped = _expand(plane[..., ::-1], 2 * count, 1, 0)
        return flipped[..., ::-1][..., :length]
    if siting == 0:
        return _expand_on_pixels(plane, length)
    return _expand_between_pixels(plane, length)


_PadMode = Literal["edge", "reflect", "symmetric"]


# Both functions continue the picture beyond its edges by its mirror image: the given samples are
# part of those of the continued picture.


def _expand_on_pixels(plane: Float, length: int) -> Float:
    """Double the samples of an axis; each lies on the first of its two pixels."""
    is_odd = length % 2 == 1
    end: _PadMode = "reflect" if is_odd else "symmetric"
    _, middle, after = _sharpen(plane, start="reflect", end=end)
    expanded = _empty_double(plane)
    expanded[..., ::2] = middle
    expanded[..., 1::2] = _HALF * (middle + after)
    return expanded[..., :length]


def _expand_between_pixels(plane: Float, length: int) -> Float:
    """Double the samples of an axis; each lies between its two pixels."""
    before, middle, after = _sharpen(plane, start="symmetric", end="symmetric")
    expanded = _empty_double(plane)
    expanded[..., ::2] = _QUARTER * before + _THREE_QUARTERS * middle
    expanded[..., 1::2] = _THREE_QUARTERS * middle + _QUARTER * after
    if length % 2:
        expanded[..., -2] = plane[..., -1]  # its other pixel is cut off
    return expanded[..., :length]


def _empty_double(plane: Float) -> Float:
    *leading, count = plane.shape
    return np.empty((*leading, 2 * count), np.float32)


def _sharpen(
    plane: Float,
    *,
    start: _PadMode,
    end: _PadMode,
) -> tuple[Float, Float, Float]:
    """The sharpened samples of the last axis: those before, at and after every sample."""
    margin = _REACH + 1
    padded = _pad(plane, margin, 0, start)
    padded = _pad(padded, 0, margin, end)
    count = plane.shape[-1] + 2
    sharp: Float = sum(
        weight * padded[..., shift : shift + count]
        for shift, weight in enumerate(_SHARPENER)
    )
    before = sharp[..., :-2]
    middle = sharp[..., 1:-1]
    after = sharp[..., 2:]
    return before, middle, after


def _reduce(plane: Float, log2_factor: int, siting: float) -> Float:
    """Average along the last axis."""
    if not log2_factor:
        return plane
    factor = 1 << log2_factor
    *leading, length = plane.shape
    if siting == 1 and log2_factor == 1:
        even = _pad(plane, 0, length % 2, "edge")
        flipped = _reduce(even[..., ::-1], 1, 0)
        return flipped[..., ::-1]
    if siting == 0 and log2_factor == 1:
        padded = _pad(plane, 1, length % 2, "reflect")
        before = padded[..., :-2:2]
        middle = padded[..., 1:-1:2]
        after = padded[..., 2::2]
        return _QUARTER * (before + after) + _HALF * middle
    padded = _pad(plane, 0, -length % factor, "edge")
    groups = padded.reshape(*leading, -1, factor)
    mean: Float = groups.mean(axis=-1, dtype=np.float32)
    return mean


def _pad(plane: Float, before: int, after: int, mode: _PadMode) -> Float:
    """Add samples before and after, along the last axis."""
    untouched = [(0, 0)] * (plane.ndim - 1)
    padded: Float = np.pad(plane, [*untouched, (before, after)], mode=mode)
    return padded
