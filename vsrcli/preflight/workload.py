"""How many frames a run has, before they are counted."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from vsrcli.frame import VideoInfo
from vsrcli.options import UpscaleOptions
from vsrcli.preflight.rate_check import source_rate

_USUAL_RATE = Fraction(30)


@dataclass(frozen=True, slots=True)
class Workload:
    """How much there is to do, by the source's length and rates.

    Attributes:
        seconds: how long the range plays.
        frames_in: source frames in it.
        frames: that go through the network: the output's rate drops the others.
        frames_out: of the output.
    """

    seconds: float
    frames_in: int
    frames: int
    frames_out: int

    @property
    def left_out(self) -> int:
        """Source frames that the output does not show."""
        return self.frames_in - self.frames

    @property
    def repeated(self) -> int:
        """Frames of the output that show the one before once more."""
        return self.frames_out - self.frames


def measure_workload(info: VideoInfo, options: UpscaleOptions) -> Workload | None:
    """Count the frames of the range.

    Returns:
        None for a source of unknown length.
    """
    end = options.range.end_within(info.duration)
    if end is None:
        return None
    seconds = max(Fraction(0), end - options.range.begin)
    frames_in = _count(seconds, usual_rate(info, options))
    frames_out = frames_in
    if options.rate != "source":
        frames_out = _count(seconds, options.rate)
    return Workload(
        float(seconds),
        frames_in,
        min(frames_in, frames_out),
        frames_out,
    )


def usual_rate(info: VideoInfo, options: UpscaleOptions) -> Fraction:
    """Frames a second that the reader gives; where the source does not say, what is usual."""
    return source_rate(info, options) or _USUAL_RATE


def _count(seconds: Fraction, rate: Fraction) -> int:
    return max(1, ceil(seconds * rate))
