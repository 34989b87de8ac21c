"""What the user sees while it runs: time left, one console, lines off a terminal, a log."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from clips import texture, write_clip
from fake import FakeBackend, open_fake
from rich.cells import cell_len
from terminal import Terminal, bars_in

from vsrcli.backends import Float
from vsrcli.cli import _run, run_log, ticker
from vsrcli.cli.bar import lay_out
from vsrcli.cli.eta import BatchEta, Eta
from vsrcli.cli.meter import BatchMeter, Meter
from vsrcli.cli.progress import progress_bar, show_frames
from vsrcli.jobs import checked_run
from vsrcli.jobs.batch import BatchObserver, BatchPlan, upscale_all
from vsrcli.jobs.upscale import upscale
from vsrcli.options import BatchOptions, EncoderOptions, UpscaleOptions
from vsrcli.pipeline.upscale_report import UpscaleProgress
from vsrcli.segments.shares import ShareOfPass

START_UP_SECONDS = 20.0

# time, share done, part of the frames that was computed, frames
Report = tuple[float, float, float, int]


def reports_of(
    works: list[float],
    seconds_per_frame: float,
    *,
    first_share: float = 0.0,
    still_seconds: float = 0.01,
) -> list[Report]:
    """A run that takes about so long for each computed frame, after loading for 20 s."""
    chance = random.Random(0)
    now = START_UP_SECONDS
    reports = []
    for number, work in enumerate(works, start=1):
        now += (seconds_per_frame * work + still_seconds) * chance.uniform(0.7, 1.3)
        share = first_share + (1 - first_share) * number / len(works)
        reports.append((now, share, work, 1))
    return reports


def lumps_of(workers: int, segments: int, frames: int) -> list[Report]:
    """Workers that say something only when a segment is finished."""
    chance = random.Random(0)
    free = [START_UP_SECONDS] * workers
    ends = []
    for _ in range(segments):
        now = min(free)
        end = now + frames * chance.uniform(0.9, 1.1)
        free[free.index(now)] = end
        ends.append(end)
    ends.sort()
    return [
        (end, number / segments, 1.0, frames)
        for number, end in enumerate(ends, start=1)
    ]


def worst_factor(reports: list[Report]) -> tuple[float, int]:
    """By what factor the estimates are wrong at most, and how many reports have one."""
    eta = Eta()
    end = reports[-1][0]
    worst = 1.0
    count = 0
    for now, share, work, frames in reports:
        eta.update(share, now, work, frames=frames)
        remaining = eta.remaining(now)
        if remaining is None or now > 0.95 * end:
            continue
        count += 1
        factor = remaining / (end - now)
        worst = max(worst, factor, 1 / factor)
    return worst, count


@pytest.mark.parametrize(
    ("reports", "first_reports"),
    [
        # the film of the report: 0.14 frames/s
        pytest.param(reports_of([1.0] * 3000, 7.0), 6, id="slow"),
        pytest.param(reports_of([1.0] * 3000, 0.05), 60, id="fast"),
        pytest.param(reports_of([1.0] * 1000, 1.0, first_share=0.7), 6, id="resumed"),
        pytest.param(reports_of([1.0, 0.0] * 1000, 1.0), 12, id="on twos"),
        pytest.param(
            reports_of([0.0] * 250 + [1.0] * 2750, 1.0), 260, id="still first"
        ),
        pytest.param(
            reports_of([1.0] * 900 + [0.0] * 250 + [1.0] * 1850, 1.0),
            6,
            id="still in the middle",
        ),
        pytest.param(lumps_of(2, 200, 150), 12, id="lumps of 2"),
        pytest.param(lumps_of(8, 200, 150), 32, id="lumps of 8"),
        pytest.param(lumps_of(4, 8000, 1), 40, id="frames of 4"),
    ],
)
def test_the_time_left_is_right_after_the_first_reports(
    reports: list[Report], first_reports: int
) -> None:
    worst, count = worst_factor(reports)
    assert worst < 1.3
    assert count > 0.94 * (len(reports) - first_reports) - 1


def test_a_still_picture_for_all_of_a_video_is_believed() -> None:
    """The only computed frame is the first: the rest would take hours if it were like it."""
    reports = reports_of([1.0] + [0.0] * 5000, 10.0)
    worst, count = worst_factor(reports)
    assert worst < 1.3
    assert count > 4000


def test_what_moves_no_bar_is_no_work() -> None:
    """The passes of plain interpolation come first in a benchmark, and are no part of its bar."""
    eta = Eta()
    for second in range(100):
        eta.update(0.0, float(second))
    for number in range(1, 11):
        eta.update(number / 100, 99.0 + number)
    assert eta.remaining(109.0) == pytest.approx(90.0)


def test_a_full_queue_of_the_encoder_does_not_count_as_speed() -> None:
    """It takes 60 frames at once before it encodes any."""
    now = START_UP_SECONDS
    eta = Eta()
    for number in range(1, 1001):
        now += 0.005 if number <= 60 else 0.1
        eta.update(number / 1000, now)
        remaining = eta.remaining(now)
        if number > 130:
            assert remaining is not None
            assert remaining == pytest.approx((1000 - number) * 0.1, rel=0.3)


def test_the_time_left_counts_down_between_frames_and_stands_while_nothing_comes() -> (
    None
):
    eta = Eta()
    for number in range(10):
        eta.update(number / 100, 7.0 * number)
    at_report = eta.remaining(63.0)
    assert at_report == pytest.approx(7.0 * 91)
    assert eta.remaining(68.0) == pytest.approx(7.0 * 91 - 5)
    assert eta.remaining(1000.0) == pytest.approx(7.0 * 90)


def test_nothing_is_said_before_there_is_something_to_say() -> None:
    eta = Eta(now=0.0)
    assert eta.remaining(100.0) is None
    eta.update(0.001, 20.0)
    eta.update(0.002, 20.1)
    assert eta.remaining(20.1) is None


def test_work_that_is_done_again_counts_again() -> None:
    eta = Eta()
    for number in range(11):
        eta.update(number / 20, float(number))
    before = eta.remaining(10.0)
    eta.update(0.25, 10.0)
    after = eta.remaining(10.0)
    assert before == pytest.approx(10.0)
    assert after == pytest.approx(15.0)


def test_all_of_a_batch() -> None:
    """The second of three: the first took 100 s, the third is twice as large."""
    batch = BatchEta([1000.0, 1000.0, 2000.0, None])
    batch.begin(0, 0.0)
    batch.end(100.0, 1.0)
    batch.begin(1, 100.0)
    eta = Eta(now=100.0)
    assert batch.remaining(eta, 100.0) == pytest.approx(300.0)
    for number in range(51):
        eta.update(number / 100, 100.0 + number)
    assert eta.remaining(150.0) == pytest.approx(50.0)
    assert batch.remaining(eta, 150.0) == pytest.approx(250.0)
    assert batch.unknown == 1


def test_what_an_earlier_run_left_does_not_count_for_a_batch() -> None:
    batch = BatchEta([1000.0, 1000.0])
    batch.begin(0, 0.0)
    batch.end(10.0, 0.1)
    batch.begin(1, 10.0)
    assert batch.remaining(Eta(), 10.0) == pytest.approx(100.0)


def test_a_pass_over_what_is_missing_counts_the_rest_as_done() -> None:
    class Tenths:
        def before(self, number: int) -> float:
            return number / 10

    of_pass = ShareOfPass(Tenths(), [2, 3, 8])  # type: ignore[arg-type]
    shares = [of_pass.at(place) for place in (0.0, 0.2, 0.3, 0.4, 0.6, 0.85, 1.0)]
    assert shares == pytest.approx([0.7, 0.7, 0.8, 0.9, 0.9, 0.95, 1.0])


# -- runs


def progress_of(
    source: Path, target: Path, options: UpscaleOptions
) -> list[UpscaleProgress]:
    seen: list[UpscaleProgress] = []
    upscale(source, target, options, on_progress=seen.append)
    return seen


LOSSLESS = EncoderOptions(codec="ffv1")


def test_shares_rise_to_1_and_the_frames_are_known_from_the_first(
    demo_clip: Path, tmp_path: Path, fake: FakeBackend
) -> None:
    options = UpscaleOptions(fps=Fraction(15), encoder=LOSSLESS)
    seen = progress_of(demo_clip, tmp_path / "o.mkv", options)
    shares = [progress.share or 0.0 for progress in seen]
    assert shares == sorted(shares)
    assert shares[-1] > 0.95
    # half of the 30 frames are dropped
    assert {progress.frames_expected for progress in seen} <= {15, 16}
    assert seen[-1].frames_expected == seen[-1].frames_upscaled


def test_a_resumed_run_begins_with_what_is_there(
    demo_clip: Path, tmp_path: Path, fake: FakeBackend
) -> None:
    options = UpscaleOptions(segment=0.2, encoder=LOSSLESS)
    target = tmp_path / "o.mkv"

    def interrupt(progress: UpscaleProgress) -> None:
        if progress.frames_upscaled == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        upscale(demo_clip, target, options, on_progress=interrupt)
    seen = progress_of(demo_clip, target, options)
    assert len(seen) < 20
    first = seen[0].share
    last = seen[-1].share
    assert first is not None
    assert last is not None
    assert first == pytest.approx(1 - (len(seen) - 1) / 30, abs=0.05)
    assert last == pytest.approx(1.0, abs=0.01)
    assert seen[0].frames_expected == 30
    assert seen[-1].work == pytest.approx(len(seen), abs=1)


def test_workers_report_all_of_the_run(
    demo_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vsrcli.jobs.upscale.open_backend", open_fake)
    options = UpscaleOptions(segment=0.2, devices="cpu*2", encoder=LOSSLESS)
    seen = progress_of(demo_clip, tmp_path / "o.mkv", options)
    assert seen[-1].share == pytest.approx(1.0)
    assert seen[-1].frames_expected == 30
    assert seen[-1].work == pytest.approx(30, abs=1)
    assert seen[-1].verified is None


def test_the_verification_has_its_share(
    demo_clip: Path, tmp_path: Path, fake: FakeBackend
) -> None:
    options = UpscaleOptions(verify=True, encoder=LOSSLESS)
    seen = progress_of(demo_clip, tmp_path / "o.mkv", options)
    verified = [progress.verified for progress in seen if progress.verified is not None]
    assert len(verified) == 30
    assert verified == sorted(verified)
    meter = Meter("in.mp4", "frames", clock=FakeClock())
    show_frames(meter.update, seen[-1])
    assert re.fullmatch(r"verifying \d\d\d?%", meter.left())
    assert meter.sentence().endswith(f"30 of 30 frames, {meter.left()}")


def test_still_frames_are_no_work(tmp_path: Path, fake: FakeBackend) -> None:
    still = texture(0, (64, 48))
    moving = [texture(number, (64, 48)) for number in range(1, 11)]
    source = tmp_path / "in.mkv"
    write_clip(source, codec="ffv1", pictures=[*[still] * 20, *moving])
    options = UpscaleOptions(fps="source", encoder=LOSSLESS)
    seen = progress_of(source, tmp_path / "o.mkv", options)
    works = [0.0, *(progress.work for progress in seen)]
    steps = [after - before for before, after in pairwise(works)]
    assert len(steps) == 30
    # a frame stands still while the two after it do
    assert steps[:18] == [1.0] + [0.0] * 17
    assert min(steps[18:]) > 0


# -- words


class FakeClock:
    """A clock that tests move."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def slow_meter(batch: BatchMeter | None, clock: FakeClock, title: str) -> Meter:
    """A meter of a two-hour film, after 100 frames of 7 s each."""
    meter = Meter(title, "frames", batch=batch, clock=clock)
    clock.now += START_UP_SECONDS
    for number in range(101):
        share = number / 172_752
        meter.update(share, number, total=172_752)
        clock.now += 7.0
    return meter


