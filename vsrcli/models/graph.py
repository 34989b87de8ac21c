"""ONNX files as data: their metadata. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import onnx

from vsrcli.errors import ModelError
from vsrcli.models.weights import (
    METADATA_KEY,
    CheckpointInfo,
    too_large,
)

Layout = Literal["sliced", "conv3d"]
Target = Literal["vsr", "vs-mlrt"]
# The whole network, or of a grouped network the encoder of one role, by its number, or the graph
# that fuses the groups to the picture.
Piece = int | Literal["whole", "groups"]
# Raise it when `models.export` changes the graphs it writes: kept graphs are then ignored.
EXPORT_VERSION = 3
LAYOUT_KEY = "vsr_layout"
TARGET_KEY = "vsr_target"
# Once parsed, a file of nothing but nodes takes 75 times as much memory.
_MAX_BYTES = 1 << 25
# `models.export` replaces these operators, but files of other versions may contain them.
_SIZE_DEPENDENT_OPERATORS = ("ConvTranspose", "Sigmoid")


@dataclass(frozen=True, slots=True)
class Graph:
    """An exported network.

    Attributes:
        content: the ONNX file.
        info: what is known about its weights.
        layout: how its 3D convolutions are written.
        is_local: whether the libraries compute a part of a picture to the same bits as in the whole
            picture. True if the graph has none of the operators for which they do not.
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
        if path.stat().st_size > _MAX_BYTES:
            raise too_large(path, _MAX_BYTES)
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    return parse_graph(content, path)


def parse_graph(content: bytes, path: Path) -> Graph:
    """Parse the content of an ONNX file that ``vsr export`` wrote.

    Args:
        content: of the file.
        path: name of the file in error messages.

    Raises:
        ModelError: as in ``read_graph``.
    """
    try:
        model = onnx.load_from_string(content)
        properties = {item.key: item.value for item in model.metadata_props}
    except Exception as error:  # the protocol buffer parser reads arbitrary bytes
        raise ModelError(
            f"{path}: not a complete ONNX file ({type(error).__name__})"
        ) from error
    if METADATA_KEY not in properties:
        raise ModelError(
            f"{path}: an ONNX file without vsr's header, so its network is unknown; "
            "give one that `vsr export` wrote"
        )
    _check_operators(model, path)
    target = properties.get(TARGET_KEY, "vsr")
    if target != "vsr":
        raise ModelError(
            f"{path} was exported for {target}: export it again without --target"
        )
    info = CheckpointInfo.from_json(properties[METADATA_KEY], path)
    _check_planes(model.graph, info, path)
    return Graph(
        content=content,
        info=info,
        layout=properties.get(LAYOUT_KEY, "unknown"),
        is_local=not any(
            node.op_type in _SIZE_DEPENDENT_OPERATORS for node in model.graph.node
        ),
    )


def _check_planes(
    graph: onnx.GraphProto,
    info: CheckpointInfo,
    path: Path,
) -> None:
    """Refuse a whole graph that takes other planes than its network does in this version."""
    for graph_input in graph.input:
        dimensions = graph_input.type.tensor_type.shape.dim
        if graph_input.name != "windows" or len(dimensions) != 4:
            continue
        planes = dimensions[1].dim_value
        is_free = planes == 0
        if not is_free and planes != info.spec.planes:
            raise ModelError(
                f"{path}: it takes {planes} planes, and {info.model} takes {info.spec.planes} "
                "in this version of vsr: export it again"
            )


def _check_operators(model: onnx.ModelProto, path: Path) -> None:
    """Refuse what no exported network has, and what would read other files or run for ever."""
    has_own_functions = bool(model.functions or model.training_info)
    if has_own_functions or any(node.domain for node in model.graph.node):
        raise ModelError(
            f"{path}: refused: it has operators of its own, which no file of `vsr export` has"
        )
    for tensor in _tensors(model.graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise ModelError(
                f"{path}: refused: it keeps weights in other files, "
                "which no file of `vsr export` does"
            )
    if any(_has_subgraphs(node) for node in model.graph.node):
        raise ModelError(
            f"{path}: refused: it has branches or loops, which no file of `vsr export` has"
        )


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """All tensors with values in a graph, without those of its subgraphs."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield sparse.values
        yield sparse.indices
    for node in graph.node:
        for attribute in node.attribute:
            yield attribute.t
            yield from attribute.tensors
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield sparse.values
                yield sparse.indices


def _has_subgraphs(node: onnx.NodeProto) -> bool:
    return any(
        attribute.HasField("g") or attribute.graphs for attribute in node.attribute
    )
