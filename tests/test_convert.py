"""Sound and text that a container refuses: every click at its time, every word in its line."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from fake import FakeBackend
from sources import output_video, packets_of, picture

from vsrcli.containers.languages import same_language
from vsrcli.decode.probe import probe
from vsrcli.encode.writer import VideoWriter
from vsrcli.frame import VideoInfo
from vsrcli.jobs.upscale import upscale
from vsrcli.options import EncoderOptions, UpscaleOptions
from vsrcli.streams.audio_settings import choose_audio_settings, layout_name
from vsrcli.streams.stream_plan import plan_streams
from vsrcli.streams.subtitle_text import read_text, write_text
from vsrcli.timing import TimeRange
from vsrcli.verification.packet_comparison import compare_converted
from vsrcli.verification.packet_inventory import TrimRange
from vsrcli.verification.packet_scan import scan_packets

RATE = 48000
CLICKS = (Fraction(3, 10), Fraction(1), Fraction(17, 10))
FAST = EncoderOptions(codec="libx264", crf=30, preset="ultrafast")


def clicking(
    path: Path,
    codec: str,
    *,
    seconds: int = 2,
    rate: int = RATE,
    layout: str = "stereo",
    clicks: tuple[Fraction, ...] = CLICKS,
    missing: tuple[Fraction, Fraction] | None = None,
    late: Fraction = Fraction(0),
    damaged: bool = False,
) -> VideoInfo:
    """Write video at 25 frames a second, with sound that is silent but for clicks.

    A click is a burst of 3 kHz, 2 ms long. ``missing`` is a span of time without packets,
    ``late`` is when the sound begins.
    """
    channels = len(av.AudioLayout(layout).channels)
    samples = np.zeros((channels, seconds * rate), np.float32)
    burst = 0.8 * np.sin(2 * np.pi * 3000 / rate * np.arange(rate // 500))
    for click in clicks:
        place = round(click * rate)
        samples[:, place : place + len(burst)] = burst
    with av.open(str(path), "w") as out:
        video: Any = out.add_stream("mpeg4", rate=25)
        video.width = 64
        video.height = 48
        video.pix_fmt = "yuv420p"
        sound: Any = out.add_stream(codec, rate=rate)
        sound.layout = layout
        sound.metadata.update({"language": "fre", "title": "Clicks"})
        context = sound.codec_context
        context.open(strict=False)
        size = context.frame_size or 1024
        kind = context.format
        for number in range(25 * seconds):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts = number
            frame.time_base = Fraction(1, 25)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        resampler = av.AudioResampler(kind.name, layout, rate)
        for number, begin in enumerate(range(round(late * rate), seconds * rate, size)):
            interleaved = np.ascontiguousarray(
                samples[:, begin : begin + size].T
            ).reshape(1, -1)
            chunk = av.AudioFrame.from_ndarray(interleaved, format="flt", layout=layout)
            chunk.sample_rate = rate
            chunk.pts = begin
            chunk.time_base = Fraction(1, rate)
            for each in resampler.resample(chunk):
                for packet in sound.encode(each):
                    if (
                        missing is not None
                        and missing[0] <= packet.pts * packet.time_base < missing[1]
                    ):
                        continue
                    if damaged and number == 20:
                        content = bytes(packet)
                        broken: Any = av.Packet(bytes(len(content)))
                        broken.pts = packet.pts
                        broken.dts = packet.dts
                        broken.duration = packet.duration
                        broken.time_base = packet.time_base
                        broken.stream = sound
                        out.mux(broken)
                        continue
                    out.mux(packet)
        out.mux(sound.encode(None))
    return probe(path)


def carried(
    info: VideoInfo,
    target: Path,
    *,
    start: Fraction | None = None,
    end: Fraction | None = None,
    frames: int = 50,
) -> Path:
    """Write an output of 128x96 with the source's streams beside it."""
    video = output_video()
    codec = (
        EncoderOptions(codec="libvpx-vp9", preset="ultrafast")
        if target.suffix == ".webm"
        else FAST
    )
    with VideoWriter(
        target,
        video,
        codec,
        source=info,
        plan=plan_streams(info, target, "copy"),
        time_range=TimeRange(start, end),
        origin=start or Fraction(0),
    ) as writer:
        for number in range(frames):
            writer.write(picture(number, video), number, 1)
        writer.finish(frames)
    return target


