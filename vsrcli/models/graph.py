"""ONNX files as data: what a graph of ours says of itself, and where graphs made from checkpoints are kept. Imports no torch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import onnx

from vsrcli.errors import ModelError
from vsrcli.models.weights import METADATA_KEY, CheckpointInfo

Layout = Literal["sliced", "conv3d"]
Target = Literal["vsr", "vs-mlrt"]
# of a grouped network also what makes the groups of one role, by its number, and what makes the picture of all groups
Piece = int | Literal["whole", "groups"]
# raised when `models.export` writes the same network in another way: graphs that were kept are of no more use
FORM = 3
_LARGEST_BYTES = 1 << 30
# what `models.export` writes in another way; files of other versions may hold them
_SIZE_DEPENDENT = ("ConvTranspose", "Sigmoid")
LAYOUT_KEY, TARGET_KEY = "vsr_layout", "vsr_target"


@dataclass(frozen=True, slots=True)
class Graph:
    """An exported network.

    Attributes:
        content: the ONNX file.
        info: what is known of its weights.
        layout: how its 3D convolutions are written.
        is_local: whether it holds only operators that the libraries were found to compute to the same bits in a part of a picture as in the whole.
    """

    content: bytes
    info: CheckpointInfo
    layout: str
    is_local: bool


def read_graph(path: Path) -> Graph:
    """Read an ONNX file that ``vsr export`` wrote.

    Raises:
        ModelError: missing, damaged, of another program, or made for another program.
    """
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise ModelError(
                f"{path}: refused: {path.stat().st_size / 1e9:.1f} GB are more than a network here can have"
            )
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    return parse_graph(content, path)


def parse_graph(content: bytes, path: Path) -> Graph:
    """Understand the content of an ONNX file that ``vsr export`` wrote.

    Args:
        content: the file's.
        path: what messages name it.

    Raises:
        ModelError: as from ``read_graph``.
    """
    try:
        model = onnx.load_from_string(content)
        properties = {item.key: item.value for item in model.metadata_props}
    except Exception as error:  # the parser of protocol buffers meets arbitrary bytes
        raise ModelError(
            f"{path}: no whole ONNX file ({type(error).__name__})"
        ) from error
    if METADATA_KEY not in properties:
        raise ModelError(
            f"{path}: an ONNX file without vsr's header, so its network is unknown; give one that `vsr export` wrote"
        )
    if _has_external(model.graph):
        raise ModelError(
            f"{path}: refused: it keeps weights in other files; `vsr export` writes none that does"
        )
    if properties.get(TARGET_KEY, "vsr") != "vsr":
        raise ModelError(
            f"{path} was exported for {properties[TARGET_KEY]}: export it again without --target"
        )
    info = CheckpointInfo.from_json(properties[METADATA_KEY], path)
    _check_planes(model.graph, info, path)
    is_local = not any(node.op_type in _SIZE_DEPENDENT for node in model.graph.node)
    return Graph(content, info, properties.get(LAYOUT_KEY, "unknown"), is_local)


def _check_planes(graph: onnx.GraphProto, info: CheckpointInfo, path: Path) -> None:
    """Refuse a whole graph that takes other planes than its network does in this version.

    Raises:
        ModelError: it does.
    """
    for given in graph.input:
        dimensions = given.type.tensor_type.shape.dim
        if given.name == "windows" and len(dimensions) == 4:
            taken = dimensions[1].dim_value
            if taken not in (0, info.spec.planes):
                raise ModelError(
                    f"{path}: it takes {taken} planes, and {info.model} takes {info.spec.planes} "
                    "in this version of vsr: export it again"
                )


def _has_external(graph: onnx.GraphProto) -> bool:
    """Whether a tensor of the graph, or of one inside it, lies in another file."""
    tensors = [
        *graph.initializer,
        *(
            tensor
            for node in graph.node
            for attribute in node.attribute
            for tensor in (attribute.t, *attribute.tensors)
        ),
    ]
    if any(
        tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data
        for tensor in tensors
    ):
        return True
    if any(
        part.data_location == onnx.TensorProto.EXTERNAL
        for sparse in graph.sparse_initializer
        for part in (sparse.values, sparse.indices)
    ):
        return True
    inner = [
        each
        for node in graph.node
        for attribute in node.attribute
        for each in (attribute.g, *attribute.graphs)
        if each.node or each.initializer
    ]
    return any(_has_external(each) for each in inner)


def cache_folder() -> Path:
    """Where graphs made from checkpoints are kept: ``$XDG_CACHE_HOME/vsr`` or ``~/.cache/vsr``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "vsr"
