"""The short form of ``benchmarks/kill.py``: killed at random, resumed, the same frames."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).resolve().parent


def test_runs_killed_at_random_moments_end_as_if_undisturbed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = _kill_runs(3, [], tmp_path, monkeypatch)
    assert sum(outcome.kills for outcome in outcomes) >= 2
    assert any(0 < kept < 12 for outcome in outcomes for kept in outcome.kept)


def test_so_do_those_that_keep_frames_of_unfinished_segments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = _kill_runs(2, ["--keep-frames"], tmp_path, monkeypatch)
    assert sum(outcome.kills for outcome in outcomes) >= 1


def _kill_runs(
    runs: int, flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> list[Any]:
    """Runs of a slow network; the outcome of each is right."""
    monkeypatch.syspath_prepend(str(TESTS.parent / "benchmarks"))
    kill = importlib.import_module("kill")
    command = [
        sys.executable,
        str(TESTS / "fake_vsr.py"),
        *flags,
        "--seconds-a-frame",
        "0.02",
        "upscale",
    ]
    options = ["--segment", "0.25", "--codec", "ffv1", "-q"]
    outcomes = kill.kill_runs(
        tmp_path, runs, 7, seconds=3, size=(64, 48), options=options, command=command
    )
    assert [outcome for outcome in outcomes if not outcome.ok] == []
    found: list[Any] = outcomes
    return found
