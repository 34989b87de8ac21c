"""What a benchmark scores, as an interface."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from vsrcli.bench.progress import OnProgress
from vsrcli.bench.report import BenchRow
from vsrcli.bench.scores import OpenScores
from vsrcli.bench.shots import ComparedFrame


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run measured.

    Attributes:
        rows: one per method, baselines first.
        times: of the frames, seconds.
    """

    rows: list[BenchRow]
    times: list[float]


class BenchRun(Protocol):
    """What is scored: methods, or a result that exists already."""

    @property
    def width(self) -> int:
        """Of the pictures scored, pixels."""

    @property
    def height(self) -> int:
        """Of the pictures scored, pixels."""

    @property
    def rate(self) -> float:
        """Pictures per second."""

    @property
    def pixel_aspect(self) -> Fraction:
        """Width / height of a pixel."""

    @property
    def places(self) -> int:
        """In how many places of the ground truth the frames are."""

    @property
    def description(self) -> str:
        """How the low-resolution input is made, in words for people."""

    def score(
        self,
        open_scores: OpenScores,
        on_progress: OnProgress,
    ) -> RunResult:
        """Score every method on every frame."""

    def frames(self) -> Iterator[ComparedFrame]:
        """Every frame in order, to be compared as pictures."""