def test_a_two_hour_film_in_words() -> None:
    meter = slow_meter(None, FakeClock(), "film.mkv")
    assert meter.counts() == "    100/172,752 frames"
    assert meter.rate() == "0.14 frames/s"
    assert meter.left() == "14 days left"
    sentence = meter.sentence()
    assert sentence.startswith(
        "0.1 %, 100 of 172,752 frames, 0.14 frames/s, 14 days left, ends 20"
    )


def test_one_of_many_has_its_place() -> None:
    meter = slow_meter(None, FakeClock(), "film.mkv")
    assert meter.title == "film.mkv"
    meter = Meter("film.mkv", "frames", place=(2, 3), clock=FakeClock())
    meter.update(0.5, 50)
    assert meter.sentence() == "[2/3] film.mkv: 50.0 %, 50 frames"


def test_a_meter_that_knows_no_end_tells_what_it_knows() -> None:
    clock = FakeClock()
    meter = Meter("in.y4m", "frames", clock=clock)
    assert meter.left() == "starting"
    meter.update(None, 1)
    assert meter.counts() == "1 frame"
    for number in range(1, 100):
        clock.now += 0.25
        meter.update(None, number)
    assert meter.sentence() == "99 frames, 4.0 frames/s"


@pytest.mark.parametrize("width", [30, 60, 79, 80, 100, 200])
@pytest.mark.parametrize("title", ["a.mkv", "名前" * 20, "long" * 30])
@pytest.mark.parametrize("is_batch", [False, True])
def test_the_bar_fits_any_width(width: int, title: str, is_batch: bool) -> None:
    clock = FakeClock()
    batch = BatchMeter([1e12, 2e12, None], clock=clock) if is_batch else None
    if batch is not None:
        batch.begin(0)
    meter = slow_meter(batch, clock, title)
    meter.text = "of a method"
    lines = lay_out(meter, width - 1)
    assert len(lines) == 1 + is_batch
    for line in lines:
        columns = cell_len(line.title) + 1 + line.bar + 2 + len(line.text)
        assert columns < width or width == 30
        assert line.bar >= 6
        assert "days left" in line.text or width == 30
        assert cell_len(line.title) == cell_len(lines[0].title)
    if width >= 80:
        assert "100/172,752 frames  0.14 frames/s  14 days left" in lines[0].text
    if width >= 100:
        assert lines[0].text.endswith("of a method")
    if is_batch and width >= 80:
        assert lines[1].text.endswith("days left  and 1 file of unknown length")


