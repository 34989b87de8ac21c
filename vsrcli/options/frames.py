"""Options of ``vsr extract`` and ``vsr assemble``: frames as numbered pictures, and back."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import get_args

from vsrcli.errors import OptionError
from vsrcli.options.check import (
    check_aspect,
    check_rate,
    check_time_range,
    resolve_duration,
)
from vsrcli.options.declare import (
    DEINTERLACE_HELP,
    DURATION_HELP,
    END_HELP,
    FORMAT_HELP,
    OVERWRITE_FLAGS,
    OVERWRITE_HELP,
    SAR_HELP,
    START_HELP,
    Deinterlace,
    PipeFormat,
    option,
)
from vsrcli.options.encoder import EncoderOptions
from vsrcli.timing import TimeRange


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractOptions:
    """Everything ``vsr extract`` can be told.

    Raises:
        OptionError: a value that makes no sense, alone or beside another one.
    """

    pattern: str = option(
        "frame%06d.png",
        "Names of the pictures, with the place of the number: .png, .tif or .tiff.",
        group="Output",
        metavar="NAME%06d.png",
    )
    luma: bool = option(
        False,
        "Write the luma codes as gray pictures, instead of RGB.",
        group="Output",
    )
    start: Fraction | None = option(
        None,
        START_HELP,
        group="Input",
        metavar="TIME",
    )
    end: Fraction | None = option(
        None,
        END_HELP,
        group="Input",
        metavar="TIME",
    )
    duration: Fraction | None = option(
        None,
        DURATION_HELP,
        group="Input",
        metavar="TIME",
    )
    deinterlace: Deinterlace = option(
        "auto",
        DEINTERLACE_HELP,
        group="Input",
        choices=get_args(Deinterlace),
    )
    overwrite: bool = option(
        False,
        "Replace pictures with the same names.",
        group="Output",
        flags=OVERWRITE_FLAGS,
    )
    strict: bool = option(
        False,
        "Refuse a damaged source.",
        group="Safety",
    )

    def __post_init__(self) -> None:
        resolve_duration(self)
        check_time_range(self.range)

    @property
    def range(self) -> TimeRange:
        """The source times to extract."""
        return TimeRange(self.start, self.end)


@dataclass(frozen=True, slots=True, kw_only=True)
class AssembleOptions:
    """Everything ``vsr assemble`` can be told.

    Raises:
        OptionError: a value that makes no sense, alone or beside another one.
    """

    fps: Fraction = option(
        Fraction(30),
        "Pictures per second, N or N/D.",
        group="Output",
        metavar="RATE",
    )
    audio_from: str | None = option(
        None,
        "Copy the audio of this file.",
        group="Output",
        metavar="FILE",
    )
    audio_start: Fraction | None = option(
        None,
        "Time of that file that the first picture is shown at; the sound then ends with the "
        "pictures.",
        group="Output",
        metavar="TIME",
    )
    sar: Fraction | None = option(
        None,
        SAR_HELP,
        group="Output",
        metavar="N:D",
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
    overwrite: bool = option(
        False,
        OVERWRITE_HELP,
        group="Output",
        flags=OVERWRITE_FLAGS,
    )
    strict: bool = option(
        False,
        "Refuse to lose anything: chroma resolution, bit depth, alpha.",
        group="Safety",
    )
    encoder: EncoderOptions = field(default_factory=EncoderOptions)

    def __post_init__(self) -> None:
        check_rate(self.fps)
        check_aspect(self.sar)
        if self.audio_start is None:
            return
        if self.audio_from is None:
            raise OptionError("--audio-start belongs to --audio-from FILE")
        if self.audio_start < 0:
            raise OptionError(
                f"--audio-start {float(self.audio_start):g} is negative: "
                "times count from the beginning of the file"
            )
