"""PyTorch on CUDA with the 3D part of the networks in fused Triton kernels. Not the default: no card has shown yet that it pays."""

from __future__ import annotations

import torch
from torch import Tensor

from vsrcli.backends.torch import TorchBackend
from vsrcli.errors import BackendError
from vsrcli.models.layers import Chain3d, RecursiveBlock3d, SlicedConv3d, WindowNetwork


class TritonBackend(TorchBackend):
    """As ``TorchBackend``; keeps ``vsrcli.backends.Backend`` and ``TakesCodes``.

    Raises:
        ModelError: no such model, or a bad checkpoint.
        BackendError: Triton is not installed, or there is no CUDA.
    """

    name = "triton"

    def __init__(
        self,
        model: str,
        domain: str | None = None,
        *,
        device: str = "auto",
        precision: str | None = None,
    ) -> None:
        super().__init__(model, domain, device=device, precision=precision)
        if self._device.type != "cuda":
            raise BackendError(
                "--backend triton needs a CUDA GPU: use --backend auto on the processor"
            )
        if not isinstance(self.network, WindowNetwork):
            raise BackendError(
                f"--backend triton computes 3D convolutions, and {self.spec.name} has none: use --backend torch"
            )
        self._frame_maps, self.volume = (
            self.network.frame_maps,
            FusedVolume(self.network.volume),
        )

    def features(self, window: Tensor) -> Tensor:
        """All layers but the last: see ``Network.features``."""
        maps = torch.stack([part[:, 0] for part in self._frame_maps(window)], dim=1)[
            ..., None
        ]
        return self.volume(maps.contiguous())[:, 0].permute(0, 3, 1, 2)


class FusedVolume:
    """The layers of a ``Chain3d``, each one kernel, and so is each pass of a recursive block.

    Args:
        volume: with weights on the card, in the type that is computed in.
        whole_passes: whether a pass is one kernel; else two, one a convolution.

    Raises:
        BackendError: Triton is not installed, or a layer is none that it knows.
    """

    def __init__(self, volume: Chain3d, *, whole_passes: bool = True) -> None:
        try:
            from vsrcli.backends import kernels
        except ImportError as error:
            raise BackendError(
                "Triton is not installed: it comes with PyTorch for CUDA; use --backend torch"
            ) from error
        self._convolve, self._recurse = kernels.convolve, kernels.recurse
        self.whole_passes = whole_passes
        self._layers: list[_Layer | tuple[int, _Layer, _Layer]] = []
        for layer in volume.children():
            if isinstance(layer, RecursiveBlock3d):
                self._layers.append(
                    (
                        layer.passes,
                        _Layer(layer.a, kernels.pack(layer.a.weight)),
                        _Layer(layer.b, kernels.pack(layer.b.weight)),
                    )
                )
            elif isinstance(layer, SlicedConv3d):
                self._layers.append(_Layer(layer, kernels.pack(layer.weight)))
            else:
                raise BackendError(
                    f"--backend triton does not know a layer of the kind {type(layer).__name__}: use --backend torch"
                )

    def __call__(self, x: Tensor) -> Tensor:
        """(B, D, H, W, C) -> what the last layer leaves, channels last."""
        for layer in self._layers:
            if isinstance(layer, _Layer):
                x = self._apply(layer, x)
                continue
            passes, first, second = layer
            for _ in range(passes):
                if self.whole_passes:
                    x = self._recurse(
                        x, first.packed, first.bias, second.packed, second.bias
                    )
                else:
                    x = self._apply(second, self._apply(first, x), residual=x)
        return x

    def _apply(
        self, layer: _Layer, x: Tensor, residual: Tensor | None = None
    ) -> Tensor:
        return self._convolve(
            x,
            layer.packed,
            layer.bias,
            kernel=layer.kernel,
            padding=layer.padding,
            residual=residual,
        )


class _Layer:
    """A convolution as the kernel takes it."""

    def __init__(self, layer: SlicedConv3d, packed: Tensor) -> None:
        if layer.bias is None:
            raise BackendError(
                "--backend triton does not know convolutions without a bias: use --backend torch"
            )
        self.packed, self.bias = packed.detach(), layer.bias.detach()
        depth, height, width = layer.kernel_size
        self.kernel = (depth, height, width)
        self.padding = (
            int(layer.padding[0]),
            int(layer.padding[1]),
            int(layer.padding[2]),
        )
