"""PyTorch as a backend: the reference on the CPU, the fast path on CUDA."""

from __future__ import annotations

import logging

import numpy as np
import torch

from vsrcli.backends import Float, machine_bytes, parse_device
from vsrcli.errors import BackendError
from vsrcli.models import LumaScale, ModelSpec
from vsrcli.models.checkpoint import load
from vsrcli.models.weights import locate

log = logging.getLogger(__name__)

# Working memory per low-resolution pixel of a window: up to 3.4 KB per output pixel were measured in float32 (5-parallel; Delta 1.8).
_BYTES_PER_PIXEL = {"fp32": 14 * 1024, "fp16": 8 * 1024}
_SMALLEST_TILE = 256 * 256


class TorchBackend:
    """A network in PyTorch; keeps ``vsrcli.backends.Backend``.

    Args:
        model: name in ``MODELS`` or a checkpoint file.
        domain: which shipped weights, or None for the default.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``fp16`` or ``fp32``; None for fp16 on CUDA and fp32 on the CPU.

    Raises:
        ModelError: no such model, or a bad checkpoint.
        BackendError: the device is not there, or cannot do that precision.
    """

    name = "torch"
    exact_bands = False  # measured: several threads cut a picture otherwise than a band, which is off by 2e-4 grey levels

    def __init__(self, model: str, domain: str | None = None, *, device: str = "auto", precision: str | None = None) -> None:
        self._device = choose_device(device)
        self.device = str(self._device)
        self.precision = precision or ("fp16" if self._device.type == "cuda" else "fp32")
        if self.precision == "fp16" and self._device.type == "cpu":
            raise BackendError("--fp16 on the CPU would be slower and coarser than --fp32: leave it away, or use --device cuda")
        path = locate(model, domain)
        if path.suffix == ".onnx":
            raise BackendError(f"{path} is a graph: PyTorch runs checkpoints; leave --backend away, or give --backend onnx")
        network, self.checkpoint = load(path)
        self._network = network.to(self._device)
        self.max_pixels = max(_SMALLEST_TILE, _memory_budget(self._device) // _BYTES_PER_PIXEL[self.precision])
        log.info("%s from %s on %s, %s", self.checkpoint.model, path.name, self.device, self.precision)

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
        """Upscale windows (B, frames, H, W) float32 to (B, 2H-4, 2W-4) float32; see ``Backend.run``."""
        try:
            with torch.inference_mode(), torch.autocast(self._device.type, torch.float16, enabled=self.precision == "fp16"):
                batch = torch.from_numpy(np.ascontiguousarray(windows)).to(self._device)
                result: Float = self._network(batch[:, None])[:, 0].float().cpu().numpy()
        except torch.OutOfMemoryError as error:
            height, width = windows.shape[-2:]
            raise BackendError(f"out of memory on {self.device} at a {width}x{height} picture: use --device cpu, or a smaller source") from error
        except RuntimeError as error:
            raise BackendError(f"PyTorch failed on {self.device}: {str(error).splitlines()[0]}") from error
        return result


def choose_device(wanted: str) -> torch.device:
    """Turn ``auto``, ``cpu``, ``cuda`` or ``cuda:N`` into a device that works.

    Raises:
        BackendError: unknown, or CUDA was asked for and is not there.
    """
    kind, number = parse_device(wanted)
    if kind == "auto":
        return torch.device("cuda:0" if _cuda_works() else "cpu")
    if kind == "cpu":
        return torch.device("cpu")
    if not _cuda_works():
        raise BackendError(f"--device {wanted}: PyTorch finds no working CUDA GPU here; use --device cpu, or check the driver with nvidia-smi")
    if number >= torch.cuda.device_count():
        raise BackendError(f"--device {wanted}: this machine has {torch.cuda.device_count()} CUDA GPU(s), counted from cuda:0")
    return torch.device("cuda", number)


def _memory_budget(device: torch.device) -> int:
    """Bytes that the network may use: most of what is free on a card, half of the machine's memory on the CPU."""
    if device.type == "cuda":
        return int(0.8 * torch.cuda.mem_get_info(device)[0])
    return machine_bytes() // 2


def _cuda_works() -> bool:
    if not torch.cuda.is_available():
        return False
    try:
        torch.zeros(1, device="cuda")
    except RuntimeError as error:  # a card too old for this PyTorch, or a broken driver
        log.info("CUDA is there but does not work: %s", error)
        return False
    return True
