"""What happens to each stream, and the copying of those that are kept."""

from __future__ import annotations

import io
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from fake import FakeBackend
from sources import AUDIO_RATE, describe, make_source, output_video, packets_of, picture

from vsrcli.containers.table import container_of
from vsrcli.decode.probe import probe
from vsrcli.encode.writer import VideoWriter
from vsrcli.errors import InputError, OutputError
from vsrcli.frame import StreamInfo, VideoInfo
from vsrcli.jobs.upscale import upscale
from vsrcli.options import EncoderOptions, UpscaleOptions
from vsrcli.streams.copier import StreamCopier
from vsrcli.streams.stream_plan import StreamPlan, plan_streams
from vsrcli.timing import WHOLE, TimeRange


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, VideoInfo]:
    folder = tmp_path_factory.mktemp("sources")
    made = {
        "aac.mp4": make_source(
            folder / "aac.mp4", muxer="mp4", audio=("aac", "aac"), seconds=2
        ),
        "pcm.mkv": make_source(
            folder / "pcm.mkv",
            muxer="matroska",
            audio=("pcm_s16le",),
            subtitles=True,
            chapters=False,
        ),
        "opus.mkv": make_source(
            folder / "opus.mkv", muxer="matroska", audio=("libopus",)
        ),
        "mp3.avi": make_source(folder / "mp3.avi", muxer="avi", audio=("libmp3lame",)),
        "aac.ts": make_source(folder / "aac.ts", muxer="mpegts", audio=("aac",)),
    }
    for codec in ("ac3", "flac"):
        made[f"{codec}.mkv"] = make_source(
            folder / f"{codec}.mkv", muxer="matroska", audio=(codec,)
        )
    return made


TAKEN = [
    ("aac.mp4", "mp4 m4v mov mkv ts avi", "webm"),
    ("aac.ts", "mp4 mov mkv ts", "webm"),
    ("pcm.mkv", "mov mkv avi", "mp4 webm ts"),
    ("opus.mkv", "mp4 mkv webm ts", "mov avi"),
    ("mp3.avi", "mp4 mov mkv ts avi", "webm"),
    ("ac3.mkv", "mp4 mov mkv ts avi", "webm"),
    ("flac.mkv", "mp4 mkv", "webm mov ts"),
]


BECOMES = {"mp4": "aac", "mov": "aac", "ts": "aac", "avi": "mp3", "webm": "opus"}


@pytest.mark.parametrize(("name", "takers", "refusers"), TAKEN)
def test_containers_take_what_they_take(
    sources: dict[str, VideoInfo], name: str, takers: str, refusers: str
) -> None:
    info = sources[name]
    codec = info.streams[1].codec
    for ending in takers.split():
        plan = plan_streams(info, f"out.{ending}", "copy")
        assert {item.action for item in plan if item.stream.kind == "audio"} == {
            "copy"
        }, ending
        assert plan[0].action == "upscale"
    for ending in refusers.split():
        plan = plan_streams(info, f"out.{ending}", "copy")
        for item in plan:
            if item.stream.kind == "audio":
                assert (item.action, item.codec) == ("convert", BECOMES[ending])
                assert codec in item.reason
                assert ".mkv" in item.reason
        plan = plan_streams(info, f"out.{ending}", "none")
        dropped = [item for item in plan if item.stream.kind == "audio"]
        assert {(item.action, item.loses, item.reason) for item in dropped} == {
            ("drop", False, "--audio none")
        }


def test_text_is_copied_converted_or_dropped(sources: dict[str, VideoInfo]) -> None:
    info = sources["pcm.mkv"]
    found = {
        ending: plan_streams(info, f"out.{ending}", "copy")[2]
        for ending in ("mkv", "mp4", "m4v", "mov", "webm", "ts", "avi")
    }
    assert {ending: (item.action, item.codec) for ending, item in found.items()} == {
        "mkv": ("copy", None),
        "mp4": ("convert", "mov_text"),
        "m4v": ("convert", "mov_text"),
        "mov": ("convert", "mov_text"),
        "webm": ("convert", "webvtt"),
        "ts": ("drop", None),
        "avi": ("drop", None),
    }
    for ending in ("ts", "avi"):
        assert found[ending].loses
        assert ".mkv" in found[ending].reason
    assert not found["mp4"].loses


