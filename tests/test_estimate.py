"""What a run says before its work: how long, how large, and by when."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake import FakeBackend

from vsrcli.backends import Float
from vsrcli.backends.feature_cache import FeatureCache
from vsrcli.cli import _run
from vsrcli.errors import BackendError, OutputError
from vsrcli.estimate import bottleneck as bottleneck_module
from vsrcli.estimate import opening_lines as opening_module
from vsrcli.estimate.bottleneck import where_time_went
from vsrcli.estimate.network_timing import NetworkTimer
from vsrcli.estimate.run_timing import RunTimer, Speed
from vsrcli.jobs import costs as costs_module
from vsrcli.jobs import dry_run as dry_run_module
from vsrcli.jobs import upscale as upscale_module
from vsrcli.jobs.demo import write_demo
from vsrcli.jobs.dry_run import dry_run
from vsrcli.models import MODELS, LumaScale, ModelSpec
from vsrcli.options import UpscaleOptions
from vsrcli.pipeline.network import LumaNetwork
from vsrcli.pipeline.upscale_report import UpscaleReport
from vsrcli.preflight.run_plan import RunPlan, plan_run
from vsrcli.preflight.upscale_job import UpscaleJob, prepare
from vsrcli.wording import duration_text, moment_text, rate_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.04, "0 s"),
        (0.44, "0.4 s"),
        (9.96, "10 s"),
        (45.4, "45 s"),
        (99.4, "99 s"),
        (99.6, "2 min"),
        (720, "12 min"),
        (59.6 * 60, "1 h"),
        (3 * 3600 + 20 * 60, "3 h 20 min"),
        (9 * 3600 + 59.9 * 60, "10 h"),
        (15.3 * 3600, "15 h"),
        (47.7 * 3600, "2 days"),
        (76 * 3600, "3 days 4 h"),
        (9.99 * 86400, "10 days"),
        (12.2 * 86400, "12 days"),
        (4046.9 * 3600, "169 days"),
        (4046.9 * 86400, "4,047 days"),
    ],
)
def test_lengths_of_time_read_as_a_person_would_say_them(
    seconds: float, text: str
) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 11, 27, 23, 59), "23:59"),
        (datetime(2026, 11, 28, 0, 5), "Sat 00:05"),
        (datetime(2026, 12, 3, 9, 0), "Thu 09:00"),
        (datetime(2026, 12, 14, 9, 0), "Mon 14 Dec 09:00"),
        (datetime(2027, 1, 4, 9, 0), "Mon 4 Jan 09:00"),
        (datetime(2027, 12, 14, 9, 0), "14 Dec 2027"),
    ],
)
def test_the_end_of_a_run_reads_as_a_person_would_say_it(
    moment: datetime, text: str
) -> None:
    assert moment_text(moment, datetime(2026, 11, 27, 20, 0)) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1 / 240, "240 frames/s"),
        (1 / 23.976, "24 frames/s"),
        (0.13, "7.7 frames/s"),
        (7.14, "0.14 frames/s"),
        (200, "3 min a frame"),
        (1e-9, "1,000,000 frames/s"),
    ],
)
def test_rates_have_no_exponents(seconds: float, text: str) -> None:
    assert rate_text(seconds) == text


class _Film:
    """A backend on a clock that only it moves on: so much for a call, and for each pixel.

    Features of frames cost something too, and are kept as real backends keep them.
    """

    name = "fake"
    device = "cpu"
    precision = "fp32"
    domain = "video"
    luma_scale: LumaScale = "limited"
    bytes_per_pixel = 1024
    exact_parts = True

    def __init__(
        self,
        spec: ModelSpec,
        *,
        per_call: float = 0.005,
        per_pixel: float = 0.0,
        per_feature: float = 0.0,
        max_pixels: int = 1 << 30,
    ) -> None:
        self.spec = spec
        self.max_pixels = max_pixels
        self.now = 0.0
        self._per_call = per_call
        self._per_pixel = per_pixel
        self._per_feature = per_feature
        self._interpolates = FakeBackend(spec=spec)
        self._features: FeatureCache[int] = FeatureCache(spec, self._encode, self._fuse)

    def clock(self) -> float:
        return self.now

    def run(self, windows: Float) -> Float:
        self.now += self._per_call + self._per_pixel * windows[0, 0].size
        if self.spec.group_frames:
            return self._features.run(windows)
        return self._doubled(windows)

    def _encode(self, role: int, frames: Float) -> int:
        self.now += self._per_feature * frames.size
        return role

    def _fuse(self, features: list[int], middle: Float) -> Float:
        planes = np.repeat(middle[:, None], self.spec.frames, axis=1)
        return self._doubled(planes)

    def _doubled(self, windows: Float) -> Float:
        del self._interpolates.windows[:]
        return self._interpolates.run(windows)


def _steady_seconds(backend: _Film, height: int, width: int, windows: int) -> float:
    """What a window costs in a film, once features are kept."""
    network = LumaNetwork(backend, reuse=False)
    radius = backend.spec.frames
    film = np.random.default_rng(7).integers(
        16, 236, (windows + 2 * radius, height, width), dtype=np.uint8
    )
    seconds = 0.0
    for first in range(windows + radius):
        began = backend.now
        network.upscale(film[first : first + backend.spec.frames], 8, False)
        if first >= radius:
            seconds += backend.now - began
    return seconds / windows


@pytest.mark.parametrize("name", ["delta", "previous", "5-parallel"])
@pytest.mark.parametrize("max_pixels", [1 << 30, 150 * 150])
def test_parts_of_a_picture_stand_for_the_whole(name: str, max_pixels: int) -> None:
    """Calls cost something as well; a film finds most features, unless the picture is tiled."""

    def backend() -> _Film:
        return _Film(
            MODELS[name],
            per_call=0.02,
            per_pixel=1e-6,
            per_feature=4e-6,
            max_pixels=max_pixels,
        )

    timed = backend()
    timer = NetworkTimer(timed, 270, 480, clock=timed.clock)
    found = timer.seconds(budget=20)
    truth = _steady_seconds(backend(), 270, 480, windows=4)
    assert truth / 1.3 < found < 1.3 * truth


def test_a_timing_ends_when_its_time_is_over() -> None:
    """Each pixel of a large picture costs far more than there is time for."""
    backend = _Film(MODELS["5-parallel"], per_pixel=1e-4)
    found = NetworkTimer(backend, 1080, 1920, clock=backend.clock).seconds(budget=10)
    assert backend.now < 20
    truth = 1e-4 * 1080 * 1920
    assert truth / 1.3 < found < 1.3 * truth


def _planned(
    source: Path, folder: Path, options: UpscaleOptions
) -> tuple[UpscaleJob, RunPlan]:
    job = prepare(source, folder / "o.mkv", options)
    return job, plan_run(job, options)


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """90 frames of 64x48."""
    path = tmp_path_factory.mktemp("long") / "long.mp4"
    write_demo(path, seconds=3, size=(64, 48))
    return path


def test_a_fast_network_is_timed_within_the_pipeline(
    long_clip: Path, tmp_path: Path
) -> None:
    backend = _Film(MODELS["5-parallel"], per_call=0.04)
    options = UpscaleOptions(reuse=False)
    job, plan = _planned(long_clip, tmp_path, options)
    speed = RunTimer(job, options, plan, backend, backend.clock).speed()
    # some frames are on their way between the stages
    assert 0.04 / 1.3 < speed.seconds < 0.04 * 1.3
    assert speed.bytes is not None
    assert 20 < speed.bytes < 20_000
    assert list(tmp_path.iterdir()) == []


def test_a_slow_network_is_timed_beside_the_pipeline(
    long_clip: Path, tmp_path: Path
) -> None:
    backend = _Film(MODELS["5-parallel"], per_pixel=5 / (64 * 48))
    options = UpscaleOptions(reuse=False)
    job, plan = _planned(long_clip, tmp_path, options)
    speed = RunTimer(job, options, plan, backend, backend.clock).speed()
    fed_pixels = (64 + 8) * (48 + 8)
    truth = 5 * fed_pixels / (64 * 48)
    assert truth / 1.3 < speed.seconds < truth * 1.3 + 1
    assert speed.bytes is not None


def test_cards_share_the_work_and_the_processor_limits_them() -> None:
    speed = Speed(1.0, host_seconds=0.3)
    assert speed.shared_by(1) == 1.0
    assert speed.shared_by(2) == 0.5
    assert speed.shared_by(8) == 0.3


_FACTS = (
    "source",
    "output",
    "stream 0",
    "stream 1",
    "frames",
    "segments",
    "network",
    "speed",
    "time",
    "output size",
    "disk",
)


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch, fake: FakeBackend) -> FakeBackend:
    """The network that only interpolates, where time is measured as well."""
    for module in (dry_run_module, opening_module):
        monkeypatch.setattr(module, "open_backend", lambda *args, **named: fake)
    return fake


def _cli(*arguments: str | Path) -> int:
    return _run([str(argument) for argument in arguments])


def test_a_dry_run_says_everything_and_writes_nothing(
    long_clip: Path,
    tmp_path: Path,
    fast: FakeBackend,
    capsys: pytest.CaptureFixture[str],
) -> None:
    target = tmp_path / "o.mp4"
    command = ("upscale", long_clip, target, "--dry-run", "--segment", "1")
    assert _cli(*command) == 0
    shown = capsys.readouterr()
    names = [line[2:].split("  ")[0] for line in shown.out.splitlines()[1:]]
    assert [name for name in names if name in _FACTS] == list(_FACTS)
    assert "90 in, 90 to compute, 90 out" in shown.out
    assert re.search(r"frames/s here\n", shown.out)
    assert re.search(r"about [\d.]+ s, ends \d\d:\d\d\n", shown.out)
    assert re.search(r"about 0\.\d MB, from some of its frames, encoded", shown.out)
    assert shown.err == ""
    assert list(tmp_path.iterdir()) == []
    assert _cli(*command, "--fps", "10", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["frames_left_out"] == 60
    assert found["frames_to_compute"] == 30
    assert found["segments"] == 3
    assert found["input"]["width"] == 64
    assert found["output"]["codec"] == "libx264"
    assert [stream["action"] for stream in found["streams"]] == ["upscale", "copy"]
    assert datetime.fromisoformat(found["ends"]) > datetime.now() - timedelta(hours=1)
    assert found["disk_bytes"] > found["output_bytes"] > 1000
    assert found["output_is_sampled"] is True
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_refuses_what_the_run_would(
    long_clip: Path,
    tmp_path: Path,
    fast: FakeBackend,
    capsys: pytest.CaptureFixture[str],
) -> None:
    target = tmp_path / "o.mp4"
    target.write_text("mine")
    refused = []
    for arguments in (
        (target,),
        (tmp_path / "nowhere" / "o.mp4",),
        (tmp_path / "p.mp4", "--start", "9"),
        (tmp_path / "p.mp4", "-e", "no-such=option"),
    ):
        for flags in ((), ("--dry-run",)):
            code = _cli("upscale", long_clip, *arguments, *flags)
            refused.append((code, capsys.readouterr().err.splitlines()[-1]))
    assert refused[::2] == refused[1::2]
    assert all(code for code, _ in refused)
    assert target.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [target]


def test_a_dry_run_counts_what_an_earlier_run_has_left(
    long_clip: Path,
    tmp_path: Path,
    fast: FakeBackend,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target = tmp_path / "o.mp4"
    options = UpscaleOptions(segment=1, reuse=False)
    breaks = FakeBackend(fail_at=70)
    with monkeypatch.context() as patch:
        patch.setattr(upscale_module, "open_backend", lambda *args, **named: breaks)
        with pytest.raises(BackendError):
            upscale_module.upscale(long_clip, target, options)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    found = dry_run(long_clip, target, options)
    assert found.segments == 3
    assert found.segments_done == 2
    assert found.outlook.frames_done == 60
    assert found.outlook.frames_left == 30
    assert found.outlook.seconds == pytest.approx(30 * found.outlook.seconds_per_frame)
    with pytest.raises(OutputError, match="an unfinished run that differs"):
        dry_run(long_clip, target, replace(options, fps="source"))
    restarted = dry_run(long_clip, target, replace(options, restart=True))
    assert restarted.outlook.frames_done == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_dry_run_of_a_batch_sums_up(
    long_clip: Path,
    demo_clip: Path,
    tmp_path: Path,
    fast: FakeBackend,
    capsys: pytest.CaptureFixture[str],
) -> None:
    missing = tmp_path / "missing.mp4"
    out = tmp_path / "out"
    command = (
        "upscale",
        long_clip,
        demo_clip,
        missing,
        "--out-dir",
        out,
        "--dry-run",
        "--end",
        "1",
    )
    assert _cli(*command) == 1
    shown = capsys.readouterr().out
    assert "2 to upscale, 0 skipped, 1 that cannot be" in shown
    assert f"error  {missing}" in shown
    total = shown[shown.index("in all") :]
    assert re.search(r"time +about \d+(\.\d)? s, ends ", total)
    assert re.search(r"output size +about \d+\.\d MB", total)
    assert _cli(*command, "--json") == 1
    items = json.loads(capsys.readouterr().out)
    assert [item["error"] is None for item in items] == [True, True, False]
    assert items[0]["run"]["frames_to_compute"] == 30
    assert list(tmp_path.iterdir()) == []


def _notes(
    source: Path, folder: Path, *, on: bool = True, **options: Any
) -> tuple[list[str], list[str]]:
    """The lines of a run about time and size, and whether it compared networks."""
    notes: list[str] = []
    upscale_module.upscale(
        source,
        folder / f"{len(list(folder.iterdir()))}.mp4",
        UpscaleOptions(**options),
        on_note=notes.append if on else None,
    )
    opening = [line for line in notes if "frames/s" in line or "a frame" in line]
    opening += [line for line in notes if line.startswith("expected output")]
    return opening, [line for line in notes if "--model lite: about" in line]


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch, fast: FakeBackend) -> FakeBackend:
    """A network that is said to take 7 s a frame, and a faster one that takes a tenth."""
    fast.domain = "video"  # type: ignore[assignment]
    monkeypatch.setattr(opening_module, "guess_seconds", lambda *arguments: 1e6)

    def speed(timer: RunTimer) -> Speed:
        return Speed(0.7 if timer._options.model == "lite" else 7.0, bytes=20_000)

    monkeypatch.setattr(RunTimer, "rough_seconds", lambda timer: 7.0)
    monkeypatch.setattr(RunTimer, "speed", speed)
    return fast


def test_a_long_run_opens_with_its_time_and_size(
    long_clip: Path, tmp_path: Path, slow: FakeBackend
) -> None:
    opening, comparison = _notes(long_clip, tmp_path, fps="source", segment=1)
    assert re.fullmatch(
        r"90 frames of 64x48 to 128x96, 0\.14 frames/s here: about 10 min, ends .*\d\d:\d\d",
        opening[0],
    )
    assert re.fullmatch(
        r"expected output about 1\.[89] MB, up to 3\.[67] MB of disk while it works",
        opening[1],
    )
    assert comparison == ["delta: about 10 min here; --model lite: about 63 s"]
    slow.spec = MODELS["lite"]
    _, comparison = _notes(long_clip, tmp_path, fps="source", segment=1, model="lite")
    assert comparison == []


def test_lite_is_not_named_where_it_has_no_weights(
    long_clip: Path, tmp_path: Path, slow: FakeBackend
) -> None:
    slow.domain = "blur3"  # type: ignore[assignment]
    opening, comparison = _notes(long_clip, tmp_path, domain="blur3")
    assert len(opening) == 2
    assert comparison == []


def test_short_runs_say_nothing_and_are_not_timed(
    long_clip: Path,
    tmp_path: Path,
    fast: FakeBackend,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(timer: RunTimer) -> Speed:
        raise AssertionError("nothing is to be timed")

    monkeypatch.setattr(RunTimer, "rough_seconds", never)
    monkeypatch.setattr(RunTimer, "speed", never)
    assert _notes(long_clip, tmp_path, end=Fraction(1)) == ([], [])


def test_nobody_waits_for_lines_that_nobody_reads(
    long_clip: Path,
    tmp_path: Path,
    slow: FakeBackend,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(timer: RunTimer) -> Speed:
        raise AssertionError("nothing is to be timed")

    monkeypatch.setattr(RunTimer, "speed", never)
    assert _notes(long_clip, tmp_path, on=False, end=Fraction(1)) == ([], [])


def test_info_shows_what_each_network_costs(
    long_clip: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def open_named(kind: str, name: str, *args: Any, **named: Any) -> FakeBackend:
        return FakeBackend(spec=MODELS[name])

    monkeypatch.setattr(costs_module, "open_backend", open_named)
    monkeypatch.setattr(RunTimer, "speed", lambda timer: Speed(7.0))
    before = list(long_clip.parent.iterdir())
    assert _cli("info", long_clip, "--cost") == 0
    shown = capsys.readouterr().out
    for name in ("delta", "5-parallel", "lite"):
        assert re.search(
            rf"cost of {name} +about 10 min, 0\.14 frames/s here \(fake on cpu\)", shown
        )
    assert _cli("info", long_clip, "--cost", "--json") == 0
    costs = json.loads(capsys.readouterr().out)["costs"]
    assert costs[0]["seconds"] == 90 * 7.0
    assert _cli("info", long_clip) == 0
    assert "cost" not in capsys.readouterr().out
    assert list(long_clip.parent.iterdir()) == before


@pytest.mark.parametrize(
    ("model", "backend", "device", "says"),
    [
        ("delta", "onnx", "cpu", "--model lite or OpenVINO (pip install openvino)"),
        ("delta", "openvino", "cpu", "--model lite"),
        ("lite", "onnx", "cpu", "OpenVINO (pip install openvino)"),
        ("lite", "openvino", "cpu", "a GPU"),
        ("delta", "torch", "cuda:0", "--model lite"),
        ("lite", "torch", "cuda:0", "a faster GPU"),
    ],
)
def test_the_way_out_of_a_slow_network_is_one_that_is_not_taken_yet(
    model: str, backend: str, device: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bottleneck_module, "find_spec", lambda name: None)
    report = UpscaleReport.empty()
    report = replace(report, model=model, backend=backend, device=device)
    report.stages = {"network": 5.0, "encode": 1.0}
    assert where_time_went(report).endswith(
        f"the bottleneck is network: {says} would help"
    )
    monkeypatch.setattr(bottleneck_module, "find_spec", lambda name: object())
    assert "pip" not in where_time_went(report)


def test_the_demo_names_a_command_that_ends_in_seconds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "clip.mp4"
    assert _cli("demo", target) == 0
    assert f"vsr upscale {target} big.mp4 --model lite" in capsys.readouterr().err
