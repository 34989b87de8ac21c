"""Half and double size by separable kernels.

OpenCV's own ``resize`` follows other conventions (cubic with a = -0.75, no antialiasing, centre
alignment only), so the kernels are built here and OpenCV only filters. Coordinates count samples,
sample 0 is at 0; edges are mirrored with the edge sample repeated (MATLAB's ``symmetric``).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, Literal, TypeVar, cast

import cv2
import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Array = TypeVar("Array", bound=NDArray[Any])
Kernel = Literal["nearest", "bilinear", "bicubic", "lanczos", "spline36"]


def _cubic(x: float) -> float:
    """Keys' cubic convolution with a = -0.5 (Keys 1981), also known as Catmull-Rom."""
    x = abs(x)
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    if x < 2:
        return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return 0.0


def _lanczos3(x: float) -> float:
    """Sinc windowed by the central lobe of a sinc three times as wide."""
    if abs(x) >= 3:
        return 0.0
    return float(np.sinc(x) * np.sinc(x / 3))


def _spline36(x: float) -> float:
    """Cubic spline through six samples (Dersch's Panorama Tools).

    It is as sharp as three-lobed Lanczos, and exact on ramps.
    """
    x = abs(x)
    if x < 1:
        return ((13 / 11 * x - 453 / 209) * x - 3 / 209) * x + 1
    if x < 2:
        x -= 1
        return ((-6 / 11 * x + 270 / 209) * x - 156 / 209) * x
    if x < 3:
        x -= 2
        return ((1 / 11 * x - 45 / 209) * x + 26 / 209) * x
    return 0.0


def _triangle(x: float) -> float:
    return max(0.0, 1.0 - abs(x))


def _box(x: float) -> float:
    """Half open, so that a tie goes to the later sample."""
    return float(-0.5 < x <= 0.5)


# name: (weight as a function of the distance in input samples, radius of its support)
_KERNELS: dict[Kernel, tuple[Callable[[float], float], int]] = {
    "nearest": (_box, 1),
    "bilinear": (_triangle, 1),
    "bicubic": (_cubic, 2),
    "lanczos": (_lanczos3, 3),
    "spline36": (_spline36, 3),
}


def _check(kernel: str) -> None:
    if kernel not in _KERNELS:
        raise ValueError(f"kernel {kernel!r}: choose from {', '.join(_KERNELS)}")


def _column(weights: NDArray[np.float64]) -> Float:
    """The weights with sum 1: shape (n, 1)."""
    normalised = weights / weights.sum()
    return np.asarray(normalised, np.float32).reshape(-1, 1)


@cache
def _taps(kernel: Kernel, position: float) -> Float:
    """Weights of the samples -r..r for the value at ``position``.

    Shape (2r + 1, 1), float32, sum 1. The odd length with the anchor in the middle avoids OpenCV's
    anchor rules for even kernels.
    """
    weight, support = _KERNELS[kernel]
    radius = math.ceil(abs(position)) + support
    samples = range(-radius, radius + 1)
    weights = np.array([weight(sample - position) for sample in samples])
    nonzero = np.flatnonzero(np.abs(weights) > 1e-12)
    used_radius = int(np.abs(nonzero - radius).max())
    first = radius - used_radius
    last = radius + used_radius
    return _column(weights[first : last + 1])


@cache
def _half_taps(kernel: Kernel) -> Float:
    """The kernel stretched to twice its width, for the value between samples 0 and 1.

    Shape (2r + 1, 1), float32, sum 1.
    """
    weight, support = _KERNELS[kernel]
    samples = range(-2 * support, 2 * support + 1)
    weights = [weight((sample - 0.5) / 2) for sample in samples]
    return _column(np.array(weights))


def _filter(plane: NDArray[Any], taps: Float) -> Float:
    """Correlate a 2D plane with a column (or, transposed, a row) of taps; returns float32."""
    result = cv2.filter2D(plane, cv2.CV_32F, taps, borderType=cv2.BORDER_REFLECT)
    return np.asarray(result, np.float32).reshape(plane.shape)


