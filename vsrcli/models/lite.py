"""Lite, 61,700 parameters: frame t, and its neighbours sampled along their motion.

Every convolution runs at the input's size, so an output pixel costs 15,368 multiply-adds. At the
end, four channels are added to frame t and shuffled to the four pixels of twice the size.
``picture.motion`` samples the neighbours at the positions of those four pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from vsrcli.models import NEIGHBOUR_PLANES
from vsrcli.models.layers import Network, channels_last, conv2d

# Initial weight of the neighbours' samples: there are many, and frame t should count more than
# any of them.
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
        self.head = conv2d(self.planes, width, 3)
        layers: list[nn.Module] = []
        for _ in range(depth):
            layers.append(conv2d(width, width, 3))
            layers.append(nn.ReLU(inplace=True))
        self.body = nn.Sequential(*layers)
        self.output = conv2d(width, 4, 1)

    def features(self, window: Tensor) -> Tensor:
        """(B, width, H, W) from planes (B, 1, 21, H, W)."""
        planes = channels_last(window[:, 0])
        first = functional.relu_(self.head(planes))
        result: Tensor = self.body(first) + first
        return result

    def picture(self, features: Tensor, middle: Tensor) -> Tensor:
        """(B, 1, 2H, 2W): frame t plus the last layer, each pixel shuffled to four."""
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
