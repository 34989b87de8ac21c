"""What containers take, what begins late, and which advice helps."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from fake import FakeBackend

from vsrcli.containers.advice import better_name, way_out
from vsrcli.containers.pipe import output_pipe
from vsrcli.containers.table import CONTAINERS, LISTED_CODECS, PIPED, Container
from vsrcli.decode.input_file import open_input
from vsrcli.decode.probe import probe
from vsrcli.decode.stream_analysis import demux, open_analysed
from vsrcli.jobs.upscale import upscale
from vsrcli.options import EncoderOptions, UpscaleOptions
from vsrcli.preflight.notes import stream_losses
from vsrcli.streams.audio_settings import choose_audio_settings, encoding_delay
from vsrcli.streams.packet_clock import is_held_at_zero
from vsrcli.streams.stream_plan import StreamPlan, plan_streams
from vsrcli.streams.stream_tags import content_tags, global_tags, is_same_value
from vsrcli.streams.trial_mux import tags_that_fit
from vsrcli.verification.packet_comparison import (
    compare_converted,
    compare_converted_offset,
    compare_offsets,
)
from vsrcli.verification.packet_inventory import Track, TrimRange
from vsrcli.verification.packet_scan import scan_packets

_SIZE = 32
_MILLISECOND = Fraction(1, 1000)
# Codecs of sound that FFmpeg can encode here, by the encoder's name.
_ENCODERS = (
    "aac",
    "ac3",
    "eac3",
    "mp2",
    "libmp3lame",
    "libopus",
    "vorbis",
    "flac",
    "alac",
    "wavpack",
    "pcm_s16le",
    "pcm_s16be",
    "pcm_s24le",
    "pcm_s24be",
    "pcm_f32le",
    "pcm_u8",
    "pcm_s8",
    "pcm_alaw",
    "pcm_mulaw",
    "adpcm_ms",
    "adpcm_ima_wav",
    "adpcm_ima_qt",
    "adpcm_yamaha",
)


def _sound(
    out: Any,
    codec: str,
    *,
    rate: int = 48_000,
    seconds: float = 0.5,
    layout: str = "stereo",
) -> list[Any]:
    """The packets of a new track of noise in a file that is being written."""
    stream = out.add_stream(codec, rate=rate, options={"strict": "experimental"})
    stream.layout = layout
    context = stream.codec_context
    context.format = context.codec.audio_formats[0]
    context.open(strict=False)
    samples = context.frame_size or 1024
    noise = np.random.default_rng(5)
    packets: list[Any] = []
    for number in range(round(seconds * rate / samples)):
        frame = av.AudioFrame(
            format=context.format.name, layout=layout, samples=samples
        )
        for plane in frame.planes:
            size = plane.buffer_size
            if context.format.name.startswith("flt"):
                values = noise.uniform(-0.1, 0.1, size // 4).astype(np.float32)
                plane.update(values.tobytes())
            else:
                plane.update(noise.integers(0, 256, size, np.uint8).tobytes())
        frame.sample_rate = rate
        frame.pts = number * samples
        frame.time_base = Fraction(1, rate)
        packets += stream.encode(frame)
    packets += stream.encode(None)
    return packets


def _film(
    path: Path,
    sound: str | None,
    *,
    muxer: str | None = None,
    video: str = "mpeg4",
    late: float = 0,
    frames: int = 5,
    fps: int = 10,
    rate: int = 48_000,
    seconds: float = 0.5,
    tags: dict[str, str] | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """A film of 32x32 with one track of sound, which may begin late."""
    with av.open(str(path), "w", format=muxer, container_options=options or {}) as out:
        stream: Any = out.add_stream(video, rate=fps)
        stream.width = _SIZE
        stream.height = _SIZE
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = 12
        packets: list[Any] = []
        if sound is not None:
            packets = _sound(out, sound, rate=rate, seconds=seconds)
        out.metadata.update(tags or {})
        picture = av.VideoFrame(_SIZE, _SIZE, "yuv420p")
        for number, plane in enumerate(picture.planes):
            plane.update(bytes([60 + 40 * number]) * plane.buffer_size)
        encoded: list[Any] = []
        for number in range(frames):
            picture.pts = number
            picture.time_base = Fraction(1, fps)
            encoded += stream.encode(picture)
        encoded += stream.encode(None)
        for packet in packets:
            delay = round(late / packet.time_base)
            packet.pts += delay
            packet.dts += delay
        everything = [*encoded, *packets]
        everything.sort(key=lambda packet: packet.dts * packet.time_base)
        for packet in everything:
            out.mux(packet)
    return path


def _plan(source: Path, target: str, kind: str = "audio") -> StreamPlan:
    plans = plan_streams(probe(source), target, "copy")
    return next(plan for plan in plans if plan.stream.kind == kind)


# Streams that begin late


@pytest.mark.parametrize(
    ("muxer", "video", "fps", "sound", "late"),
    [
        ("mpegts", "mpeg2video", 25, "aac", 12),
        ("mpegts", "mpeg2video", 25, "mp2", 60),
        ("mpegts", "mpeg4", 2, "ac3", 300),
        ("vob", "mpeg2video", 25, "mp2", 60),
        ("flv", "flv", 2, "libmp3lame", 120),
    ],
)
def test_sound_that_begins_late_is_known_and_copied(
    tmp_path: Path, muxer: str, video: str, fps: int, sound: str, late: int
) -> None:
    source = _film(
        tmp_path / "late",
        sound,
        muxer=muxer,
        video=video,
        late=late,
        fps=fps,
        frames=fps * late,
        rate=44_100,
    )
    plan = _plan(source, "out.mkv")
    assert plan.action == "copy"
    assert plan.stream.detail.startswith("44100 Hz")
    with open_input(source) as container:
        stream = container.streams.audio[0]
        assert stream.start_time is not None
        assert stream.time_base is not None
        start = stream.start_time * stream.time_base
        assert start == pytest.approx(late + float(probe(source).start), abs=1.5)


def test_ordinary_files_are_opened_once(tmp_path: Path) -> None:
    source = _film(tmp_path / "film.ts", "aac")
    opened: list[dict[str, str]] = []

    def open_with(options: dict[str, str]) -> Any:
        opened.append(options)
        return av.open(str(source), container_options=options)

    for _ in range(2):
        open_analysed(source, open_with).close()
    assert opened == [{}, {}]


def test_what_is_learned_of_late_streams_is_remembered(tmp_path: Path) -> None:
    source = _film(tmp_path / "film.ts", "mp2", late=12, frames=120, rate=44_100)
    opened: list[dict[str, str]] = []

    def open_with(options: dict[str, str]) -> Any:
        opened.append(options)
        return av.open(str(source), container_options=options)

    open_analysed(source, open_with).close()
    opened.clear()
    open_analysed(source, open_with).close()
    assert len(opened) == 1
    assert "probesize" in opened[0]


def test_a_stream_without_packets_is_no_loss(tmp_path: Path) -> None:
    source = _film(tmp_path / "film.ts", "mp2", seconds=0)
    plan = _plan(source, "out.ts")
    assert (plan.action, plan.loses, plan.reason) == (
        "drop",
        False,
        "it has no packets",
    )


def test_streams_that_appear_in_mid_file_are_no_traceback(tmp_path: Path) -> None:
    parts = [
        _film(
            tmp_path / f"part{number}.ts",
            "mp2",
            video="mpeg2video",
            fps=25,
            frames=25,
            seconds=1,
            options={
                "mpegts_start_pid": str(0x100 + 0x100 * number),
                "output_ts_offset": str(number),
            },
        )
        for number in range(2)
    ]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    with open_input(joined) as container:
        plain = [packet for packet in demux(container) if packet.size]
    assert sum(packet.stream_index == 0 for packet in plain) == 25
    plans = plan_streams(probe(joined), "out.mkv", "copy")
    lost = [plan for plan in plans if plan.stream.kind == "video" and plan.loses]
    assert len(lost) == 1


def test_a_file_that_pyav_fails_on_at_its_end_is_read_to_there() -> None:
    class Container:
        def demux(self) -> Iterator[int]:
            yield from (1, 2)
            raise IndexError("list index out of range")

    container: Any = Container()
    packets: list[Any] = list(demux(container))
    assert packets == [1, 2]


# What containers take


def _written(container: Container, stream: Any, payloads: list[Any]) -> io.BytesIO:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container.muxer) as out:
        copy = out.add_stream_from_template(stream)
        out.start_encoding()
        for packet in payloads:
            packet.stream = copy
            # some readers leave out a last packet that has no length
            packet.duration = packet.duration or 1
            out.mux(packet)
    buffer.seek(0)
    return buffer


def _packets(source: Path) -> Iterator[Any]:
    with av.open(str(source)) as file:
        for packet in file.demux():
            if packet.size and packet.stream.type == "audio":
                yield packet


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A file for each codec of sound, by the codec's name."""
    folder = tmp_path_factory.mktemp("sounds")
    sources = {}
    for encoder in _ENCODERS:
        for ending in ("mov", "mkv", "avi"):
            path = folder / f"{encoder}.{ending}"
            with contextlib.suppress(ValueError, av.FFmpegError):
                with av.open(str(path), "w") as out:
                    packets = _sound(out, encoder)
                    out.start_encoding()
                    out.mux(packets)
                with av.open(str(path)) as made:
                    name = made.streams.audio[0].codec_context.codec.canonical_name
                sources[name] = path
                break
    assert len(sources) == len(_ENCODERS), sorted(sources)
    return sources


