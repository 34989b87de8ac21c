"""Which frames of a film are scored: all, those from a time on, or short runs all over it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

# In how many places frames are scored: every one costs a seek for each method.
_MAX_PLACES = 10


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Consecutive frames of a source.

    Attributes:
        number: of the first one, from 0; an estimate if there is a ``start``.
        count: frames to score; None: up to the end.
        start: source time to begin at, seconds; None: ``number`` counts.
        end: source time to stop before, seconds, if the frames are fewer; None: no limit.
        may_be_empty: whether it is no error if there is no frame.
    """

    number: int = 0
    count: int | None = None
    start: Fraction | None = None
    end: Fraction | None = None
    may_be_empty: bool = False


WHOLE = Excerpt()


def from_start(start: Fraction, count: int | None, rate: float) -> list[Excerpt]:
    """Consecutive frames from a time on.

    Args:
        start: seconds; 0 is the first frame.
        count: of the frames; None: up to the end.
        rate: frames per second.
    """
    if start == 0:
        return [Excerpt(count=count)]
    number = round(float(start) * rate)
    return [Excerpt(number, count, start)]


def spread(
    count: int | None,
    available: int | None,
    rate: float | None,
    min_run: int = 1,
) -> list[Excerpt]:
    """Frames in short runs, in places spread evenly over a film.

    Args:
        count: of the frames; None: all.
        available: how many there are; None if unknown: then the first ones are taken.
        rate: frames per second, if places are found by time; None: by number.
        min_run: consecutive frames in one place at least, unless ``count`` is smaller.

    Returns:
        In order, without overlap; one whole excerpt if the film has no more frames.
    """
    if count is None:
        return [WHOLE]
    if available is None or count >= available:
        return [Excerpt(count=count)]
    places = max(1, min(_MAX_PLACES, count // min_run))
    numbers = []
    counts = []
    for place in range(places):
        slot = available * place // places
        slot_end = available * (place + 1) // places
        length = count * (place + 1) // places - count * place // places
        counts.append(length)
        numbers.append(slot + (slot_end - slot - length) // 2)
    starts = [_time_of(number, rate) for number in numbers]
    ends = [*starts[1:], None]
    return [
        Excerpt(*fields, may_be_empty=True)
        for fields in zip(numbers, counts, starts, ends, strict=True)
    ]


def _time_of(number: int, rate: float | None) -> Fraction | None:
    """A time shortly before a frame, so that rounding cannot miss it."""
    if rate is None or number == 0:
        return None
    exact_rate = Fraction(rate).limit_denominator(100_000)
    return (number - Fraction(1, 2)) / exact_rate


def length(excerpts: list[Excerpt], available: int | None) -> int | None:
    """How many frames excerpts hold together; None if that is unknown."""
    total = 0
    for excerpt in excerpts:
        count = excerpt.count
        if available is not None:
            rest = max(0, available - excerpt.number)
            count = rest if count is None else min(count, rest)
        if count is None:
            return None
        total += count
    return total
