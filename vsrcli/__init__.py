"""vsr: video super-resolution with small networks that look at five frames at once.

``vsrcli.upscale(source, target, options)`` is the command ``vsr upscale`` as a call. What is named here is imported when it is first used.
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
    from vsrcli.options import EncoderOptions, UpscaleOptions
    from vsrcli.run.pipeline import UpscaleProgress, UpscaleReport
    from vsrcli.run.upscale import upscale

_HOMES = {
    **dict.fromkeys(
        (
            "BackendError",
            "InputError",
            "ModelError",
            "OptionError",
            "OutputError",
            "VsrError",
        ),
        "vsrcli.errors",
    ),
    **dict.fromkeys(("EncoderOptions", "UpscaleOptions"), "vsrcli.options"),
    **dict.fromkeys(
        ("UpscaleProgress", "UpscaleReport", "upscale"), "vsrcli.run.upscale"
    ),
}

__all__ = [
    "BackendError",
    "EncoderOptions", "InputError", "ModelError", "OptionError", "OutputError", "UpscaleOptions", "UpscaleProgress", "UpscaleReport", "VsrError",
    "__version__", "upscale",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vsrcli' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
