"""Time in exact fractions: ranges, and which source frames the output shows when. No FFmpeg.

At a constant rate, the slots are those of FFmpeg's ``fps`` filter with its defaults: every time is
rounded to the nearest slot, halves away from zero. A frame fills the slots from its own up to the
next frame's, and the last one fills those up to the rounded end of its duration. With ``source``,
every frame keeps its own timestamp.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from vsrcli.errors import InputError, OptionError

if TYPE_CHECKING:
    from vsrcli.frame import Frame

# The longest time that one frame is repeated for. Beyond it the timestamps are damaged, and the
# slots would fill disk and memory.
_MAX_HOLD_SECONDS = 86400

# Longer numbers are no times, and Python refuses to read much longer ones.
_NUMBER = r"(?:\d{1,12}(?:\.\d{0,12})?|\.\d{1,12})"
_CLOCK = re.compile(
    r"(?:(?:(?P<hours>\d{1,9}):)?(?P<minutes>[0-5]?\d):)?"
    rf"(?P<seconds>{_NUMBER})"
)
_UNITS = re.compile(
    rf"(?:(?P<hours>{_NUMBER})h)?"
    rf"(?:(?P<minutes>{_NUMBER})m)?"
    rf"(?:(?P<seconds>{_NUMBER})s)?"
)
_RATE = re.compile(rf"{_NUMBER}|\d{{1,12}}/\d{{1,12}}")


@dataclass(frozen=True, slots=True)
class TimeRange:
    """A range of source time, from ``start`` up to but not including ``end``.

    Attributes:
        start: seconds; None: from the beginning.
        end: seconds; None: to the end.
    """

    start: Fraction | None = None
    end: Fraction | None = None

    def __str__(self) -> str:
        words = []
        if self.start is not None:
            words.append(f"from {float(self.start):g} s")
        if self.end is not None:
            words.append(f"before {float(self.end):g} s")
        return " ".join(words)

    @property
    def is_whole(self) -> bool:
        """True if neither limit is given."""
        return self.start is None and self.end is None

    @property
    def begin(self) -> Fraction:
        """``start``, or 0 if it is None, seconds."""
        return self.start or Fraction(0)

    def contains(self, time: Fraction) -> bool:
        """True for a time within the range."""
        if self.start is not None and time < self.start:
            return False
        return self.end is None or time < self.end

    def end_within(self, duration: Fraction | None) -> Fraction | None:
        """The earlier of ``end`` and a source's duration, seconds; None if both are unknown."""
        if self.end is None or duration is None:
            return duration if self.end is None else self.end
        return min(self.end, duration)

    def share(self, time: Fraction, duration: Fraction | None) -> float | None:
        """How much of the range comes before a time.

        Args:
            time: source time, seconds.
            duration: of the source, seconds; None if unknown.

        Returns:
            0..1, or None if the end of the range is unknown.
        """
        end = self.end_within(duration)
        if end is None or end <= self.begin:
            return None
        length = end - self.begin
        before = time - self.begin
        if before <= 0:
            return 0.0
        return float(min(Fraction(1), before / length))


WHOLE = TimeRange()


@dataclass(frozen=True)
class Scheduled:
    """One source frame and its places in the output.

    Attributes:
        frame: the source frame.
        ticks: output timestamps at which it is shown, in units of the schedule's ``time_base``;
            empty for a frame that is only context for windows, or that the rate drops.
        duration: how long it is shown from each of them, ticks; 0 if there are none.
        segment: number of the segment that it belongs to, if the run has segments.
        captions: closed captions for each of the ticks; empty if there are none.
    """

    frame: Frame
    ticks: tuple[int, ...]
    duration: int
    segment: int = 0
    captions: tuple[bytes, ...] = ()


