"""One training step, from the batch to the running average; on a GPU one CUDA graph.

A step asks nothing of the host but its launch. What it trains on, and at what rate, is in tables on
the device for some steps ahead, and a counter walks through them. A step whose gradients overflow
half precision changes nothing but the loss scale. On a CPU the same code runs step by step.
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

from vsrcli.backends.cuda_graphs import end_broken_capture
from vsrcli.models import ModelSpec
from vsrcli.models.layers import Network
from vsrcli.training.batches import Batches
from vsrcli.training.flat import UNIT, FlatWeights
from vsrcli.training.recipe import Recipe
from vsrcli.training.unit_network import UnitNetwork

log = logging.getLogger(__name__)

# Steps that one table holds on a GPU: the host does not wait for the GPU more often.
GPU_STEPS = 32
# Steps of a stage that run without a graph before one is recorded: libraries choose their kernels.
_WARM_UPS = 3
_HALF_PRECISION = {
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
}
_PARAMETER_PREFIX = "network."
# The difference in codes that the loss counts as 1.
_CODES = 255.0


@dataclass(frozen=True, slots=True)
class Stage:
    """What many steps have in common; they share one graph.

    Attributes:
        is_maps: the five frame maps are trained, not the picture.
        passes: maximum passes of the recursive 3D blocks; None for all.
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
        scaler: scales the loss in half precision, on the device.
        loss: running mean of the loss, 0..1 units, on the device; not a number before the first
            step.

    Args:
        network: gives the initial weights; its recursion is that of the current stage.
        spec: its description.
        recipe: decays and clipping.
        batches: cuts the patches.
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
        self._is_gpu = self._device.type == "cuda"
        self._dtype = _HALF_PRECISION.get(precision, torch.float32)
        self._network = UnitNetwork(
            network,
            self._dtype,
            is_banded=self._is_gpu,
        )
        self.weights = FlatWeights(network, self._device)
        self.average = self.weights.values.clone()
        self._rate = torch.zeros((), device=self._device)
        self.optimizer = torch.optim.Adam(
            self.weights.parts,
            lr=self._rate,
            fused=True,
            capturable=self._is_gpu,
        )
        self.scaler = torch.amp.GradScaler(
            self._device.type,
            init_scale=2.0**14,
            growth_interval=1000,
            enabled=precision == "fp16",
        )
        self.loss = torch.full((), torch.nan, device=self._device)
        self._counter = torch.zeros(
            (),
            dtype=torch.int64,
            device=self._device,
        )
        self._control = torch.zeros(GPU_STEPS, 2, device=self._device)
        self._tables: dict[int, Tensor] = {}
        self._warm_ups: dict[Stage, int] = {}
        self._graphs: dict[Stage, Callable[[], None]] = {}
        self._pool: Any = None
        self._stream: torch.cuda.Stream | None = None
        if self._is_gpu:
            self._pool = torch.cuda.graph_pool_handle()
            self._stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]

    def launch(
        self,
        tables: Tensor,
        control: Tensor,
        stage: Stage,
    ) -> None:
        """Begin some steps, all of one stage; on a GPU this returns before they are done.

        Args:
            tables: (steps, B, columns) int64 from ``Batches.tables``, at most GPU_STEPS.
            control: (steps, 2) float32: learning rate and decay of the average.
            stage: what is trained.
        """
        if self._stream is None:
            self._launch(tables, control, stage)
            return
        # earlier work, such as weights adapted to another recursion, was on another stream
        earlier = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(earlier)
        with (
            torch.cuda.stream(self._stream),
            # float32 means float32: in the last layer, and in a whole run in single precision
            torch.backends.cudnn.flags(
                enabled=True,
                benchmark=True,
                allow_tf32=False,
            ),
        ):
            self._launch(tables, control, stage)

    def wait(self) -> float:
        """Wait for the launched steps, and return the running mean of the loss."""
        if self._stream is not None:
            self._stream.synchronize()
        return float(self.loss)

    def scale_weights(self, factors: dict[str, float]) -> None:
        """Multiply the parameters named in ``factors``: see ``layers.set_passes``."""
        self.weights.scale(self.weights.values, factors)
        self.weights.scale(self.average, factors)

    def state(self) -> dict[str, Any]:
        """Everything needed to continue exactly."""
        return {
            "weights": self.weights.values.detach(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict()["state"],
            "scaler": self.scaler.state_dict(),
            "loss": float(self.loss),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from what ``state`` returned, on any device.

        Raises:
            RuntimeError, KeyError, ValueError, TypeError: it is that of another network.
        """
        self.weights.values.copy_(state["weights"])
        self.average.copy_(state["average"])
        # the moments come from the state, the settings from this device
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict(
            {
                "state": state["optimizer"],
                "param_groups": groups,
            }
        )
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate
        if state["scaler"]:  # empty if the run was in single precision so far
            self.scaler.load_state_dict(state["scaler"])
        self.loss.fill_(state["loss"])

    def _launch(
        self,
        tables: Tensor,
        control: Tensor,
        stage: Stage,
    ) -> None:
        steps, batch = tables.shape[:2]
        if batch not in self._tables:
            self._tables[batch] = torch.zeros(
                GPU_STEPS,
                batch,
                self._batches.table_columns,
                dtype=torch.int64,
                device=self._device,
            )
        tables_on_device = self._tables[batch][:steps]
        tables_on_device.copy_(tables, non_blocking=True)
        control_on_device = self._control[:steps]
        control_on_device.copy_(control, non_blocking=True)
        self._counter.zero_()
        for _ in range(steps):
            self._run_step(batch, stage)

    def _run_step(self, batch: int, stage: Stage) -> None:
        """Run one step, by the graph of its stage if there is one; record it after the warm-up."""
        tables = self._tables[batch]
        if stage in self._graphs:
            self._graphs[stage]()
            return
        warm_ups = self._warm_ups.get(stage, 0)
        if self._is_gpu and warm_ups == _WARM_UPS:
            self._graphs[stage] = self._record(tables, stage)
            self._graphs[stage]()
            return
        self._warm_ups[stage] = warm_ups + 1
        with warnings.catch_warnings():
            # Adam warns that it may be captured but is not
            warnings.filterwarnings(
                "ignore",
                "This instance was constructed with capturable=True",
            )
            self._step(tables, stage)

    def _record(
        self,
        tables: Tensor,
        stage: Stage,
    ) -> Callable[[], None]:
        """One graph of a step; if the GPU refuses, the step itself, which is slower but trains."""
        graph = self._try_to_record(tables, stage)
        if graph is not None:
            return graph.replay
        end_broken_capture(self._device, self._pool)
        # a step that broke off in the middle leaves the scaler in the middle as well
        self.scaler._per_optimizer_states.clear()
        self._pool = torch.cuda.graph_pool_handle()
        return lambda: self._step(tables, stage)

    def _try_to_record(
        self,
        tables: Tensor,
        stage: Stage,
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
            reason = error.__context__ or error
            log.warning("no CUDA graph for the training step: %s", reason)
            return None
        return graph

    def _step(self, tables: Tensor, stage: Stage) -> None:
        number = self._counter[None]
        table = tables.index_select(0, number)[0]
        control = self._control.index_select(0, number)[0]
        rate, decay = control.unbind()
        self._rate.copy_(rate)
        window, truth = self._batches.crop(table)
        prediction = self._predict(window, stage)
        loss = self._loss(prediction, truth, stage)
        self._update_weights(loss, stage)
        loss = loss.detach()
        with torch.no_grad():
            self.average.lerp_(self.weights.values, 1 - decay)
            self._update_loss(loss)
            self._counter.add_(1)

    def _update_weights(
        self,
        loss: Tensor,
        stage: Stage,
    ) -> None:
        parts = self.weights.parts
        if stage.is_maps:
            parts = parts[:1]
        scaled_loss = self.scaler.scale(loss)
        gradients = torch.autograd.grad(scaled_loss, parts)
        self.optimizer.zero_grad(set_to_none=True)
        for part, gradient in zip(parts, gradients, strict=True):
            part.grad = gradient
        self.scaler.unscale_(self.optimizer)
        if self._recipe.clip_norm:
            nn.utils.clip_grad_norm_(parts, self._recipe.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def _update_loss(self, loss: Tensor) -> None:
        """Take the loss of a step into the running mean, without asking the host."""
        mean = 0.98 * self.loss + 0.02 * loss
        is_first = self.loss.isnan()
        mean = torch.where(is_first, loss, mean)
        if self.scaler.is_enabled():
            # a step that overflowed half precision changed nothing
            has_changed = loss.isfinite()
            mean = torch.where(has_changed, mean, self.loss)
        self.loss.copy_(mean)

    def _predict(self, window: Tensor, stage: Stage) -> Tensor:
        flat = torch.cat(list(self.weights.parts))
        lower_precision = flat.to(self._dtype)
        tensors = self.weights.views(lower_precision)
        if not stage.is_maps:
            # the last layer in float32, from units of 0..1 to codes
            for name in tensors:
                if name.startswith("output."):
                    exact = self.weights.view(flat, name)
                    tensors[name] = exact * UNIT
        parameters = {}
        for name, tensor in tensors.items():
            parameters[_PARAMETER_PREFIX + name] = tensor
        inputs = (window, stage.is_maps)
        result: Tensor = functional_call(self._network, parameters, inputs)
        return result

    def _loss(
        self,
        result: Tensor,
        truth: Tensor,
        stage: Stage,
    ) -> Tensor:
        trim = 0 if stage.is_maps else self._spec.trim
        height, width = truth.shape[-2:]
        rows = slice(trim, height - trim)
        columns = slice(trim, width - trim)
        truth = truth[..., rows, columns]
        difference = (result - truth) / _CODES
        return loss_of(stage.loss, stage.fourier, difference)


def loss_of(
    kind: str,
    fourier: float,
    difference: Tensor,
) -> Tensor:
    """The loss of a difference in 0..1 units, as ``Recipe`` defines it: a scalar, float32."""
    if kind == "charbonnier":
        squares = difference.square() + 1e-6
        loss = squares.sqrt().mean()
    elif kind == "l1":
        loss = difference.abs().mean()
    else:
        loss = difference.square().mean()
    if fourier:
        # the transform is linear: that of the difference is the difference of the transforms
        transform = torch.fft.rfft2(difference)
        parts = torch.view_as_real(transform)
        loss = loss + fourier * parts.abs().mean()
    return loss
