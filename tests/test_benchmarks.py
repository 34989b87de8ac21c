"""The scripts behind benchmarks/RESULTS.md still run; their figures are not checked."""

from __future__ import annotations

import ast
import gc
import importlib
import json
import subprocess
import sys
import tarfile
import weakref
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from fake import FakeBackend
from safetensors.numpy import load_file

from vsrcli.backends import Codes, Float
from vsrcli.backends.torch import TorchBackend
from vsrcli.clips.degradation import half_clean
from vsrcli.clips.sequences import SEQUENCE, Sequences
from vsrcli.errors import BackendError, OutOfMemory
from vsrcli.metrics.frames import psnr
from vsrcli.models import MODELS
from vsrcli.models.weights import read_info, sha256
from vsrcli.picture.resize import double

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture
def script(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.delitem(sys.modules, request.param, raising=False)
    return __import__(request.param)


def _sequences() -> Sequences:
    random = np.random.default_rng(4)
    blocks = np.kron(random.integers(30, 220, (20, 20)), np.ones((4, 4)))
    clips = []
    names = []
    for number in range(20):
        frames = []
        for time in range(SEQUENCE):
            moved = np.roll(blocks.astype(np.uint8), time * (1 + number), axis=1)
            frames.append(moved[:64, :64])
        clips.append(np.stack(frames))
        names.append(f"scene {number // 10}")
    return Sequences(tuple(clips), tuple(names))


@pytest.mark.parametrize("script", ["quality"], indirect=True)
def test_quality_table_scenes_windows_and_sheet(
    script: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = script.methods(["previous:clean"])
    monkeypatch.setattr(
        script, "TESTS", {name: script.TESTS[name] for name in ("clean", "crf 28")}
    )
    for show in (script.table, script.scenes, script.windows):
        show(_sequences(), found, 2, 48)
    lines = capsys.readouterr().out.splitlines()
    assert [
        line.split("|")[2].strip() for line in lines if line.startswith("| crf 28")
    ] == ["bicubic", "lanczos", "previous:clean"]
    assert sum(line.startswith("| scene ") for line in lines) == 3
    assert lines[-1].startswith("| previous:clean | ")
    script.motion(_sequences(), found, 2, 48)
    rows = [
        line.split(" | ")
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("| previous:clean")
    ]
    assert [row[1] for row in rows] == ["scene 1", "scene 0"]  # the faster one first
    script.sheet(_sequences(), found, tmp_path / "sheet.png", crop=24, zoom=2)
    picture = cv2.imread(str(tmp_path / "sheet.png"), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    assert picture.shape == (5 * (2 * 24 + 24), 3 * (2 * 24 + 8))
    assert picture.std() > 20


@pytest.mark.parametrize("script", ["report_table"], indirect=True)
def test_the_reports_table(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "NETWORKS", {"Previous": "previous"})
    field = script.STANDINS[1]
    scores = script.score(field, script.methods(None), 1)
    assert scores.keys() == {"raw (bicubic)", "Previous"}
    assert scores["Previous"][2] > scores["raw (bicubic)"][2] + 5


@pytest.mark.parametrize("script", ["standins"], indirect=True)
def test_scenes_of_known_motion_are_files_and_the_same_each_time(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = [
        "standins.py",
        str(tmp_path),
        "--frames",
        "2",
        "--only",
        "pan",
        "--only",
        "fast",
    ]
    monkeypatch.setattr(sys, "argv", arguments)
    script.main()
    files = sorted(str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.*"))
    assert files == [
        f"{scene}/000{number}.png" for scene in ("fast", "pan") for number in (0, 1)
    ]
    script._wall.cache_clear()
    for scene in ("pan", "fast"):
        for number, picture in enumerate(script.motion(scene, 2)):
            assert picture.shape == script.MOTION_SIZE
            assert picture.dtype == np.uint8
            written = cv2.imread(
                str(tmp_path / f"{scene}/000{number}.png"), cv2.IMREAD_UNCHANGED
            )
            assert written is not None
            assert np.array_equal(written, picture)
            assert picture.min() > 16
            assert picture.max() < 235


@pytest.mark.parametrize("script", ["standins"], indirect=True)
def test_a_pan_by_whole_pixels_in_sum_shows_the_same_pixels(script: ModuleType) -> None:
    before, after = (
        picture.astype(int) for picture in script.motion("pan", only=(1, 33))
    )
    assert np.abs(after[:-7, :-19] - before[7:, 19:]).max() <= 1
    assert np.abs(after[:-8, :-19] - before[8:, 19:]).max() > 50


@pytest.mark.parametrize("scene", ["pan", "zoom", "turn", "fast"])
@pytest.mark.parametrize("script", ["standins"], indirect=True)
def test_frames_are_the_mean_of_the_wall_over_each_pixel(
    script: ModuleType, scene: str
) -> None:
    """A part of a frame, by many samples of the nearest texel instead."""
    number = 17
    part = 16
    count = 96
    (picture,) = script.motion(scene, only=(number,))
    top = 60
    left = 90
    places = (np.arange(part * count) + 0.5) / count
    columns, rows = np.meshgrid(left + places, top + places)
    x, y = np.einsum(
        "ij,jkl->ikl",
        script.view(scene, number),
        np.stack([columns, rows, np.ones_like(rows)]),
    )
    wall = script._wall()
    side = len(wall)
    x, y = (np.floor(script._TEXELS * each).astype(int) % (2 * side) for each in (x, y))
    samples = wall[np.minimum(y, 2 * side - 1 - y), np.minimum(x, 2 * side - 1 - x)]
    expected = samples.reshape(part, count, part, count).mean(axis=(1, 3))
    assert expected.std() > 8
    error = picture[top : top + part, left : left + part] - expected
    # a pan is exact but for rounding
    assert np.abs(error).max() < (0.51 if scene == "pan" else 1.5)
    assert np.sqrt(np.mean(error**2)) < 0.5


@pytest.mark.parametrize("script", ["standins"], indirect=True)
def test_scenes_move_as_slowly_as_they_say(script: ModuleType) -> None:
    height, width = script.MOTION_SIZE
    rows, columns = np.mgrid[: height + 1 : 20, : width + 1 : 20]
    places = np.stack([columns.ravel(), rows.ravel(), np.ones(rows.size)])
    for scene, (least, most) in {
        "pan": (0.6, 0.7),
        "zoom": (0.2, 1.5),
        "turn": (0.2, 1.5),
        "fast": (13, 17),
    }.items():
        for number in range(script.MOTION_FRAMES - 1):
            on_wall = script.view(scene, number) @ places
            after = script.view(scene, number + 1)
            moved = np.linalg.solve(after[:, :2], on_wall - after[:, 2:]) - places[:2]
            distances = np.hypot(*moved)
            assert distances.min() > least
            assert distances.max() < most


@pytest.mark.parametrize("script", ["standins"], indirect=True)
def test_scenes_are_as_hard_as_footage(script: ModuleType) -> None:
    for scene in script.CAMERAS:
        for picture in script.motion(scene, only=(0, 20)):
            low = np.rint(half_clean(picture)).astype(np.uint8)
            assert 25 < psnr(picture, double(low), crop=8) < 35


@pytest.mark.parametrize(
    "path", sorted(BENCHMARKS.glob("*.py")), ids=lambda path: path.stem
)
def test_what_it_imports_from_vsr_is_there(path: Path) -> None:
    """Imports at any depth, also those in functions; other libraries may be missing here."""
    found = 0
    for node in ast.walk(ast.parse(path.read_text())):
        if (
            isinstance(node, ast.ImportFrom)
            and (node.module or "").split(".")[0] == "vsrcli"
        ):
            module = importlib.import_module(node.module or "")
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")
                found += 1
        elif isinstance(node, ast.Import):
            found += sum(alias.name.startswith("vsrcli") for alias in node.names)
    assert found, f"{path.name} measures nothing of ours"


def test_every_script_says_how_it_is_called() -> None:
    for script in BENCHMARKS.glob("*.py"):
        assert f"benchmarks/{script.name}" in (
            ast.get_docstring(ast.parse(script.read_text())) or ""
        ), script.name


@pytest.mark.parametrize("script", ["lite"], indirect=True)
def test_lite_beside_other_networks(
    script: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(script, "OURS", (("lite", "onnx"), ("delta", "onnx")))
    script.alone([(24, 16)], 1)
    rows = [
        line.split(" | ")[0].strip("| ")
        for line in capsys.readouterr().out.splitlines()[2:]
    ]
    assert rows == ["lite", "delta", *script.OTHERS]
    script.with_motion([(24, 16), (48, 32)], 1)
    lines = capsys.readouterr().out.splitlines()[-2:]
    alone, both = (line.strip("| ").split(" | ") for line in lines)
    assert [alone[0], both[0]] == [
        "motion compensation alone, one thread",
        "both, onnx",
    ]
    for one, other in zip(alone[1:], both[1:], strict=True):
        assert 0 < float(one) < float(other)


class CodesBackend(FakeBackend):
    """Takes codes, as PyTorch's backends do."""

    def run_codes(self, windows: Codes, gain: float, offset: float, peak: int) -> Codes:
        return self.run(windows.astype(np.float32)).astype(windows.dtype)


@pytest.mark.parametrize("script", ["gpu"], indirect=True)
def test_each_way_on_a_card_is_freed_before_the_next_and_none_uses_tf32(
    script: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(script, "DEVICE", torch.device("cpu"))
    for name in ("synchronize", "reset_peak_memory_stats"):
        monkeypatch.setattr(torch.cuda, name, lambda: None)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 0)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    held: list[weakref.ref[Any]] = []
    flags: list[tuple[bool, bool]] = []

    def keep_track(one: Any) -> None:
        assert not [other for other in held if other() is not None], (
            "several are held at once"
        )
        held.append(weakref.ref(one))

    def note_flags(module: torch.nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        if given[0].shape[-1] == 24 + 8:  # not the window whose operations are counted
            autocast = torch.is_autocast_enabled("cpu")
            flags.append((bool(torch.backends.cudnn.allow_tf32), autocast))

    load = script.load

    def load_and_watch(path: Path) -> Any:
        network, info = load(path)
        keep_track(network)
        network.register_forward_pre_hook(note_flags)
        return network, info

    def open_backend(
        name: str, *arguments: str, device: str, precision: str
    ) -> CodesBackend:
        opened.append(name)
        if len(opened) > 1:
            raise failures.pop()
        backend = CodesBackend()
        keep_track(backend)
        return backend

    opened: list[str] = []
    failures = [OutOfMemory("out of memory on the card"), BackendError("no driver")]
    monkeypatch.setattr(script, "load", load_and_watch)
    monkeypatch.setattr(script, "open_backend", open_backend)
    gc.collect()
    for _ in range(3):
        script.network_rows("lite", "24x16", 1, 1.0)
    assert opened == ["torch"] * 3
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines()]
    ways = ["eager fp32", "eager fp16", "--backend torch"]
    assert [row[2].split(",")[0] for row in rows] == 3 * ways
    rates = [row[3] for row in rows]
    assert rates.pop(8) == "out of memory"
    assert rates.pop(5) == "no driver"
    assert all(float(rate) > 0 for rate in rates)
    assert flags == 3 * ([(False, False)] * 4 + [(False, True)] * 4)


@pytest.mark.parametrize("script", ["gpu"], indirect=True)
def test_ten_frames_of_each_way_on_a_card_unless_told_otherwise(
    script: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A card is at hand for minutes."""
    asked: list[tuple[str, str, int]] = []
    monkeypatch.setattr(script, "peak_tflops", lambda: 1.0)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a card")

    def note_rows(name: str, size: str, frames: int, peak: float) -> None:
        asked.append((name, size, frames))

    monkeypatch.setattr(script, "network_rows", note_rows)
    monkeypatch.setattr(
        sys, "argv", ["gpu.py", "--model", "delta", "--size", "960x540"]
    )
    script.main()
    assert asked == [("delta", "960x540", 10)]


@pytest.fixture
def card_checks(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("card_checks")


def test_card_checks_rehearsed_on_the_processor(
    card_checks: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "checks.json"
    assert card_checks.main(["--cpu", "--json", str(path)]) == 0
    report = json.loads(path.read_text())
    assert report["failures"] == 0
    checks = {row["check"] for row in report["rows"]}
    assert checks == {"machine", "right", "banded", "pass8", "command", "speed"}
    assert {row["model"] for row in report["rows"] if row["check"] == "right"} == set(
        MODELS
    )
    assert "skipped capture: it needs a card" in capsys.readouterr().out
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_card_checks_see_a_fault_and_go_on(
    card_checks: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = TorchBackend.run

    def off_by_one(self: TorchBackend, windows: Float) -> Float:
        result: Float = run(self, windows) + (self.spec.name == "lite")
        return result

    def broken(*arguments: object) -> None:
        raise RuntimeError("no convolution today\nnor tomorrow")

    monkeypatch.setattr(TorchBackend, "run", off_by_one)
    monkeypatch.setattr(card_checks, "check_banded", broken)
    monkeypatch.setattr(card_checks, "VOLUMES", ("previous",))
    path = tmp_path / "checks.json"
    some = ["--only", "right", "banded", "speed"]
    assert (
        card_checks.main(["--cpu", *some, "--seconds", "0", "--json", str(path)]) == 1
    )
    report = json.loads(path.read_text())
    failures = [row for row in report["rows"] if "failed" in row]
    assert [(row["check"], row.get("model"), row["failed"]) for row in failures] == [
        *[("right", "lite", "1 grey levels, at most 0.001")] * 2,
        *[("banded", None, "RuntimeError: no convolution today")] * 2,
    ]
    assert report["failures"] == len(failures)
    assert report["skipped"][0] == "speed delta 16x12, frame maps: after 0 seconds"


@pytest.mark.parametrize("size", [(1, 5, 7), (2, 17, 33)])
def test_the_emulated_pass_equals_the_recursive_block(
    size: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    pass8 = importlib.import_module("pass8")
    if pass8.compiler() is None:
        pytest.skip("no C++ compiler")
    block = pass8.random_block()
    x = torch.rand(*size, pass8.SLICES, pass8.CHANNELS).half()
    result = pass8.emulate(x, pass8.pack_block(block), blocks=3)
    with torch.inference_mode():
        expected = pass8.expected(x, block)
    # half precision's step between 1 and 2 is 2**-10
    assert float((result.float() - expected).abs().max()) < 2**-10


@pytest.mark.parametrize("script", ["card_train"], indirect=True)
def test_a_card_day_trains_every_job_and_packs_what_it_made(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All jobs in a few steps each; one that fails is said, and does not stop the others."""
    monkeypatch.setattr(script, "read", lambda pack, log: (_sequences(), _sequences()))
    monkeypatch.chdir(BENCHMARKS.parent)  # a job may begin with a file of weights/
    broken = script.Job("broken", "lite", "clean", 0.1, "nothing")
    (lite,) = [job for job in script.JOBS if job.name == "lite-clean"]
    previous = script.Job("previous-clean", "previous", "clean", 0.1)
    follower = script.Job("previous-again", "previous", "clean", 0.1, "previous-clean")
    monkeypatch.setattr(script, "JOBS", (broken, lite, previous, follower))
    out = tmp_path / "out"
    arguments = ["card_train", "pack", str(tmp_path / "work"), "--results", str(out)]
    monkeypatch.setattr(
        sys, "argv", [*arguments, "--device", "cpu", "--tiny", "--seconds", "3"]
    )
    script.main()
    log = (out / "training.log").read_text()
    assert "broken: FAILED" in log
    assert "previous-again: step 0" in log
    with tarfile.open(out / "weights.tar") as archive:
        names = set(archive.getnames())
    for job in ("lite-clean", "previous-clean", "previous-again"):
        assert {
            f"{job}/best.safetensors",
            f"{job}/log.csv",
            f"{job}/facts.json",
        } <= names
    assert not any(name.endswith("state.pt") for name in names)


def test_card_jobs_follow_those_that_come_before_them() -> None:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        jobs = importlib.import_module("card_train").JOBS
    finally:
        sys.path.remove(str(BENCHMARKS))
    done: set[str] = set()
    for job in jobs:
        if job.begin is not None and job.begin.endswith(".safetensors"):
            assert (BENCHMARKS.parent / job.begin).is_file()
        else:
            assert job.begin is None or job.begin in done
        done.add(job.name)
    assert sum(job.share for job in jobs) == pytest.approx(1.0)


@pytest.mark.parametrize("script", ["training"], indirect=True)
def test_what_a_training_step_costs(
    script: ModuleType,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A row for a network; the step launches far fewer operators than one a parameter would."""
    sequences = _sequences()
    tiled = tuple(np.tile(clip, (1, 2, 2)) for clip in sequences.clips[:3])
    few = Sequences(tiled, sequences.names[:3])
    monkeypatch.setattr(script, "clips", lambda: few)
    monkeypatch.setattr(sys, "argv", ["training", "--model", "previous"])
    script.main()
    row = capsys.readouterr().out.splitlines()[-1].split("|")
    assert row[1].strip() == "previous"
    assert float(row[3]) > 0
    assert 100 < int(row[4].replace(",", "")) < 300


@pytest.mark.parametrize("script", ["ship_weights"], indirect=True)
def test_shipped_weights_carry_what_was_measured(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "load_clips", lambda paths: _sequences())
    monkeypatch.setattr(script, "COUNT", 2)
    source = BENCHMARKS.parent / "weights" / "lite-clean-x2.safetensors"
    arguments = ["ship_weights", "DATA", str(source), "--weights", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", [*arguments, "--trained-on", "a test"])
    script.main()
    made = tmp_path / source.name
    info = read_info(made)
    assert info.trained_on == "a test"
    assert info.gain_db.keys() == {"clean"}
    assert info.gain_db != read_info(source).gain_db
    before = load_file(source)
    assert all(
        np.array_equal(value, before[name]) for name, value in load_file(made).items()
    )
    digest, name = (tmp_path / "SHA256SUMS").read_text().split()
    assert (digest, name) == (sha256(made), source.name)


@pytest.mark.parametrize("name", ["card_day.sh", "card_prepare.sh"])
def test_the_card_scripts_say_what_they_need(name: str) -> None:
    file = BENCHMARKS / name
    assert file.stat().st_mode & 0o100, "not executable"
    result = subprocess.run(
        ["bash", str(file)], capture_output=True, text=True, check=False
    )
    assert result.returncode != 0
    assert "?" in result.stderr
    assert name in (BENCHMARKS / "README.md").read_text()


def test_every_script_has_a_row_in_the_readme() -> None:
    text = (BENCHMARKS / "README.md").read_text()
    helpers = {"card_parts.py", "card_report.py", "pass8.py", "standins.py"}
    for file in BENCHMARKS.glob("*.py"):
        assert f"`{file.name}" in text or file.name in helpers, file.name
