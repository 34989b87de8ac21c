"""Building blocks of the networks: 3D convolutions computed slice by slice, recursive residual blocks, the near-plain start.

A stack of images that lie behind each other in time is a list of slices ("Stack"), each (B, C, H, W); index in the list is depth. A
3x3x3 convolution over five slices is then a few 2D convolutions over two or three slices side by side, which the 2D kernels of every
library do several times faster than its 3D ones, and padding in depth is work that is simply not done.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

Stack = list[Tensor]


class SlicedConv3d(nn.Conv3d):
    """``nn.Conv3d`` with the same parameters and result, computed by 2D convolutions on a list of slices.

    Takes and returns a ``Stack`` instead of a (B, C, D, H, W) tensor. Stride, dilation and groups stay 1.
    """

    _taps: dict[tuple[int, int], Tensor] | None = None

    def freeze(self) -> None:
        """Rearrange the weight once instead of at every call; from here on it must not change."""
        depth = self.kernel_size[0]
        self._taps = {
            (low, high): self._rearranged(low, high).detach()
            for low in range(depth)
            for high in range(low + 1, depth + 1)
        }

    def _rearranged(self, low: int, high: int) -> Tensor:
        """Taps ``low`` to ``high`` in depth as the weight of a 2D convolution on as many slices laid side by side."""
        # (out, in, depth, h, w) -> (out, depth * in, h, w)
        return (
            self.weight[:, :, low:high]
            .transpose(1, 2)
            .flatten(1, 2)
            .contiguous(memory_format=torch.channels_last)
        )

    def forward(self, stack: Stack, *, rectify: bool = False) -> Stack:  # type: ignore[override]  # lists of slices are the point
        """Convolve ``stack`` of D slices (B, in, H, W), with a ReLU behind where ``rectify`` says so.

        Returns:
            D + 2*depth_padding - depth + 1 slices (B, out, H', W').
        """
        depth = self.kernel_size[0]
        pad_depth = int(self.padding[0])
        padding = (int(self.padding[1]), int(self.padding[2]))
        stack = [item.contiguous(memory_format=torch.channels_last) for item in stack]
        outputs: Stack = []
        for first in range(-pad_depth, len(stack) + pad_depth - depth + 1):
            low, high = max(first, 0), min(first + depth, len(stack))
            place = low - first, high - first
            taps = self._rearranged(*place) if self._taps is None else self._taps[place]
            joined = (
                stack[low] if high - low == 1 else torch.cat(stack[low:high], dim=1)
            )
            out = functional.conv2d(joined, taps, self.bias, padding=padding)
            outputs.append(functional.relu_(out) if rectify else out)
        return outputs


class RecursiveBlock(nn.Module):
    """``x <- ReLU(b(ReLU(a(x))) + x)``, ``passes`` times with the same weights.

    Args:
        channels: of input and output.
        passes: how often the block is applied.
    """

    def __init__(self, channels: int, passes: int) -> None:
        super().__init__()
        self.passes = passes
        self.a = nn.Conv2d(channels, channels, 3, padding=1)
        self.b = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> the same shape."""
        for _ in range(self.passes):
            x = functional.relu_(self.b(functional.relu_(self.a(x))) + x)
        return x


class RecursiveBlock3d(nn.Module):
    """``RecursiveBlock`` with 3x3x3 convolutions on a stack of slices.

    Args:
        channels: of input and output.
        passes: how often the block is applied; a plain attribute, so that training may begin with fewer.
    """

    def __init__(self, channels: int, passes: int) -> None:
        super().__init__()
        self.passes = self.full_passes = passes
        self.a = SlicedConv3d(channels, channels, 3, padding=1)
        self.b = SlicedConv3d(channels, channels, 3, padding=1)

    def forward(self, x: Stack) -> Stack:
        """D slices (B, channels, H, W) -> the same shapes."""
        for _ in range(self.passes):
            x = [
                functional.relu_(y + old)
                for y, old in zip(self.b(self.a(x, rectify=True)), x, strict=True)
            ]
        return x


