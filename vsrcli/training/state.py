"""``state.pt`` in a run's folder: everything that a resumed run needs to continue exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from vsrcli.errors import ModelError, OutputError
from vsrcli.models.torch_file import read_tensors
from vsrcli.training.plan import TrainingPlan

_STATE_NAME = "state.pt"


def state_file(folder: Path) -> Path:
    """Where the state of the folder's run is saved."""
    return folder / _STATE_NAME


def write_state(
    folder: Path,
    plan: TrainingPlan,
    state: dict[str, Any],
) -> None:
    """Save a state, under a temporary name first.

    Raises:
        OutputError: the folder is gone, the disk is full, or the like; the state saved before is
            left as it was.
    """
    identity = {
        "model": plan.model,
        "domain": plan.domain,
        "seed": plan.seed,
    }
    temporary = folder / f".{_STATE_NAME}.part"
    try:
        torch.save(state | {"plan": identity}, temporary)
        temporary.replace(state_file(folder))
    except (OSError, RuntimeError) as error:
        # torch reports a full disk or a missing folder as RuntimeError
        temporary.unlink(missing_ok=True)
        reason = str(error).splitlines()[0]
        raise OutputError(
            f"{folder}: the run cannot be saved there ({reason})"
        ) from error


def read_state(
    folder: Path,
    plan: TrainingPlan,
) -> dict[str, Any]:
    """Read the saved state.

    Raises:
        ModelError: there is none, it is damaged, or it belongs to another plan.
    """
    path = state_file(folder)
    if not path.is_file():
        raise ModelError(f"{path}: no run to resume there")
    state: dict[str, Any] = read_tensors(path)
    try:
        model = state["plan"]["model"]
        domain = state["plan"]["domain"]
        seed = state["plan"]["seed"]
    except (KeyError, TypeError) as error:
        raise cannot_resume(folder, error) from error
    saved = (model, domain, seed)
    if saved != (plan.model, plan.domain, plan.seed):
        raise ModelError(
            f"{path}: it is a run of {model} for {domain} with seed {seed}; "
            "resume with the same"
        )
    return state


def cannot_resume(folder: Path, error: Exception) -> ModelError:
    """The error to raise if something in the state does not fit."""
    reason = str(error).splitlines()[0]
    return ModelError(f"{state_file(folder)}: cannot resume from it: {reason}")
