from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from vsrcli.frame import PixelFormat
from vsrcli.picture.chroma import phase_shift, upscale_chroma

LOCATIONS = ("left", "center", "topleft", "top", "bottomleft", "bottom")
FORMATS = (
    "yuv420p",
    "yuv422p",
    "yuv444p",
    "yuv440p",
    "yuv411p",
    "yuv410p",
    "yuv420p10le",
    "yuv422p12le",
)


def parse(name: str) -> PixelFormat:
    format = PixelFormat.parse(name)
    assert format is not None
    return format


def position(count: int, log2_factor: int, where: str) -> NDArray[np.float64]:
    """Luma coordinates of chroma samples, straight from the drawings of H.264 (figure E-1)."""
    factor = 1 << log2_factor
    offset = {"first": 0.0, "middle": (factor - 1) / 2, "last": factor - 1.0}[where]
    return np.asarray(factor * np.arange(count) + offset)


def siting(location: str | None) -> tuple[str, str]:
    """(down, across)."""
    name = location or "left"
    across = "first" if name.endswith("left") else "middle"
    if name.startswith("top"):
        return "first", across
    if name.startswith("bottom"):
        return "last", across
    return "middle", across


def edge_position(
    values: NDArray[np.float64], coordinates: NDArray[np.float64]
) -> float:
    """Where values that rise from 50 to 200 pass 125, by linear interpolation."""
    k = int(np.argmax(values > 125))
    low = values[k - 1]
    high = values[k]
    return float(
        coordinates[k - 1]
        + (125 - low) / (high - low) * (coordinates[k] - coordinates[k - 1])
    )


@pytest.mark.parametrize(
    ("name", "location", "axis"), list(product(FORMATS, (None, *LOCATIONS), (0, 1)))
)
def test_an_edge_stays_on_the_luma(name: str, location: str | None, axis: int) -> None:
    format = parse(name)
    log2 = (format.log2_chroma_h, format.log2_chroma_w)[axis]
    where = siting(location)[axis]
    count = 24
    gain = format.peak / 255
    errors = []
    # Codes are whole numbers, so one edge is located only to a fraction of a code:
    # take the mean over sub-pixel positions.
    for source_edge in (count << log2) * 0.47 + (1 << log2) * np.linspace(
        0, 1, 16, endpoint=False
    ):
        profile = 50 + 150 / (
            1
            + np.exp(
                -(position(count, log2, where) - source_edge) / (0.8 * (1 << log2))
            )
        )
        line = np.rint(profile * gain).astype(format.dtype)
        plane = np.tile(line, (12, 1)) if axis else np.tile(line[:, None], (1, 12))
        out_size = (2 * plane.shape[0], 2 * plane.shape[1])
        result = upscale_chroma(
            plane, format=format, location=location, out_size=out_size
        )
        assert result.dtype == format.dtype
        doubled = (result[11] if axis else result[:, 11]) / gain
        # The edge at luma coordinate e of the source is at 2e + 0.5 in the doubled picture.
        errors.append(
            edge_position(doubled, position(2 * count, log2, where))
            - (2 * source_edge + 0.5)
        )
    assert abs(np.mean(errors)) < 0.05
    assert np.abs(errors).max() < 0.1 * (1 << log2)


@pytest.mark.parametrize(
    ("name", "location"),
    list(
        product(
            ("yuv420p16le", "yuv422p16le", "yuv444p16le", "yuv411p16le"),
            (None, *LOCATIONS),
        )
    ),
)
def test_a_ramp_stays_the_ramp(name: str, location: str | None) -> None:
    format = parse(name)
    down, across = siting(location)

    def ramp(y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(5000 + 117.3 * y[:, None] + 271.9 * x[None, :])

    y = position(30, format.log2_chroma_h, down)
    x = position(40, format.log2_chroma_w, across)
    plane = np.rint(ramp(y, x)).astype(np.uint16)
    result = upscale_chroma(plane, format=format, location=location, out_size=(60, 80))
    # Luma X of the doubled picture shows what the source has at X/2 - 1/4.
    expected = ramp(
        position(60, format.log2_chroma_h, down) / 2 - 0.25,
        position(80, format.log2_chroma_w, across) / 2 - 0.25,
    )
    # 2.7 codes are 0.01 luma pixels across.
    assert np.abs(result - expected)[8:-8, 8:-8].max() < 2.7


@settings(deadline=None)
@given(
    st.sampled_from(FORMATS),
    st.sampled_from((None, *LOCATIONS)),
    st.integers(1, 17),
    st.integers(1, 17),
    st.data(),
)
def test_flat_planes_stay_exactly_flat(
    name: str, location: str | None, height: int, width: int, data: st.DataObject
) -> None:
    format = parse(name)
    code = data.draw(st.integers(0, format.peak))
    picture_w = data.draw(
        st.integers(
            ((width - 1) << format.log2_chroma_w) + 1, width << format.log2_chroma_w
        )
    )
    picture_h = data.draw(
        st.integers(
            ((height - 1) << format.log2_chroma_h) + 1, height << format.log2_chroma_h
        )
    )
    out_w, out_h = format.chroma_size(2 * picture_w, 2 * picture_h)
    plane: NDArray[Any] = np.full((height, width), code, format.dtype)
    result = upscale_chroma(
        plane, format=format, location=location, out_size=(out_h, out_w)
    )
    assert result.shape == (out_h, out_w)
    assert (result == code).all()


@pytest.mark.parametrize("name", ["yuv420p", "yuv420p10le"])
def test_overshoot_is_clipped_at_the_formats_depth(name: str) -> None:
    format = parse(name)
    plane: NDArray[Any] = np.zeros((8, 8), format.dtype)
    plane[:, 4:] = format.peak
    result = upscale_chroma(plane, format=format, location=None, out_size=(16, 16))
    assert result.min() == 0
    assert result.max() == format.peak


def test_shifts_by_hand() -> None:
    assert phase_shift(parse("yuv420p"), None) == (0.25, 0.125)
    assert phase_shift(parse("yuv420p"), "center") == (0.25, 0.25)
    assert phase_shift(parse("yuv420p"), "topleft") == (0.125, 0.125)
    assert phase_shift(parse("yuv420p"), "bottom") == (0.375, 0.25)
    assert phase_shift(parse("yuv444p"), "left") == (0.25, 0.25)
    assert phase_shift(parse("yuv411p"), None) == (0.25, 0.0625)


def test_refusals() -> None:
    plane = np.zeros((4, 4), np.uint8)
    with pytest.raises(ValueError, match="middle"):
        upscale_chroma(
            plane, format=parse("yuv420p"), location="middle", out_size=(8, 8)
        )
    with pytest.raises(ValueError, match="9x8"):
        upscale_chroma(plane, format=parse("yuv420p"), location=None, out_size=(9, 8))
