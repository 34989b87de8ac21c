"""Previews: the frames of ``vsr upscale``, where they are taken, the page, files, refusals."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import texture, write_clip
from fake import FakeBackend

from vsrcli.backends import Float
from vsrcli.cli import _run
from vsrcli.decode.probe import probe
from vsrcli.decode.reader import VideoReader
from vsrcli.errors import InputError, OptionError, OutputError
from vsrcli.frame import ColorTags, Frame, PixelFormat
from vsrcli.images.stills import encode_picture, read_picture
from vsrcli.jobs.extract import extract
from vsrcli.jobs.upscale import upscale
from vsrcli.models import MODELS
from vsrcli.options import (
    EncoderOptions,
    ExtractOptions,
    PreviewOptions,
    UpscaleOptions,
    parse_crop,
)
from vsrcli.options.parse import Crop
from vsrcli.picture.display import displayed
from vsrcli.preview.page import PreviewMethod
from vsrcli.preview.places import CONTEXT, PlaceFinder
from vsrcli.preview.preview import preview
from vsrcli.timing import TimeRange

LOSSLESS = UpscaleOptions(fps="source", encoder=EncoderOptions(codec="ffv1"))


class Mixing(FakeBackend):
    """Its picture depends on every frame of the window, and on a pixel's neighbours."""

    def run(self, windows: Float) -> Float:
        weights = np.array([0.05, 0.1, 0.6, 0.05, 0.2], np.float32)
        mixture = np.einsum("bfhw,f->bhw", windows, weights)
        return super().run(np.repeat(mixture[:, None], 5, axis=1))


@pytest.fixture(autouse=True)
def backend(monkeypatch: pytest.MonkeyPatch) -> FakeBackend:
    """One network for previews and for whole runs."""
    made = Mixing()
    for module in ("jobs.upscale", "preview.network"):
        monkeypatch.setattr(f"vsrcli.{module}.open_backend", lambda *_, **__: made)
    return made


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _options(**changes: Any) -> PreviewOptions:
    plain: dict[str, Any] = {"model": ("delta",), "html": "page.html"}
    return PreviewOptions(**{**plain, **changes})


def _source(folder: Path, kind: str) -> Path:
    if kind == "rotated":
        return write_clip(folder / "in.mp4", frames=12, scenes=2, rotation=90)
    if kind == "rgb":
        pictures = [
            np.stack(
                [texture(number + 9 * channel, (64, 48)) for channel in range(3)], 2
            )
            for number in range(8)
        ]
        return write_clip(
            folder / "in.mkv", codec="ffv1", pix_fmt="bgr0", pictures=pictures
        )
    if kind == "folder":
        (folder / "in").mkdir()
        for number in range(8):
            content = encode_picture(texture(number, (64, 48)), ".png")
            (folder / "in" / f"f{number}.png").write_bytes(content)
        return folder / "in"
    codec = "libx264" if kind == "yuv420p" else "ffv1"
    return write_clip(
        folder / "in.mkv",
        frames=12,
        scenes=2,
        codec=codec,
        pix_fmt=kind,
        options={"crf": "12"} if codec == "libx264" else {},
    )


@pytest.mark.parametrize(
    "kind",
    ["yuv420p", "yuv422p10le", "gray", "yuva420p", "rotated", "rgb", "folder"],
)
def test_pictures_are_those_of_a_whole_run(tmp_path: Path, kind: str) -> None:
    """All frames of a lossless run, against previews at the times of some."""
    source = _source(tmp_path, kind)
    upscale(source, tmp_path / "out.mkv", LOSSLESS)
    extract(tmp_path / "out.mkv", tmp_path / "all", ExtractOptions())
    rate = 30 if kind == "folder" else 25
    numbers = (
        0,
        5,
        6,
        7,
    )  # the beginning, about the cut (if there is one), and behind it
    at = tuple(Fraction(number, rate) for number in numbers)
    report = preview(source, _options(at=at, part="all", png="pictures"))
    assert report.times == [float(moment) for moment in at]
    found = sorted((tmp_path / "pictures").glob("*-delta*.png"))
    assert len(found) == len(numbers)
    for number, file in zip(numbers, found, strict=True):
        expected = read_picture(
            tmp_path / "all" / f"frame{number + 1:06}.png", keep_alpha=True
        )
        assert np.array_equal(read_picture(file, keep_alpha=True), expected), file
        assert expected.dtype == (np.uint16 if "10" in kind else np.uint8)
    plain = read_picture(tmp_path / "pictures" / "01-0.000s-bicubic.png")
    assert plain.shape[:2] == expected.shape[:2]
    assert not np.array_equal(plain, read_picture(found[0]))


