"""When a file begins on its own clock, how long it is, and where its clock restarts."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer

from vsrcli.containers.table import AVI_DEMUXER, MATROSKA_DEMUXER
from vsrcli.decode.input_file import is_cover
from vsrcli.decode.packet_timeline import find_restarts

_LASTING_KINDS = ("video", "audio")


@dataclass(frozen=True, slots=True)
class Extent:
    """The times of a file.

    Attributes:
        start, duration, restarts: as in ``FileInfo``.
    """

    start: Fraction
    duration: Fraction | None
    restarts: tuple[Fraction, ...] = ()


def extent_of(
    path: Path,
    container: InputContainer,
    grid: Fraction,
    first_picture: av.VideoFrame | None = None,
) -> Extent:
    """Measure a file.

    Args:
        path: the file.
        container: the same, open.
        grid: the start is rounded down to a multiple of this, seconds. On the video's own grid,
            its timestamps stay whole multiples of its time base.
        first_picture: the first one that is presented, if there is any.

    Raises:
        InputError: the file cannot be opened any more.
    """
    first = _first_time(container)
    header_start = first
    if first_picture is not None and container.format.name != AVI_DEMUXER:
        # edit lists may begin after pictures that are presented all the same, and a stream's start
        # is that of its first packet, which need not be presented first
        pts = first_picture.pts
        if pts is not None and first_picture.time_base is not None:
            first = min(first, pts * first_picture.time_base)
    start = first // grid * grid
    restarts = find_restarts(path, container)
    if restarts is not None:
        times = tuple(time - start for time in restarts.times)
        return Extent(start, restarts.end - start, times)
    duration = _duration(container, start, header_start)
    if duration is not None:
        duration += header_start - first
    return Extent(start, duration)


def _first_time(container: InputContainer) -> Fraction:
    """Time of the earliest stream of pictures or sound, as the file or FFmpeg says, seconds."""
    starts = []
    for stream in container.streams:
        if stream.type not in _LASTING_KINDS or is_cover(stream):
            continue
        if stream.start_time is not None and stream.time_base is not None:
            starts.append(stream.start_time * stream.time_base)
    return min(starts, default=Fraction(0))


def _duration(
    container: InputContainer,
    start: Fraction,
    header_start: Fraction,
) -> Fraction | None:
    """How long pictures and sound are, seconds."""
    if not container.duration:
        return None
    duration = Fraction(container.duration, av.time_base)
    # Matroska's header counts from zero, the others from the first timestamp
    if MATROSKA_DEMUXER in container.format.name:
        return duration - start if 0 < start < duration else duration
    if any(stream.type not in _LASTING_KINDS for stream in container.streams):
        # FFmpeg counts subtitles and data in, each in another way
        end = _last_time(container)
        if end is not None:
            duration = min(duration, end - header_start)
    return duration


def _last_time(container: InputContainer) -> Fraction | None:
    """When the last stream of pictures or sound ends, seconds; None if one does not say."""
    ends = []
    for stream in container.streams:
        if stream.type not in _LASTING_KINDS or is_cover(stream):
            continue
        if stream.start_time is None or not stream.duration or not stream.time_base:
            return None
        ends.append((stream.start_time + stream.duration) * stream.time_base)
    return max(ends, default=None)
