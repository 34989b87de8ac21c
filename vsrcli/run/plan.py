"""The plan of segments: where a video is cut into pieces that are made one by one. Pure: no file is touched."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

# A cut moves to a keyframe so near, as a share of a segment's length: encoders put them where scenes begin.
_NEAR = Fraction(1, 4)
# The last segment is at least so long, as a share of the others.
_LEAST_REST = Fraction(1, 2)
# More segments than these help nobody: they become longer.
_MOST = 20_000


@dataclass(frozen=True, slots=True)
class Plan:
    """Segments of a run: each owns the source frames from one cut up to the next.

    Attributes:
        cuts: source times at which segments 1, 2, ... begin, seconds, rising.
    """

    cuts: tuple[Fraction, ...]

    def __len__(self) -> int:
        return len(self.cuts) + 1

    def begin(self, segment: int) -> Fraction | None:
        """Where a segment begins; None for the first, which has all that comes before."""
        return self.cuts[segment - 1] if segment > 0 else None

    def end(self, segment: int) -> Fraction | None:
        """Where a segment ends; None for the last, which has all that is left."""
        return self.cuts[segment] if segment < len(self.cuts) else None

    def segment_at(self, time: Fraction) -> int:
        """The segment that a source time belongs to."""
        return bisect_right(self.cuts, time)


def plan_segments(
    begin: Fraction, end: Fraction, length: Fraction, keyframes: Sequence[Fraction] = ()
) -> Plan:
    """Cut a range of time.

    Args:
        begin: of the range, seconds.
        end: the same.
        length: of a segment, seconds, above 0.
        keyframes: times that a cut should fall on where one is near, rising.
    """
    cuts: list[Fraction] = []
    at, length = begin, max(length, (end - begin) / _MOST)
    while (
        at := _nearest(at + length, length * _NEAR, keyframes)
    ) <= end - length * _LEAST_REST:
        cuts.append(at)
    return Plan(tuple(cuts))


def stretches(segments: Sequence[int]) -> list[tuple[int, int]]:
    """Runs of consecutive numbers, as (first, last); ``segments`` rise."""
    found: list[tuple[int, int]] = []
    for number in segments:
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def _nearest(
    time: Fraction, within: Fraction, keyframes: Sequence[Fraction]
) -> Fraction:
    place = bisect_left(keyframes, time)
    near = [
        keyframe
        for keyframe in keyframes[max(0, place - 1) : place + 1]
        if abs(keyframe - time) <= within
    ]
    return min(near, key=lambda keyframe: abs(keyframe - time), default=time)
