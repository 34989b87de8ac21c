"""What a training run does, and what it reports on the way."""

from __future__ import annotations

from dataclasses import dataclass

from vsrcli.errors import OptionError
from vsrcli.training.recipe import Recipe

# A gain over bicubic by degradation, dB.
Gains = dict[str, float]


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """What to train, on what, and for how long.

    Attributes:
        model: key in ``MODELS``.
        domain: key in ``DOMAINS``.
        recipe: the settings.
        steps: length of the run; None for no limit.
        seconds: training time, including the validations between its steps; None for no limit.
        validate_every: seconds between validations.
        seed: of all random choices.
        device: its name in torch.
        threads: CPU threads, or None for torch's choice.
        precision: ``fp32``, or ``fp16`` (CUDA) or ``bf16`` for all layers but the last; the weights
            and the loss stay in float32.
        validation_count: maximum number of sequences to validate on.
        trained_on: description of the clips, for the checkpoint's header.
        licence: for the checkpoint's header.
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

    def share_at(self, step: int, seconds: float) -> float:
        """Share of the run that is done, 0..1, by steps or by time, whichever is further.

        Args:
            step: steps done.
            seconds: training time so far.
        """
        by_steps = step / self.steps if self.steps else 0.0
        by_time = seconds / self.seconds if self.seconds else 0.0
        return min(1.0, max(by_steps, by_time))


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
        temporal_gain_db: the part of it that is lost when the network gets frame t five times.
    """

    step: int
    share: float
    loss: float
    steps_per_second: float
    seconds: float
    gain_db: Gains | None = None
    temporal_gain_db: Gains | None = None
