"""The training loop: steps, validation, checkpoints, exact resume.

Networks work on codes 0..255, the loss on 0..1. Adam does not care about the scale of a gradient, but its steps are in the unit of
the parameter: biases, which live on the code scale, get 255 times the learning rate, which is exactly training in 0..1 units and
multiplying the biases by 255 at the end (ReLU networks are positively homogeneous).
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vsrcli.errors import ModelError, OptionError, OutputError
from vsrcli.models import MODELS, ModelSpec
from vsrcli.models.checkpoint import build, count_parameters, load, read_tensors, save
from vsrcli.models.layers import Network, WindowNetwork, at_least_single, set_passes
from vsrcli.models.weights import CheckpointInfo
from vsrcli.training.batches import Batches
from vsrcli.training.data import Sequences
from vsrcli.training.interrupts import Interrupts
from vsrcli.training.recipe import Recipe
from vsrcli.training.validation import Validation

log = logging.getLogger(__name__)

_CODES = 255.0
LOG_NAME = "log.csv"
_SYNC_STEPS = 10  # on a GPU the loss is looked at this often: each look waits for the card


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """What is trained on what, for how long.

    Attributes:
        model, domain: keys in ``MODELS`` and ``DOMAINS``.
        recipe: how.
        steps: the run's length; None where ``seconds`` limits it.
        seconds: training time, validation included; None where ``steps`` limits it.
        validate_every: seconds between validations.
        seed: of everything random.
        device: torch's name of it.
        threads: CPU threads, or None for torch's choice.
        precision: ``fp32``, or ``fp16`` (CUDA) or ``bf16`` for all layers but the last; the weights and the loss stay in float32.
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
    """One report of a running training: step, share done (0..1), loss (running mean, 0..1 units), steps a second, seconds so far, and after a
    validation the PSNR gain over bicubic by degradation, dB.
    """

    step: int
    share: float
    loss: float
    steps_per_second: float
    seconds: float
    gain_db: dict[str, float] | None = None


