"""Where a video is cut into segments that are made one by one. Pure: no file is touched."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

# A cut moves to a keyframe that is this near, as a share of a segment's length: encoders put
# keyframes where scenes begin.
_NEAR = Fraction(1, 4)
# Minimum length of the last segment, as a share of the others'.
_MIN_REST = Fraction(1, 2)
# A video that would need more segments than this gets longer ones.
_MAX_SEGMENTS = 20_000


@dataclass(frozen=True, slots=True)
class SegmentPlan:
    """Segments of a run: each owns the source frames from one cut up to the next.

    Attributes:
        cuts: source times at which segments 1, 2, ... begin, seconds, rising.
    """

    cuts: tuple[Fraction, ...] = ()

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
) -> SegmentPlan:
    """Cut a range of time.

    Args:
        begin: of the range, seconds.
        end: of the range, seconds.
        length: of a segment, seconds, above 0.
        keyframes: times that a cut should move to if one is near, seconds, rising.
    """
    length = max(length, (end - begin) / _MAX_SEGMENTS)
    last_cut = end - length * _MIN_REST
    cuts: list[Fraction] = []
    cut = _nearest(begin + length, length * _NEAR, keyframes)
    while cut <= last_cut:
        cuts.append(cut)
        cut = _nearest(cut + length, length * _NEAR, keyframes)
    return SegmentPlan(tuple(cuts))


def consecutive(segments: Sequence[int]) -> list[tuple[int, int]]:
    """Spans of consecutive numbers, as (first, last); ``segments`` rise."""
    spans: list[tuple[int, int]] = []
    for number in segments:
        if spans and spans[-1][1] == number - 1:
            first, _ = spans.pop()
            spans.append((first, number))
        else:
            spans.append((number, number))
    return spans


def _nearest(
    time: Fraction, within: Fraction, keyframes: Sequence[Fraction]
) -> Fraction:
    """The nearest keyframe, or the time itself if none is within so many seconds."""
    place = bisect_left(keyframes, time)
    neighbours = keyframes[max(0, place - 1) : place + 1]
    near = [keyframe for keyframe in neighbours if abs(keyframe - time) <= within]
    return min(near, key=lambda keyframe: abs(keyframe - time), default=time)
