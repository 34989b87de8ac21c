"""Networks in half precision, scaled to keep all values far from its limit (65,504)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from vsrcli.errors import ModelError
from vsrcli.models.layers import Network

# Values are scaled down to this magnitude, an eighth of the limit.
_MAX_MAGNITUDE = 8192.0
# Values are not divided by more than this, so that small ones keep their bits.
_MAX_DIVISOR = 64.0
_PROBE_PX = 24


def to_half(network: Network) -> float:
    """Convert all layers but the last to half precision.

    Every layer before the last is a convolution, a ReLU or a sum, so together they are positively
    homogeneous: if the window and all biases are divided by a number, so are the features. The last
    layer, which stays in float32, multiplies by that number. It is a power of two, so nothing is
    rounded.

    Args:
        network: float32; changed in place.

    Returns:
        The factor to multiply a window by before it goes into ``features``.

    Raises:
        ModelError: the network's values are too large even so.
    """
    largest = _largest_activation(network)
    divisor = _divisor(largest)
    if divisor > _MAX_DIVISOR:
        raise ModelError(
            f"the checkpoint's values reach {largest:,.0f}, "
            "too much for half precision (65,504): use --fp32"
        )
    with torch.no_grad():
        for layer in network.modules():
            bias = getattr(layer, "bias", None)
            if layer is not network.output and isinstance(bias, Tensor):
                bias.div_(divisor)
        network.output.weight.mul_(divisor)
    # The conversion to half precision and back would round the last layer.
    state = network.output.state_dict()
    unrounded = {name: value.clone() for name, value in state.items()}
    network.half()
    network.output.float()
    network.output.load_state_dict(unrounded)
    return 1 / divisor


def _divisor(largest: float) -> float:
    """The smallest power of two that brings ``largest`` down to ``_MAX_MAGNITUDE``."""
    if not math.isfinite(largest):
        return math.inf
    exponent = math.ceil(math.log2(largest / _MAX_MAGNITUDE))
    return 2.0 ** max(0, exponent)


def _largest_activation(network: Network) -> float:
    """Largest magnitude that any convolution of a float32 network gives for extreme pictures."""
    largest = 0.0

    def note(
        module: nn.Module,
        inputs: tuple[object, ...],
        result: Tensor | list[Tensor],
    ) -> None:
        nonlocal largest
        outputs = result if isinstance(result, list) else [result]
        for output in outputs:
            magnitude = float(output.abs().max())
            largest = max(largest, magnitude)

    handles = [
        layer.register_forward_hook(note)
        for layer in network.modules()
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Conv3d)
    ]
    device = next(network.parameters()).device
    with torch.inference_mode():
        network(_extreme_pictures(network.planes).to(device))
    for handle in handles:
        handle.remove()
    return largest


def _extreme_pictures(planes: int) -> Tensor:
    """Black, white, noise of both, and a hard edge: (4, 1, planes, H, W)."""
    pictures = torch.zeros(4, 1, planes, _PROBE_PX, _PROBE_PX)
    pictures[1] = 255
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(pictures.shape[1:], generator=generator)
    pictures[2] = 255 * (noise > 0.5)
    pictures[3, ..., _PROBE_PX // 2 :] = 255
    return pictures
