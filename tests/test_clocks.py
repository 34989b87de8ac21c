"""Sources whose clock restarts, begins elsewhere for some streams, or is taken for a frame rate."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest
from clips import write_clip
from fake import FakeBackend
from recordings import RATE, SIZE, encode_pictures, join, write_recording

from vsrcli.containers.pipe import SharedPipe
from vsrcli.decode.completeness import completeness
from vsrcli.decode.packet_timeline import packet_timeline
from vsrcli.decode.probe import probe
from vsrcli.decode.reader import VideoReader
from vsrcli.decode.source_clock import continuous_packets
from vsrcli.errors import InputError, OutputError
from vsrcli.jobs.upscale import upscale
from vsrcli.options import EncoderOptions, UpscaleOptions
from vsrcli.preflight.range_check import check_range
from vsrcli.timing import WHOLE, TimeRange
from vsrcli.verification.verify import verify

OPTIONS = UpscaleOptions(
    fps="source", verify=True, encoder=EncoderOptions(preset="ultrafast", crf=8)
)
# the pictures, then the sound
Times = tuple[list[float], list[float]]


def _times(source: Any) -> tuple[Times, list[float]]:
    """Decoding times of the packets of pictures and sound, and those of the joints."""
    restarts: list[Fraction] = []
    times: Times = ([], [])
    with av.open(source) as container:
        kinds = {stream.index: stream.type for stream in container.streams}
        for packet in continuous_packets(container, restarts.append):
            if packet.size and packet.dts is not None:
                is_sound = kinds[packet.stream_index] == "audio"
                times[is_sound].append(_seconds(packet))
    return times, [float(time) for time in restarts]


def _seconds(packet: Any) -> float:
    """When a packet is decoded."""
    return float(packet.dts * packet.time_base)


def _steps(times: list[float]) -> list[float]:
    return [after - before for before, after in pairwise(times)]


def _later(**changes: Any) -> Callable[[Path], Path]:
    """Writes a recording like the others, but for these arguments."""
    return lambda path: write_recording(path, **changes)


SAME = _later()
JOINED = {
    "the same clock": ("ts", [SAME, SAME]),
    "three": ("ts", [SAME, SAME, SAME]),
    "an hour later": ("ts", [SAME, _later(begin=3600)]),
    # FFmpeg takes it for a clock that has passed its 33 bits
    "two hours earlier": ("ts", [_later(begin=7200), SAME]),
    "half a second earlier": ("ts", [SAME, _later(begin=0.5)]),
    "program stream": ("mpg", [SAME, SAME]),
    "matroska": ("mkv", 2 * [_later(codecs=("mpeg4", "aac"))]),
    "fragmented mp4": (
        "mp4",
        2
        * [
            _later(
                codecs=("mpeg4", "aac"),
                options={"movflags": "frag_keyframe+empty_moov"},
            )
        ],
    ),
}


@pytest.mark.parametrize("name", JOINED)
def test_recordings_follow_each_other_with_their_sound_in_sync(
    name: str, tmp_path: Path
) -> None:
    suffix, writers = JOINED[name]
    parts = [
        write(tmp_path / f"{number}.{suffix}") for number, write in enumerate(writers)
    ]
    alone = [_times(str(part))[0] for part in parts]
    joined, restarts = _times(str(join(tmp_path / f"joined.{suffix}", parts)))
    assert len(restarts) == len(parts) - 1
    for kind in (0, 1):
        assert len(joined[kind]) == sum(len(times[kind]) for times in alone)
        assert min(_steps(joined[kind])) > 0
        assert max(_steps(joined[kind])) < 0.25
    place = [0, 0]
    for pictures, sound in alone:
        offset = sound[0] - pictures[0]
        first_picture = joined[0][place[0]]
        first_sound = joined[1][place[1]]
        assert first_sound - first_picture == pytest.approx(offset, abs=0.0006)
        place = [place[0] + len(pictures), place[1] + len(sound)]


def test_a_second_recording_that_ffmpeg_does_not_read_is_not_lost_in_silence(
    tmp_path: Path,
) -> None:
    part = write_recording(tmp_path / "a.flv", codecs=("flv", "aac"))
    check_range(probe(part), WHOLE)
    info = probe(join(tmp_path / "joined.flv", [part, part]))
    with pytest.raises(InputError, match="another recording from byte") as caught:
        check_range(info, WHOLE)
    assert f"byte {part.stat().st_size} " in str(caught.value)
    end = Fraction(str(caught.value).rpartition("--end ")[2])
    check_range(info, TimeRange(end=end))


@pytest.fixture(scope="module")
def joined_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings of 25 frames; the sound of each is a tenth of a second longer."""
    folder = tmp_path_factory.mktemp("joined")
    first = write_recording(folder / "a.ts", sound_seconds=1.1)
    second = write_recording(folder / "b.ts", begin=1000, sound_seconds=1.1)
    return join(folder / "joined.ts", [second, first])


