"""Lite, 61,700 parameters: frame t, and its neighbours sampled along their motion.

Every convolution runs at the input's size, so that an output pixel costs 15,368 multiply-adds. What
the network adds to frame t is shuffled to four pixels at the end. The neighbours come as
``picture.motion`` makes them: sampled where those four pixels are.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from vsrcli.models import NEIGHBOUR_PLANES
from vsrcli.models.layers import Network

# A start in which frame t counts more than any sample of its neighbours, of which there are many.
_NEIGHBOUR_START = 0.3


class Lite(Network):
    """The network; shapes as in ``Network.forward``.

    Args:
        width: channels of the body.
        depth: convolutions of the body.
    """

    planes = 1 + 4 * NEIGHBOUR_PLANES

    def __init__(self, width: int = 32, depth: int = 6) -> None:
        super().__init__()
        self.head = nn.Conv2d(self.planes, width, 3, padding=1)
        layers: list[nn.Module] = []
        for _ in range(depth):
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU(inplace=True)]
        self.body = nn.Sequential(*layers)
        self.output = nn.Conv2d(width, 4, 1)

    def features(self, window: Tensor) -> Tensor:
        """(B, width, H, W) from planes (B, 1, 21, H, W)."""
        planes = window[:, 0].contiguous(memory_format=torch.channels_last)
        first = functional.relu_(self.head(planes))
        result: Tensor = self.body(first) + first
        return result

    def picture(self, features: Tensor, middle: Tensor) -> Tensor:
        """(B, 1, 2H, 2W): what the last layer adds to frame t, each of whose pixels became four."""
        return functional.pixel_shuffle(self.output(features) + middle, 2)

    def initialise(self) -> None:
        """Start as nearest-neighbour interpolation: the last layer adds nothing yet."""
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d) and layer.bias is not None:
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)
        middle = self.planes // 2
        with torch.no_grad():
            self.head.weight[:, :middle] *= _NEIGHBOUR_START
            self.head.weight[:, middle + 1 :] *= _NEIGHBOUR_START
        nn.init.zeros_(self.output.weight)
