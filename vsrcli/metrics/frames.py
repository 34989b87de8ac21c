"""MSE, PSNR and SSIM of planes, in float64, with no cap and no hidden conversion.

SSIM is that of Z. Wang, A. C. Bovik, H. R. Sheikh and E. P. Simoncelli, "Image Quality Assessment: From Error Visibility to
Structural Similarity", IEEE Transactions on Image Processing 13(4), 2004, with K1 = 0.01 and K2 = 0.03. Two windows are in
use and give different figures, so whoever prints one names its window.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Double = NDArray[np.float64]
SsimWindow = Literal["gaussian", "uniform"]

K1, K2 = 0.01, 0.03
_BAND_ROWS = 64
_MANY_WINDOWS = 250_000


def _check_pair(reference: NDArray[Any], distorted: NDArray[Any], crop: int) -> None:
    if reference.shape != distorted.shape or reference.ndim < 2:
        raise ValueError(
            f"pictures of {reference.shape} and {distorted.shape} cannot be compared: equal shapes (..., H, W) are needed"
        )
    height, width = reference.shape[-2:]
    if crop < 0 or min(height, width) <= 2 * crop:
        raise ValueError(f"crop {crop} leaves nothing of {height}x{width} pixels")


def _pair(
    reference: NDArray[Any], distorted: NDArray[Any], crop: int
) -> tuple[Double, Double]:
    """Check shapes, leave ``crop`` pixels off on each side and convert to float64."""
    _check_pair(reference, distorted, crop)
    height, width = reference.shape[-2:]
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
    if reference.dtype == distorted.dtype == np.uint8:
        _check_pair(reference, distorted, crop)
        height, width = reference.shape[-2:]
        inside = (..., slice(crop, height - crop), slice(crop, width - crop))
        first, second = (
            np.ascontiguousarray(picture[inside]).reshape(-1, width - 2 * crop)
            for picture in (reference, distorted)
        )
        return (
            float(cv2.norm(first, second, cv2.NORM_L2SQR)) / first.size
        )  # a sum of integers, exact
    first, second = _pair(reference, distorted, crop)
    return float(np.mean(np.square(first - second)))


def psnr(
    reference: NDArray[Any],
    distorted: NDArray[Any],
    *,
    data_range: float = 255.0,
    crop: int = 0,
) -> float:
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
    return (
        math.inf if error == 0 else 20 * math.log10(data_range) - 10 * math.log10(error)
    )


def _weights(window: SsimWindow) -> Double:
    if window == "uniform":
        return np.full(7, 1 / 7)
    if window == "gaussian":
        weights: Double = np.exp(-np.square(np.arange(-5, 6) / 1.5) / 2)
        weights /= weights.sum()
        return weights
    raise ValueError(f"SSIM window {window!r}: it is 'gaussian' or 'uniform'")


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
    _check_pair(reference, distorted, crop)
    weights = _weights(window)
    height, width = (side - 2 * crop for side in reference.shape[-2:])
    size = len(weights)
    if min(height, width) < size:
        raise ValueError(
            f"{height}x{width} pixels are smaller than the {size}x{size} window of SSIM"
        )
    rows = height - size + 1
    # bands of rows stay in the processor's cache, and OpenCV lets several run at once
    bands = [
        (plane, top, min(top + _BAND_ROWS, rows))
        for plane in np.ndindex(reference.shape[:-2])
        for top in range(0, rows, _BAND_ROWS)
    ]

    is_bytes = reference.dtype == distorted.dtype == np.uint8
    similarity: Callable[..., float] = _similarity
    if is_bytes and window == "uniform":
        # one window may err by 3e-7 in single precision: nothing in the mean of very many, whose time it halves
        similarity = partial(
            _similarity_of_bytes,
            number=np.float32
            if rows * (width - size + 1) >= _MANY_WINDOWS
            else np.float64,
        )

    def total(band: tuple[tuple[int, ...], int, int]) -> float:
        plane, top, bottom = band
        inside: Any = (
            *plane,
            slice(crop + top, crop + bottom + size - 1),
            slice(crop, crop + width),
        )
        return similarity(reference[inside], distorted[inside], data_range, window)

    count = int(math.prod(reference.shape[:-2]) * rows * (width - size + 1))
    if len(bands) == 1:
        return total(bands[0]) / count
    return math.fsum(_pool().map(total, bands)) / count


@cache
def _pool() -> ThreadPoolExecutor:
    """Threads for parts of a picture, kept: new ones would have to get their memory anew for every picture."""
    return ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="ssim")


def _similarity(
    first: NDArray[Any], second: NDArray[Any], data_range: float, window: SsimWindow
) -> float:
    """Sum of the similarities of all windows inside two planes."""
    weights = _weights(window)
    size = len(weights)
    samples = size**2
    unbias = samples / (samples - 1) if window == "uniform" else 1.0
    x, y = first.astype(np.float64), second.astype(np.float64)

    def local_mean(plane: Double) -> Double:
        return _inside(
            cv2.sepFilter2D(
                plane, cv2.CV_64F, weights, weights, borderType=cv2.BORDER_REFLECT
            ),
            size,
        )

    # similarity needs the two variances only as a sum, so four filters do where five are usual
    mean1, mean2, covariance = local_mean(x), local_mean(y), local_mean(x * y)
    x *= x
    y *= y
    x += y
    variances = local_mean(x)
    means = mean1 * mean2
    mean1 *= mean1
    mean2 *= mean2
    mean1 += mean2
    covariance -= means
    covariance *= 2
    variances -= mean1
    means *= 2
    return _total_ratio(
        (means, covariance, mean1, variances), (1.0, 1.0 / unbias), data_range
    )


def _similarity_of_bytes(
    first: NDArray[Any],
    second: NDArray[Any],
    data_range: float,
    window: SsimWindow,
    number: type[np.float32 | np.float64] = np.float64,
) -> float:
    """The same for bytes and the uniform window: all sums are exact integers, and OpenCV's box filters need one addition a pixel."""
    size = len(_weights(window))
    samples = size**2

    def total(plane: NDArray[Any], function: Any = cv2.boxFilter) -> NDArray[np.int32]:
        return _inside(
            function(
                plane,
                cv2.CV_32S,
                (size, size),
                normalize=False,
                borderType=cv2.BORDER_REFLECT,
            ),
            size,
        )

    # every sum is at most 2 * (49 * 255)**2 = 312 million: far inside 32 bits. Doubled products and squares give the rest:
    # a*a + b*b = (a - b)**2 + 2ab, for pixels and for the sums alike
    sum1, sum2 = total(first), total(second)
    means = sum1 * sum2
    means += means
    squared_means = sum1 - sum2
    squared_means *= squared_means
    squared_means += means
    products = total(np.multiply(first, second, dtype=np.uint16))
    products = products + products
    variances = total(cv2.absdiff(first, second), cv2.sqrBoxFilter)
    variances = variances + products
    variances *= samples
    variances -= squared_means
    covariance = products
    covariance *= samples
    covariance -= means
    return _total_ratio(
        (means, covariance, squared_means, variances),
        (samples**2, samples * (samples - 1)),
        data_range,
        number,
    )


