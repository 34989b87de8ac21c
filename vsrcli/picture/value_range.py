"""Codes of luma and chroma from limited to full range, and back (ITU-R BT.2100, table 9)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from vsrcli.frame import PixelFormat, Plane

_BLACK = 16
_LUMA_SPAN = 219
_CHROMA_SPAN = 224


def with_range(
    planes: tuple[Plane, ...],
    layout: PixelFormat,
    *,
    is_full: bool,
) -> tuple[Plane, ...]:
    """Convert a picture to the other range; alpha is full range always.

    Args:
        planes: of luma and chroma, as in ``Frame``.
        layout: theirs.
        is_full: whether the result has full range, and the picture has not; or the other way round.
    """
    luma_table = _table(layout.bits, is_full, is_chroma=False)
    chroma_table = _table(layout.bits, is_full, is_chroma=True)
    luma = luma_table[planes[0]]
    chroma = tuple(chroma_table[plane] for plane in planes[1:3])
    return (luma, *chroma, *planes[3:])


@lru_cache
def _table(bits: int, to_full: bool, *, is_chroma: bool) -> Plane:
    """The new code of each code."""
    peak = (1 << bits) - 1
    shift = bits - 8
    zero = 1 << (bits - 1) if is_chroma else _BLACK << shift
    full_zero = zero if is_chroma else 0
    span = (_CHROMA_SPAN if is_chroma else _LUMA_SPAN) << shift
    codes = np.arange(peak + 1, dtype=np.float64)
    if to_full:
        converted = (codes - zero) * peak / span + full_zero
    else:
        converted = (codes - full_zero) * span / peak + zero
    rounded = np.clip(np.rint(converted), 0, peak)
    return rounded.astype(np.uint8) if bits <= 8 else rounded.astype(np.uint16)
