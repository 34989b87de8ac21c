"""The shape of pictures: cropping, two views in one picture, spherical video, guessed colours."""

from __future__ import annotations

import io
import random
import re
import struct
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from boxes import box_of, element, with_box, with_elements
from clips import texture, write_clip
from damage import Parts, rebuild
from fake import FakeBackend

from vsrcli.cli import main
from vsrcli.decode import stream_header
from vsrcli.decode.probe import probe
from vsrcli.decode.reader import VideoReader
from vsrcli.decode.shape import cropping_of
from vsrcli.errors import OutputError
from vsrcli.frame import ColorTags, Cropping, Frame, PixelFormat
from vsrcli.jobs.extract import extract
from vsrcli.jobs.upscale import upscale
from vsrcli.options import EncoderOptions, UpscaleOptions
from vsrcli.picture.matrices import tags_for_size
from vsrcli.verification.verify import verify

OPTIONS = UpscaleOptions(
    fps="source",
    encoder=EncoderOptions(codec="libx264", preset="ultrafast", crf=10),
    verify=True,
    overwrite=True,
)
STRICT = replace(OPTIONS, strict=True)
_CROPPED = (
    element(0x54CC, 4) + element(0x54BB, 10) + element(0x54DD, 8) + element(0x54AA, 6)
)
_SIDE_BY_SIDE = element(0x53B8, 1)
_EQUIRECTANGULAR = element(0x7670, element(0x7671, b"\1") + element(0x7672, bytes(20)))
_TILTED = element(
    0x7670,
    element(0x7671, b"\1")
    + element(0x7672, bytes(20))
    + element(0x7674, struct.pack(">f", -10)),
)


