"""The command that makes a video of pictures again, at the times and with the sound they had."""

from __future__ import annotations

import shlex
from fractions import Fraction
from pathlib import Path

from vsrcli.containers.pipe import is_standard_input
from vsrcli.frame import VideoInfo
from vsrcli.timing import round_half_away

_MICROSECONDS = 1_000_000


def assemble_hint(
    info: VideoInfo,
    folder: Path,
    *,
    rate: Fraction | None,
    first_time: Fraction,
    is_cut: bool,
    aspect: Fraction | None,
) -> str | None:
    """A line with the options of ``vsr assemble`` that pictures do not say themselves.

    Args:
        info: the video that they are from.
        folder: where they are.
        rate: pictures per second; None if unknown.
        first_time: when the first of them is shown, seconds of the source.
        is_cut: whether they end before the source does.
        aspect: of their pixels, width / height.

    Returns:
        None if there is nothing to say.
    """
    flags = []
    if rate is not None:
        flags.append(f"--fps {rate}")
    has_audio = any(stream.kind == "audio" for stream in info.streams)
    if has_audio and not is_standard_input(info.path):
        flags.append(f"--audio-from {shlex.quote(str(info.path))}")
        microseconds = round_half_away(max(first_time, Fraction(0)) * _MICROSECONDS)
        if microseconds or is_cut:
            start = f"{microseconds / _MICROSECONDS:.6f}".rstrip("0").rstrip(".")
            flags.append(f"--audio-start {start}")
    if aspect is not None and aspect != 1:
        flags.append(f"--sar {aspect.numerator}:{aspect.denominator}")
    if not flags:
        return None
    command = f"vsr assemble {shlex.quote(str(folder))} OUT {' '.join(flags)}"
    return f"`{command}` makes a video of the pictures again"
