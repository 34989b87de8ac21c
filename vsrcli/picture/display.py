"""Frames as an ordinary display shows them: 8-bit sRGB, HDR tone-mapped."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vsrcli.frame import ColorTags, Frame
from vsrcli.picture.rgb import to_rgb

Bytes = NDArray[np.uint8]
Float = NDArray[np.float32]

# Code points of ITU-T H.273.
_PQ = 16
_HLG = 18
_BT2020_PRIMARIES = 9
# SMPTE ST 2084.
_PQ_M1 = 2610 / 16384
_PQ_M2 = 2523 / 4096 * 128
_PQ_C1 = 3424 / 4096
_PQ_C2 = 2413 / 4096 * 32
_PQ_C3 = 2392 / 4096 * 32
_PQ_PEAK_NITS = 10_000
# ITU-R BT.2100 (HLG on a display of 1000 cd/m2) and BT.2408 (reference white), cd/m2.
_HLG_A = 0.17883277
_HLG_B = 0.28466892
_HLG_C = 0.55991073
_HLG_GAMMA = 1.2
_HLG_PEAK_NITS = 1000
_WHITE_NITS = 203
# Up to here, brightness in parts of white is kept; above, highlights are squeezed together.
_KNEE = 0.75
# ITU-R BT.2087: linear red, green, blue of BT.2020 to those of BT.709.
_TO_BT709 = np.array(
    [
        [1.6605, -0.5876, -0.0728],
        [-0.1246, 1.1329, -0.0083],
        [-0.0182, -0.1006, 1.1187],
    ],
    np.float32,
)
# What red, green and blue of BT.2020 contribute to luminance.
_LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)


def is_tone_mapped(tags: ColorTags) -> bool:
    """Whether ``displayed`` changes brightness: the video is HDR (PQ or HLG)."""
    return tags.transfer in (_PQ, _HLG)


def displayed(frame: Frame, tags: ColorTags, matrix: int) -> Bytes:
    """A frame for an ordinary display.

    Args:
        frame: luma and chroma, gray or RGB; alpha is left out.
        tags: its range, chroma siting, primaries and transfer.
        matrix: as ``matrix_of`` says.

    Returns:
        (H, W, 3) in the order R, G, B, or (H, W) for gray; full range.
    """
    if not is_tone_mapped(tags):
        return _stacked(to_rgb(frame, tags, matrix, 8))
    picture = _stacked(to_rgb(frame, tags, matrix, 16))
    values = picture.astype(np.float32) / np.float32(65535)
    is_gray = values.ndim == 2
    if is_gray:
        values = np.repeat(values[:, :, None], 3, axis=2)
    light = _from_pq(values) if tags.transfer == _PQ else _from_hlg(values)
    if tags.primaries == _BT2020_PRIMARIES and not is_gray:
        light = np.maximum(light @ _TO_BT709.T, 0)
    codes = np.rint(255 * _to_srgb(_squeezed(light))).astype(np.uint8)
    return codes[:, :, 0] if is_gray else codes


def _stacked(picture: Frame) -> NDArray[np.uint8]:
    if not picture.format.is_rgb:
        return np.ascontiguousarray(picture.luma)
    green, blue, red = picture.planes[:3]
    return np.stack([red, green, blue], axis=2)


def _from_pq(values: Float) -> Float:
    """Codes of 0..1 to light in parts of reference white."""
    root = values ** np.float32(1 / _PQ_M2)
    ratio = np.maximum(root - _PQ_C1, 0) / (_PQ_C2 - _PQ_C3 * root)
    light = (_PQ_PEAK_NITS / _WHITE_NITS) * ratio ** np.float32(1 / _PQ_M1)
    return np.asarray(light, np.float32)


def _from_hlg(values: Float) -> Float:
    """Codes of 0..1 to light in parts of reference white."""
    low = values**2 / 3
    high = (np.exp((values - _HLG_C) / _HLG_A) + _HLG_B) / 12
    scene = np.where(values <= 0.5, low, high)
    luminance = scene @ _LUMINANCE
    gain = np.maximum(luminance, 1e-6) ** (_HLG_GAMMA - 1)
    light = (_HLG_PEAK_NITS / _WHITE_NITS) * scene * gain[:, :, None]
    return np.asarray(light, np.float32)


def _squeezed(light: Float) -> Float:
    """Light up to any brightness into 0..1, with the hue kept."""
    brightest = np.maximum(light.max(axis=2, keepdims=True), 1e-6)
    above = np.maximum(brightest - _KNEE, 0) / (1 - _KNEE)
    squeezed = _KNEE + (1 - _KNEE) * (1 - np.exp(-above))
    squeezed = np.where(brightest <= _KNEE, brightest, squeezed)
    result: Float = light * (squeezed / brightest)
    return result


def _to_srgb(light: Float) -> Float:
    """Linear light to sRGB (IEC 61966-2-1)."""
    light = np.clip(light, 0, 1)
    high = 1.055 * light ** np.float32(1 / 2.4) - 0.055
    result: Float = np.where(light <= 0.0031308, 12.92 * light, high)
    return result
