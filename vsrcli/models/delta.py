"""Delta, 83,702 parameters: a shared 2D network, deeper for nearer frames, then a recursive 3D one.

Reconstructed from the report. It gives the idea, the properties and the parameter count, but not
the layers. This is the most natural combination of its known layers with exactly that count.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vsrcli.models.initialisation import init_as_upsampler
from vsrcli.models.layers import (
    Chain3d,
    GroupedNetwork,
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

# The roles of ``ModelSpec.group_roles``: a frame's map depends on its distance from the middle of
# the window.
_OUTER = 0
_CENTRE = 2


class Delta(WindowNetwork, GroupedNetwork):
    """The network; shapes as in ``WindowNetwork.forward``.

    Args:
        passes: how often each recursive block is applied.
    """

    def __init__(self, passes: int = 5) -> None:
        super().__init__()
        self.head = nn.Sequential(
            conv2d(1, 32, 5),
            nn.ReLU(inplace=True),
            conv2d(32, 12, 1),
            nn.ReLU(inplace=True),
        )
        self.block1 = RecursiveBlock(12, passes)
        self.block2 = RecursiveBlock(12, passes)
        self.block3 = nn.Sequential(
            conv2d(12, 16, 3),
            nn.ReLU(inplace=True),
            conv2d(16, 32, 1),
            nn.ReLU(inplace=True),
            upsampling_conv2d(32, 16),
            nn.ReLU(inplace=True),
            conv2d(16, 1, 3),
            nn.ReLU(inplace=True),
        )
        self.volume = Chain3d(
            first_conv3d(32),
            row_conv3d(32, 8),
            RecursiveBlock3d(8, passes),
            RecursiveBlock3d(8, passes),
            row_conv3d(8, 32),
            SlicedConv3d(32, 32, 3),
            SlicedConv3d(32, 32, 3),
        )
        self.output = conv2d(32, 1, 3)

    def frame_maps(self, window: Tensor) -> Stack:
        """Five maps (B, 1, 2H, 2W), each of its own frame and its distance from t only."""
        # all frames in one batch, (B * 5, 1, H, W)
        frames = window.transpose(1, 2).flatten(0, 1)
        features = self.head(channels_last(frames))
        batch = window.shape[0]
        by_frame = features.unflatten(0, (batch, 5))
        outer1, inner1, centre, inner2, outer2 = by_frame.unbind(1)
        centre = self.block1(centre)
        near = torch.cat((inner1, centre, inner2))
        near = self.block2(near)
        inner1, centre, inner2 = near.chunk(3)
        ordered = torch.cat((outer1, inner1, centre, inner2, outer2))
        maps = self.block3(ordered)
        return list(maps.chunk(5))

    def encode_group(self, frames: Tensor, role: int) -> Tensor:
        """The map (B, 1, 2H, 2W) of one frame (B, 1, H, W)."""
        features = self.head(channels_last(frames))
        if role == _CENTRE:
            features = self.block1(features)
        if role != _OUTER:
            features = self.block2(features)
        result: Tensor = self.block3(features)
        return result

    def initialise(self) -> None:
        """Start as a bilinear upsampler (see ``initialisation.init_as_upsampler``)."""
        maps = convolutions([*self.head, *self.block3])
        layers = [
            *maps,
            self.block1,
            self.block2,
            *self.volume,
            self.output,
        ]
        single_channel = [maps[-1], self.output]
        init_as_upsampler(layers, single_channel)