def _shown_as(width: int, height: int) -> bytes:
    """Elements that say how large a picture is shown, in pixels."""
    unit = element(0x54B2, 0)
    return element(0x54B0, width) + element(0x54BA, height) + unit


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64x48, 4 frames, H.264 in Matroska; nothing special."""
    path = tmp_path_factory.mktemp("plain") / "plain.mkv"
    return write_clip(path, frames=4, options={"crf": "8", "preset": "ultrafast"})


def frames_of(path: Path) -> list[Frame]:
    with VideoReader(probe(path)) as reader:
        return list(reader)


def failed(source: Path, target: Path) -> list[str]:
    report = verify(source, target, replace(OPTIONS, verify=False))
    return [check.name for check in report.failed]


# Cropping


def test_cropping_of_matroska_is_applied(
    plain: Path, tmp_path: Path, fake: FakeBackend
) -> None:
    source = with_elements(plain, tmp_path / "in.mkv", video=_CROPPED)
    info = probe(source)
    assert info.cropping == Cropping(left=4, top=10, right=8, bottom=6)
    assert (info.width, info.height) == (52, 32)
    assert info.decoded_size == (64, 48)
    for cropped, whole in zip(frames_of(source), frames_of(plain), strict=True):
        assert np.array_equal(cropped.luma, whole.luma[10:42, 4:56])
        for part, plane in zip(cropped.chroma, whole.chroma, strict=True):
            assert np.array_equal(part, plane[5:21, 2:28])

    target = tmp_path / "out.mkv"
    upscale(source, target, STRICT)
    output = probe(target)
    assert (output.width, output.height) == (104, 64)
    assert not output.cropping


def test_an_output_of_the_whole_picture_is_not_that_of_the_cropped_one(
    plain: Path, tmp_path: Path, fake: FakeBackend
) -> None:
    source = with_elements(plain, tmp_path / "in.mkv", video=_CROPPED)
    upscale(plain, tmp_path / "whole.mkv", OPTIONS)
    assert "size" in failed(source, tmp_path / "whole.mkv")
    elsewhere = element(0x54CC, 12) + element(0x54BB, 16)
    other = with_elements(plain, tmp_path / "other.mkv", video=elsewhere)
    upscale(other, tmp_path / "elsewhere.mkv", OPTIONS)
    assert failed(source, tmp_path / "elsewhere.mkv") == ["content"]


def test_the_shape_of_pixels_is_that_of_the_cropped_picture(
    plain: Path, tmp_path: Path, fake: FakeBackend
) -> None:
    shown = _shown_as(64, 48)
    video = element(0x54BB, 12) + element(0x54AA, 12) + shown
    source = with_elements(plain, tmp_path / "in.mkv", video=video)
    assert probe(source).sample_aspect == Fraction(1, 2)
    upscale(source, tmp_path / "out.mp4", STRICT)
    output = probe(tmp_path / "out.mp4")
    assert (output.width, output.height) == (128, 48)
    assert output.sample_aspect == Fraction(1, 2)


def test_clean_aperture_of_mp4_is_applied(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "plain.mp4"), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25)
        stream.width = 64
        stream.height = 48
        stream.pix_fmt = "yuv420p"
        picture = av.VideoFrame.from_ndarray(
            np.arange(64 * 48, dtype=np.uint16).reshape(48, 64).astype(np.uint8),
            format="gray",
        )
        container.mux(stream.encode(picture.reformat(format="yuv420p")))
        container.mux(stream.encode(None))
    # 40x24, its centre 4 pixels to the right of the picture's and 2 above
    aperture = struct.pack(">8i", 40, 1, 24, 1, 4, 1, -2, 1)
    source = with_box(
        tmp_path / "plain.mp4",
        tmp_path / "in.mp4",
        b"avc1",
        box_of(b"clap", aperture),
    )
    info = probe(source)
    assert info.cropping == Cropping(left=16, top=10, right=8, bottom=14)
    whole = frames_of(tmp_path / "plain.mp4")[0]
    assert np.array_equal(frames_of(source)[0].luma, whole.luma[10:34, 16:56])


@pytest.mark.parametrize(
    ("sides", "expected"),
    [
        ((5, 3, 1, 0), Cropping(left=4, top=2, right=1, bottom=0)),  # whole chroma
        ((0, 0, 63, 47), Cropping(right=63, bottom=47)),
    ],
)
def test_odd_cropping(
    plain: Path,
    tmp_path: Path,
    sides: tuple[int, ...],
    expected: Cropping,
) -> None:
    numbers = (0x54CC, 0x54BB, 0x54DD, 0x54AA)
    video = b"".join(map(element, numbers, sides))
    source = with_elements(plain, tmp_path / "in.mkv", video=video)
    assert probe(source).cropping == expected
    frame = frames_of(source)[0]
    width = 64 - expected.left - expected.right
    assert frame.luma.shape == (48 - expected.top - expected.bottom, width)
    assert frame.chroma[0].shape[1] == -(-width // 2)


def test_impossible_cropping_is_none() -> None:
    sides = ((0x54AA, b"\x18"), (0x54BB, b"\x18"))
    header = stream_header.StreamHeader(sides)
    layout = PixelFormat("yuv420p", 8, 1, 1, has_chroma=True)
    for height, expected in ((48, Cropping()), (50, Cropping(top=24, bottom=24))):
        cropping = cropping_of(header, (64, height), layout, interlaced=False)
        assert cropping == expected
    fields = cropping_of(
        stream_header.StreamHeader(((0x54BB, b"\x0b"),)),
        (64, 48),
        layout,
        interlaced=True,
    )
    assert fields == Cropping(top=8)


def test_info_says_what_is_cropped(
    plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = with_elements(plain, tmp_path / "in.mkv", video=_CROPPED)
    with pytest.raises(SystemExit):
        main(["info", str(source)])
    assert "4 left, 10 top, 8 right, 6 bottom" in capsys.readouterr().out


def test_elements_of_any_bytes_end() -> None:
    header = stream_header.element(0xE0, stream_header.element(0x54AA, b"\x07"))
    assert list(stream_header.leaves(header)) == [(0x54AA, b"\x07")]
    nested = b"\x01"
    for _ in range(200):
        nested = stream_header.element(stream_header.SEGMENT, nested)
    assert list(stream_header.leaves(nested))
    source = random.Random(7)
    for _ in range(2000):
        data = bytearray(header * 3)
        for _ in range(source.randrange(1, 6)):
            data[source.randrange(len(data))] = source.randrange(256)
        list(stream_header.leaves(bytes(data[: source.randrange(len(data))])))


# Two views


def test_views_side_by_side_keep_their_shape_in_matroska(
    plain: Path, tmp_path: Path, fake: FakeBackend
) -> None:
    """FFmpeg reads their pixels as twice as wide, and would write them as square."""
    source = with_elements(plain, tmp_path / "in.mkv", video=_SIDE_BY_SIDE)
    wide = with_elements(
        plain,
        tmp_path / "wide.mkv",
        video=_SIDE_BY_SIDE + _shown_as(64, 48),
    )
    for path, aspect in ((source, None), (wide, 2)):
        info = probe(path)
        assert info.stereo_mode == "left_right"
        assert info.sample_aspect == aspect
        upscale(path, tmp_path / "out.mkv", STRICT)
        output = probe(tmp_path / "out.mkv")
        assert output.stereo_mode == "left_right"
        assert output.sample_aspect == (aspect or 1)


def test_frame_packing_of_h264_is_carried(tmp_path: Path, fake: FakeBackend) -> None:
    options = {"x264-params": "frame-packing=4", "preset": "ultrafast"}
    source = write_clip(tmp_path / "in.mp4", frames=3, options=options)
    assert probe(source).stereo_mode == "top_bottom"
    for name in ("out.mp4", "out.mkv", "out.ts"):
        upscale(source, tmp_path / name, STRICT)
        assert probe(tmp_path / name).stereo_mode == "top_bottom", name
    hevc = replace(OPTIONS, encoder=EncoderOptions(codec="libx265", preset="ultrafast"))
    report = upscale(source, tmp_path / "hevc.mp4", hevc)
    assert any("two views (top bottom)" in line for line in report.notes)
    with pytest.raises(OutputError, match="two views"):
        upscale(source, tmp_path / "strict.mp4", replace(hevc, strict=True))


def test_interleaved_views_are_named_as_lost(
    plain: Path, tmp_path: Path, fake: FakeBackend
) -> None:
    source = with_elements(plain, tmp_path / "in.mkv", video=element(0x53B8, 7))
    assert probe(source).stereo_mode == "row_interleaved_lr"
    report = upscale(source, tmp_path / "out.mkv", OPTIONS)
    assert any("alternate within each picture" in line for line in report.notes)
    assert probe(tmp_path / "out.mkv").stereo_mode is None


def test_lost_or_swapped_views_fail(
    plain: Path, tmp_path: Path, fake: FakeBackend
) -> None:
    source = with_elements(plain, tmp_path / "in.mkv", video=_SIDE_BY_SIDE)
    upscale(plain, tmp_path / "flat.mkv", OPTIONS)
    assert failed(source, tmp_path / "flat.mkv") == ["stereo"]
    other = with_elements(plain, tmp_path / "other.mkv", video=element(0x53B8, 11))
    upscale(other, tmp_path / "swapped.mkv", OPTIONS)
    assert failed(source, tmp_path / "swapped.mkv") == ["stereo"]
    upscale(source, tmp_path / "honest.mkv", OPTIONS)
    assert failed(source, tmp_path / "honest.mkv") == []
    assert failed(plain, tmp_path / "honest.mkv") == ["stereo"]


# Spherical video


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_projection_is_carried(
    plain: Path,
    tmp_path: Path,
    fake: FakeBackend,
    suffix: str,
) -> None:
    source = with_elements(plain, tmp_path / "in.mkv", video=_EQUIRECTANGULAR)
    target = tmp_path / f"out{suffix}"
    upscale(source, target, STRICT)
    flat = tmp_path / f"flat{suffix}"
    upscale(plain, flat, STRICT)
    assert probe(source).projection is not None
    assert probe(target).projection == probe(source).projection
    assert probe(flat).projection is None
    # only the description differs
    for one, other in zip(frames_of(target), frames_of(flat), strict=True):
        assert np.array_equal(one.luma, other.luma)
        assert one.time == other.time
    assert failed(source, flat) == ["projection"]
    assert failed(plain, target) == ["projection"]


def test_a_tilted_projection(plain: Path, tmp_path: Path, fake: FakeBackend) -> None:
    source = with_elements(plain, tmp_path / "in.mkv", video=_TILTED)
    upscale(source, tmp_path / "out.mkv", STRICT)
    assert probe(tmp_path / "out.mkv").projection == probe(source).projection
    level = with_elements(plain, tmp_path / "level.mkv", video=_EQUIRECTANGULAR)
    assert failed(level, tmp_path / "out.mkv") == ["projection"]
    report = upscale(source, tmp_path / "out.mp4", OPTIONS)
    assert any("spherical video" in line for line in report.notes)


def test_a_projection_in_segments(tmp_path: Path, fake: FakeBackend) -> None:
    times = [0, 500, 1000, 1500, 2000, 2500]
    clip = write_clip(tmp_path / "flat.mkv", frames=6, times=times, gop=2)
    source = with_elements(clip, tmp_path / "in.mkv", video=_EQUIRECTANGULAR)
    upscale(source, tmp_path / "out.mkv", replace(STRICT, segment=1))
    assert probe(tmp_path / "out.mkv").projection == probe(source).projection


def test_where_no_projection_can_be_said(
    plain: Path, tmp_path: Path, fake: FakeBackend
) -> None:
    source = with_elements(plain, tmp_path / "in.mkv", video=_EQUIRECTANGULAR)
    for name in ("out.avi", "out.ts", "out.mov"):
        with pytest.raises(OutputError, match="spherical video"):
            upscale(source, tmp_path / name, STRICT)


# Guessed colours


@pytest.mark.parametrize(
    ("tags", "size", "expected"),
    [
        (ColorTags(), (640, 480), (6, 6)),
        (ColorTags(), (720, 576), (5, 5)),
        (ColorTags(), (640, 360), (6, 2)),
        (ColorTags(), (320, 240), (2, 2)),  # still small
        (ColorTags(), (1280, 720), (2, 2)),  # large before
        (ColorTags(matrix=1), (640, 480), (1, 2)),
        (ColorTags(primaries=5), (640, 480), (5, 5)),
    ],
)
def test_what_players_would_guess_otherwise_is_tagged(
    tags: ColorTags, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    width, height = size
    tagged = tags_for_size(tags, size, (2 * width, 2 * height))
    assert (tagged.matrix, tagged.primaries) == expected


def test_a_turned_picture_may_become_small() -> None:
    tagged = tags_for_size(ColorTags(), (100, 600), (1200, 200))
    assert (tagged.matrix, tagged.primaries) == (1, 1)


@pytest.fixture(scope="module")
def untagged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One green picture of 640x480 without colour tags."""
    path = tmp_path_factory.mktemp("untagged") / "in.mkv"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25)
        stream.width = 640
        stream.height = 480
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": "ultrafast"}
        picture = av.VideoFrame(640, 480, "yuv420p")
        for plane, value in zip(picture.planes, (145, 54, 34), strict=True):
            plane.update(bytes([value]) * plane.buffer_size)
        container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def test_untagged_colours_stay_those_of_standard_definition(
    untagged: Path, tmp_path: Path, fake: FakeBackend
) -> None:
    assert probe(untagged).tags.matrix == 2
    report = upscale(untagged, tmp_path / "out.mkv", STRICT)
    tags = probe(tmp_path / "out.mkv").tags
    assert (tags.matrix, tags.primaries) == (6, 6)
    assert any("tagged BT.601" in line for line in report.notes)
    colours = []
    for name, path in (("before", untagged), ("after", tmp_path / "out.mkv")):
        extract(path, tmp_path / name)
        with av.open(str(tmp_path / name / "frame000001.png")) as picture:
            pixels = next(picture.decode(video=0)).to_ndarray(format="rgb24")
        colours.append(pixels.reshape(-1, 3).mean(axis=0))
    assert np.abs(colours[0] - colours[1]).max() < 2

    def lose_tags(parts: Parts) -> None:
        parts.colours = [0, 2, 2, 2]
        parts.matrix = None

    rebuild(tmp_path / "out.mkv", tmp_path / "bad.mkv", lose_tags)
    assert failed(untagged, tmp_path / "bad.mkv") == ["colour"]


