"""Frames for encoders: chroma stays on the luma it belongs to, whatever the subsampling becomes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import write_clip
from fake import FakeBackend

from vsrcli.decode.probe import probe
from vsrcli.encode.frame_converter import FrameConverter
from vsrcli.frame import ColorTags, Frame, PixelFormat
from vsrcli.jobs.upscale import upscale
from vsrcli.options import EncoderOptions, UpscaleOptions

WIDTH = 96
HEIGHT = 64


def _layout(name: str) -> PixelFormat:
    found = PixelFormat.parse(name)
    assert found is not None
    return found


def _places(layout: PixelFormat, *, centred: bool = False) -> tuple[Any, Any]:
    """Where a layout's chroma samples are, in luma pixels.

    Columns on the left unless ``centred``, rows halfway.
    """
    across = 1 << layout.log2_chroma_w
    down = 1 << layout.log2_chroma_h
    width, height = layout.chroma_size(WIDTH, HEIGHT)
    return np.arange(width) * across + (across - 1) / 2 * centred, np.arange(
        height
    ) * down + (down - 1) / 2


@pytest.mark.parametrize("location", [None, "center"])
@pytest.mark.parametrize("wanted", ["yuv420p", "yuv422p", "yuv444p"])
@pytest.mark.parametrize(
    "given", ["yuv444p", "yuv440p", "yuv422p", "yuv420p", "yuv411p", "yuv410p"]
)
def test_a_slope_of_colour_stays_in_its_place(
    given: str, wanted: str, location: str | None
) -> None:
    before = _layout(given)
    after = _layout(wanted)
    centred = location == "center"
    columns, rows = _places(before, centred=centred and given == "yuv420p")
    planes = [np.full((HEIGHT, WIDTH), 100, np.uint8)]
    planes += [
        np.round(np.add.outer(a * rows, b * columns) + 40).astype(np.uint8)
        for a, b in ((0, 2), (3, 0))
    ]
    converter = FrameConverter(
        before,
        after,
        ColorTags("limited", chroma_location=location),
        full_range=False,
        share=False,
    )
    picture: Any = converter.convert(
        Frame(tuple(planes), before, Fraction(0), Fraction(1, 25))
    )
    columns, rows = _places(after, centred=centred and wanted == "yuv420p")
    found = [
        np.ndarray(
            (len(rows), len(columns)),
            np.uint8,
            buffer=memoryview(picture.planes[n]),
            strides=(picture.planes[n].line_size, 1),
        )
        for n in (1, 2)
    ]
    inner = (
        slice(len(rows) // 4, -(len(rows) // 4)),
        slice(len(columns) // 4, -(len(columns) // 4)),
    )
    for plane, slope, place in (
        (found[0], 2, columns[None, :]),
        (found[1], 3, rows[:, None]),
    ):
        error = (plane - (40.0 + slope * place))[inner].mean() / slope
        assert abs(error) < 0.2  # luma pixels; rounding is a part of it


def test_centred_colours_of_a_jpeg_go_where_h264_has_them(
    tmp_path: Path, fake: FakeBackend
) -> None:
    source = write_clip(
        tmp_path / "a.mov",
        frames=3,
        codec="mjpeg",
        pix_fmt="yuvj422p",
        options={"flags": "+qscale", "global_quality": "236"},
    )
    assert probe(source).tags.chroma_location == "center"
    report = upscale(
        source,
        tmp_path / "o.mp4",
        UpscaleOptions(
            fps="source", verify=True, encoder=EncoderOptions(preset="ultrafast")
        ),
    )
    assert report.checks is not None
    assert report.checks["ok"]
    assert probe(tmp_path / "o.mp4").tags.chroma_location == "left"
