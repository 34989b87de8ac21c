"""The output file, end to end: written by us, read back with plain PyAV."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from sources import YUV420, make_source, output_video, packets_of, picture

from vsrcli.encode.encoders import encoder_settings
from vsrcli.encode.formats import choose_format
from vsrcli.encode.output import OutputVideo, check_target
from vsrcli.encode.writer import VideoWriter
from vsrcli.errors import OptionError, OutputError
from vsrcli.frame import ColorTags, Frame, PixelFormat, VideoInfo
from vsrcli.options import EncoderOptions
from vsrcli.streams.stream_plan import plan_streams
from vsrcli.timing import TimeRange

FAST = EncoderOptions(preset="ultrafast")
UNEVEN = (0, 3003, 5000, 9009, 20000, 21000, 24003, 40000, 43003, 46006)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> VideoInfo:
    return make_source(
        tmp_path_factory.mktemp("source") / "in.mp4", muxer="mp4", audio=("aac", "aac")
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    out = tmp_path / "out"
    out.mkdir()
    return out


def feed(writer: VideoWriter, frames: list[Frame]) -> None:
    for tick, frame in enumerate(frames):
        writer.write(frame, tick, 1)


def write(
    target: Path,
    source: VideoInfo,
    video: OutputVideo,
    options: EncoderOptions = FAST,
    *,
    ticks: tuple[int, ...] | None = None,
    audio: Any = "none",
    last: int = 1,
) -> None:
    ticks = ticks or tuple(range(25))
    with VideoWriter(
        target, video, options, source=source, plan=plan_streams(source, target, audio)
    ) as writer:
        for number, (tick, following) in enumerate(
            zip(ticks, (*ticks[1:], ticks[-1] + last), strict=True)
        ):
            writer.write(picture(number, video), tick, following - tick)
        writer.finish(len(ticks))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def plane_of(frame: av.VideoFrame, index: int, shape: tuple[int, ...]) -> Any:
    plane = frame.planes[index]
    wide = frame.format.components[0].bits > 8
    return np.ndarray(
        shape,
        np.uint16 if wide else np.uint8,
        buffer=memoryview(plane),
        strides=(plane.line_size, 2 if wide else 1),
    )


def decoded(path: Path) -> tuple[list[Fraction], list[Any], Any]:
    """Times from the first frame on, luma planes, and a few facts about the stream."""
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        context = stream.codec_context
        frames = list(file.decode(stream))
        unit = stream.time_base or Fraction(0)
        times = [(frame.pts or 0) * unit for frame in frames]
        planes = [
            plane_of(frame, 0, (frame.height, frame.width)).copy() for frame in frames
        ]
        facts = {
            "rotation": frames[0].rotation,
            "aspect": stream.sample_aspect_ratio,
            "tags": (
                context.color_range,
                context.colorspace,
                context.color_primaries,
                context.color_trc,
            ),
            "format": context.pix_fmt,
            "tag": context.codec_tag,
            "duration": (stream.duration or 0) * unit,
            "seconds": Fraction(file.duration or 0, 1_000_000),
        }
    return times, planes, facts


@pytest.mark.parametrize("ending", ["mp4", "m4v", "mov", "mkv", "ts", "avi"])
def test_every_container_keeps_frames_sound_and_sync(
    ending: str, source: VideoInfo, folder: Path
) -> None:
    target = folder / f"out.{ending}"
    video = output_video()
    write(target, source, video, audio="copy")
    assert names(folder) == [target.name]
    times, planes, _ = decoded(target)
    assert len(times) == 25
    for number, plane in enumerate(planes):
        assert abs(float(plane.mean()) - float(picture(number, video).luma.mean())) < 2
    before = packets_of(source.path)
    after = packets_of(target)
    assert [s.codec for s in after if s.kind == "audio"] == ["aac", "aac"]
    begins = min(after[0].times)
    for was, now in zip(before[1:3], after[1:3], strict=True):
        # AVI counts from the first packet: one from the encoder's delay, before the start, would
        # delay the others.
        skipped = int(ending == "avi")
        assert len(now.times) == len(was.times) - skipped
        if ending != "ts":
            assert now.payloads == was.payloads[skipped:]
        # AVI keeps no timestamps at all, only places in a row of frames
        worst = Fraction(3, 25) if ending == "avi" else Fraction(1, 1000)
        for a, b in zip(was.times[skipped:], now.times, strict=True):
            assert abs((b - begins) - a) <= worst


def test_vp9_and_opus_in_webm(folder: Path, tmp_path: Path) -> None:
    source = make_source(tmp_path / "in.mkv", muxer="matroska", audio=("libopus",))
    target = folder / "out.webm"
    write(
        target,
        source,
        output_video(),
        EncoderOptions(codec="libvpx-vp9", preset="ultrafast", crf=30),
        audio="copy",
    )
    assert len(decoded(target)[0]) == 25
    assert packets_of(target)[1].payloads == packets_of(source.path)[1].payloads


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libsvtav1", "ffv1"])
@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_uneven_timestamps_are_kept(
    codec: str, ending: str, source: VideoInfo, folder: Path
) -> None:
    target = folder / f"out.{ending}"
    unit = Fraction(1, 90000)
    options = (
        EncoderOptions(codec=codec, preset="ultrafast")
        if codec != "ffv1"
        else EncoderOptions(codec=codec)
    )
    write(
        target, source, output_video(time_base=unit), options, ticks=UNEVEN, last=5000
    )
    times, _, facts = decoded(target)
    wanted = [tick * unit for tick in UNEVEN]
    if ending == "mp4":
        assert times == wanted
        assert facts["duration"] == (UNEVEN[-1] + 5000) * unit
    else:
        assert all(
            abs(a - b) <= Fraction(1, 2000) for a, b in zip(times, wanted, strict=True)
        )
        assert abs(facts["seconds"] - (UNEVEN[-1] + 5000) * unit) <= Fraction(1, 1000)
    if codec == "libx265" and ending == "mp4":
        assert facts["tag"] == "hvc1"


@pytest.mark.parametrize(
    ("codec", "ending"),
    [("libx264", "mp4"), ("libx264", "mkv"), ("libx265", "mkv"), ("libx265", "mov")],
)
@pytest.mark.parametrize("rotation", [0.0, 90.0, -90.0, 180.0])
def test_tags_aspect_and_rotation_round_trip(
    codec: str, ending: str, rotation: float, source: VideoInfo, folder: Path
) -> None:
    target = folder / f"out.{ending}"
    tags = ColorTags("full" if rotation == 90 else "limited", 6, 6, 6, "topleft")
    video = output_video(tags=tags, sample_aspect=Fraction(64, 51), rotation=rotation)
    write(
        target,
        source,
        video,
        EncoderOptions(codec=codec, preset="ultrafast"),
        ticks=(0, 1, 2),
    )
    _, _, facts = decoded(target)
    assert facts["aspect"] == Fraction(64, 51)
    assert facts["rotation"] % 360 == rotation % 360
    assert facts["tags"] == (2 if rotation == 90 else 1, 6, 6, 6)
    assert chroma_location(target) == "topleft"


def chroma_location(path: Path) -> str:
    """What FFmpeg's showinfo filter says of the chroma's place, which PyAV does not show."""
    av.logging.set_level(av.logging.INFO)
    try:
        with av.logging.Capture() as logs, av.open(str(path)) as file:
            graph = av.filter.Graph()
            ends = (
                graph.add_buffer(template=file.streams.video[0]),
                graph.add("showinfo"),
                graph.add("buffersink"),
            )
            graph.link_nodes(*ends).configure()
            graph.push(next(file.decode(video=0)))
            graph.pull()
            graph.push(None)
    finally:
        av.logging.set_level(None)
    found = re.search(r" cl:(\w+)", "".join(text for _, _, text in logs))
    return found[1] if found else ""


def test_untagged_stays_untagged(source: VideoInfo, folder: Path) -> None:
    for codec in ("libx264", "libx265", "ffv1"):
        target = folder / f"{codec}.mkv"
        write(
            target, source, output_video(), EncoderOptions(codec=codec), ticks=(0, 1, 2)
        )
        # HEVC has no way to leave the range open: its decoder says limited
        assert decoded(target)[2]["tags"] == (
            1 if codec == "libx265" else 0,
            2,
            2,
            2,
        ), codec
        assert chroma_location(target) in ("unspecified", "left")


def test_metadata_and_chapters_are_carried(source: VideoInfo, folder: Path) -> None:
    for ending in ("mp4", "mkv"):
        target = folder / f"out.{ending}"
        write(target, source, output_video(), audio="copy")
        streams = packets_of(target)
        assert [s.metadata.get("language") for s in streams[1:3]] == ["fre", "eng"]
        assert [
            s.metadata.get("title", s.metadata.get("name")) for s in streams[1:3]
        ] == ["Track 0", "Track 1"]
        assert [s.disposition for s in streams[1:3]] == [1, 0]
        with av.open(str(target)) as file:
            lower = {key.lower(): value for key, value in file.metadata.items()}
            assert lower["title"] == "A title"
            assert lower["artist"] == "Someone"
            found: list[Any] = file.chapters()
            chapters = [
                (
                    c["start"] * c["time_base"],
                    c["end"] * c["time_base"],
                    c["metadata"]["title"],
                )
                for c in found
            ]
        assert [title for _, _, title in chapters] == ["Chapter 0", "Chapter 1"]
        first = min(
            streams[0].times
        )  # in mkv AAC's run-up moves the picture and its chapters
        for (begin, end, _), wanted in zip(
            chapters, [(0, Fraction(1, 2)), (Fraction(1, 2), 1)], strict=True
        ):
            assert abs(begin - first - wanted[0]) <= Fraction(1, 1000)
            assert abs(end - first - wanted[1]) <= Fraction(1, 1000)


def test_trimmed_run_stays_in_sync(source: VideoInfo, folder: Path) -> None:
    target = folder / "out.mp4"
    video = output_video()
    plan = plan_streams(source, target, "copy")
    with VideoWriter(
        target,
        video,
        FAST,
        source=source,
        plan=plan,
        time_range=TimeRange(Fraction(39, 100), Fraction(4, 5)),
        origin=Fraction(2, 5),
    ) as writer:
        for tick in range(10):
            writer.write(picture(tick, video), tick, 1)
        writer.finish(10)
    was = packets_of(source.path)[1]
    now = packets_of(target)[1]
    wanted = {
        payload: time - Fraction(2, 5)
        for payload, time in zip(was.payloads, was.times, strict=True)
    }
    assert 18 <= len(now.times) <= 20
    for payload, time in zip(now.payloads, now.times, strict=True):
        assert abs(time - wanted[payload]) < Fraction(1, 1000)
    assert min(packets_of(target)[0].times) == 0


LAYOUTS = [
    "yuv420p",
    "yuv422p",
    "yuv444p",
    "gray",
    "yuv420p10le",
    "yuv422p10le",
    "yuv444p12le",
    "gray10le",
    "yuv410p",
]


@pytest.mark.parametrize("name", LAYOUTS)
def test_lossless_output_is_the_frame(
    name: str, source: VideoInfo, folder: Path
) -> None:
    layout = PixelFormat.parse(name)
    assert layout is not None
    video = output_video(format=layout, width=130, height=98)
    random = np.random.default_rng(3)
    width, height = layout.chroma_size(130, 98)
    shapes = [(98, 130), *([(height, width)] * 2 if layout.has_chroma else [])]
    frames = []
    for number in range(4):
        planes: list[Any] = []
        for shape in shapes:
            whole = random.integers(
                0, layout.peak + 1, (shape[0] + 2, shape[1] + 5)
            ).astype(layout.dtype)
            planes.append(whole[1:-1, 2:-3])
        planes[0].flags.writeable = number % 2 == 0
        frames.append(Frame(tuple(planes), layout, Fraction(number, 25)))
    target = folder / "out.mkv"
    with VideoWriter(
        target, video, EncoderOptions(codec="ffv1"), source=source, plan=()
    ) as writer:
        for tick, frame in enumerate(frames):
            writer.write(frame, tick, 1)
        writer.finish(4)
    with av.open(str(target)) as file:
        for got, frame in zip(file.decode(video=0), frames, strict=True):
            assert got.format.name == name
            for index, plane in enumerate(frame.planes):
                assert np.array_equal(plane_of(got, index, plane.shape), plane)


def test_shared_memory_is_encoded_as_it_was(source: VideoInfo, folder: Path) -> None:
    video = output_video()
    target = folder / "out.mkv"
    options = EncoderOptions(crf=0, preset="ultrafast")
    with VideoWriter(target, video, options, source=source, plan=()) as writer:
        for tick in range(30):
            frame = picture(tick, video)
            padded = np.zeros((96 + 3, 128 + 9), np.uint8)
            padded[1:97, 5:133] = frame.luma
            writer.write(
                replace(frame, planes=(padded[1:97, 5:133], *frame.planes[1:])), tick, 1
            )
        writer.finish(30)
    _, planes, _ = decoded(target)
    for number, plane in enumerate(planes):
        assert np.array_equal(plane, picture(number, video).luma)


def test_deeper_encoder_gets_the_same_codes(source: VideoInfo, folder: Path) -> None:
    target = folder / "out.mov"
    video = output_video(tags=ColorTags("limited", 1, 1, 1))
    write(target, source, video, EncoderOptions(codec="prores_ks"), ticks=(0, 1, 2))
    _, planes, facts = decoded(target)
    scale = {"yuv422p10le": 4, "yuv422p12le": 16}[facts["format"]]
    assert facts["tags"] == (1, 1, 1, 1)
    assert np.abs(planes[0] / scale - picture(0, video).luma).max() < 3


def test_gray_goes_into_colour_encoders_unchanged(
    source: VideoInfo, folder: Path
) -> None:
    gray = PixelFormat("gray", 8, 0, 0, has_chroma=False)
    video = output_video(format=gray)
    target = folder / "out.mkv"
    write(
        target,
        source,
        video,
        EncoderOptions(codec="ffv1", pix_fmt="yuv420p"),
        ticks=(0, 1),
    )
    _, planes, facts = decoded(target)
    assert facts["format"] == "yuv420p"
    assert np.array_equal(planes[0], picture(0, video).luma)
    write(
        folder / "gray.mkv",
        source,
        output_video(),
        EncoderOptions(codec="ffv1", pix_fmt="gray"),
        ticks=(0, 1),
    )
    assert np.array_equal(
        decoded(folder / "gray.mkv")[1][1], picture(1, output_video()).luma
    )


def test_mjpeg_is_full_range(source: VideoInfo, folder: Path) -> None:
    target = folder / "out.avi"
    write(
        target,
        source,
        output_video(tags=ColorTags("limited")),
        EncoderOptions(codec="mjpeg"),
        ticks=(0, 1, 2),
    )
    _, planes, facts = decoded(target)
    assert facts["tags"][0] == 2
    expected = (picture(0, output_video()).luma.astype(float) - 16) * 255 / 219
    assert abs(float(planes[0].mean()) - float(expected.mean())) < 1.5


BAD = [
    ("out.mp4", EncoderOptions(codec="nosuch"), {}, "unknown video encoder 'nosuch'"),
    ("out.mp4", EncoderOptions(codec="aac"), {}, "not a video encoder"),
    ("out.webm", EncoderOptions(codec="libx264"), {}, "does not support 'libx264'"),
    (
        "out.mp4",
        EncoderOptions(extra=(("tune", "bogus"),)),
        {},
        "-e tune=bogus: libx264 has no tune 'bogus'",
    ),
    (
        "out.mp4",
        EncoderOptions(extra=(("nosuch", "1"),)),
        {},
        "does not know the option nosuch",
    ),
    (
        "out.mp4",
        EncoderOptions(preset="warp"),
        {},
        "no preset 'warp': choose from ultrafast",
    ),
    (
        "out.mp4",
        EncoderOptions(codec="libsvtav1", preset="warp"),
        {},
        "no preset 'warp'",
    ),
    (
        "out.mp4",
        EncoderOptions(pix_fmt="yuv411p"),
        {},
        "does not take pixel format 'yuv411p'",
    ),
    ("out.mkv", EncoderOptions(codec="ffv1", crf=20), {}, "no crf"),
    ("out.mkv", EncoderOptions(codec="ffv1", preset="fast"), {}, "no preset"),
    ("out.mp4", FAST, {"width": 127}, "127x96"),
    ("out.mp4", EncoderOptions(codec="h264_nvenc"), {}, "h264_nvenc cannot be opened"),
    ("out.avi", FAST, {"time_base": Fraction(1, 90000)}, "keeps no timestamps"),
    ("out.xyz", FAST, {}, "unknown file name ending"),
]


@pytest.mark.parametrize(("name", "options", "changes", "says"), BAD)
def test_refusals_come_at_once_and_leave_nothing(
    name: str,
    options: EncoderOptions,
    changes: dict[str, Any],
    says: str,
    source: VideoInfo,
    folder: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises((OptionError, OutputError), match=says) as caught:
        VideoWriter(
            folder / name, output_video(**changes), options, source=source, plan=()
        )
    assert "\n" not in str(caught.value)
    assert names(folder) == []
    assert capfd.readouterr() == ("", "")


def test_encoders_are_silent(
    source: VideoInfo, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for codec in ("libx265", "libsvtav1", "libx264"):
        write(
            folder / f"{codec}.mkv",
            source,
            output_video(),
            EncoderOptions(codec=codec, preset="ultrafast"),
            ticks=(0, 1, 2),
        )
    assert capfd.readouterr() == ("", "")


def test_refused_audio_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    info = make_source(tmp_path / "in.mkv", muxer="matroska", audio=("ac3",))
    plan = plan_streams(info, "out.mkv", "copy")
    with pytest.raises(OutputError, match=r"does not support|cannot be started"):
        VideoWriter(
            folder / "out.webm",
            output_video(),
            EncoderOptions(codec="libvpx-vp9"),
            source=info,
            plan=plan,
        )
    assert names(folder) == []


def test_abort_and_errors_leave_nothing(source: VideoInfo, folder: Path) -> None:
    target = folder / "out.mp4"
    target.write_bytes(b"precious")
    for interrupt in (KeyboardInterrupt, RuntimeError):
        with pytest.raises(interrupt):
            interrupted(target, source, interrupt)
        assert names(folder) == ["out.mp4"]
        assert target.read_bytes() == b"precious"
    assert not [
        number for number in names(Path("/proc/self/fd")) if "part" in _link(number)
    ]


def interrupted(
    target: Path, source: VideoInfo, interrupt: type[BaseException]
) -> None:
    with VideoWriter(target, output_video(), FAST, source=source, plan=()) as writer:
        feed(writer, [picture(number, output_video()) for number in range(60)])
        assert (
            len(
                [
                    name
                    for name in names(target.parent)
                    if name.startswith(".out.mp4.") and name.endswith(".part")
                ]
            )
            == 1
        )
        raise interrupt


def _link(number: str) -> str:
    try:
        return str(Path(f"/proc/self/fd/{number}").readlink())
    except OSError:
        return ""


@pytest.mark.parametrize(("written", "expected"), [(5, 6), (6, 5), (0, 0)])
def test_wrong_count_is_an_error(
    written: int, expected: int, source: VideoInfo, folder: Path
) -> None:
    target = folder / "out.mkv"
    with VideoWriter(target, output_video(), FAST, source=source, plan=()) as writer:
        for tick in range(written):
            writer.write(picture(tick, output_video()), tick, 1)
        with pytest.raises(
            OutputError, match=f"{written} of {expected} frames|no frame"
        ):
            writer.finish(expected)
    assert names(folder) == []


def test_frame_of_another_size_is_refused(source: VideoInfo, folder: Path) -> None:
    writer = VideoWriter(
        folder / "out.mkv", output_video(), FAST, source=source, plan=()
    )
    with writer, pytest.raises(ValueError, match="does not belong"):
        writer.write(picture(0, output_video(width=64)), 0, 1)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts", "avi"])
def test_disk_full(ending: str, source: VideoInfo, small_disk: Path) -> None:
    video = output_video(width=256, height=192)
    random = np.random.default_rng(0)
    flat = picture(0, video).planes[1:]
    noise = [
        Frame(
            (random.integers(0, 255, (192, 256), np.uint8), *flat),
            YUV420,
            Fraction(tick, 25),
        )
        for tick in range(100)
    ]
    writer = VideoWriter(
        small_disk / f"out.{ending}",
        video,
        EncoderOptions(crf=1, preset="ultrafast"),
        source=source,
        plan=(),
    )
    with pytest.raises(
        OutputError, match=rf"no space left on the disk of {small_disk}"
    ):
        filled(writer, noise)
    assert names(small_disk) == []


def filled(writer: VideoWriter, frames: list[Frame]) -> None:
    with writer:
        feed(writer, frames)
        writer.finish(len(frames))


class _FullDisk:
    """An output whose disk is full from the nth packet on."""

    def __init__(self, output: Any, packets: int) -> None:
        self.output = output
        self.left = packets

    def mux(self, packets: Any) -> None:
        self.left -= 1
        if self.left < 0:
            raise OSError(28, "No space left on device")
        self.output.mux(packets)

    def close(self) -> None:
        self.output.close()


@pytest.mark.parametrize("packets", [0, 3, 40])
def test_disk_full_at_any_packet(packets: int, source: VideoInfo, folder: Path) -> None:
    target = folder / "out.mkv"
    target.write_bytes(b"precious")
    plan = plan_streams(source, target, "copy")
    writer = VideoWriter(target, output_video(), FAST, source=source, plan=plan)
    assert writer._encoder is not None
    writer._encoder.output = _FullDisk(writer._encoder.output, packets)  # type: ignore[assignment]
    with pytest.raises(OutputError, match="no space left"):
        filled(writer, [picture(number, output_video()) for number in range(25)])
    assert names(folder) == ["out.mkv"]
    assert target.read_bytes() == b"precious"


def test_targets_that_cannot_be(tmp_path: Path) -> None:
    source = tmp_path / "in.mp4"
    source.write_bytes(b"x")
    other = tmp_path / "other.mp4"
    other.write_bytes(b"y")
    (tmp_path / "soft.mp4").symlink_to(source)
    (tmp_path / "hard.mp4").hardlink_to(source)
    (tmp_path / "folder.mp4").mkdir()
    os.mkfifo(tmp_path / "pipe.mp4")
    for name in ("in.mp4", "soft.mp4", "hard.mp4"):
        for overwrite in (False, True):
            with pytest.raises(OutputError, match="is the input itself"):
                check_target(source, tmp_path / name, overwrite)
    for target, says in [
        (other, "exists; -y replaces it"),
        (tmp_path / "folder.mp4", "is a folder"),
        (tmp_path / "pipe.mp4", "not a regular file"),
        (tmp_path / "none" / "out.mp4", "there is no folder"),
        (tmp_path / "out.txt", "unknown file name ending '.txt'"),
        (tmp_path / "out", "no file name ending"),
    ]:
        with pytest.raises(OutputError, match=says):
            check_target(source, target, False)
    check_target(source, other, True)
    check_target(source, tmp_path / "new.MKV", False)


def test_folder_that_is_not_writable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OutputError, match="is not writable"):
        check_target(tmp_path / "in.mp4", tmp_path / "out.mp4", False)


def test_strange_names(
    source: VideoInfo, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    for name in ("a:b.mp4", "100%d.mp4", "ä ö #?.mkv", "x" * 240 + ".mp4"):
        write(Path(name), source, output_video(), ticks=(0, 1))
        assert (folder / name).stat().st_size > 0
    assert len(names(folder)) == 4


def test_link_as_target_is_followed(
    source: VideoInfo, folder: Path, tmp_path: Path
) -> None:
    link = tmp_path / "link.mkv"
    link.symlink_to(folder / "real.mkv")
    write(link, source, output_video(), ticks=(0, 1))
    assert link.is_symlink()
    assert names(folder) == ["real.mkv"]


FORMATS = [
    ("libx264", "yuv420p", "yuv420p"),
    ("libx264", "yuvj420p", "yuv420p"),
    ("libx264", "yuv411p", "yuv422p"),
    ("libx264", "yuv420p12le", "yuv420p10le"),
    ("libx265", "yuv420p12le", "yuv420p12le"),
    ("libsvtav1", "yuv444p10le", "yuv420p10le"),
    ("libsvtav1", "gray10le", "yuv420p10le"),
    ("libvpx-vp9", "yuv440p", "yuv440p"),
    ("prores_ks", "yuv420p", "yuv422p10le"),
    ("hevc_nvenc", "yuv420p10le", "p010le"),
    ("h264_qsv", "yuv420p", "nv12"),
]


@pytest.mark.parametrize(("codec", "wanted", "chosen"), FORMATS)
def test_formats(codec: str, wanted: str, chosen: str) -> None:
    layout = PixelFormat.parse(wanted)
    assert layout is not None
    got, note = choose_format(EncoderOptions(codec=codec), layout)
    assert got.name == chosen
    same = (got.bits, got.log2_chroma_w, got.log2_chroma_h) == (
        layout.bits,
        layout.log2_chroma_w,
        layout.log2_chroma_h,
    )
    lossless = same and layout.has_chroma
    assert (note is None) == lossless
    assert note is None or ("loses bit depth" in note) == (got.bits < layout.bits)


def test_settings() -> None:
    assert encoder_settings(EncoderOptions(codec="libx264")) == {
        "crf": "16",
        "preset": "medium",
    }
    assert encoder_settings(EncoderOptions(codec="libsvtav1", preset="7")) == {
        "crf": "16",
        "preset": "7",
    }
    assert encoder_settings(EncoderOptions(codec="libvpx-vp9"))["cpu-used"] == "2"
    assert encoder_settings(EncoderOptions(codec="ffv1", extra=(("level", "3"),))) == {
        "level": "3"
    }
    merged = encoder_settings(
        EncoderOptions(
            codec="libx265", extra=(("x265-params", "aq-mode=3"), ("crf", "20"))
        )
    )
    assert merged["x265-params"] == "log-level=none:aq-mode=3"
    assert merged["crf"] == "20"
