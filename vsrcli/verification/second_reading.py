"""The frames of a source counted by other means than the reader's, so that those it loses show.

Packets say when frames are presented. Where they do not suffice (without times, with two pictures
or none, damaged), FFmpeg decodes the source once more, plainly and in one thread.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Any

import av

from vsrcli.decode.input_file import decoder_of, find_video, open_input
from vsrcli.decode.source_clock import continuous_packets_of
from vsrcli.frame import VideoInfo
from vsrcli.timing import TimeRange
from vsrcli.verification.packet_inventory import NO_TIME, Track
from vsrcli.wording import plural

Times = list[Fraction]

_RUN_UP_SECONDS = 10


def find_loss(
    info: VideoInfo,
    time_range: TimeRange,
    video: Track,
    read: Sequence[Fraction],
    *,
    has_fields: bool,
    is_damaged: bool,
) -> str | None:
    """What the reader has lost or misplaced, or None.

    Args:
        info: the source.
        time_range: the part that was read.
        video: packets of the source's video.
        read: times of the frames that the reader gave in the range, seconds.
        has_fields: whether it made a frame of each field of interlaced pictures.
        is_damaged: whether it found damage: then, decoders may mistake the order of frames, and
            some give more of them than others.

    Raises:
        InputError: the source cannot be opened any more.
    """
    by_packets = _packet_times(video, time_range)
    if by_packets is not None and by_packets == list(read):
        return None
    second = _decode(info, time_range)
    candidates = second.candidates(info.rate, may_fall_back=is_damaged)
    may_be_more = has_fields or is_damaged
    for times in candidates:
        has_all = times == list(read)
        if may_be_more:
            has_all = set(times) <= set(read) and _repeats(read) <= _repeats(times)
        if has_all:
            return None
    if not candidates:
        # nothing says where each frame is
        is_complete = (
            second.count <= len(read) if may_be_more else second.count == len(read)
        )
        if is_complete or not time_range.is_whole:
            return None
        return f"{_count(len(read))} read, {second.count} in the source"
    return _difference(candidates[0], read)


def _packet_times(video: Track, time_range: TimeRange) -> Times | None:
    """When the frames of a range are presented; None where packets do not say."""
    if (video.times == NO_TIME).any():
        return None
    times = sorted(int(time) * video.unit - video.start for time in video.times)
    if any(one == other for one, other in pairwise(times)):
        return None
    return [time for time in times if time_range.contains(time)]


def _repeats(times: Sequence[Fraction]) -> int:
    """How many frames have the time of another one."""
    return len(times) - len(set(times))


def _difference(expected: Times, read: Sequence[Fraction]) -> str:
    count = f"{_count(len(read))} read, {len(expected)} in the source"
    missing = sorted(set(expected) - set(read))
    if missing:
        return f"{count}: that at {float(missing[0]):.3f} s is missing"
    for number, (time, expected_time) in enumerate(zip(read, expected, strict=False)):
        if time != expected_time:
            where = f"{float(time):.3f} s, not at {float(expected_time):.3f} s"
            return f"{count}: number {number} was read at {where}"
    return count


def _count(frames: int) -> str:
    return plural(frames, "frame")


@dataclass(slots=True)
class _SecondReading:
    """What decoding once more gives for a range: two times of each frame, seconds."""

    presented: list[Fraction | None] = field(default_factory=list)
    decoded: list[Fraction | None] = field(default_factory=list)
    time_range: TimeRange = field(default_factory=TimeRange)

    @property
    def count(self) -> int:
        """How many frames there are in all."""
        return len(self.presented)

    def candidates(self, rate: Fraction | None, *, may_fall_back: bool) -> list[Times]:
        """The times that frames in presentation order can have: they never fall back."""
        spacing = 1 / rate if rate else Fraction(1, 25)
        found = []
        for times in (self.presented, self.decoded):
            filled = _filled(times, spacing)
            if filled is None:
                continue
            if may_fall_back or all(a <= b for a, b in pairwise(filled)):
                found.append([t for t in filled if self.time_range.contains(t)])
        return found


def _filled(
    times: list[Fraction | None],
    spacing: Fraction,
) -> Times | None:
    """Times with those of the last frames, which may have none; None if others have none."""
    filled: Times = []
    for time in times:
        if time is not None:
            filled.append(time)
        elif filled:
            filled.append(filled[-1] + spacing)
        else:
            return None
    return filled


def _decode(info: VideoInfo, time_range: TimeRange) -> _SecondReading:
    begin = time_range.begin
    if begin > _RUN_UP_SECONDS and not info.restarts:
        reading = _decode_from(info, time_range, begin - _RUN_UP_SECONDS)
        first = next((time for time in reading.presented if time is not None), begin)
        if first < begin:
            return reading
    return _decode_from(info, time_range, None)


def _decode_from(
    info: VideoInfo,
    time_range: TimeRange,
    time: Fraction | None,
) -> _SecondReading:
    """Decode from about ``time`` to the end of the range, plainly."""
    reading = _SecondReading(time_range=time_range)
    with open_input(info.path) as container, contextlib.suppress(av.FFmpegError):
        stream = find_video(container, info.path)
        context = decoder_of(stream)
        context.thread_count = 1
        if time is not None:
            ticks = int((info.start + time) / info.time_base)
            container.seek(ticks, stream=stream)
        for packet in continuous_packets_of(container, stream):
            pictures: list[Any] = []
            with contextlib.suppress(av.FFmpegError):
                pictures = list(context.decode(packet))
            for picture in pictures:
                reading.presented.append(_seconds(picture.pts, info))
                reading.decoded.append(_seconds(picture.dts, info))
            if _is_beyond(reading, time_range):
                break
    return reading


def _seconds(ticks: int | None, info: VideoInfo) -> Fraction | None:
    return None if ticks is None else ticks * info.time_base - info.start


def _is_beyond(reading: _SecondReading, time_range: TimeRange) -> bool:
    """Whether the last frame comes after the range, by either time."""
    if time_range.end is None or not reading.presented:
        return False
    last = (reading.presented[-1], reading.decoded[-1])
    return all(time is not None and time >= time_range.end for time in last)
