"""What a training run is to do, and what it says on the way."""

from __future__ import annotations

from dataclasses import dataclass

from vsrcli.errors import OptionError
from vsrcli.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """What is trained on what, for how long.

    Attributes:
        model, domain: keys in ``MODELS`` and ``DOMAINS``.
        recipe: how.
        steps: the run's length; None where ``seconds`` limits it.
        seconds: training time, validations on the way included; None where ``steps`` limits it.
        validate_every: seconds between validations.
        seed: of everything random.
        device: torch's name of it.
        threads: CPU threads, or None for torch's choice.
        precision: ``fp32``, or ``fp16`` (CUDA) or ``bf16`` for all layers but the last; the weights
            and the loss stay in float32.
        validation_count: sequences validated on.
        trained_on, licence: for the checkpoint's header.
    """

    model: str
    domain: str
    recipe: Recipe
    steps: int | None
    seconds: float | None
    validate_every: float = 300.0
    seed: int = 0
    device: str = "cpu"
    threads: int | None = None
    precision: str = "fp32"
    validation_count: int = 24
    trained_on: str | None = None
    licence: str | None = "MIT"

    def __post_init__(self) -> None:
        if self.steps is None and self.seconds is None:
            raise OptionError("a training run needs an end: give --steps or --time")


@dataclass(frozen=True, slots=True)
class Progress:
    """One report of a running training.

    Attributes:
        step: steps done.
        share: of the run, 0..1.
        loss: running mean, 0..1 units.
        steps_per_second: of this session.
        seconds: of training so far.
        gain_db: after a validation the PSNR gain over bicubic by degradation, dB.
        temporal_gain_db: what of it is lost when the network is shown frame t five times.
    """

    step: int
    share: float
    loss: float
    steps_per_second: float
    seconds: float
    gain_db: dict[str, float] | None = None
    temporal_gain_db: dict[str, float] | None = None
