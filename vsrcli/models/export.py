"""Networks as ONNX graphs: for the backends that run them, and for other programs."""

from __future__ import annotations

import copy
import io
import json
import warnings
from dataclasses import asdict
from typing import Literal

import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional

from vsrcli.models.graph import LAYOUT_KEY, TARGET_KEY, Layout, Target
from vsrcli.models.half import to_half
from vsrcli.models.layers import (
    GroupedNetwork,
    Network,
    OutputRange,
    WindowNetwork,
    at_least_single,
    by_conv3d,
)
from vsrcli.models.weights import METADATA_KEY, CheckpointInfo

# The newest that needs nothing newer than onnxruntime 1.15, OpenVINO 2023 and TensorRT 8.6: all operators used here are in it.
OPSET = 17
# Pixels mirrored around the picture where a program hands over whole pictures.
_EDGE_PX = 4
_TRACED_SIZE = (24, 32)


class _Doubling(nn.Module):
    """A transposed convolution of 4x4 taps that doubles both sides, as a 3x3 convolution to all four pixels of a place and a shuffle."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, layer: nn.ConvTranspose2d) -> None:
        super().__init__()
        given = layer.weight.detach()  # (in, out, 4, 4)
        weight = given.new_zeros(given.shape[1], 2, 2, given.shape[0], 3, 3)
        places = [
            (phase, place, phase + 3 - 2 * place)
            for phase in range(2)
            for place in range(3)
        ]
        for down, row, tap_y in places:
            for across, column, tap_x in places:
                if 0 <= tap_y < 4 and 0 <= tap_x < 4:
                    weight[:, down, across, :, row, column] = given[
                        :, :, tap_y, tap_x
                    ].T
        self.register_buffer("weight", weight.flatten(0, 2))
        self.register_buffer(
            "bias",
            None if layer.bias is None else layer.bias.detach().repeat_interleave(4),
        )

    @staticmethod
    def stands_for(layer: nn.ConvTranspose2d) -> bool:
        """Whether there is such a form of a layer."""
        form = (
            layer.kernel_size,
            layer.stride,
            layer.padding,
            layer.output_padding,
            layer.dilation,
            layer.groups,
        )
        return form == ((4, 4), (2, 2), (1, 1), (0, 0), (1, 1), 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, 2H, 2W)."""
        return functional.pixel_shuffle(
            functional.conv2d(x, self.weight, self.bias, padding=1), 2
        )


