"""Luma codes to the scale of a checkpoint, and back.

Networks take luma as float32 on one of two scales: ``limited`` (nominal black 16, white 235) or
``full`` (0 and 255). Sources hold 8..16-bit codes of either range. The mapping is affine, so codes
outside the nominal range survive, and the way back returns every code exactly.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vsrcli.frame import Plane
from vsrcli.models import LumaScale

Float = NDArray[np.float32]

BLACK = 16.0
WHITE = 235.0
_FULL_PER_LIMITED = 255.0 / (WHITE - BLACK)
# ITU-R BT.601: what red, green and blue contribute to 8-bit limited-range luma.
_LUMA_WEIGHTS = (65.481, 128.553, 24.966)


def affine(bits: int, source_full: bool, model_scale: LumaScale) -> tuple[float, float]:
    """Return (gain, offset) with ``model value = code * gain + offset``.

    The arguments are those of ``to_model``.

    Raises:
        ValueError: bits or scale out of range.
    """
    if not 8 <= bits <= 16:
        raise ValueError(f"luma of {bits} bits: 8 to 16 are possible")
    if model_scale not in ("limited", "full"):
        raise ValueError(f"luma scale {model_scale!r}: it is 'limited' or 'full'")
    # Limited-range codes of n bits are 8-bit codes shifted left; full-range codes
    # spread over 0..2**n - 1 (ITU-R BT.2100, table 9).
    if source_full:
        peak = (1 << bits) - 1
        gain = 255.0 / peak
    else:
        gain = 1.0 / (1 << (bits - 8))
    model_full = model_scale == "full"
    if source_full == model_full:
        return gain, 0.0
    if source_full:
        return gain / _FULL_PER_LIMITED, BLACK
    return gain * _FULL_PER_LIMITED, -BLACK * _FULL_PER_LIMITED


def to_model(
    luma: Plane,
    bits: int,
    source_full: bool,
    model_scale: LumaScale,
) -> Float:
    """Map luma codes to the scale of a checkpoint.

    Args:
        luma: shape (..., H, W), uint8 or uint16, codes 0..2**bits - 1.
        bits: significant bits of a code, 8..16.
        source_full: True for full-range codes, False for limited range.
        model_scale: ``limited`` (16..235 nominal) or ``full`` (0..255).

    Returns:
        Same shape, float32, a new array. Codes beyond nominal black and white map to values beyond
        16..235 or 0..255; nothing is clipped.

    Raises:
        ValueError: bits or scale out of range.
    """
    gain, offset = affine(bits, source_full, model_scale)
    values = luma.astype(np.float32)
    if gain != 1.0:
        values *= np.float32(gain)
    if offset:
        values += np.float32(offset)
    return values


def from_model(
    values: Float,
    bits: int,
    source_full: bool,
    model_scale: LumaScale,
) -> Plane:
    """Map values on a checkpoint's scale back to luma codes: the inverse of ``to_model``.

    Args:
        values: shape (..., H, W), float32 on ``model_scale``; not changed.
        bits: significant bits of a code, 8..16.
        source_full: True for full-range codes, False for limited range.
        model_scale: ``limited`` or ``full``.

    Returns:
        Same shape, uint8 for 8 bits, else uint16: rounded to the nearest code and clipped to
        0..2**bits - 1.

    Raises:
        ValueError: bits or scale out of range.
    """
    codes = unrounded_codes(values, bits, source_full, model_scale)
    return rounded(codes, bits)


def unrounded_codes(
    values: Float,
    bits: int,
    source_full: bool,
    model_scale: LumaScale,
) -> Float:
    """As ``from_model``, but neither rounded nor clipped: a new array of float32."""
    gain, offset = affine(bits, source_full, model_scale)
    codes = np.multiply(values, np.float32(1.0 / gain), dtype=np.float32)
    if offset:
        codes -= np.float32(offset / gain)
    return codes


def rounded(codes: Float, bits: int) -> Plane:
    """The nearest codes of ``bits`` bits: uint8 for 8 bits, else uint16; ``codes`` is changed."""
    np.rint(codes, out=codes)
    np.clip(codes, 0, (1 << bits) - 1, out=codes)
    if bits == 8:
        return codes.astype(np.uint8)
    return codes.astype(np.uint16)


def rgb_to_luma(rgb: NDArray[np.uint8] | NDArray[np.uint16]) -> Float:
    """Limited-range luma of full-range R'G'B' by ITU-R BT.601.

    This is how super-resolution benchmarks compute luma (MATLAB's ``rgb2ycbcr``).

    Args:
        rgb: shape (H, W, 3), uint8 or uint16, full range.

    Returns:
        (H, W) float32, 16 (black) to 235 (white), not rounded, whatever the depth.
    """
    peak = 255.0 if rgb.dtype == np.uint8 else 65535.0
    weights = np.array(_LUMA_WEIGHTS, np.float32) / np.float32(peak)
    luma: Float = rgb.astype(np.float32) @ weights
    luma += np.float32(BLACK)
    return luma
