"""When the frames of an output are presented, compared with when they should be."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class FrameTimes:
    """When frames are presented.

    Attributes:
        ticks: int64, one per frame, in units of ``unit``.
        unit: seconds.
        end: when the last frame ends, ticks; None where unknown.
    """

    ticks: Integers
    unit: Fraction
    end: int | None = None

    def __len__(self) -> int:
        return len(self.ticks)

    def seconds(self, number: int) -> float:
        """Time of a frame."""
        return float(int(self.ticks[number]) * self.unit)


def tolerance(expected: FrameTimes, actual: FrameTimes) -> Fraction:
    """How far two distances between frames may differ, seconds.

    Not at all where the output's clock can express the expected times; otherwise one tick, half of
    it at each end.
    """
    is_exact = (expected.unit / actual.unit).denominator == 1
    return Fraction(0) if is_exact else actual.unit


def pair_frames(expected: FrameTimes, actual: FrameTimes) -> tuple[Integers, Booleans]:
    """Which expected frame each frame of the output corresponds to.

    The same number where there are as many frames. Otherwise by time, for the difference between
    the clocks that fits most frames: none, that of the first frames, or that of the last.

    Returns:
        The number of the expected frame that should be on screen at that time, int64; and whether
        that frame begins at that very time.
    """
    if not len(actual) or not len(expected):
        return np.zeros(len(actual), np.int64), np.zeros(len(actual), np.bool_)
    denominator = math.lcm(expected.unit.denominator, actual.unit.denominator)
    common_unit = Fraction(1, denominator)
    expected_ticks = expected.ticks * int(expected.unit / common_unit)
    actual_ticks = actual.ticks * int(actual.unit / common_unit)
    slack = int(tolerance(expected, actual) / common_unit)
    if len(expected) == len(actual):
        numbers = np.arange(len(actual), dtype=np.int64)
        deviation = actual_ticks - expected_ticks
        return numbers, np.abs(deviation - deviation[0]) <= slack

    first_shift = actual_ticks[0] - expected_ticks[0]
    last_shift = actual_ticks[-1] - expected_ticks[-1]
    candidates = [
        _pair_by_time(expected_ticks, actual_ticks - shift, slack)
        for shift in (0, first_shift, last_shift)
    ]
    return max(candidates, key=lambda candidate: int(candidate[1].sum()))


def _pair_by_time(
    expected: Integers,
    actual: Integers,
    slack: int,
) -> tuple[Integers, Booleans]:
    numbers = np.searchsorted(expected, actual + slack, "right") - 1
    numbers = np.clip(numbers, 0, None).astype(np.int64)
    return numbers, np.abs(actual - expected[numbers]) <= slack


def compare_count(expected: FrameTimes, actual: FrameTimes) -> str | None:
    """What is wrong with the number of frames, or None."""
    if len(expected) == len(actual):
        return None
    numbers, fits = pair_frames(expected, actual)
    if len(actual) < len(expected):
        verdict = "missing"
        times = expected
        wrong = np.setdiff1d(np.arange(len(expected)), numbers[fits])
    else:
        verdict = "too many"
        times = actual
        is_repeated = np.diff(numbers, prepend=-1) == 0
        wrong = np.flatnonzero(~fits | is_repeated)
    which = f"some are {verdict}"
    if len(wrong):
        first = int(wrong[0])
        which = f"number {first} ({times.seconds(first):.3f} s) is {verdict}"
    return f"{len(actual)} frames, {len(expected)} expected: {which}"


def compare_times(expected: FrameTimes, actual: FrameTimes) -> str | None:
    """Which frame is not as far from the first as it should be, or None.

    Missing and surplus frames do not count.
    """
    if not len(actual):
        return "there is no frame"
    numbers, fits = pair_frames(expected, actual)
    surplus = max(0, len(actual) - len(expected))
    wrong = np.flatnonzero(~fits)
    if len(wrong) <= surplus:
        return None
    first = int(wrong[0])
    shift = actual.seconds(0) - expected.seconds(int(numbers[0]))
    error = actual.seconds(first) - expected.seconds(int(numbers[first])) - shift
    which = f"number {first} by {1e3 * error:+.3f} ms, at {actual.seconds(first):.3f} s"
    return f"{len(wrong)} of {len(actual)} frames are at the wrong time: {which}"


def compare_end(
    expected: FrameTimes,
    actual: FrameTimes,
    extra: Fraction,
) -> str | None:
    """What is wrong with the end of the last frame, or None.

    Args:
        expected: when the frames should be presented.
        actual: when they are.
        extra: tolerance besides that of the clock's rounding, seconds.
    """
    if expected.end is None or actual.end is None:
        return None
    if not len(expected) or not len(actual):
        return None
    numbers, _ = pair_frames(expected, actual)
    expected_begin = int(expected.ticks[int(numbers[0])])
    actual_begin = int(actual.ticks[0])
    expected_length = (expected.end - expected_begin) * expected.unit
    actual_length = (actual.end - actual_begin) * actual.unit
    if abs(expected_length - actual_length) <= tolerance(expected, actual) + extra:
        return None
    return (
        f"the last frame ends {float(actual_length):.3f} s after the first begins, "
        f"it should be {float(expected_length):.3f} s"
    )


def best_policy(candidates: dict[str, FrameTimes], actual: FrameTimes) -> str:
    """The first rate policy that gives the output's frames and times; if none does, the first."""
    for name, times in candidates.items():
        has_same_count = compare_count(times, actual) is None
        if has_same_count and compare_times(times, actual) is None:
            return name
    return next(iter(candidates))
