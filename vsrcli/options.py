"""Options as frozen dataclasses: the only home of defaults, choices and help texts.

The command line derives its flags from these fields (``vsrcli/cli/flags.py``), a library caller fills them in directly.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from fractions import Fraction
from typing import Any, Literal

from vsrcli.backends import BACKENDS
from vsrcli.errors import OptionError
from vsrcli.models import DEFAULT_MODEL, DOMAINS, MODELS

AUTO = "auto"  # as a model: one is chosen
SMALLEST_TILE = 32  # pixels; below, nearly all work would be halo


def option(
    default: Any,
    help_text: str,
    *,
    flags: tuple[str, ...] = (),
    choices: tuple[str, ...] = (),
    metavar: str | None = None,
    flag_value: str | None = None,
) -> Any:
    """Declare a dataclass field together with what the command line shows of it.

    Args:
        default: the value where the user says nothing.
        help_text: one sentence for ``--help``.
        flags: spellings, first the long one; derived from the field's name where empty.
        choices: allowed strings.
        metavar: placeholder in the help.
        flag_value: what the flag means without a value; None: it needs one.
    """
    return field(
        default=default,
        metadata={
            "help": help_text,
            "flags": flags,
            "choices": choices,
            "metavar": metavar,
            "flag_value": flag_value,
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderOptions:
    """How the output video is encoded."""

    codec: str = option(
        "auto",
        "Video encoder, by FFmpeg's name (libx264, libx265, libsvtav1, libvpx-vp9, ffv1, prores_ks, hevc_nvenc, ...); `auto` takes libx264, for more "
        "than 8 bits and HDR libx265, in .webm libvpx-vp9.",
        flags=("--codec", "-c"),
    )
    crf: float = option(
        16.0,
        "Constant quality: smaller is better and larger; for encoders that have it.",
    )
    preset: str = option("medium", "Encoder's speed preset; for encoders that have it.")
    pix_fmt: str | None = option(
        None,
        "Pixel format of the output.  [default: the source's, where the encoder takes it]",
    )
    extra: tuple[tuple[str, str], ...] = option(
        (),
        "Further encoder option, repeatable, such as -e tune=film.",
        flags=("-e",),
        metavar="KEY=VALUE",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class UpscaleOptions:
    """Everything ``vsr upscale`` can be told.

    Raises:
        OptionError: a value that makes no sense, alone or beside another one.
    """

    model: str = option(
        DEFAULT_MODEL,
        "Network (see `vsr models`), or a .safetensors / .pth / .onnx file; `auto` takes the best one that keeps the budget on this machine.",
        flags=("--model", "-m"),
    )
    budget: float | None = option(
        None,
        "With `--model auto`: how long the network may take in all, such as 2h or 90m.  [default: real time]",
        metavar="TIME",
    )
    domain: str | None = option(
        None,
        "Which of the network's shipped weights: what the source has been through.  [default: video]",
        choices=tuple(DOMAINS),
    )
    fps: Fraction | Literal["source"] = option(
        Fraction(30),
        "Frames a second of the output, N or N/D; `source` keeps every frame and its timestamp.",
        metavar="RATE|source",
    )
    start: Fraction | None = option(
        None, "Begin here: seconds or [HH:]MM:SS[.fff].", metavar="TIME"
    )
    end: Fraction | None = option(
        None, "Stop before this time: seconds or [HH:]MM:SS[.fff].", metavar="TIME"
    )
    audio: Literal["copy", "none"] = option(
        "copy", "What becomes of the audio.", choices=("copy", "none")
    )
    deinterlace: Literal["auto", "off", "field"] = option(
        "auto",
        "Deinterlace (bwdif) pictures marked as interlaced: one frame for each, or one for each field.",
        choices=("auto", "off", "field"),
    )
    bake_rotation: bool = option(
        False, "Turn the pictures themselves instead of carrying the display rotation."
    )
    hwaccel: Literal["auto", "none", "cuda"] = option(
        "none",
        "Decode on a GPU; auto where one is. Falls back to the processor by itself.",
        choices=("auto", "none", "cuda"),
    )
    value_range: tuple[float, float] | None = option(
        None,
        "For folders of 32-bit float TIFF (simulation fields): the values that become black and white.",
        flags=("--range",),
        metavar="MIN MAX",
    )
    format: str | None = option(
        None,
        "Container of an output that is `-` (standard output).  [default: nut]",
        choices=("nut", "y4m", "matroska", "mpegts"),
    )
    device: str = option(
        "auto",
        "Where the network runs: auto, cpu, cuda or cuda:N (with ONNX Runtime also tensorrt); auto takes CUDA where it works.",
        flags=("--device", "-d"),
    )
    backend: str = option(
        "auto",
        "What runs it: auto takes PyTorch on CUDA, on the processor OpenVINO where it is installed, else ONNX Runtime.",
        choices=("auto", *BACKENDS),
    )
    precision: Literal["fp16", "fp32"] | None = option(
        None,
        "Arithmetic of the network.  [default: fp16 on CUDA, fp32 on the CPU]",
        flags=("--fp16", "--fp32"),
        choices=("fp16", "fp32"),
    )
    tile: int | Literal["auto"] = option(
        "auto",
        "Feed the network at most N x N pixels at once; auto takes whole pictures where memory allows, else strips, else tiles.",
        metavar="N|auto",
    )
    reuse: bool = option(
        True,
        "Leave out what has not changed since the last frame; the output is the same.",
        flags=("--reuse/--no-reuse",),
    )
    overwrite: bool = option(
        False, "Replace the output if it exists.", flags=("--overwrite", "-y")
    )
    strict: bool = option(
        False,
        "Refuse what would lose anything: a damaged source, streams, colours or depth that the output cannot keep.",
    )
    verify: bool = option(
        False,
        "Check the output against the source before it gets its name, as `vsr verify` does.",
    )
    segment: float = option(
        5.0,
        "Seconds of video that are finished and kept at a time, in the folder OUT.vsr: after an interruption the same command goes on from there. "
        "0: everything in one go.",
        metavar="SECONDS",
    )
    devices: str | None = option(
        None,
        "Make segments side by side, in a process for each of these devices of one kind: cuda:0,cuda:1 or cpu*2.",
        metavar="LIST",
    )
    ray: str | None = option(
        None,
        "Make segments on a Ray cluster (`pip install 'vsrcli[ray]'`): its address, or without one a cluster on this machine. The source must have the "
        "same path everywhere.",
        metavar="[ADDRESS]",
        flag_value="local",
    )
    restart: bool = option(
        False, "Throw away what an interrupted run left in OUT.vsr, and begin anew."
    )
    encoder: EncoderOptions = field(default_factory=EncoderOptions)

    def __post_init__(self) -> None:
        if not (self.segment == 0 or 0.1 <= self.segment <= 86400):
            raise OptionError(
                f"--segment {self.segment:g} makes no sense: give seconds from 0.1 to 86400, or 0 for one go"
            )
        if self.domain is not None and self.domain not in DOMAINS:
            raise OptionError(
                f"unknown domain {self.domain!r}: choose from {', '.join(DOMAINS)}"
            )
        if self.fps != "source" and not 0 < self.fps <= 1000:
            raise OptionError(
                f"--fps {self.fps} makes no sense: give a rate above 0 and up to 1000, or `source`"
            )
        if self.devices is not None:
            parse_devices(self.devices)
            if self.device != "auto" or self.ray is not None:
                raise OptionError(
                    "--devices names the devices: leave --device and --ray away"
                )
        if (self.devices is not None or self.ray is not None) and not self.segment:
            raise OptionError(
                "--devices and --ray make segments: leave --segment 0 away"
            )
        if self.budget is not None and (self.budget <= 0 or self.model != AUTO):
            raise OptionError(
                "--budget is a length of time above zero"
                if self.model == AUTO
                else "--budget belongs to --model auto"
            )
        if self.tile != "auto" and self.tile < SMALLEST_TILE:
            raise OptionError(
                f"--tile {self.tile} is too small: {SMALLEST_TILE} or more, or `auto`"
            )
        _check_range(self.start, self.end)
        if (
            self.value_range is not None
            and not self.value_range[0] < self.value_range[1]
        ):
            raise OptionError(
                f"--range {self.value_range[0]:g} {self.value_range[1]:g} makes no sense: give the smaller value first"
            )
        allowed = {
            "audio": ("copy", "none"),
            "deinterlace": ("auto", "off", "field"),
            "precision": (None, "fp16", "fp32"),
            "hwaccel": ("auto", "none", "cuda"),
        }
        allowed["backend"] = ("auto", *BACKENDS)
        for name, choices in allowed.items():
            if getattr(self, name) not in choices:
                raise OptionError(
                    f"unknown {name} {getattr(self, name)!r}: choose from {', '.join(str(choice) for choice in choices)}"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOptions:
    """What ``vsr upscale`` can be told about many videos at once."""

    out_dir: str | None = option(
        None,
        "Upscale every IN into this folder, under its own name; one that fails does not stop the rest.",
        metavar="DIR",
    )
    skip_existing: bool = option(
        False, "With --out-dir: leave out what is in the folder already."
    )


_DEVICE = re.compile(r"(cpu|cuda(?::\d+)?)(?:\*(\d{1,3}))?")


def parse_devices(text: str) -> tuple[str, ...]:
    """Read ``cuda:0,cuda:1`` or ``cpu*2``.

    Raises:
        OptionError: none of these, or devices of several kinds.
    """
    found: list[str] = []
    for part in text.split(","):
        match = _DEVICE.fullmatch(part.strip())
        if match is None or match[2] == "0":
            raise OptionError(
                f"--devices {text!r}: give a list such as cuda:0,cuda:1 or cpu*2"
            )
        found += [match[1]] * int(match[2] or 1)
    if len({device.partition(":")[0] for device in found}) > 1:
        raise OptionError(
            f"--devices {text!r}: frames of cpu and cuda differ a little: give devices of one kind"
        )
    return tuple(found)


def _check_range(start: Fraction | None, end: Fraction | None) -> None:
    for name, value in (("--start", start), ("--end", end)):
        if value is not None and value < 0:
            raise OptionError(
                f"{name} {float(value):g} is negative: times count from the beginning of the file"
            )
    if end is not None and end <= (start or 0):
        raise OptionError(
            f"--end {float(end):g} is not after --start {float(start or 0):g}: nothing would be left"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractOptions:
    """Everything ``vsr extract`` can be told.

    Raises:
        OptionError: a value that makes no sense, alone or beside another one.
    """

    pattern: str = option(
        "frame%06d.png",
        "Names of the pictures, with the place of the number; .png, .tif or .tiff. More than 8 bits become 16.",
        metavar="NAME%06d.png",
    )
    luma: bool = option(
        False, "Gray pictures of the luma codes as they are stored, instead of RGB."
    )
    start: Fraction | None = option(
        None, "Begin here: seconds or [HH:]MM:SS[.fff].", metavar="TIME"
    )
    end: Fraction | None = option(
        None, "Stop before this time: seconds or [HH:]MM:SS[.fff].", metavar="TIME"
    )
    deinterlace: Literal["auto", "off", "field"] = option(
        "auto",
        "Deinterlace (bwdif) pictures marked as interlaced: one frame for each, or one for each field.",
        choices=("auto", "off", "field"),
    )
    overwrite: bool = option(
        False, "Replace pictures of the same names.", flags=("--overwrite", "-y")
    )
    strict: bool = option(False, "Refuse a damaged source.")

    def __post_init__(self) -> None:
        _check_range(self.start, self.end)


@dataclass(frozen=True, slots=True, kw_only=True)
class AssembleOptions:
    """Everything ``vsr assemble`` can be told.

    Raises:
        OptionError: a value that makes no sense, alone or beside another one.
    """

    fps: Fraction = option(Fraction(30), "Pictures a second, N or N/D.", metavar="RATE")
    audio_from: str | None = option(
        None, "Copy the audio of this file.", metavar="FILE"
    )
    value_range: tuple[float, float] | None = option(
        None,
        "For 32-bit float TIFF: the values that become black and white.",
        flags=("--range",),
        metavar="MIN MAX",
    )
    format: str | None = option(
        None,
        "Container of an output that is `-` (standard output).  [default: nut]",
        choices=("nut", "y4m", "matroska", "mpegts"),
    )
    overwrite: bool = option(
        False, "Replace the output if it exists.", flags=("--overwrite", "-y")
    )
    strict: bool = option(
        False, "Refuse what would lose anything: colour's resolution, depth, alpha."
    )
    encoder: EncoderOptions = field(default_factory=EncoderOptions)

    def __post_init__(self) -> None:
        if not 0 < self.fps <= 1000:
            raise OptionError(
                f"--fps {self.fps} makes no sense: give a rate above 0 and up to 1000"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """Everything ``vsr export`` can be told.

    Raises:
        OptionError: a value that makes no sense.
    """

    model: str = option(
        DEFAULT_MODEL,
        "Network (see `vsr models`), or a .safetensors / .pth checkpoint file.",
        flags=("--model", "-m"),
    )
    domain: str | None = option(
        None,
        "Which of the network's shipped weights.  [default: video]",
        choices=tuple(DOMAINS),
    )
    layout: Literal["sliced", "conv3d"] = option(
        "sliced",
        "3D convolutions as 2D ones over slices (ONNX Runtime, TensorRT), or whole (OpenVINO).",
        choices=("sliced", "conv3d"),
    )
    precision: Literal["fp16", "fp32"] | None = option(
        None,
        "Arithmetic of all layers but the last.  [default: fp32]",
        flags=("--fp16", "--fp32"),
        choices=("fp16", "fp32"),
    )
    runner: Literal["vsr", "vs-mlrt"] = option(
        "vsr",
        "Who runs the graph: vs-mlrt gets one for whole pictures of 0..1, and a VapourSynth script beside it.",
        flags=("--target",),
        choices=("vsr", "vs-mlrt"),
    )
    overwrite: bool = option(
        False, "Replace the output if it exists.", flags=("--overwrite", "-y")
    )

    def __post_init__(self) -> None:
        allowed = {
            "layout": ("sliced", "conv3d"),
            "precision": (None, "fp32", "fp16"),
            "runner": ("vsr", "vs-mlrt"),
            "domain": (None, *DOMAINS),
        }
        for name, choices in allowed.items():
            if getattr(self, name) not in choices:
                raise OptionError(
                    f"unknown {name} {getattr(self, name)!r}: choose from {', '.join(str(choice) for choice in choices)}"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """Everything ``vsr train`` can be told.

    Raises:
        OptionError: a value that makes no sense, alone or beside another one.
    """

    model: str = option(
        DEFAULT_MODEL,
        "Network to train.",
        flags=("--model", "-m"),
        choices=tuple(MODELS),
    )
    domain: str | None = option(
        None,
        "What the network learns to undo.  [default: video; blur3 with the report's recipe]",
        choices=tuple(DOMAINS),
    )
    data: tuple[str, ...] = option(
        (),
        "Video file, folder of frames, folder of such, or training pack; repeatable.",
        metavar="PATH",
    )
    val: tuple[str, ...] = option(
        (),
        "The same for validation; repeatable.  [default: the last tenth of each file of the training clips]",
        metavar="PATH",
    )
    out: str | None = option(None, "Folder of the run.", metavar="DIR")
    resume: str | None = option(
        None,
        "Go on with the run in this folder, exactly where it stopped; --steps and --time, counted from its beginning, set a new end.",
        metavar="DIR",
    )
    init: str | None = option(
        None,
        "Begin with the weights of this checkpoint, or of a shipped model's domain.",
        metavar="CHECKPOINT",
    )
    recipe: str | None = option(
        None,
        "How it is trained: ship for minutes to hours of a processor, long for a card or a night, "
        "or the report's.  [default: long on CUDA and from --time 3h on, else ship]",
        choices=("ship", "long", "report"),
    )
    steps: int | None = option(None, "Length of the run in steps.", metavar="N")
    time: float | None = option(
        None,
        "Length of the run in time, such as 2h or 90m; --steps and --time together: whichever ends first.",
        metavar="TIME",
    )
    batch: int | None = option(
        None, "Patches a step.  [default: the recipe's]", metavar="N"
    )
    patch: int | None = option(
        None,
        "Side of a low-resolution patch, pixels.  [default: the recipe's]",
        metavar="N",
    )
    learning_rate: float | None = option(
        None,
        "Adam's, at its height.  [default: the recipe's; a part of it with --init]",
        metavar="RATE",
    )
    seed: int = option(0, "Of everything random.")
    device: str = option("auto", "auto, cpu, cuda or cuda:N.", flags=("--device", "-d"))
    precision: Literal["fp16", "bf16", "fp32"] | None = option(
        None,
        "Arithmetic of all layers but the last; bf16 is for lite, on processors with AMX.  [default: fp16 on CUDA, fp32 on the CPU]",
        choices=("fp16", "bf16", "fp32"),
        metavar="TYPE",
    )
    threads: int | None = option(
        None, "CPU threads.  [default: all cores]", metavar="N"
    )
    validate_every: float = option(
        300.0, "Seconds between validations, each of which also saves the run."
    )
    clips: int = option(
        2000,
        "Most clips of 7 frames and up to 256x256 pixels to keep in memory (2 MB each); of more footage, that many spread over it.",
    )
    shippable: bool = option(
        False,
        "Of training packs, use only the clips that the manifest marks as shippable.",
    )
    prepare: str | None = option(
        None,
        "Write a training pack for machines without PyAV, and train nothing.",
        metavar="DIR",
    )
    variants: int = option(
        2, "With --prepare, degraded versions of each training clip.", metavar="N"
    )
    val_count: int | None = option(
        None, "With --prepare, at most N validation clips.", metavar="N"
    )

    def __post_init__(self) -> None:
        if self.prepare is not None:
            self._check_prepare()
        elif self.variants != 2 or self.val_count is not None:
            raise OptionError("--variants and --val-count go with --prepare DIR")
        elif self.resume is not None:
            if self.out is not None or self.init is not None:
                raise OptionError(
                    "--resume goes on in its own folder: leave --out and --init away"
                )
            return
        if not self.data:
            raise OptionError("nothing to train on: give --data PATH")
        if self.prepare is None:
            self._check_end()
        least = {
            "batch": 1,
            "patch": 8,
            "clips": 2,
            "variants": 1,
            "val_count": 1,
            "seed": 0,
        }
        for name, smallest in least.items():
            if (number := getattr(self, name)) is not None and number < smallest:
                raise OptionError(
                    f"--{name.replace('_', '-')} {number} is too small: {smallest} or more"
                )
        if self.learning_rate is not None and not 0 < self.learning_rate <= 1:
            raise OptionError(
                f"--learning-rate {self.learning_rate:g} makes no sense: give one above 0 and up to 1, such as 1e-4"
            )

    def _check_prepare(self) -> None:
        given = {
            field.name
            for field in fields(self)
            if getattr(self, field.name) != field.default
        }
        if given - _PREPARING:
            flags = ", ".join(
                "--" + name.replace("_", "-") for name in sorted(given - _PREPARING)
            )
            raise OptionError(f"--prepare trains nothing: leave {flags} away")

    def _check_end(self) -> None:
        if self.out is None:
            raise OptionError("no folder for the run: give --out DIR")
        if self.steps is None and self.time is None:
            raise OptionError("the run needs an end: give --steps N or --time 2h")
        if (self.steps is not None and self.steps < 1) or (
            self.time is not None and self.time <= 0
        ):
            raise OptionError("--steps and --time must be above zero")


_PREPARING = {
    "prepare",
    "variants",
    "val_count",
    "data",
    "val",
    "clips",
    "shippable",
    "threads",
}
_UNIT_SECONDS = (3600, 60, 1)


def parse_duration(text: str) -> float:
    """Read ``90``, ``90s``, ``15m``, ``2h`` or ``1h30m`` as seconds.

    Raises:
        OptionError: none of these.
    """
    match = re.fullmatch(
        r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?",
        text.strip(),
    )
    if match is None or not any(match.groups()):
        raise OptionError(
            f"{text!r} is not a length of time: write 90s, 15m, 2h or 1h30m"
        )
    return sum(
        float(value or 0) * unit
        for value, unit in zip(match.groups(), _UNIT_SECONDS, strict=True)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchOptions:
    """Everything ``vsr bench`` can be told.

    Raises:
        OptionError: a value that makes no sense, alone or beside another one.
    """

    model: tuple[str, ...] = option(
        (),
        "Network, NETWORK:DOMAIN, or checkpoint file; repeatable.  [default: all that ship]",
        flags=("--model", "-m"),
        metavar="MODEL",
    )
    domain: str | None = option(
        None,
        "Which of the shipped weights.  [default: those for the degradation]",
        choices=tuple(DOMAINS),
    )
    degrade: str = option(
        "clean",
        "How the low-resolution input is made: clean, blur3, crf:N (clean, then x264), or none (with --lr).",
        metavar="KIND",
    )
    lr: str | None = option(
        None,
        "Low-resolution input, instead of making it: video or folder of frames.",
        metavar="PATH",
    )
    compare: str | None = option(
        None,
        "Score this result of any tool against the ground truth, instead of running networks.",
        metavar="PATH",
    )
    metrics: tuple[str, ...] = option(
        ("mse", "psnr", "ssim"),
        "Metrics, separated by commas: mse, psnr, ssim, warp (temporal), xpsnr, vmaf, vmaf_neg, flip.",
        metavar="LIST",
    )
    protocol: Literal["vsr", "report"] = option(
        "vsr",
        "vsr: 8 pixels cropped, SSIM with an 11x11 Gaussian; report: interior 2H-4 x 2W-4, SSIM as scikit-image's default.",
        choices=("vsr", "report"),
    )
    crop: int | None = option(
        None,
        "Pixels left out at each border.  [default: 8; 2 for the report's protocol]",
        metavar="N",
    )
    range: float = option(
        255.0,
        "Peak of the data: MSE is given in these units, floating-point pictures are read in them.",
        metavar="PEAK",
    )
    frames: int | None = option(None, "Score only the first N frames.", metavar="N")
    sequences: int = option(
        24,
        "Of a training pack, score this many sequences, as `vsr train` does.",
        metavar="N",
    )
    area: int = option(
        128,
        "Of a training pack's sequences, side of the middle part scored, pixels, as `vsr train` does.",
        metavar="N",
    )
    device: str = option(
        "auto",
        "Where networks run: auto, cpu, cuda or cuda:N.",
        flags=("--device", "-d"),
    )
    precision: Literal["fp16", "fp32"] | None = option(
        None,
        "Arithmetic of the networks.  [default: fp16 on CUDA, fp32 on the CPU]",
        flags=("--fp16", "--fp32"),
        choices=("fp16", "fp32"),
    )

    def __post_init__(self) -> None:
        kinds = ("clean", "blur3", "video", "none")
        crf = re.fullmatch(r"crf:(\d+(?:\.\d+)?)", self.degrade)
        if self.degrade not in kinds and (crf is None or not 0 <= float(crf[1]) <= 51):
            raise OptionError(
                f"--degrade {self.degrade}: choose clean, blur3, none, or crf:N with N from 0 to 51"
            )
        if self.degrade == "none" and self.lr is None:
            raise OptionError(
                "--degrade none makes no low-resolution input: give it with --lr"
            )
        if self.lr is not None and self.degrade not in ("clean", "none"):
            raise OptionError(
                f"--lr gives the low-resolution input: leave --degrade {self.degrade} away"
            )
        if self.compare is not None and self.model:
            raise OptionError(
                "--compare scores a result that is there: leave --model away"
            )
        if self.compare is not None and self.lr is not None:
            raise OptionError("--compare scores a result as it is: leave --lr away")
        if not self.range > 0:
            raise OptionError(
                f"--range {self.range:g} makes no sense: give the data's peak, such as 255 or 1.0"
            )
        for name, value, least in (
            ("--crop", self.crop, 0),
            ("--frames", self.frames, 1),
            ("--sequences", self.sequences, 1),
            ("--area", self.area, 32),
        ):
            if value is not None and value < least:
                raise OptionError(f"{name} {value} is too small: {least} or more")
        if not self.metrics:
            raise OptionError(
                "no metric is left: give --metrics a list such as psnr,ssim"
            )
