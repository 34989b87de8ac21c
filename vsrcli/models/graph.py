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
Part = Literal["whole", "group", "groups"]
LAYOUT_KEY, TARGET_KEY = "vsr_layout", "vsr_target"


@dataclass(frozen=True, slots=True)
class Graph:
    """An exported network.

    Attributes:
        content: the ONNX file.
        info: what is known of its weights.
        layout: how its 3D convolutions are written.
    """

    content: bytes
    info: CheckpointInfo
    layout: str


def read_graph(path: Path) -> Graph:
    """Read an ONNX file that ``vsr export`` wrote.

    Raises:
        ModelError: missing, damaged, of another program, or made for another program.
    """
    try:
        content = path.read_bytes()
        properties = {item.key: item.value for item in onnx.load_from_string(content).metadata_props}
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    except Exception as error:  # the parser of protocol buffers meets arbitrary bytes
        raise ModelError(f"{path}: no whole ONNX file ({type(error).__name__})") from error
    if METADATA_KEY not in properties:
        raise ModelError(f"{path}: an ONNX file without vsr's header, so its network is unknown; give one that `vsr export` wrote")
    if properties.get(TARGET_KEY, "vsr") != "vsr":
        raise ModelError(f"{path} was exported for {properties[TARGET_KEY]}: export it again without --target")
    return Graph(content, CheckpointInfo.from_json(properties[METADATA_KEY], path), properties.get(LAYOUT_KEY, "unknown"))


def cache_folder() -> Path:
    """Where graphs made from checkpoints are kept: ``$XDG_CACHE_HOME/vsr`` or ``~/.cache/vsr``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "vsr"
