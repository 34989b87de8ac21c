"""What `upscale` preserves beside luma and time, and what it says where it cannot.

Depth, alpha, colour, light, shape, fields, pipes.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import write_clip
from fake import FakeBackend

from vsrcli.containers.pipe import SharedPipe
from vsrcli.decode.decoding import Unpacker
from vsrcli.decode.probe import probe
from vsrcli.decode.reader import VideoReader
from vsrcli.encode.encoders import resolve_codec, without_nvidia
from vsrcli.encode.formats import choose_format
from vsrcli.errors import InputError, OptionError, OutputError
from vsrcli.frame import Cropping, Frame, Hdr, PixelFormat
from vsrcli.jobs.upscale import upscale
from vsrcli.options import EncoderOptions, UpscaleOptions
from vsrcli.pipeline.upscale_report import UpscaleReport

needs_ffprobe = pytest.mark.skipif(
    shutil.which("ffprobe") is None, reason="no ffprobe program here"
)
DISPLAY = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
HDR10 = {
    "x265-params": (
        "log-level=none:hdr10=1:repeat-headers=1:colorprim=9:transfer=16:colormatrix=9"
        f":master-display={DISPLAY}:max-cll=1000,400"
    )
}


def run(source: Path, target: Path, **options: Any) -> UpscaleReport:
    settings = options.pop("encoder", {})
    if settings.get("codec", "auto") in ("auto", "libx264", "libx265"):
        settings = {"preset": "ultrafast", **settings}
    encoder = EncoderOptions(**settings)
    return upscale(
        source,
        target,
        UpscaleOptions(**{"fps": "source", "encoder": encoder, **options}),
    )


def frames(path: Path, **options: Any) -> list[Frame]:
    with VideoReader(probe(path), **options) as reader:
        return list(reader)


def codec_of(path: Path) -> str:
    return probe(path).video.codec


@pytest.mark.parametrize(
    ("name", "pix_fmt", "codec", "expected"),
    [
        ("o.mp4", "yuv420p", "libx264", "h264"),
        ("o.mp4", "yuv420p10le", "ffv1", "hevc"),
        ("o.webm", "yuv420p", "libx264", "vp9"),
        ("o.avi", "yuv420p", "libx264", "h264"),
        ("o.mkv", "yuv422p10le", "ffv1", "hevc"),
    ],
)
def test_auto_takes_the_encoder_that_fits(
    tmp_path: Path,
    fake: FakeBackend,
    name: str,
    pix_fmt: str,
    codec: str,
    expected: str,
) -> None:
    source = write_clip(tmp_path / "in.mkv", frames=3, codec=codec, pix_fmt=pix_fmt)
    run(source, tmp_path / name, fps=Fraction(25))
    assert codec_of(tmp_path / name) == expected
    assert probe(tmp_path / name).format.name == pix_fmt


def test_hdr10_is_carried(tmp_path: Path, fake: FakeBackend) -> None:
    source = write_clip(
        tmp_path / "in.mkv",
        frames=3,
        codec="libx265",
        pix_fmt="yuv420p10le",
        options=HDR10,
    )
    before = probe(source)
    assert before.hdr.content_light == (1000, 400)
    assert before.hdr.mastering is not None
    assert before.hdr.mastering.max_luminance == 1000
    assert before.hdr.mastering.green == (Fraction(265, 1000), Fraction(69, 100))
    for name, codec in (
        ("a.mp4", "auto"),
        ("b.mkv", "libx264"),
        ("c.mkv", "libsvtav1"),
    ):
        run(source, tmp_path / name, encoder={"codec": codec, "preset": "ultrafast"})
        after = probe(tmp_path / name)
        assert (after.tags.matrix, after.tags.primaries, after.tags.transfer) == (
            9,
            9,
            16,
        ), name
        assert after.hdr.content_light == (1000, 400), name
        assert after.hdr.mastering is not None, name
        for one, other in (
            ("red", "red"),
            ("green", "green"),
            ("blue", "blue"),
            ("white", "white"),
        ):
            for wanted, found in zip(
                getattr(before.hdr.mastering, one),
                getattr(after.hdr.mastering, other),
                strict=True,
            ):
                assert abs(wanted - found) < Fraction(1, 20000), (name, one)
        assert abs(after.hdr.mastering.max_luminance - 1000) < 1
        assert abs(after.hdr.mastering.min_luminance - Fraction(5, 1000)) < Fraction(
            1, 5000
        )
    report = run(source, tmp_path / "d.mkv", encoder={"codec": "ffv1"})
    assert any("HDR10 metadata" in line for line in report.notes)
    assert probe(tmp_path / "d.mkv").hdr == Hdr()
    with pytest.raises(OutputError, match="--strict allows no loss"):
        run(source, tmp_path / "e.mkv", encoder={"codec": "ffv1"}, strict=True)


@needs_ffprobe
def test_another_program_sees_the_hdr10_metadata(
    tmp_path: Path, fake: FakeBackend
) -> None:
    source = write_clip(
        tmp_path / "in.mkv",
        frames=3,
        codec="libx265",
        pix_fmt="yuv420p10le",
        options=HDR10,
    )
    run(source, tmp_path / "o.mp4")
    command = [
        "ffprobe",
        "-v",
        "error",
        "-of",
        "json",
        "-show_frames",
        "-read_intervals",
        "%+#1",
        "-select_streams",
        "v",
        str(tmp_path / "o.mp4"),
    ]
    (frame,) = json.loads(
        subprocess.run(command, capture_output=True, check=True).stdout
    )["frames"]
    data = {item["side_data_type"]: item for item in frame["side_data_list"]}
    assert data["Mastering display metadata"]["green_x"] == "13250/50000"
    assert data["Content light level metadata"]["max_content"] == 1000
    assert (
        frame["color_transfer"],
        frame["color_space"],
        frame["color_primaries"],
    ) == ("smpte2084", "bt2020nc", "bt2020")


def with_alpha(path: Path, codec: str, pix_fmt: str, **options: str) -> Path:
    layout = PixelFormat.parse(pix_fmt)
    assert layout is not None
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=25, options=options)
        stream.width = 64
        stream.height = 48
        stream.pix_fmt = pix_fmt
        for number in range(3):
            picture = av.VideoFrame(64, 48, pix_fmt)
            for index, plane in enumerate(picture.planes):
                ramp = (
                    np.linspace(0, layout.peak, plane.width)
                    if index == 3
                    else np.full(plane.width, (80 + 20 * index) << (layout.bits - 8))
                )
                whole = np.zeros(
                    (plane.height, plane.line_size // np.dtype(layout.dtype).itemsize),
                    layout.dtype,
                )
                whole[:, : plane.width] = ramp.astype(layout.dtype)
                plane.update(whole.tobytes())
            picture.pts = number
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("source", "target", "encoder", "kept"),
    [
        (("a.mkv", "ffv1", "yuva420p"), "o.mkv", {"codec": "ffv1"}, "yuva420p"),
        (("a.mkv", "ffv1", "yuva444p10le"), "o.mkv", {"codec": "ffv1"}, "yuva444p10le"),
        (
            ("a.webm", "libvpx-vp9", "yuva420p"),
            "o.webm",
            {"preset": "ultrafast"},
            "yuva420p",
        ),
        (
            ("a.mkv", "ffv1", "yuva422p10le"),
            "o.mov",
            {"codec": "prores_ks"},
            "yuva444p12le",
        ),
        (("a.mkv", "ffv1", "yuva420p"), "o.mp4", {"codec": "libx264"}, None),
        (("a.mkv", "ffv1", "yuva420p10le"), "o.mp4", {"codec": "libx265"}, None),
    ],
)
def test_alpha_is_kept_or_its_loss_is_said(
    tmp_path: Path,
    fake: FakeBackend,
    source: tuple[str, str, str],
    target: str,
    encoder: dict[str, Any],
    kept: str | None,
) -> None:
    name, codec, pix_fmt = source
    path = with_alpha(
        tmp_path / name,
        codec,
        pix_fmt,
        **({"crf": "4", "b": "0"} if codec == "libvpx-vp9" else {}),
    )
    report = run(path, tmp_path / target, encoder=encoder)
    result = probe(tmp_path / target)
    assert any("loses alpha" in line for line in report.notes) == (kept is None)
    if kept is None:
        assert not result.format.has_alpha
        with pytest.raises(OutputError, match="loses alpha"):
            run(path, tmp_path / f"strict-{target}", encoder=encoder, strict=True)
        return
    assert result.format.name == kept
    alpha = frames(tmp_path / target)[1].alpha
    assert alpha is not None
    peak = result.format.peak
    places = np.arange(128) / 2 - 0.25
    ramp = np.interp(places, np.arange(64), np.linspace(0, peak, 64))
    difference = np.abs(alpha[20].astype(float) - ramp)
    assert difference[3:-3].max() < 0.02 * peak


@pytest.mark.parametrize(
    "pix_fmt",
    [
        "yuv420p",
        "yuv422p",
        "yuv444p",
        "yuv440p",
        "yuv411p",
        "yuv410p",
        "gray",
        "gray10le",
        "gray12le",
        "gray16le",
        "yuv420p9le",
        "yuv420p10le",
        "yuv422p10le",
        "yuv444p10le",
        "yuv420p12le",
        "yuv422p12le",
        "yuv444p12le",
        "yuv420p14le",
        "yuv444p16le",
        "yuva420p",
        "yuva444p16le",
    ],
)
def test_depth_and_subsampling_stay(
    tmp_path: Path, fake: FakeBackend, pix_fmt: str
) -> None:
    source = write_clip(
        tmp_path / "in.mkv", frames=2, size=(48, 32), codec="ffv1", pix_fmt=pix_fmt
    )
    report = run(source, tmp_path / "o.mkv", encoder={"codec": "ffv1"}, strict=True)
    assert probe(tmp_path / "o.mkv").format.name == pix_fmt
    assert report.notes == []
    for one, other in zip(frames(source), frames(tmp_path / "o.mkv"), strict=True):
        for plane, doubled in zip(one.planes, other.planes, strict=True):
            assert (
                abs(float(plane.mean()) - float(doubled.mean()))
                < 0.02 * one.format.peak
            )


@pytest.mark.parametrize(
    "pix_fmt",
    [
        "nv12",
        "yuyv422",
        "uyvy422",
        "yuvj420p",
        "yuvj422p",
        "rgb24",
        "bgr24",
        "rgba",
        "bgr0",
        "gbrp",
        "rgb48le",
        "gray16be",
        "yuv420p10be",
        "monob",
        "ya8",
    ],
)
def test_raw_video_of_any_layout_goes_through(
    tmp_path: Path, fake: FakeBackend, pix_fmt: str
) -> None:
    """Raw video of any layout, with the default encoder, against FFmpeg's own 8-bit luma."""
    source = tmp_path / "in.nut"
    with av.open(str(source), "w") as container:
        stream: Any = container.add_stream("rawvideo", rate=25)
        stream.width = 48
        stream.height = 32
        stream.pix_fmt = pix_fmt
        columns = np.linspace(40, 200, 48).astype(np.uint8)
        picture = av.VideoFrame.from_ndarray(np.tile(columns, (32, 1)), format="gray")
        # by way of RGB, whose gray is full range, the same picture everywhere
        picture = (
            picture.reformat(format="rgb24").reformat(format=pix_fmt)
            if pix_fmt != "monob"
            else picture.reformat(format=pix_fmt)
        )
        for number in range(2):
            picture.pts = number
            picture.time_base = Fraction(1, 25)
            container.mux(stream.encode(picture))
    report = run(source, tmp_path / "o.mp4", encoder={"crf": 4, "preset": "ultrafast"})
    assert report.frames_out == 2
    before = frames(source)[0]
    after = frames(tmp_path / "o.mp4")[0]
    assert (after.width, after.height) == (96, 64)
    unit = 1 << (before.format.bits - 8)
    scale = unit / (1 << (after.format.bits - 8))
    small = after.luma.astype(float).reshape(32, 2, 48, 2).mean((1, 3)) * scale
    if pix_fmt != "monob":
        difference = np.abs(small - before.luma)
        assert difference[:, 2:-2].max() <= 4 * unit
    assert any("--pix-fmt yuv444p" in line for line in report.notes) == (
        pix_fmt in ("rgb24", "bgr24", "rgba", "bgr0", "gbrp", "rgb48le")
    )


