"""The short form of ``benchmarks/kill.py``: killed at random, resumed, the same frames."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent


def test_runs_killed_at_random_moments_end_as_if_undisturbed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(TESTS.parent / "benchmarks"))
    kill = importlib.import_module("kill")
    command = [
        sys.executable,
        str(TESTS / "fake_vsr.py"),
        "--seconds-a-frame",
        "0.02",
        "upscale",
    ]
    options = ["--segment", "0.25", "--codec", "ffv1", "-q"]
    outcomes = kill.kill_runs(
        tmp_path, 3, 7, seconds=3, size=(64, 48), options=options, command=command
    )
    assert [outcome for outcome in outcomes if not outcome.ok] == []
    assert sum(outcome.kills for outcome in outcomes) >= 2
    assert any(0 < kept < 12 for outcome in outcomes for kept in outcome.kept)
