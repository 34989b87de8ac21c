"""``--model auto``: costs are measured, the best network within the budget is taken and named."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from fake import FakeBackend

from vsrcli.backends import Backend
from vsrcli.decode.probe import probe
from vsrcli.errors import OptionError
from vsrcli.estimate import choose as module
from vsrcli.estimate.choose import CANDIDATES, choose
from vsrcli.estimate.run_timing import Speed
from vsrcli.frame import VideoInfo
from vsrcli.jobs.upscale import upscale
from vsrcli.models import MODELS
from vsrcli.models.weights import locate, read_info
from vsrcli.options import UpscaleOptions
from vsrcli.preflight.workload import Workload, measure_workload


def _never(backend: Backend, options: UpscaleOptions) -> Speed:
    raise AssertionError("nothing is to be timed")


@pytest.fixture
def info(demo_clip: Path) -> VideoInfo:
    return replace(
        probe(demo_clip),
        width=640,
        height=360,
        rate=Fraction(25),
        duration=Fraction(8),
        interlaced=False,
    )


def test_the_frames_of_the_range_are_counted(info: VideoInfo) -> None:
    # 25 a second are fewer than the output's 30: some are shown twice
    everything = measure_workload(info, UpscaleOptions())
    assert everything == Workload(8.0, 200, 200, 240)
    fewer = measure_workload(info, UpscaleOptions(fps=Fraction(10)))
    assert fewer == Workload(8.0, 200, 80, 80)
    assert (everything.left_out, everything.repeated) == (0, 40)
    assert (fewer.left_out, fewer.repeated) == (120, 0)
    part = UpscaleOptions(fps="source", start=Fraction(2), end=Fraction(4))
    assert measure_workload(info, part) == Workload(2.0, 50, 50, 50)
    fields = UpscaleOptions(fps="source", deinterlace="field")
    assert measure_workload(replace(info, interlaced=True), fields) == Workload(
        8.0, 400, 400, 400
    )
    endless = replace(info, duration=None)
    assert measure_workload(endless, UpscaleOptions()) is None
    budget = UpscaleOptions(model="auto", budget=9.0)
    with pytest.raises(
        OptionError, match="--budget needs a source whose length is known"
    ):
        choose(endless, budget, _never)


@pytest.mark.parametrize(
    ("budget", "place", "reason"),
    [
        (1e6, 0, "the most gain within the budget"),
        (150.0, 1, "would take"),
        (0.1, 2, "none keeps the budget"),
    ],
)
def test_the_best_that_keeps_the_budget_is_taken(
    monkeypatch: pytest.MonkeyPatch,
    info: VideoInfo,
    budget: float,
    place: int,
    reason: str,
) -> None:
    """The better a network, the slower it is made here: 4, 0.4 and 0.04 s a frame, 200 frames."""
    by_gain = sorted(
        CANDIDATES, key=lambda name: -read_info(locate(name, "clean")).gain_db["clean"]
    )
    speeds = dict(zip(by_gain, (4.0, 0.4, 0.04), strict=True))

    monkeypatch.setattr(
        module,
        "open_backend",
        lambda kind, name, domain, **_: FakeBackend(spec=MODELS[name]),
    )
    options = UpscaleOptions(model="auto", domain="clean", budget=budget)
    choice = choose(
        info, options, lambda backend, named: Speed(speeds[backend.spec.name])
    )
    assert choice.candidate.model == by_gain[place]
    assert choice.candidate.speed.seconds == speeds[by_gain[place]]
    assert choice.line.startswith(f"--model auto: {by_gain[place]}, about ")
    assert reason in choice.line
    assert all(other in choice.line for other in by_gain[:place])


def test_costs_read_as_a_person_would_say_them(
    monkeypatch: pytest.MonkeyPatch, info: VideoInfo
) -> None:
    """A film of hours and a network of minutes a frame: no `2e+02 s`, no `4046 h`."""
    monkeypatch.setattr(
        module,
        "open_backend",
        lambda kind, name, domain, **_: FakeBackend(spec=MODELS[name]),
    )
    film = replace(info, duration=Fraction(7200), rate=Fraction(30))
    options = UpscaleOptions(model="auto", domain="clean")
    line = choose(film, options, lambda backend, named: Speed(200.0)).line
    assert "about 500 days for 216,000 frames (3 min a frame)" in line
    assert "e+" not in line
    assert " h " not in line


def test_a_clip_is_upscaled_by_what_was_chosen(
    moving_clip: Path, tmp_path: Path
) -> None:
    notes: list[str] = []
    options = UpscaleOptions(
        model="auto", domain="clean", budget=3600.0, device="cpu", end=Fraction(1, 6)
    )
    report = upscale(moving_clip, tmp_path / "o.mp4", options, on_note=notes.append)
    assert report.model in MODELS
    assert report.domain == "clean"
    assert notes[0].startswith(f"--model auto: {report.model}, about ")
    assert notes == report.notes
    best = max(
        CANDIDATES, key=lambda name: read_info(locate(name, "clean")).gain_db["clean"]
    )
    assert report.model == best  # an hour is enough for any of them


def test_a_budget_alone_is_refused() -> None:
    with pytest.raises(OptionError, match="--budget belongs to --model auto"):
        UpscaleOptions(budget=60.0)
    with pytest.raises(OptionError, match="above zero"):
        UpscaleOptions(model="auto", budget=-1.0)
    assert np.isclose(UpscaleOptions(model="auto", budget=7200.0).budget or 0, 7200)
