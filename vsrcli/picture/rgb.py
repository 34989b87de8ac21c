"""Luma and chroma to R'G'B' and back, by the matrices of ITU-T H.273, so that there and back gives the same codes.

Subsampled chroma is the reason for care. On the way to RGB it is interpolated linearly, on the way back it is averaged ([1 2 1]/4 about a sample that
stands on a pixel, the mean of both pixels about one between them). Together these would blur it by [1 6 1]/8; so the inverse of that goes first, and colours
that RGB can hold come back as they were. The price is an overshoot of a fifth about hard edges of colour, one pixel wide.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrcli.frame import UNSPECIFIED, ColorTags, Frame, PixelFormat, Plane
from vsrcli.picture.chroma import DEFAULT_LOCATION, SITING

Float = NDArray[np.float32]

BT709, SMPTE170M, BT2020 = 1, 6, 9
_IDENTITY, _YCGCO = 0, 8
# Weights of red and blue in luma (H.273, table 4).
_WEIGHTS = {
    BT709: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    SMPTE170M: (0.299, 0.114),
    7: (0.212, 0.087),
    BT2020: (0.2627, 0.0593),
}
_OF_PRIMARIES = {1: BT709, 4: 4, 5: 5, 6: SMPTE170M, 7: 7, 9: BT2020}
# What players take untagged pictures for: larger than PAL is high definition.
_SD_WIDTH, _SD_HEIGHT = 1280, 576

# The inverse of the filter [1 6 1]/8 falls off by this factor from sample to sample; nine of them leave a millionth.
_DECAY = 2 * np.sqrt(2) - 3
_REACH = 9
_SHARPENER = (np.sqrt(2) * _DECAY ** np.abs(np.arange(-_REACH, _REACH + 1))).astype(
    np.float32
)


def matrix_of(tags: ColorTags, width: int, height: int) -> int:
    """The matrix of a picture, as code point of ITU-T H.273: the tagged one, else that of its primaries, else BT.601 up to PAL's size and BT.709 beyond.

    Raises:
        ValueError: a matrix that cannot be undone plane by plane (constant luminance, ICtCp).
    """
    matrix = tags.matrix
    if matrix == UNSPECIFIED:
        matrix = _OF_PRIMARIES.get(
            tags.primaries,
            SMPTE170M if width < _SD_WIDTH and height <= _SD_HEIGHT else BT709,
        )
    if matrix not in (*_WEIGHTS, _IDENTITY, _YCGCO):
        raise ValueError(
            f"colours of matrix {matrix} (ITU-T H.273) cannot become RGB here"
        )
    return matrix


def rgb_layout(bits: int, *, alpha: bool) -> PixelFormat:
    """Planar RGB of that depth."""
    name = f"gbr{'a' * alpha}p" + ("" if bits == 8 else f"{bits}le")
    return PixelFormat(name, bits, 0, 0, has_chroma=True, has_alpha=alpha, is_rgb=True)


def gray_layout(bits: int) -> PixelFormat:
    """Luma alone, of that depth."""
    return PixelFormat(
        "gray" if bits == 8 else f"gray{bits}le", bits, 0, 0, has_chroma=False
    )


def to_rgb(frame: Frame, tags: ColorTags, matrix: int, bits: int) -> Frame:
    """Turn a picture into RGB; gray stays gray, in full range.

    Args:
        frame: luma and chroma, gray, or RGB (which only changes its depth).
        tags: its range and where its chroma lies.
        matrix: its matrix, as ``matrix_of`` says.
        bits: depth of the result, 8..16.

    Returns:
        Full-range planes G, B, R (and alpha), or gray; colours beyond black and white are clipped.
    """
    layout = frame.format
    if layout.is_rgb:
        target = rgb_layout(bits, alpha=layout.has_alpha)
        return (
            frame
            if layout.bits == bits
            else _frame(
                frame,
                [plane * np.float32(1 / layout.peak) for plane in frame.planes],
                target,
            )
        )
    full = tags.is_full_range
    luma = _unit_luma(frame.luma, layout, full)
    alpha = (
        []
        if frame.alpha is None
        else [frame.alpha.astype(np.float32) / np.float32(layout.peak)]
    )
    if not layout.has_chroma:
        return _frame(frame, [luma], gray_layout(bits))
    across, down = SITING[tags.chroma_location or DEFAULT_LOCATION]
    chroma = []
    for plane in frame.chroma:
        values = (
            plane.astype(np.float32) - np.float32(1 << (layout.bits - 1))
        ) / np.float32(_chroma_span(layout, full))
        values = _expand(values, frame.width, layout.log2_chroma_w, across)
        chroma.append(_expand(values.T, frame.height, layout.log2_chroma_h, down).T)
    return _frame(
        frame,
        [*_to_gbr(luma, chroma[0], chroma[1], matrix), *alpha],
        rgb_layout(bits, alpha=layout.has_alpha),
    )


def from_rgb(frame: Frame, layout: PixelFormat, tags: ColorTags, matrix: int) -> Frame:
    """Turn RGB into luma and chroma: the inverse of ``to_rgb``.

    Args:
        frame: full-range planes G, B, R (and alpha), or gray.
        layout: of the result; gray gets neutral chroma where it has chroma.
        tags: the result's range and where its chroma is to lie.
        matrix: as in ``to_rgb``.

    Returns:
        The picture, rounded to nearest; alpha is left off where ``layout`` has none and opaque where only ``layout`` has it.
    """
    peak = np.float32(frame.format.peak)
    full = tags.is_full_range
    if frame.format.is_rgb:
        green, blue, red = (
            plane.astype(np.float32) / peak for plane in frame.planes[:3]
        )
        luma, *chroma = _from_gbr(green, blue, red, matrix)
    else:
        luma = frame.luma.astype(np.float32) / peak
        chroma = [np.zeros_like(luma)] * 2
    black, span = (
        (0, layout.peak)
        if full
        else (16 << (layout.bits - 8), 219 << (layout.bits - 8))
    )
    planes = [luma * np.float32(span) + np.float32(black)]
    if layout.has_chroma:
        across, down = SITING[tags.chroma_location or DEFAULT_LOCATION]
        for values in chroma:
            small = _reduce(
                _reduce(values.T, layout.log2_chroma_h, down).T,
                layout.log2_chroma_w,
                across,
            )
            planes.append(
                small * np.float32(_chroma_span(layout, full))
                + np.float32(1 << (layout.bits - 1))
            )
    if layout.has_alpha:
        alpha = (
            np.ones_like(luma)
            if frame.alpha is None
            else frame.alpha.astype(np.float32) / peak
        )
        planes.append(alpha * np.float32(layout.peak))
    return Frame(
        tuple(_codes(plane, layout) for plane in planes),
        layout,
        frame.time,
        frame.duration,
        frame.scene_cut,
    )


def _frame(like: Frame, planes: list[Float], layout: PixelFormat) -> Frame:
    """A frame out of planes of 0..1."""
    return Frame(
        tuple(_codes(plane * np.float32(layout.peak), layout) for plane in planes),
        layout,
        like.time,
        like.duration,
        like.scene_cut,
    )


def _codes(values: Float, layout: PixelFormat) -> Plane:
    rounded = np.clip(np.rint(values), 0, layout.peak)
    return rounded.astype(np.uint8) if layout.bits == 8 else rounded.astype(np.uint16)


def _unit_luma(luma: Plane, layout: PixelFormat, full: bool) -> Float:
    if full:
        return luma.astype(np.float32) / np.float32(layout.peak)
    return (luma.astype(np.float32) - np.float32(16 << (layout.bits - 8))) / np.float32(
        219 << (layout.bits - 8)
    )


def _chroma_span(layout: PixelFormat, full: bool) -> int:
    return layout.peak if full else 224 << (layout.bits - 8)


def _to_gbr(
    luma: Float, blue: Float, red: Float, matrix: int
) -> tuple[Float, Float, Float]:
    if matrix == _IDENTITY:
        return luma, blue + np.float32(0.5), red + np.float32(0.5)
    if matrix == _YCGCO:  # blue holds Cg, red Co
        rest = luma - blue
        return luma + blue, rest - red, rest + red
    kr, kb = _WEIGHTS[matrix]
    kg = 1 - kr - kb
    b, r = luma + np.float32(2 * (1 - kb)) * blue, luma + np.float32(2 * (1 - kr)) * red
    g = (
        luma
        - np.float32(2 * kb * (1 - kb) / kg) * blue
        - np.float32(2 * kr * (1 - kr) / kg) * red
    )
    return g, b, r


def _from_gbr(g: Float, b: Float, r: Float, matrix: int) -> tuple[Float, Float, Float]:
    if matrix == _IDENTITY:
        return g, b - np.float32(0.5), r - np.float32(0.5)
    if matrix == _YCGCO:
        mean = (b + r) * np.float32(0.5)
        return (
            (g + mean) * np.float32(0.5),
            (g - mean) * np.float32(0.5),
            (r - b) * np.float32(0.5),
        )
    kr, kb = _WEIGHTS[matrix]
    luma = np.float32(kr) * r + np.float32(1 - kr - kb) * g + np.float32(kb) * b
    return (
        luma,
        (b - luma) / np.float32(2 * (1 - kb)),
        (r - luma) / np.float32(2 * (1 - kr)),
    )


def _expand(plane: Float, length: int, log2_factor: int, place: float) -> Float:
    """Interpolate along the last axis to ``length`` samples, so that ``_reduce`` gives ``plane`` back."""
    if not log2_factor:
        return plane
    if log2_factor > 1:
        return np.repeat(plane, 1 << log2_factor, axis=-1)[..., :length]
    if place == 1:
        return _expand(plane[..., ::-1], 2 * plane.shape[-1], 1, 0)[..., ::-1][
            ..., :length
        ]
    count, is_odd = plane.shape[-1], length % 2 == 1
    # beyond the picture's edge lies its mirror image, of which the kept samples are consistent parts
    about_sample, between_samples = "reflect", "symmetric"
    begin = between_samples if place else about_sample
    end = between_samples if place or not is_odd else about_sample
    padded = _mirrored(_mirrored(plane, (_REACH + 1, 0), begin), (0, _REACH + 1), end)
    sharp: Float = sum(
        weight * padded[..., shift : shift + count + 2]
        for shift, weight in enumerate(_SHARPENER)
    )
    before, middle, after = sharp[..., :-2], sharp[..., 1:-1], sharp[..., 2:]
    grown = np.empty((*plane.shape[:-1], 2 * count), np.float32)
    if place:
        grown[..., ::2], grown[..., 1::2] = (
            np.float32(0.25) * before + np.float32(0.75) * middle,
            np.float32(0.75) * middle + np.float32(0.25) * after,
        )
        if is_odd:
            grown[..., -2] = plane[..., -1]  # its other pixel is cut off
    else:
        grown[..., ::2], grown[..., 1::2] = middle, np.float32(0.5) * (middle + after)
    return grown[..., :length]


def _reduce(plane: Float, log2_factor: int, place: float) -> Float:
    """Average along the last axis."""
    if not log2_factor:
        return plane
    factor, length = 1 << log2_factor, plane.shape[-1]
    if place == 1 and log2_factor == 1:
        even = _mirrored(plane, (0, length % 2), "edge")
        return _reduce(even[..., ::-1], 1, 0)[..., ::-1]
    if place == 0 and log2_factor == 1:
        padded = _mirrored(plane, (1, length % 2), "reflect")
        return (
            np.float32(0.25) * (padded[..., :-2:2] + padded[..., 2::2])
            + np.float32(0.5) * padded[..., 1:-1:2]
        )
    padded = _mirrored(plane, (0, -length % factor), "edge")
    mean: Float = padded.reshape(*plane.shape[:-1], -1, factor).mean(
        axis=-1, dtype=np.float32
    )
    return mean


def _mirrored(plane: Float, widths: tuple[int, int], mode: Any) -> Float:
    """Samples added before and after, along the last axis."""
    padded: Float = np.pad(plane, [(0, 0)] * (plane.ndim - 1) + [widths], mode=mode)
    return padded