def heard(path: Path) -> tuple[Any, Fraction, Fraction]:
    """The first track mixed to one channel, its start after the first picture, and its rate."""
    with av.open(str(path)) as file:
        pictures = file.streams.video[0]
        # AVI stores no order of presentation: FFmpeg gives pictures one place later than their own.
        first = min(
            (packet.pts if path.suffix != ".avi" else packet.dts or 0)
            * packet.time_base
            for packet in file.demux(pictures)
            if packet.pts is not None and packet.time_base is not None
        )
    parts = []
    begin = None
    rate = 0
    with av.open(str(path)) as file:
        sound = file.streams.audio[0]
        for frame in file.decode(sound):
            # in one plane: PyAV reads beyond the end of eight
            (packed,) = av.AudioResampler(
                "flt", frame.layout.name, frame.sample_rate
            ).resample(frame)
            array = packed.to_ndarray().astype(np.float64).reshape(frame.samples, -1).T
            rate = frame.sample_rate
            time = Fraction(frame.pts or 0) * (frame.time_base or 0) - first
            begin = time if begin is None else begin
            parts.append(array.mean(0))
    samples = np.concatenate(parts)
    return (
        samples / max(1e-9, float(np.abs(samples).max())),
        begin or Fraction(0),
        Fraction(rate),
    )


def clicks_in(path: Path) -> list[float]:
    """When the clicks' middles are heard, seconds after the first picture."""
    samples, begin, rate = heard(path)
    loud = np.flatnonzero(np.abs(samples) > 0.3)
    groups = np.split(loud, np.flatnonzero(np.diff(loud) > rate / 50) + 1)
    return [
        float(begin) + float(group[0] + group[-1]) / 2 / float(rate)
        for group in groups
        if len(group)
    ]


def expected(
    clicks: tuple[Fraction, ...] = CLICKS, origin: Fraction = Fraction(0)
) -> list[float]:
    return [float(click - origin) + 0.001 for click in clicks]


REFUSED = [
    ("pcm_s16le", "o.mp4", "aac"),
    ("pcm_s16le", "o.m4v", "aac"),
    ("flac", "o.mov", "aac"),
    ("flac", "o.ts", "aac"),
    ("pcm_s16le", "o.webm", "opus"),
    ("ac3", "o.webm", "opus"),
    ("flac", "o.avi", "mp3"),
    ("aac", "o.webm", "opus"),
    ("libopus", "o.mov", "aac"),
    ("libopus", "o.avi", "mp3"),
]


@pytest.mark.parametrize(("codec", "name", "becomes"), REFUSED)
def test_converted_sound_is_where_it_was(
    tmp_path: Path, codec: str, name: str, becomes: str
) -> None:
    info = clicking(tmp_path / "in.mkv", codec)
    plan = plan_streams(info, name, "copy")[1]
    assert (plan.action, plan.codec) == ("convert", becomes)
    target = carried(info, tmp_path / name)
    (track,) = [track for track in packets_of(target) if track.kind == "audio"]
    assert track.codec in (becomes, f"{becomes}float")
    found = clicks_in(target)
    assert len(found) == len(CLICKS)
    assert np.abs(np.subtract(found, expected())).max() < 0.004
    samples, begin, rate = heard(target)
    assert abs(float(begin + len(samples) / rate) - 2) < 0.06
    if name != "o.avi":
        assert track.metadata["language"] in ("fre", "fra")
    if name.endswith((".mp4", ".m4v", ".webm", ".avi")):
        assert track.metadata.get("title", track.metadata.get("name")) == "Clicks"


@pytest.mark.parametrize("name", ["o.mp4", "o.webm", "o.avi"])
def test_cut_is_exact_to_the_sample(tmp_path: Path, name: str) -> None:
    info = clicking(tmp_path / "in.mkv", "flac" if name != "o.mp4" else "pcm_s16le")
    start = Fraction(24, 25)
    end = Fraction(44, 25)
    target = carried(info, tmp_path / name, start=start, end=end, frames=20)
    found = clicks_in(target)
    assert np.abs(np.subtract(found, expected(CLICKS[1:], start))).max() < 0.004
    samples, begin, rate = heard(target)
    assert abs(float(begin + len(samples) / rate - (end - start))) < 0.06


