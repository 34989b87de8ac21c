"""Frames that the default rate leaves out or repeats: told, and refused by ``--strict``."""

from __future__ import annotations

import io
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from clips import texture, write_clip
from fake import FakeBackend

from vsrcli.cli import _run
from vsrcli.decode.probe import probe
from vsrcli.errors import OutputError
from vsrcli.jobs.batch import upscale_all
from vsrcli.jobs.upscale import upscale
from vsrcli.options import BatchOptions, EncoderOptions, UpscaleOptions
from vsrcli.preflight.rate_check import rate_note
from vsrcli.verification.verify import verify

FAST = EncoderOptions(preset="ultrafast")
STRICT = UpscaleOptions(strict=True, encoder=FAST)


def _clip(path: Path, rate: Fraction | int, frames: int) -> Path:
    """A clip of a constant rate."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=rate)
        stream.width = 64
        stream.height = 48
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": "ultrafast"}
        for number in range(frames):
            gray = av.VideoFrame.from_ndarray(texture(3 * number, (64, 48)), "gray")
            picture = gray.reformat(format="yuv420p")
            picture.pts = number
            picture.time_base = 1 / Fraction(rate)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def fast_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 frames a second."""
    return _clip(tmp_path_factory.mktemp("rates") / "fast.mp4", 60, 30)


@pytest.mark.parametrize(
    ("rate", "frames", "fps", "says"),
    [
        (60, 60, None, "every second frame is left out (about 30 of 60)"),
        (50, 50, None, "2 of 5 frames are left out (about 20 of 50)"),
        (120, 60, None, "3 of 4 frames are left out (about 45 of 60)"),
        (31, 31, None, "one frame in 31 is left out (about 1 of 31)"),
        (24, 24, None, "every fourth frame is shown twice (24 frames become about 30)"),
        (10, 10, None, "each frame is shown 3 times (10 frames become about 30)"),
        (60, 60, Fraction(20), "at 20, 2 of 3 frames are left out"),
        (30, 30, None, None),
        (60, 60, "source", None),
    ],
)
def test_the_note_counts_frames(
    tmp_path: Path, rate: int, frames: int, fps: Any, says: str | None
) -> None:
    info = probe(_clip(tmp_path / "in.mp4", rate, frames))
    line = rate_note(info, UpscaleOptions(fps=fps))
    assert (line is None) == (says is None)
    if line is not None:
        assert str(says) in line
        assert "--fps source" in line


def test_strict_refuses_to_leave_frames_out(
    tmp_path: Path, fake: FakeBackend, fast_clip: Path
) -> None:
    """With --verify as well, half the frames went away and the output was called right."""
    with pytest.raises(
        OutputError, match="about 15 frames of the source would be left out"
    ) as caught:
        upscale(fast_clip, tmp_path / "o.mkv", UpscaleOptions(strict=True, verify=True))
    for way_out in ("--fps source", "--fps 30"):
        assert way_out in str(caught.value)
    assert fake.windows == []
    assert list(tmp_path.iterdir()) == []
    for fps in (Fraction(30), "source"):
        options = UpscaleOptions(strict=True, verify=True, fps=fps, encoder=FAST)
        report = upscale(fast_clip, tmp_path / f"{fps}.mkv", options)
        assert report.frames_out == (15 if fps == 30 else 30)


def test_strict_lets_frames_be_repeated(
    tmp_path: Path, fake: FakeBackend, moving_clip: Path
) -> None:
    """25 frames a second, and a range that ends in the middle of a frame."""
    for end in (None, Fraction(41, 100)):
        options = UpscaleOptions(strict=True, end=end, encoder=FAST)
        upscale(moving_clip, tmp_path / f"{end is None}.mkv", options)


def test_strict_sees_frames_that_come_too_fast(
    tmp_path: Path, fake: FakeBackend
) -> None:
    """On average the source has fewer frames than the output."""
    times = [0, 100, 200, 210, 220, 400, 500, 600, 700, 800]
    source = write_clip(tmp_path / "in.mkv", frames=len(times), times=times)
    with pytest.raises(OutputError, match="of the source would be left out"):
        upscale(source, tmp_path / "o.mkv", STRICT)
    slow = [0, 100, 200, 240, 280, 400, 500, 600, 700, 800]
    source = write_clip(tmp_path / "slow.mkv", frames=len(slow), times=slow)
    upscale(source, tmp_path / "o.mkv", STRICT)


def test_strict_from_a_pipe_at_the_end(
    tmp_path: Path, fake: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a pipe holds is not known before, so that the output is refused when it is complete."""
    times = [0, 100, 200, 210, 220, 400, 500, 600, 700, 800]
    source = write_clip(tmp_path / "in.nut", frames=len(times), times=times, gop=1)
    stdin = io.TextIOWrapper(io.BytesIO(source.read_bytes()))
    monkeypatch.setattr(sys, "stdin", stdin)
    with pytest.raises(OutputError, match="would be left out"):
        upscale("-", tmp_path / "o.mkv", STRICT)
    assert not (tmp_path / "o.mkv").exists()


def test_batches_and_folders_are_strict_too(
    tmp_path: Path, fake: FakeBackend, fast_clip: Path, moving_clip: Path
) -> None:
    items = upscale_all(
        [fast_clip, moving_clip], BatchOptions(out_dir=str(tmp_path / "big")), STRICT
    )
    assert [item.error is None for item in items] == [False, True]
    with pytest.raises(OutputError, match="--fps source"):
        upscale(fast_clip, f"{tmp_path / 'pictures'}/", STRICT)


def test_verify_without_a_rate_takes_any(
    tmp_path: Path, fake: FakeBackend, fast_clip: Path
) -> None:
    target = tmp_path / "o.mkv"
    upscale(fast_clip, target, UpscaleOptions(fps="source", encoder=FAST))
    assert verify(fast_clip, target).ok
    assert not verify(fast_clip, target, UpscaleOptions(fps=Fraction(30))).ok


def test_a_default_that_is_written_out_is_the_same_run(
    tmp_path: Path,
    fake: FakeBackend,
    fast_clip: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    target = tmp_path / "o.mkv"
    arguments = ["upscale", str(fast_clip), str(target), "--preset", "ultrafast"]
    assert _run([*arguments, "--strict"]) == 1
    assert "--fps source" in capsys.readouterr().err
    assert _run([*arguments, "--strict", "--fps", "30"]) == 0
    assert UpscaleOptions().rate == UpscaleOptions(fps=Fraction(30)).rate
