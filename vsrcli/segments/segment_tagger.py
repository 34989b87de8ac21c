"""Which segment each source frame belongs to: decided in the network's thread."""

from __future__ import annotations

import zlib
from collections import deque
from dataclasses import dataclass, replace

from vsrcli.captions import CaptionQueue
from vsrcli.frame import Frame
from vsrcli.preflight.segment_plan import SegmentPlan
from vsrcli.segments.segment import Mark, mark_of
from vsrcli.timing import Scheduled


@dataclass(frozen=True, slots=True)
class SegmentFrames:
    """The source frames of a segment.

    Attributes:
        count: how many there are.
        before: the last frame before them; None if there is none.
        last: the last one of them; None if there is none.
        captions: closed captions that no frame of the output has been given; they are for its last.
    """

    count: int = 0
    before: Mark | None = None
    last: Mark | None = None
    captions: bytes = b""


class SegmentTagger:
    """Assigns source frames to segments, and says what is in each.

    ``assign_segment`` runs in the network's thread. What is known of a complete segment goes to the
    encoder's thread through ``take``, ahead of the first frame that comes after the segment.

    Closed captions of a frame that the output's rate drops go to the next frame of the segment that
    is shown; a frame that is shown several times has its own only once.
    """

    def __init__(self, plan: SegmentPlan, first: int, last: int) -> None:
        """Expect the frames of the segments from ``first`` to ``last``, and frames around them."""
        self._plan = plan
        self._first = first
        self._last = last
        self._number = -1
        self._frames = 0
        self._before: Mark | None = None
        self._previous: Frame | None = None
        self._next_complete = first
        self._captions = CaptionQueue()
        # appending to a deque and taking from it are thread-safe
        self._complete: deque[SegmentFrames] = deque()

    def assign_segment(self, item: Scheduled, in_range: bool) -> Scheduled:
        """Give a frame its segment.

        Args:
            item: the next frame.
            in_range: whether it is in the time range of the run.

        Returns:
            The frame with its segment. One that is only context has no place in the output.
        """
        if not in_range:
            return replace(item, ticks=())
        number = max(self._number, self._plan.segment_at(item.frame.time))
        if number != self._number:
            self._enter(number)
        self._previous = item.frame
        self._frames += 1
        if not self._first <= number <= self._last:
            return replace(item, ticks=())
        return replace(item, segment=number, captions=self._captions_for(item))

    def finish(self) -> None:
        """Complete the segments that are left: no frame comes any more."""
        self._complete_before(self._last + 1)

    def take(self) -> SegmentFrames:
        """What the next complete segment holds; called once for each segment, in order."""
        return self._complete.popleft()

    def _enter(self, number: int) -> None:
        self._complete_before(number)
        self._before = self._mark()
        self._number = number
        self._frames = 0

    def _complete_before(self, number: int) -> None:
        for segment in range(self._next_complete, min(number, self._last + 1)):
            frames = SegmentFrames()
            if segment == self._number:
                frames = SegmentFrames(
                    self._frames,
                    self._before,
                    self._mark(),
                    self._captions.rest(),
                )
            self._complete.append(frames)
            self._next_complete = segment + 1

    def _captions_for(self, item: Scheduled) -> tuple[bytes, ...]:
        own = item.frame.captions
        if not item.ticks:
            self._captions.add(own)
            return ()
        shares = [self._captions.next(own)]
        shares += [self._captions.next(b"") for _ in item.ticks[1:]]
        return tuple(shares) if any(shares) else ()

    def _mark(self) -> Mark | None:
        if self._previous is None:
            return None
        checksum = zlib.crc32(self._previous.luma.tobytes())
        return mark_of(self._previous.time, checksum)
