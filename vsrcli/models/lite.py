"""Lite, 73,028 parameters: five frames at their own size, fused step by step, pixels shuffled at the end.

Every convolution runs at the input's size, so that an output pixel costs 19,994 multiply-adds. Like FastDVDnet (Tassano et al. 2020) it fuses
three overlapping groups of three frames with the same weights and then the three results: what is computed of a frame or of a group is the same in
every window that it is part of.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from vsrcli.models.layers import GroupedNetwork


class Lite(GroupedNetwork):
    """The network; shapes as in ``Network.forward``.

    Args:
        width: channels of the body.
        depth: convolutions of the body.
    """

    def __init__(self, width: int = 32, depth: int = 6) -> None:
        super().__init__()
        self.head = nn.Conv2d(1, 8, 3, padding=1)
        self.group = nn.Conv2d(3 * 8, 16, 3, padding=1)
        self.fuse = nn.Conv2d(3 * 16, width, 3, padding=1)
        self.body = nn.Sequential(*(layer for _ in range(depth) for layer in (nn.Conv2d(width, width, 3, padding=1), nn.ReLU(inplace=True))))
        self.output = nn.Conv2d(width, 4, 1)

    def features(self, window: Tensor) -> Tensor:
        """(B, width, H, W) from a window (B, 1, 5, H, W)."""
        frames = self._frames(window[:, 0])
        return self.of_groups([self._group(frames[first : first + 3]) for first in range(3)])

    def of_group(self, frames: Tensor, role: int = 0) -> Tensor:
        """(B, 16, H, W) from three frames next to each other, (B, 3, H, W)."""
        return self._group(self._frames(frames))

    def of_groups(self, groups: Sequence[Tensor]) -> Tensor:
        """``features`` from three groups."""
        fused = functional.relu_(self.fuse(torch.cat(list(groups), 1)))
        result: Tensor = self.body(fused) + fused
        return result

    def _frames(self, frames: Tensor) -> list[Tensor]:
        # one by one: a library may add up in another order when it is given several at once
        return [functional.relu_(self.head(frame.contiguous(memory_format=torch.channels_last))) for frame in torch.split(frames, 1, dim=1)]

    def _group(self, frames: Sequence[Tensor]) -> Tensor:
        return functional.relu_(self.group(torch.cat(list(frames), 1)))

    def picture(self, features: Tensor, middle: Tensor) -> Tensor:
        """(B, 1, 2H, 2W): what the last layer adds to frame t, each of whose pixels became four."""
        return functional.pixel_shuffle(self.output(features) + middle, 2)

    def initialise(self) -> None:
        """Start as nearest-neighbour interpolation: the last layer adds nothing yet."""
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d) and layer.bias is not None:
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.output.weight)
