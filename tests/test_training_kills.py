"""Training that is killed at any write goes on exactly, and nobody else trains in its folder."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rectangles import moving_rectangles

from vsrcli.errors import OutputError
from vsrcli.models.checkpoint import load
from vsrcli.training.curves import LOG_NAME, append_row, draw
from vsrcli.training.plan import TrainingPlan
from vsrcli.training.recipe import RECIPES
from vsrcli.training.run_folder import hold_folder
from vsrcli.training.trainer import Trainer

_STEPS = 2
# Of the validation after the second step: last, perhaps best, log and state. It follows on the log
# of step 0 and those of the first; a kill before a write is a kill after the one before it.
_WRITES = (5, 6, 7, 8, 9)


class _Killed(BaseException):
    """In the place of SIGKILL: nothing in the program handles it."""


def _trainer(folder: Path) -> Trainer:
    recipe = replace(RECIPES["ship"], batch=1, patch=12, warmup_steps=2)
    plan = TrainingPlan(
        "previous",
        "clean",
        recipe,
        steps=_STEPS,
        seconds=None,
        validate_every=0,
        threads=1,
        validation_count=1,
    )
    clips = moving_rectangles(1)
    return Trainer(plan, folder, clips, clips)


def _result(folder: Path) -> tuple[list[str], dict[str, torch.Tensor], set[str]]:
    """Log without its times, best weights, and names of files."""
    rows = (folder / LOG_NAME).read_text().splitlines()
    log = [",".join((*row.split(",")[:1], *row.split(",")[2:])) for row in rows]
    weights = load(folder / "best.safetensors")[0].state_dict()
    return log, dict(weights), {path.name for path in folder.iterdir()}


def _killing(number: int) -> Callable[[Path, Path], Path]:
    """A ``Path.replace`` that kills before the rename of this number."""
    rename = Path.replace
    count = 0

    def replace_path(source: Path, target: Path) -> Path:
        nonlocal count
        count += 1
        if count == number:
            raise _Killed
        return rename(source, target)

    return replace_path


def test_killed_at_any_write_it_goes_on_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected_folder = tmp_path / "undisturbed"
    _trainer(expected_folder).run()
    log, weights, names = _result(expected_folder)
    resumed = 0
    for number in _WRITES:
        folder = tmp_path / str(number)
        with monkeypatch.context() as patched:
            patched.setattr(Path, "replace", _killing(number))
            with contextlib.suppress(_Killed):
                _trainer(folder).run()
        trainer = _trainer(folder)
        if (folder / "state.pt").exists():
            trainer.resume()
            resumed += trainer.step < _STEPS
        trainer.run()
        found_log, found_weights, found_names = _result(folder)
        assert found_log == log, number
        assert found_names == names, number
        for name, value in weights.items():
            assert torch.equal(found_weights[name], value), (number, name)
    assert resumed >= 2


def _row(step: int) -> dict[str, Any]:
    return {"step": step, "seconds": 10 * step, "loss": 0.5, "passes": "all"}


@pytest.mark.parametrize("kept", [0, 3, 30, 45, -1, -9])
def test_a_log_that_was_cut_off_is_continued(tmp_path: Path, kept: int) -> None:
    log = tmp_path / LOG_NAME
    for step in (10, 20):
        append_row(tmp_path, _row(step), {"gain": {"clean": 1.25}})
    whole = log.read_text()
    log.write_text(whole[:kept])
    draw(tmp_path)
    for step in (10, 20):
        append_row(tmp_path, _row(step), {"gain": {"clean": 1.25}})
    assert log.read_text() == whole
    assert draw(tmp_path) is not None


def test_rows_of_later_steps_are_replaced(tmp_path: Path) -> None:
    for step in (10, 20, 30, 20):
        append_row(tmp_path, _row(step), {})
    rows = (tmp_path / LOG_NAME).read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["step", "10", "20"]


def test_two_trainings_in_one_folder(tmp_path: Path) -> None:
    with (
        hold_folder(tmp_path),
        pytest.raises(OutputError, match="another vsr is training in"),
        hold_folder(tmp_path),
    ):
        pass
    with hold_folder(tmp_path):
        pass
