"""From a checkpoint to the ONNX graphs for an inference library: exported once, then kept."""

from __future__ import annotations

import logging
from importlib.metadata import version
from pathlib import Path

from vsrcli._version import __version__
from vsrcli.backends.graph_cache import keep
from vsrcli.models.graph import (
    EXPORT_VERSION,
    Graph,
    Layout,
    Piece,
    parse_graph,
    read_graph,
)
from vsrcli.models.weights import locate, read_info, sha256

log = logging.getLogger(__name__)


def load_graph(
    model: str,
    domain: str | None,
    layout: Layout,
    piece: Piece = "whole",
) -> Graph:
    """Load the graph of a model: an ONNX file itself, else from the cache or the checkpoint.

    Args:
        model: a name in ``MODELS``, a checkpoint, or an ``.onnx`` file.
        domain: which shipped weights, or None.
        layout: form of the 3D convolutions for the library. A file keeps its own.
        piece: which graph of a grouped network. A file is always whole.

    Raises:
        ModelError: no such checkpoint file, or a bad file.
    """
    path = locate(model, domain)
    if path.suffix == ".onnx":
        graph = read_graph(path)
        if not graph.is_local:
            log.info(
                "%s was exported by an earlier version: unchanged parts of a picture are "
                "computed again; export it again",
                path,
            )
        return graph
    key = _key(path, layout, piece)
    content = keep(key, lambda: _export(path, layout, piece))
    return parse_graph(content, path)


def load_graph_pieces(
    model: str,
    domain: str | None,
    layout: Layout,
) -> list[Graph]:
    """The graphs that a grouped network runs as: the encoder of each role, then the fusion.

    Of any other network, and of an ``.onnx`` file, only the whole graph.
    """
    path = locate(model, domain)
    pieces: list[Piece] = ["whole"]
    if path.suffix not in (".onnx", ".pth"):
        roles = read_info(path).spec.group_roles
        if roles:
            pieces = [*range(max(roles) + 1), "groups"]
    return [load_graph(model, domain, layout, piece) for piece in pieces]


def _key(
    checkpoint: Path,
    layout: Layout,
    piece: Piece,
) -> str:
    """What decides a graph: nothing is used that other weights or versions made."""
    parts = (
        sha256(checkpoint),
        layout,
        str(piece),
        str(EXPORT_VERSION),
        __version__,
        # from the packages' metadata: PyTorch takes seconds to import, and a kept graph does not
        # need it
        version("torch"),
        version("onnx"),
    )
    return " ".join(parts)


def _export(
    checkpoint: Path,
    layout: Layout,
    piece: Piece,
) -> bytes:
    # slow to import: PyTorch
    from vsrcli.models.checkpoint import load
    from vsrcli.models.export import export, export_piece
    from vsrcli.models.layers import GroupedNetwork

    log.info("exporting %s to ONNX (%s, %s)", checkpoint.name, layout, piece)
    network, info = load(checkpoint)
    if piece != "whole" and isinstance(network, GroupedNetwork):
        return export_piece(network, info, piece, layout=layout)
    return export(network, info, layout=layout)