@pytest.mark.parametrize("kind", ["yuv420p", "rotated"])
def test_a_part_is_the_same_as_in_the_whole_picture(tmp_path: Path, kind: str) -> None:
    """Neither the network nor the colours see the edge of the part."""
    size = (256, 192)
    pictures = [
        np.stack([texture(number + 30 * channel, size) for channel in range(3)], 2)
        for number in range(5)
    ]
    source = write_clip(
        tmp_path / "in.mp4", pictures=pictures, rotation=90 if kind == "rotated" else 0
    )
    at = (Fraction(2, 25),)
    preview(source, _options(at=at, part="all", png="whole"))
    part = Crop(33, 27, (101, 83))
    preview(source, _options(at=at, part=part, png="part", overwrite=True))
    for name in ("01-0.080s-bicubic.png", "01-0.080s-delta-None.png"):
        whole = read_picture(tmp_path / "whole" / name)
        cut = read_picture(tmp_path / "part" / name)
        assert cut.shape == (54, 66, 3)
        assert np.array_equal(cut, whole[166:220, 202:268]), name


def test_the_part_is_where_the_detail_is(tmp_path: Path) -> None:
    flat = np.full((300, 600), 90, np.uint8)
    flat[200:240, 500:560] = np.random.default_rng(1).integers(20, 230, (40, 60))
    source = write_clip(tmp_path / "in.mp4", pictures=[flat] * 3)
    preview(source, _options(frames=1, part=Crop(64, 48), png="part"))
    (picture,) = (tmp_path / "part").glob("*bicubic.png")
    shown = read_picture(picture).astype(int)
    assert shown.shape[:2] == (96, 128)
    assert (np.abs(shown[:, :, 1] - shown[0, 0, 1]) > 10).sum() > 5000
    page = (tmp_path / "page.html").read_text()
    assert "64×48 pixels of the source" in page


