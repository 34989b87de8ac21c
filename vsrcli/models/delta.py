"""Delta, 83,702 parameters: one shared 2D network, deeper for nearer frames, then a recursive 3D network.

Reconstructed from the report, which gives the idea, the properties and the parameter count but not the layers; this is the most natural
combination of its known layers that has exactly that count.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vsrcli.models.layers import (
    Chain3d,
    GroupedNetwork,
    RecursiveBlock,
    RecursiveBlock3d,
    SlicedConv3d,
    Stack,
    WindowNetwork,
    start_near_upsampler,
)

# The roles of ``ModelSpec.group_roles``: a frame's map depends on its distance from the middle of the window.
_OUTER, _INNER, _CENTRE = range(3)


class Delta(WindowNetwork, GroupedNetwork):
    """The network; shapes as in ``WindowNetwork.forward``.

    Args:
        passes: times each recursive block is applied.
    """

    def __init__(self, passes: int = 5) -> None:
        super().__init__()
        self.head = nn.Sequential(
            nn.Conv2d(1, 32, 5, padding=2),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, 12, 1),
            nn.ReLU(inplace=True),
        )
        self.block1 = RecursiveBlock(12, passes)
        self.block2 = RecursiveBlock(12, passes)
        self.block3 = nn.Sequential(
            nn.Conv2d(12, 16, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(16, 32, 1),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(32, 16, 4, stride=2, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(16, 1, 3, padding=1),
            nn.ReLU(inplace=True),
        )
        self.volume = Chain3d(
            SlicedConv3d(1, 32, (5, 5, 3), padding=(2, 2, 1)),
            SlicedConv3d(32, 8, (1, 1, 3), padding=(0, 0, 1)),
            RecursiveBlock3d(8, passes),
            RecursiveBlock3d(8, passes),
            SlicedConv3d(8, 32, (1, 1, 3), padding=(0, 0, 1)),
            SlicedConv3d(32, 32, 3),
            SlicedConv3d(32, 32, 3),
        )
        self.output = nn.Conv2d(32, 1, 3, padding=1)

    def frame_maps(self, window: Tensor) -> Stack:
        """Five one-channel maps (B, 1, 2H, 2W); each depends on its own frame and its distance from t only."""
        features = self.head(
            window.transpose(1, 2)
            .flatten(0, 1)
            .contiguous(memory_format=torch.channels_last)
        )
        outer1, inner1, centre, inner2, outer2 = features.unflatten(
            0, (window.shape[0], 5)
        ).unbind(1)
        near = self.block2(torch.cat((inner1, self.block1(centre), inner2)))
        inner1, centre, inner2 = near.chunk(3)
        return list(
            self.block3(torch.cat((outer1, inner1, centre, inner2, outer2))).chunk(5)
        )

    def of_group(self, frames: Tensor, role: int) -> Tensor:
        """The map (B, 1, 2H, 2W) of one frame (B, 1, H, W)."""
        features = self.head(frames.contiguous(memory_format=torch.channels_last))
        if role == _CENTRE:
            features = self.block1(features)
        if role != _OUTER:
            features = self.block2(features)
        result: Tensor = self.block3(features)
        return result

    def initialise(self) -> None:
        """Start as a bilinear upsampler (see ``layers.start_near_upsampler``)."""
        convolutions = [
            layer
            for part in (self.head, self.block3)
            for layer in part
            if not isinstance(layer, nn.ReLU)
        ]
        tail = [convolutions[-1], self.output]
        start_near_upsampler(
            [*convolutions, self.block1, self.block2, *self.volume, self.output], tail
        )