def test_what_is_said_of_joined_recordings(joined_file: Path) -> None:
    info = probe(joined_file)
    assert [float(time) for time in info.restarts] == [pytest.approx(1.1, abs=0.05)]
    assert info.duration == pytest.approx(2.2, abs=0.1)
    assert not completeness(info).missing
    timeline = packet_timeline(info)
    assert not timeline.is_seekable
    assert float(timeline.end) == pytest.approx(2.1, abs=0.1)


def test_frames_of_joined_recordings(joined_file: Path) -> None:
    info = probe(joined_file)
    with VideoReader(info, strict=True) as reader:
        times = [frame.time for frame in reader]
        # FFmpeg marks the last packet before the joint as damaged
        assert not reader.damage
    assert len(times) == 50
    steps = [after - before for before, after in pairwise(times)]
    assert max(steps) < 5 * min(steps)
    part = TimeRange(start=times[30], end=times[40])
    with VideoReader(info, time_range=part) as reader:
        assert [frame.time for frame in reader] == times[30:40]


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("out.mkv", {}),
        ("out.mp4", {"segment": 0.5}),
        ("out.mkv", {"start": Fraction(1, 2), "end": Fraction(3, 2)}),
        ("out.avi", {}),
        ("out.mp4", {"fps": Fraction(10)}),
    ],
)
def test_joined_recordings_are_upscaled_and_verified(
    joined_file: Path,
    tmp_path: Path,
    fake: FakeBackend,
    name: str,
    changes: dict[str, Any],
) -> None:
    options = replace(OPTIONS, **changes)
    report = upscale(joined_file, tmp_path / name, options)
    assert report.frames_out
    assert not any(report.damage.values())