def test_where_colours_cannot_be_tagged_that_is_a_loss(
    untagged: Path, tmp_path: Path, fake: FakeBackend
) -> None:
    encoder = EncoderOptions(codec="mpeg4")
    with pytest.raises(OutputError, match="loses the colour tags"):
        upscale(untagged, tmp_path / "out.avi", replace(STRICT, encoder=encoder))


def test_the_header_of_a_stream_is_as_ffmpeg_describes_it(plain: Path) -> None:
    content = io.BytesIO(plain.read_bytes())
    with av.open(content) as container:
        header = stream_header.StreamHeader.of_stream(container.streams.video[0])
    assert header.number(0xB0) == 64
    assert header.number(0xBA) == 48
    assert header.content(0x7670) is None


def test_a_display_matrix_that_leaves_no_picture_is_none(
    tmp_path: Path, fake: FakeBackend
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=3)
    content = bytearray(clip.read_bytes())
    # ISO/IEC 14496-12, version 0 of the box: nine numbers after its name and 40 bytes
    matrix = content.index(b"tkhd") + 44
    content[matrix : matrix + 36] = bytes(36)
    source = tmp_path / "in.mp4"
    source.write_bytes(content)
    info = probe(source)
    assert (info.rotation, info.display_matrix) == (0, None)
    upscale(source, tmp_path / "out.mkv", OPTIONS)


