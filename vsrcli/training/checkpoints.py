"""The networks at both ends of a run: the one it begins with, and the checkpoints it writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from vsrcli.errors import ModelError
from vsrcli.models import MODELS
from vsrcli.models.checkpoint import build, count_parameters, load, save
from vsrcli.models.layers import Network
from vsrcli.models.weights import CheckpointInfo
from vsrcli.training.plan import TrainingPlan


@dataclass(frozen=True, slots=True)
class StartingPoint:
    """The network that a run begins with.

    Attributes:
        network: in training mode.
        arguments: of its constructor, where they differ from the defaults.
        is_trained: whether its weights come from a checkpoint.
        step: steps that its weights were trained for.
        pixels: low-resolution pixels that they were trained on.
    """

    network: Network
    arguments: Mapping[str, Any] = field(default_factory=dict)
    is_trained: bool = False
    step: int = 0
    pixels: int = 0


def build_network(
    plan: TrainingPlan,
    init: Path | None,
) -> StartingPoint:
    """A fresh network, or that of a checkpoint.

    Raises:
        ModelError: the checkpoint cannot be read, or is that of another network.
    """
    if init is None:
        network = build(MODELS[plan.model])
        if plan.recipe.near_plain_start:
            network.initialise()
        return StartingPoint(network.train())
    network, info = load(init)
    if info.model != plan.model:
        raise ModelError(
            f"{init}: it is a checkpoint of {info.model}, not of {plan.model}"
        )
    return StartingPoint(
        network=network.train(),
        arguments=dict(info.arguments),
        is_trained=True,
        step=info.step,
        pixels=info.pixels,
    )


def write_checkpoint(
    path: Path,
    plan: TrainingPlan,
    start: StartingPoint,
    weights: Mapping[str, Tensor],
    *,
    step: int,
    pixels: int,
    gains: Mapping[str, float],
) -> None:
    """Write a checkpoint of a run.

    Args:
        path: its file.
        plan: what the run does.
        start: what it began with.
        weights: by name, in units of codes.
        step: steps of this run.
        pixels: low-resolution pixels of this run.
        gains: over bicubic by degradation, dB.

    Raises:
        ModelError: the file cannot be written.
    """
    arguments = dict(start.arguments)
    network = build(MODELS[plan.model], arguments)
    network.load_state_dict(dict(weights))
    rounded_gains = {domain: round(gain, 3) for domain, gain in gains.items()}
    info = CheckpointInfo(
        model=plan.model,
        arguments=arguments,
        domain=plan.domain,
        recipe=plan.recipe.name,
        step=start.step + step,
        pixels=start.pixels + pixels,
        licence=plan.licence,
        gain_db=rounded_gains,
        trained_on=plan.trained_on,
        parameters=count_parameters(network),
    )
    save(path, network, info)
