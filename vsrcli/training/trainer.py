"""The training loop: stages, validation, checkpoints, exact resume. One step is ``step.py``'s."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vsrcli.errors import BackendError, ModelError, OutputError
from vsrcli.models import MODELS, ModelSpec
from vsrcli.models.checkpoint import build, count_parameters, load, read_tensors, save
from vsrcli.models.layers import Network, WindowNetwork, set_passes
from vsrcli.models.weights import CheckpointInfo
from vsrcli.training.batches import Batches
from vsrcli.training.curves import append_row
from vsrcli.training.data import Sequences
from vsrcli.training.interrupts import Interrupts
from vsrcli.training.plan import Progress, TrainingPlan
from vsrcli.training.step import CARD_STEPS, Stage, TrainingStep
from vsrcli.training.validation import Floats, Validation

_STATE_NAME = "state.pt"
_VALIDATION_BATCH = (
    8  # windows: keeps a card busy; a processor adds in another order for several
)
# Attributes of a trainer that a resumed run takes over as they are.
_KEPT = ("step", "seconds", "pixels", "best", "stale", "first_gains")


class Trainer:
    """A run in a folder: ``state.pt`` to go on from, ``last`` and ``best`` to use, ``log.csv``.

    Args:
        plan: what to do.
        folder: where the run lives; made where missing.
        train, validate: clips of at least patch size; never the same.
        init: network to continue from (its weights only), or None for a fresh one.
    """

    def __init__(
        self,
        plan: TrainingPlan,
        folder: Path,
        train: Sequences,
        validate: Sequences,
        init: Path | None = None,
    ) -> None:
        if plan.threads:
            torch.set_num_threads(plan.threads)
        torch.manual_seed(plan.seed)
        recipe = plan.recipe
        self.plan = plan
        self.folder = folder
        self.device = torch.device(plan.device)
        domains = dict.fromkeys((plan.domain, "clean"))
        self.validation = Validation(
            validate, self.spec, domains, plan.validation_count
        )
        self.batches = Batches(
            train,
            self.spec,
            plan.domain,
            recipe.patch,
            recipe.batch,
            plan.seed,
            device=self.device,
            workers=plan.threads,
            augment=recipe.augment,
        )
        self._is_initialised = init is not None
        self._arguments: dict[str, Any] = {}
        self._steps_before = 0  # behind the weights that it begins with
        self._pixels_before = 0
        self.network = self._begin(init).to(self.device)
        self.training = TrainingStep(
            self.network, self.spec, recipe, self.batches, plan.precision
        )
        self.step = 0
        self.seconds = 0.0
        self.pixels = 0
        self.best = -math.inf
        self.stale = 0
        self.loss = math.nan
        self.first_gains: dict[str, float] | None = None
        self.temporal_gains: dict[str, float] = {}  # of the last validation, dB
        self.is_saved = False  # whether an interrupted run was saved where it stopped
        self._passes: int | None = None
        self._steps_per_second = 0.0
        self._ahead: tuple[tuple[int, int, int], Tensor] | None = None
        self._interrupts = Interrupts()
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def spec(self) -> ModelSpec:
        """The network's description."""
        return MODELS[self.plan.model]

    @property
    def share(self) -> float:
        """Share of the run that is done, 0..1, by steps or by time, whichever is further."""
        return self._share_at(self.step)

    def weights(self) -> dict[str, Tensor]:
        """The trained weights by name, in units of codes; copies."""
        flat = self.training.weights
        return flat.in_codes(flat.values)

    def averages(self) -> dict[str, Tensor]:
        """The running average of the weights by name, in units of codes; copies."""
        return self.training.weights.in_codes(self.training.average)

    def run(
        self, on_progress: Callable[[Progress], None] = lambda progress: None
    ) -> dict[str, float]:
        """Train to the plan's end, from wherever the run stands.

        Args:
            on_progress: called after every step (on a card every few dozen) and every validation.

        Returns:
            The last validation's gain over bicubic by degradation, dB.

        Raises:
            ModelError: the loss is no longer a number.
        """
        try:
            with self._interrupts:
                self.batches.prepare(self.step, self._batch_of(self._enter_stage()))
                return self._run(on_progress)
        except torch.OutOfMemoryError as error:
            raise BackendError(
                f"{self.device} has no memory left at step {self.step}: give a smaller --batch or "
                "--patch"
            ) from error
        except (
            KeyboardInterrupt,
            SystemExit,
        ):  # Ctrl-C, or SIGTERM as the command line turns it
            if not self._interrupts.is_step_broken:
                self.save_state()
                self.is_saved = True
            raise
        finally:
            self.batches.close()

    def _run(self, on_progress: Callable[[Progress], None]) -> dict[str, float]:
        gains = self.start()
        on_progress(self._progress(gains))
        began = time.monotonic()
        last_validation = began
        seconds_before = self.seconds
        first_step = self.step
        patience = self.plan.recipe.patience
        while self.share < 1 and not (patience and self.stale >= patience):
            with self._interrupts.held():
                self.advance()
            now = time.monotonic()
            self.seconds = seconds_before + now - began
            self._steps_per_second = (self.step - first_step) / max(now - began, 1e-9)
            on_progress(self._progress())
            if now - last_validation > self.plan.validate_every and self.share < 1:
                gains = self._checkpoint()
                on_progress(self._progress(gains))
                last_validation = time.monotonic()
        gains = self._checkpoint()
        on_progress(self._progress(gains, share=1.0))
        return gains

    def start(self) -> dict[str, float]:
        """Validate before the first step.

        A run that begins with trained weights keeps them as its best so far.
        """
        gains = self.validate()
        self.first_gains = self.first_gains or gains
        if self._is_initialised and self.step == 0 and self.best == -math.inf:
            self.best = gains[self.plan.domain]
            self._save("best", gains)
        return gains

    def advance(self) -> None:
        """Train one step; on a card as many as are launched together.

        Raises:
            ModelError: the loss is no longer a number.
        """
        stage = self._enter_stage()
        batch = self._batch_of(stage)
        steps = self._steps_together()
        tables = self._tables(self.step, steps, batch)
        numbers = range(self.step, self.step + steps)
        control = torch.tensor([self._control(number) for number in numbers])
        self.training.launch(tables, control, stage)
        self.step += steps
        side = self.batches.patch
        self.pixels += steps * batch * side[0] * side[1]
        if self.device.type == "cuda":
            # while the card works: what it is to do next
            self._tables(self.step, self._steps_together(), batch)
        self._note_loss(self.training.wait())

    def validate(self) -> dict[str, float]:
        """PSNR gain of the averaged weights over bicubic by degradation, dB."""
        with self._interrupts.held():
            self._enter_stage()
        self.network.load_state_dict(self.averages())
        self.network.eval()
        # the figures are those of float32 and the same each time, whatever the card prefers
        with (
            torch.inference_mode(),
            torch.backends.cudnn.flags(
                enabled=torch.backends.cudnn.enabled,
                deterministic=True,
                allow_tf32=False,
            ),
        ):
            batch = _VALIDATION_BATCH if self.device.type == "cuda" else 1
            gains = self.validation.gains(self._infer, batch)
            still = self.validation.still_gains(self._infer, batch)
        self.temporal_gains = {
            domain: gain - still[domain] for domain, gain in gains.items()
        }
        self.network.train()
        return gains

    def save_state(self) -> None:
        """Write ``state.pt`` (everything needed to go on exactly) under a temporary name first.

        Raises:
            OutputError: the folder is gone, the disk full, or the like; what was saved before is
                left as it was.
        """
        plan = self.plan
        kept = {name: getattr(self, name) for name in _KEPT}
        state = (
            self.training.state()
            | kept
            | {
                "passes": self._passes,
                "plan": {"model": plan.model, "domain": plan.domain, "seed": plan.seed},
            }
        )
        temporary = self.folder / f".{_STATE_NAME}.part"
        try:
            torch.save(state, temporary)
            temporary.replace(self.folder / _STATE_NAME)
        except (OSError, RuntimeError) as error:
            # torch reports a full disk or a missing folder as RuntimeError
            temporary.unlink(missing_ok=True)
            reason = str(error).splitlines()[0]
            raise OutputError(
                f"{self.folder}: the run cannot be saved there ({reason})"
            ) from error

    def resume(self) -> None:
        """Go on from ``state.pt``.

        Raises:
            ModelError: there is none, it is damaged, or it belongs to another plan.
        """
        path = self.folder / _STATE_NAME
        if not path.is_file():
            raise ModelError(f"{path}: no run to resume there")
        state: dict[str, Any] = read_tensors(path)
        try:
            kept = state["plan"]
            stored = (kept["model"], kept["domain"], kept["seed"])
            if stored != (self.plan.model, self.plan.domain, self.plan.seed):
                raise ModelError(
                    f"{path}: it is a run of {kept['model']} for {kept['domain']} with seed "
                    f"{kept['seed']}; resume with the same"
                )
            self._passes = state["passes"]
            set_passes(self.network, self._passes)
            self.training.load_state(state)
            for name in _KEPT:
                setattr(self, name, state[name])
            self.loss = state["loss"]
        except (RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
            reason = str(error).splitlines()[0]
            raise ModelError(f"{path}: cannot resume from it: {reason}") from error

    def _begin(self, init: Path | None) -> Network:
        if init is not None:
            network, info = load(init)
            if info.model != self.plan.model:
                raise ModelError(
                    f"{init}: it is a checkpoint of {info.model}, not of {self.plan.model}"
                )
            self._arguments = dict(info.arguments)
            self._steps_before = info.step
            self._pixels_before = info.pixels
            return network.train()
        network = build(self.spec)
        if self.plan.recipe.near_plain_start:
            network.initialise()
        return network.train()

    def _batch_of(self, stage: Stage) -> int:
        recipe = self.plan.recipe
        return recipe.maps_batch if stage.is_maps else recipe.batch

    def _steps_together(self) -> int:
        """How many steps the next launch takes: up to the next multiple of ``CARD_STEPS``.

        Stages change between launches only, so launches begin at the same steps in every run.
        """
        if self.device.type != "cuda":
            return 1
        steps = CARD_STEPS - self.step % CARD_STEPS
        if self.plan.steps is not None:
            steps = min(steps, max(1, self.plan.steps - self.step))
        return steps

    def _tables(self, step: int, steps: int, batch: int) -> Tensor:
        key = (step, steps, batch)
        if self._ahead is None or self._ahead[0] != key:
            self._ahead = (key, self.batches.tables(step, steps, batch))
        return self._ahead[1]

    def _control(self, step: int) -> tuple[float, float]:
        """Learning rate of ``step``, and the decay of the average behind it."""
        recipe = self.plan.recipe
        return recipe.rate_at(step, self._share_at(step)), recipe.decay_at(step)

    def _share_at(self, step: int) -> float:
        """Share of the run that is done before ``step``."""
        by_steps = step / self.plan.steps if self.plan.steps else 0.0
        by_time = 0.0
        if self.plan.seconds:
            ahead = (
                (step - self.step) / self._steps_per_second
                if self._steps_per_second
                else 0.0
            )
            by_time = (self.seconds + ahead) / self.plan.seconds
        return min(1.0, max(by_steps, by_time))

    def _enter_stage(self) -> Stage:
        """The stage that the next step belongs to; the weights adapted to its recursion."""
        recipe = self.plan.recipe
        share = self.share
        passes = recipe.passes_at(share)
        self.training.grow(set_passes(self.network, passes))
        self._passes = passes
        is_maps = isinstance(self.network, WindowNetwork) and share < recipe.maps
        return Stage(is_maps, passes, *recipe.loss_at(share, is_maps=is_maps))

    def _note_loss(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise ModelError(
                f"training of {self.plan.model} diverged at step {self.step}: continue from an "
                "earlier checkpoint with --init, or change --seed"
            )
        self.loss = loss

    def _progress(
        self, gains: dict[str, float] | None = None, share: float | None = None
    ) -> Progress:
        return Progress(
            self.step,
            self.share if share is None else share,
            self.loss,
            self._steps_per_second,
            self.seconds,
            gains,
            None if gains is None else self.temporal_gains,
        )

    def _checkpoint(self) -> dict[str, float]:
        gains = self.validate()
        with self._interrupts.held():
            # weights trained with fewer passes are of no use in the whole network
            if self._passes is None:
                self._save("last", gains)
                self.stale += 1
                if gains[self.plan.domain] > self.best:
                    self.best = gains[self.plan.domain]
                    self.stale = 0
                    self._save("best", gains)
            self.save_state()
            self._log(gains)
        return gains

    def _log(self, gains: dict[str, float]) -> None:
        row = {
            "step": self.step,
            "seconds": round(self.seconds),
            "loss": self.loss,
            "learning_rate": self.plan.recipe.rate_at(self.step, self.share),
            "passes": self._passes or "all",
        }
        append_row(
            self.folder, row, {"gain": gains, "temporal_gain": self.temporal_gains}
        )

    def _save(self, name: str, gains: dict[str, float]) -> None:
        averaged = build(self.spec, self._arguments)
        averaged.load_state_dict(self.averages())
        info = CheckpointInfo(
            model=self.plan.model,
            arguments=self._arguments,
            domain=self.plan.domain,
            recipe=self.plan.recipe.name,
            step=self._steps_before + self.step,
            pixels=self._pixels_before + self.pixels,
            licence=self.plan.licence,
            gain_db={domain: round(gain, 3) for domain, gain in gains.items()},
            trained_on=self.plan.trained_on,
            parameters=count_parameters(averaged),
        )
        save(self.folder / f"{name}.safetensors", averaged, info)

    def _infer(self, windows: Floats) -> Floats:
        batch = torch.from_numpy(np.ascontiguousarray(windows))[:, None].to(self.device)
        result: Tensor = self.network(batch)
        values: Floats = result[:, 0].float().cpu().numpy()
        return values
