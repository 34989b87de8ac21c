"""Previous, 10,577 + 63,129 parameters: the predecessor's baseline, a 2D network on every frame and a 3D network on five of its outputs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vsrcli.models.layers import Chain3d, SlicedConv3d, Stack, at_least_single, start_near_upsampler


class Previous(nn.Module):
    """The two networks one after the other; see ``forward`` for shapes."""

    def __init__(self) -> None:
        super().__init__()
        self.frame = nn.Sequential(
            nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(inplace=True),
            nn.Conv2d(32, 8, 1), nn.ReLU(inplace=True),
            nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(8, 32, 1), nn.ReLU(inplace=True),
            nn.ConvTranspose2d(32, 16, 4, stride=2, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(16, 1, 5, padding=2), nn.ReLU(inplace=True),
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

    def forward(self, window: Tensor) -> Tensor:
        """Upscale the middle frame of five.

        Args:
            window: luma of frames t-2..t+2, shape (B, 1, 5, H, W), float, on the scale the weights were trained on.

        Returns:
            Luma of frame t, shape (B, 1, 2H-4, 2W-4), float32.
        """
        (final,) = self.volume(self.frame_maps(window))
        with torch.autocast(window.device.type, enabled=False):
            result: Tensor = self.output(at_least_single(final))
        return result

    def frame_maps(self, window: Tensor) -> Stack:
        """Five one-channel maps (B, 1, 2H, 2W): every frame upscaled on its own."""
        return list(self.frame(torch.cat(window.unbind(2)).contiguous(memory_format=torch.channels_last)).chunk(5))

    def initialise(self) -> None:
        """Start as a bilinear upsampler (see ``layers.start_near_upsampler``)."""
        convolutions = [layer for layer in self.frame if not isinstance(layer, nn.ReLU)]
        start_near_upsampler([*convolutions, *self.volume, self.output], [convolutions[-1], self.output])