@pytest.mark.parametrize(
    ("stored", "planar", "pairs"),
    [
        ("nv12", "yuv420p", 1),
        ("nv16", "yuv422p", 1),
        ("nv24", "yuv444p", 1),
        ("p010le", "yuv420p10le", 64),
        ("p210le", "yuv422p10le", 64),
    ],
)
def test_chroma_in_pairs_is_unpacked_exactly(
    stored: str, planar: str, pairs: int
) -> None:
    """As GPU decoders and raw devices give it: one plane of pairs, 10 bits in the upper bits."""
    layout = PixelFormat.parse(planar)
    assert layout is not None
    picture = av.VideoFrame(48, 32, stored)
    width, height = layout.chroma_size(48, 32)
    random = np.random.default_rng(0)
    luma, blue, red = (
        random.integers(0, layout.peak + 1, shape).astype(layout.dtype)
        for shape in ((32, 48), (height, width), (height, width))
    )
    for plane, values in zip(
        picture.planes,
        (luma, np.stack([blue, red], -1).reshape(height, 2 * width)),
        strict=True,
    ):
        whole = np.zeros(
            (values.shape[0], plane.line_size // values.itemsize), values.dtype
        )
        whole[:, : values.shape[1]] = values * pairs
        plane.update(whole.tobytes())
    unpacker = Unpacker(stored, layout, Cropping(), is_full_range=False)
    for found, expected in zip(
        unpacker.planes(picture), (luma, blue, red), strict=True
    ):
        assert np.array_equal(found, expected)


def test_palettes_become_their_colours(tmp_path: Path, fake: FakeBackend) -> None:
    """A GIF, as screen recorders make them."""
    picture = np.zeros((32, 48, 3), np.uint8)
    picture[:, :24] = (200, 40, 40)
    picture[:, 24:] = (40, 40, 200)
    source = tmp_path / "in.gif"
    with av.open(str(source), "w") as container:
        stream: Any = container.add_stream("gif", rate=10)
        stream.width = 48
        stream.height = 32
        stream.pix_fmt = "rgb8"
        for number in range(3):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
                format="rgb8"
            )
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    report = run(source, tmp_path / "o.mp4")
    assert report.frames_out == 3
    red = frames(tmp_path / "o.mp4")[1].planes[2][16, 8]
    blue = frames(tmp_path / "o.mp4")[1].planes[2][16, 40]
    assert red > 170 > 125 > blue


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("codec", ["libx264", "libx265", "libsvtav1", "libvpx-vp9"])
def test_very_short_clips(
    tmp_path: Path, fake: FakeBackend, codec: str, count: int
) -> None:
    source = write_clip(tmp_path / "in.mp4", frames=count)
    target = tmp_path / ("o.webm" if codec == "libvpx-vp9" else "o.mp4")
    upscale(
        source,
        target,
        UpscaleOptions(fps="source", encoder=EncoderOptions(codec=codec)),
    )
    assert [frame.time for frame in frames(target)] == [
        Fraction(number, 25) for number in range(count)
    ]


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_rotation_is_carried_or_baked(
    tmp_path: Path, fake: FakeBackend, rotation: int
) -> None:
    ramp = np.add.outer(3 * np.arange(32), np.arange(48)).astype(np.uint8) + 40
    source = write_clip(
        tmp_path / "in.mp4",
        pictures=[ramp] * 3,
        rotation=rotation,
        options={"crf": "2"},
    )
    run(source, tmp_path / "o.mp4")
    carried = probe(tmp_path / "o.mp4")
    assert carried.rotation % 360 == rotation % 360
    assert (carried.width, carried.height) == (96, 64)
    run(source, tmp_path / "b.mp4", bake_rotation=True)
    baked = probe(tmp_path / "b.mp4")
    assert baked.rotation == 0
    assert baked.display_matrix is None
    assert (baked.width, baked.height) == ((64, 96) if rotation != 180 else (96, 64))
    shown = np.rot90(frames(tmp_path / "o.mp4")[1].luma, rotation // 90)
    assert np.abs(shown.astype(float) - frames(tmp_path / "b.mp4")[1].luma).max() < 8


def test_mirrored_pictures_stay_mirrored(tmp_path: Path, fake: FakeBackend) -> None:
    source = tmp_path / "in.mp4"
    with av.open(str(source), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25)
        stream.width = 48
        stream.height = 32
        stream.pix_fmt = "yuv420p"
        stream.set_display_rotation(90, hflip=True)
        for number in range(3):
            picture = av.VideoFrame(48, 32, "yuv420p")
            picture.pts = number
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    for name in ("o.mp4", "o.mkv"):
        run(source, tmp_path / name)
        assert probe(tmp_path / name).display_matrix == probe(source).display_matrix
    report = run(source, tmp_path / "o.ts")
    assert any("--bake-rotation" in line for line in report.notes)


def interlaced(path: Path) -> Path:
    """Ten interlaced pictures: a bar that moves four pixels from field to field."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(
            "mpeg2video", rate=25, options={"flags": "+ildct+ilme", "b": "20M"}
        )
        stream.width = 96
        stream.height = 64
        stream.pix_fmt = "yuv420p"
        for number in range(10):
            picture = av.VideoFrame.from_ndarray(woven(number), format="gray").reformat(
                format="yuv420p", src_color_range=1, dst_color_range=1
            )
            picture.pts = number
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def woven(number: int) -> Any:
    luma = np.full((64, 96), 60, np.uint8)
    for field in (0, 1):
        place = 8 + 4 * (2 * number + field)
        luma[field::2, place : place + 6] = 200
    return luma


def test_fields_become_frames(
    tmp_path: Path, fake: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = interlaced(tmp_path / "in.mkv")
    if not probe(source).interlaced:
        pytest.skip("this FFmpeg's MPEG-2 encoder does not mark fields")
    report = run(source, tmp_path / "o.mkv", deinterlace="field")
    assert report.frames_out in (19, 20)
    found = frames(tmp_path / "o.mkv")
    spacing = {b.time - a.time for a, b in pairwise(found)}
    assert all(abs(step - Fraction(1, 50)) <= Fraction(1, 1000) for step in spacing)
    assert any("each field becomes a frame" in line for line in report.notes)


def test_nvenc_without_a_driver_falls_back(
    tmp_path: Path, fake: FakeBackend, moving_clip: Path
) -> None:
    options, line = without_nvidia(EncoderOptions(codec="hevc_nvenc", preset="p5"))
    if line is None:
        pytest.skip("NVENC works here")
    assert options.codec == "libx265"
    assert options.preset == EncoderOptions().preset
    report = upscale(
        moving_clip,
        tmp_path / "o.mp4",
        UpscaleOptions(encoder=EncoderOptions(codec="h264_nvenc")),
    )
    assert codec_of(tmp_path / "o.mp4") == "h264"
    assert any("libx264 encodes instead" in line for line in report.notes)


@pytest.mark.parametrize("hwaccel", ["auto", "cuda"])
def test_decoding_on_a_gpu_falls_back(
    tmp_path: Path, fake: FakeBackend, moving_clip: Path, hwaccel: Any
) -> None:
    report = run(moving_clip, tmp_path / "o.mp4", hwaccel=hwaccel)
    assert report.frames_out == 20


def test_mjpeg_says_what_it_does_to_colours(
    tmp_path: Path, fake: FakeBackend, demo_clip: Path
) -> None:
    """Its decoders know one matrix: said before the work, and no failed check afterwards."""
    report = run(demo_clip, tmp_path / "o.mkv", encoder={"codec": "mjpeg"}, verify=True)
    assert any("always means the colours of BT.601" in line for line in report.notes)


def test_resolved_codecs() -> None:
    plain = EncoderOptions()
    assert resolve_codec(plain, "o.mp4", bits=8, is_hdr=False).codec == "libx264"
    assert resolve_codec(plain, "o.mp4", bits=8, is_hdr=True).codec == "libx265"
    assert resolve_codec(plain, "o.webm", bits=10, is_hdr=True).codec == "libvpx-vp9"
    assert (
        resolve_codec(
            EncoderOptions(codec="ffv1"), "o.webm", bits=10, is_hdr=True
        ).codec
        == "ffv1"
    )
    ten = PixelFormat.parse("yuva420p10le")
    assert ten is not None
    assert (
        choose_format(EncoderOptions(codec="ffv1", pix_fmt="yuv420p"), ten)[1]
        == "--pix-fmt yuv420p loses bit depth and alpha of yuva420p10le"
    )
    lost = choose_format(EncoderOptions(codec="libx265"), ten)[1]
    assert str(lost).endswith("which loses alpha (--codec ffv1, in .mkv, keeps it)")


def test_avi_gets_a_constant_rate(
    tmp_path: Path, fake: FakeBackend, moving_clip: Path
) -> None:
    report = run(moving_clip, tmp_path / "o.avi")
    assert any("keeps no timestamps" in line for line in report.notes)
    times = [frame.time for frame in frames(tmp_path / "o.avi")]
    assert [time - times[0] for time in times] == [
        Fraction(number, 25) for number in range(20)
    ]
    with pytest.raises(OutputError, match=r"name the output \.mkv"):
        run(moving_clip, tmp_path / "s.avi", strict=True)


def soft_telecine(path: Path) -> Path:
    """MPEG-2 film at 24000/1001 frames a second that plays at 30000/1001.

    Every other picture says that its first field is repeated.
    """
    with av.open(str(path), "w", format="mpeg2video") as container:
        stream: Any = container.add_stream(
            "mpeg2video",
            rate=Fraction(30000, 1001),
            options={"bf": "0", "b": "4M", "g": "1"},
        )
        stream.width = 96
        stream.height = 64
        stream.pix_fmt = "yuv420p"
        for number in range(24):
            picture = av.VideoFrame.from_ndarray(
                np.full((64, 96), 40 + 6 * number, np.uint8), format="gray"
            ).reformat(format="yuv420p")
            picture.pts = number
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    content = bytearray(path.read_bytes())
    place = 0
    pictures = 0
    # Picture coding extension (ISO/IEC 13818-2, 6.2.3.1):
    # top_field_first, repeat_first_field, progressive_frame.
    while (place := content.find(b"\x00\x00\x01\xb5", place)) >= 0:
        if content[place + 4] >> 4 == 8:
            top_first, repeat = ((1, 1), (0, 0), (0, 1), (1, 0))[pictures % 4]
            content[place + 7] = (
                (content[place + 7] & 0b0111_1101) | top_first << 7 | repeat << 1
            )
            content[place + 8] |= 0b1000_0000
            pictures += 1
        elif content[place + 4] >> 4 == 1:
            content[place + 5] &= (
                0b1111_0111  # the sequence as a whole is not progressive
            )
        place += 4
    assert pictures == 24
    path.write_bytes(content)
    return path


def test_soft_telecine_gives_the_film_frames(tmp_path: Path, fake: FakeBackend) -> None:
    """24 pictures with fields to repeat: all arrive whole, none twice, none deinterlaced."""
    source = soft_telecine(tmp_path / "in.m2v")
    found = frames(source)
    assert len(found) == 24
    assert [round(float(frame.luma.mean())) for frame in found] == [
        round(float(frame.luma.mean())) for frame in frames(source, deinterlace="off")
    ]
    report = run(source, tmp_path / "o.mkv")
    assert (report.frames_in, report.frames_out) == (24, 24)
    steps = {round(float(b.time - a.time), 2) for a, b in pairwise(found)}
    assert steps <= {0.03, 0.04, 0.05}
    # a field more for every other picture: film's rate in the mean
    assert abs(float(found[-1].time - found[0].time) - 23 * 1001 / 24000) < 0.04


def vsr(
    *arguments: str | Path, stdin: bytes | None = None
) -> subprocess.CompletedProcess[bytes]:
    code = "from vsrcli.cli import main; main()"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=False,
    )


def test_pipes_in_and_out(tmp_path: Path, demo_clip: Path) -> None:
    """NUT with sound through standard input and output; the result is that of files."""
    piped = tmp_path / "in.nut"
    with av.open(str(demo_clip)) as source, av.open(str(piped), "w") as out:
        video: Any = out.add_stream("rawvideo", rate=30)
        video.width = 96
        video.height = 64
        video.pix_fmt = "yuv420p"
        sound = out.add_stream_from_template(source.streams.audio[0])
        packets: Any = source.demux()
        for packet in packets:
            if packet.stream.type == "audio" and packet.size:
                packet.stream = sound
                out.mux(packet)
            for picture in packet.decode() if packet.stream.type == "video" else ():
                picture.time_base = Fraction(1, 30)
                picture.pts = round(
                    picture.pts * Fraction(source.streams.video[0].time_base or 1) * 30
                )
                out.mux(video.encode(picture))
    done = vsr(
        "upscale",
        "-",
        "-",
        "--model",
        "lite",
        "--fps",
        "source",
        "--end",
        "0.2",
        "--device",
        "cpu",
        stdin=piped.read_bytes(),
    )
    assert done.returncode == 0, done.stderr
    (tmp_path / "o.nut").write_bytes(done.stdout)
    info = probe(tmp_path / "o.nut")
    assert (info.width, info.height, info.video.codec) == (192, 128, "rawvideo")
    assert [stream.codec for stream in info.streams] == ["rawvideo", "aac"]
    plain = UpscaleOptions(fps="source", model="lite", device="cpu")
    upscale(piped, tmp_path / "d.nut", replace(plain, end=Fraction(1, 5)))
    for one, other in zip(
        frames(tmp_path / "o.nut"), frames(tmp_path / "d.nut"), strict=True
    ):
        assert np.array_equal(one.luma, other.luma)
        assert one.time == other.time
    options = ("--fps", "source", "--start", "0.5", "--end", "0.7", "--device", "cpu")
    target = tmp_path / "p.mkv"
    content = piped.read_bytes()
    done = vsr("upscale", "-", target, *options, "--model", "lite", stdin=content)
    assert done.returncode == 0, done.stderr
    span = replace(plain, start=Fraction(1, 2), end=Fraction(7, 10))
    upscale(piped, tmp_path / "f.mkv", span)
    assert [
        (frame.time, frame.luma.tobytes()) for frame in frames(tmp_path / "p.mkv")
    ] == [(frame.time, frame.luma.tobytes()) for frame in frames(tmp_path / "f.mkv")]
    done = vsr("extract", "-", tmp_path / "pictures", stdin=piped.read_bytes())
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "pictures").iterdir())) == 30
    y4m = vsr(
        *("upscale", piped, "-", "--format", "y4m", "--end", "0.1", "-q"),
        *("--model", "lite"),
    )
    assert y4m.returncode == 0, y4m.stderr
    assert y4m.stdout.startswith(b"YUV4MPEG2 W192 H128 F30:1")


@pytest.mark.parametrize(
    ("arguments", "stdin", "status", "says"),
    [
        (["-", "o.mp4"], b"hello", 1, "standard input holds nothing"),
        (["-", "o.mp4"], b"", 1, "standard input holds nothing"),
        (["in.mp4", "o.mp4", "--format", "nut"], None, 2, "is for standard output"),
        (["in.mp4", "-", "--json"], None, 2, "--json"),
        (["in.mp4", "-", "--verify"], None, 2, "--verify"),
    ],
)
def test_wrong_pipes(
    tmp_path: Path,
    moving_clip: Path,
    arguments: list[str],
    stdin: bytes | None,
    status: int,
    says: str,
) -> None:
    places = {"in.mp4": str(moving_clip), "o.mp4": str(tmp_path / "o.mp4")}
    words = [places.get(word, word) for word in arguments]
    done = vsr("upscale", *words, stdin=stdin)
    assert done.returncode == status
    assert says in done.stderr.decode()
    assert b"Traceback" not in done.stderr
    assert done.stdout == b""
    assert list(tmp_path.iterdir()) == []


def test_shared_pipe_keeps_what_is_needed() -> None:
    class Source:
        def __init__(self) -> None:
            self.left = 64 << 20

        def read1(self, size: int) -> bytes:
            size = min(size, self.left)
            self.left -= size
            return bytes([size % 251]) * size

    pipe = SharedPipe(Source())  # type: ignore[arg-type]
    first = pipe.reader()
    second = pipe.reader()
    head = first.read(1000)
    assert second.read(500) == head[:500]
    assert pipe.reader().read(1000) == head
    pipe.seal()
    with pytest.raises(InputError, match="save it to a file"):
        pipe.reader()
    total = 0
    while chunk := first.read(1 << 16):
        total += len(chunk)
        second.read(1 << 16)
        assert len(pipe._kept) < 4 << 20
    assert total + 1000 == 64 << 20


def test_range_is_for_floating_point_folders(tmp_path: Path, moving_clip: Path) -> None:
    with pytest.raises(OptionError, match="--range"):
        run(moving_clip, tmp_path / "o.mp4", value_range=(0.0, 1.0))
    with pytest.raises(OptionError, match="smaller value first"):
        UpscaleOptions(value_range=(1.0, 0.0))
