"""What is benchmarked: the baselines and the networks, each a function from a window of low-resolution frames to a luma picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from vsrcli.backends import Backend, open_backend
from vsrcli.frame import ColorTags, Frame
from vsrcli.models import MODELS
from vsrcli.options import BenchOptions
from vsrcli.picture.resize import Kernel, double
from vsrcli.run.network import LumaNetwork, upscale_luma

# OpenCV's cubic (a = -0.75, no antialiasing) is another convention: 0.3 dB higher on the way up, another test on the way down.
BASELINES: dict[str, Kernel] = {
    "nearest": "nearest",
    "bicubic": "bicubic",
    "lanczos": "lanczos",
}


@dataclass(frozen=True, slots=True)
class Method:
    """A way to double a picture.

    Attributes:
        name: for the table.
        is_baseline: interpolation of one frame, no network.
        upscale: window of five frames -> luma (2H, 2W) in the frames' codes.
        device: where it runs, such as ``cpu`` or ``cuda:0``.
    """

    name: str
    is_baseline: bool
    upscale: Callable[[tuple[Frame, ...]], NDArray[Any]]
    device: str = "cpu"


def baselines() -> list[Method]:
    """Interpolation with centres aligned, in the frames' codes."""
    return [
        Method(name, True, _interpolation(kernel)) for name, kernel in BASELINES.items()
    ]


def networks(options: BenchOptions) -> list[Callable[[], Method]]:
    """One function for each network asked for that loads it; by default for all that ship for the degradation's domain.

    Raises:
        ModelError: by the functions: no such model, or a bad checkpoint.
        BackendError: by the functions: the device is missing.
    """
    return [_loader(model, domain, options) for model, domain in chosen(options)]


def chosen(options: BenchOptions) -> Sequence[tuple[str, str | None]]:
    """(model, domain) of every network to run; the domain is that of the degradation where weights for it ship."""
    fitting = {"clean": "clean", "blur3": "blur3"}.get(options.degrade, "video")
    names = options.model or tuple(
        spec.name
        for spec in MODELS.values()
        if options.domain in spec.domains or (options.domain is None and spec.domains)
    )
    result: list[tuple[str, str | None]] = []
    for name in names:
        model, _, domain = (
            name.partition(":") if name.partition(":")[0] in MODELS else (name, "", "")
        )
        wanted = domain or options.domain
        if not wanted and model in MODELS and fitting in MODELS[model].domains:
            wanted = fitting
        result.append((model, (wanted or None) if model in MODELS else None))
    return result


def _interpolation(kernel: Kernel) -> Callable[[tuple[Frame, ...]], NDArray[Any]]:
    return lambda window: double(window[len(window) // 2].luma, kernel)


def _loader(
    model: str, domain: str | None, options: BenchOptions
) -> Callable[[], Method]:
    def load() -> Method:
        backend = open_backend(
            "auto" if model.endswith(".onnx") else "torch",
            model,
            domain,
            device=options.device,
            precision=options.precision,
        )
        name = f"{model}:{backend.domain}" if model in MODELS else Path(model).name
        return Method(name, False, doubling(backend), backend.device)

    return load


def doubling(
    backend: Backend, tags: ColorTags | None = None
) -> Callable[[tuple[Frame, ...]], NDArray[Any]]:
    """A network as a function from a window to its middle frame's luma at twice the size, by the code of ``vsr upscale``; limited range without ``tags``."""
    network = LumaNetwork(backend)
    return lambda window: upscale_luma(window, network, tags or ColorTags())
