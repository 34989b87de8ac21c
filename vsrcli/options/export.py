"""Options of ``vsr export``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from vsrcli.models import DEFAULT_MODEL, DOMAINS, MODELS
from vsrcli.options.check import check_choices
from vsrcli.options.declare import (
    MODEL_FLAGS,
    OVERWRITE_FLAGS,
    OVERWRITE_HELP,
    Precision,
    option,
)

Layout = Literal["sliced", "conv3d"]
Runner = Literal["vsr", "vs-mlrt"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """Everything ``vsr export`` can be told.

    Raises:
        OptionError: a value that makes no sense.
    """

    model: str = option(
        DEFAULT_MODEL,
        "Network (see `vsr models`), or a .safetensors / .pth file.",
        group="Network",
        flags=MODEL_FLAGS,
        suggestions=tuple(MODELS),
        metavar="MODEL",
    )
    domain: str | None = option(
        None,
        "Which of the network's shipped weights.  [default: video]",
        group="Network",
        choices=tuple(DOMAINS),
    )
    layout: Layout = option(
        "sliced",
        "3D convolutions as slices (ONNX Runtime, TensorRT) or whole (OpenVINO).",
        group="Output",
        choices=get_args(Layout),
    )
    precision: Precision | None = option(
        None,
        "Compute all layers but the last in half precision.  [default: fp32]",
        group="Output",
        flags=("--fp16", "--fp32"),
        choices=get_args(Precision),
    )
    runner: Runner = option(
        "vsr",
        "Program that runs the graph; vs-mlrt gets a VapourSynth script beside it.",
        group="Output",
        flags=("--target",),
        choices=get_args(Runner),
    )
    overwrite: bool = option(
        False,
        OVERWRITE_HELP,
        group="Output",
        flags=OVERWRITE_FLAGS,
    )

    def __post_init__(self) -> None:
        check_choices(self, "layout", "precision", "runner", "domain")
