"""The protocol that all backends implement, and their registry. Imports no inference library.

A backend runs a network. To add one, add a file to this package with a class that implements
``Backend``, and an entry to ``BACKENDS``.
"""

from __future__ import annotations

import logging
import os
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from vsrcli.errors import OptionError
from vsrcli.models import LumaScale, ModelSpec
from vsrcli.wording import did_you_mean

if TYPE_CHECKING:
    # not at run time: the command line reads BACKENDS for its help
    import numpy as np
    from numpy.typing import NDArray

Float: TypeAlias = "NDArray[np.float32]"
Codes: TypeAlias = "NDArray[Any]"  # uint8 or uint16

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
        """Scale of the checkpoint's input and output."""
        ...

    @property
    def domain(self) -> str | None:
        """Domain of the weights, or None if unknown."""
        ...

    @property
    def max_pixels(self) -> int:
        """Low-resolution pixels of a window that fit into memory; larger pictures are tiled."""
        ...

    @property
    def bytes_per_pixel(self) -> int:
        """Measured working memory for each low-resolution pixel of a window, bytes."""
        ...

    @property
    def exact_parts(self) -> bool:
        """Whether a part of a picture is computed to the same bits as in the whole picture."""
        ...

    def run(self, windows: Float) -> Float:
        """Upscale a batch of windows.

        Args:
            windows: shape (B, planes, H, W), float32, luma on the checkpoint's scale (codes
                0..255).

        Returns:
            Shape (B, scale*H - 2*trim, scale*W - 2*trim), float32, same scale, not clipped.

        Raises:
            OutOfMemory: not enough memory for windows of this size.
            BackendError: the library failed.
        """
        ...


@runtime_checkable
class TakesCodes(Protocol):
    """A backend that goes from luma codes to luma codes by itself, on its own device."""

    def run_codes(
        self,
        windows: Codes,
        gain: float,
        offset: float,
        peak: int,
    ) -> Codes:
        """Upscale a batch of windows of codes.

        ``code * gain + offset`` is the value on the checkpoint's scale.

        Args:
            windows: shape (B, planes, H, W), uint8 or uint16.
            gain: factor.
            offset: added after the multiplication.
            peak: largest code.

        Returns:
            Shape as from ``Backend.run``, codes of the windows' type, rounded and clipped to
            0..peak: the result of ``Backend.run`` between ``picture.color.to_model`` and
            ``from_model``.

        Raises:
            OutOfMemory: not enough memory for windows of this size.
            BackendError: the library failed, or the network produced NaN or infinite values.
        """
        ...


BACKENDS: dict[str, str] = {
    "torch": "vsrcli.backends.torch:TorchBackend",
    "onnx": "vsrcli.backends.onnx:OnnxBackend",
    "openvino": "vsrcli.backends.openvino:OpenVinoBackend",
}

_MAX_GPU_DIGITS = 3
_DEVICE_KINDS = ("auto", "cpu", "cuda", "tensorrt")

# An estimate of memory never makes the parts of a picture smaller than this.
_MIN_PART_PIXELS = 256 * 256


def machine_bytes() -> int:
    """Memory of the machine or of the container that this runs in, bytes."""
    installed = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return installed
    if not limit.isdecimal():
        return installed
    return min(installed, int(limit))