def test_wrong_sync_after_a_joint_fails(
    joined_file: Path,
    tmp_path: Path,
    fake: FakeBackend,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target = tmp_path / "out.mkv"

    def late(container: Any, *arguments: Any) -> Any:
        for packet in continuous_packets(container, *arguments):
            if packet.pts is not None and packet.dts and packet.pts > 90_000 * 1001.6:
                packet.pts += 9000
                packet.dts += 9000
            yield packet

    with monkeypatch.context() as patch:
        patch.setattr("vsrcli.streams.copier.continuous_packets", late)
        upscale(joined_file, target, replace(OPTIONS, verify=False))
    failed = [check.name for check in verify(joined_file, target, OPTIONS).failed]
    assert failed == ["offset"]


def test_a_packet_that_the_container_refuses_is_named(
    tmp_path: Path,
    fake: FakeBackend,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    part = write_recording(tmp_path / "a.ts")
    source = join(tmp_path / "joined.ts", [part, part])
    monkeypatch.setattr(
        "vsrcli.streams.copier.continuous_packets",
        lambda container: container.demux(),
    )
    target = tmp_path / "out.mkv"
    with pytest.raises(OutputError) as caught:
        upscale(source, target, OPTIONS)
    message = str(caught.value)
    assert "mkv refuses a packet at 0.0" in message
    assert "of stream 1 (audio, mp2; Invalid argument)" in message
    assert not target.exists()
    # the way out that it names
    upscale(source, target, replace(OPTIONS, audio="none"))


def test_a_pipe_is_followed_too(joined_file: Path) -> None:
    in_file = _times(str(joined_file))
    pipe = SharedPipe(io.BytesIO(joined_file.read_bytes()))
    assert _times(pipe.reader()) == in_file


def test_pauses_of_pictures_are_kept_while_sound_goes_on(tmp_path: Path) -> None:
    pause = [0, 0.04, 0.08, 15, 15.04, 15.08]
    path = write_recording(
        tmp_path / "a.ts", video_times=pause, sound_seconds=16, codecs=("mpeg4", "mp2")
    )
    times, restarts = _times(str(path))
    assert not restarts
    assert max(_steps(times[0])) > 14


def test_a_slide_show_is_no_series_of_restarts(tmp_path: Path) -> None:
    slides = [20.0 * number for number in range(6)]
    path = write_recording(
        tmp_path / "a.ts", video_times=slides, sound_seconds=0, codecs=("mpeg4", "mp2")
    )
    times, restarts = _times(str(path))
    assert not restarts
    assert times[0][-1] - times[0][0] == pytest.approx(100)


class _Container:
    """An open file with other packets."""

    def __init__(self, container: Any, change: Callable[[Any], None]) -> None:
        self._container = container
        self._change = change

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def demux(self) -> Any:
        for packet in self._container.demux():
            if packet.dts is not None:
                self._change(packet)
            yield packet


def test_one_wrong_time_moves_nothing_else(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.ts", seconds=3)
    numbers: list[int] = []

    def change(packet: Any) -> None:
        if packet.stream.type == "video":
            numbers.append(len(numbers))
            if len(numbers) == 30:
                packet.pts += 90_000 * 5000
                packet.dts += 90_000 * 5000

    expected, _ = _times(str(path))
    with av.open(str(path)) as container:
        given: Any = _Container(container, change)
        times = [
            _seconds(packet)
            for packet in continuous_packets(given)
            if packet.size and packet.stream.type == "video"
        ]
    assert times == pytest.approx(expected[0], abs=0.001)


def test_pictures_alone_that_fall_back_go_on(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.ts", seconds=8)
    numbers: list[int] = []

    def change(packet: Any) -> None:
        if packet.stream.type == "video":
            numbers.append(len(numbers))
            if len(numbers) > 50:
                packet.pts -= 2 * 90_000
                packet.dts -= 2 * 90_000

    expected, _ = _times(str(path))
    actual: Times = ([], [])
    with av.open(str(path)) as container:
        given: Any = _Container(container, change)
        for packet in continuous_packets(given):
            if packet.size:
                is_sound = packet.stream.type == "audio"
                actual[is_sound].append(_seconds(packet))
    for kind in (0, 1):
        assert actual[kind] == pytest.approx(expected[kind], abs=0.001)


def test_subtitles_of_joined_recordings_move_along(tmp_path: Path) -> None:
    parts = []
    for number in range(2):
        path = tmp_path / f"{number}.mkv"
        with av.open(str(path), "w") as out:
            video: Any = out.add_stream("mpeg4", rate=RATE)
            video.width, video.height = SIZE
            video.pix_fmt = "yuv420p"
            text = out.add_mux_stream("subrip")
            out.start_encoding()
            for frame in range(50):
                picture = av.VideoFrame(*SIZE, "yuv420p")
                picture.pts = frame
                out.mux(video.encode(picture))
                if frame == 25:
                    line: Any = av.Packet(f"line {number}".encode())
                    line.stream = text
                    line.time_base = Fraction(1, 1000)
                    line.pts = line.dts = 1000
                    line.duration = 500
                    out.mux(line)
            out.mux(video.encode(None))
        parts.append(path)
    with av.open(str(join(tmp_path / "joined.mkv", parts))) as container:
        lines = [
            _seconds(packet)
            for packet in continuous_packets(container)
            if packet.size and packet.stream.type == "subtitle"
        ]
    assert lines == pytest.approx([1, 3], abs=0.05)


def test_torn_sound_is_left_out(tmp_path: Path, fake: FakeBackend) -> None:
    path = write_recording(tmp_path / "a.ts", codecs=("mpeg2video", "aac"))
    with av.open(str(path)) as container:
        sound = container.streams.audio[0]
        places = [packet.pos for packet in container.demux(sound) if packet.size]
    content = bytearray(path.read_bytes())
    # the payload's first bytes, after the headers of transport and elementary stream
    begin = content.index(b"\xff\xf1", places[12])
    content[begin : begin + 2] = b"\x00\x00"
    path.write_bytes(content)
    upscale(path, tmp_path / "out.mkv", OPTIONS)


def test_data_that_begins_early_does_not_count(tmp_path: Path) -> None:
    plain = write_recording(tmp_path / "plain.ts", begin=5)
    path = tmp_path / "early.ts"
    with av.open(str(plain)) as source, av.open(str(path), "w") as out:
        copies = {
            stream.index: out.add_stream_from_template(stream)
            for stream in source.streams
        }
        data = out.add_data_stream("bin_data")
        for number in range(3):
            packet: Any = av.Packet(b"hello")
            packet.stream = data
            packet.time_base = Fraction(1, 90_000)
            packet.pts = packet.dts = 90_000 * number
            out.mux(packet)
        for packet in source.demux():
            if packet.size:
                packet.stream = copies[packet.stream_index]
                out.mux(packet)
    info = probe(path)
    assert info.duration == pytest.approx(float(probe(plain).duration or 0), abs=0.05)
    assert not completeness(info).missing


def _write_hidden_beginning(path: Path) -> None:
    """Video whose edit list begins after pictures that FFmpeg presents all the same.

    It is cut at half a second, so that an edit list hides what comes before. Then its times of
    presentation are moved before those of decoding, and a later picture is called the keyframe.
    """
    moved = 5120
    with av.open(str(path), "w") as out:
        video: Any = out.add_stream("libx264", rate=30, options={"bf": "3"})
        video.width, video.height = SIZE
        video.pix_fmt = "yuv420p"
        video.codec_context.gop_size = 250
        video.codec_context.time_base = Fraction(1, 30)
        packets = list(encode_pictures(video, [number / 30 for number in range(60)]))
        for packet in packets:
            cut = round(Fraction(1, 2) / packet.time_base)
            packet.pts -= cut
            packet.dts -= cut
            out.mux(packet)
    content = bytearray(path.read_bytes())
    offsets = content.index(b"ctts")
    content[offsets + 4] = 1  # version 1: they may be negative
    (count,) = struct.unpack_from(">I", content, offsets + 8)
    for number in range(count):
        _add_to_integer(content, offsets + 16 + 8 * number, -moved)
    _add_to_integer(content, content.index(b"elst") + 16, -moved)
    keyframes = content.index(b"stss")
    struct.pack_into(">II", content, keyframes + 8, 1, 30)
    path.write_bytes(content)


def _add_to_integer(content: bytearray, place: int, value: int) -> None:
    (before,) = struct.unpack_from(">i", content, place)
    struct.pack_into(">i", content, place, before + value)


def test_pictures_before_the_edit_begins_are_the_first(
    tmp_path: Path, fake: FakeBackend
) -> None:
    path = tmp_path / "a.mp4"
    _write_hidden_beginning(path)
    with av.open(str(path)) as container:
        pts = [frame.pts or 0 for frame in container.decode(video=0)]
        assert min(pts) < (container.streams.video[0].start_time or 0)
    with VideoReader(probe(path)) as reader:
        times = [frame.time for frame in reader]
    assert times[0] == 0
    assert len(times) == len(pts)
    target = tmp_path / "out.mp4"
    report = upscale(path, target, OPTIONS)
    assert report.frames_out == len(pts)
    with av.open(str(target)) as container:
        assert sum(1 for _ in container.decode(video=0)) == len(pts)


@pytest.mark.parametrize(
    ("times", "rate"),
    [
        # FFmpeg's guess is 1000 for both: the first is right
        (list(range(15)), Fraction(1000)),
        ([0, 33, 67, 100, 131, 167, 201, 233, 267, 299, 333], Fraction(10_000, 333)),
        ([40 * number for number in range(15)], Fraction(25)),
    ],
)
def test_the_rate_of_the_clock_is_not_that_of_the_frames(
    times: list[int], rate: Fraction, tmp_path: Path
) -> None:
    path = tmp_path / "a.mkv"
    write_clip(path, frames=len(times), times=times, codec="ffv1")
    content = bytearray(path.read_bytes())
    duration = content.index(b"\x23\xe3\x83\x84")  # DefaultDuration
    content[duration : duration + 8] = b"\xec\x86" + bytes(
        6
    )  # an element of no meaning
    path.write_bytes(content)
    assert probe(path).rate == pytest.approx(rate, rel=0.02)


def test_a_rate_of_the_clock_makes_no_flood_of_frames(
    tmp_path: Path, fake: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For an AVI, which takes no times, 15 frames in half a second became 500."""
    path = write_clip(
        tmp_path / "a.mkv",
        times=[round(33.4 * number) for number in range(15)],
        frames=15,
    )
    monkeypatch.setattr("vsrcli.decode.frame_rate._MAX_RATE", 1)
    options = replace(OPTIONS, verify=False)
    assert upscale(path, tmp_path / "out.avi", options).frames_out in (15, 16)


@pytest.mark.parametrize("name", ["out.mkv", "out.mp4"])
def test_lines_that_end_before_the_pictures_begin_are_left_out(
    name: str, tmp_path: Path, fake: FakeBackend
) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as out:
        video: Any = out.add_stream("mpeg4", rate=RATE)
        video.width, video.height = SIZE
        video.pix_fmt = "yuv420p"
        video.codec_context.time_base = Fraction(1, RATE)
        text = out.add_mux_stream("subrip")
        out.start_encoding()
        for begin in (0, 3_599_500, 3_600_200):
            line: Any = av.Packet(f"line at {begin}".encode())
            line.stream = text
            line.time_base = Fraction(1, 1000)
            line.pts = line.dts = begin
            line.duration = 700
            out.mux(line)
        for packet in encode_pictures(video, [number / RATE for number in range(12)]):
            packet.pts += round(3600 / packet.time_base)
            packet.dts += round(3600 / packet.time_base)
            out.mux(packet)
    target = tmp_path / name
    upscale(path, target, OPTIONS)
    with av.open(str(target)) as container:
        subtitles = container.streams.subtitles[0]
        lines = [bytes(packet) for packet in container.demux(subtitles)]
    assert not any(b"line at 0" in line for line in lines)
    assert any(b"line at 3599500" in line for line in lines)
    assert any(b"line at 3600200" in line for line in lines)