@pytest.mark.parametrize("codec", ["aac", "libmp3lame", "ac3"])
def test_sound_is_whole_from_the_first_sample_of_a_cut(
    tmp_path: Path, codec: str
) -> None:
    """Decoders need what came before: a click right behind the cut is as loud as the others."""
    clicks = (Fraction(1201, 1200), Fraction(8, 5))
    info = clicking(tmp_path / "in.mkv", codec, clicks=clicks)
    target = carried(info, tmp_path / "o.webm", start=Fraction(1), frames=25)
    samples, begin, rate = heard(target)
    peaks = [
        np.abs(
            samples[max(0, round((click - 1 - begin) * rate)) :][: int(rate) // 200]
        ).max()
        for click in clicks
    ]
    assert peaks[0] > 0.7 * peaks[1]


def test_gaps_become_silence(tmp_path: Path) -> None:
    info = clicking(
        tmp_path / "in.mkv", "pcm_s16le", missing=(Fraction(1, 2), Fraction(9, 10))
    )
    found = clicks_in(carried(info, tmp_path / "o.mp4"))
    assert np.abs(np.subtract(found, expected())).max() < 0.004


def test_sound_that_begins_late_stays_late(tmp_path: Path) -> None:
    for name in ("o.mp4", "o.avi", "o.webm"):
        info = clicking(
            tmp_path / f"{name}.mkv",
            "flac" if name == "o.avi" else "pcm_s16le",
            late=Fraction(1, 2),
            clicks=CLICKS[1:],
        )
        found = clicks_in(carried(info, tmp_path / name))
        assert np.abs(np.subtract(found, expected(CLICKS[1:]))).max() < 0.004, name


def test_damaged_packets_are_silent(tmp_path: Path) -> None:
    info = clicking(tmp_path / "in.mkv", "ac3", damaged=True)
    found = clicks_in(carried(info, tmp_path / "o.webm"))
    assert np.abs(np.subtract(found, expected())).max() < 0.004


@pytest.mark.parametrize(
    ("rate", "layout", "name", "channels", "became"),
    [
        (96000, "stereo", "o.webm", 2, 48000),
        (44100, "mono", "o.mp4", 1, 44100),
        (48000, "5.1", "o.mp4", 6, 48000),
        (48000, "5.1", "o.avi", 6, 48000),
        (48000, "7.1", "o.webm", 8, 48000),
        (22050, "stereo", "o.avi", 2, None),
        (11025, "stereo", "o.mp4", 2, 11025),
    ],
)
def test_rates_and_channels(
    tmp_path: Path, rate: int, layout: str, name: str, channels: int, became: int | None
) -> None:
    info = clicking(
        tmp_path / "in.mkv",
        "flac" if name == "o.avi" else "pcm_s16le",
        rate=rate,
        layout=layout,
    )
    target = carried(info, tmp_path / name)
    with av.open(str(target)) as file:
        context = file.streams.audio[0].codec_context
        assert context.channels == channels
        assert became is None or context.sample_rate == became
    assert np.abs(np.subtract(clicks_in(target), expected())).max() < 0.004


def test_layouts_without_an_order_get_the_usual_one() -> None:
    assert [
        layout_name(name, count)
        for name, count in (
            ("2 channels", 2),
            ("5.1(side)", 6),
            ("6 channels", 6),
            ("33 channels", 33),
        )
    ] == [
        "stereo",
        "5.1(side)",
        "5.1",
        "",
    ]


def test_bit_rates_follow_the_channels(tmp_path: Path) -> None:
    rates = {}
    for layout in ("mono", "stereo", "5.1"):
        with av.open(
            str(clicking(tmp_path / f"{layout}.mkv", "pcm_s16le", layout=layout).path)
        ) as file:
            for codec in ("aac", "opus"):
                sound = choose_audio_settings(file.streams.audio[0], codec)
                assert sound is not None
                rates[layout, codec] = sound.bit_rate
    assert rates == {
        ("mono", "aac"): 128_000,
        ("stereo", "aac"): 192_000,
        ("5.1", "aac"): 576_000,
        ("mono", "opus"): 128_000,
        ("stereo", "opus"): 128_000,
        ("5.1", "opus"): 384_000,
    }


@pytest.mark.parametrize(
    ("codec", "payload", "text"),
    [
        (
            "subrip",
            b'<i>one</i> <font color="#fff">two</font>\r\nthree',
            "<i>one</i> two\nthree",
        ),
        ("subrip", b"{\\an8}up {here}", "up {here}"),
        (
            "ass",
            rb"7,0,Default,,0,0,0,,{\i1\pos(1,2)}One{\i0}, two\Nthree\hfour",
            "<i>One</i>, two\nthree\u00a0four",
        ),
        ("ass", rb"7,0,Default,,0,0,0,,{\b1}never closed", "<b>never closed</b>"),
        ("ass", rb"7,0,Default,,0,0,0,,{\p1}m 0 0 l 9 9{\p0}drawn", "drawn"),
        ("mov_text", b"\0\x06h\xc3\xa9lloand styles behind it", "h\u00e9llo"),
        ("mov_text", b"\0\x06\xfe\xff\0h\0i", "hi"),
        (
            "webvtt",
            b"<v Someone><b>a</b> &lt;b&gt; &amp; <00:00:01.000>c",
            "<b>a</b> <b> & c",
        ),
        ("text", "na\u00efve".encode(), "na\u00efve"),
    ],
)
def test_words_are_read(codec: str, payload: bytes, text: str) -> None:
    assert read_text(codec, payload) == text


def test_words_are_written() -> None:
    text = "<i>h\u00e9</i> & 1 < 2\n\nend"
    assert write_text("subrip", text) == text.encode()
    assert write_text("webvtt", text) == "<i>h\u00e9</i> &amp; 1 &lt; 2\nend".encode()
    plain = "h\u00e9 & 1 < 2\n\nend".encode()
    assert write_text("mov_text", text) == len(plain).to_bytes(2, "big") + plain
    assert [write_text(codec, "") for codec in ("subrip", "webvtt", "mov_text")] == [
        b" ",
        b" ",
        b"\0\x01 ",
    ]
    long = write_text("mov_text", "\u00e9" * 40000)
    assert int.from_bytes(long[:2], "big") == len(long) - 2 == 65534


LINES = [
    (200, 300, "<i>first</i>"),
    (1000, 400, "second\nrow"),
    (1500, 250, "l\u00e4st & <b>bold</b>"),
]


def texts(
    path: Path,
    codec: str,
    language: str = "ger",
    lines: list[tuple[int, int, str]] = LINES,
) -> VideoInfo:
    """Video with the lines above as subtitles."""
    with av.open(str(path), "w") as out:
        video: Any = out.add_stream("mpeg4", rate=25)
        video.width = 64
        video.height = 48
        video.pix_fmt = "yuv420p"
        track: Any = (
            out.add_stream("ass") if codec == "ass" else out.add_mux_stream(codec)
        )
        if codec == "ass":
            from vsrcli.streams.subtitle_text import TEXT_HEADER

            track.codec_context.subtitle_header = TEXT_HEADER
        track.metadata.update({"language": language, "title": "Words"})
        for number, (begin, duration, line) in enumerate(lines):
            words = (
                line.replace("\n", "\\N")
                .replace("<i>", "{\\i1}")
                .replace("</i>", "{\\i0}")
                .replace("<b>", "{\\b1}")
                .replace("</b>", "{\\b0}")
            )
            content = f"{number},0,Default,,0,0,0,,{words}" if codec == "ass" else line
            packet: Any = av.Packet(content.encode())
            packet.stream = track
            packet.time_base = Fraction(1, 1000)
            packet.pts = packet.dts = begin
            packet.duration = duration
            out.mux(packet)
        for number in range(50):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts = number
            frame.time_base = Fraction(1, 25)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    return probe(path)


@pytest.mark.parametrize("codec", ["subrip", "ass"])
@pytest.mark.parametrize(
    ("name", "becomes"),
    [("o.mp4", "mov_text"), ("o.mov", "mov_text"), ("o.webm", "webvtt")],
)
def test_converted_words_and_their_times(
    tmp_path: Path, codec: str, name: str, becomes: str
) -> None:
    info = texts(tmp_path / "in.mkv", codec)
    plan = plan_streams(info, name, "copy")[1]
    assert (plan.action, plan.codec, plan.loses) == ("convert", becomes, codec == "ass")
    (track,) = [
        each
        for each in packets_of(carried(info, tmp_path / name))
        if each.kind == "subtitle"
    ]
    assert track.codec == becomes
    found = [
        (int(time * 1000), int(length * 1000), read_text(becomes, content))
        for time, length, content in zip(
            track.times, track.durations, track.payloads, strict=True
        )
        if content != b"\0\0"
    ]
    plain = [
        (
            begin,
            length,
            line
            if becomes == "webvtt"
            else line.replace("<i>", "")
            .replace("</i>", "")
            .replace("<b>", "")
            .replace("</b>", ""),
        )
        for begin, length, line in LINES
    ]
    assert found == plain
    assert track.metadata["language"] in ("ger", "deu")


@pytest.mark.parametrize(
    ("language", "kept"),
    [
        ("fre", "fra"),
        ("fra", "fra"),
        ("deu", "ger"),
        ("swe", "sve"),
        ("zho", "chi"),
        ("jpn", "jpn"),
    ],
)
def test_quicktime_has_languages_by_its_own_names(
    tmp_path: Path, language: str, kept: str
) -> None:
    info = texts(tmp_path / "in.mkv", "subrip", language=language)
    (track,) = [
        each
        for each in packets_of(carried(info, tmp_path / "o.mov"))
        if each.kind == "subtitle"
    ]
    assert track.metadata["language"] == kept
    assert same_language(language, kept)


def test_lines_shown_together_share_a_place(tmp_path: Path) -> None:
    """mov_text shows one line at a time: of two at once, FFmpeg's muxer would lose the first."""
    lines = [
        (200, 900, "a"),
        (200, 300, "b"),
        (700, 900, "c"),
        (1500, 200, "d"),
        (1700, 100, "e"),
    ]
    info = texts(tmp_path / "in.mkv", "ass", lines=lines)
    rows = [
        (200, 500, "a\nb"),
        (500, 700, "a"),
        (700, 1100, "a\nc"),
        (1100, 1500, "c"),
        (1500, 1600, "c\nd"),
        (1600, 1700, "d"),
        (1700, 1800, "e"),
    ]
    later_rows = [(max(0, a - 600), b - 600, text) for a, b, text in rows[1:]]
    for start, expected_rows in ((None, rows), (Fraction(3, 5), later_rows)):
        target = tmp_path / f"{start is None}.mp4"
        carried(info, target, start=start, frames=50 if start is None else 35)
        (track,) = [each for each in packets_of(target) if each.kind == "subtitle"]
        found = [
            (round(time * 1000), round((time + length) * 1000), content[2:].decode())
            for time, length, content in zip(
                track.times, track.durations, track.payloads, strict=True
            )
            if content != b"\0\0"
        ]
        assert found == expected_rows
        here, there = (
            next(
                track
                for track in scan_packets(probe(path)).tracks
                if track.kind == "subtitle"
            )
            for path in (info.path, target)
        )
        cut = TrimRange(start, None, start or Fraction(0))
        assert compare_converted(here, there, cut, "mov_text") is None
        fewer = replace(there, times=there.times[1:], lengths=there.lengths[1:])
        assert "lines of" in str(compare_converted(here, fewer, cut, "mov_text"))


def test_words_of_a_cut(tmp_path: Path) -> None:
    info = texts(tmp_path / "in.mkv", "subrip")
    target = carried(
        info, tmp_path / "o.mp4", start=Fraction(6, 5), end=Fraction(8, 5), frames=10
    )
    (track,) = [each for each in packets_of(target) if each.kind == "subtitle"]
    found = [
        (float(time * 1000), float(length * 1000), content[2:].decode())
        for time, length, content in zip(
            track.times, track.durations, track.payloads, strict=True
        )
        if content != b"\0\0"
    ]
    assert found == [(0.0, 200.0, "second\nrow"), (300.0, 250.0, "l\u00e4st & bold")]


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg program here")
@pytest.mark.parametrize("name", ["o.mp4", "o.webm"])
def test_another_program_reads_the_words(tmp_path: Path, name: str) -> None:
    target = carried(texts(tmp_path / "in.mkv", "subrip"), tmp_path / name)
    done = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(target), "-map", "0:s", "-f", "ass", "-"],
        capture_output=True,
        check=True,
    )
    said = done.stdout.decode()
    assert "second\\Nrow" in said
    assert "&Hffffff" in said
    assert done.stderr == b""


