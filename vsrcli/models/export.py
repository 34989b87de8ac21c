"""Networks as ONNX graphs: for the backends that run them, and for other programs."""

from __future__ import annotations

import copy
import io
import json
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from typing import Literal, TypeGuard

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
    by_conv3d,
    upcast_half,
)
from vsrcli.models.weights import METADATA_KEY, CheckpointInfo

# The newest version that onnxruntime 1.15, OpenVINO 2023 and TensorRT 8.6 know. It has all
# operators used here.
OPSET = 17
# Pixels mirrored around the picture for a program that passes whole pictures.
_EDGE_PX = 4
_TRACED_HEIGHT = 24
_TRACED_WIDTH = 32


class _PixelShuffleUpsampling(nn.Module):
    """A transposed 4x4 convolution of stride 2 as a 3x3 convolution and a pixel shuffle."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, layer: nn.ConvTranspose2d) -> None:
        super().__init__()
        source = layer.weight.detach()  # (in, out, 4, 4)
        channels, out_channels = source.shape[:2]
        weight = source.new_zeros(out_channels, 2, 2, channels, 3, 3)
        for phase_y, y, tap_y in _contributions():
            for phase_x, x, tap_x in _contributions():
                taps = source[:, :, tap_y, tap_x]
                weight[:, phase_y, phase_x, :, y, x] = taps.T
        bias = None
        if layer.bias is not None:
            bias = layer.bias.detach().repeat_interleave(4)
        self.register_buffer("weight", weight.flatten(0, 2))
        self.register_buffer("bias", bias)

    @staticmethod
    def can_replace(layer: nn.Module) -> TypeGuard[nn.ConvTranspose2d]:
        """Whether ``layer`` has this form."""
        return (
            isinstance(layer, nn.ConvTranspose2d)
            and layer.kernel_size == (4, 4)
            and layer.stride == (2, 2)
            and layer.padding == (1, 1)
            and layer.output_padding == (0, 0)
            and layer.dilation == (1, 1)
            and layer.groups == 1
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, 2H, 2W)."""
        phases = functional.conv2d(
            x,
            self.weight,
            self.bias,
            padding=1,
        )
        return functional.pixel_shuffle(phases, 2)


def _contributions() -> list[tuple[int, int, int]]:
    """Along one side: (output phase, tap of the 3-tap kernel, tap of the transposed 4-tap one)."""
    contributions = []
    for phase in range(2):
        for position in range(3):
            tap = phase + 3 - 2 * position
            if 0 <= tap < 4:
                contributions.append((phase, position, tap))
    return contributions


class _TanhRange(nn.Module):
    """``OutputRange`` by the hyperbolic tangent."""

    def __init__(self, layer: OutputRange) -> None:
        super().__init__()
        self.middle = (layer.high + layer.low) / 2
        self.reach = (layer.high - layer.low) / 2

    def forward(self, x: Tensor) -> Tensor:
        """Any shape -> the same shape."""
        return self.middle + self.reach * torch.tanh(x / 200)


def _replace_size_dependent_layers(module: nn.Module) -> None:
    """Replace, in place, the layers whose values in OpenVINO depend on the size of the picture.

    Otherwise a part of a picture would not have the bits of the whole picture, which reuse relies
    on (``picture.reuse``). Measured layer by layer: OpenVINO's transposed convolution depends on
    the height where several threads share it (2e-4), its sigmoid on the width (4e-7). No other
    layer of the networks depends on either, nor does any in ONNX Runtime. The replacements take no
    longer, in either library.
    """
    for name, layer in module.named_children():
        if isinstance(layer, OutputRange):
            setattr(module, name, _TanhRange(layer))
        elif _PixelShuffleUpsampling.can_replace(layer):
            setattr(module, name, _PixelShuffleUpsampling(layer))
        else:
            _replace_size_dependent_layers(layer)