def test_reserved_codes_of_colours_say_nothing(
    tmp_path: Path, fake: FakeBackend
) -> None:
    source = tmp_path / "in.m2v"
    with av.open(str(source), "w", format="mpeg2video") as out:
        stream: Any = out.add_stream("mpeg2video", rate=25)
        stream.width = 64
        stream.height = 48
        stream.pix_fmt = "yuv420p"
        stream.codec_context.color_primaries = 5
        stream.codec_context.color_trc = 5
        stream.codec_context.colorspace = 5
        for number in range(3):
            picture = av.VideoFrame.from_ndarray(texture(number, (64, 48)), "gray")
            out.mux(stream.encode(picture.reformat(format="yuv420p")))
        out.mux(stream.encode(None))
    content = source.read_bytes()
    # ISO/IEC 13818-2, sequence_display_extension: a byte of flags, then primaries and transfer
    extension = re.compile(rb"(\x00\x00\x01\xb5[\x20-\x2f])\x05\x05")
    assert extension.search(content)
    source.write_bytes(extension.sub(lambda match: match[1] + bytes(2), content))
    tags = probe(source).tags
    assert (tags.primaries, tags.transfer, tags.matrix) == (2, 2, 5)
    upscale(source, tmp_path / "out.mkv", OPTIONS)
