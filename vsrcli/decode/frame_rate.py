"""The average frame rate of a video, where FFmpeg says it and where it says that of the clock."""

from __future__ import annotations

import contextlib
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
from av.video.stream import VideoStream

from vsrcli.decode.input_file import find_video, open_input
from vsrcli.decode.source_clock import continuous_packets_of

# A rate from here on may be that of the clock.
_MAX_RATE = 1000
_MEASURED_PACKETS = 256
_NTSC_FACTOR = Fraction(1000, 1001)


def frame_rate(path: Path, stream: VideoStream) -> Fraction | None:
    """Frames per second; None if unknown.

    The average of raw DV, and the guess for irregular times in milliseconds, are the rate of the
    clock. Where FFmpeg says nothing else, the first packets are counted.

    Args:
        path: the file.
        stream: its video.

    Raises:
        InputError: the file cannot be opened any more.
    """
    average = stream.average_rate
    guessed = stream.guessed_rate
    for rate in (average, guessed):
        if rate and rate < _MAX_RATE:
            return rate
    if not average and not guessed:
        return None
    return _measured_rate(path) or average or guessed


def _measured_rate(path: Path) -> Fraction | None:
    """How many of the first packets there are in a second; None if they do not say."""
    times: list[int] = []
    with open_input(path) as container:
        stream = find_video(container, path)
        unit = stream.time_base
        with contextlib.suppress(av.FFmpegError):
            packets = continuous_packets_of(container, stream)
            first = list(islice(packets, _MEASURED_PACKETS))
            times = [packet.pts for packet in first if packet.pts is not None]
    ticks = max(times, default=0) - min(times, default=0)
    if unit is None or not ticks:
        return None
    return _usual_rate((len(times) - 1) / (ticks * unit), error=Fraction(2, ticks))


def _usual_rate(rate: Fraction, error: Fraction) -> Fraction:
    """The whole or NTSC rate that is as near as the clock can tell; else the rate itself."""
    usual_rates = [Fraction(round(rate)), round(rate / _NTSC_FACTOR) * _NTSC_FACTOR]
    nearest = min(usual_rates, key=lambda usual: abs(usual - rate))
    return nearest if abs(nearest - rate) <= error * rate else rate