def test_a_decoder_that_keeps_its_first_packets(
    tmp_path: Path, fake: FakeBackend
) -> None:
    """WMA's first samples come out late, and stand where the decoder says."""
    source = tmp_path / "in.wmv"
    with av.open(str(source), "w") as out:
        video: Any = out.add_stream("wmv2", rate=25)
        video.width = 64
        video.height = 48
        video.pix_fmt = "yuv420p"
        sound: Any = out.add_stream("wmav2", rate=48000)
        sound.layout = "stereo"
        sound.bit_rate = 128_000
        for number in range(25):
            out.mux(
                video.encode(
                    av.VideoFrame.from_ndarray(
                        np.full((72, 64), 60 + 4 * number, np.uint8), format="yuv420p"
                    )
                )
            )
            samples = av.AudioFrame.from_ndarray(
                np.full((2, 2048), 0.1, np.float32), format="fltp", layout="stereo"
            )
            samples.sample_rate = 48000
            samples.pts = 2048 * number
            samples.time_base = Fraction(1, 48000)
            out.mux(sound.encode(samples))
        out.mux(video.encode(None))
        out.mux(sound.encode(None))
    for name in ("o.mp4", "o.mkv"):
        report = upscale(
            source,
            tmp_path / name,
            UpscaleOptions(
                fps="source", verify=True, encoder=EncoderOptions(preset="ultrafast")
            ),
        )
        assert report.checks is not None
        assert report.checks["ok"]
