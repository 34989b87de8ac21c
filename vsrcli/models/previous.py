"""Previous, 10,577 + 63,129 parameters: the predecessor, which serves as a baseline.

A 2D network upscales every frame, then a 3D network fuses five of the results.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vsrcli.models.initialisation import init_as_upsampler
from vsrcli.models.layers import (
    Chain3d,
    GroupedNetwork,
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


class Previous(WindowNetwork, GroupedNetwork):
    """The two networks in sequence; shapes as in ``WindowNetwork.forward``."""

    def __init__(self) -> None:
        super().__init__()
        self.frame = nn.Sequential(
            conv2d(1, 32, 5),
            nn.ReLU(inplace=True),
            conv2d(32, 8, 1),
            nn.ReLU(inplace=True),
            conv2d(8, 8, 3),
            nn.ReLU(inplace=True),
            conv2d(8, 32, 1),
            nn.ReLU(inplace=True),
            upsampling_conv2d(32, 16),
            nn.ReLU(inplace=True),
            conv2d(16, 1, 5),
            nn.ReLU(inplace=True),
        )
        self.volume = Chain3d(
            first_conv3d(32),
            row_conv3d(32, 8),
            SlicedConv3d(8, 8, 3, padding=1),
            SlicedConv3d(8, 8, 3, padding=1),
            row_conv3d(8, 32),
            SlicedConv3d(32, 32, 3),
            SlicedConv3d(32, 32, 3),
        )
        self.output = conv2d(32, 1, 3)

    def frame_maps(self, window: Tensor) -> Stack:
        """Five one-channel maps (B, 1, 2H, 2W): every frame upscaled on its own."""
        frames = torch.cat(window.unbind(2))
        maps = self.frame(channels_last(frames))
        return list(maps.chunk(5))

    def encode_group(self, frames: Tensor, role: int = 0) -> Tensor:
        """The map (B, 1, 2H, 2W) of one frame (B, 1, H, W)."""
        result: Tensor = self.frame(channels_last(frames))
        return result

    def initialise(self) -> None:
        """Start as a bilinear upsampler (see ``initialisation.init_as_upsampler``)."""
        maps = convolutions(self.frame)
        layers = [*maps, *self.volume, self.output]
        single_channel = [maps[-1], self.output]
        init_as_upsampler(layers, single_channel)
