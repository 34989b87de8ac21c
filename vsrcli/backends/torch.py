"""PyTorch as a backend: the reference on the CPU, the fast path on CUDA."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from vsrcli.backends import Codes, Float, fitting_pixels, parse_device, says_memory
from vsrcli.backends.graphed import Graphs
from vsrcli.backends.grouped import Grouped
from vsrcli.errors import BackendError, OutOfMemory
from vsrcli.models import LumaScale, ModelSpec
from vsrcli.models.checkpoint import load
from vsrcli.models.half import to_half
from vsrcli.models.layers import GroupedNetwork, at_least_single, freeze
from vsrcli.models.weights import locate

log = logging.getLogger(__name__)

# Part of a card's memory that the network may use, and part of what is free now.
_OF_ALL, _OF_FREE = 0.7, 0.9
_MEMORY_WAY_OUT = "use --tile, --device cpu, or a smaller source"


class TorchBackend:
    """A network in PyTorch; keeps ``vsrcli.backends.Backend`` and ``TakesCodes``.

    Args:
        model: name in ``MODELS`` or a checkpoint file.
        domain: which shipped weights, or None for the default.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``fp16`` or ``fp32``; None for fp16 on CUDA and fp32 on the CPU. With fp16 the last layer and its result stay float32, and products
            are added up in float32 as they are everywhere on the card.

    Raises:
        ModelError: no such model, or a bad checkpoint.
        BackendError: the device is not there, or cannot do that precision.
    """

    name = "torch"
    exact_parts = False  # measured: several threads cut a picture otherwise than a part of it, which is off by 2e-4 grey levels

    def __init__(
        self,
        model: str,
        domain: str | None = None,
        *,
        device: str = "auto",
        precision: str | None = None,
    ) -> None:
        self._device = choose_device(device)
        self.device = str(self._device)
        on_card = self._device.type == "cuda"
        self.precision = precision or ("fp16" if on_card else "fp32")
        if self.precision == "fp16" and not on_card:
            raise BackendError(
                "--fp16 on the CPU would be slower and coarser than --fp32: leave it away, or use --device cuda"
            )
        path = locate(model, domain)
        if path.suffix == ".onnx":
            raise BackendError(
                f"{path} is a graph: PyTorch runs checkpoints; leave --backend away, or give --backend onnx"
            )
        network, self.checkpoint = load(path)
        self._network = network.to(self._device)
        self._unit = to_half(self._network) if self.precision == "fp16" else 1.0
        freeze(self._network)
        # Working memory per low-resolution pixel of a window: up to 3.4 KB per output pixel were measured in float32 (5-parallel; Delta 1.8).
        self.bytes_per_pixel = 8 * 1024 if self.precision == "fp16" else 14 * 1024
        self.max_pixels = fitting_pixels(
            self.bytes_per_pixel, _card_bytes(self._device) if on_card else None
        )
        self._graphs = Graphs(self._device) if on_card else None
        # on a card a captured graph does the whole window in one go
        self._grouped = (
            self._group_by_group(network)
            if isinstance(network, GroupedNetwork) and not on_card
            else None
        )
        log.info(
            "%s from %s on %s, %s",
            self.checkpoint.model,
            path.name,
            self.device,
            self.precision,
        )

    @property
    def domain(self) -> str | None:
        """Domain of the weights, or None where unknown."""
        return self.checkpoint.domain

    @property
    def spec(self) -> ModelSpec:
        """The network's description."""
        return self.checkpoint.spec

    @property
    def luma_scale(self) -> LumaScale:
        """The scale the checkpoint lives on."""
        return self.checkpoint.luma_scale

    def run(self, windows: Float) -> Float:
        """Upscale windows (B, planes, H, W) float32 to (B, 2H-4, 2W-4) float32; see ``Backend.run``."""
        result: Float = self._compute(
            "values", self._values, np.ascontiguousarray(windows, np.float32)
        )
        return result

    def run_codes(self, windows: Codes, gain: float, offset: float, peak: int) -> Codes:
        """Upscale windows of codes; see ``TakesCodes.run_codes``. Normalising and rounding happen on the device."""

        def codes_to_codes(codes: Tensor) -> Tensor:
            # 16-bit codes travel as int16, which every operator knows: undo the wrap
            wide = (
                codes.to(torch.int32) & 0xFFFF if codes.dtype == torch.int16 else codes
            )
            values = wide.to(torch.float32)
            if gain != 1.0:
                values = values * np.float32(gain).item()
            if offset:
                values = values + np.float32(offset).item()
            result = self._values(values) * np.float32(1.0 / gain).item()
            if offset:
                result = result - np.float32(offset / gain).item()
            rounded = result.round().clamp(0, peak)
            # what is no number survives the rounding, but not the way to an integer: it is marked by a last row
            bad = (
                (~torch.isfinite(result))
                .flatten(1)
                .any(1)[:, None, None]
                .expand(-1, 1, result.shape[2])
            )
            marked = torch.cat(
                (torch.nan_to_num(rounded), bad.to(rounded.dtype)), dim=1
            ).to(torch.int32)
            return marked.to(codes.dtype)

        narrow = np.ascontiguousarray(windows)
        as_torch = narrow.view(np.int16) if narrow.dtype == np.uint16 else narrow
        marked = self._compute(
            f"codes {gain} {offset} {peak}", codes_to_codes, as_torch
        )
        if marked[:, -1].any():
            way_out = (
                "try --fp32"
                if self.precision == "fp16"
                else "the checkpoint is of no use, or the source is"
            )
            raise BackendError(
                f"the network gave values that are no numbers in {self.precision}: {way_out}"
            )
        result: Codes = marked[:, :-1].view(narrow.dtype)
        return result

    def _values(self, windows: Tensor) -> Tensor:
        """(B, planes, H, W) on the checkpoint's scale -> (B, H', W') float32."""
        if self._grouped is not None:
            return torch.from_numpy(self._grouped.run(windows.numpy()))
        window = windows[:, None]
        features = self._network.features(
            (window * self._unit).half() if self.precision == "fp16" else window
        )
        # the last layer stays in float32: up there half precision is coarser than a tenth of a grey level
        return self._network.picture(
            at_least_single(features), window[:, :, self.spec.middle]
        )[:, 0]

    def _group_by_group(self, network: GroupedNetwork) -> Grouped[Tensor]:
        def tensor(values: Float) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(values))

        def of_groups(groups: list[Tensor], middle: Float) -> Float:
            picture: Float = network.picture(
                network.of_groups(groups), tensor(middle)[:, None]
            )[:, 0].numpy()
            return picture

        return Grouped(
            self.spec,
            lambda role, frames: network.of_group(tensor(frames), role),
            of_groups,
        )

    def _compute(
        self, key: str, work: Callable[[Tensor], Tensor], windows: Codes
    ) -> Codes:
        height, width = windows.shape[-2:]
        try:
            # the same film should come out to the same bits: no search for the fastest algorithm,
            # which may find another one in the next run, and none that adds in another order
            with (
                torch.inference_mode(),
                torch.backends.cudnn.flags(
                    enabled=True, benchmark=False, deterministic=True, allow_tf32=False
                ),
            ):
                if self._graphs is not None:
                    return self._graphs.run(key, work, windows)
                result: Codes = work(torch.from_numpy(windows)).numpy()
                return result
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            place = f"{self.device} at a {width}x{height} picture"
            raise OutOfMemory(f"out of memory on {place}; {_MEMORY_WAY_OUT}") from error
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            text = f"PyTorch failed on {self.device} at a {width}x{height} picture: {reason}"
            if says_memory(error):
                raise OutOfMemory(f"{text}; {_MEMORY_WAY_OUT}") from error
            raise BackendError(text) from error


