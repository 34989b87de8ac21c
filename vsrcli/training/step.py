"""One training step, from the batch to the running average; on a card one CUDA graph.

A step asks the host for nothing but its launch: what it trains on and how fast lies on the device
in tables for some steps ahead, a counter walks through them, and a step whose gradients overflowed
half precision changes nothing but the loss scale. On a processor the same code runs step by step.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from vsrcli.backends.graphed import end_broken_capture
from vsrcli.models import ModelSpec
from vsrcli.models.banded import BandedVolume
from vsrcli.models.layers import Network, WindowNetwork
from vsrcli.training.batches import Batches
from vsrcli.training.flat import UNIT, FlatWeights
from vsrcli.training.recipe import Recipe

log = logging.getLogger(__name__)

# Steps that one table holds on a card: the host is waited for no more often.
CARD_STEPS = 32
# Steps of a stage that run as they are before it is recorded: libraries choose their kernels.
_WARM_UPS = 3
_HALVES = {"fp16": torch.float16, "bf16": torch.bfloat16}
_PART_PREFIX = "network."
_CODES = 255.0  # what the loss counts as 1


@dataclass(frozen=True, slots=True)
class Stage:
    """What is the same for many steps, and so one graph.

    Attributes:
        is_maps: the five frame maps are trained, not the picture.
        passes: most passes of the recursive 3D blocks; None for all.
        loss: as in ``Recipe``.
        fourier: as in ``Recipe``.
    """

    is_maps: bool
    passes: int | None
    loss: str
    fourier: float


class TrainingStep:
    """A network in training: its weights, their running average, and the optimiser.

    Attributes:
        weights: the weights, on the device.
        average: their running average, laid out like ``weights.values``.
        optimizer: Adam over ``weights.parts``.
        scaler: of the loss in half precision, on the device.
        loss: running mean of the loss, 0..1 units, on the device; not a number before the first
            step.

    Args:
        network: where the weights begin; its recursion is that of the stage at hand.
        spec: its description.
        recipe: decays and clipping.
        batches: where patches are cut.
        precision: ``fp32``, or ``fp16`` or ``bf16`` for all layers but the last.
    """

    def __init__(
        self,
        network: Network,
        spec: ModelSpec,
        recipe: Recipe,
        batches: Batches,
        precision: str,
    ) -> None:
        self._spec = spec
        self._recipe = recipe
        self._batches = batches
        self._device = batches.device
        self._is_card = self._device.type == "cuda"
        self._dtype = _HALVES.get(precision, torch.float32)
        self._network = _UnitNetwork(network, self._dtype, is_banded=self._is_card)
        self.weights = FlatWeights(network, self._device)
        self.average = self.weights.values.clone()
        self._rate = torch.zeros((), device=self._device)
        self.optimizer = torch.optim.Adam(
            self.weights.parts, lr=self._rate, fused=True, capturable=self._is_card
        )
        self.scaler = torch.amp.GradScaler(
            self._device.type,
            init_scale=2.0**14,
            growth_interval=1000,
            enabled=precision == "fp16",
        )
        self.loss = torch.full((), torch.nan, device=self._device)
        self._counter = torch.zeros((), dtype=torch.int64, device=self._device)
        self._control = torch.zeros(CARD_STEPS, 2, device=self._device)
        self._tables: dict[int, Tensor] = {}
        self._warm_ups: dict[Stage, int] = {}
        self._graphs: dict[Stage, Callable[[], None]] = {}
        self._pool: Any = None
        self._stream: torch.cuda.Stream | None = None
        if self._is_card:
            self._pool = torch.cuda.graph_pool_handle()
            self._stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]

    def launch(self, tables: Tensor, control: Tensor, stage: Stage) -> None:
        """Begin some steps, all of one stage; on a card this returns before they are done.

        Args:
            tables: (steps, B, columns) int64 as of ``Batches.tables``, at most CARD_STEPS.
            control: (steps, 2) float32: learning rate and decay of the average.
            stage: what is trained.
        """
        if self._stream is None:
            self._launch(tables, control, stage)
            return
        # what came before, such as weights adapted to another recursion, was on another stream
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with (
            torch.cuda.stream(self._stream),
            # float32 means float32: the last layer, and all of a run in single precision
            torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False),
        ):
            self._launch(tables, control, stage)

    def wait(self) -> float:
        """Wait for what was launched, and return the running mean of the loss."""
        if self._stream is not None:
            self._stream.synchronize()
        return float(self.loss)

    def grow(self, factors: dict[str, float]) -> None:
        """Multiply the parameters named in ``factors``: see ``layers.set_passes``."""
        for flat in (self.weights.values, self.average):
            self.weights.scale(flat, factors)

    def state(self) -> dict[str, Any]:
        """Everything needed to go on exactly."""
        return {
            "weights": self.weights.values.detach(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict()["state"],
            "scaler": self.scaler.state_dict(),
            "loss": float(self.loss),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from what ``state`` gave, on whatever device it was.

        Raises:
            RuntimeError, KeyError, ValueError, TypeError: it is that of another network.
        """
        self.weights.values.copy_(state["weights"])
        self.average.copy_(state["average"])
        # the settings are this device's, the moments the run's
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict(
            {"state": state["optimizer"], "param_groups": groups}
        )
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate
        if state["scaler"]:  # empty where the run was in single precision so far
            self.scaler.load_state_dict(state["scaler"])
        self.loss.fill_(state["loss"])

    def _launch(self, tables: Tensor, control: Tensor, stage: Stage) -> None:
        steps, batch = tables.shape[:2]
        if batch not in self._tables:
            shape = (CARD_STEPS, batch, self._batches.table_columns)
            self._tables[batch] = torch.zeros(
                shape, dtype=torch.int64, device=self._device
            )
        self._tables[batch][:steps].copy_(tables, non_blocking=True)
        self._control[:steps].copy_(control, non_blocking=True)
        self._counter.zero_()
        for _ in range(steps):
            self._one(batch, stage)

    def _one(self, batch: int, stage: Stage) -> None:
        tables = self._tables[batch]
        if stage in self._graphs:
            self._graphs[stage]()
            return
        warm_ups = self._warm_ups.get(stage, 0)
        if self._is_card and warm_ups == _WARM_UPS:
            self._graphs[stage] = self._record(tables, stage)
            self._graphs[stage]()
            return
        self._warm_ups[stage] = warm_ups + 1
        with warnings.catch_warnings():
            # Adam wonders why it may be captured when it is not
            warnings.filterwarnings(
                "ignore", "This instance was constructed with capturable=True"
            )
            self._step(tables, stage)

    def _record(self, tables: Tensor, stage: Stage) -> Callable[[], None]:
        """One graph of a step; where the card refuses, the step itself: slower, but it trains."""
        graph = self._try_to_record(tables, stage)
        if graph is not None:
            return graph.replay
        end_broken_capture(self._device, self._pool)
        # a step that broke off in the middle leaves the scaler there as well
        self.scaler._per_optimizer_states.clear()
        self._pool = torch.cuda.graph_pool_handle()
        return lambda: self._step(tables, stage)

    def _try_to_record(
        self, tables: Tensor, stage: Stage
    ) -> torch.cuda.CUDAGraph | None:
        graph = torch.cuda.CUDAGraph()
        try:
            with (
                # PyTorch leaves the stream of a failed capture current; this sets it back
                torch.cuda.stream(self._stream),
                torch.cuda.graph(
                    graph,
                    pool=self._pool,
                    stream=self._stream,
                    capture_error_mode="thread_local",
                ),
            ):
                self._step(tables, stage)
        except RuntimeError as error:
            log.warning(
                "no CUDA graph for the training step: %s", error.__context__ or error
            )
            return None
        return graph

    def _step(self, tables: Tensor, stage: Stage) -> None:
        table = tables.index_select(0, self._counter[None])[0]
        rate, decay = self._control.index_select(0, self._counter[None])[0].unbind()
        self._rate.copy_(rate)
        parts = self.weights.parts[:1] if stage.is_maps else self.weights.parts
        window, truth = self._batches.cut(table)
        loss = self._loss(self._predict(window, stage), truth, stage)
        gradients = torch.autograd.grad(self.scaler.scale(loss), parts)
        self.optimizer.zero_grad(set_to_none=True)
        for part, gradient in zip(parts, gradients, strict=True):
            part.grad = gradient
        self.scaler.unscale_(self.optimizer)
        if self._recipe.clip_norm:
            nn.utils.clip_grad_norm_(parts, self._recipe.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        loss = loss.detach()
        with torch.no_grad():
            self.average.lerp_(self.weights.values, 1 - decay)
            mean = torch.where(self.loss.isnan(), loss, 0.98 * self.loss + 0.02 * loss)
            if self.scaler.is_enabled():
                # half precision that overflowed: a step that changed nothing
                mean = torch.where(loss.isfinite(), mean, self.loss)
            self.loss.copy_(mean)
            self._counter.add_(1)

    def _predict(self, window: Tensor, stage: Stage) -> Tensor:
        flat = torch.cat(list(self.weights.parts))
        tensors = self.weights.views(flat.to(self._dtype))
        if not stage.is_maps:
            # the last layer in float32, out of units of 0..1 into codes
            for name in tensors:
                if name.startswith("output."):
                    tensors[name] = self.weights.view(flat, name) * UNIT
        named = {_PART_PREFIX + name: tensor for name, tensor in tensors.items()}
        result: Tensor = functional_call(self._network, named, (window, stage.is_maps))
        return result

    def _loss(self, result: Tensor, truth: Tensor, stage: Stage) -> Tensor:
        trim = 0 if stage.is_maps else self._spec.trim
        height, width = truth.shape[-2:]
        truth = truth[..., trim : height - trim, trim : width - trim]
        return loss_of(stage.loss, stage.fourier, (result - truth) / _CODES)


class _UnitNetwork(nn.Module):
    """A network with weights and inputs in units of 0..1, its last layer and result in codes."""

    def __init__(
        self, network: Network, dtype: torch.dtype, *, is_banded: bool
    ) -> None:
        super().__init__()
        self.network = network
        self._dtype = dtype
        self._is_banded = is_banded

    def forward(self, window: Tensor, is_maps: bool) -> Tensor:
        """Codes (B, 1, planes, h, w) float32 -> codes of the picture or of the maps (B, 5, 2h, 2w).

        The maps are those of the middle frame shown five times, so that its true frame is what
        each of them should be.
        """
        network = self.network
        units = (window / UNIT).to(self._dtype)
        middle = window.shape[2] // 2
        if is_maps:
            if not isinstance(network, WindowNetwork):
                raise TypeError(f"{type(network).__name__} makes no frame maps")
            still = units[:, :, middle : middle + 1].expand_as(units)
            return torch.cat(network.frame_maps(still), dim=1).float() * UNIT
        if self._is_banded and isinstance(network, WindowNetwork):
            features = BandedVolume(network.volume)(network.frame_maps(units))
        else:
            features = network.features(units)
        return network.picture(features.float(), window[:, :, middle])


def loss_of(kind: str, fourier: float, difference: Tensor) -> Tensor:
    """The loss of a difference in 0..1 units, as ``Recipe`` defines it: a scalar, float32."""
    if kind == "charbonnier":
        loss = (difference.square() + 1e-6).sqrt().mean()
    elif kind == "l1":
        loss = difference.abs().mean()
    else:
        loss = difference.square().mean()
    if fourier:
        # the transform is linear: that of the difference is the difference of the transforms
        loss = (
            loss
            + fourier * torch.view_as_real(torch.fft.rfft2(difference)).abs().mean()
        )
    return loss