def test_large_pictures_are_cut_by_default(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4", frames=2, size=(640, 360))
    report = preview(source, _options(frames=1, png="part"))
    (picture,) = (tmp_path / "part").glob("*bicubic.png")
    assert read_picture(picture).shape == (540, 960, 3)
    assert (report.width, report.height) == (1280, 720)
    assert (tmp_path / "page.html").stat().st_size < 3_000_000


def test_frames_are_spread_and_black_is_avoided(tmp_path: Path) -> None:
    """Four parts of a second each; in the middle of the second the picture is black."""
    pictures = [texture(number, (64, 48)) for number in range(100)]
    for number in range(35, 40):
        pictures[number] = np.full((48, 64), 16, np.uint8)
    source = write_clip(tmp_path / "in.mp4", pictures=pictures)
    report = preview(source, _options())
    assert len(report.times) == 4
    first, second, third, fourth = report.times
    assert (first, third, fourth) == (0.48, 2.48, 3.48)
    assert second == pytest.approx(1.25, abs=0.04)


def test_a_short_video_has_fewer_frames(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4", frames=2)
    assert len(preview(source, _options(frames=9)).times) == 2


@pytest.mark.parametrize("number", [0, 13, 29])
def test_the_frame_shown_at_a_time(tmp_path: Path, number: int) -> None:
    """Its neighbours are those of the whole film, at its ends and after a seek as well."""
    source = write_clip(tmp_path / "in.mp4", gop=5)
    info = probe(source)

    def opened(time_range: TimeRange) -> VideoReader:
        return VideoReader(
            info, time_range=time_range, context=CONTEXT, allow_empty=True
        )

    with VideoReader(info) as reader:
        frames = list(reader)
    place = PlaceFinder(opened, lambda frame: frame).at(Fraction(2 * number + 1, 50))
    assert place is not None
    assert place.frame.time == Fraction(number, 25)
    for shift, frame in enumerate(place.window, start=-2):
        neighbour = frames[min(max(number + shift, 0), 29)]
        assert np.array_equal(frame.luma, neighbour.luma)
    assert (place.following is None) == (number == 29)


def test_the_same_frame_is_shown_once(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4")
    at = (Fraction(1, 2), Fraction(51, 100), Fraction(0))
    assert preview(source, _options(at=at)).times == [0.48, 0.0]


def test_floating_point_pictures(tmp_path: Path) -> None:
    folder = tmp_path / "field"
    folder.mkdir()
    for number in range(3):
        values = texture(number, (64, 48)).astype(np.float32) / 255
        (folder / f"f{number}.tiff").write_bytes(encode_picture(values, ".tiff"))
    preview(folder, _options(frames=1, value_range=(0.0, 1.0), png="pictures"))
    (picture,) = (tmp_path / "pictures").glob("*bicubic.png")
    shown = read_picture(picture)
    assert shown.dtype == np.uint16
    assert shown.mean() / 65535 == pytest.approx(values.mean(), abs=0.02)


def test_a_frame_shown_for_long_is_found(tmp_path: Path) -> None:
    times = [0, 40, 80, 30_000, 30_040]
    source = write_clip(tmp_path / "in.mkv", frames=5, times=times)
    report = preview(source, _options(at=(Fraction(25),)))
    assert report.times == [0.08]


def test_the_page(tmp_path: Path, backend: FakeBackend) -> None:
    source = write_clip(tmp_path / "a<b>.mp4", frames=12, sample_aspect=(4, 3))
    options = PreviewOptions(frames=2)
    report = preview(source, options)
    assert report.page == "a<b>-preview.html"
    page = (tmp_path / report.page).read_text()
    assert "a&lt;b&gt;.mp4" in page
    assert "<b>" not in page
    assert "64 × 48 → 128 × 96" in page
    assert "--width:171;--height:96" in page  # 4:3 pixels
    assert page.count('<figure class="shot"') == 2
    found = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    shots = json.loads(found[1])["shots"]
    names = [method.name for method in report.methods]
    assert [[view["name"] for view in shot] for shot in shots] == [names, names]
    network = report.methods[-1]
    assert network.seconds_per_frame is not None
    assert network.film_seconds == pytest.approx(12 * network.seconds_per_frame)
    assert len(names) == 3  # bicubic, and both networks of the default


def test_hdr_is_shown_for_an_ordinary_display() -> None:
    """PQ: black stays black, the reference white of 203 cd/m2 is bright, and highlights differ."""
    layout = PixelFormat("yuv444p10le", 10, 0, 0, has_chroma=True)
    codes = np.array([[64, 400, 573, 700, 940]], np.uint16)
    neutral = np.full_like(codes, 512)
    frame = Frame((codes, neutral, neutral), layout, Fraction(0))
    tags = ColorTags("limited", matrix=9, primaries=9, transfer=16)
    shown = displayed(frame, tags, 9)[0]
    assert (shown.max(axis=1) - shown.min(axis=1)).max() <= 1  # gray stays gray
    levels = shown[:, 1].astype(int)
    assert levels[0] == 0
    assert 60 < levels[1] < 130
    assert 215 < levels[2] < 250
    assert levels[2] < levels[3] <= levels[4] <= 255


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["-"], 2, "standard input only once"),
        (["missing.mp4"], 1, "missing.mp4: no such file"),
        (["in.mp4", "-m", "delta:blurry"], 2, "unknown domain 'blurry'"),
        (["in.mp4", "--range", "0", "1"], 2, "--range is for folders"),
        (["in.mp4", "--at", "99"], 2, "--at 99 is after the end of in.mp4 (1.200 s)"),
        (["in.mp4", "--at", "late"], 2, "is not a time"),
        (["in.mp4", "--frames", "0"], 2, "--frames 0 is too small"),
        (["in.mp4", "--frames", "99"], 2, "--frames 99 makes a page that is too large"),
        (["in.mp4", "--crop", "9x9"], 2, "16x16 or more"),
        (["in.mp4", "--crop", "big"], 2, "'big' is no part of a picture"),
        (["in.mp4", "--crop", "32x32+40+0"], 2, "not within the pictures"),
        (["in.mp4", "--strength", "2"], 2, "--strength 2 makes no sense"),
        (["in.mp4", "-o", "page.txt"], 2, "let its name end in .html"),
        (["in.mp4", "-o", "nowhere/page.html"], 1, "there is no folder nowhere"),
        (["in.mp4", "-o", "old.html"], 1, "old.html exists"),
        (["in.mp4", "--png", "in.mp4"], 1, "this is a file"),
        (["in.mp4", "--png", "full"], 1, "files are in it"),
    ],
)
def test_refusals(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    backend: FakeBackend,
    arguments: list[str],
    status: int,
    message: str,
) -> None:
    write_clip(tmp_path / "in.mp4")
    (tmp_path / "old.html").write_text("old")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    assert _run(["preview", *arguments]) == status
    assert message in capsys.readouterr().err
    assert (tmp_path / "old.html").read_text() == "old"
    names = {file.name for file in tmp_path.iterdir()}
    assert names == {"in.mp4", "old.html", "full"}


