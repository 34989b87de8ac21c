"""Videos to pictures and back: same samples, same colours; and folders through `upscale`."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from clips import texture, write_clip
from fake import FakeBackend

from vsrcli.cli import _run
from vsrcli.decode.probe import probe
from vsrcli.decode.reader import VideoReader
from vsrcli.errors import InputError, OptionError, OutputError
from vsrcli.frame import ColorTags, Frame
from vsrcli.images.folder_reader import FolderReader
from vsrcli.images.folders import FramePattern
from vsrcli.images.stills import encode_picture, read_picture, read_tags
from vsrcli.jobs.assemble import assemble
from vsrcli.jobs.extract import extract
from vsrcli.jobs.upscale import upscale
from vsrcli.options import (
    AssembleOptions,
    EncoderOptions,
    ExtractOptions,
    UpscaleOptions,
)


def frames(path: Path, **options: Any) -> list[Frame]:
    info = probe(path, keep_rgb=options.pop("keep_rgb", False))
    with VideoReader(info, **options) as reader:
        return list(reader)


def soft(path: Path, pix_fmt: str, *, frames: int = 4, **tags: int) -> Path:
    """Pictures whose colours RGB can hold, in ffv1."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=25)
        stream.width = 64
        stream.height = 48
        stream.pix_fmt = pix_fmt
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
        for number in range(frames):
            rgb = np.stack(
                [
                    40 + texture(5 * number + shift, (64, 48)) // 2
                    for shift in (0, 1, 2)
                ],
                axis=2,
            )
            picture = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(rgb), format="rgb24"
            ).reformat(format=pix_fmt)
            picture.pts = number
            picture.time_base = Fraction(1, 25)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def lossless(pix_fmt: str | None = None, **options: Any) -> AssembleOptions:
    return AssembleOptions(
        encoder=EncoderOptions(codec="ffv1", pix_fmt=pix_fmt),
        fps=Fraction(25),
        **options,
    )


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize(
    ("pix_fmt", "stored"),
    [
        ("bgr0", "bgr0"),
        ("gbrp10le", None),
        ("gbrp16le", "gbrp16le"),
        ("gray", "gray"),
        ("gray16le", "gray16le"),
    ],
)
def test_rgb_and_gray_come_back_bit_by_bit(
    tmp_path: Path, pix_fmt: str, stored: str | None, suffix: str
) -> None:
    source = soft(tmp_path / "in.mkv", pix_fmt, color_range=2)
    report = extract(
        source, tmp_path / "frames", ExtractOptions(pattern=f"%04d.{suffix}")
    )
    assert report.frames == 4
    assert [file.name for file in sorted((tmp_path / "frames").iterdir())] == [
        f"{number:04d}.{suffix}" for number in (1, 2, 3, 4)
    ]
    assemble(tmp_path / "frames", tmp_path / "out.mkv", lossless())
    if stored is not None:
        assert probe(tmp_path / "out.mkv").pixel_format == stored
    before = frames(source, keep_rgb=True)
    after = frames(tmp_path / "out.mkv", keep_rgb=True)
    assert len(after) == 4
    for one, other in zip(before, after, strict=True):
        for plane, back in zip(one.planes, other.planes, strict=True):
            # 10 bits become 16: each code has its own place there
            assert np.array_equal(
                np.rint(plane * (other.format.peak / one.format.peak)), back
            )


@pytest.mark.parametrize(
    "pix_fmt",
    [
        "yuv420p",
        "yuv422p",
        "yuv444p",
        "yuv420p10le",
        "yuv422p12le",
        "yuv440p",
        "yuv411p",
    ],
)
@pytest.mark.parametrize(("matrix", "primaries"), [(1, 1), (5, 5), (9, 9), (2, 2)])
def test_yuv_comes_back_within_rounding(
    tmp_path: Path, pix_fmt: str, matrix: int, primaries: int
) -> None:
    source = soft(
        tmp_path / "in.mkv",
        pix_fmt,
        colorspace=matrix,
        color_primaries=primaries,
        color_trc=1 if matrix != 2 else 2,
        color_range=1,
    )
    extract(source, tmp_path / "frames")
    first = read_picture(tmp_path / "frames" / "frame000001.png")
    assert first.dtype == (np.uint8 if pix_fmt.endswith("p") else np.uint16)
    report = assemble(tmp_path / "frames", tmp_path / "out.mkv", lossless(pix_fmt))
    after = probe(tmp_path / "out.mkv")
    assert (after.pixel_format, after.tags.range) == (pix_fmt, "limited")
    assert after.tags.matrix == (
        matrix if matrix != 2 else 6
    )  # a small picture that says nothing is BT.601
    assert (after.tags.primaries, report.frames) == (primaries, 4)
    for one, other in zip(frames(source), frames(tmp_path / "out.mkv"), strict=True):
        for plane, back in zip(one.planes, other.planes, strict=True):
            assert np.abs(plane.astype(int) - back.astype(int)).max() <= 1


