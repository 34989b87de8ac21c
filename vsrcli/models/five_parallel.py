"""5-parallel, 259,938 parameters: five 2D networks side by side, one a frame position, then a deep recursive 3D network.

The layers are those of the report's authors; the parameters that their files carry but their forward pass never uses do not exist here.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vsrcli.models.layers import (
    Chain3d,
    OutputRange,
    RecursiveBlock,
    RecursiveBlock3d,
    SlicedConv3d,
    Stack,
    WindowNetwork,
    start_near_upsampler,
)

# Frames t and t+1 are the ones whose 2D stack recurs.
RECURSIVE_STACKS = (2, 3)


class FiveParallel(WindowNetwork):
    """The network; shapes as in ``WindowNetwork.forward``.

    Args:
        width: filters in the narrow part of the 2D stacks; 12 in the report, 24 in the authors' wider variant.
        passes_2d: passes of the recursive blocks in the 2D stacks.
        passes_3d: passes of the recursive blocks in the 3D part.
        low, high: output range in grey levels.
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
            SlicedConv3d(1, 32, (5, 5, 3), padding=(2, 2, 1)),
            SlicedConv3d(32, 24, (1, 1, 3), padding=(0, 0, 1)),
            RecursiveBlock3d(24, passes_3d),
            *(SlicedConv3d(24, 24, 3, padding=1) for _ in range(2)),
            RecursiveBlock3d(24, passes_3d),
            *(SlicedConv3d(24, 24, 3, padding=1) for _ in range(3)),
            SlicedConv3d(24, 32, (1, 1, 3), padding=(0, 0, 1)),
            SlicedConv3d(32, 32, 3),
            SlicedConv3d(32, 32, 3),
        )
        self.output = nn.Conv2d(32, 1, 5, padding=2)
        self.range = OutputRange(low, high)

    def frame_maps(self, window: Tensor) -> Stack:
        """Five one-channel maps (B, 1, 2H, 2W), each from its own frame by its own stack."""
        frames = window.unbind(2)
        return [
            stack(frame.contiguous(memory_format=torch.channels_last))
            for stack, frame in zip(self.stacks, frames, strict=True)
        ]

    def initialise(self) -> None:
        """Start as a bilinear upsampler (see ``layers.start_near_upsampler``); the output layer undoes the sigmoid around mid-grey."""
        layers: list[nn.Module] = []
        tail: list[nn.Module] = [self.output]
        for stack in self.stacks:
            if not isinstance(stack, nn.Sequential):
                continue
            convolutions = [layer for layer in stack if not isinstance(layer, nn.ReLU)]
            layers += convolutions
            tail.append(convolutions[-1])
        start_near_upsampler([*layers, *self.volume, self.output], tail)
        # 255 * sigmoid((1.57 x - 200) / 100) is closest to x over the middle of 0..255
        with torch.no_grad():
            self.output.weight[0, 0, 2, 2] = 1.57
            if self.output.bias is not None:
                self.output.bias.fill_(-200.0)


def _stack(width: int, passes: int) -> nn.Sequential:
    recursion = [RecursiveBlock(width, passes)] if passes else []
    return nn.Sequential(
        nn.Conv2d(1, 32, 5, padding=2),
        nn.ReLU(inplace=True),
        nn.Conv2d(32, width, 1),
        nn.ReLU(inplace=True),
        *recursion,
        nn.Conv2d(width, 32, 1),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(32, 16, 4, stride=2, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(16, 1, 5, padding=2),
        nn.ReLU(inplace=True),
    )