def _inside(filtered: NDArray[Any], size: int) -> NDArray[Any]:
    """Only the windows that lie wholly inside."""
    margin = size // 2
    return filtered[
        margin : filtered.shape[0] - margin, margin : filtered.shape[1] - margin
    ]


def _total_ratio(
    terms: tuple[NDArray[Any], ...],
    units: tuple[float, float],
    data_range: float,
    number: Any = np.float64,
) -> float:
    """Sum over all windows of (2 m1 m2 + c1)(2 cov + c2) / ((m1^2 + m2^2 + c1)(var1 + var2 + c2)).

    Args:
        terms: 2 m1 m2, 2 cov, m1^2 + m2^2, var1 + var2 of every window; those of means in ``units[0]``-ths, the others in ``units[1]``-ths.
        units: see there.
        data_range: distance of the extreme values.
        number: type to compute in; the sum is always taken in float64.
    """
    of_means, of_variances = (
        units[0] * (K1 * data_range) ** 2,
        units[1] * (K2 * data_range) ** 2,
    )
    scaled = []
    for term, constant in zip(
        terms, (of_means, of_variances, of_means, of_variances), strict=True
    ):
        value = term.astype(number)
        value += number(constant)
        value *= number(1 / constant)  # keeps products far from the largest float32
        scaled.append(value)
    means, covariance, squared_means, variances = scaled
    means *= covariance
    squared_means *= variances
    means /= squared_means
    return float(means.sum(dtype=np.float64))
