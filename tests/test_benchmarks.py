"""The scripts that make the figures in benchmarks/RESULTS.md still run; the figures themselves are not looked at."""

from __future__ import annotations

import ast
import importlib
import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from vsrcli.training.data import SEQUENCE, Sequences

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.delitem(sys.modules, request.param, raising=False)
    return __import__(request.param)


def _sequences() -> Sequences:
    blocks = np.kron(np.random.default_rng(4).integers(30, 220, (20, 20)), np.ones((4, 4))).astype(np.uint8)
    clips = [np.stack([np.roll(blocks, frame * (1 + n), axis=1)[:64, :64] for frame in range(SEQUENCE)]) for n in range(20)]
    return Sequences(tuple(clips), tuple(f"scene {n // 10}" for n in range(20)))


@pytest.mark.parametrize("script", ["quality"], indirect=True)
def test_quality_table_scenes_windows_and_sheet(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = script.methods(["previous:clean"])
    monkeypatch.setattr(script, "TESTS", {name: script.TESTS[name] for name in ("clean", "crf 28")})
    for show in (script.table, script.scenes, script.windows):
        show(_sequences(), found, 2, 48)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("|")[2].strip() for line in lines if line.startswith("| crf 28")] == ["bicubic", "lanczos", "previous:clean"]
    assert sum(line.startswith("| scene ") for line in lines) == 3
    assert lines[-1].startswith("| previous:clean | ")
    script.motion(_sequences(), found, 2, 48)
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| previous:clean")]
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


@pytest.mark.parametrize("path", sorted(BENCHMARKS.glob("*.py")), ids=lambda path: path.stem)
def test_what_it_imports_from_vsr_is_there(path: Path) -> None:
    """Imports at any depth, those inside functions included; other libraries may be missing here."""
    found = 0
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "vsrcli":
            module = importlib.import_module(node.module or "")
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")
                found += 1
        elif isinstance(node, ast.Import):
            found += sum(alias.name.startswith("vsrcli") for alias in node.names)
    assert found or path.stem == "standins", f"{path.name} measures nothing of ours"


def test_every_script_says_how_it_is_called() -> None:
    for script in BENCHMARKS.glob("*.py"):
        assert f"benchmarks/{script.name}" in (ast.get_docstring(ast.parse(script.read_text())) or ""), script.name


@pytest.mark.parametrize("script", ["lite"], indirect=True)
def test_lite_beside_other_networks(script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(script, "OURS", (("lite", "onnx"), ("delta", "onnx")))
    script.alone([(24, 16)], 1)
    rows = [line.split(" | ")[0].strip("| ") for line in capsys.readouterr().out.splitlines()[2:]]
    assert rows == ["lite", "delta", *script.OTHERS]
