"""MSE, PSNR and SSIM of planes, in float64, with no cap and no hidden conversion.

SSIM is that of Z. Wang, A. C. Bovik, H. R. Sheikh and E. P. Simoncelli, "Image Quality Assessment: From Error Visibility to
Structural Similarity", IEEE Transactions on Image Processing 13(4), 2004, with K1 = 0.01 and K2 = 0.03. Two windows are in
use and give different figures, so whoever prints one names its window.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Double = NDArray[np.float64]
SsimWindow = Literal["gaussian", "uniform"]

K1, K2 = 0.01, 0.03


def _pair(reference: NDArray[Any], distorted: NDArray[Any], crop: int) -> tuple[Double, Double]:
    """Check shapes, leave ``crop`` pixels off on each side and convert to float64."""
    if reference.shape != distorted.shape or reference.ndim < 2:
        raise ValueError(f"pictures of {reference.shape} and {distorted.shape} cannot be compared: equal shapes (..., H, W) are needed")
    height, width = reference.shape[-2:]
    if crop < 0 or min(height, width) <= 2 * crop:
        raise ValueError(f"crop {crop} leaves nothing of {height}x{width} pixels")
    inside = (..., slice(crop, height - crop), slice(crop, width - crop))
    return reference[inside].astype(np.float64), distorted[inside].astype(np.float64)


def mse(reference: NDArray[Any], distorted: NDArray[Any], *, crop: int = 0) -> float:
    """Mean squared error.

    Args:
        reference: shape (..., H, W), any real dtype.
        distorted: same shape, same scale.
        crop: pixels left off on each side.

    Returns:
        Mean over all pixels, in squared units of the pictures.

    Raises:
        ValueError: shapes differ, or the crop leaves nothing.
    """
    first, second = _pair(reference, distorted, crop)
    return float(np.mean(np.square(first - second)))


def psnr(reference: NDArray[Any], distorted: NDArray[Any], *, data_range: float = 255.0, crop: int = 0) -> float:
    """Peak signal-to-noise ratio, 10 log10(data_range**2 / MSE).

    Args:
        reference: shape (..., H, W), any real dtype; leading axes go into one MSE.
        distorted: same shape, same scale.
        data_range: distance of the extreme values, 255 for 8-bit codes of either range.
        crop: pixels left off on each side.

    Returns:
        Decibels; infinity for identical pictures.

    Raises:
        ValueError: shapes differ, the crop leaves nothing, or the range is not positive.
    """
    if not data_range > 0:
        raise ValueError(f"data range {data_range}: it is above 0")
    error = mse(reference, distorted, crop=crop)
    return math.inf if error == 0 else 20 * math.log10(data_range) - 10 * math.log10(error)


def _weights(window: SsimWindow) -> Double:
    if window == "uniform":
        return np.full(7, 1 / 7)
    if window == "gaussian":
        weights: Double = np.exp(-np.square(np.arange(-5, 6) / 1.5) / 2)
        weights /= weights.sum()
        return weights
    raise ValueError(f"SSIM window {window!r}: it is 'gaussian' or 'uniform'")


def _local_mean(values: Double, weights: Double) -> Double:
    """Weighted mean over every window that lies inside the picture."""
    for axis in (-2, -1):
        count = values.shape[axis] - len(weights) + 1
        moved = np.moveaxis(values, axis, 0)
        values = np.moveaxis(sum(weight * moved[i : i + count] for i, weight in enumerate(weights)), 0, axis)
    return values


def ssim(
    reference: NDArray[Any],
    distorted: NDArray[Any],
    *,
    data_range: float = 255.0,
    window: SsimWindow = "gaussian",
    crop: int = 0,
) -> float:
    """Mean structural similarity over all windows that lie inside the picture.

    Args:
        reference: shape (..., H, W), any real dtype.
        distorted: same shape, same scale.
        data_range: distance of the extreme values, 255 for 8-bit codes of either range.
        window: ``gaussian``, 11x11 with sigma 1.5 and population covariance, as in the paper; or ``uniform``, 7x7 with sample
            covariance, scikit-image's default, which the report used.
        crop: pixels left off on each side before anything is computed.

    Returns:
        -1..1; 1 for identical pictures.

    Raises:
        ValueError: shapes differ, the picture is smaller than a window, the range is not positive or the window unknown.
    """
    if not data_range > 0:
        raise ValueError(f"data range {data_range}: it is above 0")
    first, second = _pair(reference, distorted, crop)
    weights = _weights(window)
    if min(first.shape[-2:]) < len(weights):
        raise ValueError(f"{first.shape[-2]}x{first.shape[-1]} pixels are smaller than the {len(weights)}x{len(weights)} window of SSIM")
    samples = len(weights) ** 2
    unbias = samples / (samples - 1) if window == "uniform" else 1.0
    mean1, mean2 = _local_mean(first, weights), _local_mean(second, weights)
    variance1 = unbias * (_local_mean(first * first, weights) - mean1 * mean1)
    variance2 = unbias * (_local_mean(second * second, weights) - mean2 * mean2)
    covariance = unbias * (_local_mean(first * second, weights) - mean1 * mean2)
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    luminance = (2 * mean1 * mean2 + c1) / (mean1 * mean1 + mean2 * mean2 + c1)
    structure = (2 * covariance + c2) / (variance1 + variance2 + c2)
    return float(np.mean(luminance * structure))