def test_existing_files_are_replaced_on_request(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4")
    (tmp_path / "page.html").write_text("old")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "mine.txt").write_text("mine")
    with pytest.raises(OutputError):
        preview(source, _options())
    preview(source, _options(overwrite=True, png="pictures", frames=1))
    assert "<title>" in (tmp_path / "page.html").read_text()
    assert (tmp_path / "pictures" / "mine.txt").read_text() == "mine"
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 2


def test_what_the_command_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_clip(tmp_path / "in.mp4")
    assert _run(["preview", "in.mp4", "-m", "lite", "--frames", "1"]) == 0
    printed = capsys.readouterr()
    assert "in.mp4: 1 frame at 128x96" in printed.out
    assert "bicubic" in printed.out
    assert re.search(r"lite:None +[0-9.e-]+ s +at least [0-9.]+ s", printed.out)
    assert "wrote in-preview.html" in printed.err
    assert _run(["preview", "in.mp4", "-y", "--json", "--frames", "1"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["page"] == "in-preview.html"
    assert report["methods"][0] == {
        "name": "bicubic",
        "engine": "",
        "seconds_per_frame": None,
        "film_seconds": None,
    }


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.00421, "0.0042 s"),
        (3.07, "3.1 s"),
        (9.97, "10 s"),
        (3000, "50 min"),
    ],
)
def test_what_a_frame_takes(seconds: float | None, text: str) -> None:
    assert PreviewMethod("delta:video", "torch", seconds).cost == text


def test_networks_are_asked_for_with_their_domains() -> None:
    options = PreviewOptions(model=("delta:clean", "lite", "x:y.onnx"), domain="video")
    chosen = [options.for_model(name) for name in options.models]
    assert [(each.model, each.domain) for each in chosen] == [
        ("delta", "clean"),
        ("lite", "video"),
        ("x:y.onnx", "video"),
    ]
    assert PreviewOptions().models == ("delta", "lite")


def test_the_same_network_runs_once(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4", frames=3)
    report = preview(source, _options(model=("delta", "delta:video"), frames=1))
    assert len(report.methods) == 2


def test_parts_in_their_notation() -> None:
    assert parse_crop("640x360+10+20") == Crop(640, 360, (10, 20))
    assert parse_crop("640x360") == Crop(640, 360)
    assert parse_crop("all") == "all"
    assert str(Crop(640, 360, (10, 20))) == "640x360+10+20"
    for text in ("640", "640x360+10", "640x360-1+2", ""):
        with pytest.raises(OptionError):
            parse_crop(text)


def test_colours_that_cannot_be_shown(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mkv", codec="ffv1", frames=2, matrix=14)  # ICtCp
    with pytest.raises(InputError, match="upscale a few seconds of it"):
        preview(source, _options())


def test_the_real_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    source = write_clip(tmp_path / "in.mp4", frames=6)
    upscale(
        source,
        tmp_path / "out.mkv",
        UpscaleOptions(
            model="lite", fps="source", encoder=EncoderOptions(codec="ffv1")
        ),
    )
    extract(tmp_path / "out.mkv", tmp_path / "all", ExtractOptions())
    at = (Fraction(3, 25),)
    report = preview(source, _options(model=("lite",), at=at, png="pictures"))
    assert report.methods[1].name == "lite:video"
    assert MODELS["lite"].name in report.methods[1].name
    shown = read_picture(tmp_path / "pictures" / "01-0.120s-lite-video.png")
    assert np.array_equal(shown, read_picture(tmp_path / "all" / "frame000004.png"))