def test_the_table_of_codecs_is_true(sounds: dict[str, Path]) -> None:
    """Whole files, not three packets: what a container takes comes back as it was."""
    for container in {id(each): each for each in CONTAINERS.values()}.values():
        for codec, source in sounds.items():
            if container.takes(codec) is not True:
                continue
            expected = [bytes(packet) for packet in _packets(source)]
            with av.open(str(source)) as file:
                stream = file.streams.audio[0]
                packets = [packet for packet in file.demux(stream) if packet.size]
                buffer = _written(container, stream, packets)
            with av.open(buffer, "r", format=container.demuxer) as copy:
                read = [bytes(packet) for packet in copy.demux() if packet.size]
            is_framed = codec == "aac" and container.name == "ts"
            if not is_framed:
                assert b"".join(read) == b"".join(expected), (container.name, codec)


@pytest.mark.parametrize("ending", [".mkv", ".mp4", ".mov", ".ts", ".avi", ".nut"])
def test_what_the_table_refuses_is_refused_or_has_a_reason(
    sounds: dict[str, Path], ending: str
) -> None:
    container = CONTAINERS[ending]
    for codec, source in sounds.items():
        if container.takes(codec) is not False or codec in container.avoided_codecs:
            continue
        actual = ""
        with (
            contextlib.suppress(ValueError, av.FFmpegError),
            av.open(str(source)) as file,
        ):
            stream = file.streams.audio[0]
            packets = [packet for packet in file.demux(stream) if packet.size]
            with av.open(_written(container, stream, packets), "r") as copy:
                context: Any = copy.streams[0].codec_context
                actual = context.codec.canonical_name if context else ""
        assert actual != codec, (container.name, codec)


