"""Load and save networks: our safetensors files and the ``.pth`` files of the report's authors."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as serialize
from torch import Tensor, nn

from vsrcli.errors import ModelError
from vsrcli.models import ModelSpec
from vsrcli.models.five_parallel import RECURSIVE_STACKS
from vsrcli.models.layers import Network, channels_last
from vsrcli.models.torch_file import read_tensors
from vsrcli.models.weights import (
    METADATA_KEY,
    CheckpointInfo,
    read_info,
    verify_checksum,
)

_MAX_ARGUMENTS = 32
_MAX_ARGUMENT_VALUE = 1024
_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def build(
    spec: ModelSpec,
    arguments: Mapping[str, Any] | None = None,
) -> Network:
    """Make the network of ``spec`` with new random weights.

    Raises:
        ModelError: ``arguments`` do not fit the network.
    """
    keywords = dict(arguments or {})
    module, name = spec.module.split(":")
    network_class = getattr(import_module(module), name)
    try:
        network = network_class(**keywords)
    except (TypeError, ValueError, RuntimeError, ArithmeticError) as error:
        reason = str(error).partition("\n")[0]
        raise ModelError(
            f"{spec.name} cannot be built with {str(keywords)[:80]}: {reason[:200]}"
        ) from error
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.weight.data = channels_last(layer.weight.data)
    return cast(Network, network)


def count_parameters(network: nn.Module) -> int:
    """Number of trainable values."""
    return sum(parameter.numel() for parameter in network.parameters())


def save(
    path: Path,
    network: nn.Module,
    info: CheckpointInfo,
) -> None:
    """Write ``network`` as one of our checkpoints, atomically.

    Raises:
        ModelError: the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.part")
    tensors = {
        name: tensor.detach().cpu().contiguous()
        for name, tensor in network.state_dict().items()
    }
    metadata = {METADATA_KEY: info.to_json()}
    try:
        # Through bytes: only the owner could read a file that safetensors writes itself, whatever
        # the umask.
        temporary.write_bytes(serialize(tensors, metadata=metadata))
        temporary.replace(path)
    except (OSError, SafetensorError) as error:
        temporary.unlink(missing_ok=True)
        raise ModelError(f"{path}: cannot write the checkpoint: {error}") from error


def load(path: Path) -> tuple[Network, CheckpointInfo]:
    """Load a checkpoint file, in evaluation mode, on the CPU, float32.

    Args:
        path: one of our .safetensors files, or a .pth file of the report's authors (5-parallel, 12
            or 24 filters in the 2D stacks).

    Returns:
        The network and what is known about its weights.

    Raises:
        ModelError: damaged, of an unknown kind, for another network, or a pickle that holds more
            than plain tensors.
    """
    if path.suffix == ".pth":
        tensors, info = _read_pth(path)
    else:
        tensors, info = _read_safetensors(path)
    _check_arguments(path, info)
    _check_tensors(path, info, tensors)
    network = build(info.spec, info.arguments)
    network.load_state_dict(tensors)
    return network.eval(), info


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], CheckpointInfo]:
    verify_checksum(path)  # before anything in the file is trusted
    info = read_info(path)
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{path}: not a complete safetensors file ({error})"
        ) from error
    return tensors, info


def _check_arguments(path: Path, info: CheckpointInfo) -> None:
    arguments = info.arguments
    if not isinstance(arguments, Mapping) or len(arguments) > _MAX_ARGUMENTS:
        raise ModelError(f"{path}: the network arguments in its header are not valid")
    for name, value in arguments.items():
        is_number = isinstance(value, bool | int | float)
        # a comparison with NaN is false
        if not is_number or not abs(value) <= _MAX_ARGUMENT_VALUE:
            raise ModelError(
                f"{path}: its header asks for a network with {name[:40]} = {str(value)[:40]}: "
                f"not a number up to {_MAX_ARGUMENT_VALUE}"
            )