def fitting_pixels(
    bytes_per_pixel: int,
    available: int | None = None,
) -> int:
    """Number of low-resolution pixels that a backend can process at once.

    Args:
        bytes_per_pixel: working memory for each of them.
        available: bytes to use. None for half of the machine's memory, not half of what is free
            now: a picture should be cut into the same parts in every run.
    """
    if available is None:
        available = machine_bytes() // 2
    return max(_MIN_PART_PIXELS, available // bytes_per_pixel)


_MEMORY_MESSAGES = (
    "out of memory",
    "bad_alloc",
    "bad alloc",
    "allocate memory",
    "failed to allocate",
    "alloc_failed",  # cuBLAS, and cuDNN before version 9
    "allocation_failed",  # CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED and the like
    # cuDNN says this if no workspace fits or if a picture is too large for its indices, but also if
    # it does not work on the GPU at all. Then smaller parts are tried too, down to the smallest,
    # and the user sees the error of that one.
    "unable to find an engine to execute this computation",
)


def is_memory_error(error: Exception) -> bool:
    """Whether a library's error is, or may be, about memory, so that a smaller part may work.

    ONNX Runtime, OpenVINO and cuDNN have no error class of their own for it.
    """
    if isinstance(error, MemoryError):
        return True
    message = str(error).lower()
    return any(text in message for text in _MEMORY_MESSAGES)


def first_line(error: Exception) -> str:
    """The first line of a library's error message, or the name of the error without a message."""
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__


def parse_device(device: str) -> tuple[str, int]:
    """Parse ``auto``, ``cpu``, ``cuda``, ``cuda:N``, ``tensorrt`` or ``tensorrt:N``.

    Returns:
        The kind, and the number of the GPU (0 by default).

    Raises:
        OptionError: none of these.
    """
    kind, colon, number = device.partition(":")
    is_gpu = kind in ("cuda", "tensorrt")
    is_known = kind in _DEVICE_KINDS
    is_number = number.isdecimal() and len(number) <= _MAX_GPU_DIGITS
    has_bad_number = bool(colon) and not (is_gpu and is_number)
    if not is_known or has_bad_number:
        # what others call a CUDA device is spelled most like ``cpu``
        meant = "cuda" if kind.lower() in ("gpu", "nvidia") else kind
        hint = did_you_mean(meant, _DEVICE_KINDS)
        raise OptionError(
            f"unknown device {device!r}{hint}: use auto, cpu, cuda or cuda:N, "
            "or with --backend onnx tensorrt or tensorrt:N"
        )
    return kind, int(number or 0)


def open_backend(
    name: str,
    model: str,
    domain: str | None,
    *,
    device: str,
    precision: str | None,
) -> Backend:
    """Load a network into a backend.

    Args:
        name: key in ``BACKENDS``, or ``auto``: PyTorch on CUDA. On the CPU, OpenVINO if it is
            installed, which is the fastest there by measurement; else ONNX Runtime, which is as
            fast as PyTorch and starts sooner.
        model: name or file, as in ``models.weights.locate``.
        domain: which shipped weights, or None for the default.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``fp16``, ``fp32``, or None for the device's default.

    Raises:
        OptionError: an unknown model or device, or no weights of that domain.
        ModelError: no such checkpoint file, or a bad checkpoint.
        BackendError: the device is missing, or does not support that precision.
    """
    is_automatic = name == "auto"
    if is_automatic:
        name = _choose_backend(model, device)
    module, _, class_name = BACKENDS[name].partition(":")
    backend_class = getattr(import_module(module), class_name)
    backend: Backend = backend_class(model, domain, device=device, precision=precision)
    log.info(
        "backend %s on %s%s",
        backend.name,
        backend.device,
        ", chosen automatically" if is_automatic else "",
    )
    return backend


def _choose_backend(model: str, device: str) -> str:
    kind, _ = parse_device(device)
    if kind == "tensorrt":
        return "onnx"
    if kind == "cuda" or (kind == "auto" and _has_cuda()):
        return "onnx" if model.endswith(".onnx") else "torch"
    return "onnx" if find_spec("openvino") is None else "openvino"


def _has_cuda() -> bool:
    # PyTorch takes seconds to import, so skip it if there is no driver for it to find.
    drivers = (Path("/dev/nvidiactl"), Path("/dev/dxg"))
    has_driver = any(driver.exists() for driver in drivers)
    if sys.platform == "linux" and not has_driver:
        return False
    import torch

    return torch.cuda.is_available()
