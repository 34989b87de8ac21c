"""Luma and chroma to RGB and back: the same codes, the standards' colours."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsrcli.frame import ColorTags, Frame, PixelFormat
from vsrcli.picture.matrices import matrix_of
from vsrcli.picture.rgb import from_rgb, gray_layout, rgb_layout, to_rgb


def layout_of(name: str) -> PixelFormat:
    layout = PixelFormat.parse(name)
    assert layout is not None
    return layout


def random_frame(layout: PixelFormat, width: int, height: int, seed: int) -> Frame:
    """Colours that RGB can hold: near gray, noisy to the last sample."""
    random = np.random.default_rng(seed)
    scale = 1 << (layout.bits - 8)
    wide, high = layout.chroma_size(width, height)
    planes: list[Any] = [random.integers(90 * scale, 160 * scale, (height, width))]
    planes += [
        random.integers(124 * scale, 133 * scale, (high, wide))
        for _ in range(2 if layout.has_chroma else 0)
    ]
    planes += (
        [random.integers(0, layout.peak, (height, width), endpoint=True)]
        if layout.has_alpha
        else []
    )
    return Frame(
        tuple(plane.astype(layout.dtype) for plane in planes),
        layout,
        Fraction(1, 3),
        Fraction(1, 30),
    )


@settings(deadline=None, max_examples=120)
@given(
    name=st.sampled_from(
        [
            "yuv420p",
            "yuv422p",
            "yuv444p",
            "yuv440p",
            "yuv411p",
            "yuv410p",
            "yuva420p",
            "gray",
            "yuv420p10le",
            "yuv422p12le",
            "yuv444p16le",
            "gray16le",
        ]
    ),
    size=st.tuples(st.integers(20, 41), st.integers(20, 41)),
    location=st.sampled_from(
        [None, "left", "center", "topleft", "top", "bottomleft", "bottom"]
    ),
    matrix=st.sampled_from([1, 4, 5, 6, 7, 8, 9]),
    full=st.booleans(),
    seed=st.integers(0, 99),
)
def test_there_and_back_is_the_same(
    name: str,
    size: tuple[int, int],
    location: str | None,
    matrix: int,
    full: bool,
    seed: int,
) -> None:
    layout = layout_of(name)
    tags = ColorTags("full" if full else "limited", chroma_location=location)
    if location in ("bottomleft", "bottom"):
        size = size[0], size[1] // 2 * 2
    frame = random_frame(layout, *size, seed)
    rgb = to_rgb(frame, tags, matrix, 8 if layout.bits == 8 else 16)
    assert rgb.format.is_rgb == layout.has_chroma
    back = from_rgb(rgb, layout, tags, matrix)
    # Whole codes of a wide range do not fit into fewer: full-range YCgCo and 16 bits may be off
    # by one.
    tolerance = 1 if full or layout.bits == 16 else 0
    for before, after in zip(frame.planes, back.planes, strict=True):
        assert before.dtype == after.dtype
        assert np.abs(before.astype(int) - after.astype(int)).max() <= tolerance
    assert (back.time, back.duration) == (frame.time, frame.duration)


@pytest.mark.parametrize(
    ("matrix", "coefficients"),
    [
        (1, (0.2126, 0.7152, 0.0722)),
        (6, (0.299, 0.587, 0.114)),
        (9, (0.2627, 0.678, 0.0593)),
    ],
)
def test_luma_is_the_standards(
    matrix: int, coefficients: tuple[float, float, float]
) -> None:
    for place, weight in zip((2, 0, 1), coefficients, strict=True):
        planes = tuple(
            np.full((4, 4), 255 if index == place else 0, np.uint8)
            for index in range(3)
        )
        yuv = from_rgb(
            Frame(planes, rgb_layout(8, alpha=False), Fraction(0)),
            layout_of("yuv444p"),
            ColorTags("limited"),
            matrix,
        )
        assert yuv.luma[0, 0] == round(16 + 219 * weight)
        assert max(yuv.chroma[0][0, 0], yuv.chroma[1][0, 0]) == 240 or place == 0


def test_white_black_and_gray_have_no_colour() -> None:
    for code in (0, 77, 255):
        frame = Frame(
            (np.full((6, 6), code, np.uint8),) * 3,
            rgb_layout(8, alpha=False),
            Fraction(0),
        )
        yuv = from_rgb(frame, layout_of("yuv420p"), ColorTags("limited"), 1)
        assert yuv.luma[0, 0] == round(16 + 219 * code / 255)
        assert all((plane == 128).all() for plane in yuv.chroma)


@pytest.mark.parametrize(("matrix", "name"), [(1, "ITU709"), (5, "ITU601")])
def test_agrees_with_swscale(matrix: int, name: str) -> None:
    """Against FFmpeg's own conversion of 4:4:4, which rounds more coarsely."""
    layout = layout_of("yuv444p")
    frame = random_frame(layout, 32, 24, 5)
    picture = av.VideoFrame.from_dlpack(frame.planes, format="yuv444p")
    other = picture.reformat(
        format="rgb24",
        src_colorspace=name,
        dst_colorspace=name,
        src_color_range="MPEG",
        dst_color_range="JPEG",
    ).to_ndarray()
    ours = to_rgb(frame, ColorTags("limited"), matrix, 8)
    mine = np.stack([ours.planes[2], ours.planes[0], ours.planes[1]], axis=2)
    assert np.abs(mine.astype(int) - other.astype(int)).max() <= 2


