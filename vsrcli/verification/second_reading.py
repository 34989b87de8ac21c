"""The frames of a source counted by other means than the reader's, so that those it loses show.

Packets say when frames are presented. Where they do not suffice (without times, with two pictures
or none, damaged), FFmpeg decodes the source once more, plainly and in one thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

from vsrcli.decode.plain_times import plain_times
from vsrcli.frame import VideoInfo
from vsrcli.timing import TimeRange
from vsrcli.verification.packet_inventory import NO_TIME, Track
from vsrcli.wording import plural

Times = list[Fraction]


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
    second = plain_times(info, time_range)
    candidates = second.candidates(may_fall_back=is_damaged)
    may_be_more = has_fields or is_damaged
    for times in candidates:
        has_all = times == list(read)
        if may_be_more:
            has_all = set(times) <= set(read) and _repeats(read) <= _repeats(times)
        if has_all:
            return None
    if not candidates:
        # nothing says where each frame is
        surplus = len(read) - second.count
        is_complete = surplus == 0 or (may_be_more and surplus > 0)
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
