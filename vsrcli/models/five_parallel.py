"""5-parallel, 259,938 parameters: a 2D network for each of five frames, then a recursive 3D one.

The layers are those of the report's authors. Parameters that are in their files, but that their
forward pass never uses, are left out.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vsrcli.models.initialisation import init_as_upsampler
from vsrcli.models.layers import (
    Chain3d,
    OutputRange,
    RecursiveBlock,
    RecursiveBlock3d,
    SlicedConv3d,
    Stack,
    WindowNetwork,
    channels_last,
    conv2d,
    convolutions,
    first_conv3d,
    row_conv3d,
    upsampling_conv2d,
)

# The frames whose 2D stack is recursive: t and t+1.
RECURSIVE_STACKS = (2, 3)


class FiveParallel(WindowNetwork):
    """The network; shapes as in ``WindowNetwork.forward``.

    Args:
        width: filters in the narrow part of the 2D stacks: 12 in the report, 24 in the authors'
            wider variant.
        passes_2d: passes of the recursive blocks in the 2D stacks.
        passes_3d: passes of the recursive blocks in the 3D part.
        low: lower end of the output range, in grey levels.
        high: upper end of the output range, in grey levels.
    """

    def __init__(
        self,
        width: int = 12,
        passes_2d: int = 4,
        passes_3d: int = 5,
        low: float = 0.0,
        high: float = 255.0,
    ) -> None:
        super().__init__()
        self.stacks = nn.ModuleList(
            _stack(width, passes_2d if position in RECURSIVE_STACKS else 0)
            for position in range(5)
        )
        self.volume = Chain3d(
            first_conv3d(32),
            row_conv3d(32, 24),
            RecursiveBlock3d(24, passes_3d),
            SlicedConv3d(24, 24, 3, padding=1),
            SlicedConv3d(24, 24, 3, padding=1),
            RecursiveBlock3d(24, passes_3d),
            SlicedConv3d(24, 24, 3, padding=1),
            SlicedConv3d(24, 24, 3, padding=1),
            SlicedConv3d(24, 24, 3, padding=1),
            row_conv3d(24, 32),
            SlicedConv3d(32, 32, 3),
            SlicedConv3d(32, 32, 3),
        )
        self.output = conv2d(32, 1, 5)
        self.range = OutputRange(low, high)

    def frame_maps(self, window: Tensor) -> Stack:
        """Five one-channel maps (B, 1, 2H, 2W), each from its own frame by its own stack."""
        frames = window.unbind(2)
        return [
            stack(channels_last(frame))
            for stack, frame in zip(self.stacks, frames, strict=True)
        ]

    def initialise(self) -> None:
        """Start as a bilinear upsampler (see ``initialisation.init_as_upsampler``).

        The output layer undoes the sigmoid around mid-grey.
        """
        layers: list[nn.Module] = []
        single_channel: list[nn.Module] = [self.output]
        for stack in self.stacks:
            stack_layers = convolutions(stack.children())
            layers += stack_layers
            single_channel.append(stack_layers[-1])
        layers += [*self.volume, self.output]
        init_as_upsampler(layers, single_channel)
        # 255 * sigmoid((1.57 x - 200) / 100) is closest to x over the middle of 0..255
        with torch.no_grad():
            self.output.weight[0, 0, 2, 2] = 1.57
            if self.output.bias is not None:
                self.output.bias.fill_(-200.0)


def _stack(width: int, passes: int) -> nn.Sequential:
    recursion = [RecursiveBlock(width, passes)] if passes else []
    return nn.Sequential(
        conv2d(1, 32, 5),
        nn.ReLU(inplace=True),
        conv2d(32, width, 1),
        nn.ReLU(inplace=True),
        *recursion,
        conv2d(width, 32, 1),
        nn.ReLU(inplace=True),
        upsampling_conv2d(32, 16),
        nn.ReLU(inplace=True),
        conv2d(16, 1, 5),
        nn.ReLU(inplace=True),
    )
