"""What runs a network: the protocol every backend keeps, and the registry of them. Imports no inference library.

Adding a backend is one file beside this one with a class that keeps ``Backend``, and one line in ``BACKENDS``.
"""

from __future__ import annotations

import logging
import os
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from vsrcli.errors import BackendError
from vsrcli.models import LumaScale, ModelSpec

Float = NDArray[np.float32]
Codes = NDArray[Any]  # uint8 or uint16

log = logging.getLogger(__name__)


class Backend(Protocol):
    """A loaded network on a device."""

    @property
    def name(self) -> str:
        """Key in ``BACKENDS``."""
        ...

    @property
    def device(self) -> str:
        """Where it runs, such as ``cpu`` or ``cuda:0``."""
        ...

    @property
    def precision(self) -> str:
        """``fp16`` or ``fp32``."""
        ...

    @property
    def spec(self) -> ModelSpec:
        """The network's description."""
        ...

    @property
    def luma_scale(self) -> LumaScale:
        """The scale the checkpoint lives on."""
        ...

    @property
    def domain(self) -> str | None:
        """The domain of the weights, or None where unknown."""
        ...

    @property
    def max_pixels(self) -> int:
        """Low-resolution pixels of a window that fit into memory at once; larger pictures are tiled."""
        ...

    @property
    def bytes_per_pixel(self) -> int:
        """Working memory for each low-resolution pixel of a window, bytes, as measured."""
        ...

    @property
    def exact_parts(self) -> bool:
        """Whether a part of a picture comes out to the same bits as in the whole picture."""
        ...

    def run(self, windows: Float) -> Float:
        """Upscale a batch of windows.

        Args:
            windows: shape (B, planes, H, W), float32, luma on the checkpoint's scale (codes 0..255).

        Returns:
            Shape (B, scale*H - 2*trim, scale*W - 2*trim), float32, same scale, not clipped.

        Raises:
            OutOfMemory: there is none for windows of that size.
            BackendError: the library failed.
        """
        ...


@runtime_checkable
class TakesCodes(Protocol):
    """A backend that can do the way from luma codes to luma codes by itself, on its own device."""

    def run_codes(self, windows: Codes, gain: float, offset: float, peak: int) -> Codes:
        """Upscale a batch of windows of codes; a code becomes a value on the checkpoint's scale by ``code * gain + offset``.

        Args:
            windows: shape (B, planes, H, W), uint8 or uint16.
            gain: what a code is multiplied by.
            offset: what is added then.
            peak: largest code.

        Returns:
            Shape as of ``Backend.run``, codes of the windows' type, rounded and clipped to 0..peak: what ``Backend.run`` gives between
            ``picture.color.to_model`` and ``from_model``.

        Raises:
            OutOfMemory: there is none for windows of that size.
            BackendError: the library failed, or values came out that are no numbers.
        """
        ...


BACKENDS: dict[str, str] = {
    "torch": "vsrcli.backends.torch:TorchBackend",
    "onnx": "vsrcli.backends.onnx:OnnxBackend",
    "openvino": "vsrcli.backends.openvino:OpenVinoBackend",
}

# A picture, or a part of one, is never made smaller than this for want of memory that was only estimated.
_SMALLEST_PART = 256 * 256


def machine_bytes() -> int:
    """Memory of the machine, or of the container that this runs in, bytes."""
    installed = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        allowed = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return installed
    return min(installed, int(allowed)) if allowed.isdecimal() else installed


def fitting_pixels(bytes_per_pixel: int, free: int | None = None) -> int:
    """Low-resolution pixels that a backend may take on at once.

    Args:
        bytes_per_pixel: what each takes.
        free: bytes to use; None for half of the machine's memory. It is not what happens to be free: the parts that a picture is cut
            into should be the same in every run.
    """
    return max(
        _SMALLEST_PART,
        (machine_bytes() // 2 if free is None else free) // bytes_per_pixel,
    )


_MEMORY_SIGNS = (
    "out of memory",
    "bad_alloc",
    "bad alloc",
    "allocate memory",
    "failed to allocate",
    "alloc_failed",  # cuBLAS, and cuDNN before version 9
    "allocation_failed",  # CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED and the like
    # What cuDNN says where no workspace fits, or a picture is too large for its indices; also where
    # it cannot work on the card at all. Smaller parts are tried then too, down to the smallest, and
    # the error of that one is what the user sees.
    "unable to find an engine to execute this computation",
)


def says_memory(error: Exception) -> bool:
    """Whether a library's error is, or may be, about memory, so that a smaller part is worth a try.

    ONNX Runtime, OpenVINO and cuDNN have no class of their own for it.
    """
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(sign in text for sign in _MEMORY_SIGNS)


def parse_device(device: str) -> tuple[str, int]:
    """Read ``auto``, ``cpu``, ``cuda``, ``cuda:N``, ``tensorrt`` or ``tensorrt:N``.

    Returns:
        The kind, and the number of the card (0 where none is said).

    Raises:
        BackendError: none of these.
    """
    kind, colon, number = device.partition(":")
    if kind not in ("auto", "cpu", "cuda", "tensorrt") or (
        colon and not (kind in ("cuda", "tensorrt") and number.isdigit())
    ):
        raise BackendError(
            f"unknown device {device!r}: use auto, cpu, cuda or cuda:N, or with --backend onnx tensorrt or tensorrt:N"
        )
    return kind, int(number or 0)


def open_backend(
    name: str, model: str, domain: str | None, *, device: str, precision: str | None
) -> Backend:
    """Load a network into a backend.

    Args:
        name: key in ``BACKENDS``, or ``auto``: PyTorch on CUDA; on the processor OpenVINO where it is installed, which is the fastest there by
            measurement, else ONNX Runtime, which is as fast as PyTorch and begins sooner.
        model: name or file, as in ``models.weights.locate``.
        domain: which shipped weights, or None for the default.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``fp16``, ``fp32``, or None for the device's default.

    Raises:
        ModelError: no such model, or a bad checkpoint.
        BackendError: the device is missing, or cannot do that precision.
    """
    chosen = _choose(model, device) if name == "auto" else name
    module, _, cls = BACKENDS[chosen].partition(":")
    backend: Backend = getattr(import_module(module), cls)(
        model, domain, device=device, precision=precision
    )
    log.info(
        "backend %s on %s%s",
        backend.name,
        backend.device,
        ", chosen automatically" if name == "auto" else "",
    )
    return backend


def _choose(model: str, device: str) -> str:
    if parse_device(device)[0] == "tensorrt":
        return "onnx"
    if parse_device(device)[0] == "cuda" or (device == "auto" and _has_cuda()):
        return "onnx" if model.endswith(".onnx") else "torch"
    return "onnx" if find_spec("openvino") is None else "openvino"


def _has_cuda() -> bool:
    # PyTorch takes seconds to import: not where there is no driver that it could find
    if sys.platform == "linux" and not any(
        Path(name).exists() for name in ("/dev/nvidiactl", "/dev/dxg")
    ):
        return False
    import torch

    return torch.cuda.is_available()
