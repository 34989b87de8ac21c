"""What the user sees while it runs: time left, one console, lines off a terminal, a log."""

from __future__ import annotations

import random
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from clips import texture, write_clip
from fake import FakeBackend

from vsrcli.cli.eta import BatchEta, Eta
from vsrcli.jobs.upscale import upscale
from vsrcli.options import EncoderOptions, UpscaleOptions
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