class Trainer:
    """A training run in a folder: ``state.pt`` to go on from, ``last.safetensors`` and ``best.safetensors`` to use, ``log.csv`` to read.

    Args:
        plan: what to do.
        folder: where the run lives; made where missing.
        train, validate: clips of at least patch size; never the same.
        init: network to continue from (its weights only), or None for a fresh one.
    """

    def __init__(self, plan: TrainingPlan, folder: Path, train: Sequences, validate: Sequences, init: Path | None = None) -> None:
        if plan.threads:
            torch.set_num_threads(plan.threads)
        torch.manual_seed(plan.seed)
        self.plan, self.folder = plan, folder
        self.device = torch.device(plan.device)
        self.validation = Validation(validate, dict.fromkeys((plan.domain, "clean")), plan.validation_count)
        self.batches = Batches(
            train, plan.domain, plan.recipe.patch, plan.recipe.batch, plan.seed, device=self.device, workers=plan.threads, augment=plan.recipe.augment
        )
        self._is_initialised = init is not None
        self._arguments: dict[str, Any] = {}
        self._steps_before = 0  # behind the weights that it begins with
        self.network = self._start(init).to(self.device)
        self.average = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        self.optimizer = torch.optim.Adam(_parameter_groups(self.network), lr=plan.recipe.learning_rate)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=plan.precision == "fp16")
        self.step, self.seconds, self.best, self.stale = 0, 0.0, -math.inf, 0
        self.loss = math.nan
        self.first_gains: dict[str, float] | None = None
        self._limit: int | None = None
        self._interrupts = Interrupts()
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def spec(self) -> ModelSpec:
        """The network's description."""
        return MODELS[self.plan.model]

    def run(self, on_progress: Callable[[Progress], None] = lambda progress: None) -> dict[str, float]:
        """Train to the plan's end, from wherever the run stands.

        Args:
            on_progress: called after every step and every validation.

        Returns:
            The last validation's gain over bicubic by degradation, dB.

        Raises:
            ModelError: the loss is no longer a number.
        """
        self.batches.prepare(self.step)
        try:
            with self._interrupts:
                return self._run(on_progress)
        except (KeyboardInterrupt, SystemExit):  # Ctrl-C, or SIGTERM as the command line turns it
            if not self._interrupts.is_step_broken:
                self.save_state()
            raise
        finally:
            self.batches.close()

    def _run(self, on_progress: Callable[[Progress], None]) -> dict[str, float]:
        gains = self.start()
        on_progress(Progress(self.step, self.share, self.loss, 0.0, self.seconds, gains))
        began, seconds_before, last_validation = time.monotonic(), self.seconds, time.monotonic()
        first_step = self.step
        while self.share < 1 and not (self.plan.recipe.patience and self.stale >= self.plan.recipe.patience):
            with self._interrupts.held():
                loss = self._train_step()
            now = time.monotonic()
            self.seconds = seconds_before + now - began
            if self.device.type == "cpu" or self.step % _SYNC_STEPS == 0:
                self._note_loss(float(loss))
                on_progress(Progress(self.step, self.share, self.loss, (self.step - first_step) / max(now - began, 1e-9), self.seconds))
            if now - last_validation > self.plan.validate_every and self.share < 1:
                gains = self._checkpoint()
                on_progress(Progress(self.step, self.share, self.loss, 0.0, self.seconds, gains))
                last_validation = time.monotonic()
        gains = self._checkpoint()
        on_progress(Progress(self.step, 1.0, self.loss, 0.0, self.seconds, gains))
        return gains

    def start(self) -> dict[str, float]:
        """Validate before the first step; a run that begins with trained weights keeps them as its best so far."""
        gains = self.validate()
        self.first_gains = self.first_gains or gains
        if self._is_initialised and self.step == 0 and self.best == -math.inf:
            self.best = gains[self.plan.domain]
            self._save("best", gains)
        return gains

    @property
    def share(self) -> float:
        """Share of the run that is done, 0..1, by steps or by time, whichever is further."""
        by_steps = self.step / self.plan.steps if self.plan.steps else 0.0
        by_time = self.seconds / self.plan.seconds if self.plan.seconds else 0.0
        return min(1.0, max(by_steps, by_time))

    def validate(self) -> dict[str, float]:
        """PSNR gain of the averaged weights over bicubic, mean over the validation pairs, by degradation, dB."""
        with self._interrupts.held():
            self._limit_passes()
        trained = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        self.network.load_state_dict(self.average)
        self.network.eval()
        try:
            # the figures are those of float32, whatever the card prefers
            with torch.inference_mode(), torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled, allow_tf32=False):
                return self.validation.gains(self._infer, self.spec)
        finally:  # an interrupt must not leave the averaged weights to be saved as the trained ones
            self.network.load_state_dict(trained)
            self.network.train()

    def save_state(self) -> None:
        """Write ``state.pt`` (everything needed to go on exactly) under a temporary name first.

        Raises:
            OutputError: the folder is gone, the disk full, or the like; what was saved before is left as it was.
        """
        state = {
            "network": self.network.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "best": self.best,
            "stale": self.stale,
            "loss": self.loss,
            "first_gains": self.first_gains,
            "limit": self._limit,
            "plan": {"model": self.plan.model, "domain": self.plan.domain, "seed": self.plan.seed, "recipe": asdict(self.plan.recipe)},
        }
        temporary = self.folder / ".state.pt.part"
        try:
            torch.save(state, temporary)
            temporary.replace(self.folder / "state.pt")
        except (OSError, RuntimeError) as error:  # torch reports a full disk or a missing folder as RuntimeError
            temporary.unlink(missing_ok=True)
            raise OutputError(f"{self.folder}: the run cannot be saved there ({str(error).splitlines()[0]})") from error

    def resume(self) -> None:
        """Go on from ``state.pt``.

        Raises:
            ModelError: there is none, it is damaged, or it belongs to another plan.
        """
        path = self.folder / "state.pt"
        if not path.is_file():
            raise ModelError(f"{path}: no run to resume there")
        # to the CPU, where Adam's step counts belong: read on a card, each would be waited for at every step
        state: dict[str, Any] = read_tensors(path)
        try:
            kept = state["plan"]
            if (kept["model"], kept["domain"], kept["seed"]) != (self.plan.model, self.plan.domain, self.plan.seed):
                raise ModelError(f"{path}: it is a run of {kept['model']} for {kept['domain']} with seed {kept['seed']}; resume with the same")
            self._limit = state["limit"]
            set_passes(self.network, self._limit)
            self.network.load_state_dict(state["network"])
            self.average = {name: value.to(self.device) for name, value in state["average"].items()}
            self.optimizer.load_state_dict(state["optimizer"])
            self.scaler.load_state_dict(state["scaler"])
            self.step, self.seconds, self.best = state["step"], state["seconds"], state["best"]
            self.stale, self.loss, self.first_gains = state["stale"], state["loss"], state["first_gains"]
        except (RuntimeError, KeyError, ValueError, TypeError) as error:
            raise ModelError(f"{path}: cannot resume from it: {str(error).splitlines()[0]}") from error

    def _start(self, init: Path | None) -> Network:
        if init is not None:
            network, info = load(init)
            if info.model != self.plan.model:
                raise ModelError(f"{init}: it is a checkpoint of {info.model}, not of {self.plan.model}")
            self._arguments, self._steps_before = dict(info.arguments), info.step
            return network.train()
        network = build(self.spec)
        if self.plan.recipe.near_plain_start:
            network.initialise()
        return network.train()

    def _train_step(self) -> Tensor:
        recipe = self.plan.recipe
        self._limit_passes()
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate() * group["unit"]
        is_maps = isinstance(self.network, WindowNetwork) and self.share < recipe.maps
        low, high = self.batches.at(self.step, recipe.maps_batch if is_maps else None)
        half = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(self.plan.precision)
        with torch.autocast(self.device.type, dtype=half, enabled=half is not None):
            result = _still_maps(self.network, low) if is_maps else self.network(low)
        loss = _loss(recipe.loss, result, high if is_maps else _without_trim(high, self.spec.trim))
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(self.scaler.scale(loss))
        if recipe.clip_norm:
            self.scaler.unscale_(self.optimizer)
            _clip_gradients(self.optimizer.param_groups, recipe.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.step += 1
        self._update_average()
        return loss.detach()

    def _note_loss(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise ModelError(
                f"training of {self.plan.model} diverged at step {self.step}: continue from an earlier checkpoint with --init, or change --seed"
            )
        self.loss = loss if math.isnan(self.loss) else 0.98 * self.loss + 0.02 * loss

    def _limit_passes(self) -> None:
        """Set the recursion that belongs to this part of the run, the weights adapted to it."""
        limit = next(passes for share, passes in reversed(self.plan.recipe.passes) if self.share >= share)
        with torch.no_grad():
            for name, factor in set_passes(self.network, limit).items():
                self.network.get_parameter(name).mul_(factor)
                self.average[name].mul_(factor)
        self._limit = limit

    def _learning_rate(self) -> float:
        recipe = self.plan.recipe
        rate = recipe.learning_rate * min(1.0, (self.step + 1) / max(recipe.warmup_steps, 1))
        return rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * self.share))) if recipe.cosine else rate

    def _update_average(self) -> None:
        # a young average would remember the start for a thousand steps
        decay = min(self.plan.recipe.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, value in self.network.state_dict().items():
                self.average[name].lerp_(value, 1 - decay)

    def _checkpoint(self) -> dict[str, float]:
        gains = self.validate()
        with self._interrupts.held():
            # weights trained with fewer passes are of no use in the whole network, so no checkpoint is made of them
            if self._limit is None:
                self._save("last", gains)
                self.stale += 1
                if gains[self.plan.domain] > self.best:
                    self.best, self.stale = gains[self.plan.domain], 0
                    self._save("best", gains)
            self.save_state()
            self._log(gains)
        return gains

    def _log(self, gains: dict[str, float]) -> None:
        with (self.folder / LOG_NAME).open("a") as text:
            if not text.tell():
                text.write("step,seconds,loss,learning_rate,passes," + ",".join(f"gain_{domain}_db" for domain in gains) + "\n")
            figures = ",".join(f"{gain:.4f}" for gain in gains.values())
            text.write(f"{self.step},{self.seconds:.0f},{self.loss:.6f},{self._learning_rate():.3g},{self._limit or 'all'},{figures}\n")

    def _save(self, name: str, gains: dict[str, float]) -> None:
        averaged = build(self.spec, self._arguments)
        averaged.load_state_dict(self.average)
        info = CheckpointInfo(
            model=self.plan.model, arguments=self._arguments, domain=self.plan.domain, recipe=self.plan.recipe.name, step=self._steps_before + self.step,
            licence=self.plan.licence, gain_db={domain: round(gain, 3) for domain, gain in gains.items()}, trained_on=self.plan.trained_on,
            parameters=count_parameters(averaged),
        )
        save(self.folder / f"{name}.safetensors", averaged, info)

    def _infer(self, windows: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray[Any, np.dtype[np.float32]]:
        result: Tensor = self.network(torch.from_numpy(np.ascontiguousarray(windows))[:, None].to(self.device))
        values: np.ndarray[Any, np.dtype[np.float32]] = result[:, 0].float().cpu().numpy()
        return values


def _parameter_groups(network: nn.Module) -> list[dict[str, Any]]:
    weights = [value for name, value in network.named_parameters() if not name.endswith("bias")]
    biases = [value for name, value in network.named_parameters() if name.endswith("bias")]
    return [{"params": weights, "unit": 1.0}, {"params": biases, "unit": _CODES}]


def _without_trim(picture: Tensor, trim: int) -> Tensor:
    height, width = picture.shape[-2:]
    return picture[..., trim : height - trim, trim : width - trim]


def _still_maps(network: Network, windows: Tensor) -> Tensor:
    """The five frame maps (B, 5, 2H, 2W) of the middle frame of ``windows`` shown five times, so that its true frame is what each of them should be."""
    if not isinstance(network, WindowNetwork):
        raise TypeError(f"{type(network).__name__} makes no frame maps")
    return at_least_single(torch.cat(network.frame_maps(windows[:, :, 2:3].expand_as(windows)), dim=1))


def _loss(kind: str, result: Tensor, truth: Tensor) -> Tensor:
    difference = (result - truth) / _CODES
    return (difference.square() + 1e-6).sqrt().mean() if kind == "charbonnier" else difference.square().mean()


def _clip_gradients(groups: Iterable[dict[str, Any]], limit: float) -> None:
    """Scale all gradients so that their norm, measured in 0..1 units, is at most ``limit``."""
    pairs = [(parameter.grad, group["unit"]) for group in groups for parameter in group["params"] if parameter.grad is not None]
    norm = torch.stack([torch.linalg.vector_norm(gradient) * unit for gradient, unit in pairs]).norm()
    factor = (limit / (norm + 1e-12)).clamp(max=1.0)
    for gradient, _ in pairs:
        gradient.mul_(factor)
