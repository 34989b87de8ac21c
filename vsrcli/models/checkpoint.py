"""Networks from and to checkpoint files: our safetensors and the report's authors' ``.pth``."""

from __future__ import annotations

import pickle
import warnings
import zipfile
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
from vsrcli.models.layers import Network
from vsrcli.models.weights import METADATA_KEY, CheckpointInfo, check_sum, read_info

_MOST_ARGUMENTS, _LARGEST_ARGUMENT, _LARGEST_BYTES = 32, 1024, 1 << 30


def build(spec: ModelSpec, arguments: Mapping[str, Any] | None = None) -> Network:
    """Make the network of ``spec`` with fresh random weights.

    Raises:
        ModelError: ``arguments`` do not fit the network.
    """
    module, name = spec.module.split(":")
    try:
        network = getattr(import_module(module), name)(**dict(arguments or {}))
    except TypeError as error:
        raise ModelError(
            f"{spec.name} cannot be built with {dict(arguments or {})}: {error}"
        ) from error
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.weight.data = layer.weight.data.contiguous(
                memory_format=torch.channels_last
            )  # see models/layers.py
    return cast(Network, network)


def count_parameters(network: nn.Module) -> int:
    """Number of trainable values."""
    return sum(parameter.numel() for parameter in network.parameters())


def save(path: Path, network: nn.Module, info: CheckpointInfo) -> None:
    """Write ``network`` as one of our checkpoints, under a temporary name first.

    Raises:
        ModelError: the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.part")
    tensors = {
        name: tensor.detach().cpu().contiguous()
        for name, tensor in network.state_dict().items()
    }
    try:
        # by way of bytes: safetensors' own file would be readable by nobody but its owner, whatever the umask
        temporary.write_bytes(
            serialize(tensors, metadata={METADATA_KEY: info.to_json()})
        )
        temporary.replace(path)
    except (OSError, SafetensorError) as error:
        temporary.unlink(missing_ok=True)
        raise ModelError(f"{path}: cannot write the checkpoint: {error}") from error


def load(path: Path) -> tuple[Network, CheckpointInfo]:
    """Load a checkpoint file, in evaluation mode, on the CPU, float32.

    Args:
        path: one of our .safetensors files, or a .pth file of the report's authors (5-parallel, 12 or 24 filters in the 2D stacks).

    Returns:
        The network and what is known about its weights.

    Raises:
        ModelError: damaged, of an unknown kind, for another network, or a pickle that holds more than plain tensors.
    """
    if path.suffix == ".pth":
        tensors, info = _read_authors(path)
    else:
        check_sum(path)  # before anything in it is believed
        info = read_info(path)
        try:
            tensors = load_file(path)
        except (SafetensorError, OSError) as error:
            raise ModelError(
                f"{path}: not a whole safetensors file ({error})"
            ) from error
    _check_arguments(path, info)
    with torch.device(
        "meta"
    ):  # shapes without memory: what the header asks for is believed when the file holds it
        wanted = {
            name: tensor.shape
            for name, tensor in build(info.spec, info.arguments).state_dict().items()
        }
    if wanted != {name: tensor.shape for name, tensor in tensors.items()}:
        raise ModelError(
            f"{path}: its tensors are not those of {info.model} "
            f"({len(tensors)} tensors, {len(wanted)} expected): if another version of vsr made it, use that one, or train again"
        )
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
        raise ModelError(
            f"{path}: its weights are not finite numbers; the checkpoint is damaged or its training diverged"
        )
    network = build(info.spec, info.arguments)
    network.load_state_dict(tensors)
    return network.eval(), info


def _check_arguments(path: Path, info: CheckpointInfo) -> None:
    if not isinstance(info.arguments, Mapping) or len(info.arguments) > _MOST_ARGUMENTS:
        raise ModelError(f"{path}: the arguments of the network in its header are none")
    for name, value in info.arguments.items():
        if (
            not isinstance(value, bool | int | float)
            or not abs(value) <= _LARGEST_ARGUMENT
        ):
            raise ModelError(
                f"{path}: its header asks for a network with {name} = {str(value)[:40]}: no number up to {_LARGEST_ARGUMENT}"
            )


def read_tensors(path: Path) -> Any:
    """Read a file of ``torch.save`` that holds tensors and plain values only; anything that could run code is refused.

    Raises:
        ModelError: it holds more than that, or is no such file.
    """
    try:
        _check_unpacked(path)
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # about old formats; what matters becomes an error below
            return torch.load(path, map_location="cpu", weights_only=True)
    except ModelError:
        raise
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path}: refused: it is not a file of plain tensors, and anything else in a pickle could run code"
        ) from error
    except (
        Exception
    ) as error:  # the unpickler meets arbitrary bytes and fails in as many ways
        raise ModelError(
            f"{path}: refused: no file that PyTorch can read ({type(error).__name__})"
        ) from error


def _check_unpacked(path: Path) -> None:
    """Refuse an archive whose contents are larger than a checkpoint can be, before memory is asked for: few bytes can unpack to many."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > _LARGEST_BYTES:
        raise ModelError(
            f"{path}: refused: it unpacks to {size / 1e9:.1f} GB, and a checkpoint has at most {_LARGEST_BYTES / 1e9:.1f} GB"
        )


def _read_authors(path: Path) -> tuple[dict[str, Tensor], CheckpointInfo]:
    stored = read_tensors(path)
    if not isinstance(stored, dict) or not all(
        isinstance(value, Tensor) for value in stored.values()
    ):
        raise ModelError(f"{path}: refused: it is not a plain dictionary of tensors")
    try:
        tensors = {
            ours: stored[theirs].float() for ours, theirs in _authors_names().items()
        }
        width = int(tensors["stacks.0.2.weight"].shape[0])
    except (KeyError, IndexError) as error:
        raise ModelError(
            f"{path}: not a checkpoint of the authors' 5-parallel ({error} is missing); other .pth files are not known"
        ) from error
    arguments = {} if width == 12 else {"width": width}
    parameters = sum(tensor.numel() for tensor in tensors.values())
    return tensors, CheckpointInfo(
        "5-parallel",
        arguments,
        luma_scale="full",
        trained_on="by the report's authors",
        parameters=parameters,
    )


def _authors_names() -> dict[str, str]:
    """Our tensor names -> those in the authors' files: what their forward pass never uses is left behind."""
    layers: dict[str, str] = {"output": "output2dlayer"}
    for position in range(5):
        theirs, recursive = position + 1, position in RECURSIVE_STACKS
        after = 5 if recursive else 4
        layers[f"stacks.{position}.0"] = f"first2dConv{theirs}"
        layers[f"stacks.{position}.2"] = f"twodConvBlock{theirs}1.1"
        if recursive:
            layers[f"stacks.{position}.4.a"] = f"twodConvBlock{theirs}2.0"
            layers[f"stacks.{position}.4.b"] = f"twodConvBlock{theirs}2.2"
        for offset, index in ((0, 1), (2, 3), (4, 5)):
            layers[f"stacks.{position}.{after + offset}"] = (
                f"twodConvBlock{theirs}3.{index}"
            )
    volume = [
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
    ]
    for index, key in enumerate(volume):
        if isinstance(key, tuple):
            layers[f"volume.{index}.a"], layers[f"volume.{index}.b"] = (
                f"threedConvBlock{part}" for part in key
            )
        else:
            layers[f"volume.{index}"] = f"threedConvBlock{key}"
    return {
        f"{ours}.{kind}": f"{theirs}.{kind}"
        for ours, theirs in layers.items()
        for kind in ("weight", "bias")
    }