@pytest.mark.parametrize("sound", ["mp2", "ac3", "eac3"])
def test_sound_of_recordings_stays_in_ts(tmp_path: Path, sound: str) -> None:
    source = _film(tmp_path / "film.ts", sound, video="mpeg2video", fps=25)
    assert _plan(source, "out.ts").action == "copy"


# Sound of low rates


@pytest.mark.parametrize("codec", ["opus", "mp3", "aac", "ac3"])
@pytest.mark.parametrize("rate", [8000, 11_025, 16_000, 22_050, 32_000, 96_000])
def test_every_rate_can_be_converted(tmp_path: Path, codec: str, rate: int) -> None:
    source = _film(tmp_path / "film.mkv", "pcm_s16le", rate=rate, seconds=0.1)
    with av.open(str(source)) as file:
        settings = choose_audio_settings(file.streams.audio[0], codec)
    assert settings is not None
    supported = av.codec.Codec(settings.encoder, "w").audio_rates
    assert supported is None or settings.rate in supported


@pytest.mark.parametrize(
    ("target", "sound", "rate"),
    [
        ("out.mp4", "pcm_u8", 8000),
        ("out.webm", "aac", 22_050),
        ("out.avi", "flac", 11_025),
        ("out.mp4", "wavpack", 44_100),
        ("out.avi", "wavpack", 44_100),
        ("out.avi", "adpcm_ms", 44_100),
        # copied: its packets have no length in Matroska
        ("out.mp4", "alac", 44_100),
    ],
)
def test_sound_passes_the_verification(
    tmp_path: Path, fake: FakeBackend, target: str, sound: str, rate: int
) -> None:
    ending = "avi" if sound in ("pcm_u8", "adpcm_ms") else "mkv"
    source = _film(tmp_path / f"film.{ending}", sound, rate=rate, frames=10, seconds=1)
    is_webm = target.endswith("webm")
    options = UpscaleOptions(
        fps=Fraction(10),
        verify=True,
        encoder=EncoderOptions(codec="libvpx-vp9" if is_webm else "mpeg4"),
    )
    report = upscale(source, tmp_path / target, options)
    assert report.checks is not None
    assert report.checks["ok"]


