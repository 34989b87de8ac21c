"""The short form of ``benchmarks/kill.py``: killed at random, resumed, the same frames."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent


def _kill() -> Any:
    found = importlib.util.spec_from_file_location(
        "kill_benchmark", TESTS.parent / "benchmarks" / "kill.py"
    )
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[found.name] = module
    found.loader.exec_module(module)
    return module


def test_runs_killed_at_random_moments_end_as_if_undisturbed(tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(TESTS / "fake_vsr.py"),
        "--seconds-a-frame",
        "0.02",
        "upscale",
    ]
    options = ["--segment", "0.25", "--codec", "ffv1", "-q"]
    outcomes = _kill().kill_runs(
        tmp_path, 3, 7, seconds=3, size=(64, 48), options=options, command=command
    )
    assert [outcome for outcome in outcomes if not outcome.ok] == []
    assert sum(outcome.kills for outcome in outcomes) >= 2
    assert any(0 < kept < 12 for outcome in outcomes for kept in outcome.kept)
