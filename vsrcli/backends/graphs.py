"""From a checkpoint to the ONNX graph that an inference library is given: exported once, then kept."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import secrets
from importlib.metadata import version
from pathlib import Path

from vsrcli._version import __version__
from vsrcli.models.graph import (
    FORM,
    Graph,
    Layout,
    Piece,
    cache_folder,
    parse_graph,
    read_graph,
)
from vsrcli.models.weights import locate, read_info, sha256

log = logging.getLogger(__name__)


def graph_of(
    model: str, domain: str | None, layout: Layout, piece: Piece = "whole"
) -> Graph:
    """Get the graph of a model: the file itself where it is one, else made from the checkpoint, or from the cache.

    Args:
        model: a name in ``MODELS``, a checkpoint, or an ``.onnx`` file.
        domain: which shipped weights, or None.
        layout: how the library wants the 3D convolutions; a file keeps its own.
        piece: of a grouped network, which graph; a file is always whole.

    Raises:
        ModelError: no such model, or a bad file.
    """
    path = locate(model, domain)
    if path.suffix == ".onnx":
        graph = read_graph(path)
        if not graph.is_local:
            log.info(
                "%s was exported by an earlier version: parts of a picture that did not change are computed again; export it anew",
                path,
            )
        return graph
    # by the package's data: importing PyTorch takes seconds, and a graph that is kept does not need it
    key = hashlib.sha256(
        f"{sha256(path)} {layout} {piece} {FORM} {__version__} {version('torch')}".encode()
    ).hexdigest()[:24]
    kept = cache_folder() / f"{key}.onnx"
    if kept.is_file():
        with contextlib.suppress(Exception):  # a damaged one is made again
            return read_graph(kept)
    from vsrcli.models.checkpoint import load
    from vsrcli.models.export import export, export_piece
    from vsrcli.models.layers import GroupedNetwork

    log.info("exporting %s to ONNX (%s, %s)", path.name, layout, piece)
    network, info = load(path)
    if piece != "whole" and isinstance(network, GroupedNetwork):
        content = export_piece(network, info, piece, layout=layout)
    else:
        content = export(network, info, layout=layout)
    _keep(kept, content)
    return parse_graph(content, path)


def grouped_graphs(model: str, domain: str | None, layout: Layout) -> list[Graph]:
    """The graphs of a grouped network's roles, in order, and behind them the one that makes the picture.

    For another network, and for an ``.onnx`` file, the whole one alone.
    """
    path = locate(model, domain)
    roles = () if path.suffix in (".onnx", ".pth") else read_info(path).spec.group_roles
    pieces: list[Piece] = [*range(max(roles) + 1), "groups"] if roles else ["whole"]
    return [graph_of(model, domain, layout, piece) for piece in pieces]


def _keep(path: Path, content: bytes) -> None:
    """Write a file of the cache whole or not at all; without a cache it is made anew each time."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        log.info("%s: graphs are not kept: %s", path.parent, error.strerror)
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
