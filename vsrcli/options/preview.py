"""Options of ``vsr preview``."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, get_args

from vsrcli.backends import BACKENDS, parse_device
from vsrcli.errors import OptionError
from vsrcli.models import DEFAULT_MODEL, DOMAINS, MODELS
from vsrcli.options.check import check_choices, check_minima
from vsrcli.options.declare import (
    DEINTERLACE_HELP,
    DEVICE_FLAGS,
    DEVICES,
    MODEL_FLAGS,
    NETWORK_STRENGTH_HELP,
    NETWORKS,
    OVERWRITE_FLAGS,
    PRECISION_HELP,
    Deinterlace,
    Precision,
    option,
)
from vsrcli.options.parse import Crop
from vsrcli.options.upscale import UpscaleOptions
from vsrcli.wording import did_you_mean

# The default network, and the one for machines without a GPU.
_COMPARED = (DEFAULT_MODEL, "lite")
_MAX_FRAMES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewOptions:
    """Everything ``vsr preview`` can be told.

    Raises:
        OptionError: a value that makes no sense, alone or beside another one.
    """

    frames: int = option(
        4,
        "How many frames, spread over the video.",
        group="Input",
        is_common=True,
        metavar="N",
    )
    at: tuple[Fraction, ...] = option(
        (),
        "The frame shown at this time instead: 90, 1:30, 01:02:03.5 or 1h30m; repeatable.",
        group="Input",
        is_common=True,
        metavar="TIME",
    )
    part: Crop | Literal["all"] | None = option(
        None,
        "Part of the pictures of IN: WxH+X+Y; WxH where there is most detail; or `all`.  "
        "[default: 480x270]",
        group="Input",
        is_common=True,
        flags=("--crop",),
        metavar="WxH+X+Y|WxH|all",
    )
    deinterlace: Deinterlace = option(
        "auto",
        DEINTERLACE_HELP,
        group="Input",
        choices=get_args(Deinterlace),
    )
    value_range: tuple[float, float] | None = option(
        None,
        "Of 32-bit float TIFF: the values of black and white.",
        group="Input",
        flags=("--range",),
        metavar="MIN MAX",
    )
    html: str | None = option(
        None,
        "The page.  [default: IN-preview.html in this folder]",
        group="Output",
        is_common=True,
        flags=("--html", "-o"),
        metavar="FILE.html",
    )
    png: str | None = option(
        None,
        "Write the pictures as PNG files into this folder as well.",
        group="Output",
        is_common=True,
        metavar="DIR",
    )
    overwrite: bool = option(
        False,
        "Replace the page and the pictures if they exist.",
        group="Output",
        is_common=True,
        flags=OVERWRITE_FLAGS,
    )
    model: tuple[str, ...] = option(
        (),
        "Network, NETWORK:DOMAIN or file; repeatable.  "
        f"[default: {' and '.join(_COMPARED)}]",
        group="Network",
        is_common=True,
        flags=MODEL_FLAGS,
        suggestions=NETWORKS,
        metavar="MODEL",
    )
    domain: str | None = option(
        None,
        "Weights where no :DOMAIN is named.  [default: video]",
        group="Network",
        choices=tuple(DOMAINS),
    )
    strength: float = option(
        1.0,
        NETWORK_STRENGTH_HELP,
        group="Network",
        metavar="0..1",
    )
    device: str = option(
        "auto",
        "Where networks run, as for `vsr upscale`.",
        group="Speed",
        flags=DEVICE_FLAGS,
        suggestions=DEVICES,
        metavar="DEVICE",
    )
    backend: str = option(
        "auto",
        "Library that runs networks; auto takes the fastest.",
        group="Speed",
        choices=("auto", *BACKENDS),
    )
    precision: Precision | None = option(
        None,
        PRECISION_HELP,
        group="Speed",
        flags=("--fp16", "--fp32"),
        choices=get_args(Precision),
    )
    tile: int | Literal["auto"] = option(
        "auto",
        "Give networks at most N x N pixels at once.",
        group="Speed",
        metavar="N|auto",
    )

    def __post_init__(self) -> None:
        parse_device(self.device)
        check_minima(self, {"frames": 1})
        if self.frames > _MAX_FRAMES:
            raise OptionError(
                f"--frames {self.frames} makes a page that is too large: "
                f"{_MAX_FRAMES} or fewer, or `vsr upscale` with --start and --end"
            )
        check_choices(self, "domain", "deinterlace", "backend", "precision")
        for name in self.models:
            self.for_model(name)

    @property
    def models(self) -> tuple[str, ...]:
        """The networks, each once."""
        return tuple(dict.fromkeys(self.model or _COMPARED))

    def for_model(self, name: str) -> UpscaleOptions:
        """What ``vsr upscale`` would be told to give the pictures of one network.

        Args:
            name: NETWORK, NETWORK:DOMAIN or a file.

        Raises:
            OptionError: a value makes no sense.
        """
        model, _, domain = name.partition(":")
        if model not in MODELS:
            model = name  # a file
            domain = ""
        elif domain and domain not in DOMAINS:
            hint = did_you_mean(domain, DOMAINS)
            raise OptionError(
                f"--model {name}: unknown domain {domain!r}{hint}: choose from {', '.join(DOMAINS)}"
            )
        return UpscaleOptions(
            model=model,
            domain=domain or self.domain,
            strength=self.strength,
            deinterlace=self.deinterlace,
            value_range=self.value_range,
            device=self.device,
            backend=self.backend,
            precision=self.precision,
            tile=self.tile,
        )