class _Windows(nn.Module):
    """(B, planes, H, W) to (B, 2H - 2 trim, 2W - 2 trim), as ``Backend.run``."""

    def __init__(
        self,
        network: Network,
        *,
        layout: Layout,
        half_unit: float | None,
    ) -> None:
        super().__init__()
        self.network = network
        self.layout = layout
        self.half_unit = half_unit

    def forward(self, windows: Tensor) -> Tensor:
        """See the class."""
        window = windows.unsqueeze(1)
        scaled = window
        if self.half_unit is not None:
            scaled = (window * self.half_unit).half()
        features = upcast_half(self._features(scaled))
        middle_plane = window.shape[2] // 2
        middle = window[:, :, middle_plane]
        pictures = self.network.picture(features, middle)
        return pictures[:, 0]

    def _features(self, window: Tensor) -> Tensor:
        if self.layout == "conv3d" and isinstance(self.network, WindowNetwork):
            maps = self.network.frame_maps(window)
            return by_conv3d(self.network, maps)
        return self.network.features(window)


class _GroupEncoder(nn.Module):
    """(B, group_frames, H, W) to the features of the group in a role."""

    def __init__(self, network: GroupedNetwork, role: int) -> None:
        super().__init__()
        self.network = network
        self.role = role

    def forward(self, frames: Tensor) -> Tensor:
        """See the class."""
        return self.network.encode_group(frames, self.role)


class _GroupFusion(nn.Module):
    """Features of all groups of a window, and frame t, to (B, 2H - 2 trim, 2W - 2 trim)."""

    def __init__(
        self,
        network: GroupedNetwork,
        layout: Layout,
    ) -> None:
        super().__init__()
        self.network = network
        self.layout = layout

    def forward(self, *inputs: Tensor) -> Tensor:
        """See the class; frame t (B, H, W) is the last input."""
        *groups, middle = inputs
        features = self._features(groups)
        pictures = self.network.picture(features, middle[:, None])
        return pictures[:, 0]

    def _features(self, groups: Sequence[Tensor]) -> Tensor:
        if self.layout == "conv3d" and isinstance(self.network, WindowNetwork):
            return by_conv3d(self.network, groups)
        return self.network.fuse_groups(groups)


class _Pictures(nn.Module):
    """(B, planes, H, W) of 0..1 to (B, 1, 2H, 2W) of 0..1: whole pictures, as players pass them.

    Edges are mirrored.
    """

    def __init__(
        self,
        windows: _Windows,
        info: CheckpointInfo,
    ) -> None:
        super().__init__()
        self.windows = windows
        is_limited = info.luma_scale == "limited"
        self.black = 16.0 if is_limited else 0.0
        self.span = 219.0 if is_limited else 255.0
        self.crop = info.spec.scale * _EDGE_PX - info.spec.trim

    def forward(self, pictures: Tensor) -> Tensor:
        """See the class."""
        codes = pictures * self.span + self.black
        edges = (_EDGE_PX, _EDGE_PX, _EDGE_PX, _EDGE_PX)
        padded = functional.pad(codes, edges, mode="reflect")
        doubled = self.windows(padded)
        inner = slice(self.crop, -self.crop)
        cropped = doubled[:, None, inner, inner]
        result: Tensor = (cropped - self.black) / self.span
        return result.clamp(0, 1)


def export(
    network: Network,
    info: CheckpointInfo,
    *,
    layout: Layout,
    target: Target = "vsr",
    precision: Literal["fp32", "fp16"] = "fp32",
) -> bytes:
    """Make an ONNX graph of a network with free batch size, height and width.

    Args:
        network: in evaluation mode, float32.
        info: what is known about its weights; the graph's metadata holds it.
        layout: ``sliced``: 3D convolutions as 2D ones over slices, for libraries with slow 3D
            convolutions; ``conv3d``: 3D convolutions.
        target: ``vsr``: input ``windows`` (B, planes, H, W) and output ``pictures``
            (B, 2H - 2 trim, 2W - 2 trim), float32 luma on the checkpoint's scale; ``vs-mlrt``:
            (B, planes, H, W) to (B, 1, 2H, 2W), luma of 0..1.
        precision: of all layers but the last.

    Returns:
        The content of the ONNX file.
    """
    network = copy.deepcopy(network)
    half_unit = to_half(network) if precision == "fp16" else None
    _replace_size_dependent_layers(network)
    windows = _Windows(network, layout=layout, half_unit=half_unit)
    module: nn.Module = windows
    rows = 1
    if target == "vs-mlrt":
        module = _Pictures(windows, info)
        rows = 2
    sample = torch.rand(1, info.spec.planes, _TRACED_HEIGHT, _TRACED_WIDTH)
    content = _trace(
        module,
        [sample],
        input_names=["windows"],
        output_name="pictures",
        free_axes={
            "windows": _free_axes("", 2),
            "pictures": _free_axes("doubled_", rows),
        },
    )
    return _with_metadata(content, info, layout, target)


