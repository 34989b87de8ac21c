"""Folders of numbered pictures: order, gaps, kinds, samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from vsrcli.errors import InputError
from vsrcli.images.folders import is_frame_folder, list_pictures
from vsrcli.images.stills import read_picture
from vsrcli.picture.color import rgb_to_luma


def _write(folder: Path, *names: str) -> None:
    for name in names:
        cv2.imwrite(str(folder / name), np.zeros((4, 4), np.uint8))


def test_order_is_by_number(tmp_path: Path) -> None:
    _write(tmp_path, "shot2_9.png", "shot2_10.png", "shot2_11.png")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / ".hidden5.png").write_text("no picture")
    assert [file.name for file in list_pictures(tmp_path)] == [
        "shot2_9.png",
        "shot2_10.png",
        "shot2_11.png",
    ]
    assert is_frame_folder(tmp_path)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "no pictures"),
        (("a1.png", "a2.png", "a5.png"), "gap in the numbering: 3 to 4 missing"),
        (("a1.png", "b2.png"), "more than one sequence"),
        (("a1.png", "a2.tif"), "more than one sequence"),
        (("a1.png", "cover.png"), "no number"),
        (("a1.png", "a01.png"), "same number"),
    ],
)
def test_folders_that_are_no_sequence(
    tmp_path: Path, names: tuple[str, ...], message: str
) -> None:
    _write(tmp_path, *names)
    with pytest.raises(InputError, match=message):
        list_pictures(tmp_path)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_samples_come_back_as_stored(
    tmp_path: Path, dtype: type[np.uint8] | type[np.uint16], suffix: str
) -> None:
    rgb: NDArray[np.integer[Any]] = (
        np.random.default_rng(0)
        .integers(0, np.iinfo(dtype).max, (5, 7, 3))
        .astype(dtype)
    )
    cv2.imwrite(str(tmp_path / f"1.{suffix}"), rgb[:, :, ::-1])
    cv2.imwrite(str(tmp_path / f"2.{suffix}"), rgb[:, :, 0])
    cv2.imwrite(
        str(tmp_path / f"3.{suffix}"), np.dstack([rgb[:, :, ::-1], rgb[:, :, 1]])
    )
    assert np.array_equal(read_picture(tmp_path / f"1.{suffix}"), rgb)
    assert np.array_equal(read_picture(tmp_path / f"2.{suffix}"), rgb[:, :, 0])
    assert np.array_equal(read_picture(tmp_path / f"3.{suffix}"), rgb)


def test_float_tiff(tmp_path: Path) -> None:
    field = np.random.default_rng(0).random((5, 7)).astype(np.float32)
    cv2.imwrite(str(tmp_path / "1.tiff"), field)
    assert np.array_equal(read_picture(tmp_path / "1.tiff"), field)


def test_bad_pictures(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_picture(tmp_path / "1.png")
    for content in (b"", b"rubbish"):
        (tmp_path / "1.png").write_bytes(content)
        with pytest.raises(InputError, match="damaged"):
            read_picture(tmp_path / "1.png")


def test_luma_of_rgb_is_bt601_limited() -> None:
    colours = np.array(
        [[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8
    )
    assert np.allclose(
        rgb_to_luma(colours), [[16, 235, 81.481, 144.553, 40.966]], atol=1e-3
    )
    assert np.allclose(
        rgb_to_luma(colours.astype(np.uint16) * 257), rgb_to_luma(colours), atol=1e-3
    )