def test_gray_fills_the_range_and_depth_changes_exactly() -> None:
    frame = Frame(
        (np.array([[16, 235], [126, 16]], np.uint8),), gray_layout(8), Fraction(0)
    )
    assert to_rgb(frame, ColorTags("limited"), 1, 8).luma.tolist() == [
        [0, 255],
        [128, 0],
    ]
    rgb = Frame(
        (np.array([[0, 255, 128]], np.uint8),) * 3,
        rgb_layout(8, alpha=False),
        Fraction(0),
    )
    deep = to_rgb(rgb, ColorTags("full", 0), 0, 16)
    assert deep.luma.tolist() == [[0, 65535, 128 * 257]]
    assert to_rgb(deep, ColorTags("full", 0), 0, 8).luma.tolist() == rgb.luma.tolist()
    assert to_rgb(rgb, ColorTags("full", 0), 0, 8) is rgb


def test_chroma_stays_where_it_is() -> None:
    """A colour edge in subsampled chroma is at the pixel it belongs to, with little ringing."""
    luma = np.full((32, 64), 126, np.uint8)
    red = np.full((16, 32), 128, np.uint8)
    red[:, 16:] = 160
    for location, edge in (("left", 31.0), ("center", 31.5)):
        frame = Frame(
            (luma, np.full((16, 32), 128, np.uint8), red),
            layout_of("yuv420p"),
            Fraction(0),
        )
        shown = (
            to_rgb(frame, ColorTags("limited", chroma_location=location), 1, 8)
            .planes[2][16]
            .astype(float)
        )
        low = shown[0]
        high = shown[-1]
        crossing = float(np.interp((low + high) / 2, shown[28:36], np.arange(28, 36)))
        assert abs(crossing - edge) < 0.3, location
        assert shown.max() - high < 0.25 * (high - low)


@pytest.mark.parametrize(
    ("tags", "size", "matrix"),
    [
        (ColorTags(), (720, 576), 6),
        (ColorTags(), (1280, 720), 1),
        (ColorTags(), (720, 1280), 1),
        (ColorTags(primaries=9), (64, 64), 9),
        (ColorTags(matrix=5, primaries=1), (1920, 1080), 5),
        (ColorTags(matrix=0), (64, 64), 0),
    ],
)
def test_matrix_is_the_tagged_or_the_usual_one(
    tags: ColorTags, size: tuple[int, int], matrix: int
) -> None:
    assert matrix_of(tags, *size) == matrix


def test_matrix_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="matrix 14"):
        matrix_of(ColorTags(matrix=14), 64, 64)