def _check_tensors(
    path: Path,
    info: CheckpointInfo,
    tensors: Mapping[str, Tensor],
) -> None:
    """Check names, shapes and values before any memory is allocated for the network."""
    # shapes without memory, and without warnings of a network that has no filters
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = build(info.spec, info.arguments).state_dict()
    if _shapes(tensors) != _shapes(expected):
        raise ModelError(
            f"{path}: its tensors are not those of {info.model} "
            f"({len(tensors)} tensors, {len(expected)} expected): "
            "if another version of vsr made it, use that one, or train again"
        )
    for name, tensor in tensors.items():
        if tensor.dtype not in _DTYPES:
            raise ModelError(
                f"{path}: its tensor {name} is of {tensor.dtype}, and weights are "
                "floating-point numbers of 16, 32 or 64 bits"
            )
        if not bool(torch.isfinite(tensor).all()):
            raise ModelError(
                f"{path}: its weights are not finite numbers; "
                "the checkpoint is damaged or its training diverged"
            )


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}


def _read_pth(path: Path) -> tuple[dict[str, Tensor], CheckpointInfo]:
    """Read a checkpoint of the report's authors."""
    stored = read_tensors(path)
    if not isinstance(stored, dict) or not all(
        isinstance(value, Tensor) for value in stored.values()
    ):
        raise ModelError(f"{path}: refused: it is not a plain dictionary of tensors")
    tensors: dict[str, Tensor] = {}
    try:
        for name, stored_name in _pth_names().items():
            tensors[name] = stored[stored_name].float()
        width = int(tensors["stacks.0.2.weight"].shape[0])
    except (KeyError, IndexError) as error:
        raise ModelError(
            f"{path}: not a checkpoint of the authors' 5-parallel ({error} is missing); "
            "other .pth files are not supported"
        ) from error
    info = CheckpointInfo(
        model="5-parallel",
        arguments={} if width == 12 else {"width": width},
        luma_scale="full",
        trained_on="by the report's authors",
        parameters=sum(tensor.numel() for tensor in tensors.values()),
    )
    return tensors, info


# Layers of the 3D part in the authors' files, in order. A recursive block is two of them.
_PTH_VOLUME: tuple[str | tuple[str, str], ...] = (
    "1.0",
    "1.2",
    ("2.0", "2.2"),
    "3.0",
    "3.2",
    ("4.0", "4.2"),
    "5.1",
    "5.3",
    "5.5",
    "5.7",
    "5.9",
    "5.11",
)


def _pth_names() -> dict[str, str]:
    """Our tensor names -> those in the authors' files, without tensors that are never used."""
    layers: dict[str, str] = {"output": "output2dlayer"}
    for position in range(5):
        layers |= _pth_stack(position)
    for index, part in enumerate(_PTH_VOLUME):
        if isinstance(part, tuple):
            first, second = part
            layers[f"volume.{index}.a"] = f"threedConvBlock{first}"
            layers[f"volume.{index}.b"] = f"threedConvBlock{second}"
        else:
            layers[f"volume.{index}"] = f"threedConvBlock{part}"
    names: dict[str, str] = {}
    for layer, stored_layer in layers.items():
        for kind in ("weight", "bias"):
            names[f"{layer}.{kind}"] = f"{stored_layer}.{kind}"
    return names


def _pth_stack(position: int) -> dict[str, str]:
    """The same for the layers of one 2D stack; the authors count the stacks from 1."""
    ours = f"stacks.{position}"
    number = position + 1
    layers = {
        f"{ours}.0": f"first2dConv{number}",
        f"{ours}.2": f"twodConvBlock{number}1.1",
    }
    index = 4
    if position in RECURSIVE_STACKS:
        layers[f"{ours}.4.a"] = f"twodConvBlock{number}2.0"
        layers[f"{ours}.4.b"] = f"twodConvBlock{number}2.2"
        index = 5
    for stored_index in (1, 3, 5):
        layers[f"{ours}.{index}"] = f"twodConvBlock{number}3.{stored_index}"
        index += 2
    return layers
