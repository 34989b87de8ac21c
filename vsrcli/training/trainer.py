"""The training loop: stages, validation, checkpoints, exact resume. ``step.py`` does one step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vsrcli.clips.sequences import Sequences
from vsrcli.errors import BackendError, ModelError
from vsrcli.models import MODELS, ModelSpec
from vsrcli.models.layers import WindowNetwork, set_passes
from vsrcli.training.batches import Batches
from vsrcli.training.checkpoints import build_network, write_checkpoint
from vsrcli.training.curves import append_row
from vsrcli.training.interrupts import Interrupts
from vsrcli.training.plan import Gains, Progress, TrainingPlan
from vsrcli.training.state import cannot_resume, read_state, write_state
from vsrcli.training.step import GPU_STEPS, Stage, TrainingStep
from vsrcli.training.validation import Floats, Validation

# Windows validated at once on a GPU; a CPU takes one: with several it adds in another order.
_GPU_VALIDATION_BATCH = 8
# Attributes of a trainer that ``state.pt`` holds as they are.
_SAVED_ATTRIBUTES = (
    "step",
    "seconds",
    "pixels",
    "best",
    "stale",
    "first_gains",
)


class Trainer:
    """A run in a folder: ``state.pt`` to resume from, ``last`` and ``best`` to use, ``log.csv``.

    Attributes:
        step: steps done.
        seconds: of training so far.
        pixels: low-resolution pixels trained on.
        best: highest validation gain so far, dB.
        stale: validations since then.
        loss: running mean, 0..1 units.
        first_gains: gains before the first step, dB.
        temporal_gains: of the last validation, dB.
        is_saved: whether an interrupted run was saved where it stopped.

    Args:
        plan: what to do.
        folder: where the run is kept; created if missing.
        train: clips of at least patch size.
        validate: other clips of at least patch size.
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
        count = plan.validation_count
        self.validation = Validation(validate, self.spec, domains, count)
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
        self._start = build_network(plan, init)
        self.network = self._start.network.to(self.device)
        self.training = TrainingStep(
            self.network,
            self.spec,
            recipe,
            self.batches,
            plan.precision,
        )
        self.step = 0
        self.seconds = 0.0
        self.pixels = 0
        self.best = -math.inf
        self.stale = 0
        self.loss = math.nan
        self.first_gains: Gains | None = None
        self.temporal_gains: Gains = {}
        self.is_saved = False
        self._passes: int | None = None
        self._steps_per_second = 0.0
        # tables by (step, steps, batch); only the last one is kept
        self._next_tables: dict[tuple[int, int, int], Tensor] = {}
        self._interrupts = Interrupts()
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def spec(self) -> ModelSpec:
        """The network's description."""
        return MODELS[self.plan.model]

    @property
    def share(self) -> float:
        """Share of the run that is done, 0..1."""
        return self._share_at(self.step)

    def weights(self) -> dict[str, Tensor]:
        """The trained weights by name, in units of codes; copies."""
        flat = self.training.weights
        return flat.in_codes(flat.values)

    def averages(self) -> dict[str, Tensor]:
        """The running average of the weights by name, in units of codes; copies."""
        return self.training.weights.in_codes(self.training.average)

    def run(
        self,
        on_progress: Callable[[Progress], None] = lambda progress: None,
    ) -> Gains:
        """Train to the end of the plan, from the current step on.

        Args:
            on_progress: called after every step (on a GPU every few dozen) and every validation.

        Returns:
            The last validation's gain over bicubic by degradation, dB.

        Raises:
            ModelError: the loss is no longer a number.
            BackendError: the device has no memory left.
        """
        try:
            with self._interrupts:
                stage = self._enter_stage()
                batch = self.plan.recipe.batch_size(is_maps=stage.is_maps)
                self.batches.prepare(self.step, batch)
                return self._run(on_progress)
        except torch.OutOfMemoryError as error:
            raise BackendError(
                f"{self.device} has no memory left at step {self.step}: "
                "give a smaller --batch or --patch"
            ) from error
        except (KeyboardInterrupt, SystemExit):
            # Ctrl-C, or SIGTERM, which the command line turns into SystemExit
            if not self._interrupts.is_step_broken:
                self.save_state()
                self.is_saved = True
            raise
        finally:
            self.batches.close()

    def validate_initial(self) -> Gains:
        """Validate before the first step; trained weights are saved as the best so far."""
        gains = self.validate()
        self.first_gains = self.first_gains or gains
        if self.step == 0:
            self._log(gains)
        has_begun = self.step > 0 or self.best > -math.inf
        if self._start.is_trained and not has_begun:
            self.best = gains[self.plan.domain]
            self._save_checkpoint("best", gains)
        return gains

    def advance(self) -> None:
        """Train one step; on a GPU as many as are launched together.

        Raises:
            ModelError: the loss is no longer a number.
        """
        stage = self._enter_stage()
        batch = self.plan.recipe.batch_size(is_maps=stage.is_maps)
        steps = self._steps_together()
        tables = self._tables(self.step, steps, batch)
        end = self.step + steps
        control = [self._control(number) for number in range(self.step, end)]
        self.training.launch(tables, torch.tensor(control), stage)
        self.step += steps
        height, width = self.batches.patch
        self.pixels += steps * batch * height * width
        if self.device.type == "cuda":
            # while the GPU works, prepare what it does next
            self._tables(self.step, self._steps_together(), batch)
        self._note_loss(self.training.wait())

    def validate(self) -> Gains:
        """PSNR gain of the averaged weights over bicubic by degradation, dB."""
        with self._interrupts.deferred():
            self._enter_stage()
        self.network.load_state_dict(self.averages())
        self.network.eval()
        batch = _GPU_VALIDATION_BATCH if self.device.type == "cuda" else 1
        # the same float32 figures each time, whatever kernels the GPU prefers
        exact = torch.backends.cudnn.flags(
            enabled=torch.backends.cudnn.enabled,
            deterministic=True,
            allow_tf32=False,
        )
        with torch.inference_mode(), exact:
            gains = self.validation.gains(self._infer, batch)
            still = self.validation.still_gains(self._infer, batch)
        self.temporal_gains = {}
        for domain, gain in gains.items():
            self.temporal_gains[domain] = gain - still[domain]
        self.network.train()
        return gains

    def save_state(self) -> None:
        """Write ``state.pt``, everything needed to continue exactly.

        Raises:
            OutputError: it cannot be written; the state saved before is left as it was.
        """
        state = self.training.state()
        for name in _SAVED_ATTRIBUTES:
            state[name] = getattr(self, name)
        state["passes"] = self._passes
        write_state(self.folder, self.plan, state)

    def resume(self) -> None:
        """Continue from ``state.pt``.

        Raises:
            ModelError: there is none, it is damaged, or it belongs to another plan.
        """
        state = read_state(self.folder, self.plan)
        try:
            self._passes = state["passes"]
            set_passes(self.network, self._passes)
            self.training.load_state(state)
            for name in _SAVED_ATTRIBUTES:
                setattr(self, name, state[name])
            self.loss = state["loss"]
        except (RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
            raise cannot_resume(self.folder, error) from error

    def _run(self, on_progress: Callable[[Progress], None]) -> Gains:
        recipe = self.plan.recipe
        gains = self.validate_initial()
        on_progress(self._progress(gains))
        started = time.monotonic()
        last_validation = started
        seconds_before = self.seconds
        first_step = self.step
        while self.share < 1 and not recipe.is_out_of_patience(self.stale):
            with self._interrupts.deferred():
                self.advance()
            now = time.monotonic()
            elapsed = now - started
            self.seconds = seconds_before + elapsed
            steps = self.step - first_step
            self._steps_per_second = steps / max(elapsed, 1e-9)
            on_progress(self._progress())
            is_due = now - last_validation > self.plan.validate_every
            if is_due and self.share < 1:
                gains = self._checkpoint()
                on_progress(self._progress(gains))
                last_validation = time.monotonic()
        gains = self._checkpoint()
        on_progress(self._progress(gains, share=1.0))
        return gains

    def _steps_together(self) -> int:
        """How many steps the next launch takes: up to the next multiple of ``GPU_STEPS``.

        Stages change between launches only, so launches begin at the same steps in every run.
        """
        if self.device.type != "cuda":
            return 1
        steps = GPU_STEPS - self.step % GPU_STEPS
        if self.plan.steps is None:
            return steps
        remaining = max(1, self.plan.steps - self.step)
        return min(steps, remaining)

    def _tables(self, step: int, steps: int, batch: int) -> Tensor:
        key = (step, steps, batch)
        if key not in self._next_tables:
            self._next_tables = {key: self.batches.tables(step, steps, batch)}
        return self._next_tables[key]

    def _control(self, step: int) -> tuple[float, float]:
        """Learning rate of ``step``, and decay of the average after it."""
        recipe = self.plan.recipe
        rate = recipe.rate_at(step, self._share_at(step))
        return rate, recipe.decay_at(step)

    def _share_at(self, step: int) -> float:
        """Share of the run that is done before ``step``, which may be some steps ahead."""
        seconds = self.seconds
        if self._steps_per_second:
            seconds += (step - self.step) / self._steps_per_second
        return self.plan.share_at(step, seconds)

    def _enter_stage(self) -> Stage:
        """The stage of the next step; adapts the weights to its recursion."""
        recipe = self.plan.recipe
        share = self.share
        passes = recipe.passes_at(share)
        factors = set_passes(self.network, passes)
        self.training.scale_weights(factors)
        self._passes = passes
        is_maps = isinstance(self.network, WindowNetwork) and share < recipe.maps
        loss, fourier = recipe.loss_at(share, is_maps=is_maps)
        return Stage(
            is_maps=is_maps,
            passes=passes,
            loss=loss,
            fourier=fourier,
        )

    def _note_loss(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise ModelError(
                f"training of {self.plan.model} diverged at step {self.step}: continue from "
                "an earlier checkpoint with --init, or change --seed"
            )
        self.loss = loss

    def _progress(
        self,
        gains: Gains | None = None,
        share: float | None = None,
    ) -> Progress:
        return Progress(
            step=self.step,
            share=self.share if share is None else share,
            loss=self.loss,
            steps_per_second=self._steps_per_second,
            seconds=self.seconds,
            gain_db=gains,
            temporal_gain_db=None if gains is None else self.temporal_gains,
        )

    def _checkpoint(self) -> Gains:
        """Validate, and save the run."""
        gains = self.validate()
        gain = gains[self.plan.domain]
        with self._interrupts.deferred():
            # weights trained with fewer passes are useless in the whole network
            if self._passes is None:
                self._save_checkpoint("last", gains)
                self.stale += 1
                if gain > self.best:
                    self.best = gain
                    self.stale = 0
                    self._save_checkpoint("best", gains)
            # before the state: a run that is killed here comes by once more
            self._log(gains)
            self.save_state()
        return gains

    def _log(self, gains: Gains) -> None:
        row: dict[str, float | str] = {
            "step": self.step,
            "seconds": round(self.seconds),
            "loss": self.loss,
            "learning_rate": self.plan.recipe.rate_at(self.step, self.share),
            "passes": self._passes or "all",
        }
        kinds = {"gain": gains, "temporal_gain": self.temporal_gains}
        append_row(self.folder, row, kinds)

    def _save_checkpoint(self, name: str, gains: Gains) -> None:
        """Save the averaged weights."""
        write_checkpoint(
            self.folder / f"{name}.safetensors",
            self.plan,
            self._start,
            self.averages(),
            step=self.step,
            pixels=self.pixels,
            gains=gains,
        )

    def _infer(self, windows: Floats) -> Floats:
        batch = torch.from_numpy(np.ascontiguousarray(windows))
        output: Tensor = self.network(batch[:, None].to(self.device))
        pictures: Floats = output[:, 0].float().cpu().numpy()
        return pictures