def half(image: NDArray[Any], kernel: Kernel = "bicubic") -> Float:
    """Shrink to half size, antialiased, as MATLAB's ``imresize(image, 0.5)`` does.

    Output sample j is centred on input coordinate 2j + 0.5. An odd side n turns into (n + 1) / 2,
    as in MATLAB: half of the last output sample is beyond the edge and covers mirrored samples.

    Args:
        image: shape (..., H, W), float32, uint8 or uint16, any range.
        kernel: as in ``double_phase``, stretched to twice its width; by default bicubic with
            a = -0.5, as in MATLAB; ``nearest`` gives the mean of 2x2 samples.

    Returns:
        Shape (..., ceil(H/2), ceil(W/2)), float32, same scale, neither rounded nor clipped.

    Raises:
        ValueError: an unknown kernel.
    """
    _check(kernel)
    *leading, height, width = image.shape
    half_height = (height + 1) // 2
    half_width = (width + 1) // 2
    result = np.empty((*leading, half_height, half_width), np.float32)
    taps = _half_taps(kernel)
    for index in np.ndindex(*leading):
        filtered = _filter(image[index], taps)
        half_as_high = np.ascontiguousarray(filtered[::2])
        filtered = _filter(half_as_high, taps.T)
        result[index] = filtered[:, ::2]
    return result


def double_phase(
    plane: Array,
    shift_y: float,
    shift_x: float,
    kernel: Kernel = "bicubic",
    *,
    peak: int | None = None,
) -> Array:
    """Double the size of a plane: output sample k lies at input coordinate k/2 - shift.

    Args:
        plane: shape (H, W), float32, uint8 or uint16.
        shift_y: in input samples; 0.25 aligns the centres of the two pictures, 0 aligns their
            first samples.
        shift_x: likewise.
        kernel: ``nearest``, ``bilinear``, ``bicubic`` (a = -0.5), ``lanczos`` (three lobes) or
            ``spline36``.
        peak: largest code of an integer plane; by default the largest of its type.

    Returns:
        Shape (2H, 2W), the plane's dtype. Integers are rounded to nearest and clipped to 0..peak,
        floats are not.

    Raises:
        ValueError: an unknown kernel.
    """
    _check(kernel)
    height, width = plane.shape
    is_integer = np.issubdtype(plane.dtype, np.integer)
    if is_integer and peak is None:
        peak = int(np.iinfo(plane.dtype).max)
    # the even and the odd columns of the result, interleaved by OpenCV as channels
    columns = []
    for phase in (0, 1):
        taps = _taps(kernel, phase / 2 - shift_x)
        columns.append(_filter(plane, taps.T))
    interleaved = np.asarray(cv2.merge(columns))
    twice_as_wide = interleaved.reshape(height, 2 * width)
    result = np.empty((2 * height, 2 * width), plane.dtype)
    for phase in (0, 1):
        taps = _taps(kernel, phase / 2 - shift_y)
        rows = _filter(twice_as_wide, taps)
        if is_integer:
            np.rint(rows, out=rows)
            np.clip(rows, 0, peak, out=rows)
        result[phase::2] = rows
    return cast("Array", result)


def double(image: Array, kernel: Kernel = "bicubic") -> Array:
    """Double the size with the centres aligned.

    Output sample j lies at input coordinate (j + 0.5)/2 - 0.5.

    Args:
        image: shape (..., H, W), float32, uint8 or uint16.
        kernel: as in ``double_phase``.

    Returns:
        Shape (..., 2H, 2W), the image's dtype; integers are rounded and clipped to their type,
        floats are not.

    Raises:
        ValueError: an unknown kernel.
    """
    *leading, height, width = image.shape
    result = np.empty((*leading, 2 * height, 2 * width), image.dtype)
    for index in np.ndindex(*leading):
        result[index] = double_phase(image[index], 0.25, 0.25, kernel)
    return cast("Array", result)