def test_the_bar_keeps_its_place_while_figures_grow() -> None:
    clock = FakeClock()
    meter = Meter("film.mkv", "frames", clock=clock)
    bars = set()
    for number in range(1, 1000):
        clock.now += 0.37
        meter.update(number / 1000, number, total=1000)
        bars.add(lay_out(meter, 99)[0].bar)
    assert len(bars) == 1


# -- commands


class PacedBackend(FakeBackend):
    """Takes its time."""

    def run(self, windows: Float) -> Float:
        """Wait, then interpolate."""
        time.sleep(0.02)
        return super().run(windows)


@pytest.fixture
def paced(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network for which the demo clip takes most of a second, and a minute of 0.2 s."""
    backend = PacedBackend()
    monkeypatch.setattr(
        "vsrcli.jobs.upscale.open_backend", lambda *arguments, **options: backend
    )
    monkeypatch.setattr(ticker, "_FIRST_SECONDS", 0.1)
    monkeypatch.setattr(ticker, "_EVERY_SECONDS", 0.2)
    monkeypatch.setattr(ticker, "_RETRY_SECONDS", 0.05)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Terminal]:
    """Runs a command whose standard error is a terminal of 80 columns."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)

    def run(*words: str | Path, status: int = 0) -> Terminal:
        with Terminal() as shown, os.fdopen(os.dup(shown.descriptor), "w") as stream:
            monkeypatch.setattr(sys, "stderr", stream)
            assert _run([str(word) for word in words]) == status
        return shown

    return run


def test_notes_leave_no_ghost_of_the_bar(
    demo_clip: Path, tmp_path: Path, paced: None, terminal: Callable[..., Terminal]
) -> None:
    """A second console would print into the bar and leave its line standing."""
    log = tmp_path / "run.log"
    words = ["upscale", demo_clip, tmp_path / "o.mkv", "--codec", "ffv1", "-v"]
    shown = terminal(*words, "--log", log)
    assert " of 30 frames, " in log.read_text()
    assert " of 30 frames, " not in shown.text
    screen = shown.screen(80)
    assert any("/30 frames" in line for line in bars_in(shown.text))
    assert not [line for line in screen.shown if "━" in line or "%  " in line]
    assert screen.shown[0] == "vsr: copied: stream 1 (AAC)"
    assert any(line.startswith("INFO") for line in screen.shown)
    assert "30 frames of 192x128" in "".join(screen.shown)
    # every bar was within the line
    bars = [line for line in bars_in(shown.text) if "━" in line]
    assert bars
    assert all(cell_len(line) < 80 for line in bars)


def test_an_error_leaves_no_ghost_of_the_bar(
    demo_clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    terminal: Callable[..., Terminal],
) -> None:
    backend = FakeBackend(fail_at=20)
    monkeypatch.setattr(
        "vsrcli.jobs.upscale.open_backend", lambda *arguments, **options: backend
    )
    shown = terminal("upscale", demo_clip, tmp_path / "o.mkv", "-q", status=1)
    assert shown.screen(80).shown[0].startswith("vsr: error: out of memory on fake")
    shown = terminal("upscale", demo_clip, tmp_path / "o.mkv", status=1)
    assert not [line for line in shown.screen(80).shown if "━" in line]


def test_a_batch_shows_its_place_and_two_times(
    demo_clip: Path, tmp_path: Path, paced: None, terminal: Callable[..., Terminal]
) -> None:
    second = Path(shutil.copy(demo_clip, tmp_path / "second.mp4"))
    broken = tmp_path / "broken.mkv"
    broken.write_text("no video")
    words = ["upscale", demo_clip, broken, second, "--out-dir", tmp_path / "out"]
    shown = terminal(*words, "--preset", "ultrafast", status=1)
    lines = bars_in(shown.text)
    assert any(line.startswith("[3/3] second.mp4") for line in lines)
    of_all = [line for line in lines if line.startswith("all ")]
    assert any(line.rstrip().endswith("left") for line in of_all)
    end = shown.screen(80).shown
    assert not [line for line in end if "━" in line]
    # what fails is known before the first is upscaled
    assert "error: " in end[0]
    assert "vsr: 1 of 3 files cannot be upscaled; 2 are upscaled now" in end
    assert re.fullmatch(
        r"vsr: 2 done, 0 skipped, 1 failed, in .* s: .*", " ".join(end[-2:])
    )
    assert "broken.mkv" in end[-1]


def test_off_a_terminal_lines_tell_how_far_it_is(
    demo_clip: Path, tmp_path: Path, paced: None, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["upscale", str(demo_clip), str(tmp_path / "o.mkv"), "--codec", "ffv1"]
    assert _run(words) == 0
    lines = capsys.readouterr().err.splitlines()
    told = [line for line in lines if " of 30 frames" in line]
    assert 2 <= len(told) <= 20
    for line in told:
        assert re.match(r"vsr: \d+\.\d %, \d+ of 30 frames", line)
    assert not any("\x1b" in line or "━" in line for line in lines)
    for option in ("-q", "--no-progress"):
        assert _run([*words, "-y", option]) == 0
        assert " of 30 frames" not in capsys.readouterr().err


def test_a_line_that_has_nothing_to_say_yet_comes_soon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Loading took longer than the 10 s after which the first line is due."""
    monkeypatch.setattr(ticker, "_FIRST_SECONDS", 0.0)
    monkeypatch.setattr(ticker, "_RETRY_SECONDS", 0.01)
    calls: list[int] = []
    told = threading.Event()

    def tell() -> bool:
        calls.append(1)
        if len(calls) == 3:
            told.set()
        return len(calls) >= 3

    with ticker.Ticker(ticker.Pace(), tell):
        assert told.wait(30)
        time.sleep(0.1)
    assert len(calls) == 3


def test_off_a_terminal_a_long_start_says_so_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A long film is read once before its first frame: minutes, on a slow disk."""
    monkeypatch.setattr(ticker, "_FIRST_SECONDS", 0.0)
    monkeypatch.setattr(ticker, "_RETRY_SECONDS", 0.01)
    with progress_bar("film.mkv", "frames", enabled=True) as show:
        time.sleep(0.3)
        show(0.1, 1)
        time.sleep(0.3)
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["vsr: film.mkv: preparing", "vsr: 10.0 %, 1 frame"]


def test_a_dry_run_shows_that_it_works(
    demo_clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    terminal: Callable[..., Terminal],
) -> None:
    monkeypatch.setattr(
        "vsrcli.jobs.dry_run.open_backend", lambda *arguments, **options: FakeBackend()
    )
    words = ["upscale", demo_clip, tmp_path / "o.mkv", "--dry-run"]
    shown = terminal(*words)
    assert any("starting" in line for line in bars_in(shown.text))
    assert not [line for line in shown.screen(80).shown if "━" in line]
    assert list(tmp_path.iterdir()) == []


def test_off_a_terminal_a_batch_tells_its_place(
    demo_clip: Path, tmp_path: Path, paced: None, capsys: pytest.CaptureFixture[str]
) -> None:
    second = Path(shutil.copy(demo_clip, tmp_path / "second.mp4"))
    words = ["upscale", str(demo_clip), str(second), "--out-dir", str(tmp_path / "out")]
    assert _run([*words, "--preset", "ultrafast"]) == 0
    lines = capsys.readouterr().err.splitlines()
    told = [line for line in lines if line.startswith("vsr: [2/2] second.mp4: ")]
    assert told
    assert "left; all: " in told[0]
    assert ", ends " in told[0]


def test_a_log_has_everything_with_date_and_time(
    demo_clip: Path, tmp_path: Path, paced: None, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "run.log"
    log.write_text("mine\n")
    target = tmp_path / "o.mkv"
    words = ["upscale", str(demo_clip), str(target), "--codec", "ffv1", "-q"]
    assert _run([*words, "--log", str(log)]) == 0
    assert _run([*words, "--log", str(log)]) == 1
    assert capsys.readouterr().err.startswith("vsr: error: ")
    first, *lines = log.read_text().splitlines()
    assert first == "mine"
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", line) for line in lines)
    texts = [line[20:] for line in lines]
    assert "copied: stream 1 (AAC)" in texts
    assert any(" of 30 frames" in text for text in texts)
    assert any("fp32 by fake on cpu" in text for text in texts)
    assert any("30 frames of 192x128" in text for text in texts)
    assert texts[-1].startswith(f"error: {target} exists")


def test_a_log_in_the_way_is_refused_before_the_work(
    demo_clip: Path,
    tmp_path: Path,
    fake: FakeBackend,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = Path(shutil.copy(demo_clip, tmp_path / "in.mp4"))
    content = source.read_bytes()
    linked = tmp_path / "linked.log"
    linked.hardlink_to(source)
    target = tmp_path / "o.mkv"
    for log, reason in (
        (source, "is the input"),
        (linked, "is the input"),
        (target, "is the output"),
        (tmp_path / "o.mkv.vsr", "is the output"),
        (tmp_path / "o.mkv.vsr" / "x", "there is no folder"),
        (tmp_path, "this is a folder"),
        (tmp_path / "none" / "run.log", "there is no folder"),
        (Path("/dev/full"), "no regular file"),
    ):
        assert _run(["upscale", str(source), str(target), "--log", str(log)]) == 1
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert f"--log {log}" in error
        assert reason in error
    assert source.read_bytes() == content
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "linked.log"]
    assert not fake.windows


def test_a_full_disk_ends_the_log_and_not_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Path("/dev/full").open("a") as full:
        log = run_log._RunLog(full, tmp_path / "run.log")
        log.write("one")
        log.write("two")
        with contextlib.suppress(OSError):
            full.close()
    error = capsys.readouterr().err
    assert error.count("the log ends here: No space left on device") == 1


def test_a_source_is_prepared_once_unless_it_changes(
    demo_clip: Path, tmp_path: Path, fake: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Preparing reads all packets, seconds for an hour of film."""
    prepared = []
    genuine = vars(checked_run)["prepare"]

    def counting(source: Path, *rest: Any, **named: Any) -> Any:
        prepared.append(source.name)
        return genuine(source, *rest, **named)

    files = Path("/proc/self/fd")
    open_files = len(list(files.iterdir()))

    class Changing(BatchObserver):
        def planned(self, plans: Sequence[BatchPlan]) -> None:
            assert len(list(files.iterdir())) == open_files
            os.utime(tmp_path / "b.mp4", ns=(1, 1))

    monkeypatch.setattr(checked_run, "prepare", counting)
    sources = [tmp_path / "a.mp4", tmp_path / "b.mp4"]
    for source in sources:
        shutil.copy(demo_clip, source)
    batch = BatchOptions(out_dir=str(tmp_path / "out"))
    options = UpscaleOptions(encoder=EncoderOptions(preset="ultrafast"))
    items = upscale_all(sources, batch, options, Changing())
    assert [item.error for item in items] == [None, None]
    assert prepared == ["a.mp4", "b.mp4", "b.mp4"]
