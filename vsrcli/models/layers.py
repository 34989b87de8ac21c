"""Building blocks of the networks: sliced 3D convolutions, recursive blocks, base classes.

A stack of consecutive images is a list of slices (``Stack``), each (B, C, H, W). The index in the
list is depth. A 3x3x3 convolution over five slices is then a few 2D convolutions over two or three
concatenated slices. Every library's 2D kernels are several times as fast as its 3D kernels, and
padding in depth costs nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

Stack = list[Tensor]


def channels_last(x: Tensor) -> Tensor:
    """``x`` in the memory format that convolutions compute fastest in."""
    return x.contiguous(memory_format=torch.channels_last)


class SlicedConv3d(nn.Conv3d):
    """``nn.Conv3d`` with the same parameters and result, computed by 2D convolutions on slices.

    Takes and returns a ``Stack`` instead of a (B, C, D, H, W) tensor. Stride, dilation and groups
    must be 1.
    """

    _frozen_weights: dict[tuple[int, int], Tensor] | None = None

    def freeze(self) -> None:
        """Rearrange the weight once instead of in every call. It must not change afterwards."""
        depth = self.kernel_size[0]
        frozen: dict[tuple[int, int], Tensor] = {}
        for first in range(depth):
            for end in range(first + 1, depth + 1):
                frozen[first, end] = self._rearrange(first, end).detach()
        self._frozen_weights = frozen

    def _weight_2d(self, first: int, end: int) -> Tensor:
        """Taps ``first`` to ``end`` in depth as the weight of a 2D convolution."""
        if self._frozen_weights is None:
            return self._rearrange(first, end)
        return self._frozen_weights[first, end]

    def _rearrange(self, first: int, end: int) -> Tensor:
        # (out, in, depth, h, w) -> (out, depth * in, h, w)
        taps = self.weight[:, :, first:end]
        weight = taps.transpose(1, 2).flatten(1, 2)
        return channels_last(weight)

    def forward(  # type: ignore[override]  # a stack instead of a tensor, on purpose
        self,
        stack: Stack,
        *,
        rectify: bool = False,
    ) -> Stack:
        """Convolve ``stack`` of D slices (B, in, H, W), and apply a ReLU if ``rectify`` is set.

        Returns:
            D + 2*depth_padding - depth + 1 slices (B, out, H', W').
        """
        depth = self.kernel_size[0]
        depth_padding, *padding = (int(side) for side in self.padding)
        slices = [channels_last(item) for item in stack]
        last = len(slices) + depth_padding - depth
        outputs: Stack = []
        for first in range(-depth_padding, last + 1):
            low = max(first, 0)
            high = min(first + depth, len(slices))
            weight = self._weight_2d(low - first, high - first)
            inputs = slices[low:high]
            # a single slice needs no copy
            joined = inputs[0]
            if len(inputs) > 1:
                joined = torch.cat(inputs, dim=1)
            output = functional.conv2d(joined, weight, self.bias, padding=padding)
            if rectify:
                output = functional.relu_(output)
            outputs.append(output)
        return outputs


def conv2d(
    channels: int,
    out_channels: int,
    size: int,
) -> nn.Conv2d:
    """A 2D convolution of ``size`` x ``size`` taps that keeps the size of the picture."""
    return nn.Conv2d(channels, out_channels, size, padding=size // 2)


def upsampling_conv2d(
    channels: int,
    out_channels: int,
) -> nn.ConvTranspose2d:
    """A transposed convolution of 4x4 taps that doubles the size of the picture."""
    size = 4
    return nn.ConvTranspose2d(channels, out_channels, size, stride=2, padding=1)


def convolutions(layers: Iterable[nn.Module]) -> list[nn.Module]:
    """``layers`` without the activation functions."""
    return [layer for layer in layers if not isinstance(layer, nn.ReLU)]


def row_conv3d(channels: int, out_channels: int) -> SlicedConv3d:
    """A convolution along rows only, 1x1x3, that keeps the size."""
    kernel_size = (1, 1, 3)
    padding = (0, 0, 1)
    return SlicedConv3d(channels, out_channels, kernel_size, padding=padding)


def first_conv3d(out_channels: int) -> SlicedConv3d:
    """The first layer of all 3D parts, 5x5x3 on one-channel maps, that keeps the size."""
    kernel_size = (5, 5, 3)
    padding = (2, 2, 1)
    return SlicedConv3d(1, out_channels, kernel_size, padding=padding)


class RecursiveBlock(nn.Module):
    """``x <- ReLU(b(ReLU(a(x))) + x)``, ``passes`` times with the same weights.

    Args:
        channels: of input and output.
        passes: how often the block is applied.
    """

    def __init__(self, channels: int, passes: int) -> None:
        super().__init__()
        self.passes = passes
        self.a = conv2d(channels, channels, 3)
        self.b = conv2d(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> the same shape."""
        for _ in range(self.passes):
            hidden = functional.relu_(self.a(x))
            x = functional.relu_(self.b(hidden) + x)
        return x


