from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from vsrcli.models import LumaScale
from vsrcli.picture.color import from_model, to_model

SCALES: tuple[LumaScale, ...] = ("limited", "full")


@pytest.mark.parametrize(
    ("bits", "source_full", "scale"),
    list(itertools.product(range(8, 17), (False, True), SCALES)),
)
def test_every_code_returns(bits: int, source_full: bool, scale: LumaScale) -> None:
    dtype = np.uint8 if bits == 8 else np.uint16
    codes: NDArray[Any] = (
        np.arange(1 << bits, dtype=np.uint32).astype(dtype).reshape(1, -1)
    )
    values = to_model(codes, bits, source_full, scale)
    assert values.dtype == np.float32
    back = from_model(values, bits, source_full, scale)
    assert back.dtype == dtype
    assert np.array_equal(back, codes)


@pytest.mark.parametrize(
    ("bits", "source_full", "scale", "code", "value"),
    [
        (8, False, "limited", 16, 16.0),
        (8, False, "limited", 255, 255.0),
        (8, False, "full", 16, 0.0),
        (8, False, "full", 235, 255.0),
        (8, False, "full", 0, -16 * 255 / 219),
        (8, True, "full", 200, 200.0),
        (8, True, "limited", 0, 16.0),
        (8, True, "limited", 255, 235.0),
        (10, False, "limited", 64, 16.0),
        (10, False, "limited", 1023, 255.75),
        (10, False, "full", 940, 255.0),
        (10, True, "full", 1023, 255.0),
        (16, True, "limited", 65535, 235.0),
        (12, False, "limited", 3760, 235.0),
    ],
)
def test_known_values(
    bits: int, source_full: bool, scale: LumaScale, code: int, value: float
) -> None:
    codes: NDArray[Any] = np.array([[code]], np.uint8 if bits == 8 else np.uint16)
    assert to_model(codes, bits, source_full, scale)[0, 0] == pytest.approx(
        value, abs=2e-5
    )


def test_rounds_to_nearest_and_clips() -> None:
    values = np.array([[-3.0, 0.49, 0.51, 17.2, 254.6, 255.4, 900.0]], np.float32)
    before = values.copy()
    assert from_model(values, 8, False, "limited").tolist() == [
        [0, 0, 1, 17, 255, 255, 255]
    ]
    assert np.array_equal(values, before)
    assert from_model(
        np.array([[260.0]], np.float32), 10, False, "limited"
    ).tolist() == [[1023]]


def test_strided_views_and_leading_axes() -> None:
    codes = np.arange(2 * 6 * 8, dtype=np.uint8).reshape(2, 6, 8)[:, ::2, 1::2]
    values = to_model(codes, 8, False, "full")
    assert values.shape == codes.shape
    assert np.array_equal(from_model(values, 8, False, "full"), codes)


@pytest.mark.parametrize("bits", [7, 17])
def test_odd_depths_are_refused(bits: int) -> None:
    with pytest.raises(ValueError, match=f"{bits} bits"):
        to_model(np.zeros((1, 1), np.uint8), bits, False, "full")
