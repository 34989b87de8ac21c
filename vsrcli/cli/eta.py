"""When work will be done, from the speed of all of it so far. Pure: it is told the time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# Less of a frame than this through the network is nothing: the picture stands still.
_STILL_WORK = 0.02
# One stretch of still frames, up to this share of the whole, says nothing of the rest.
_MAX_LEFT_OUT = 0.1
# What is seen before an estimate: seconds, reports of work, the longest pause so many times.
_MIN_SECONDS = 2.0
_MIN_REPORTS = 5
_MIN_PAUSES = 3
# Reports of more frames than this at once are of whole segments, of several machines perhaps at
# nearly the same time; the time until the first of them, so many times, says how far apart.
_LUMP_FRAMES = 8
_MIN_FIRST_WAITS = 2
# Still frames alone are believed from this share of the whole on.
_CONVINCING_SHARE = 0.1
# The speed leaves out the first of so many parts of the time: caches and encoders fill.
_WARM_UP_PARTS = 8
# Below this, work and frames are proportional as far as the sums can tell.
_MIN_DETERMINANT = 1e-6


@dataclass(frozen=True, slots=True)
class _Sums:
    """Sums over reports of their steps: share of the whole, work in it, and seconds.

    Attributes:
        seconds, work, share: of all steps.
        work_work, work_share, share_share, work_seconds, share_seconds: of the products.
    """

    seconds: float = 0.0
    work: float = 0.0
    share: float = 0.0
    work_work: float = 0.0
    work_share: float = 0.0
    share_share: float = 0.0
    work_seconds: float = 0.0
    share_seconds: float = 0.0

    def plus(self, share: float, work: float, seconds: float) -> _Sums:
        """The sums with one more step."""
        return _Sums(
            seconds=self.seconds + seconds,
            work=self.work + work,
            share=self.share + share,
            work_work=self.work_work + work * work,
            work_share=self.work_share + work * share,
            share_share=self.share_share + share * share,
            work_seconds=self.work_seconds + work * seconds,
            share_seconds=self.share_seconds + share * seconds,
        )

    def minus(self, before: _Sums) -> _Sums:
        """The sums of the steps after those of ``before``."""
        return _Sums(
            seconds=self.seconds - before.seconds,
            work=self.work - before.work,
            share=self.share - before.share,
            work_work=self.work_work - before.work_work,
            work_share=self.work_share - before.work_share,
            share_share=self.share_share - before.share_share,
            work_seconds=self.work_seconds - before.work_seconds,
            share_seconds=self.share_seconds - before.share_seconds,
        )

    def costs(self) -> tuple[float, float]:
        """Seconds of a unit of work, and of a unit of share whatever work is in it.

        They are the least squares' that are not negative, and explain all seconds together.
        """
        of_work, of_share = self._least_squares()
        explained = of_work * self.work + of_share * self.share
        scale = self.seconds / explained if explained > 0 else 0.0
        return scale * of_work, scale * of_share

    def _least_squares(self) -> tuple[float, float]:
        if self.work <= 0:
            return 0.0, 1.0
        product = self.work_work * self.share_share
        determinant = product - self.work_share**2
        if determinant <= _MIN_DETERMINANT * product:
            return 1.0, 0.0
        of_work = (
            self.work_seconds * self.share_share - self.share_seconds * self.work_share
        )
        of_share = (
            self.share_seconds * self.work_work - self.work_seconds * self.work_share
        )
        if of_work <= 0:
            return 0.0, 1.0
        if of_share <= 0:
            return 1.0, 0.0
        return of_work / determinant, of_share / determinant


class Eta:
    """When one piece of work will be done.

    The clock starts with the first report, which is no work itself: what came before was loading
    and compiling, and what an earlier run left. Later the first eighth of the time is left out.
    Frames that stand still cost what they cost, and those to come are as many as so far; only the
    longest stretch of them is left out of that.

    Attributes:
        share_done: share of the whole that was done since the first report.
    """

    def __init__(self, now: float = 0.0) -> None:
        """Know nothing yet; ``now`` is when loading begins, seconds."""
        self.share_done = 0.0
        self._began = now
        self._first_wait = 0.0
        self._has_lumps = False
        self._share: float | None = None
        self._time = 0.0
        self._sums = _Sums()
        self._snapshots: list[_Sums] = []
        self._reports = 0
        self._longest_pause = 0.0
        self._still = 0.0
        self._longest_still = 0.0
        self._is_ready = False

    def update(
        self, share: float, now: float, work: float = 1.0, *, frames: int = 1
    ) -> None:
        """Take a report.

        Args:
            share: of the whole that is done, 0..1, earlier runs included. It may fall, where
                something has to be done again.
            now: seconds, of any clock that never goes back.
            work: of the frames since the last report, the part that had to be computed, 0..1.
            frames: how many these are.
        """
        if self._share is None:
            self._first_wait = now - self._began
            self._share = share
            self._time = now
            return
        step = share - self._share
        if step <= 0:
            self._share = share
            if not self.share_done:
                self._time = now  # what comes first may be no part of the whole
            return
        seconds = now - self._time
        self._has_lumps = self._has_lumps or frames > _LUMP_FRAMES
        self._share = share
        self._time = now
        self._sums = self._sums.plus(step, step * work, seconds)
        self.share_done += step
        self._longest_pause = max(self._longest_pause, seconds)
        self._note_still(step, work)
        self._keep_snapshot()
        self._is_ready = self._is_ready or self._has_seen_enough()

    def remaining(self, now: float) -> float | None:
        """Seconds until all is done; None while nothing can be said."""
        if self._share is None or not self._is_ready:
            return None
        rest = (1 - self._share) * self.seconds_for_all
        # it counts down between reports, but not for longer than one usually takes
        since = min(max(0.0, now - self._time), self._longest_pause)
        return max(0.0, rest - since)

    @property
    def seconds_for_all(self) -> float:
        """What the whole would take at this speed, from the first frame; 0 while unknown."""
        recent = self._sums.minus(self._warm_up())
        if recent.work <= 0:
            recent = self._sums
        of_work, of_share = recent.costs()
        return of_work * self._work_of_rest() + of_share

    def _note_still(self, step: float, work: float) -> None:
        if work > _STILL_WORK:
            self._reports += 1
            self._still = 0.0
            return
        self._still += step
        self._longest_still = max(self._longest_still, self._still)

    def _work_of_rest(self) -> float:
        """The part of what is left that has to be computed, 0..1."""
        left_out = min(self._longest_still, _MAX_LEFT_OUT)
        counted = self._sums.share - left_out
        if counted <= 0:
            return 1.0
        return min(1.0, self._sums.work / counted)

    def _keep_snapshot(self) -> None:
        """Remember the sums whenever the time has doubled."""
        last = self._snapshots[-1].seconds if self._snapshots else 0.0
        if self._sums.seconds >= max(2 * last, _MIN_SECONDS / _WARM_UP_PARTS):
            self._snapshots.append(self._sums)

    def _warm_up(self) -> _Sums:
        """The sums of the time that is left out."""
        limit = self._sums.seconds / _WARM_UP_PARTS
        return max(
            (sums for sums in self._snapshots if sums.seconds <= limit),
            key=lambda sums: sums.seconds,
            default=_Sums(),
        )

    def _has_seen_enough(self) -> bool:
        least = max(_MIN_SECONDS, _MIN_PAUSES * self._longest_pause)
        if self._has_lumps:
            least = max(least, _MIN_FIRST_WAITS * self._first_wait)
        if self._sums.seconds < least:
            return False
        is_convincing = self.share_done >= _CONVINCING_SHARE
        return self._reports >= _MIN_REPORTS or is_convincing


class BatchEta:
    """When several pieces of work, one after the other, will be done."""

    def __init__(self, weights: Sequence[float | None]) -> None:
        """Take what each is expected to cost, in any unit; None where that is unknown."""
        self._weights = list(weights)
        self._current: int | None = None
        self._began = 0.0
        self._seconds = 0.0
        self._weight_done = 0.0

    def begin(self, index: int, now: float) -> None:
        """Piece ``index`` begins."""
        self._current = index
        self._began = now

    def end(self, now: float, share_done: float) -> None:
        """The current piece ends; ``share_done`` of it was done in this run, 0..1."""
        if self._current is None:
            return
        weight = self._weights[self._current]
        if weight is not None and share_done > 0:
            self._seconds += now - self._began
            self._weight_done += weight * share_done
        self._weights[self._current] = 0.0
        self._current = None

    @property
    def unknown(self) -> int:
        """How many of those that have not begun are of unknown cost."""
        return sum(
            weight is None
            for index, weight in enumerate(self._weights)
            if index != self._current
        )

    def remaining_of_current(self, eta: Eta, now: float) -> float | None:
        """Seconds until the current piece is done, at first by the speed of those before it."""
        of_current = eta.remaining(now)
        cost = self._cost(eta)
        weight = self._current_weight
        if of_current is None and weight is not None and cost is not None:
            of_current = max(0.0, weight * cost - (now - self._began))
        return of_current

    def remaining(self, eta: Eta, now: float) -> float | None:
        """Seconds until all pieces of known cost are done; None while nothing can be said.

        Args:
            eta: of the current piece.
            now: seconds, of the clock that ``begin`` was told.
        """
        of_current = self.remaining_of_current(eta, now)
        rest = sum(
            weight or 0.0
            for index, weight in enumerate(self._weights)
            if index != self._current
        )
        if of_current is None or not rest:
            return of_current
        cost = self._cost(eta)
        return None if cost is None else of_current + rest * cost

    @property
    def _current_weight(self) -> float | None:
        return None if self._current is None else self._weights[self._current]

    def _cost(self, eta: Eta) -> float | None:
        """Seconds for a unit of weight, by what was done so far; None if nothing was."""
        weight = self._current_weight or 0.0
        weight_done = self._weight_done + weight * eta.share_done
        if not weight_done:
            return None
        seconds = self._seconds
        if weight:
            seconds += eta.seconds_for_all * eta.share_done
        return seconds / weight_done
