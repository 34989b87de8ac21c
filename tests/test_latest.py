"""The latest finished frame beside its source: OUT.vsr/latest.png, and ``--watch``."""

from __future__ import annotations

import logging
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake import FakeBackend, open_fake
from lossless import LOSSLESS

from vsrcli.decode.probe import probe
from vsrcli.decode.reader import VideoReader
from vsrcli.errors import OptionError, OutputError
from vsrcli.frame import ColorTags, Frame, PixelFormat
from vsrcli.images.stills import read_picture
from vsrcli.jobs.upscale import upscale
from vsrcli.metrics.frames import psnr
from vsrcli.options import UpscaleOptions
from vsrcli.picture.display import displayed
from vsrcli.picture.matrices import SMPTE170M
from vsrcli.picture.side_by_side import as_png, is_side_by_side, side_by_side
from vsrcli.segments import latest_picture
from vsrcli.segments.latest_picture import LatestPicture

ONE_GO = replace(LOSSLESS, segment=0)


def frame_of(layout: str, size: tuple[int, int], code: int) -> Frame:
    """A frame of one colour; ``size`` is (W, H)."""
    format_ = PixelFormat.parse(layout)
    assert format_ is not None
    width, height = size
    planes: list[Any] = [np.full((height, width), code, format_.dtype)]
    if format_.has_chroma:
        chroma_width, chroma_height = format_.chroma_size(width, height)
        neutral = np.full((chroma_height, chroma_width), 1 << (format_.bits - 1))
        planes += [neutral.astype(format_.dtype)] * 2
    return Frame(tuple(planes), format_, Fraction(0), Fraction(1))


@pytest.fixture
def every_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a new picture for each frame."""
    monkeypatch.setattr(latest_picture, "_INTERVAL_SECONDS", 0.0)
    monkeypatch.setattr(latest_picture, "_PAUSES_PER_PICTURE", 0)


# -- while vsr works


def test_the_folder_shows_the_latest_frame(
    demo_clip: Path, tmp_path: Path, fake: FakeBackend, every_frame: None
) -> None:
    seen: list[Any] = []
    picture = tmp_path / "o.mkv.vsr" / "latest.png"

    def look(progress: object) -> None:
        if picture.exists():
            seen.append(read_picture(picture))

    upscale(demo_clip, tmp_path / "o.mkv", LOSSLESS, on_progress=look)
    assert len(seen) > 5
    assert {picture.shape for picture in seen} == {(128, 384, 3)}
    assert not np.array_equal(seen[0], seen[-1])
    assert [path.name for path in tmp_path.iterdir()] == ["o.mkv"]


@pytest.mark.parametrize("options", [ONE_GO, LOSSLESS], ids=["one go", "segments"])
def test_the_file_of_watch_stays(
    options: UpscaleOptions,
    demo_clip: Path,
    tmp_path: Path,
    fake: FakeBackend,
) -> None:
    look = tmp_path / "look.png"
    options = replace(options, watch=str(look))
    upscale(demo_clip, tmp_path / "o.mkv", options)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["look.png", "o.mkv"]
    picture = read_picture(look)
    with VideoReader(probe(tmp_path / "o.mkv")) as reader:
        frame = next(iter(reader))
        shown = displayed(frame, reader.info.tags, SMPTE170M)
    # the source at the left, the result at the right: the fake network interpolates too
    assert psnr(shown, picture[:, 192:]) > 30
    assert psnr(shown, picture[:, :192]) > 25
    assert not np.array_equal(picture[:, 192:], picture[:, :192])
    # the same command may replace what is its own
    upscale(demo_clip, tmp_path / "p.mkv", options)


def test_workers_show_what_they_do(
    demo_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vsrcli.jobs.upscale.open_backend", open_fake)
    options = replace(LOSSLESS, devices="cpu*2", watch=str(tmp_path / "look.png"))
    upscale(demo_clip, tmp_path / "o.mkv", options)
    assert read_picture(tmp_path / "look.png").shape == (128, 384, 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["look.png", "o.mkv"]


def test_pictures_as_output(demo_clip: Path, tmp_path: Path, fake: FakeBackend) -> None:
    options = UpscaleOptions(watch=str(tmp_path / "look.png"), end=Fraction(1, 10))
    upscale(demo_clip, tmp_path / "pictures", options)
    assert read_picture(tmp_path / "look.png").shape == (128, 384, 3)
    pictures = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert pictures == ["frame000001.png", "frame000002.png", "frame000003.png"]


# -- refusals


def test_what_would_be_lost_is_refused(
    demo_clip: Path, tmp_path: Path, fake: FakeBackend
) -> None:
    target = tmp_path / "o.mkv"
    precious = tmp_path / "precious.png"
    precious.write_bytes(b"a photograph")
    folder = tmp_path / "folder.png"
    folder.mkdir()
    refusals = {
        precious: "exists; -y replaces it",
        folder: "is not a file",
        tmp_path / "nowhere" / "look.png": "there is no folder",
        tmp_path / ("x" * 300 + ".png"): "name another output",
    }
    for watch, message in refusals.items():
        options = replace(ONE_GO, watch=str(watch))
        with pytest.raises(OutputError, match=message):
            upscale(demo_clip, target, options)
    assert precious.read_bytes() == b"a photograph"
    assert not fake.windows
    options = replace(ONE_GO, watch=str(precious), overwrite=True)
    upscale(demo_clip, target, options)
    assert is_side_by_side(precious)


@pytest.mark.parametrize("overwrite", [False, True])
def test_neither_the_input_nor_the_output(
    overwrite: bool, tmp_path: Path, fake: FakeBackend
) -> None:
    pictures = tmp_path / "in"
    pictures.mkdir()
    for number in (1, 2):
        picture = np.full((32, 32, 3), 40 * number, np.uint8)
        (pictures / f"{number}.png").write_bytes(as_png(picture))
    link = tmp_path / "link.png"
    link.symlink_to(tmp_path / "out.png")
    for watch, message in (
        (pictures / "3.png", "the input: name a file elsewhere"),
        (pictures / "1.png", "the input: name a file elsewhere"),
        (link, "is the output: name another file"),
    ):
        options = UpscaleOptions(watch=str(watch), overwrite=overwrite)
        with pytest.raises(OutputError, match=message):
            upscale(pictures, tmp_path / "out.png", options)
    assert len(list(pictures.iterdir())) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [({"watch": "look.jpg"}, "end it in .png"), ({"ray": "local"}, "omit --ray")],
)
def test_options_that_make_no_sense(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        UpscaleOptions(**{"watch": "look.png", **options})


# -- what it costs


def test_pictures_are_rare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most one in ten seconds, and a hundred times what it takes between two."""
    now = 100.0
    cost = 0.01
    written: list[float] = []

    def write(path: Path, content: bytes, *, overwrite: bool) -> None:
        nonlocal now
        written.append(now)
        now += cost

    monkeypatch.setattr("vsrcli.segments.latest_picture.time.monotonic", lambda: now)
    monkeypatch.setattr(latest_picture, "write_file", write)
    source = frame_of("yuv420p", (8, 8), 100)
    result = frame_of("yuv420p", (16, 16), 100)
    picture = LatestPicture(tmp_path / "latest.png", ColorTags(), at_once=False)
    for _ in range(200):
        now += 0.25
        picture.show(source, result)
    assert written[0] == 110
    assert 4 <= len(written) <= 5
    cost = 0.5
    del written[:]
    for _ in range(1000):
        now += 0.25
        picture.show(source, result)
    assert 5 <= len(written) <= 7


