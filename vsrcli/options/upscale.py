"""Options of ``vsr upscale``, for one video and for many."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal, get_args

from vsrcli.backends import BACKENDS
from vsrcli.errors import OptionError
from vsrcli.models import DEFAULT_MODEL, DOMAINS
from vsrcli.options.check import check_choices, check_time_range, check_value_range
from vsrcli.options.declare import (
    DEINTERLACE_HELP,
    DEVICE_FLAGS,
    END_HELP,
    FORMAT_HELP,
    MODEL_FLAGS,
    OVERWRITE_FLAGS,
    OVERWRITE_HELP,
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
MAX_FPS = 1000
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
        "Network (see `vsr models`), or a .safetensors / .pth / .onnx file; `auto` picks the best "
        "one that stays within the budget on this machine.",
        flags=MODEL_FLAGS,
    )
    budget: float | None = option(
        None,
        "With `--model auto`: how long the network may take in all, such as 2h or 90m.  "
        "[default: real time]",
        metavar="TIME",
    )
    domain: str | None = option(
        None,
        "Which of the network's shipped weights: how the source was degraded.  [default: video]",
        choices=tuple(DOMAINS),
    )
    fps: Fraction | Literal["source"] = option(
        Fraction(30),
        "Frame rate of the output, N or N/D; `source` keeps every frame and its timestamp.",
        metavar="RATE|source",
    )
    start: Fraction | None = option(
        None,
        START_HELP,
        metavar="TIME",
    )
    end: Fraction | None = option(
        None,
        END_HELP,
        metavar="TIME",
    )
    audio: Audio = option(
        "copy",
        "Copy or drop the audio.",
        choices=get_args(Audio),
    )
    deinterlace: Deinterlace = option(
        "auto",
        DEINTERLACE_HELP,
        choices=get_args(Deinterlace),
    )
    bake_rotation: bool = option(
        False,
        "Rotate the pictures themselves instead of keeping the display rotation.",
    )
    hwaccel: Hwaccel = option(
        "none",
        "Decode on a GPU; `auto`: if there is one. Falls back to the CPU by itself.",
        choices=get_args(Hwaccel),
    )
    value_range: tuple[float, float] | None = option(
        None,
        "For folders of 32-bit float TIFF (simulation fields): the values that map to black and "
        "white.",
        flags=("--range",),
        metavar="MIN MAX",
    )
    format: PipeFormat | None = option(
        None,
        FORMAT_HELP,
        choices=get_args(PipeFormat),
    )
    device: str = option(
        "auto",
        "Where the network runs: auto, cpu, cuda or cuda:N (with ONNX Runtime also tensorrt); "
        "auto picks CUDA if it works.",
        flags=DEVICE_FLAGS,
    )
    backend: str = option(
        "auto",
        "Library that runs the network: auto picks PyTorch on CUDA, and on the CPU OpenVINO if it "
        "is installed, else ONNX Runtime.",
        choices=("auto", *BACKENDS),
    )
    precision: Precision | None = option(
        None,
        "Compute in half precision.  [default: fp16 on CUDA, fp32 on the CPU]",
        flags=("--fp16", "--fp32"),
        choices=get_args(Precision),
    )
    tile: int | Literal["auto"] = option(
        "auto",
        "Feed the network at most N x N pixels at once; auto takes whole pictures if memory "
        "allows, else strips, else tiles.",
        metavar="N|auto",
    )
    reuse: bool = option(
        True,
        "Skip what has not changed since the last frame; the output is the same.",
        flags=("--reuse/--no-reuse",),
    )
    overwrite: bool = option(
        False,
        OVERWRITE_HELP,
        flags=OVERWRITE_FLAGS,
    )
    strict: bool = option(
        False,
        "Refuse to lose anything: a damaged source, or streams, colours or bit depth that the "
        "output cannot keep.",
    )
    verify: bool = option(
        False,
        "Check the output against the source before it gets its name, as `vsr verify` does.",
    )
    segment: float = option(
        5.0,
        "Finish and keep this many seconds of video at a time, in the folder OUT.vsr: after an "
        "interruption the same command continues from there. 0: everything in one go.",
        metavar="SECONDS",
    )
    devices: str | None = option(
        None,
        "Upscale segments in parallel, one process per device: cuda:0,cuda:1 or cpu*2. "
        "All devices are of one kind.",
        metavar="LIST",
    )
    ray: str | None = option(
        None,
        "Upscale segments on the Ray cluster at this address (`pip install 'vsrcli[ray]'`), or "
        "without one on a cluster on this machine. The source must have the same path everywhere.",
        metavar="[ADDRESS]",
        flag_value="local",
    )
    restart: bool = option(
        False,
        "Discard what an interrupted run left in OUT.vsr, and start over.",
    )
    encoder: EncoderOptions = field(default_factory=EncoderOptions)

    def __post_init__(self) -> None:
        self._check_segments()
        self._check_budget()
        if self.fps != "source" and not 0 < self.fps <= MAX_FPS:
            raise OptionError(
                f"--fps {self.fps} makes no sense: "
                f"give a rate above 0 and up to {MAX_FPS}, or `source`"
            )
        if self.tile != "auto" and self.tile < MIN_TILE_PX:
            raise OptionError(
                f"--tile {self.tile} is too small: {MIN_TILE_PX} or more, or `auto`"
            )
        check_time_range(self.range)
        check_value_range(self.value_range)
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
        "Upscale every IN into this folder, under its own name; a failure does not stop the rest.",
        metavar="DIR",
    )
    skip_existing: bool = option(
        False,
        "With --out-dir: skip what is already in the folder.",
    )
