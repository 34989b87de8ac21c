"""Initial weights with which a network is a bilinear upsampler before it is trained."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vsrcli.models.layers import RecursiveBlock, RecursiveBlock3d


def init_as_upsampler(
    layers: Sequence[nn.Module], single_channel: Sequence[nn.Module]
) -> None:
    """Initialise so that channel 0 carries the luma and the network is a bilinear upsampler.

    A network without a global shortcut that starts at random spends hours learning the identity.
    Here the centre tap of channel 0 is 1, channel 0 of the transposed convolution is the bilinear
    kernel [1 3 3 1]/4, and all biases are zero. The second convolution of a recursive block is zero
    too: any weight left in a block that runs five times would be amplified. The other channels keep
    their random start, so that they learn right away.

    Args:
        layers: all convolutions and recursive blocks that the luma passes through.
        single_channel: the layers among them with a single output channel, which must read channel
            0 only.
    """
    for layer in layers:
        if isinstance(layer, RecursiveBlock | RecursiveBlock3d):
            nn.init.zeros_(layer.b.weight)
            _zero_bias(layer.a)
            _zero_bias(layer.b)
        else:
            _pass_channel_0(layer, reads_only_channel_0=layer in single_channel)


def _pass_channel_0(
    layer: nn.Module,
    *,
    reads_only_channel_0: bool,
) -> None:
    """Make a convolution pass channel 0 through, or upsample it if it is transposed."""
    _zero_bias(layer)
    weight = layer.weight
    if not isinstance(weight, Tensor):
        raise TypeError(f"{type(layer).__name__} has no weight to initialise")
    with torch.no_grad():
        if reads_only_channel_0:
            weight[:, 1:] = 0
        if isinstance(layer, nn.ConvTranspose2d):
            taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 4
            weight[:, 0] = 0
            weight[0, 0] = torch.outer(taps, taps)
        else:
            centre = tuple(size // 2 for size in weight.shape[2:])
            weight[0] = 0
            weight[(0, 0, *centre)] = 1


def _zero_bias(layer: nn.Module) -> None:
    if isinstance(layer.bias, Tensor):
        nn.init.zeros_(layer.bias)