def _track(
    kind: str, codec: str, times: list[int], length: int, rate: int = 0
) -> Track:
    return Track(
        index=1,
        kind=kind,
        codec=codec,
        unit=_MILLISECOND,
        start=Fraction(0),
        times=np.array(times, np.int64),
        lengths=np.full(len(times), length, np.int64),
        digests=np.zeros(len(times), np.uint64),
        sha256="",
        channels=1 if rate else 0,
        rate=rate,
    )


def test_the_tolerance_follows_the_delay_of_the_encoder() -> None:
    whole = TrimRange(Fraction(0), None, Fraction(0))
    source = _track("audio", "pcm_u8", [0, 100], 100, 8000)
    for rate, first, is_right in (
        (8000, -128, True),
        (8000, -160, False),
        (16_000, -64, True),
        (48_000, -21, True),
        (48_000, -64, False),
        (8000, 60, False),
    ):
        output = _track("audio", "aac", [first, first + 128], 128, rate)
        problem = compare_converted_offset(source, output, whole)
        assert (problem is None) is is_right, (rate, first, problem)
    assert encoding_delay("aac", 8000, 1) == Fraction(1024, 8000)
    assert encoding_delay("pcm_s16le", 8000, 1) == 0


def test_converted_sound_may_be_longer_by_a_frame_only() -> None:
    whole = TrimRange(Fraction(0), None, Fraction(0))
    source = _track("audio", "pcm_u8", [0], 1000, 8000)
    for packets, is_right in ((9, True), (10, True), (7, False), (11, False)):
        times = [128 * number - 128 for number in range(packets)]
        output = _track("audio", "aac", times, 128, 8000)
        problem = compare_converted(source, output, whole, "aac", 1)
        assert (problem is None) is is_right, (packets, problem)


def test_channels_that_are_lost_are_noticed() -> None:
    whole = TrimRange(Fraction(0), None, Fraction(0))
    track = _track("audio", "aac", [0], 1000, 48_000)
    problem = compare_converted(track, track, whole, "aac", 6)
    assert problem == "audio stream 1 (aac): 1 channel of 6"


def test_packets_without_a_duration_reach_to_the_next(tmp_path: Path) -> None:
    source = _film(tmp_path / "film.mkv", "wavpack", seconds=1.5)
    track = scan_packets(probe(source)).tracks[1]
    assert track.lengths.min() > 0
    assert track.uncertain_end > 0
    assert track.span[1] == pytest.approx(1.5, abs=float(track.uncertain_end))


# Lines that begin before the first picture


def test_the_verification_expects_what_the_copier_does() -> None:
    whole = TrimRange(None, None, Fraction(0))
    source = _track("subtitle", "subrip", [-46], 1000)
    held = _track("subtitle", "subrip", [0], 1000)
    numbers = np.arange(1)
    for output, is_right in ((held, True), (source, False)):
        problem = compare_offsets(
            source,
            output,
            numbers,
            whole,
            early=_MILLISECOND,
            late=_MILLISECOND,
            is_converted=False,
        )
        assert (problem is None) is is_right
    assert is_held_at_zero("subtitle", is_converted=False)
    assert not is_held_at_zero("audio", is_converted=False)


# Tags


def test_names_of_tags_are_compared_whatever_their_case() -> None:
    kept = tags_that_fit(
        CONTAINERS[".mkv"], {"CREATION_TIME": "2021-02-03T04:05:06Z", "Artist": "A"}
    )
    assert set(kept) == {"CREATION_TIME", "Artist"}
    assert content_tags({"TITLE": "A", "empty": ""}, handler_names=False) == {
        "title": "A"
    }
    assert global_tags({"title": "A", "title-eng": "A"}) == {"title": "A"}


def test_a_tag_that_comes_back_changed_is_lost() -> None:
    assert "date" not in tags_that_fit(CONTAINERS[".mp4"], {"creation_time": "once"})
    early = {"creation_time": "1850-01-01T00:00:00Z"}
    assert tags_that_fit(CONTAINERS[".mp4"], early) == {}
    assert set(tags_that_fit(CONTAINERS[".mkv"], early)) == set(early)