class Chain3d(nn.Sequential):
    """3D layers one after the other on a stack, with a ReLU after each convolution."""

    def forward(self, stack: Stack) -> Stack:
        """D slices -> the slices that the last layer leaves."""
        for layer in self:
            stack = (
                layer(stack, rectify=True)
                if isinstance(layer, SlicedConv3d)
                else layer(stack)
            )
        return stack


class OutputRange(nn.Module):
    """``(high - low) * sigmoid(x / 100) + low``: 5-parallel's output range control, in grey levels."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low, self.high = low, high

    def forward(self, x: Tensor) -> Tensor:
        """Any shape -> the same shape within (low, high)."""
        return (self.high - self.low) * torch.sigmoid(x / 100) + self.low


class Network(nn.Module, ABC):
    """What everything else knows of a network: features from a window, and a last layer that makes the picture of them.

    A subclass sets ``output``, the last layer that has weights, and ``planes``, as its
    ``ModelSpec`` says, where they are not the five frames.
    """

    output: nn.Conv2d
    planes = 5

    def forward(self, window: Tensor) -> Tensor:
        """Upscale the middle frame of five.

        Args:
            window: luma of frames t-2..t+2, or what ``picture.motion`` makes of them, shape
                (B, 1, planes, H, W), float, codes 0..255 on the scale the weights were trained on.

        Returns:
            Luma of frame t, shape (B, 1, 2H - 2 trim, 2W - 2 trim), float32 (float64 for float64 input).
        """
        features = self.features(window)
        # the last layer stays in float32 under autocast: up there half precision is coarser than a tenth of a grey level
        with torch.autocast(window.device.type, enabled=False):
            result: Tensor = self.picture(
                at_least_single(features), window[:, :, window.shape[2] // 2]
            )
        return result

    @abstractmethod
    def features(self, window: Tensor) -> Tensor:
        """What the last layer takes, (B, C, h, w), from a window (B, 1, planes, H, W)."""

    @abstractmethod
    def picture(self, features: Tensor, middle: Tensor) -> Tensor:
        """The result from ``features`` and, for a shortcut, frame t (B, 1, H, W); not in half precision."""

    @abstractmethod
    def initialise(self) -> None:
        """Start as a plain upsampler (bilinear, or nearest neighbour), for training from scratch."""


class WindowNetwork(Network):
    """The networks of two parts: one map from each of five frames, then a 3D part that takes the five maps to one picture.

    A subclass sets ``volume``, ``output`` and, where it needs one, ``range``.
    """

    volume: Chain3d

    def __init__(self) -> None:
        super().__init__()
        self.range: nn.Module = nn.Identity()

    def features(self, window: Tensor) -> Tensor:
        """(B, C, 2H-4, 2W-4) from a window (B, 1, 5, H, W)."""
        return self.of_groups(self.frame_maps(window))

    def picture(self, features: Tensor, middle: Tensor) -> Tensor:
        """The last layer and the output range; there is no shortcut."""
        result: Tensor = self.range(self.output(features))
        return result

    def of_groups(self, groups: Sequence[Tensor]) -> Tensor:
        """``features`` from the five maps."""
        stack: Stack = self.volume(list(groups))
        return stack[0]

    @abstractmethod
    def frame_maps(self, window: Tensor) -> Stack:
        """Five one-channel maps, each (B, 1, 2H, 2W) and of one frame, from a window (B, 1, 5, H, W)."""


def by_conv3d(network: WindowNetwork, maps: Sequence[Tensor]) -> Tensor:
    """``WindowNetwork.of_groups`` by plain 3D convolutions on (B, C, 5, H, W): the form some libraries prefer, and what ours is measured against."""

    def conv(layer: SlicedConv3d, x: Tensor) -> Tensor:
        return functional.conv3d(x, layer.weight, layer.bias, padding=layer.padding)

    x = torch.stack(list(maps), dim=2)
    for layer in network.volume.children():
        if isinstance(layer, RecursiveBlock3d):
            for _ in range(layer.passes):
                x = functional.relu(
                    conv(layer.b, functional.relu(conv(layer.a, x))) + x
                )
        elif isinstance(layer, SlicedConv3d):
            x = functional.relu(conv(layer, x))
    return x[:, :, 0]


class GroupedNetwork(Network):
    """The networks that see a window as groups of frames next to each other, or single ones, each by itself first (see ``backends/grouped.py``)."""

    @abstractmethod
    def of_group(self, frames: Tensor, role: int) -> Tensor:
        """What is made of one group (B, group_frames, H, W) in one of the roles of ``ModelSpec.group_roles``."""

    @abstractmethod
    def of_groups(self, groups: Sequence[Tensor]) -> Tensor:
        """``features`` from what was made of every group of a window, in order."""


def at_least_single(x: Tensor) -> Tensor:
    """``x`` in float32 where it is half precision, else as it is."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def freeze(network: nn.Module) -> None:
    """Prepare a network for nothing but inference; its weights must not change or move from here on."""
    for layer in network.modules():
        if isinstance(layer, SlicedConv3d):
            layer.freeze()