def test_colours_are_right(tmp_path: Path) -> None:
    """A red of BT.709 is red, whatever the range; swscale is not asked."""
    for full, luma, blue, red in ((False, 63, 102, 240), (True, 54, 99, 255)):
        path = tmp_path / f"{full}.mkv"
        with av.open(str(path), "w") as container:
            stream: Any = container.add_stream("ffv1", rate=25)
            stream.width = 32
            stream.height = 32
            stream.pix_fmt = "yuv420p"
            stream.codec_context.colorspace = 1
            stream.codec_context.color_range = 2 if full else 1
            picture = av.VideoFrame(32, 32, "yuv420p")
            for plane, value in zip(picture.planes, (luma, blue, red), strict=True):
                plane.update(bytes([value]) * plane.buffer_size)
            container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
        extract(path, tmp_path / f"red-{full}")
        assert (
            np.abs(
                read_picture(tmp_path / f"red-{full}" / "frame000001.png")[5, 5].astype(
                    int
                )
                - (255, 0, 0)
            ).max()
            <= 2
        )


def test_hdr_says_so_in_png_and_comes_back(tmp_path: Path) -> None:
    source = soft(
        tmp_path / "in.mkv",
        "yuv420p10le",
        colorspace=9,
        color_primaries=9,
        color_trc=16,
    )
    extract(source, tmp_path / "frames")
    assert read_tags(tmp_path / "frames" / "frame000001.png") == ColorTags(
        "full", 2, 9, 16
    )
    report = assemble(
        tmp_path / "frames",
        tmp_path / "out.mp4",
        AssembleOptions(encoder=EncoderOptions(preset="ultrafast")),
    )
    after = probe(tmp_path / "out.mp4")
    assert (after.video.codec, after.pixel_format) == ("hevc", "yuv420p10le")
    assert (after.tags.matrix, after.tags.primaries, after.tags.transfer) == (9, 9, 16)
    assert any("6 bits of depth" in line for line in report.notes)
    with pytest.raises(OutputError, match="--strict allows no loss"):
        assemble(
            tmp_path / "frames", tmp_path / "strict.mp4", AssembleOptions(strict=True)
        )


def test_png_with_colours_is_one_that_others_read(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (9, 11, 4)).astype(np.uint8)
    content = encode_picture(
        picture, ".png", ColorTags("full", primaries=9, transfer=18)
    )
    (tmp_path / "1.png").write_bytes(content)
    assert np.array_equal(read_picture(tmp_path / "1.png", keep_alpha=True), picture)
    with av.open(str(tmp_path / "1.png")) as opened:
        (frame,) = opened.decode(video=0)
        assert (int(frame.color_primaries), int(frame.color_trc)) == (9, 18)
    assert read_tags(tmp_path / "1.png").range == "full"
    plain = encode_picture(picture, ".png", ColorTags("full"))
    assert b"cICP" not in plain


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le"])
def test_luma_as_it_is_stored(tmp_path: Path, pix_fmt: str) -> None:
    source = soft(tmp_path / "in.mkv", pix_fmt, color_range=1)
    extract(source, tmp_path / "frames", ExtractOptions(luma=True))
    gray = read_picture(tmp_path / "frames" / "frame000002.png")
    luma = frames(source)[1].luma
    assert np.array_equal(gray, luma if pix_fmt == "yuv420p" else luma << 6)
    assemble(tmp_path / "frames", tmp_path / "out.mkv", lossless())
    assert probe(tmp_path / "out.mkv").tags.range == "limited"
    assert np.array_equal(frames(tmp_path / "out.mkv")[1].luma, gray)


def test_alpha_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    random = np.random.default_rng(2)
    for number in (1, 2):
        cv2.imwrite(
            str(folder / f"{number}.png"),
            random.integers(0, 255, (16, 20, 4)).astype(np.uint8),
        )
    assemble(
        folder,
        tmp_path / "o.mov",
        AssembleOptions(encoder=EncoderOptions(codec="qtrle")),
    )
    extract(tmp_path / "o.mov", tmp_path / "back", ExtractOptions(pattern="%d.png"))
    for number in (1, 2):
        before, after = (
            read_picture(each / f"{number}.png", keep_alpha=True)
            for each in (folder, tmp_path / "back")
        )
        assert np.array_equal(before, after)
    report = assemble(folder, tmp_path / "o.mp4")
    assert any("loses alpha" in line for line in report.notes)


