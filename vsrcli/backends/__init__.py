"""What runs a network: the protocol every backend keeps, and the registry of them. Imports no inference library.

Adding a backend is one file beside this one with a class that keeps ``Backend``, and one line in ``BACKENDS``.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vsrcli.models import LumaScale, ModelSpec

Float = NDArray[np.float32]


class Backend(Protocol):
    """A loaded network on a device.

    Attributes:
        name: key in ``BACKENDS``.
        device: where it runs, such as ``cpu`` or ``cuda:0``.
        precision: ``fp16`` or ``fp32``.
        spec: the network's description.
        luma_scale: the scale the checkpoint lives on.
    """

    name: str
    device: str
    precision: str
    spec: ModelSpec
    luma_scale: LumaScale

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
