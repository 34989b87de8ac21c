"""How far a piece of work is, and how that is told in words. It prints nothing."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from vsrcli.cli.eta import BatchEta, Eta
from vsrcli.wording import duration_text, plural

# The rate shown is that of the last seconds, and of a few reports at least.
_RATE_SECONDS = 20
_RATE_REPORTS = 8
_REPORT_SECONDS = 0.1
# From here on, what is left is the end of the output and its checks.
_NEARLY_ALL = 0.9995
_TODAY_SECONDS = 12 * 3600
_WEEK_SECONDS = 6 * 86400

Clock = Callable[[], float]


class Meter:
    """How far a piece of work is.

    Attributes:
        title: of the work.
        share: done, 0..1; None if that is unknown.
        count: units done.
        total: units in all; None if that is unknown.
        text: more about the moment.
        batch: that this is one piece of; None if there are no others.
        eta: when it will be done.
    """

    def __init__(
        self,
        title: str,
        unit: str,
        *,
        place: tuple[int, int] | None = None,
        batch: BatchMeter | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        """Begin.

        Args:
            title: of the work.
            unit: of what is counted, in the plural.
            place: which this is of how many, from 1; the title begins with it.
            batch: that this is one piece of.
            clock: seconds, never going back.
        """
        self.title = title
        self._is_one_of_many = False
        if place is not None and place[1] > 1:
            number, count = place
            self.title = f"[{number}/{count}] {title}"
            self._is_one_of_many = True
        self.share: float | None = None
        self.count = 0
        self.total: int | None = None
        self.text = ""
        self.batch = batch
        self.eta = Eta(clock())
        self._unit = unit
        self._clock = clock
        self._work = 0.0
        self._recent: deque[tuple[float, int]] = deque()

    def update(
        self,
        share: float | None,
        count: int,
        text: str = "",
        *,
        total: int | None = None,
        work: float | None = None,
    ) -> None:
        """Take a report.

        Args:
            share: done, 0..1; None if unknown.
            count: units done.
            text: more about the moment.
            total: units in all, if known.
            work: units that had to be computed so far; None: all.
        """
        now = self._clock()
        step = count - self.count
        if share is not None:
            part = 1.0
            if work is not None and step > 0:
                part = min(1.0, max(0.0, work - self._work) / step)
            self.eta.update(share, now, part, frames=step)
        self.share = share
        self.count = count
        self.total = total
        self.text = text
        self._work = work or 0.0
        if step < 0:
            self._recent.clear()
        if step or not self._recent:
            self._keep(now, count)

    def rate(self) -> str:
        """The speed of late, such as ``4.1 frames/s``; empty while it is unknown."""
        if len(self._recent) < 2:
            return ""
        begin, first = self._recent[0]
        end, last = self._recent[-1]
        if end <= begin or last <= first:
            return ""
        return f"{_figure((last - first) / (end - begin))} {self._unit}/s"

    def remaining(self) -> float | None:
        """Seconds that are left; None while nothing can be said."""
        if self.is_finishing:
            return None
        now = self._clock()
        if self.batch is not None:
            return self.batch.remaining_of_current(self.eta, now)
        return self.eta.remaining(now)

    @property
    def is_finishing(self) -> bool:
        """Whether all is done but the end of the output."""
        return self.share is not None and self.share >= _NEARLY_ALL

    @property
    def has_begun(self) -> bool:
        """Whether anything has been reported."""
        return bool(self._recent)

    def counts(self) -> str:
        """What is done, such as ``1,234/10,000 frames``."""
        if self.total is None:
            return self._counted()
        total = f"{self.total:,}"
        return f"{self.count:>{len(total)},}/{total} {self._unit}"

    def left(self) -> str:
        """The time that is left, such as ``36 min left``; empty while it is unknown."""
        if not self.has_begun:
            return "starting"
        if self.is_finishing:
            return self.text or "finishing"
        return _left(self.remaining())

    def sentence(self) -> str:
        """Everything in one line, for a file or a terminal without a bar."""
        done = self._counted()
        if self.total is not None:
            done = f"{self.count:,} of {self.total:,} {self._unit}"
        text = "" if self.is_finishing else self.text
        phrases = [done, text, self.rate(), self.left()]
        if self.share is not None:
            phrases.insert(0, f"{100 * self.share:.1f} %")
        name = f"{self.title}: " if self._is_one_of_many else ""
        if self.batch is None:
            return name + _joined([*phrases, _ends(self.remaining())])
        of_all = self.batch.remaining(self)
        all_phrases = [_left(of_all), _ends(of_all), self.batch.unknown_text()]
        line = name + _joined(phrases)
        all_text = _joined(all_phrases)
        return f"{line}; all: {all_text}" if all_text else line

    def _counted(self) -> str:
        unit = self._unit.removesuffix("s") if self.count == 1 else self._unit
        return f"{self.count:,} {unit}"

    def _keep(self, now: float, count: int) -> None:
        recent = self._recent
        if len(recent) > 1 and now - recent[-2][0] < _REPORT_SECONDS:
            recent.pop()
        recent.append((now, count))
        while len(recent) > _RATE_REPORTS and now - recent[0][0] > _RATE_SECONDS:
            recent.popleft()


class BatchMeter:
    """How far several pieces of work are, one after the other."""

    def __init__(
        self, weights: Sequence[float | None], *, clock: Clock = time.monotonic
    ) -> None:
        """Take what each is expected to cost, in any unit; None where that is unknown."""
        self._weights = list(weights)
        self._eta = BatchEta(weights)
        self._clock = clock
        self._weight_done = 0.0
        self._current = 0

    def begin(self, index: int) -> None:
        """Piece ``index`` begins."""
        self._current = index
        self._eta.begin(index, self._clock())

    def end(self, meter: Meter | None) -> None:
        """The current piece ends; ``meter`` is its own, None if nothing was done."""
        share_done = 0.0 if meter is None else meter.eta.share_done
        self._eta.end(self._clock(), share_done)
        self._weight_done += self._weights[self._current] or 0.0

    def share(self, meter: Meter) -> float | None:
        """What is done of all, 0..1; None if nothing is known of any."""
        known = sum(weight or 0.0 for weight in self._weights)
        if not known:
            return None
        current = self._weights[self._current] or 0.0
        done = self._weight_done + current * (meter.share or 0.0)
        return min(1.0, done / known)

    def remaining(self, meter: Meter) -> float | None:
        """Seconds until all of known length are done; None while nothing can be said."""
        return self._eta.remaining(meter.eta, self._clock())

    def remaining_of_current(self, eta: Eta, now: float) -> float | None:
        """Seconds until the current piece is done, also by the speed of those before it."""
        return self._eta.remaining_of_current(eta, now)

    def left(self, meter: Meter) -> str:
        """The time that is left for all, such as ``5 h 10 min left``."""
        remaining = self.remaining(meter)
        if remaining is not None and remaining < 1 and meter.is_finishing:
            return meter.left()
        return _left(remaining)

    def unknown_text(self) -> str:
        """How many are of unknown length, in words; empty if none is."""
        count = self._eta.unknown
        return f"and {plural(count, 'file')} of unknown length" if count else ""


def _joined(phrases: Sequence[str]) -> str:
    return ", ".join(phrase for phrase in phrases if phrase)


def _left(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{duration_text(max(1, round(seconds)))} left"


def _ends(seconds: float | None) -> str:
    """When that is, on the clock of the user."""
    if seconds is None:
        return ""
    end = datetime.now() + timedelta(seconds=seconds)
    if seconds < _TODAY_SECONDS:
        return f"ends {end:%H:%M}"
    if seconds < _WEEK_SECONDS:
        return f"ends {end:%a %H:%M}"
    return f"ends {end:%Y-%m-%d}"


def _figure(value: float) -> str:
    """Two digits, or all of an integer."""
    if value >= 9.95:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 0.995 else f"{value:.2g}"