def test_other_streams_are_attached_or_dropped_with_a_reason(
    sources: dict[str, VideoInfo],
) -> None:
    info = sources["opus.mkv"]
    more = (
        StreamInfo(2, "video", "mjpeg", is_cover=True),
        StreamInfo(3, "video", "h264"),
        StreamInfo(4, "data", ""),
        StreamInfo(5, "attachment", "ttf"),
    )
    many = replace(info, streams=info.streams + more)
    for ending, attached in (
        ("mkv", (2, 5)),
        ("mp4", (2,)),
        ("mov", ()),
        ("webm", ()),
        ("avi", ()),
        ("ts", ()),
        ("nut", ()),
    ):
        plans = plan_streams(many, f"out.{ending}", "copy")[2:]
        assert (
            tuple(plan.stream.index for plan in plans if plan.action == "attach")
            == attached
        ), ending
        for plan, word in zip(
            plans, ("cover", "one video", "data", "attached"), strict=True
        ):
            assert word in plan.reason
            assert plan.loses == (plan.action == "drop")


def test_y4m_holds_the_picture_only(sources: dict[str, VideoInfo]) -> None:
    plans = plan_streams(sources["pcm.mkv"], "out.y4m", "copy")[1:]
    assert [(plan.action, plan.loses) for plan in plans] == [("drop", True)] * 2


def test_unknown_ending_is_refused(sources: dict[str, VideoInfo]) -> None:
    for name in ("out.xyz", "out"):
        with pytest.raises(OutputError, match="ending"):
            plan_streams(sources["opus.mkv"], name, "copy")


def test_source_that_is_gone_is_an_input_error(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    info = make_source(path, muxer="matroska", seconds=0.2)
    path.unlink()
    with pytest.raises(InputError, match=r"a\.mkv: no such file"):
        plan_streams(info, "out.mkv", "copy")


def copied(
    info: VideoInfo, time_range: TimeRange = WHOLE
) -> tuple[StreamCopier, list[Any]]:
    """A copier into a file in memory, and the packets it delivers."""
    plan = plan_streams(info, "out.mkv", "copy")
    with av.open(io.BytesIO(), "w", format="matroska") as output:
        output.add_stream("mpeg4", rate=25)
        copier = StreamCopier(
            info,
            plan,
            output,
            container_of("o.mkv"),
            time_range=time_range,
            origin=time_range.begin,
        )
        try:
            return copier, list(copier.until(None))
        finally:
            copier.close()


def test_whole_file_copy_keeps_every_packet(sources: dict[str, VideoInfo]) -> None:
    for name, info in sources.items():
        _, packets = copied(info)
        for number, track in enumerate(
            (s for s in packets_of(info.path) if s.kind == "audio"), start=1
        ):
            mine = [packet for packet in packets if packet.stream.index == number]
            assert [bytes(packet) for packet in mine] == track.payloads, name
            for packet, time in zip(mine, track.times, strict=True):
                assert (
                    abs(packet.pts * packet.time_base - (time - info.start))
                    <= packet.time_base / 2
                )


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (Fraction(1, 2), None),
        (None, Fraction(7, 5)),
        (Fraction(33, 50), Fraction(133, 100)),
    ],
)
def test_cut_is_exact_to_the_packet(
    sources: dict[str, VideoInfo], start: Fraction | None, end: Fraction | None
) -> None:
    info = sources["aac.mp4"]
    _, packets = copied(info, TimeRange(start, end))
    track = packets_of(info.path)[1]
    length = Fraction(1024, AUDIO_RATE)
    expected = [
        (time - (start or 0), payload)
        for time, payload in zip(track.times, track.payloads, strict=True)
        if (start is None or time + length > start) and (end is None or time < end)
    ]
    mine = [packet for packet in packets if packet.stream.index == 1]
    assert [bytes(packet) for packet in mine] == [payload for _, payload in expected]
    for packet, (time, _) in zip(mine, expected, strict=True):
        assert abs(packet.pts * packet.time_base - time) <= packet.time_base / 2
    assert (
        all(packet.pts * packet.time_base > -length for packet in mine) or start is None
    )


