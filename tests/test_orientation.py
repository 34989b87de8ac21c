"""Turned pictures: the eight orientations, their chroma, and agreement with players."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsrcli.errors import InputError
from vsrcli.frame import ColorTags, Frame, PixelFormat
from vsrcli.picture.chroma import SITING, upscale_chroma
from vsrcli.picture.orientation import Orientation

UNIT = 65536
# what FFmpeg writes for a rotation counter-clockwise, and for a mirrored picture
MATRICES: dict[str, tuple[tuple[int, ...], Callable[[Any], Any]]] = {
    "none": ((UNIT, 0, 0, 0, UNIT, 0, 0, 0, 1 << 30), lambda picture: picture),
    "90": ((0, -UNIT, 0, UNIT, 0, 0, 0, 0, 1 << 30), lambda picture: np.rot90(picture)),
    "180": (
        (-UNIT, 0, 0, 0, -UNIT, 0, 0, 0, 1 << 30),
        lambda picture: np.rot90(picture, 2),
    ),
    "270": (
        (0, UNIT, 0, -UNIT, 0, 0, 0, 0, 1 << 30),
        lambda picture: np.rot90(picture, 3),
    ),
    "mirrored": (
        (-UNIT, 0, 0, 0, UNIT, 0, 0, 0, 1 << 30),
        lambda picture: picture[:, ::-1],
    ),
    "upside down": (
        (UNIT, 0, 0, 0, -UNIT, 0, 0, 0, 1 << 30),
        lambda picture: picture[::-1],
    ),
    "transposed": ((0, UNIT, 0, UNIT, 0, 0, 0, 0, 1 << 30), lambda picture: picture.T),
}
YUV420, YUV422 = (PixelFormat.parse(name) for name in ("yuv420p", "yuv422p"))


@pytest.mark.parametrize("name", MATRICES)
def test_matrix_turns_as_named(name: str) -> None:
    assert YUV422 is not None
    matrix, expected = MATRICES[name]
    luma = np.arange(24, dtype=np.uint8).reshape(4, 6)
    chroma = np.arange(12, dtype=np.uint8).reshape(4, 3)
    orientation = Orientation.of_matrix(matrix)
    turned = orientation.turn(Frame((luma, chroma, chroma + 20), YUV422, Fraction(1)))
    assert np.array_equal(turned.luma, expected(luma))
    assert np.array_equal(turned.planes[2], expected(chroma + 20))
    assert turned.format.name == ("yuv440p" if orientation.transpose else "yuv422p")
    assert (turned.width, turned.height) == orientation.size(6, 4)
    assert orientation.aspect(Fraction(64, 45)) == (
        Fraction(45, 64) if orientation.transpose else Fraction(64, 45)
    )
    assert orientation.aspect(None) is None


def test_odd_angles_and_layouts_are_refused() -> None:
    with pytest.raises(InputError, match="--bake-rotation"):
        Orientation.of_matrix((46341, 46341, 0, -46341, 46341, 0, 0, 0, 1 << 30))
    narrow = PixelFormat.parse("yuv411p")
    assert narrow is not None
    with pytest.raises(InputError, match="yuv411p"):
        Orientation(transpose=True).layout(narrow)


@given(
    st.sampled_from([name for name in SITING if "right" not in name]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_chroma_stays_on_its_luma(
    location: str, transpose: bool, flip_x: bool, flip_y: bool
) -> None:
    """The same ramp in luma and chroma, sited as tagged, agrees after turning and doubling."""
    assert YUV420 is not None
    across, down = SITING[location]
    rows, columns = np.mgrid[:16, :24].astype(np.float64)
    crows, ccolumns = np.mgrid[:8, :12].astype(np.float64)

    def ramp(y: Any, x: Any) -> Any:
        return 40 + 3 * x + 5 * y

    luma = ramp(rows, columns).astype(np.uint8)
    chroma = np.rint(ramp(2 * crows + down, 2 * ccolumns + across)).astype(np.uint8)
    orientation = Orientation(transpose, flip_x, flip_y)
    tags = ColorTags(chroma_location=location)
    turned = orientation.turn(Frame((luma, chroma, chroma), YUV420, Fraction(0)))
    height, width = (2 * side for side in turned.planes[1].shape)
    doubled = upscale_chroma(
        turned.planes[1],
        format=YUV420,
        location=orientation.siting(tags),
        out_location=location,
        out_size=(height, width),
    ).astype(float)
    ys, xs = np.mgrid[:height, :width].astype(np.float64)
    # where each sample of the doubled chroma stands on the turned luma
    y = (2 * ys + down) / 2 - 0.25
    x = (2 * xs + across) / 2 - 0.25
    y = turned.height - 1 - y if flip_y else y
    x = turned.width - 1 - x if flip_x else x
    y, x = (x, y) if transpose else (y, x)
    assert np.abs(doubled - ramp(y, x))[4:-4, 4:-4].max() <= 1.3


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg program here")
@pytest.mark.parametrize("degrees", [90, 180, -90])
@pytest.mark.parametrize("mirrored", [False, True])
def test_as_a_player_shows_it(tmp_path: Path, degrees: int, mirrored: bool) -> None:
    """FFmpeg turns a rotated file by itself when it shows it: the same picture."""
    from vsrcli.decode.probe import probe

    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25, options={"crf": "0"})
        stream.width = 48
        stream.height = 32
        stream.pix_fmt = "yuv444p"
        stream.set_display_rotation(degrees, hflip=mirrored)
        picture = np.random.default_rng(0).integers(0, 255, (32, 48), np.uint8)
        frame = av.VideoFrame.from_ndarray(np.stack([picture] * 3), format="yuv444p")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    matrix = probe(path).display_matrix
    assert matrix is not None
    orientation = Orientation.of_matrix(matrix)
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-i",
        str(path),
        "-f",
        "rawvideo",
        "-pix_fmt",
        "yuv444p",
        "-",
    ]
    shown = np.frombuffer(
        subprocess.run(command, capture_output=True, check=True).stdout, np.uint8
    )
    size = orientation.size(48, 32)
    expected = shown[: size[0] * size[1]].reshape(size[::-1])
    gray = PixelFormat.parse("gray")
    assert gray is not None
    assert np.array_equal(
        orientation.turn(Frame((picture,), gray, Fraction(0))).luma, expected
    )
