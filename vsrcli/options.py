"""Options as frozen dataclasses: the only home of defaults, choices and help texts.

The command line derives its flags from these fields (``vsrcli/cli/flags.py``), a library caller fills them in directly.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

from vsrcli.errors import OptionError
from vsrcli.models import DEFAULT_MODEL, DOMAINS


def option(
    default: Any, help_text: str, *, flags: tuple[str, ...] = (), choices: tuple[str, ...] = (), metavar: str | None = None
) -> Any:
    """Declare a dataclass field together with what the command line shows of it.

    Args:
        default: the value where the user says nothing.
        help_text: one sentence for ``--help``.
        flags: spellings, first the long one; derived from the field's name where empty.
        choices: allowed strings.
        metavar: placeholder in the help.
    """
    return field(default=default, metadata={"help": help_text, "flags": flags, "choices": choices, "metavar": metavar})


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderOptions:
    """How the output video is encoded."""

    codec: str = option("libx264", "Video encoder, by FFmpeg's name (libx264, libx265, libsvtav1, libvpx-vp9, ffv1, ...).", flags=("--codec", "-c"))
    crf: float = option(16, "Constant quality: smaller is better and larger; for encoders that have it.")
    preset: str = option("medium", "Encoder's speed preset; for encoders that have it.")
    pix_fmt: str | None = option(None, "Pixel format of the output.  [default: the source's, where the encoder takes it]")
    extra: tuple[tuple[str, str], ...] = option((), "Further encoder option, repeatable, such as -e tune=film.", flags=("-e",), metavar="KEY=VALUE")


@dataclass(frozen=True, slots=True, kw_only=True)
class UpscaleOptions:
    """Everything ``vsr upscale`` can be told.

    Raises:
        OptionError: a value that makes no sense, alone or beside another one.
    """

    model: str = option(DEFAULT_MODEL, "Network (see `vsr models`), or a .safetensors / .pth checkpoint file.", flags=("--model", "-m"))
    domain: str | None = option(
        None, "Which of the network's shipped weights: what the source has been through.  [default: video]", choices=tuple(DOMAINS)
    )
    fps: Fraction | Literal["source"] = option(
        Fraction(30), "Frames a second of the output, N or N/D; `source` keeps every frame and its timestamp.", metavar="RATE|source"
    )
    start: Fraction | None = option(None, "Begin here: seconds or [HH:]MM:SS[.fff].", metavar="TIME")
    end: Fraction | None = option(None, "Stop before this time: seconds or [HH:]MM:SS[.fff].", metavar="TIME")
    audio: Literal["copy", "none"] = option("copy", "What becomes of the audio.", choices=("copy", "none"))
    deinterlace: Literal["auto", "off"] = option("auto", "Deinterlace (bwdif) pictures marked as interlaced.", choices=("auto", "off"))
    device: str = option("auto", "Where the network runs: auto, cpu, cuda or cuda:N; auto takes CUDA where it works.", flags=("--device", "-d"))
    precision: Literal["fp16", "fp32"] | None = option(
        None, "Arithmetic of the network.  [default: fp16 on CUDA, fp32 on the CPU]", flags=("--fp16", "--fp32"), choices=("fp16", "fp32")
    )
    overwrite: bool = option(False, "Replace the output if it exists.", flags=("--overwrite", "-y"))
    strict: bool = option(False, "Make any damage in the source an error instead of a warning.")
    encoder: EncoderOptions = field(default_factory=EncoderOptions)

    def __post_init__(self) -> None:
        if self.domain is not None and self.domain not in DOMAINS:
            raise OptionError(f"unknown domain {self.domain!r}: choose from {', '.join(DOMAINS)}")
        if self.fps != "source" and not 0 < self.fps <= 1000:
            raise OptionError(f"--fps {self.fps} makes no sense: give a rate above 0 and up to 1000, or `source`")
        for name, value in (("--start", self.start), ("--end", self.end)):
            if value is not None and value < 0:
                raise OptionError(f"{name} {float(value):g} is negative: times count from the beginning of the file")
        if self.end is not None and self.end <= (self.start or 0):
            raise OptionError(f"--end {float(self.end):g} is not after --start {float(self.start or 0):g}: nothing would be left")
        if self.audio not in ("copy", "none") or self.deinterlace not in ("auto", "off") or self.precision not in (None, "fp16", "fp32"):
            raise OptionError(f"unknown choice among audio={self.audio!r}, deinterlace={self.deinterlace!r}, precision={self.precision!r}")