def set_passes(network: nn.Module, limit: int | None) -> dict[str, float]:
    """Let every recursive 3D block run at most ``limit`` times (None: its full number); training grows the recursion this way.

    Args:
        network: holds the blocks.
        limit: passes.

    Returns:
        For each parameter of a second convolution whose block now runs another number of times, old passes / new passes: multiplied by it, the
        block does about what it did before, since its passes add up to about the same residual. Without that a network trained
        with three passes falls by 1 dB when given five; with it by 0.1 dB (measured on Delta).
    """
    factors: dict[str, float] = {}
    for name, block in network.named_modules():
        if isinstance(block, RecursiveBlock3d):
            passes = (
                block.full_passes if limit is None else min(limit, block.full_passes)
            )
            if passes != block.passes:
                factors |= dict.fromkeys(
                    (f"{name}.b.weight", f"{name}.b.bias"), block.passes / passes
                )
            block.passes = passes
    return factors


def start_near_upsampler(
    layers: Sequence[nn.Module], last: Sequence[nn.Module] = (), *, tail_reads: int = 1
) -> None:
    """Initialise so that channel 0 passes the luma through and the network begins as bilinear interpolation.

    A network without a global shortcut that starts at random spends hours learning the identity. Here the centre tap of channel 0 is 1, the transposed
    convolution's channel 0 is the bilinear kernel [1 3 3 1]/4, the second convolution of a recursive block is zero, and all biases are zero: any weight left
    in a block that runs five times would be amplified. The other channels keep their random start, so that they learn at once.

    Args:
        layers: all convolutions and recursive blocks on the way of the luma.
        last: those among them that end in one channel and must read only channel 0.
        tail_reads: how many input channels those may read.
    """
    for layer in layers:
        if isinstance(layer, RecursiveBlock | RecursiveBlock3d):
            nn.init.zeros_(layer.b.weight)
            for convolution in (layer.a, layer.b):
                _zero_bias(convolution)
            continue
        _zero_bias(layer)
        weight = layer.weight
        if not isinstance(weight, Tensor):
            raise TypeError(f"{type(layer).__name__} has no weight to initialise")
        with torch.no_grad():
            if layer in last:
                weight[:, tail_reads:] = 0
            if isinstance(layer, nn.ConvTranspose2d):
                taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 4
                weight[:, 0] = 0
                weight[0, 0] = torch.outer(taps, taps)
            else:
                centre = tuple(size // 2 for size in weight.shape[2:])
                weight[0] = 0
                weight[(0, 0, *centre)] = 1


def _zero_bias(layer: nn.Module) -> None:
    if isinstance(layer.bias, Tensor):
        nn.init.zeros_(layer.bias)
