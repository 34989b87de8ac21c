"""What runs a network: the protocol every backend keeps, and the registry of them. Imports no inference library.

Adding a backend is one file beside this one with a class that keeps ``Backend``, and one line in ``BACKENDS``.
"""

from __future__ import annotations

from importlib import import_module
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vsrcli.models import LumaScale, ModelSpec

Float = NDArray[np.float32]


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


    def run(self, windows: Float) -> Float:
        """Upscale a batch of windows.

        Args:
            windows: shape (B, frames, H, W), float32, luma on the checkpoint's scale (codes 0..255).

        Returns:
            Shape (B, scale*H - 2*trim, scale*W - 2*trim), float32, same scale, not clipped.

        Raises:
            BackendError: out of memory, or the library failed.
        """
        ...


BACKENDS: dict[str, str] = {"torch": "vsrcli.backends.torch:TorchBackend"}


def open_backend(name: str, model: str, domain: str | None, *, device: str, precision: str | None) -> Backend:
    """Load a network into a backend.

    Args:
        name: key in ``BACKENDS``.
        model: name or file, as in ``models.weights.locate``.
        domain: which shipped weights, or None for the default.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``fp16``, ``fp32``, or None for the device's default.

    Raises:
        ModelError: no such model, or a bad checkpoint.
        BackendError: the device is missing, or cannot do that precision.
    """
    module, _, cls = BACKENDS[name].partition(":")
    backend: Backend = getattr(import_module(module), cls)(model, domain, device=device, precision=precision)
    return backend