def test_a_disk_that_refuses_ends_only_the_pictures(
    demo_clip: Path,
    tmp_path: Path,
    fake: FakeBackend,
    every_frame: None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(latest_picture, "write_file", refuse)
    with caplog.at_level(logging.WARNING):
        upscale(demo_clip, tmp_path / "o.mkv", LOSSLESS)
    assert caplog.text.count("is not written any more") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["o.mkv"]


# -- the picture


@pytest.mark.parametrize(
    ("layout", "tags", "code", "expected"),
    [
        ("yuv420p", ColorTags("limited"), 126, 128),
        ("yuv422p10le", ColorTags("limited"), 502, 128),
        ("gray", ColorTags("full"), 126, 126),
        ("yuva420p", ColorTags("limited"), 126, 128),
        # PQ: the code of white for graphics, 203 cd/m2, leaves room for highlights
        ("yuv420p10le", ColorTags("limited", 9, 9, 16), 572, 244),
        # constant luminance cannot be inverted
        ("yuv420p", ColorTags("limited", matrix=10), 126, 128),
    ],
)
def test_colours(layout: str, tags: ColorTags, code: int, expected: int) -> None:
    sizes = ((24, 10), (48, 20))
    source, result = (_with_alpha(frame_of(layout, size, code)) for size in sizes)
    picture = side_by_side(source, result, tags)
    assert picture.shape[:2] == (20, 96)
    assert picture.dtype == np.uint8
    assert np.abs(picture.astype(int) - expected).max() <= 1


def _with_alpha(frame: Frame) -> Frame:
    if not frame.format.has_alpha:
        return frame
    return replace(frame, planes=(*frame.planes, np.zeros_like(frame.luma)))


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((3840, 2160), (1080, 3840)),
        ((1920, 1080), (1080, 3840)),
        ((100, 8640), (2160, 50)),
    ],
)
def test_large_pictures_are_made_smaller(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    width, height = size
    source = frame_of("gray", (width // 2, height // 2), 100)
    assert (
        side_by_side(source, frame_of("gray", size, 100), ColorTags()).shape == expected
    )


def test_its_own_files_are_known_again(tmp_path: Path) -> None:
    path = tmp_path / "look.png"
    picture = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    path.write_bytes(as_png(picture))
    assert is_side_by_side(path)
    assert np.array_equal(read_picture(path), picture)
    path.write_bytes(b"")
    assert not is_side_by_side(path)