def test_packets_come_as_far_as_asked_for(sources: dict[str, VideoInfo]) -> None:
    info = sources["aac.mp4"]
    with av.open(io.BytesIO(), "w", format="matroska") as output:
        output.add_stream("mpeg4", rate=25)
        copier = StreamCopier(
            info, plan_streams(info, "out.mkv", "copy"), output, container_of("o.mkv")
        )
        seen = 0
        for step in range(1, 11):
            until = Fraction(step, 10)
            packets: list[Any] = list(copier.until(until))
            times = [packet.dts * packet.time_base for packet in packets]
            assert all(time < until for time in times)
            seen += len(times)
            assert abs(seen / 2 - step / 10 * AUDIO_RATE / 1024) <= 2
        copier.close()


def test_subtitle_that_is_shown_when_the_cut_begins_is_kept(
    sources: dict[str, VideoInfo],
) -> None:
    info = sources["pcm.mkv"]
    _, packets = copied(info, TimeRange(Fraction(1, 4), Fraction(3, 5)))
    lines = [
        (
            bytes(packet).decode(),
            1000 * packet.pts * packet.time_base,
            1000 * packet.duration * packet.time_base,
        )
        for packet in packets
        if packet.stream.type == "subtitle"
    ]
    assert lines == [("line 5", 0, 110), ("line 10", 150, 160)]


def test_chapters_and_tags_are_carried_and_cut(
    sources: dict[str, VideoInfo], tmp_path: Path
) -> None:
    info = sources["aac.mp4"]
    plan = plan_streams(info, "out.mkv", "copy")
    with av.open(io.BytesIO(), "w", format="matroska") as output:
        output.add_stream("mpeg4", rate=25)
        StreamCopier(
            info,
            plan,
            output,
            container_of("o.mkv"),
            time_range=TimeRange(Fraction(1, 2), Fraction(3, 2)),
            origin=Fraction(1, 2),
        ).close()
        chapters: list[Any] = output.chapters()
        cut = [
            (
                chapter["start"] * chapter["time_base"],
                chapter["end"] * chapter["time_base"],
            )
            for chapter in chapters
        ]
        assert cut == [(0, Fraction(1, 2)), (Fraction(1, 2), 1)]
        assert output.metadata == {"title": "A title", "artist": "Someone"}
        assert [dict(s.metadata) for s in output.streams.audio] == [
            {"language": "fre", "title": "Track 0"},
            {"language": "eng", "title": "Track 1"},
        ]
        assert [int(s.disposition) for s in output.streams.audio] == [1, 0]


def test_plan_describes_itself(sources: dict[str, VideoInfo]) -> None:
    assert plan_streams(describe(sources["ac3.mkv"].path), Path("out.mkv"), "copy")[
        1
    ] == StreamPlan(sources["ac3.mkv"].streams[1], "copy", "copied as it is")


@pytest.mark.parametrize("name", ["o.mkv", "o.nut", "o.webm"])
def test_chapters_stay_with_the_pictures(
    sources: dict[str, VideoInfo], tmp_path: Path, name: str
) -> None:
    """MP4 starts AAC before time 0; containers without negative times move everything later."""
    info, half = (
        (sources["opus.mkv"], Fraction(1, 2))
        if name == "o.webm"
        else (sources["aac.mp4"], 1)
    )
    video = output_video()
    codec = EncoderOptions(
        codec={"o.webm": "libvpx-vp9", "o.nut": "ffv1"}.get(name, "libx264")
    )
    with VideoWriter(
        tmp_path / name,
        video,
        codec,
        source=info,
        plan=plan_streams(info, name, "copy"),
    ) as writer:
        for number in range(25):
            writer.write(picture(number, video), number, 1)
        writer.finish(25)
    first = min(packets_of(tmp_path / name)[0].times)
    with av.open(str(tmp_path / name)) as file:
        found: list[Any] = file.chapters()
        assert abs(
            found[1]["start"] * found[1]["time_base"] - first - half
        ) <= Fraction(1, 500)


