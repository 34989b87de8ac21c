"""Delta, 83,702 parameters: one shared 2D network, deeper for nearer frames, then a recursive 3D network.

Reconstructed from the report, which gives the idea, the properties and the parameter count but not the layers; this is the most natural
combination of its known layers that has exactly that count.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vsrcli.models.layers import Chain3d, RecursiveBlock, RecursiveBlock3d, SlicedConv3d, Stack, at_least_single, start_near_upsampler


class Delta(nn.Module):
    """The network; see ``forward`` for shapes.

    Args:
        passes: times each recursive block is applied.
    """

    def __init__(self, passes: int = 5) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(inplace=True), nn.Conv2d(32, 12, 1), nn.ReLU(inplace=True))
        self.block1 = RecursiveBlock(12, passes)
        self.block2 = RecursiveBlock(12, passes)
        self.block3 = nn.Sequential(
            nn.Conv2d(12, 16, 3, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(16, 32, 1), nn.ReLU(inplace=True),
            nn.ConvTranspose2d(32, 16, 4, stride=2, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(16, 1, 3, padding=1), nn.ReLU(inplace=True),
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

    def forward(self, window: Tensor) -> Tensor:
        """Upscale the middle frame of five.

        Args:
            window: luma of frames t-2..t+2, shape (B, 1, 5, H, W), float, on the scale the weights were trained on.

        Returns:
            Luma of frame t, shape (B, 1, 2H-4, 2W-4), float32.
        """
        (final,) = self.volume(self.frame_maps(window))
        # the last layer stays in float32 under autocast: half precision is coarser than a grey level's tenth up there
        with torch.autocast(window.device.type, enabled=False):
            result: Tensor = self.output(at_least_single(final))
        return result

    def frame_maps(self, window: Tensor) -> Stack:
        """Five one-channel maps (B, 1, 2H, 2W); each depends on its own frame and its distance from t only."""
        features = self.head(window.transpose(1, 2).flatten(0, 1).contiguous(memory_format=torch.channels_last))
        outer1, inner1, centre, inner2, outer2 = features.unflatten(0, (window.shape[0], 5)).unbind(1)
        near = self.block2(torch.cat((inner1, self.block1(centre), inner2)))
        inner1, centre, inner2 = near.chunk(3)
        return list(self.block3(torch.cat((outer1, inner1, centre, inner2, outer2))).chunk(5))

    def initialise(self) -> None:
        """Start as a bilinear upsampler (see ``layers.start_near_upsampler``)."""
        convolutions = [layer for part in (self.head, self.block3) for layer in part if not isinstance(layer, nn.ReLU)]
        tail = [convolutions[-1], self.output]
        start_near_upsampler([*convolutions, self.block1, self.block2, *self.volume, self.output], tail)