class Schedule:
    """Assigns output timestamps to source frames, for one pass over them.

    Frames outside the range pass through as context. A constant rate gives at least one slot as
    soon as one frame is in the range (FFmpeg's filter gives none for a single frame without
    duration). A last frame without duration lasts as long as the one before it. If the container
    keeps no timestamps (``fill``), the first frame is shown from output time 0 on.

    With ``fps="source"`` a tick is ``(time - origin) / time_base``. If that is no integer (the
    file's clock begins between two ticks), it is rounded, by the same fraction for every frame, so
    that the spacing stays exact. A timestamp that repeats or runs backwards is moved to one tick
    after the one before: every frame is kept, and ticks strictly increase.

    Attributes:
        time_base: unit of the ticks, seconds.
        origin: source time that is output time 0, seconds.
        frames_out: ticks assigned so far; at a constant rate, those of the run before this pass are
            included.
    """

    def __init__(
        self,
        fps: Fraction | Literal["source"],
        *,
        time_base: Fraction,
        time_range: TimeRange = WHOLE,
        origin: Fraction = Fraction(0),
        fill: bool = False,
        first_time: Fraction | None = None,
    ) -> None:
        """Plan one pass: a whole run, or a later part of it.

        Args:
            fps: output frames per second, or ``source``.
            time_base: unit of the source's timestamps, seconds.
            time_range: source times to keep.
            origin: source time that is output time 0, seconds.
            fill: whether the slots before the first frame show it too, instead of being left out.
            first_time: time of the first frame that the run keeps, seconds; None if the frames of
                this pass begin with it.
        """
        self.fps = fps
        self.time_base = output_time_base(fps, time_base)
        self.origin = origin
        self.frames_out = 0
        self._range = time_range
        self._fill = fill
        self._first_time = first_time
        self._next_tick: int | None = None
        self._spacing = Fraction(0)

    def run(self, frames: Iterable[Frame]) -> Iterator[Scheduled]:
        """Schedule frames, one behind the source.

        Args:
            frames: source frames in presentation order.

        Yields:
            Each of them once, in order.

        Raises:
            InputError: at a constant rate, two timestamps are more than a day apart.
        """
        current: Frame | None = None
        for following in frames:
            if current is not None:
                yield self._schedule(current, following)
            current = following
        if current is not None:
            yield self._schedule(current, None)

    def _schedule(self, frame: Frame, following: Frame | None) -> Scheduled:
        if following is not None and following.time > frame.time:
            self._spacing = following.time - frame.time
        if not self._range.contains(frame.time):
            return Scheduled(frame, ticks=(), duration=0)
        if following is None:
            end = frame.time + (frame.duration or self._spacing)
            is_last = True
        else:
            end = following.time
            is_last = not self._range.contains(following.time)
        has_slots = self.fps != "source"
        scheduled = (
            self._in_slots(frame, end, is_last=is_last)
            if has_slots
            else self._at_source_time(frame, end)
        )
        self.frames_out += len(scheduled.ticks)
        return scheduled

    def _at_source_time(self, frame: Frame, end: Fraction) -> Scheduled:
        tick = self._tick(frame.time)
        if self._next_tick is not None:
            tick = max(tick, self._next_tick)
        self._next_tick = tick + 1
        return Scheduled(frame, (tick,), duration=max(1, self._tick(end) - tick))

    def _in_slots(
        self,
        frame: Frame,
        end: Fraction,
        *,
        is_last: bool,
    ) -> Scheduled:
        begin = self._next_tick
        if begin is None:
            begin = self._first_slot(frame)
        if is_last and self._range.end is not None:
            end = min(end, self._range.end)
        if end - frame.time > _MAX_HOLD_SECONDS:
            raise InputError(
                f"timestamps jump from {float(frame.time):g} s to {float(end):g} s: "
                "the file is damaged; --fps source keeps them"
            )
        stop = self._tick(end)
        if is_last and not self.frames_out:
            stop = max(stop, begin + 1)
        ticks = tuple(range(begin, stop))
        self._next_tick = max(begin, stop)
        return Scheduled(frame, ticks, duration=1 if ticks else 0)

    def _first_slot(self, frame: Frame) -> int:
        """The slot of this pass's first frame; counts the slots that the run has before it."""
        slot = self._tick(frame.time)
        first_time = self._first_time
        if first_time is None or frame.time <= first_time:
            return 0 if self._fill else slot
        self.frames_out = slot if self._fill else slot - self._tick(first_time)
        return slot

    def _tick(self, time: Fraction) -> int:
        return round_half_away((time - self.origin) / self.time_base)


def output_time_base(
    fps: Fraction | Literal["source"], time_base: Fraction
) -> Fraction:
    """Unit of an output's ticks, seconds; ``time_base`` is the unit of the source's timestamps."""
    return time_base if fps == "source" else 1 / Fraction(fps)


def round_half_away(value: Fraction) -> int:
    """Round to the nearest integer, halves away from zero, as FFmpeg's ``AV_ROUND_NEAR_INF``."""
    denominator = value.denominator
    doubled = 2 * abs(value.numerator) + denominator
    rounded = doubled // (2 * denominator)
    return rounded if value >= 0 else -rounded


def cut_time(time: Fraction) -> str:
    """A time for ``--start`` and ``--end`` that cuts right before a frame, seconds.

    It is rounded down, so that the frame itself is not on the wrong side.
    """
    milliseconds = math.floor(1000 * time)
    return f"{milliseconds / 1000:.3f}"


def parse_time(text: str) -> Fraction:
    """Read a time or a length of time as exact seconds: the one notation of all options.

    It is a number of seconds (``90``, ``90.5``), a clock (``1:30``, ``01:02:03.5``), or numbers
    with units (``90s``, ``15m``, ``1.5h``, ``1h30m``).

    Raises:
        OptionError: the text is none of these.
    """
    stripped = text.strip()
    match = _CLOCK.fullmatch(stripped) or _UNITS.fullmatch(stripped)
    if match is None or not any(match.groups()):
        raise _no_time(text)
    hours = Fraction(match["hours"] or 0)
    minutes = Fraction(match["minutes"] or 0)
    seconds = Fraction(match["seconds"] or 0)
    if match.re is _CLOCK and match["minutes"] is not None and seconds >= 60:
        raise _no_time(text)
    return 3600 * hours + 60 * minutes + seconds


def _no_time(text: str) -> OptionError:
    return OptionError(
        f"{text!r} is not a time: write seconds (90.5), [HH:]MM:SS[.fff] (1:30), "
        "or units (90s, 15m, 1h30m)"
    )


def parse_rate(text: str) -> Fraction | Literal["source"]:
    """Read ``30``, ``30000/1001``, ``29.97`` (exactly 2997/100) or ``source``.

    Raises:
        OptionError: the text is none of these, or zero.
    """
    stripped = text.strip()
    if stripped == "source":
        return "source"
    divides_by_zero = re.search(r"/0+$", stripped) is not None
    if _RATE.fullmatch(stripped) and not divides_by_zero:
        rate = Fraction(stripped)
        if rate > 0:
            return rate
    raise OptionError(
        f"{text!r} is not a frame rate: write 30, 29.97, 30000/1001 or `source`"
    )
