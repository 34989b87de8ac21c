"""From a checkpoint to the ONNX graphs for an inference library: exported once, then cached."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import secrets
from importlib.metadata import version
from pathlib import Path

from vsrcli._version import __version__
from vsrcli.models.graph import (
    EXPORT_VERSION,
    Graph,
    Layout,
    Piece,
    cache_folder,
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
        ModelError: no such model, or a bad file.
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
    cached = _cache_path(path, layout, piece)
    if cached.is_file():
        with contextlib.suppress(Exception):  # a damaged file is exported again
            return read_graph(cached)
    content = _export(path, layout, piece)
    _write_to_cache(cached, content)
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


def _cache_path(
    checkpoint: Path,
    layout: Layout,
    piece: Piece,
) -> Path:
    # PyTorch's version comes from the package's metadata: PyTorch takes seconds to import, and a
    # cached graph does not need it.
    torch_version = version("torch")
    parts = (
        sha256(checkpoint),
        layout,
        str(piece),
        str(EXPORT_VERSION),
        __version__,
        torch_version,
    )
    key = " ".join(parts)
    digest = hashlib.sha256(key.encode()).hexdigest()
    return cache_folder() / f"{digest[:24]}.onnx"


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


def _write_to_cache(path: Path, content: bytes) -> None:
    """Write a file of the cache atomically. Without a cache, graphs are exported every time."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        log.info("%s: graphs are not cached: %s", path.parent, error.strerror)
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