class _Range(nn.Module):
    """``OutputRange`` by the hyperbolic tangent."""

    def __init__(self, layer: OutputRange) -> None:
        super().__init__()
        self.middle, self.reach = (
            (layer.high + layer.low) / 2,
            (layer.high - layer.low) / 2,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Any shape -> the same shape."""
        return self.middle + self.reach * torch.tanh(x / 200)


def _for_parts(module: nn.Module) -> None:
    """Replace, in place, the layers whose values in OpenVINO depend on how large the picture is.

    Measured, layer by layer: its transposed convolution depends on the height where several threads share it (2e-4), its sigmoid on the width (4e-7); no other
    layer of the networks depends on either, nor does any in ONNX Runtime. A part of a picture would not come out to the bits of the whole one, which is what
    reuse stands on (``picture.reuse``). What replaces them takes no longer, there or in ONNX Runtime.
    """
    for name, layer in module.named_children():
        if isinstance(layer, nn.ConvTranspose2d) and _Doubling.stands_for(layer):
            setattr(module, name, _Doubling(layer))
        elif isinstance(layer, OutputRange):
            setattr(module, name, _Range(layer))
        else:
            _for_parts(layer)


class _Windows(nn.Module):
    """(B, planes, H, W) to (B, 2H - 2 trim, 2W - 2 trim), as ``Backend.run``: the network by slices, or with its 3D convolutions whole."""

    def __init__(self, network: Network, *, layout: Layout, half: float | None) -> None:
        super().__init__()
        self.network, self.layout, self.half_unit = network, layout, half

    def forward(self, windows: Tensor) -> Tensor:
        """See the class."""
        x = windows.unsqueeze(1)
        features = self._features(
            x if self.half_unit is None else (x * self.half_unit).half()
        )
        return self.network.picture(
            at_least_single(features), x[:, :, x.shape[2] // 2]
        )[:, 0]

    def _features(self, x: Tensor) -> Tensor:
        if self.layout == "conv3d" and isinstance(self.network, WindowNetwork):
            return by_conv3d(self.network, self.network.frame_maps(x))
        return self.network.features(x)


class _Group(nn.Module):
    """(B, group_frames, H, W) to what the network makes of the group in a role."""

    def __init__(self, network: GroupedNetwork, role: int) -> None:
        super().__init__()
        self.network, self.role = network, role

    def forward(self, frames: Tensor) -> Tensor:
        """See the class."""
        return self.network.of_group(frames, self.role)


class _Groups(nn.Module):
    """What was made of every group of a window, and last frame t (B, H, W), to the picture (B, 2H - 2 trim, 2W - 2 trim)."""

    def __init__(self, network: GroupedNetwork, layout: Layout) -> None:
        super().__init__()
        self.network, self.layout = network, layout

    def forward(self, *given: Tensor) -> Tensor:
        """See the class."""
        network, groups, middle = self.network, given[:-1], given[-1]
        whole = self.layout == "conv3d"
        features = (
            by_conv3d(network, groups)
            if whole and isinstance(network, WindowNetwork)
            else network.of_groups(groups)
        )
        return network.picture(features, middle[:, None])[:, 0]


class _Pictures(nn.Module):
    """(B, planes, H, W) of 0..1 to (B, 1, 2H, 2W) of 0..1: whole pictures, edges mirrored, as players hand them over."""

    def __init__(self, windows: _Windows, info: CheckpointInfo) -> None:
        super().__init__()
        self.windows = windows
        self.black, self.span = (
            (16.0, 219.0) if info.luma_scale == "limited" else (0.0, 255.0)
        )
        self.cut = info.spec.scale * _EDGE_PX - info.spec.trim

    def forward(self, pictures: Tensor) -> Tensor:
        """See the class."""
        padded = functional.pad(
            pictures * self.span + self.black, (_EDGE_PX,) * 4, mode="reflect"
        )
        doubled = self.windows(padded)[
            :, None, self.cut : -self.cut, self.cut : -self.cut
        ]
        result: Tensor = ((doubled - self.black) / self.span).clamp(0, 1)
        return result


def export(
    network: Network,
    info: CheckpointInfo,
    *,
    layout: Layout,
    target: Target = "vsr",
    precision: Literal["fp32", "fp16"] = "fp32",
) -> bytes:
    """Make an ONNX graph of a network; batch, height and width are free.

    Args:
        network: in evaluation mode, float32.
        info: what is known of its weights; it is written into the graph.
        layout: ``sliced``: 3D convolutions as 2D ones over slices, for libraries whose 3D ones are slow; ``conv3d``: whole.
        target: ``vsr``: input ``windows`` (B, planes, H, W) and output ``pictures`` (B, 2H - 2 trim, 2W - 2 trim), float32 luma on the checkpoint's scale;
            ``vs-mlrt``: (B, planes, H, W) to (B, 1, 2H, 2W), luma of 0..1.
        precision: of everything but the last layer.

    Returns:
        The file's content.
    """
    network = copy.deepcopy(network)
    half = to_half(network) if precision == "fp16" else None
    _for_parts(network)
    wrapped: nn.Module = _Windows(network, layout=layout, half=half)
    if target == "vs-mlrt":
        wrapped = _Pictures(wrapped, info)  # type: ignore[arg-type]  # it is one of them
    buffer = io.BytesIO()
    height, width = _TRACED_SIZE
    rows = 1 if target == "vsr" else 2
    names = {
        "windows": {0: "batch", 2: "height", 3: "width"},
        "pictures": {0: "batch", rows: "doubled_height", rows + 1: "doubled_width"},
    }
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # the tracer warns of every shape that it records
        torch.onnx.export(
            wrapped.eval(), (torch.rand(1, info.spec.planes, height, width),), buffer, dynamo=False,  # type: ignore[arg-type]  # it takes buffers
            opset_version=OPSET,
            input_names=["windows"], output_names=["pictures"], dynamic_axes=names,
        )  # fmt: skip
    return _with_facts(buffer.getvalue(), info, layout, target)


def export_piece(
    network: GroupedNetwork,
    info: CheckpointInfo,
    piece: int | Literal["groups"],
    *,
    layout: Layout,
) -> bytes:
    """Make the ONNX graph of a part of a grouped network, float32; batch, height and width are free.

    Args:
        network: in evaluation mode, float32.
        info: what is known of its weights; it is written into the graph.
        piece: a role: input ``frames``; ``groups``: inputs ``group0`` and so on, and where the network has a shortcut ``middle``. See ``GroupedNetwork``.
        layout: as for ``export``.

    Returns:
        The file's content.
    """
    network = copy.deepcopy(network)
    _for_parts(network)
    height, width = _TRACED_SIZE
    buffer = io.BytesIO()
    frames = torch.rand(1, info.spec.group_frames, height, width)
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if piece == "groups":
            wrapped: nn.Module = _Groups(network, layout)
            given = [
                *(network.of_group(frames, role) for role in info.spec.group_roles),
                frames[:, 0],
            ]
            names = [*(f"group{number}" for number in range(len(given) - 1)), "middle"]
        else:
            wrapped, given, names = _Group(network, piece), [frames], ["frames"]
        axes = {
            name: {
                0: "batch",
                value.ndim - 2: f"{name}_height",
                value.ndim - 1: f"{name}_width",
            }
            for name, value in zip(names, given, strict=True)
        }
        rows = 1 if piece == "groups" else 2
        axes["result"] = {0: "batch", rows: "result_height", rows + 1: "result_width"}
        torch.onnx.export(
            wrapped.eval(), tuple(given), buffer, dynamo=False,  # type: ignore[arg-type]  # see above
            opset_version=OPSET, input_names=names, output_names=["result"], dynamic_axes=axes,
        )  # fmt: skip
    return _with_facts(buffer.getvalue(), info, layout, "vsr")


def _with_facts(
    content: bytes, info: CheckpointInfo, layout: Layout, target: Target
) -> bytes:
    graph = onnx.load_from_string(content)
    facts = {
        "scale": info.spec.scale,
        "radius": info.spec.radius,
        "trim": info.spec.trim if target == "vsr" else 0,
    }
    onnx.helper.set_model_props(
        graph,
        {
            METADATA_KEY: json.dumps(asdict(info), sort_keys=True),
            LAYOUT_KEY: layout,
            TARGET_KEY: target,
            **{key: str(value) for key, value in facts.items()},
        },
    )
    result: bytes = graph.SerializeToString()
    return result
