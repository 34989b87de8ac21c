"""The 3D part of a network as 2D convolutions over all five slices at once, the form for GPUs.

A stack of D slices of C channels is one tensor (B, D*C, H, W), channels last. A 3x3x3 convolution
over it is a 3x3 convolution with a block-banded weight: the block from slice z to slice d is the
tap z - d + padding, or zero. A (1, 1, 3) convolution is a 1x3 one, dilated by D, on the same memory
viewed as (B, C, H, W*D). Compared to the sliced form (``layers.SlicedConv3d``) that is up to twice
the multiplications. But it is one kernel a layer, without copies, and the channel counts fill a
tensor core.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from vsrcli.models.layers import (
    Chain3d,
    RecursiveBlock3d,
    SlicedConv3d,
    channels_last,
)

# for cuDNN's fused convolutions
_STRIDE = (1, 1)
_GROUPS = 1
_RESIDUAL_FACTOR = 1.0


class BandedVolume:
    """``volume(maps)[0]`` of a ``Chain3d``, computed in banded form.

    The constructor makes the banded weights, differentiably. For training, make a new object for
    each step; for inference, one is enough.

    Args:
        volume: the layers, with their current weights and passes.
        depth: number of slices in the stack.
        fused: use cuDNN's own epilogues for bias, residual and ReLU (CUDA and inference only: they
            have no derivative).
    """

    def __init__(
        self,
        volume: Chain3d,
        depth: int = 5,
        *,
        fused: bool = False,
    ) -> None:
        self._steps: list[_Step] = []
        for layer in volume.children():
            if isinstance(layer, RecursiveBlock3d):
                step = _Step(
                    passes=layer.passes,
                    layer=_Layer(layer.a, depth, fused),
                    residual_layer=_Layer(layer.b, depth, fused),
                )
            elif isinstance(layer, SlicedConv3d):
                single = _Layer(layer, depth, fused)
                step = _Step(passes=1, layer=single)
                depth = step.layer.out_depth
            else:
                raise TypeError(f"{type(layer).__name__} has no banded form")
            self._steps.append(step)

    def __call__(self, maps: Sequence[Tensor]) -> Tensor:
        """Five maps (B, 1, H, W) -> the remaining features, (B, C, H', W')."""
        joined = torch.cat(list(maps), dim=1)
        x = channels_last(joined)
        for step in self._steps:
            for _ in range(step.passes):
                x = step.apply(x)
        return x


@dataclass(frozen=True, slots=True)
class _Step:
    """A convolution, or a recursive block of two, whose second one adds the input."""

    passes: int
    layer: _Layer
    residual_layer: _Layer | None = None

    def apply(self, x: Tensor) -> Tensor:
        hidden = self.layer(x)
        if self.residual_layer is None:
            return hidden
        return self.residual_layer(hidden, residual=x)


class _Layer:
    """One 3D convolution and its ReLU, on (B, D*C, H, W)."""

    def __init__(
        self,
        layer: SlicedConv3d,
        depth: int,
        fused: bool,
    ) -> None:
        if layer.bias is None:
            raise TypeError("a convolution without a bias has no banded form")
        self._depth = depth
        self._fused = fused
        self._padding = (int(layer.padding[1]), int(layer.padding[2]))
        taps = layer.kernel_size[0]
        rows = layer.kernel_size[1]
        self._is_row = taps == rows == 1
        if self._is_row:
            self.out_depth = depth
            self._weight = channels_last(layer.weight[:, :, 0])
            self._bias = layer.bias
        else:
            padded_depth = depth + 2 * int(layer.padding[0])
            self.out_depth = padded_depth - taps + 1
            self._weight = _banded_weight(layer, depth, self.out_depth)
            self._bias = layer.bias.repeat(self.out_depth)

    def __call__(
        self,
        x: Tensor,
        *,
        residual: Tensor | None = None,
    ) -> Tensor:
        if self._is_row:
            return self._convolve_rows(x)
        return self._convolve(
            x,
            residual,
            padding=self._padding,
            dilation=(1, 1),
        )

    def _convolve_rows(self, x: Tensor) -> Tensor:
        # (B, H, W, D, C) in memory, viewed as (B, H, W*D, C): neighbours in W are D apart.
        batch, _, height, width = x.shape
        depth = self._depth
        rows = _to_nhwc(x).reshape(batch, height, width * depth, -1)
        result = self._convolve(
            _to_nchw(rows),
            None,
            padding=(0, self._padding[1] * depth),
            dilation=(1, depth),
        )
        stacked = _to_nhwc(result).reshape(batch, height, width, -1)
        return _to_nchw(stacked)

    def _convolve(
        self,
        x: Tensor,
        residual: Tensor | None,
        *,
        padding: tuple[int, int],
        dilation: tuple[int, int],
    ) -> Tensor:
        if self._fused and x.is_cuda:
            if residual is None:
                return torch.cudnn_convolution_relu(
                    x,
                    self._weight,
                    self._bias,
                    _STRIDE,
                    padding,
                    dilation,
                    _GROUPS,
                )
            return torch.cudnn_convolution_add_relu(
                x,
                self._weight,
                residual,
                _RESIDUAL_FACTOR,
                self._bias,
                _STRIDE,
                padding,
                dilation,
                _GROUPS,
            )
        result = functional.conv2d(
            x,
            self._weight,
            self._bias,
            padding=padding,
            dilation=dilation,
        )
        if residual is not None:
            result = result + residual
        return functional.relu_(result)


def _to_nhwc(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1)


def _to_nchw(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)


@lru_cache
def _tap_selection(
    taps: int,
    padding: int,
    depth: int,
    device: torch.device,
    dtype: torch.dtype,
) -> Tensor:
    """One-hot (taps, out_depth * depth): the tap between each output slice and each input slice.

    Cached, so that no CUDA graph records how it is made.
    """
    out_depth = depth + 2 * padding - taps + 1
    selection = [[0.0] * (out_depth * depth) for _ in range(taps)]
    for target in range(out_depth):
        for source in range(depth):
            tap = source - target + padding
            if 0 <= tap < taps:
                selection[tap][target * depth + source] = 1.0
    # The first call may come from inference, and training must be able to save it for backward.
    with torch.inference_mode(False):
        return torch.tensor(selection, device=device, dtype=dtype)


def _banded_weight(
    layer: SlicedConv3d,
    depth: int,
    out_depth: int,
) -> Tensor:
    """The block-banded weight (out_depth * out, depth * in, h, w), channels last."""
    weight = layer.weight
    out_channels, channels, taps, height, width = weight.shape
    selection = _tap_selection(
        taps,
        int(layer.padding[0]),
        depth,
        weight.device,
        weight.dtype,
    )
    # A product with zeros and ones: exact, differentiable, and the backward pass needs no atomics.
    taps_last = weight.permute(0, 1, 3, 4, 2).reshape(-1, taps)
    wide = taps_last @ selection
    blocks = wide.reshape(out_channels, channels, height, width, out_depth, depth)
    ordered = blocks.permute(4, 0, 5, 1, 2, 3)
    band = ordered.reshape(out_depth * out_channels, depth * channels, height, width)
    return channels_last(band)