class RecursiveBlock3d(nn.Module):
    """``RecursiveBlock`` with 3x3x3 convolutions on a stack of slices.

    Args:
        channels: of input and output.
        passes: how often the block is applied. A plain attribute: training may start with fewer.
    """

    def __init__(self, channels: int, passes: int) -> None:
        super().__init__()
        self.passes = passes
        self.full_passes = passes
        self.a = SlicedConv3d(channels, channels, 3, padding=1)
        self.b = SlicedConv3d(channels, channels, 3, padding=1)

    def forward(self, x: Stack) -> Stack:
        """D slices (B, channels, H, W) -> the same shapes."""
        for _ in range(self.passes):
            hidden = self.a(x, rectify=True)
            update = self.b(hidden)
            x = [
                functional.relu_(new + old) for new, old in zip(update, x, strict=True)
            ]
        return x


class Chain3d(nn.Sequential):
    """3D layers in sequence on a stack, with a ReLU after each convolution."""

    def forward(self, stack: Stack) -> Stack:
        """D slices -> the slices that the last layer returns."""
        for layer in self:
            is_convolution = isinstance(layer, SlicedConv3d)
            stack = layer(stack, rectify=True) if is_convolution else layer(stack)
        return stack


class OutputRange(nn.Module):
    """``(high - low) * sigmoid(x / 100) + low``: 5-parallel's output range, in grey levels."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low = low
        self.high = high

    def forward(self, x: Tensor) -> Tensor:
        """Any shape -> the same shape within (low, high)."""
        span = self.high - self.low
        return span * torch.sigmoid(x / 100) + self.low


class Network(nn.Module, ABC):
    """The interface of all networks: features from a window, and a last layer to the picture.

    A subclass sets ``output``, the last layer that has weights. It sets ``planes``, as in its
    ``ModelSpec``, if it does not take the five frames.
    """

    output: nn.Conv2d
    planes = 5

    def forward(self, window: Tensor) -> Tensor:
        """Upscale the middle frame of five.

        Args:
            window: luma of frames t-2..t+2, or the planes that ``picture.motion`` makes from them,
                shape (B, 1, planes, H, W), float, codes 0..255 on the scale the weights were
                trained on.

        Returns:
            Luma of frame t, shape (B, 1, 2H - 2 trim, 2W - 2 trim), float32 (float64 for float64
            input).
        """
        features = self.features(window)
        middle_plane = window.shape[2] // 2
        middle = window[:, :, middle_plane]
        # The last layer stays in float32 under autocast: for codes near 255 the steps of half
        # precision are larger than a tenth of a grey level.
        with torch.autocast(window.device.type, enabled=False):
            result: Tensor = self.picture(upcast_half(features), middle)
        return result

    @abstractmethod
    def features(self, window: Tensor) -> Tensor:
        """Input of the last layer, (B, C, h, w), from a window (B, 1, planes, H, W)."""

    @abstractmethod
    def picture(self, features: Tensor, middle: Tensor) -> Tensor:
        """The result from ``features`` and frame t (B, 1, H, W), neither in half precision."""

    @abstractmethod
    def initialise(self) -> None:
        """Start training from a plain upsampler (bilinear or nearest neighbour)."""


class WindowNetwork(Network):
    """Networks in two parts: a map for each of five frames, then a 3D part that fuses them.

    A subclass sets ``volume``, ``output`` and, if it needs one, ``range``.
    """

    volume: Chain3d

    def __init__(self) -> None:
        super().__init__()
        self.range: nn.Module = nn.Identity()

    def features(self, window: Tensor) -> Tensor:
        """(B, C, 2H-4, 2W-4) from a window (B, 1, 5, H, W)."""
        return self.fuse_groups(self.frame_maps(window))

    def picture(self, features: Tensor, middle: Tensor) -> Tensor:
        """The last layer and the output range. There is no shortcut from frame t."""
        result: Tensor = self.range(self.output(features))
        return result

    def fuse_groups(self, groups: Sequence[Tensor]) -> Tensor:
        """``features`` from the five maps."""
        stack: Stack = self.volume(list(groups))
        return stack[0]

    @abstractmethod
    def frame_maps(self, window: Tensor) -> Stack:
        """A map (B, 1, 2H, 2W) of each of the five frames in a window (B, 1, 5, H, W)."""


def by_conv3d(
    network: WindowNetwork,
    maps: Sequence[Tensor],
) -> Tensor:
    """``WindowNetwork.fuse_groups`` by plain 3D convolutions on (B, C, 5, H, W).

    Some libraries are faster in this form, and the sliced form is measured against it.
    """
    x = torch.stack(list(maps), dim=2)
    for layer in network.volume.children():
        if isinstance(layer, RecursiveBlock3d):
            for _ in range(layer.passes):
                hidden = functional.relu(_whole_conv3d(layer.a, x))
                update = _whole_conv3d(layer.b, hidden)
                x = functional.relu(update + x)
        elif isinstance(layer, SlicedConv3d):
            x = functional.relu(_whole_conv3d(layer, x))
    return x[:, :, 0]


def _whole_conv3d(layer: SlicedConv3d, x: Tensor) -> Tensor:
    return functional.conv3d(
        x,
        layer.weight,
        layer.bias,
        padding=layer.padding,
    )


class GroupedNetwork(Network):
    """Networks that first encode groups of adjacent frames, or single frames, by themselves.

    ``backends/feature_cache.py`` keeps the features of the groups.
    """

    @abstractmethod
    def encode_group(self, frames: Tensor, role: int) -> Tensor:
        """Features of one group (B, group_frames, H, W) in a role of ``ModelSpec.group_roles``."""

    @abstractmethod
    def fuse_groups(self, groups: Sequence[Tensor]) -> Tensor:
        """``features`` from those of all groups of a window, in order."""


def upcast_half(x: Tensor) -> Tensor:
    """``x`` in float32 if it is in half precision, else unchanged."""
    if x.dtype in (torch.float16, torch.bfloat16):
        return x.float()
    return x


def freeze(network: nn.Module) -> None:
    """Prepare a network for inference only. Its weights must not change or move afterwards."""
    for layer in network.modules():
        if isinstance(layer, SlicedConv3d):
            layer.freeze()


def set_passes(
    network: nn.Module,
    limit: int | None,
) -> dict[str, float]:
    """Run every recursive 3D block at most ``limit`` times.

    Training grows the recursion this way.

    Args:
        network: holds the blocks.
        limit: number of passes; None for the full number of each block.

    Returns:
        Old passes / new passes for each parameter of the second convolution of a block whose number
        of passes changes. Multiplied by this factor, the block does about the same as before, since
        its passes add up to about the same residual. Without the factor, a network trained with
        three passes loses 1 dB when it is given five; with it, 0.1 dB (measured on Delta).
    """
    factors: dict[str, float] = {}
    for name, block in network.named_modules():
        if not isinstance(block, RecursiveBlock3d):
            continue
        passes = block.full_passes
        if limit is not None:
            passes = min(limit, passes)
        if passes != block.passes:
            factor = block.passes / passes
            factors[f"{name}.b.weight"] = factor
            factors[f"{name}.b.bias"] = factor
        block.passes = passes
    return factors
