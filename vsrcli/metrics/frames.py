"""MSE, PSNR and SSIM of pictures, in float64, without caps or hidden conversions.

SSIM follows Z. Wang, A. C. Bovik, H. R. Sheikh and E. P. Simoncelli, "Image Quality Assessment:
From Error Visibility to Structural Similarity", IEEE Transactions on Image Processing 13(4), 2004,
with K1 = 0.01 and K2 = 0.03. Two windows are in use and give different figures, so a printed
figure always names its window.
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

FRAME_METRICS = ("mse", "psnr", "ssim")

Array = NDArray[Any]
Double = NDArray[np.float64]
Index = tuple[int | slice, ...]
SsimWindow = Literal["gaussian", "uniform"]

_K1 = 0.01
_K2 = 0.03
_UNIFORM_SIZE = 7
# Bands of rows stay in the CPU's cache, and OpenCV lets several run at once.
_BAND_ROWS = 64
# In single precision one window may be off by 3e-7, which is nothing in a mean over this many.
_MIN_FLOAT32_WINDOWS = 250_000


def mse(
    reference: Array,
    distorted: Array,
    *,
    crop: int = 0,
) -> float:
    """Mean squared error.

    Args:
        reference: shape (..., H, W), any real dtype.
        distorted: same shape, same scale.
        crop: pixels left out on each side.

    Returns:
        Mean over all pixels, in squared units of the pictures.

    Raises:
        ValueError: the shapes differ, or the crop leaves nothing.
    """
    _check_pair(reference, distorted, crop)
    first = _cropped(reference, crop)
    second = _cropped(distorted, crop)
    if first.dtype == second.dtype == np.uint8:
        return _squared_error_of_bytes(first, second) / first.size
    difference = first.astype(np.float64)
    difference -= second.astype(np.float64)
    squares = np.square(difference)
    return float(np.mean(squares))


def psnr(
    reference: Array,
    distorted: Array,
    *,
    data_range: float = 255.0,
    crop: int = 0,
) -> float:
    """Peak signal-to-noise ratio, 10 log10(data_range**2 / MSE).

    Args:
        reference: shape (..., H, W), any real dtype; leading axes share one MSE.
        distorted: same shape, same scale.
        data_range: distance between the extreme values, 255 for 8-bit codes of either range.
        crop: pixels left out on each side.

    Returns:
        Decibels; infinity for identical pictures.

    Raises:
        ValueError: the shapes differ, the crop leaves nothing, or the range is not positive.
    """
    _check_range(data_range)
    error = mse(reference, distorted, crop=crop)
    return psnr_of_mse(error, data_range=data_range)


def psnr_of_mse(error: float, *, data_range: float = 255.0) -> float:
    """PSNR of a mean squared error, dB; infinity for an error of 0."""
    if error == 0:
        return math.inf
    return 20 * math.log10(data_range) - 10 * math.log10(error)


def ssim(
    reference: Array,
    distorted: Array,
    *,
    data_range: float = 255.0,
    window: SsimWindow = "gaussian",
    crop: int = 0,
) -> float:
    """Mean structural similarity over all windows that fit inside the picture.

    Args:
        reference: shape (..., H, W), any real dtype.
        distorted: same shape, same scale.
        data_range: distance between the extreme values, 255 for 8-bit codes of either range.
        window: ``gaussian``, 11x11 with sigma 1.5 and population covariance, as in the paper; or
            ``uniform``, 7x7 with sample covariance, scikit-image's default, as in the report.
        crop: pixels left out on each side before anything is computed.

    Returns:
        -1..1; 1 for identical pictures.

    Raises:
        ValueError: the shapes differ, the picture is smaller than a window, the range is not
            positive, or the window is unknown.
    """
    _check_range(data_range)
    _check_pair(reference, distorted, crop)
    size = len(_weights(window))
    first = _cropped(reference, crop)
    second = _cropped(distorted, crop)
    height, width = first.shape[-2:]
    if min(height, width) < size:
        raise ValueError(
            f"{height}x{width} pixels are smaller than the {size}x{size} window of SSIM"
        )
    windows_per_plane = (height - size + 1) * (width - size + 1)
    similarity: Callable[..., float] = partial(_similarity, window=window)
    if window == "uniform" and first.dtype == second.dtype == np.uint8:
        is_large = windows_per_plane >= _MIN_FLOAT32_WINDOWS
        dtype = np.float32 if is_large else np.float64
        similarity = partial(_similarity_of_bytes, dtype=dtype)

    def band_total(band: Index) -> float:
        return similarity(first[band], second[band], data_range)

    planes = int(math.prod(first.shape[:-2]))
    windows: int = planes * windows_per_plane
    bands = _bands(first.shape, size)
    if len(bands) == 1:
        return band_total(bands[0]) / windows
    return math.fsum(_pool().map(band_total, bands)) / windows


def _check_range(data_range: float) -> None:
    if not data_range > 0:
        raise ValueError(f"data range {data_range}: it must be above 0")


def _check_pair(
    reference: Array,
    distorted: Array,
    crop: int,
) -> None:
    if reference.shape != distorted.shape or reference.ndim < 2:
        raise ValueError(
            f"pictures of {reference.shape} and {distorted.shape} cannot be compared: "
            "equal shapes (..., H, W) are needed"
        )
    height, width = reference.shape[-2:]
    if crop < 0 or min(height, width) <= 2 * crop:
        raise ValueError(f"crop {crop} leaves nothing of {height}x{width} pixels")


def _cropped(picture: Array, crop: int) -> Array:
    """A view without ``crop`` pixels on each side."""
    height, width = picture.shape[-2:]
    rows = slice(crop, height - crop)
    columns = slice(crop, width - crop)
    return picture[..., rows, columns]


def _squared_error_of_bytes(first: Array, second: Array) -> float:
    """Sum of squared differences of uint8 pictures: integers, so the sum is exact."""
    width = first.shape[-1]
    rows1 = np.ascontiguousarray(first).reshape(-1, width)
    rows2 = np.ascontiguousarray(second).reshape(-1, width)
    total = cv2.norm(rows1, rows2, cv2.NORM_L2SQR)
    return float(total)


def _weights(window: SsimWindow) -> Double:
    """One row of the separable window; the weights sum to 1."""
    if window == "uniform":
        return np.full(_UNIFORM_SIZE, 1 / _UNIFORM_SIZE)
    if window == "gaussian":
        distances = np.arange(-5, 6) / 1.5
        weights: Double = np.exp(-np.square(distances) / 2)
        weights /= weights.sum()
        return weights
    raise ValueError(f"SSIM window {window!r}: it must be 'gaussian' or 'uniform'")


def _bands(shape: tuple[int, ...], size: int) -> list[Index]:
    """Indices of bands of rows of every plane; windows of ``size`` rows overlap the next band."""
    rows = shape[-2] - size + 1
    bands: list[Index] = []
    for plane in np.ndindex(shape[:-2]):
        for top in range(0, rows, _BAND_ROWS):
            bottom = min(top + _BAND_ROWS, rows)
            band = slice(top, bottom + size - 1)
            bands.append((*plane, band))
    return bands


@cache
def _pool() -> ThreadPoolExecutor:
    """Threads that are kept: new ones would allocate their memory again for every picture."""
    return ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="ssim")


def _similarity(
    first: Array,
    second: Array,
    data_range: float,
    window: SsimWindow,
) -> float:
    """Sum of the similarities of all windows inside two planes."""
    weights = _weights(window)
    size = len(weights)

    def local_mean(plane: Double) -> Double:
        filtered = cv2.sepFilter2D(
            plane,
            cv2.CV_64F,
            weights,
            weights,
            borderType=cv2.BORDER_REFLECT,
        )
        return _without_border(filtered, size)

    x = first.astype(np.float64)
    y = second.astype(np.float64)
    mean1 = local_mean(x)
    mean2 = local_mean(y)
    covariance = local_mean(x * y)
    # The formula needs the two variances only as a sum, so four filters do instead of five.
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
    samples = size**2
    unbias = samples / (samples - 1) if window == "uniform" else 1.0
    return _sum_of_ratios(
        means=means,
        squared_means=mean1,
        mean_constant=(_K1 * data_range) ** 2,
        covariance=covariance,
        variances=variances,
        variance_constant=1.0 / unbias * (_K2 * data_range) ** 2,
        dtype=np.float64,
    )


def _similarity_of_bytes(
    first: Array,
    second: Array,
    data_range: float,
    dtype: type[np.float32 | np.float64],
) -> float:
    """Like ``_similarity`` with the uniform window, for uint8 planes.

    All sums are exact integers, and OpenCV's box filters need one addition per pixel.
    """
    # Every sum is at most 2 * (49 * 255)**2 = 312 million, far inside 32 bits. Doubled products
    # and squares give the rest: a*a + b*b = (a - b)**2 + 2ab, for pixels and for sums alike.
    sum1 = _box_sums(first, cv2.boxFilter)
    sum2 = _box_sums(second, cv2.boxFilter)
    means = sum1 * sum2
    means += means
    squared_means = sum1 - sum2
    squared_means *= squared_means
    squared_means += means
    products = np.multiply(first, second, dtype=np.uint16)
    covariance = _box_sums(products, cv2.boxFilter)
    covariance = covariance + covariance
    variances = _box_sums(cv2.absdiff(first, second), cv2.sqrBoxFilter)
    variances = variances + covariance
    samples = _UNIFORM_SIZE**2
    variances *= samples
    variances -= squared_means
    covariance *= samples
    covariance -= means
    return _sum_of_ratios(
        means=means,
        squared_means=squared_means,
        mean_constant=samples**2 * (_K1 * data_range) ** 2,
        covariance=covariance,
        variances=variances,
        variance_constant=samples * (samples - 1) * (_K2 * data_range) ** 2,
        dtype=dtype,
    )


def _box_sums(plane: Array, box_filter: Any) -> NDArray[np.int32]:
    """Sums over all uniform windows that fit inside a plane."""
    filtered = box_filter(
        plane,
        cv2.CV_32S,
        (_UNIFORM_SIZE, _UNIFORM_SIZE),
        normalize=False,
        borderType=cv2.BORDER_REFLECT,
    )
    return _without_border(filtered, _UNIFORM_SIZE)


def _without_border(filtered: Array, size: int) -> Array:
    """Only the windows that fit inside the plane."""
    return _cropped(filtered, size // 2)


def _sum_of_ratios(
    *,
    means: Array,
    squared_means: Array,
    mean_constant: float,
    covariance: Array,
    variances: Array,
    variance_constant: float,
    dtype: type[np.float32 | np.float64],
) -> float:
    """Sum over all windows of (2 m1 m2 + c1)(2 cov + c2) / ((m1^2 + m2^2 + c1)(var1 + var2 + c2)).

    Args:
        means: 2 m1 m2 of every window, in any unit.
        squared_means: m1^2 + m2^2, in the same unit.
        mean_constant: c1, in the same unit.
        covariance: 2 cov of every window, in any unit.
        variances: var1 + var2, in the same unit as ``covariance``.
        variance_constant: c2, in the same unit as ``covariance``.
        dtype: type to compute in; the sum is always float64.
    """

    def stabilized(term: Array, constant: float) -> Any:
        value: Any = term.astype(dtype)
        value += dtype(constant)
        value *= dtype(1 / constant)  # keeps products far from the largest float32
        return value

    ratios = stabilized(means, mean_constant)
    ratios *= stabilized(covariance, variance_constant)
    denominator = stabilized(squared_means, mean_constant)
    denominator *= stabilized(variances, variance_constant)
    ratios /= denominator
    return float(ratios.sum(dtype=np.float64))