def test_players_get_what_they_show(tmp_path: Path, demo_clip: Path) -> None:
    extract(demo_clip, tmp_path / "frames")
    report = assemble(
        tmp_path / "frames",
        tmp_path / "o.mp4",
        AssembleOptions(audio_from=str(demo_clip)),
    )
    result = probe(tmp_path / "o.mp4")
    assert (result.video.codec, result.pixel_format, result.rate) == (
        "h264",
        "yuv420p",
        Fraction(30),
    )
    assert (result.tags.matrix, result.tags.range) == (1, "limited")
    assert [stream.codec for stream in result.streams if stream.kind == "audio"] == [
        "aac"
    ]
    assert report.codec == "libx264"
    for one, other in zip(frames(demo_clip), frames(tmp_path / "o.mp4"), strict=True):
        assert np.abs(one.luma.astype(float) - other.luma).mean() < 4
    assert report.frames == 30


def test_sound_of_another_length_is_said_and_sound_alone_will_do(
    tmp_path: Path, demo_clip: Path
) -> None:
    extract(demo_clip, tmp_path / "frames")
    with (
        av.open(str(demo_clip)) as source,
        av.open(str(tmp_path / "sound.m4a"), "w", format="mp4") as out,
    ):
        stream = source.streams.audio[0]
        copy = out.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.size:
                packet.stream = copy
                out.mux(packet)
    options = AssembleOptions(fps=Fraction(60), audio_from=str(tmp_path / "sound.m4a"))
    report = assemble(tmp_path / "frames", tmp_path / "o.mkv", options)
    assert any("is --fps right?" in line for line in report.notes)
    with pytest.raises(InputError, match="holds no audio"):
        assemble(
            tmp_path / "frames",
            tmp_path / "p.mkv",
            AssembleOptions(audio_from=str(soft(tmp_path / "mute.mkv", "yuv420p"))),
        )


def test_range_of_time(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "in.mp4", frames=10)
    report = extract(
        whole,
        tmp_path / "part",
        ExtractOptions(start=Fraction(2, 25), end=Fraction(5, 25)),
    )
    assert report.frames == 3
    with pytest.raises(OptionError, match="after the end"):
        extract(whole, tmp_path / "none", ExtractOptions(start=Fraction(100)))
    assert not (tmp_path / "none").exists()


def test_turned_video_gives_upright_pictures(tmp_path: Path) -> None:
    path = tmp_path / "turned.mp4"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.width = 64
        stream.height = 48
        stream.pix_fmt = "yuv420p"
        stream.set_display_rotation(90)
        luma = np.full((72, 64), 128, np.uint8)
        luma[:48, :16] = 235
        container.mux(stream.encode(av.VideoFrame.from_ndarray(luma, format="yuv420p")))
        container.mux(stream.encode(None))
    report = extract(path, tmp_path / "frames")
    picture = read_picture(tmp_path / "frames" / "frame000001.png")
    assert picture.shape[:2] == (64, 48)
    assert (report.width, report.height) == (48, 64)
    # 90 degrees counter-clockwise: what was left is at the bottom
    assert picture[60, 24, 1] > 230 > 150 > picture[4, 24, 1]


def test_folders_that_refuse(tmp_path: Path, demo_clip: Path) -> None:
    target = tmp_path / "frames"
    extract(demo_clip, target)
    with pytest.raises(OutputError, match="-y replaces those of the same names"):
        extract(demo_clip, target)
    (target / "frame000031.png").write_bytes(b"old")
    (target / "notes.txt").write_text("mine")
    extract(demo_clip, target, ExtractOptions(overwrite=True))
    assert (target / "frame000031.png").read_bytes() == b"old"
    assert (target / "notes.txt").read_text() == "mine"
    (target / "frame000031.png").unlink()
    (target / "frame000007.png").unlink()
    with pytest.raises(InputError, match="gap in the numbering: 7 missing"):
        assemble(target, tmp_path / "o.mp4")
    assert not list(tmp_path.glob("*.mp4"))
    (target / "frame000007.png").write_bytes(
        encode_picture(np.zeros((8, 8, 3), np.uint8), ".png")
    )
    with pytest.raises(InputError, match=r"frame000007\.png is 8x8 RGB"):
        assemble(target, tmp_path / "o.mp4")
    assert not list(tmp_path.glob("*.mp4"))
    assert not list(tmp_path.glob(".*"))
    for wrong in ("a.png", "%d%d.png", "x/%d.png", "%d.jpg", "%d_v2.png", "%x.png"):
        with pytest.raises(OptionError):
            FramePattern.parse(wrong)
    with pytest.raises(OutputError, match="is a file"):
        extract(demo_clip, demo_clip)


