"""Sound and pictures that begin late, have pauses, or are hidden by an edit list.

Also in containers that cannot express this.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from fake import FakeBackend
from sources import make_source, packets_of

from vsrcli.jobs.upscale import upscale
from vsrcli.options import EncoderOptions, UpscaleOptions
from vsrcli.pipeline.upscale_report import UpscaleReport

FAST = EncoderOptions(preset="ultrafast")


def _remuxed(source: Path, target: Path, change: Callable[[Any], bool]) -> Path:
    """The packets of a file in another one, each moved, or left out, by ``change``."""
    with av.open(str(source)) as before, av.open(str(target), "w") as after:
        copies = {
            stream.index: after.add_stream_from_template(stream)
            for stream in before.streams
            if stream.type in ("video", "audio")
        }
        for packet in before.demux():
            if packet.size and packet.stream_index in copies and change(packet):
                packet.stream = copies[packet.stream_index]
                after.mux(packet)
    return target


def _moved(packet: Any, seconds: Fraction) -> bool:
    ticks = round(seconds / packet.time_base)
    packet.pts = packet.pts + ticks
    packet.dts = packet.dts + ticks
    return True


def _upscaled(source: Path, target: Path, **options: Any) -> UpscaleReport:
    report = upscale(
        source,
        target,
        UpscaleOptions(fps="source", verify=True, encoder=FAST, **options),
    )
    assert report.checks is not None
    assert report.checks["ok"]
    return report


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """Two seconds of video and AAC."""
    return make_source(
        tmp_path / "plain.mkv", muxer="matroska", seconds=2.0, chapters=False
    ).path


@pytest.mark.parametrize("start", [None, Fraction(1, 2)])
def test_late_sound_in_avi_follows_silence(
    tmp_path: Path, fake: FakeBackend, plain: Path, start: Fraction | None
) -> None:
    source = _remuxed(
        plain,
        tmp_path / "late.mkv",
        lambda packet: (
            packet.stream.type != "audio"
            or packet.pts * packet.time_base >= Fraction(7, 10)
        ),
    )
    report = _upscaled(source, tmp_path / "o.avi", start=start)
    assert any("no place for pauses" in line for line in report.notes)
    video, sound = packets_of(tmp_path / "o.avi")
    assert video.codec == "h264"
    assert sound.codec.startswith("mp3")
    assert abs(sound.times[-1] - video.times[-1]) < Fraction(1, 10)


def test_a_pause_in_avi_is_silence(
    tmp_path: Path, fake: FakeBackend, plain: Path
) -> None:
    def is_kept(packet: Any) -> bool:
        return packet.stream.type != "audio" or not Fraction(
            7, 10
        ) <= packet.pts * packet.time_base < Fraction(6, 5)

    _upscaled(_remuxed(plain, tmp_path / "pause.mkv", is_kept), tmp_path / "o.avi")
    video, sound = packets_of(tmp_path / "o.avi")
    assert sound.codec.startswith("mp3")
    assert abs(sound.times[-1] - video.times[-1]) < Fraction(1, 10)


@pytest.mark.parametrize("ending", ["avi", "mkv"])
def test_a_late_picture(
    tmp_path: Path, fake: FakeBackend, plain: Path, ending: str
) -> None:
    """Where frames cannot begin late, the first is shown from the start; the others stay."""
    source = _remuxed(
        plain,
        tmp_path / "late.mkv",
        lambda packet: packet.stream.type == "audio" or _moved(packet, Fraction(4, 5)),
    )
    report = _upscaled(source, tmp_path / f"o.{ending}")
    assert report.frames_in == 50
    assert report.frames_out == (70 if ending == "avi" else 50)


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts", "webm", "avi"])
def test_what_an_edit_list_hides_stays_hidden(
    tmp_path: Path, fake: FakeBackend, plain: Path, ending: str
) -> None:
    source = _remuxed(
        plain, tmp_path / "cut.mp4", lambda packet: _moved(packet, Fraction(-1))
    )
    with av.open(str(source)) as opened:
        hidden = sum(packet.is_discard for packet in opened.demux(audio=0))
    assert hidden > 40
    report = _upscaled(source, tmp_path / f"o.{ending}")
    assert report.frames_out == 25
    times = {
        stream.kind: stream.times for stream in packets_of(tmp_path / f"o.{ending}")
    }
    lead = times["video"][0] - times["audio"][0]
    assert lead <= (
        Fraction(11, 10) if ending == "mp4" else Fraction(3, 20)
    )  # mp4 has an edit list itself
