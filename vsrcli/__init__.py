"""vsr: video super-resolution with small networks that look at five frames at once.

``vsrcli.upscale(source, target, options)`` is the command ``vsr upscale`` as a function. Each name
below is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vsrcli._version import __version__

if TYPE_CHECKING:
    from vsrcli.errors import (
        BackendError,
        InputError,
        ModelError,
        OptionError,
        OutputError,
        VsrError,
    )
    from vsrcli.jobs.upscale import upscale
    from vsrcli.options import EncoderOptions, UpscaleOptions
    from vsrcli.pipeline.upscale_report import UpscaleProgress, UpscaleReport

# name -> the module it is defined in
_MODULES = {
    "BackendError": "vsrcli.errors",
    "InputError": "vsrcli.errors",
    "ModelError": "vsrcli.errors",
    "OptionError": "vsrcli.errors",
    "OutputError": "vsrcli.errors",
    "VsrError": "vsrcli.errors",
    "EncoderOptions": "vsrcli.options",
    "UpscaleOptions": "vsrcli.options",
    "UpscaleProgress": "vsrcli.jobs.upscale",
    "UpscaleReport": "vsrcli.jobs.upscale",
    "upscale": "vsrcli.jobs.upscale",
}

__all__ = [
    "BackendError",
    "EncoderOptions",
    "InputError",
    "ModelError",
    "OptionError",
    "OutputError",
    "UpscaleOptions",
    "UpscaleProgress",
    "UpscaleReport",
    "VsrError",
    "__version__",
    "upscale",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'vsrcli' has no attribute {name!r}")
    module = import_module(_MODULES[name])
    return getattr(module, name)
