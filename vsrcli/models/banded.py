"""The 3D part of a network as 2D convolutions over all five slices at once: the form for cards.

A stack of D slices of C channels is one tensor (B, D*C, H, W), channels last. A 3x3x3 convolution
over it is a 3x3 convolution whose weight is block-banded: the block from slice z to slice d is the
tap z - d + padding, or zero. A (1, 1, 3) convolution is a 1x3 one, dilated by D, on the same memory
seen as (B, C, H, W*D). Against the sliced form (``layers.SlicedConv3d``) that is up to twice the
multiplications, but one kernel a layer, no copies, and channel counts that fill a tensor core.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from vsrcli.models.layers import Chain3d, RecursiveBlock3d, SlicedConv3d


class BandedVolume:
    """``volume(maps)[0]`` of a ``Chain3d``, computed banded.

    The bands are made when it is constructed, differentiably: for training make one for each step,
    for inference one for good.

    Args:
        volume: the layers; what they compute with now is what counts.
        depth: slices in the stack.
        fused: use cuDNN's own epilogues for bias, residual and ReLU (CUDA and inference only: they
            have no derivative).
    """

    def __init__(self, volume: Chain3d, depth: int = 5, *, fused: bool = False) -> None:
        self._steps: list[tuple[int, tuple[_Layer, ...]]] = []
        for layer in volume.children():
            if isinstance(layer, RecursiveBlock3d):
                pair = (_Layer(layer.a, depth, fused), _Layer(layer.b, depth, fused))
                self._steps.append((layer.passes, pair))
            elif isinstance(layer, SlicedConv3d):
                single = _Layer(layer, depth, fused)
                self._steps.append((1, (single,)))
                depth = single.out_depth
            else:
                raise TypeError(f"{type(layer).__name__} has no banded form")

    def __call__(self, maps: Sequence[Tensor]) -> Tensor:
        """Five maps (B, 1, H, W) -> the features that are left, (B, C, H', W')."""
        x = torch.cat(list(maps), dim=1).contiguous(memory_format=torch.channels_last)
        for passes, layers in self._steps:
            for _ in range(passes):
                first = layers[0](x)
                x = first if len(layers) == 1 else layers[1](first, residual=x)
        return x


class _Layer:
    """One 3D convolution with the ReLU behind it, on (B, D*C, H, W)."""

    def __init__(self, layer: SlicedConv3d, depth: int, fused: bool) -> None:
        if layer.bias is None:
            raise TypeError("a convolution without a bias has no banded form")
        self._depth = depth
        self._fused = fused
        self._padding = (int(layer.padding[1]), int(layer.padding[2]))
        self._is_row = layer.kernel_size[0] == layer.kernel_size[1] == 1
        if self._is_row:
            self.out_depth = depth
            self._weight = layer.weight[:, :, 0].contiguous(
                memory_format=torch.channels_last
            )
            self._bias = layer.bias
        else:
            self.out_depth = (
                depth + 2 * int(layer.padding[0]) - layer.kernel_size[0] + 1
            )
            self._weight = _band(layer, depth, self.out_depth)
            self._bias = layer.bias.repeat(self.out_depth)

    def __call__(self, x: Tensor, *, residual: Tensor | None = None) -> Tensor:
        if not self._is_row:
            return self._convolve(x, residual, self._padding, (1, 1))
        # (B, H, W, D, C) in memory, seen as (B, H, W*D, C): neighbours in W lie D apart
        batch, _, height, width = x.shape
        rows = x.permute(0, 2, 3, 1).reshape(batch, height, width * self._depth, -1)
        padding = (0, self._padding[1] * self._depth)
        result = self._convolve(
            rows.permute(0, 3, 1, 2), None, padding, (1, self._depth)
        )
        return (
            result.permute(0, 2, 3, 1)
            .reshape(batch, height, width, -1)
            .permute(0, 3, 1, 2)
        )

    def _convolve(
        self,
        x: Tensor,
        residual: Tensor | None,
        padding: tuple[int, int],
        dilation: tuple[int, int],
    ) -> Tensor:
        if self._fused and x.is_cuda:
            if residual is None:
                return torch.cudnn_convolution_relu(
                    x, self._weight, self._bias, (1, 1), padding, dilation, 1
                )
            return torch.cudnn_convolution_add_relu(
                x, self._weight, residual, 1.0, self._bias, (1, 1), padding, dilation, 1
            )
        result = functional.conv2d(
            x, self._weight, self._bias, padding=padding, dilation=dilation
        )
        if residual is not None:
            result = result + residual
        return functional.relu_(result)


@lru_cache
def _tap_places(
    taps: int, padding: int, depth: int, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """One-hot (taps, out_depth * depth): which tap joins which output slice to which input slice.

    Kept, so that a CUDA graph never records its making.
    """
    out_depth = depth + 2 * padding - taps + 1
    ones = [
        [
            float(source - target + padding == tap)
            for target in range(out_depth)
            for source in range(depth)
        ]
        for tap in range(taps)
    ]
    # also where the first to ask is an inference: training must be able to keep it for its backward
    with torch.inference_mode(False):
        return torch.tensor(ones, device=device, dtype=dtype)


def _band(layer: SlicedConv3d, depth: int, out_depth: int) -> Tensor:
    """The block-banded weight (out_depth * out, depth * in, h, w), channels last."""
    weight = layer.weight
    out_channels, in_channels, taps, height, width = weight.shape
    places = _tap_places(
        taps, int(layer.padding[0]), depth, weight.device, weight.dtype
    )
    # a product with zeros and ones: exact, differentiable, and no atomics in the backward pass
    wide = weight.permute(0, 1, 3, 4, 2).reshape(-1, taps) @ places
    blocks = wide.reshape(out_channels, in_channels, height, width, out_depth, depth)
    band = blocks.permute(4, 0, 5, 1, 2, 3).reshape(
        out_depth * out_channels, depth * in_channels, height, width
    )
    return band.contiguous(memory_format=torch.channels_last)
