"""Pictures become a video again: in sync with the sound, of the right shape, and no others'."""

from __future__ import annotations

import shlex
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from fake import FakeBackend

from vsrcli.cli import _run
from vsrcli.decode.probe import probe
from vsrcli.errors import OptionError, OutputError
from vsrcli.jobs.assemble import assemble
from vsrcli.jobs.extract import extract
from vsrcli.jobs.upscale import upscale
from vsrcli.options import (
    AssembleOptions,
    EncoderOptions,
    ExtractOptions,
    UpscaleOptions,
    parse_aspect,
)

_RATE = 25
_SAMPLE_RATE = 48_000
_SECONDS = 3
_SAMPLES = 1024
_TOLERANCE_MS = 2


def _clicking(
    path: Path,
    *,
    late: Fraction = Fraction(0),
    aspect: Fraction | None = None,
) -> Path:
    """A flash in the picture and a click in the sound half a second into every second.

    Args:
        path: in .mkv.
        late: when the first picture is shown, after the sound has begun.
        aspect: of the pixels.
    """
    sound = np.zeros(_SAMPLE_RATE * _SECONDS, np.int16)
    for second in range(_SECONDS):
        begin = second * _SAMPLE_RATE + _SAMPLE_RATE // 2
        sound[begin : begin + 480] = 20_000
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("libx264", rate=_RATE)
        video.width = 64
        video.height = 48
        video.pix_fmt = "yuv420p"
        video.options = {"preset": "ultrafast", "g": "12"}
        if aspect is not None:
            video.codec_context.sample_aspect_ratio = aspect
        track: Any = container.add_stream("pcm_s16le", rate=_SAMPLE_RATE)
        track.layout = "mono"
        for begin in range(0, len(sound), _SAMPLES):
            piece = sound[None, begin : begin + _SAMPLES]
            frame = av.AudioFrame.from_ndarray(piece, format="s16", layout="mono")
            frame.sample_rate = _SAMPLE_RATE
            frame.pts = begin
            frame.time_base = Fraction(1, _SAMPLE_RATE)
            container.mux(track.encode(frame))
        number = 0
        while (time := late + Fraction(number, _RATE)) < _SECONDS:
            flash = Fraction(1, 2) <= time % 1 < Fraction(6, 10)
            gray = np.full((48, 64), 235 if flash else 40, np.uint8)
            picture = av.VideoFrame.from_ndarray(gray, "gray").reformat(
                format="yuv420p"
            )
            picture.pts = round(time * 1000)
            picture.time_base = Fraction(1, 1000)
            container.mux(video.encode(picture))
            number += 1
        container.mux(track.encode(None))
        container.mux(video.encode(None))
    return path


def _offsets_ms(path: Path) -> list[float]:
    """How long each click is heard after its flash is seen, ms."""
    flashes = []
    was_bright = False
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            is_bright = float(frame.to_ndarray(format="gray").mean()) > 140
            if is_bright and not was_bright:
                flashes.append(float(frame.time or 0))
            was_bright = is_bright
    clicks: list[float] = []
    with av.open(str(path)) as container:
        for sound in container.decode(audio=0):
            loud = np.flatnonzero(np.abs(sound.to_ndarray()[0].astype(int)) > 10_000)
            begin = float(sound.time or 0)
            for time in begin + loud / _SAMPLE_RATE:
                if not clicks or time - clicks[-1] > 0.2:
                    clicks.append(float(time))
    nearest = [min(clicks, key=lambda click: abs(click - time)) for time in flashes]
    return [1000 * (click - time) for click, time in zip(nearest, flashes, strict=True)]


def _follow(notes: list[str], target: Path) -> None:
    """Run the command that a note names."""
    (line,) = [note for note in notes if note.startswith("`vsr assemble")]
    words = shlex.split(line.split("`")[1])
    words[words.index("OUT")] = str(target)
    assert _run([*words[1:], "--no-progress", "-q", "--preset", "ultrafast"]) == 0


@pytest.mark.parametrize(
    ("late", "start", "end"),
    [
        ("0", None, None),
        ("0", "0.9", None),
        ("0", "0.333", "2.2"),
        ("0", None, "1.8"),
        ("0.3", None, None),
        ("0.3", "0.71", None),
    ],
)
def test_the_hint_of_extract_keeps_the_sound_in_sync(
    tmp_path: Path, late: str, start: str | None, end: str | None
) -> None:
    source = _clicking(tmp_path / "in.mkv", late=Fraction(late))
    options = ExtractOptions(
        start=None if start is None else Fraction(start),
        end=None if end is None else Fraction(end),
    )
    report = extract(source, tmp_path / "my frames", options)
    target = tmp_path / "out.mkv"
    _follow(report.notes, target)
    before = _offsets_ms(source)
    after = _offsets_ms(target)
    assert len(after) >= 1
    shift = before[0]
    assert all(abs(offset - shift) <= _TOLERANCE_MS for offset in [*before, *after])
    if end is not None:
        with av.open(str(target)) as container:
            sound = [frame.time or 0 for frame in container.decode(audio=0)]
        with av.open(str(target)) as container:
            pictures = [frame.time or 0 for frame in container.decode(video=0)]
        assert max(sound) <= max(pictures) + 1 / _RATE