@pytest.mark.parametrize("muxer", ["mp4", "matroska", "mpegts"])
def test_late_cut_reads_from_shortly_before_it(tmp_path: Path, muxer: str) -> None:
    """Two minutes of sound: a cut near the end equals a full read, and skips the beginning."""
    info = make_source(
        tmp_path / "in",
        muxer=muxer,
        seconds=120,
        subtitles=muxer == "matroska",
        chapters=False,
    )
    start = Fraction(110)
    end = Fraction(112)
    plan = plan_streams(info, "out.mkv", "copy")
    with av.open(io.BytesIO(), "w", format="matroska") as output:
        output.add_stream("mpeg4", rate=25)
        copier = StreamCopier(
            info,
            plan,
            output,
            container_of("out.mkv"),
            time_range=TimeRange(start, end),
            origin=start,
        )
        demuxed: list[Fraction] = []
        place = copier._clock.place

        def noted(packet: Any, run_up: Fraction) -> Any:
            demuxed.append(packet.pts * packet.time_base - info.start)
            return place(packet, run_up)

        copier._clock.place = noted  # type: ignore[method-assign]
        packets = list(copier.until(None))
        copier.close()
    for track, kind in (
        (track, track.kind) for track in packets_of(info.path) if track.kind != "video"
    ):
        wanted = [
            payload
            for time, length, payload in zip(
                track.times, track.durations, track.payloads, strict=True
            )
            if time - info.start + length > start and time - info.start < end
        ]
        assert [
            bytes(packet) for packet in packets if packet.stream.type == kind
        ] == wanted
        assert wanted
    assert min(demuxed) > 60
    assert min(demuxed) <= start - 20


@pytest.mark.parametrize(
    "name", ["o.mp4", "o.mov", "o.mkv", "o.webm", "o.ts", "o.avi", "o.nut"]
)
@pytest.mark.parametrize(
    "audio", [("pcm_s16le", "flac", "ac3"), ("libopus", "aac", "libmp3lame")]
)
@pytest.mark.parametrize(
    "cut",
    [{}, {"start": Fraction(12, 25), "end": Fraction(32, 25)}],
    ids=["whole", "cut"],
)
def test_verification_passes_for_every_container(
    tmp_path: Path,
    fake: FakeBackend,
    name: str,
    audio: tuple[str, ...],
    cut: dict[str, Any],
) -> None:
    source = make_source(
        tmp_path / "in.mkv", muxer="matroska", audio=audio, subtitles=True, seconds=2
    ).path
    encoder = (
        EncoderOptions(codec="libx264", preset="ultrafast")
        if name not in ("o.webm", "o.nut")
        else EncoderOptions()
    )
    report = upscale(
        source,
        tmp_path / name,
        UpscaleOptions(fps=Fraction(25), encoder=encoder, verify=True, **cut),
    )
    assert report.frames_out == (20 if cut else 50)


@pytest.mark.parametrize("kind", ["timecode", "chapters"])
@pytest.mark.parametrize(
    ("name", "is_lost"),
    [("o.mp4", False), ("o.mov", False), ("o.mkv", False), ("o.ts", True)],
)
def test_tracks_that_say_again_what_is_carried_are_no_loss(
    tmp_path: Path, name: str, kind: str, is_lost: bool
) -> None:
    """QuickTime's chapters and timecode."""
    path = tmp_path / "in.mov"
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libx264", rate=25)
        stream.width = 64
        stream.height = 48
        stream.pix_fmt = "yuv420p"
        if kind == "timecode":
            stream.metadata["timecode"] = "01:00:00:00"
        else:
            out.set_chapters(
                [
                    {
                        "id": 1,
                        "start": 0,
                        "end": 1000,
                        "time_base": Fraction(1, 1000),
                        "metadata": {"title": "One"},
                    }
                ]
            )
        for number in range(25):
            picture = av.VideoFrame(64, 48, "yuv420p")
            picture.pts = number
            picture.time_base = Fraction(1, 25)
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
    info = probe(path)
    tracks = [
        plan
        for plan in plan_streams(info, tmp_path / name, "copy")
        if plan.stream.kind == "data"
    ]
    assert [plan.loses for plan in tracks] == [is_lost]
