"""Options of ``vsr upscale``, for one video and for many."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal, get_args

from vsrcli.backends import BACKENDS, parse_device
from vsrcli.errors import OptionError
from vsrcli.models import DEFAULT_MODEL, DOMAINS, MODELS
from vsrcli.options.check import (
    check_aspect,
    check_choices,
    check_rate,
    check_strength,
    check_time_range,
    check_value_range,
    resolve_duration,
)
from vsrcli.options.declare import (
    DEINTERLACE_HELP,
    DEVICE_FLAGS,
    DEVICES,
    DURATION_HELP,
    END_HELP,
    FORMAT_HELP,
    MODEL_FLAGS,
    OVERWRITE_FLAGS,
    OVERWRITE_HELP,
    PRECISION_HELP,
    SAR_HELP,
    START_HELP,
    Deinterlace,
    PipeFormat,
    Precision,
    option,
)
from vsrcli.options.encoder import EncoderOptions
from vsrcli.options.parse import parse_devices
from vsrcli.timing import TimeRange

AUTO = "auto"  # as a model: one is chosen
MIN_TILE_PX = 32  # below, nearly all work would be halo
MAX_TILE_PX = 65536  # no picture is larger
DEFAULT_FPS = Fraction(30)
MIN_SEGMENT_SECONDS = 0.1
MAX_SEGMENT_SECONDS = 86400

Audio = Literal["copy", "none"]
Hwaccel = Literal["auto", "none", "cuda"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpscaleOptions:
    """Everything ``vsr upscale`` can be told.

    Raises:
        OptionError: a value that makes no sense, alone or beside another one.
    """

    model: str = option(
        DEFAULT_MODEL,
        "Network (see `vsr models`), or a file: .safetensors, .pth or .onnx; `auto` "
        "takes the best one within the budget.",
        group="Network",
        is_common=True,
        flags=MODEL_FLAGS,
        suggestions=(AUTO, *MODELS),
        metavar="MODEL",
    )
    budget: float | None = option(
        None,
        "With `--model auto`: how long the run may take.  [default: real time]",
        group="Network",
        metavar="TIME",
    )
    domain: str | None = option(
        None,
        "How the source was degraded: chooses the weights.  [default: video]",
        group="Network",
        is_common=True,
        choices=tuple(DOMAINS),
    )
    strength: float = option(
        1.0,
        "Share of the network in the picture, the rest interpolation: less for noisy or "
        "overcompressed sources.",
        metavar="0..1",
        group="Network",
    )
    fps: Fraction | Literal["source"] | None = option(
        None,
        "Frame rate, N or N/D; `source` keeps every frame and its time.  [default: 30]",
        group="Output",
        is_common=True,
        suggestions=("source", "24", "24000/1001", "25", "30", "60"),
        metavar="RATE|source",
    )
    start: Fraction | None = option(
        None,
        START_HELP,
        group="Input",
        is_common=True,
        metavar="TIME",
    )
    end: Fraction | None = option(
        None,
        END_HELP,
        group="Input",
        is_common=True,
        metavar="TIME",
    )
    duration: Fraction | None = option(
        None,
        DURATION_HELP,
        group="Input",
        metavar="TIME",
    )
    audio: Audio = option(
        "copy",
        "Copy or drop the audio.",
        group="Output",
        choices=get_args(Audio),
    )
    deinterlace: Deinterlace = option(
        "auto",
        DEINTERLACE_HELP,
        group="Input",
        choices=get_args(Deinterlace),
    )
    bake_rotation: bool = option(
        False,
        "Rotate the pictures themselves.",
        group="Output",
    )
    hwaccel: Hwaccel = option(
        "none",
        "Decode on a GPU; `auto`: if there is one.",
        group="Input",
        choices=get_args(Hwaccel),
    )
    value_range: tuple[float, float] | None = option(
        None,
        "For 32-bit float TIFF: the values of black and white.",
        group="Input",
        flags=("--range",),
        metavar="MIN MAX",
    )
    format: PipeFormat | None = option(
        None,
        FORMAT_HELP,
        group="Output",
        choices=get_args(PipeFormat),
    )
    device: str = option(
        "auto",
        "Where the network runs: auto, cpu, cuda, cuda:N or tensorrt; auto takes CUDA"
        " if it works.",
        group="Speed",
        is_common=True,
        flags=DEVICE_FLAGS,
        suggestions=(*DEVICES, "tensorrt"),
        metavar="DEVICE",
    )
    backend: str = option(
        "auto",
        "Library that runs the network; auto takes the fastest.",
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
        "Give the network at most N x N pixels at once; auto takes what fits into "
        "memory.",
        group="Speed",
        metavar="N|auto",
    )
    reuse: bool = option(
        True,
        "Skip what has not changed since the last frame: the output is the same.",
        group="Speed",
        flags=("--reuse/--no-reuse",),
    )
    sar: Fraction | None = option(
        None,
        SAR_HELP,
        group="Input",
        metavar="N:D",
    )
    overwrite: bool = option(
        False,
        OVERWRITE_HELP,
        group="Output",
        is_common=True,
        flags=OVERWRITE_FLAGS,
    )
    strict: bool = option(
        False,
        "Refuse to lose anything: a damaged source, streams, colours, bit depth.",
        group="Safety",
        is_common=True,
    )
    verify: bool = option(
        False,
        "Check the output before it gets its name, as `vsr verify` does.",
        group="Safety",
        is_common=True,
    )
    segment: float = option(
        5.0,
        "Keep finished work in pieces of this length, for a resume; 0: in one go.",
        group="Safety",
        metavar="TIME",
    )
    devices: str | None = option(
        None,
        "Run one process on each of these: cuda:0,cuda:1 or cpu*2.",
        group="Speed",
        metavar="LIST",
    )
    ray: str | None = option(
        None,
        "Run on a Ray cluster; without ADDRESS, on one started here.",
        group="Speed",
        metavar="[ADDRESS]",
        flag_value="local",
    )
    restart: bool = option(
        False,
        "Discard what an interrupted run left, and start over.",
        group="Safety",
    )
    watch: str | None = option(
        None,
        "Show the latest frame beside its source in this file, while vsr works.",
        group="Output",
        metavar="FILE.png",
    )
    encoder: EncoderOptions = field(default_factory=EncoderOptions)

    def __post_init__(self) -> None:
        parse_device(self.device)
        self._check_segments()
        self._check_watch()
        self._check_budget()
        if self.rate != "source":
            check_rate(self.rate)
        if self.tile != "auto" and not MIN_TILE_PX <= self.tile <= MAX_TILE_PX:
            raise OptionError(
                f"--tile {self.tile} makes no sense: {MIN_TILE_PX} to {MAX_TILE_PX}, or `auto`"
            )
        check_strength(self.strength)
        resolve_duration(self)
        check_time_range(self.range)
        check_value_range(self.value_range)
        check_aspect(self.sar)
        check_choices(
            self,
            "domain",
            "audio",
            "deinterlace",
            "precision",
            "hwaccel",
            "backend",
        )

    @property
    def rate(self) -> Fraction | Literal["source"]:
        """Frames per second of the output, whether they were asked for or not."""
        return DEFAULT_FPS if self.fps is None else self.fps

    @property
    def range(self) -> TimeRange:
        """The source times to upscale."""
        return TimeRange(self.start, self.end)

    def _check_segments(self) -> None:
        is_length = MIN_SEGMENT_SECONDS <= self.segment <= MAX_SEGMENT_SECONDS
        if self.segment != 0 and not is_length:
            raise OptionError(
                f"--segment {self.segment:g} makes no sense: give seconds from "
                f"{MIN_SEGMENT_SECONDS} to {MAX_SEGMENT_SECONDS}, or 0 for one go"
            )
        if self.devices is not None:
            parse_devices(self.devices)
            if self.device != "auto" or self.ray is not None:
                raise OptionError(
                    "--devices names the devices: omit --device and --ray"
                )
        is_parallel = self.devices is not None or self.ray is not None
        if is_parallel and not self.segment:
            raise OptionError("--devices and --ray make segments: omit --segment 0")

    def _check_watch(self) -> None:
        if self.watch is None:
            return
        if not self.watch.lower().endswith(".png"):
            raise OptionError(
                f"--watch {self.watch} is no name of a picture: end it in .png"
            )
        if self.ray is not None:
            raise OptionError("--watch sees the frames of this machine: omit --ray")

    def _check_budget(self) -> None:
        if self.budget is None:
            return
        if self.model != AUTO:
            raise OptionError("--budget belongs to --model auto")
        if self.budget <= 0:
            raise OptionError("--budget must be a length of time above zero")


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOptions:
    """What ``vsr upscale`` can be told about many videos at once."""

    out_dir: str | None = option(
        None,
        "Upscale every IN into this folder, under its own name.",
        group="Output",
        metavar="DIR",
    )
    skip_existing: bool = option(
        False,
        "With --out-dir: skip inputs whose output exists.",
        group="Output",
    )
