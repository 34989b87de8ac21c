"""What is benchmarked: the baselines and the networks, as functions from a window to luma."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from vsrcli.backends import Backend, open_backend
from vsrcli.bench.pairs import crf_of
from vsrcli.errors import OptionError
from vsrcli.frame import ColorTags, Frame
from vsrcli.models import DEFAULT_DOMAIN, MODELS
from vsrcli.models.weights import locate, sha256
from vsrcli.options import BenchOptions
from vsrcli.picture.resize import Kernel, double
from vsrcli.pipeline.network import LumaNetwork, upscale_luma

# OpenCV's cubic (a = -0.75, no antialiasing) follows another convention: it scores 0.3 dB higher
# when enlarging, and would be another test when shrinking.
BASELINES: tuple[Kernel, ...] = ("nearest", "bicubic", "lanczos")

# The domains whose weights fit a degradation; for any other degradation it is ``video``.
_MATCHING_DOMAINS = {
    "clean": "clean",
    "blur3": "blur3",
    "compressed": "compressed",
}
# From this crf on, x264 leaves what those for heavily compressed footage have learnt from.
_HEAVY_CRF = 29
# Networks so fast that their default weights are scored beside those for pristine sources.
_SCORED_TWICE = ("lite",)

Window = tuple[Frame, ...]
ModelAndDomain = tuple[str, str | None]
Upscale = Callable[[Window], NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Method:
    """A way to double a picture.

    Attributes:
        name: for the table.
        is_baseline: True for interpolation of one frame, False for networks.
        upscale: window of five frames -> luma (2H, 2W) in the frames' codes.
        device: where it runs, such as ``cpu`` or ``cuda:0``.
    """

    name: str
    is_baseline: bool
    upscale: Upscale
    device: str = "cpu"


Loader = Callable[[], Method]


def baselines() -> list[Loader]:
    """A function for each interpolation, with centres aligned, in the frames' codes."""
    return [partial(_interpolation, kernel) for kernel in BASELINES]


def networks(options: BenchOptions) -> list[Loader]:
    """A function for each network requested that loads it.

    By default these are all networks that ship for the degradation's domain.

    Raises:
        OptionError: an unknown network, or a domain without weights.
        ModelError: a file is missing. The functions raise it for a bad checkpoint.
        BackendError: raised by the functions: the device is missing.
    """
    loaders: list[Loader] = []
    for model, domain in selected_models(options):
        load = partial(
            _network,
            model,
            domain,
            options,
        )
        loaders.append(load)
    return loaders


def selected_models(options: BenchOptions) -> list[ModelAndDomain]:
    """(model, domain) of every network to run, each set of weights once.

    The domain matches the degradation if there are weights for it. Where pristine sources are
    scored, the weights that ``vsr upscale`` takes by default are scored beside, if the network is
    fast.

    Raises:
        OptionError: an unknown network, or a domain without weights.
        ModelError: a file is missing.
    """
    selected: list[ModelAndDomain] = []
    seen: set[str] = set()
    for name in options.model or _shipped_models(options.domain):
        for model, domain in _with_domains(name, options):
            weights = sha256(locate(model, domain))
            if weights not in seen:
                seen.add(weights)
                selected.append((model, domain))
    return selected


def _shipped_models(domain: str | None) -> tuple[str, ...]:
    """Models with weights for a domain, or for any."""
    names = []
    shipped: list[str] = []
    for spec in MODELS.values():
        shipped += spec.domains
        is_shipped = len(spec.domains) > 0
        if domain is not None:
            is_shipped = domain in spec.domains
        if is_shipped:
            names.append(spec.name)
    if not names:
        choices = " or ".join(dict.fromkeys(shipped))
        raise OptionError(
            f"no {domain!r} weights ship for any network: choose --domain {choices}"
        )
    return tuple(names)


def _with_domains(name: str, options: BenchOptions) -> list[ModelAndDomain]:
    """Split ``MODEL:DOMAIN`` and choose the domains where none is named."""
    model, _, named_domain = name.partition(":")
    if model not in MODELS:
        return [(name, None)]  # a checkpoint's file
    domain = named_domain or options.domain
    if domain:
        return [(model, domain)]
    shipped = MODELS[model].domains
    matching = _matching_domain(options.degrade)
    domains = [matching if matching in shipped else None]
    if matching == "clean" and model in _SCORED_TWICE:
        domains.append(DEFAULT_DOMAIN)
    return [(model, domain) for domain in domains]


def _matching_domain(degradation: str) -> str:
    crf = crf_of(degradation)
    if crf is not None and crf >= _HEAVY_CRF:
        return "compressed"
    return _MATCHING_DOMAINS.get(degradation, DEFAULT_DOMAIN)


def _interpolation(kernel: Kernel) -> Method:
    def upscale(window: Window) -> NDArray[Any]:
        middle = window[len(window) // 2]
        return double(middle.luma, kernel)

    return Method(name=kernel, is_baseline=True, upscale=upscale)


def _network(
    model: str,
    domain: str | None,
    options: BenchOptions,
) -> Method:
    backend = open_backend(
        "auto" if model.endswith(".onnx") else "torch",
        model,
        domain,
        device=options.device,
        precision=options.precision,
    )
    is_shipped = model in MODELS
    name = f"{model}:{backend.domain}" if is_shipped else Path(model).name
    if options.strength < 1:
        name += f" {options.strength:g}"
    return Method(
        name=name,
        is_baseline=False,
        upscale=doubling(backend, strength=options.strength),
        device=backend.device,
    )


def doubling(
    backend: Backend,
    tags: ColorTags | None = None,
    strength: float = 1.0,
) -> Upscale:
    """A network as a function from a window to its middle frame's luma at twice the size.

    It runs the code of ``vsr upscale``. Without ``tags`` the range is limited.
    """
    network = LumaNetwork(backend, strength=strength)
    color = tags or ColorTags()
    return lambda window: upscale_luma(window, network, color)
