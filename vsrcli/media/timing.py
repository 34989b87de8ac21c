"""Which source frames the output shows, and when: exact fractions, no FFmpeg, no floats.

At a constant rate the slots are those of FFmpeg's ``fps`` filter with its defaults: every time is rounded to the nearest slot, halves
away from zero; a frame is shown in each slot from its own up to the next frame's; the last one up to the rounded end of its duration.
With ``source`` every frame keeps its own timestamp.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from vsrcli.errors import InputError, OptionError
from vsrcli.frame import Frame

# Longest time that one frame is repeated for; beyond it the timestamps are damaged, and the slots would fill disk and memory.
_LONGEST_HOLD_SECONDS = 86400

_CLOCK = re.compile(
    r"(?:(?:(?P<hours>\d+):)?(?P<minutes>[0-5]?\d):)?(?P<seconds>\d+(?:\.\d*)?|\.\d+)"
)
_RATE = re.compile(r"\d+(?:\.\d*)?|\.\d+|\d+/\d+")


@dataclass(frozen=True)
class Scheduled:
    """One source frame and its places in the output.

    Attributes:
        frame: the source frame.
        ticks: output timestamps at which it is shown, in units of the schedule's ``time_base``; empty for a frame that is only context
            for windows, or dropped by the rate.
        duration: how long it is shown from each of them, ticks; 0 where there are none.
        segment: number of the segment that it belongs to, where the run has some.
    """

    frame: Frame
    ticks: tuple[int, ...]
    duration: int
    segment: int = 0


class Schedule:
    """Deals source frames out to output timestamps.

    Frames before ``start`` and from ``end`` on pass through as context. The time of the first kept frame becomes output time 0 where
    ``start`` is given; otherwise output time is source time, so that a video that begins after its audio still does. A constant rate
    gives at least one slot as soon as one frame is kept (FFmpeg's filter gives none for a single frame of no duration), and a last frame
    that does not say its duration is taken to last as long as the one before it. Where the container keeps no timestamps (``fill``), the first frame is
    shown from output time 0 on, at a constant rate.

    With ``fps="source"`` a tick is ``time / time_base``; should that be no integer (the file's clock begins between two ticks) it is
    rounded, by the same fraction for every frame, so that the spacing stays exact. A timestamp that repeats or runs backwards becomes one
    tick more than the one before: every frame is kept, and ticks strictly increase.

    Attributes:
        time_base: unit of the ticks, seconds.
        origin: source time that is output time 0, seconds; None until the first kept frame of a trimmed run has come.
        frames_out: ticks given out so far, at a constant rate those of the run before this stretch included.
    """

    def __init__(
        self, fps: Fraction | Literal["source"], *, time_base: Fraction, start: Fraction | None, end: Fraction | None, fill: bool = False,
        first: Fraction | None = None,
    ) -> None:  # fmt: skip
        """Plan for one run, or for a later stretch of it.

        Args:
            fps: output frames a second, or ``source``.
            time_base: unit of the source's timestamps, seconds.
            start: first source time kept, seconds; None for all.
            end: source time before which to stop, seconds; None for all.
            fill: whether the slots before the first frame show it too, instead of being left out.
            first: time of the first frame that the run keeps, where the frames given begin later than that.
        """
        self.fps, self._first, self._source_unit, self._fill = (
            fps,
            first,
            time_base,
            fill,
        )
        self._rate = None if fps == "source" else Fraction(fps)
        self._start, self._end = start, end
        self.time_base = time_base if self._rate is None else 1 / self._rate
        self.origin: Fraction | None = Fraction(0) if start is None else first
        self.frames_out = 0
        self._next: int | None = None
        self._spacing = Fraction(0)

    def anew(self, first: Fraction | None = None) -> Schedule:
        """A new schedule of the same run.

        Args:
            first: time of the first frame that the run keeps, seconds, for frames that begin later than that; None: they begin with it.
        """
        return Schedule(
            self.fps,
            time_base=self._source_unit,
            start=self._start,
            end=self._end,
            fill=self._fill,
            first=first,
        )

    def run(self, frames: Iterable[Frame]) -> Iterator[Scheduled]:
        """Schedule frames, one behind the source.

        Args:
            frames: source frames in the order of presentation.

        Yields:
            Each of them once, in order.

        Raises:
            InputError: at a constant rate, two timestamps lie more than a day apart.
        """
        current: Frame | None = None
        for following in frames:
            if current is not None:
                yield self._schedule(current, following)
            current = following
        if current is not None:
            yield self._schedule(current, None)

    def _keeps(self, frame: Frame) -> bool:
        return (self._start is None or frame.time >= self._start) and (
            self._end is None or frame.time < self._end
        )

    def _schedule(self, frame: Frame, following: Frame | None) -> Scheduled:
        if following is not None and following.time > frame.time:
            self._spacing = following.time - frame.time
        if not self._keeps(frame):
            return Scheduled(frame, (), 0)
        if self.origin is None:
            self.origin = frame.time
        if self._first is not None and self._next is None:
            self.frames_out = self._tick(frame.time) - (
                0 if self._fill else self._tick(self._first)
            )
        end = (
            following.time
            if following is not None
            else frame.time + (frame.duration or self._spacing)
        )
        is_last = following is None or not self._keeps(following)
        scheduled = (
            self._at_source_times(frame, end)
            if self._rate is None
            else self._at_slots(frame, end, is_last)
        )
        self.frames_out += len(scheduled.ticks)
        return scheduled

    def _at_source_times(self, frame: Frame, end: Fraction) -> Scheduled:
        tick = self._tick(frame.time)
        if self._next is not None:
            tick = max(tick, self._next)
        self._next = tick + 1
        return Scheduled(frame, (tick,), max(1, self._tick(end) - tick))

    def _at_slots(self, frame: Frame, end: Fraction, is_last: bool) -> Scheduled:
        begin = (
            self._next
            if self._next is not None
            else 0
            if self._fill and self._first is None
            else self._tick(frame.time)
        )
        if is_last and self._end is not None:
            end = min(end, self._end)
        if end - frame.time > _LONGEST_HOLD_SECONDS:
            raise InputError(
                f"timestamps jump from {float(frame.time):g} s to {float(end):g} s: the file is damaged; --fps source keeps them"
            )
        stop = self._tick(end)
        if is_last and not self.frames_out:
            stop = max(stop, begin + 1)
        ticks = tuple(range(begin, stop))
        self._next = max(begin, stop)
        return Scheduled(frame, ticks, 1 if ticks else 0)

    def _tick(self, time: Fraction) -> int:
        return round_half_away((time - (self.origin or 0)) / self.time_base)


def round_half_away(value: Fraction) -> int:
    """Round to the nearest integer, halves away from zero, as FFmpeg's ``AV_ROUND_NEAR_INF`` does."""
    doubled = 2 * abs(value.numerator) + value.denominator
    rounded = doubled // (2 * value.denominator)
    return rounded if value >= 0 else -rounded


def parse_time(text: str) -> Fraction:
    """Read ``90``, ``90.5``, ``1:30`` or ``01:02:03.5`` as exact seconds.

    Raises:
        OptionError: none of these.
    """
    match = _CLOCK.fullmatch(text.strip())
    if match is None or (
        match["minutes"] is not None and Fraction(match["seconds"]) >= 60
    ):
        raise OptionError(
            f"{text!r} is not a time: write seconds (90.5) or [HH:]MM:SS[.fff] (1:30)"
        )
    return (
        3600 * int(match["hours"] or 0)
        + 60 * int(match["minutes"] or 0)
        + Fraction(match["seconds"])
    )


def parse_rate(text: str) -> Fraction | Literal["source"]:
    """Read ``30``, ``30000/1001``, ``29.97`` (exactly 2997/100) or ``source``.

    Raises:
        OptionError: none of these, or zero.
    """
    stripped = text.strip()
    if stripped == "source":
        return "source"
    if _RATE.fullmatch(stripped) and not re.search(r"/0+$", stripped):
        rate = Fraction(stripped)
        if rate > 0:
            return rate
    raise OptionError(
        f"{text!r} is not a frame rate: write 30, 29.97, 30000/1001 or `source`"
    )
