"""``--model auto``: costs are measured, the best network within the budget is taken and named."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from fake import FakeBackend

from vsrcli.backends import Float
from vsrcli.decode.probe import probe
from vsrcli.errors import OptionError
from vsrcli.frame import Plane, VideoInfo
from vsrcli.jobs import choose as module
from vsrcli.jobs.choose import CANDIDATES, choose, measure_workload, seconds_per_frame
from vsrcli.jobs.upscale import upscale
from vsrcli.models import MODELS, ModelSpec
from vsrcli.models.weights import locate, read_info
from vsrcli.options import UpscaleOptions
from vsrcli.picture.motion import Motion, View


class _Slow(FakeBackend):
    """Takes so many seconds for each pixel of a window."""

    def __init__(
        self, seconds_per_pixel: float, spec: ModelSpec = MODELS["delta"]
    ) -> None:
        super().__init__(spec=spec)
        self.seconds_per_pixel = seconds_per_pixel

    def run(self, windows: Float) -> Float:
        time.sleep(self.seconds_per_pixel * windows.shape[-1] * windows.shape[-2])
        return super().run(windows)


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


def test_a_piece_of_the_picture_stands_for_the_whole() -> None:
    """Small pieces count only once they take long enough; a small picture is timed whole."""
    backend = _Slow(1e-6)
    found = seconds_per_frame(backend, 1920, 1080)
    assert 0.95 * 1e-6 * 1920 * 1080 < found < 1.6e-6 * 1920 * 1080
    assert 64 * 64 < max(window[0].size for window in backend.windows) < 1920 * 1080
    small = _Slow(0)
    seconds_per_frame(small, 40, 30)
    assert {window.shape for window in small.windows} == {(5, 30, 40)}


@pytest.mark.parametrize(
    ("device", "seconds_of_network", "expected"),
    [("cuda:0", 0.0, 0.2), ("cuda:0", 0.4, 0.4), ("cpu", 0.0, 0.1), ("cpu", 0.4, 0.5)],
)
def test_motion_is_compensated_beside_the_network(
    device: str,
    seconds_of_network: float,
    expected: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Beside a card whichever takes longer counts; on a processor they share its cores."""
    planes = Motion.planes

    def take_long(self: Motion, window: Sequence[View]) -> Plane:
        time.sleep(0.4)
        return planes(self, window)

    monkeypatch.setattr(Motion, "planes", take_long)
    monkeypatch.setattr(module, "motion_threads", lambda device: 2)
    monkeypatch.setattr(module, "available_cores", lambda: 4)
    backend = _Slow(seconds_of_network / (40 * 30), spec=MODELS["lite"])
    backend.device = device
    assert expected <= seconds_per_frame(backend, 40, 30) < 1.4 * expected
    assert {window.shape for window in backend.windows} == {(21, 30, 40)}


def test_the_frames_of_the_range_are_counted(info: VideoInfo) -> None:
    assert measure_workload(info, UpscaleOptions()) == module.Workload(
        200, 8 / 200
    )  # 25 a second are fewer than the output's 30
    assert measure_workload(info, UpscaleOptions(fps=Fraction(10))) == module.Workload(
        80, 0.1
    )
    assert (
        measure_workload(
            info, UpscaleOptions(fps="source", start=Fraction(2), end=Fraction(4))
        ).frames
        == 50
    )
    assert (
        measure_workload(
            info, UpscaleOptions(model="auto", budget=100.0)
        ).seconds_per_frame
        == 0.5
    )
    assert (
        measure_workload(
            replace(info, interlaced=True),
            UpscaleOptions(fps="source", deinterlace="field"),
        ).frames
        == 400
    )
    endless = replace(info, duration=None)
    assert measure_workload(endless, UpscaleOptions()) == module.Workload(None, 1 / 25)
    with pytest.raises(
        OptionError, match="--budget needs a source whose length is known"
    ):
        measure_workload(endless, UpscaleOptions(model="auto", budget=9.0))


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
        lambda kind, name, domain, **_: _Slow(speeds[name] / (640 * 360)),
    )
    name, line = choose(
        info, UpscaleOptions(model="auto", domain="clean", budget=budget)
    )
    assert name == by_gain[place]
    assert line.startswith(f"--model auto: {name}, about ")
    assert reason in line
    assert all(other in line for other in by_gain[:place])


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
