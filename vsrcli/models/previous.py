"""Previous, 10,577 + 63,129 parameters: the predecessor's baseline, a 2D network on every frame and a 3D network on five of its outputs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vsrcli.models.layers import (
    Chain3d,
    GroupedNetwork,
    SlicedConv3d,
    Stack,
    WindowNetwork,
    start_near_upsampler,
)


class Previous(WindowNetwork, GroupedNetwork):
    """The two networks one after the other; shapes as in ``WindowNetwork.forward``."""

    def __init__(self) -> None:
        super().__init__()
        self.frame = nn.Sequential(
            nn.Conv2d(1, 32, 5, padding=2),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, 8, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(8, 8, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(8, 32, 1),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(32, 16, 4, stride=2, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(16, 1, 5, padding=2),
            nn.ReLU(inplace=True),
        )
        self.volume = Chain3d(
            SlicedConv3d(1, 32, (5, 5, 3), padding=(2, 2, 1)),
            SlicedConv3d(32, 8, (1, 1, 3), padding=(0, 0, 1)),
            SlicedConv3d(8, 8, 3, padding=1),
            SlicedConv3d(8, 8, 3, padding=1),
            SlicedConv3d(8, 32, (1, 1, 3), padding=(0, 0, 1)),
            SlicedConv3d(32, 32, 3),
            SlicedConv3d(32, 32, 3),
        )
        self.output = nn.Conv2d(32, 1, 3, padding=1)

    def frame_maps(self, window: Tensor) -> Stack:
        """Five one-channel maps (B, 1, 2H, 2W): every frame upscaled on its own."""
        return list(
            self.frame(
                torch.cat(window.unbind(2)).contiguous(
                    memory_format=torch.channels_last
                )
            ).chunk(5)
        )

    def of_group(self, frames: Tensor, role: int = 0) -> Tensor:
        """The map (B, 1, 2H, 2W) of one frame (B, 1, H, W)."""
        result: Tensor = self.frame(
            frames.contiguous(memory_format=torch.channels_last)
        )
        return result

    def initialise(self) -> None:
        """Start as a bilinear upsampler (see ``layers.start_near_upsampler``)."""
        convolutions = [layer for layer in self.frame if not isinstance(layer, nn.ReLU)]
        start_near_upsampler(
            [*convolutions, *self.volume, self.output], [convolutions[-1], self.output]
        )
