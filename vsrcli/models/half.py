"""Networks in half precision: scaled so that their values stay far from its end (65,504), whatever the picture."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from vsrcli.errors import ModelError
from vsrcli.models.layers import Network

# Largest magnitude that is left, a factor of eight below the end; and the most that values are divided by for it, so that small ones keep their bits.
_HEADROOM, _MOST = 8192.0, 64.0
_PROBE_PX = 24


def to_half(network: Network) -> float:
    """Turn all layers but the last to half precision.

    Every layer before the last is a convolution, a ReLU or a sum, so the whole is positively homogeneous: with the window and all biases divided by a
    number the features are divided by it, and the last layer, which stays float32, multiplies by it. The number is a power of two: nothing is rounded by it.

    Args:
        network: float32; it is changed.

    Returns:
        What a window has to be multiplied by before it goes into ``features``.

    Raises:
        ModelError: the network's values are too large even so.
    """
    reach = largest_value(network)
    divisor = (
        2.0 ** max(0, math.ceil(math.log2(reach / _HEADROOM)))
        if math.isfinite(reach)
        else math.inf
    )
    if divisor > _MOST:
        raise ModelError(
            f"the checkpoint's values reach {reach:,.0f}, too much for half precision (65,504): use --fp32"
        )
    with torch.no_grad():
        for layer in network.modules():
            if layer is not network.output and isinstance(
                getattr(layer, "bias", None), Tensor
            ):
                layer.bias.div_(divisor)  # type: ignore[operator]  # it is a tensor
        network.output.weight.mul_(divisor)
    last = {name: value.clone() for name, value in network.output.state_dict().items()}
    network.half()
    network.output.float()
    network.output.load_state_dict(
        last
    )  # on the way through half precision it was rounded
    return 1 / divisor


def largest_value(network: Network) -> float:
    """Largest magnitude that any layer of a float32 network gives for pictures of extremes: black, white, noise of both, and a hard edge."""
    largest = 0.0

    def note(
        module: nn.Module, given: tuple[object, ...], result: Tensor | list[Tensor]
    ) -> None:
        nonlocal largest
        largest = max(
            largest,
            *(
                float(part.abs().max())
                for part in (result if isinstance(result, list) else [result])
            ),
        )

    handles = [
        layer.register_forward_hook(note)
        for layer in network.modules()
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Conv3d)
    ]
    device = next(network.parameters()).device
    pictures = torch.zeros(4, 1, network.planes, _PROBE_PX, _PROBE_PX)
    pictures[1] = 255
    pictures[2] = 255 * (
        torch.rand(pictures.shape[1:], generator=torch.Generator().manual_seed(0)) > 0.5
    )
    pictures[3, ..., _PROBE_PX // 2 :] = 255
    with torch.inference_mode():
        network(pictures.to(device))
    for handle in handles:
        handle.remove()
    return largest