def choose_device(wanted: str) -> torch.device:
    """Turn ``auto``, ``cpu``, ``cuda`` or ``cuda:N`` into a device that works.

    Raises:
        BackendError: unknown, or CUDA was asked for and is not there.
    """
    kind, number = parse_device(wanted)
    if kind == "auto":
        return torch.device("cuda:0" if _cuda_works(0) else "cpu")
    if kind == "cpu":
        return torch.device("cpu")
    if kind == "tensorrt":
        raise BackendError(
            f"--device {wanted}: TensorRT is a way of ONNX Runtime's: give --backend onnx as well"
        )
    if torch.cuda.is_available() and number >= torch.cuda.device_count():
        raise BackendError(
            f"--device {wanted}: this machine has {torch.cuda.device_count()} CUDA GPU(s), counted from cuda:0"
        )
    if not _cuda_works(number):
        raise BackendError(
            f"--device {wanted}: PyTorch finds no working CUDA GPU here; use --device cpu, or check the driver with nvidia-smi"
        )
    return torch.device("cuda", number)


def _card_bytes(device: torch.device) -> int:
    """Bytes of the card that the network may use: of all, so that every run cuts pictures alike, but no more than is free."""
    free, installed = torch.cuda.mem_get_info(device)
    return int(min(_OF_ALL * installed, _OF_FREE * free))


def _cuda_works(number: int) -> bool:
    if not torch.cuda.is_available():
        return False
    try:
        torch.zeros(
            1, device=f"cuda:{number}"
        )  # no other: each card touched costs half a gigabyte of it
    except RuntimeError as error:  # a card too old for this PyTorch, or a broken driver
        log.info("CUDA is there but does not work: %s", error)
        return False
    return True