def export_piece(
    network: GroupedNetwork,
    info: CheckpointInfo,
    piece: int | Literal["groups"],
    *,
    layout: Layout,
) -> bytes:
    """Make the ONNX graph of a part of a grouped network.

    Float32, with free batch size, height and width.

    Args:
        network: in evaluation mode, float32.
        info: what is known about its weights; the graph's metadata holds it.
        piece: a role: input ``frames``; ``groups``: inputs ``group0`` and so on, and ``middle`` if
            the network has a shortcut. See ``GroupedNetwork``.
        layout: as for ``export``.

    Returns:
        The content of the ONNX file.
    """
    network = copy.deepcopy(network)
    _replace_size_dependent_layers(network)
    frames = torch.rand(1, info.spec.group_frames, _TRACED_HEIGHT, _TRACED_WIDTH)
    if piece == "groups":
        module: nn.Module = _GroupFusion(network, layout)
        inputs: list[Tensor] = []
        names: list[str] = []
        with torch.inference_mode():
            for number, role in enumerate(info.spec.group_roles):
                inputs.append(network.encode_group(frames, role))
                names.append(f"group{number}")
        inputs.append(frames[:, 0])
        names.append("middle")
        rows = 1
    else:
        module = _GroupEncoder(network, piece)
        inputs = [frames]
        names = ["frames"]
        rows = 2
    free_axes: dict[str, dict[int, str]] = {}
    for name, value in zip(names, inputs, strict=True):
        free_axes[name] = _free_axes(f"{name}_", value.ndim - 2)
    free_axes["result"] = _free_axes("result_", rows)
    content = _trace(
        module,
        inputs,
        input_names=names,
        output_name="result",
        free_axes=free_axes,
    )
    return _with_metadata(content, info, layout, "vsr")


def _free_axes(prefix: str, rows: int) -> dict[int, str]:
    """Names of the free axes of a tensor: the batch, ``rows``, and the columns after them."""
    columns = rows + 1
    return {
        0: "batch",
        rows: f"{prefix}height",
        columns: f"{prefix}width",
    }


def _trace(
    module: nn.Module,
    inputs: Sequence[Tensor],
    *,
    input_names: list[str],
    output_name: str,
    free_axes: dict[str, dict[int, str]],
) -> bytes:
    buffer = io.BytesIO()
    with torch.inference_mode(), warnings.catch_warnings():
        # The tracer warns of every shape that it records.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            tuple(inputs),
            buffer,  # type: ignore[arg-type]  # it does take a buffer
            dynamo=False,
            opset_version=OPSET,
            input_names=input_names,
            output_names=[output_name],
            dynamic_axes=free_axes,
        )
    return buffer.getvalue()


def _with_metadata(
    content: bytes,
    info: CheckpointInfo,
    layout: Layout,
    target: Target,
) -> bytes:
    graph = onnx.load_from_string(content)
    spec = info.spec
    trim = spec.trim if target == "vsr" else 0
    metadata = {
        METADATA_KEY: json.dumps(asdict(info), sort_keys=True),
        LAYOUT_KEY: layout,
        TARGET_KEY: target,
        "scale": str(spec.scale),
        "radius": str(spec.radius),
        "trim": str(trim),
    }
    onnx.helper.set_model_props(graph, metadata)
    result: bytes = graph.SerializeToString()
    return result
