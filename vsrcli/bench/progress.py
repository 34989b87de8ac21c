"""How a benchmark reports its progress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BenchProgress:
    """Where a benchmark is.

    Attributes:
        share: what is done, 0..1; None if the length is unknown.
        method: the one running.
        frames: those it has done.
    """

    share: float | None
    method: str
    frames: int


OnProgress = Callable[[BenchProgress], None]


@dataclass(frozen=True, slots=True)
class BarSpan:
    """The part of the progress bar that one pass takes.

    Attributes:
        start: where it begins, 0..1.
        length: 0..1.
    """

    start: float
    length: float

    def share(self, done: int, count: int | None) -> float | None:
        """Where the bar is after ``done`` frames of ``count``; None if the count is unknown."""
        if not count:
            return None
        share_of_pass = min(1.0, done / count)
        return self.start + self.length * share_of_pass

    @property
    def first_half(self) -> BarSpan:
        """The span of the first of two passes."""
        return BarSpan(self.start, self.length / 2)

    @property
    def second_half(self) -> BarSpan:
        """The span of the second of two passes."""
        half = self.length / 2
        return BarSpan(self.start + half, half)
