"""Options of ``vsr bench``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, get_args

from vsrcli.backends import parse_device
from vsrcli.errors import OptionError
from vsrcli.models import DOMAINS
from vsrcli.options.check import check_minima, check_strength, check_time_range
from vsrcli.options.declare import (
    DEVICE_FLAGS,
    DEVICES,
    MODEL_FLAGS,
    NETWORK_STRENGTH_HELP,
    NETWORKS,
    PRECISION_HELP,
    Precision,
    option,
)
from vsrcli.timing import TimeRange
from vsrcli.wording import did_you_mean

Protocol = Literal["vsr", "report"]

_MINIMA = {
    "crop": 0,
    "frames": 1,
    "sequences": 1,
    "area": 32,
}
_DEGRADATIONS = ("clean", "blur3", "video", "compressed", "none")
_METRICS = ("mse", "psnr", "ssim", "warp", "xpsnr", "vmaf", "vmaf_neg", "flip")
_MAX_CRF = 51
_CRF = re.compile(r"crf:(\d+(?:\.\d+)?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchOptions:
    """Everything ``vsr bench`` can be told.

    Raises:
        OptionError: a value that makes no sense, alone or beside another one.
    """

    model: tuple[str, ...] = option(
        (),
        "Network, NETWORK:DOMAIN, or checkpoint file; repeatable.  [default: all that"
        " ship]",
        group="Network",
        is_common=True,
        flags=MODEL_FLAGS,
        suggestions=NETWORKS,
        metavar="MODEL",
    )
    domain: str | None = option(
        None,
        "Shipped weights to use.  [default: those for the degradation]",
        group="Network",
        choices=tuple(DOMAINS),
    )
    strength: float = option(
        1.0,
        NETWORK_STRENGTH_HELP,
        metavar="0..1",
        group="Network",
    )
    degrade: str = option(
        "clean",
        "How the input is made: clean, blur3, crf:N (clean, then x264), or none (with"
        " --lr); of a training pack also video and compressed.",
        group="Input",
        is_common=True,
        suggestions=("clean", "blur3", "crf:23", "none"),
        metavar="KIND",
    )
    lr: str | None = option(
        None,
        "Low-resolution input, instead of making it: video or folder of frames.",
        group="Input",
        metavar="PATH",
    )
    compare: str | None = option(
        None,
        "Score this result of any tool, and run no network.",
        group="Input",
        is_common=True,
        metavar="PATH",
    )
    metrics: tuple[str, ...] = option(
        ("mse", "psnr", "ssim"),
        "Of mse, psnr, ssim, warp (temporal), xpsnr, vmaf, vmaf_neg and flip, those "
        "to compute.",
        group="Scoring",
        is_common=True,
        suggestions=_METRICS,
        metavar="LIST",
    )
    protocol: Protocol = option(
        "vsr",
        "vsr: 8 pixels cropped, Gaussian SSIM; report: the report's borders and SSIM.",
        group="Scoring",
        choices=get_args(Protocol),
    )
    crop: int | None = option(
        None,
        "Pixels left out at each border.  [default: 8; report: 2]",
        group="Scoring",
        metavar="N",
    )
    range: float = option(
        255.0,
        "Peak of the data, and the unit of MSE.",
        group="Scoring",
        metavar="PEAK",
    )
    frames: int | None = option(
        None,
        "Score N frames, spread over the film in short runs; with --start, N in a row.",
        group="Input",
        is_common=True,
        metavar="N",
    )
    start: Fraction | None = option(
        None,
        "Score consecutive frames from this time on.",
        group="Input",
        metavar="TIME",
    )
    sequences: int = option(
        24,
        "Score this many sequences of a training pack.",
        group="Input",
        metavar="N",
    )
    area: int = option(
        128,
        "Score the middle N x N pixels of a training pack's frames.",
        group="Scoring",
        metavar="N",
    )
    device: str = option(
        "auto",
        "Where networks run: auto, cpu, cuda or cuda:N.",
        group="Speed",
        is_common=True,
        flags=DEVICE_FLAGS,
        suggestions=DEVICES,
        metavar="DEVICE",
    )
    precision: Precision | None = option(
        None,
        PRECISION_HELP,
        group="Speed",
        flags=("--fp16", "--fp32"),
        choices=get_args(Precision),
    )

    def __post_init__(self) -> None:
        parse_device(self.device)
        self._check_input()
        if not self.range > 0:
            raise OptionError(
                f"--range {self.range:g} makes no sense: "
                "give the data's peak, such as 255 or 1.0"
            )
        check_strength(self.strength)
        check_time_range(TimeRange(self.start))
        check_minima(self, _MINIMA)
        if not self.metrics:
            raise OptionError(
                "no metric is left: give --metrics a list such as psnr,ssim"
            )

    def _check_input(self) -> None:
        if not _is_degradation(self.degrade):
            hint = did_you_mean(self.degrade, _DEGRADATIONS)
            raise OptionError(
                f"--degrade {self.degrade}{hint}: choose clean, blur3, none, crf:N with N "
                f"from 0 to {_MAX_CRF}, or for a training pack video or compressed"
            )
        if self.degrade == "none" and self.lr is None:
            raise OptionError(
                "--degrade none makes no low-resolution input: give it with --lr"
            )
        if self.lr is not None and self.degrade not in ("clean", "none"):
            raise OptionError(
                f"--lr gives the low-resolution input: omit --degrade {self.degrade}"
            )
        if self.compare is not None and self.model:
            raise OptionError("--compare scores an existing result: omit --model")
        if self.compare is not None and self.lr is not None:
            raise OptionError("--compare scores a result as it is: omit --lr")


def _is_degradation(name: str) -> bool:
    if name in _DEGRADATIONS:
        return True
    crf = _CRF.fullmatch(name)
    return crf is not None and float(crf[1]) <= _MAX_CRF
