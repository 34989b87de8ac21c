from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from vsrcli.picture.resize import Kernel, double, double_phase, half

KERNELS: tuple[Kernel, ...] = ("nearest", "bilinear", "bicubic", "lanczos", "spline36")


def weight(kernel: Kernel, x: float) -> float:
    """The kernels written down a second time, from their textbook definitions."""
    d = abs(x)
    if kernel == "nearest":
        return float(-0.5 < x <= 0.5)
    if kernel == "bilinear":
        return max(0.0, 1 - d)
    if kernel == "bicubic":
        a = -0.5
        if d <= 1:
            return (a + 2) * d**3 - (a + 3) * d**2 + 1
        return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0
    if kernel == "spline36":
        pieces = (
            (13, -453 / 19, -3 / 19, 11),
            (-6, 270 / 19, -156 / 19, 0),
            (1, -45 / 19, 26 / 19, 0),
        )
        if d >= 3:
            return 0.0
        cubic, square, linear, constant = pieces[int(d)]
        return (((cubic * (d % 1)) + square) * (d % 1) + linear) * (
            d % 1
        ) / 11 + constant / 11
    if d == 0:
        return 1.0
    if d >= 3:
        return 0.0
    angle = math.pi * d
    return 3 * math.sin(angle) * math.sin(angle / 3) / angle**2


def matrix(
    outputs: int, inputs: int, centre: Any, kernel: Kernel, stretch: float
) -> NDArray[np.float64]:
    """The dense resampling matrix with symmetric edges.

    Row j holds the weights of output sample j at coordinate centre(j).
    """
    result = np.zeros((outputs, inputs))
    for j in range(outputs):
        u = centre(j)
        first = math.floor(u - 4 * stretch) - 1
        last = math.ceil(u + 4 * stretch) + 1
        for i in range(first, last + 1):
            place = i % (2 * inputs)
            if place >= inputs:
                place = 2 * inputs - 1 - place
            result[j, place] += weight(kernel, (i - u) / stretch)
    return np.asarray(result / result.sum(axis=1, keepdims=True))


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.float32]:
    return (
        np.random.default_rng(seed).uniform(0, 255, (height, width)).astype(np.float32)
    )


sides = st.integers(1, 24)


@settings(deadline=None)
@given(sides, sides, st.sampled_from(KERNELS))
def test_half_is_matlabs_imresize(height: int, width: int, kernel: Kernel) -> None:
    image = noise(height, width)
    down, across = (
        matrix((n + 1) // 2, n, lambda j: (j + 0.5) * 2 - 0.5, kernel, 2.0)
        for n in (height, width)
    )
    result = half(image, kernel)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, down @ image @ across.T, atol=5e-4)


def test_half_of_known_numbers() -> None:
    # imresize of an impulse: the cubic at 0.25, 0.75, 1.25, 1.75 halved, times 256.
    impulse = np.zeros((1, 32), np.float32)
    impulse[0, 16] = 256.0
    assert half(impulse)[0, 5:12].tolist() == pytest.approx(
        [0, -3.0, 29.0, 111.0, -9.0, 0, 0]
    )


@settings(deadline=None)
@given(sides, sides, st.sampled_from(KERNELS))
def test_double_is_the_dense_formula(height: int, width: int, kernel: Kernel) -> None:
    image = noise(height, width)
    down, across = (
        matrix(2 * n, n, lambda j: (j + 0.5) / 2 - 0.5, kernel, 1.0)
        for n in (height, width)
    )
    np.testing.assert_allclose(
        double(image, kernel), down @ image @ across.T, atol=5e-4
    )


@settings(deadline=None)
@given(
    sides, sides, st.sampled_from(KERNELS), st.floats(-1.5, 1.5), st.floats(-1.5, 1.5)
)
def test_double_phase_is_the_dense_formula(
    height: int, width: int, kernel: Kernel, shift_y: float, shift_x: float
) -> None:
    shift_y = round(shift_y * 32) / 32
    shift_x = round(shift_x * 32) / 32
    image = noise(height, width)
    down = matrix(2 * height, height, lambda k: k / 2 - shift_y, kernel, 1.0)
    across = matrix(2 * width, width, lambda k: k / 2 - shift_x, kernel, 1.0)
    np.testing.assert_allclose(
        double_phase(image, shift_y, shift_x, kernel),
        down @ image @ across.T,
        atol=5e-4,
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("kernel", KERNELS)
def test_integers_are_the_rounded_floats(
    kernel: Kernel, dtype: type[np.uint8] | type[np.uint16]
) -> None:
    peak = 255 if dtype is np.uint8 else 1023
    codes: NDArray[Any] = (
        np.random.default_rng(1).integers(0, peak + 1, (13, 18)).astype(dtype)
    )
    result = double_phase(codes, 0.125, 0.375, kernel, peak=peak)
    assert result.dtype == dtype
    expected = np.clip(
        double_phase(codes.astype(np.float32), 0.125, 0.375, kernel), 0, peak
    )
    assert np.abs(result - expected).max() <= 0.5 + 1e-3


def test_strided_and_read_only_planes() -> None:
    whole = np.random.default_rng(2).integers(0, 256, (16, 40)).astype(np.uint8)
    whole.flags.writeable = False
    for view in (whole[:, ::2], whole[::-1, :17], whole[3:9, 5:12]):
        assert np.array_equal(double(view), double(view.copy()))
        assert np.array_equal(half(view), half(view.copy()))


def test_leading_axes() -> None:
    stack = np.stack([noise(6, 8, seed) for seed in range(3)])[None]
    assert np.array_equal(half(stack)[0, 2], half(stack[0, 2]))
    assert np.array_equal(double(stack)[0, 1], double(stack[0, 1]))


@pytest.mark.parametrize("kernel", ["bilinear", "bicubic", "spline36"])
@pytest.mark.parametrize("shift", [0.0625, 0.125, 0.25, 0.375])
def test_ramps_are_exact_inside(kernel: Kernel, shift: float) -> None:
    ramp = np.tile(np.arange(24, dtype=np.float32), (24, 1))
    doubled = double_phase(ramp, 0.25, shift, kernel)
    np.testing.assert_allclose(
        doubled[0, 8:-8], (np.arange(48) / 2 - shift)[8:-8], atol=1e-4
    )


def test_unknown_kernel() -> None:
    with pytest.raises(ValueError, match="gaussian"):
        double(noise(4, 4), "gaussian")  # type: ignore[arg-type]
