from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from vsrcli.metrics.frames import SsimWindow, mse, psnr, ssim

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def pair(height: int, width: int, strength: float, seed: int = 0) -> Pair:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    clean = 128 + 90 * np.sin(x / 5) * np.cos(y / 7 + x / 31)
    return tuple(
        np.clip(clean + strength * rng.normal(size=clean.shape) * k, 0, 255).astype(
            np.uint8
        )
        for k in (0, 1)
    )


def test_psnr_by_hand() -> None:
    zeros = np.zeros((8, 10), np.uint8)
    off = zeros.copy()
    off[0, 0] = 255
    assert mse(zeros, off) == 255**2 / 80
    assert psnr(zeros, off) == pytest.approx(10 * math.log10(80))
    assert psnr(zeros, zeros + 1) == pytest.approx(48.1308, abs=1e-4)
    assert psnr(zeros / 255, (zeros + 1) / 255, data_range=1.0) == pytest.approx(
        48.1308, abs=1e-4
    )
    assert psnr(zeros, off, crop=1) == math.inf
    assert psnr(zeros, zeros) == math.inf


def test_unsigned_codes_do_not_wrap() -> None:
    a = np.full((2, 2), 3, np.uint8)
    b = np.full((2, 2), 250, np.uint8)
    assert mse(a, b) == mse(b, a) == 247**2


@settings(deadline=None)
@given(
    st.integers(11, 40),
    st.integers(11, 40),
    st.floats(0.5, 60),
    st.sampled_from(("gaussian", "uniform")),
    st.integers(0, 9),
)
def test_ssim_is_scikit_images(
    height: int, width: int, strength: float, window: SsimWindow, seed: int
) -> None:
    structural_similarity = pytest.importorskip("skimage.metrics").structural_similarity
    reference, distorted = pair(height, width, strength, seed)
    options: dict[str, Any] = (
        {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        if window == "gaussian"
        else {}
    )
    expected = structural_similarity(
        reference.astype(np.float64),
        distorted.astype(np.float64),
        data_range=255,
        **options,
    )
    assert ssim(reference, distorted, window=window) == pytest.approx(
        expected, rel=1e-6
    )


def test_ssim_by_hand() -> None:
    # Flat pictures have no structure: only the luminance term is left.
    c1 = (0.01 * 255) ** 2
    a = np.full((12, 12), 100.0)
    b = np.full((12, 12), 120.0)
    for window in ("gaussian", "uniform"):
        assert ssim(a, b, window=window) == pytest.approx(
            (2 * 100 * 120 + c1) / (100**2 + 120**2 + c1)
        )


@pytest.mark.parametrize("window", ["gaussian", "uniform"])
def test_ssim_basics(window: SsimWindow) -> None:
    reference, distorted = pair(40, 52, 20)
    assert ssim(reference, reference, window=window) == 1.0
    assert ssim(reference, distorted, window=window) == pytest.approx(
        ssim(distorted, reference, window=window)
    )
    assert (
        ssim(reference, pair(40, 52, 40)[1], window=window)
        < ssim(reference, distorted, window=window)
        < 1
    )
    inner = (slice(8, -8), slice(8, -8))
    assert ssim(reference, distorted, window=window, crop=8) == ssim(
        reference[inner], distorted[inner], window=window
    )
    assert ssim(
        reference / 255, distorted / 255, window=window, data_range=1.0
    ) == pytest.approx(ssim(reference, distorted, window=window))


def test_leading_axes_are_averaged() -> None:
    a, b = zip(*(pair(20, 24, 10, seed) for seed in range(3)), strict=True)
    assert ssim(np.stack(a), np.stack(b)) == pytest.approx(
        np.mean([ssim(x, y) for x, y in zip(a, b, strict=True)])
    )
    assert mse(np.stack(a), np.stack(b)) == pytest.approx(
        np.mean([mse(x, y) for x, y in zip(a, b, strict=True)])
    )


def test_refusals() -> None:
    picture = np.zeros((20, 20))
    with pytest.raises(ValueError, match=r"\(20, 19\)"):
        psnr(picture, picture[:, :19])
    with pytest.raises(ValueError, match="crop 10"):
        psnr(picture, picture, crop=10)
    with pytest.raises(ValueError, match="11x11"):
        ssim(picture, picture, crop=5)
    with pytest.raises(ValueError, match="range 0"):
        psnr(picture, picture, data_range=0)
    with pytest.raises(ValueError, match="hann"):
        ssim(picture, picture, window="hann")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["noisy", "unrelated", "flat"])
@pytest.mark.parametrize("window", ["gaussian", "uniform"])
def test_ssim_of_large_pictures_is_scikit_images(kind: str, window: SsimWindow) -> None:
    structural_similarity = pytest.importorskip("skimage.metrics").structural_similarity
    rng = np.random.default_rng(3)
    reference, distorted = pair(520, 600, 8)
    if kind == "unrelated":
        reference, distorted = (
            rng.integers(0, 256, (520, 600)).astype(np.uint8) for _ in range(2)
        )
    elif kind == "flat":
        reference = np.full((520, 600), 255, np.uint8)
        distorted = np.full((520, 600), 3, np.uint8)
    options: dict[str, Any] = (
        {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        if window == "gaussian"
        else {}
    )
    assert ssim(reference, distorted, window=window) == pytest.approx(
        structural_similarity(reference, distorted, **options), rel=1e-6
    )