def test_the_hint_of_upscaled_pictures_keeps_the_sound_in_sync(
    tmp_path: Path, fake: FakeBackend
) -> None:
    source = _clicking(tmp_path / "in.mkv", aspect=Fraction(16, 11))
    for fps in (None, "source"):
        options = UpscaleOptions(fps=fps, start=Fraction(7, 10), end=Fraction(19, 10))
        report = upscale(source, f"{tmp_path / str(fps)}/", options)
        target = tmp_path / f"{fps}.mkv"
        _follow(report.notes, target)
        assert probe(target).sample_aspect == Fraction(16, 11)
        shift = _offsets_ms(source)[0]
        # a flash is in the slot that is nearest to it
        worst_ms = _TOLERANCE_MS if fps else 1000 / 60 + _TOLERANCE_MS
        offsets = _offsets_ms(target)
        assert offsets
        assert all(abs(offset - shift) <= worst_ms for offset in offsets)


def test_pictures_get_their_shape_back(tmp_path: Path, fake: FakeBackend) -> None:
    source = _clicking(tmp_path / "in.mkv", aspect=Fraction(16, 11))
    pictures = tmp_path / "frames"
    report = extract(source, pictures, ExtractOptions(end=Fraction(1, 5)))
    assert any("--sar 16:11" in line for line in report.notes)
    _follow(report.notes, tmp_path / "back.mkv")
    assert probe(tmp_path / "back.mkv").sample_aspect == Fraction(16, 11)
    upscaled = upscale(
        pictures,
        tmp_path / "big.mkv",
        UpscaleOptions(sar=Fraction(16, 11), encoder=EncoderOptions(codec="libx264")),
    )
    assert upscaled.frames_out == 5
    assert probe(tmp_path / "big.mkv").sample_aspect == Fraction(16, 11)
    with pytest.raises(OptionError, match="--sar is for folders of pictures"):
        upscale(source, tmp_path / "o.mkv", UpscaleOptions(sar=Fraction(2)))
    strict = AssembleOptions(
        sar=Fraction(16, 11), strict=True, encoder=EncoderOptions(codec="ffv1")
    )
    with pytest.raises(OutputError, match="loses the pixel aspect ratio 16/11"):
        assemble(pictures, tmp_path / "o.mkv", strict)


@pytest.mark.parametrize(
    ("text", "aspect"),
    [("16:11", Fraction(16, 11)), ("64/45", Fraction(64, 45)), ("1.5", Fraction(3, 2))],
)
def test_aspects(text: str, aspect: Fraction) -> None:
    assert parse_aspect(text) == aspect


@pytest.mark.parametrize("text", ["0", "16:0", "0:9", "-1", "wide", "1:2:3", ""])
def test_bad_aspects(text: str) -> None:
    with pytest.raises(OptionError, match="no pixel aspect ratio"):
        parse_aspect(text)


def test_options_that_make_no_sense(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="--sar 100:1 makes no sense"):
        AssembleOptions(sar=Fraction(100))
    with pytest.raises(OptionError, match="belongs to --audio-from"):
        AssembleOptions(audio_start=Fraction(1))
    source = _clicking(tmp_path / "in.mkv")
    extract(source, tmp_path / "frames", ExtractOptions(end=Fraction(1, 10)))
    late = AssembleOptions(audio_from=str(source), audio_start=Fraction(9))
    with pytest.raises(OptionError, match=r"--audio-start 9 is after the end"):
        assemble(tmp_path / "frames", tmp_path / "o.mkv", late)
    assert not (tmp_path / "o.mkv").exists()


def test_only_pictures_of_the_same_names_are_replaced(
    tmp_path: Path, fake: FakeBackend, moving_clip: Path
) -> None:
    """Those of a longer run before stay, and are named: they would be read with the new ones."""
    pictures = tmp_path / "frames"
    extract(moving_clip, pictures, ExtractOptions(end=Fraction(10, 25)))
    old = (pictures / "frame000007.png").read_bytes()
    shorter = ExtractOptions(
        start=Fraction(5, 25), end=Fraction(11, 25), overwrite=True
    )
    report = extract(moving_clip, pictures, shorter)
    assert len(list(pictures.iterdir())) == 10
    assert (pictures / "frame000007.png").read_bytes() == old
    (line,) = [note for note in report.notes if "earlier run" in note]
    assert "4 pictures" in line
    assert "(frame000007.png to frame000010.png) beside the 6 new ones" in line
    longer = extract(moving_clip, pictures, ExtractOptions(overwrite=True))
    assert not [note for note in longer.notes if "earlier run" in note]

    doubled = tmp_path / "big"
    upscale(moving_clip, doubled, UpscaleOptions(end=Fraction(10, 25)))
    count = len(list(doubled.iterdir()))
    again = upscale(
        moving_clip, doubled, UpscaleOptions(end=Fraction(5, 25), overwrite=True)
    )
    assert len(list(doubled.iterdir())) == count
    (line,) = [note for note in again.notes if "earlier run" in note]
    assert f"{count - again.frames_out} pictures" in line