@pytest.mark.parametrize(
    ("name", "first", "second", "is_same"),
    [
        ("creation_time", "2021-02-03T04:05:06Z", "2021-02-03T04:05:06.000000Z", True),
        (
            "CREATION_TIME",
            "2021-02-03T04:05:06+02:00",
            "2021-02-03T02:05:06.000Z",
            True,
        ),
        ("creation_time", "2021-02-03", "2021-02-04", False),
        ("creation_time", "once", "never", False),
        ("location", "+10.5+020.0/", "+10.5000+020.0000/", True),
        ("date", "2020-01-01", "2020", False),
        ("comment", "x" * 70_000, "x" * 4464, False),
    ],
)
def test_values_that_mean_the_same(
    name: str, first: str, second: str, is_same: bool
) -> None:
    assert is_same_value(name, first, second) is is_same


@pytest.mark.parametrize(
    ("ending", "length"), [(".ts", 300), (".nut", 2000), (".mov", 70_000)]
)
def test_a_tag_too_long_for_a_container_harms_no_other(
    tmp_path: Path, fake: FakeBackend, ending: str, length: int
) -> None:
    tags = {"title": "t" * length, "genre": "Drama"}
    source = _film(tmp_path / "film.mkv", None, tags=tags)
    target = tmp_path / f"out{ending}"
    report = upscale(
        source,
        target,
        UpscaleOptions(
            fps="source", verify=True, encoder=EncoderOptions(codec="mpeg4")
        ),
    )
    assert any("the tag" in note and "title" in note for note in report.notes)
    with av.open(str(target)) as file:
        assert "title" not in file.metadata
        kept = {key.lower() for key in file.metadata}
        assert ending == ".ts" or "genre" in kept


@pytest.mark.parametrize(("target", "is_kept"), [("o.mkv", True), ("o.mp4", False)])
def test_tags_of_streams_are_kept_or_named_as_lost(
    tmp_path: Path, fake: FakeBackend, target: str, is_kept: bool
) -> None:
    film = _film(tmp_path / "film.mkv", "aac", frames=10)
    source = tmp_path / "tagged.mkv"
    with av.open(str(film)) as file, av.open(str(source), "w") as out:
        copies = [out.add_stream_from_template(stream) for stream in file.streams]
        copies[1].metadata["microphone"] = "left"
        for packet in file.demux():
            if packet.size:
                packet.stream = copies[packet.stream_index]
                out.mux(packet)
    options = UpscaleOptions(
        fps="source", verify=True, encoder=EncoderOptions(codec="mpeg4")
    )
    report = upscale(source, tmp_path / target, options)
    assert report.checks is not None
    assert report.checks["ok"]
    lost = "the tag MICROPHONE of stream 1: name the output .mkv to keep them"
    assert any(lost in note for note in report.notes) is not is_kept
    track = scan_packets(probe(tmp_path / target)).tracks[1]
    assert ("MICROPHONE" in track.tags) is is_kept


# Advice


def test_no_advice_names_what_the_user_does_already() -> None:
    for ending, container in CONTAINERS.items():
        name = better_name(f"out{ending}", lambda other: True)
        assert name is not None
        assert CONTAINERS[name].name != container.name
    for name in PIPED:
        assert better_name(output_pipe(name), lambda other: True) != f"--format {name}"


def test_no_advice_where_nothing_helps() -> None:
    assert way_out("out.mp4", lambda other: False, "to keep it") == ""
    only = way_out("out.mp4", lambda other: False, others=("give --audio none",))
    assert only == ": give --audio none"
    assert (
        way_out("out.ts", lambda other: other.keeps_chapters, "to keep them")
        == ": name the output .mkv to keep them"
    )
    assert (
        way_out(output_pipe("mpegts"), lambda other: other.keeps_chapters)
        == ": give --format matroska"
    )


@pytest.mark.parametrize("ending", sorted(CONTAINERS))
def test_losses_advise_another_output_or_none(tmp_path: Path, ending: str) -> None:
    tags = {"title": "A", "sp ace": "no container of these keeps it"}
    source = _film(tmp_path / "film.mkv", "vorbis", tags=tags)
    target = tmp_path / f"out{ending}"
    info = probe(source)
    plans = plan_streams(info, target, "copy")
    lines = [*stream_losses(info, target, plans), *(plan.reason for plan in plans)]
    for line in lines:
        assert f"name the output {ending} " not in line
        assert f"{ending} would copy it" not in line


def test_every_listed_codec_is_known_to_ffmpeg() -> None:
    for codec in LISTED_CODECS:
        assert av.codec.Codec(codec if codec != "aac_latm" else "aac", "r")
