"""Options as frozen dataclasses: the only home of defaults, choices and help texts.

The command line derives its flags from these fields (``vsrcli/cli/flags.py``). A library caller
fills them in directly.
"""

from __future__ import annotations

from vsrcli.options.bench import BenchOptions
from vsrcli.options.encoder import EncoderOptions
from vsrcli.options.export import ExportOptions
from vsrcli.options.frames import AssembleOptions, ExtractOptions
from vsrcli.options.parse import parse_aspect, parse_crop, parse_devices
from vsrcli.options.preview import PreviewOptions
from vsrcli.options.train import TrainOptions
from vsrcli.options.upscale import AUTO, BatchOptions, UpscaleOptions

__all__ = [
    "AUTO",
    "AssembleOptions",
    "BatchOptions",
    "BenchOptions",
    "EncoderOptions",
    "ExportOptions",
    "ExtractOptions",
    "PreviewOptions",
    "TrainOptions",
    "UpscaleOptions",
    "parse_aspect",
    "parse_crop",
    "parse_devices",
]
