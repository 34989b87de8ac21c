"""How much of a run its segments are."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence
from itertools import accumulate

from vsrcli.preflight.segment_plan import SegmentPlan
from vsrcli.preflight.upscale_job import UpscaleJob


class SegmentShares:
    """Where each segment of a run begins and ends, as shares of its time range."""

    def __init__(self, plan: SegmentPlan, job: UpscaleJob) -> None:
        """Take the cuts; a run whose length is unknown has none."""
        begins = [
            job.time_range.share(cut, job.info.duration) or 0.0 for cut in plan.cuts
        ]
        self._bounds = [0.0, *begins, 1.0]

    def before(self, number: int) -> float:
        """The share of all that comes before a segment, or (one after the last) 1."""
        return self._bounds[min(number, len(self._bounds) - 1)]

    def done(self, missing: Collection[int]) -> float:
        """The share of all segments but those that are missing, 0..1."""
        return 1 - sum(self._length(number) for number in missing)

    def _length(self, number: int) -> float:
        return self._bounds[number + 1] - self._bounds[number]


class ShareOfPass:
    """How much of a run is done while a pass makes what is missing, in order."""

    def __init__(self, shares: SegmentShares, numbers: Sequence[int]) -> None:
        """``numbers`` are of the missing segments, rising; all others are there."""
        self._begins = [shares.before(number) for number in numbers]
        self._ends = [shares.before(number + 1) for number in numbers]
        lengths = [
            end - begin for begin, end in zip(self._begins, self._ends, strict=True)
        ]
        # the share of each segment and those after it, and 0 after the last
        rests = list(accumulate(reversed(lengths), initial=0.0))
        self._rests = rests[::-1]

    def at(self, position: float) -> float:
        """The share that is done when the pass has come to ``position``, 0..1 of the range."""
        place = bisect_left(self._ends, position)
        if place == len(self._ends):
            return 1.0
        done_of_segment = max(0.0, position - self._begins[place])
        return 1 - self._rests[place] + done_of_segment
