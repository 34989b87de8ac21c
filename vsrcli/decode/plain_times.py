"""When the frames of a video are presented, by decoding it plainly: in one thread, and no more.

It is for comparison with the reader's frames, and shares none of its ways.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Any

import av

from vsrcli.decode.input_file import decoder_of, find_video, open_input
from vsrcli.decode.source_clock import continuous_packets_of
from vsrcli.frame import VideoInfo
from vsrcli.timing import TimeRange

_RUN_UP_SECONDS = 10
_USUAL_RATE = Fraction(25)


@dataclass(slots=True)
class PlainTimes:
    """The frames that come out of the decoder up to the end of a range, in its order.

    Attributes:
        presented, decoded: two times of each, seconds; None where it has none.
        time_range: the range.
        spacing: length of an average frame, seconds.
    """

    time_range: TimeRange
    spacing: Fraction
    presented: list[Fraction | None] = field(default_factory=list)
    decoded: list[Fraction | None] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many frames there are, those before the range included."""
        return len(self.presented)

    def candidates(self, *, may_fall_back: bool) -> list[list[Fraction]]:
        """Times that the frames of the range can have.

        Args:
            may_fall_back: whether frames may come out in another order than they are presented.
        """
        candidates = []
        for times in (self.presented, self.decoded):
            filled = self._filled(times)
            if may_fall_back or all(one <= other for one, other in pairwise(filled)):
                inside = [time for time in filled if self.time_range.contains(time)]
                candidates.append(inside)
        return [times for times in candidates if times]

    def _filled(self, times: list[Fraction | None]) -> list[Fraction]:
        """All times, evenly spaced where there is none; nothing if the first one is missing."""
        filled: list[Fraction] = []
        for time in times:
            if time is None and not filled:
                return []
            filled.append(filled[-1] + self.spacing if time is None else time)
        return filled


def plain_times(info: VideoInfo, time_range: TimeRange) -> PlainTimes:
    """Decode a range of a video; what cannot be decoded is left out.

    Raises:
        InputError: the file cannot be opened any more.
    """
    begin = time_range.begin
    if begin > _RUN_UP_SECONDS and not info.restarts:
        times = _decode(info, time_range, begin - _RUN_UP_SECONDS)
        first = next((time for time in times.presented if time is not None), begin)
        if first < begin:
            return times
    return _decode(info, time_range, None)


def _decode(
    info: VideoInfo,
    time_range: TimeRange,
    landing: Fraction | None,
) -> PlainTimes:
    times = PlainTimes(time_range, spacing=1 / (info.rate or _USUAL_RATE))
    with open_input(info.path) as container, contextlib.suppress(av.FFmpegError):
        stream = find_video(container, info.path)
        context = decoder_of(stream)
        context.thread_count = 1
        if landing is not None:
            ticks = int((info.start + landing) / info.time_base)
            container.seek(ticks, stream=stream)
        for packet in continuous_packets_of(container, stream):
            pictures: list[Any] = []
            with contextlib.suppress(av.FFmpegError):
                pictures = list(context.decode(packet))
            for picture in pictures:
                times.presented.append(_seconds(picture.pts, info))
                times.decoded.append(_seconds(picture.dts, info))
            if _is_beyond(times):
                break
    return times


def _seconds(ticks: int | None, info: VideoInfo) -> Fraction | None:
    return None if ticks is None else ticks * info.time_base - info.start


def _is_beyond(times: PlainTimes) -> bool:
    """Whether the last frame comes after the range, by either time."""
    end = times.time_range.end
    if end is None or not times.presented:
        return False
    last = (times.presented[-1], times.decoded[-1])
    return all(time is not None and time >= end for time in last)