def test_a_failure_leaves_nothing(
    tmp_path: Path, demo_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Path.write_bytes
    count = iter(range(100))

    def full(self: Path, content: bytes) -> int:
        if next(count) == 5:
            raise OSError(28, "No space left on device")
        return original(self, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="no space left"):
        extract(demo_clip, tmp_path / "frames")
    assert not list(tmp_path.iterdir())


def test_upscale_into_and_out_of_folders(
    tmp_path: Path, fake: FakeBackend, demo_clip: Path
) -> None:
    report = upscale(demo_clip, tmp_path / "big")
    assert report.frames_out == 30
    assert any("holds no sound" in line for line in report.notes)
    assert read_picture(tmp_path / "big" / "frame000030.png").shape == (128, 192, 3)
    with pytest.raises(OutputError, match="--strict allows no loss"):
        upscale(demo_clip, tmp_path / "strict", UpscaleOptions(strict=True))
    upscale(tmp_path / "big", tmp_path / "bigger.mp4")
    assert (
        probe(tmp_path / "bigger.mp4").width,
        probe(tmp_path / "bigger.mp4").tags.matrix,
    ) == (384, 1)
    with pytest.raises(OptionError, match="cannot be read again"):
        upscale(demo_clip, tmp_path / "checked", UpscaleOptions(verify=True))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_folder_to_folder_keeps_names_depth_and_colours(
    tmp_path: Path, fake: FakeBackend, dtype: type[np.uint8] | type[np.uint16]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    gain = np.iinfo(dtype).max // 255
    for number in range(7, 12):
        colour = np.full((20, 24, 3), (30, 90, 200), dtype) * gain
        cv2.imwrite(str(folder / f"shot_{number}.tif"), colour)
    upscale(folder, tmp_path / "out", UpscaleOptions(start=Fraction(2, 30)))
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "shot_10.tif",
        "shot_11.tif",
        "shot_9.tif",
    ]
    picture = read_picture(tmp_path / "out" / "shot_10.tif")
    assert picture.dtype == dtype
    assert picture.shape == (40, 48, 3)
    assert (
        np.abs(picture.astype(int) - np.array((200, 90, 30)) * gain).max()
        <= 1 + gain // 128
    )


def test_simulation_fields(tmp_path: Path, fake: FakeBackend) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    y, x = np.mgrid[0:24, 0:32].astype(np.float32)
    for number in range(4):
        cv2.imwrite(
            str(folder / f"t{number:03d}.tiff"),
            np.sin(x / 6 + number / 3) * np.cos(y / 5) * 40 - 7,
        )
    with pytest.raises(InputError, match="--range MIN MAX"):
        upscale(folder, tmp_path / "out")
    with pytest.raises(InputError, match="beyond --range"):
        upscale(folder, tmp_path / "out", UpscaleOptions(value_range=(-1.0, 1.0)))
    assert not (tmp_path / "out").exists()
    upscale(folder, tmp_path / "out", UpscaleOptions(value_range=(-50.0, 50.0)))
    field = read_picture(tmp_path / "out" / "t002.tiff")
    assert field.dtype == np.float32
    assert field.shape == (48, 64)
    inner = (
        np.sin((np.arange(64) / 2 - 0.25) / 6 + 2 / 3)[None]
        * np.cos((np.arange(48) / 2 - 0.25) / 5)[:, None]
        * 40
        - 7
    )
    assert np.abs(field - inner)[4:-4, 4:-4].max() < 0.7
    with pytest.raises(InputError, match="holds whole numbers"):
        FolderReader(soft_folder(tmp_path), rate=Fraction(30), value_range=(0.0, 1.0))
    with pytest.raises(OptionError, match="--range is for folders"):
        upscale(
            write_clip(tmp_path / "v.mp4", frames=3),
            tmp_path / "o.mp4",
            UpscaleOptions(value_range=(0.0, 1.0)),
        )


def soft_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "whole"
    folder.mkdir()
    cv2.imwrite(str(folder / "1.png"), np.zeros((8, 8), np.uint8))
    return folder


def test_commands(
    tmp_path: Path, demo_clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        _run(["extract", str(demo_clip), str(tmp_path / "f"), "--json", "--end", "0.2"])
        == 0
    )
    assert json.loads(capsys.readouterr().out)["frames"] == 6
    assert (
        _run(
            [
                "assemble",
                str(tmp_path / "f"),
                str(tmp_path / "o.mp4"),
                "--fps",
                "25",
                "--crf",
                "20",
                "--json",
            ]
        )
        == 0
    )
    said = capsys.readouterr()
    assert json.loads(said.out)["frames"] == 6
    assert "RGB becomes yuv420p" in said.err
    assert probe(tmp_path / "o.mp4").rate == 25
    assert _run(["assemble", str(tmp_path / "f"), str(tmp_path / "o.mp4")]) == 1
    assert "-y replaces it" in capsys.readouterr().err
    assert _run(["extract", str(tmp_path / "missing.mp4"), str(tmp_path / "g")]) == 1
    assert _run(["assemble", str(demo_clip), str(tmp_path / "p.mp4")]) == 1
    assert "is not a folder" in capsys.readouterr().err
    assert _run(["extract", str(demo_clip), "-"]) == 2
