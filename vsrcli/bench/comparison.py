"""Scores a result of any tool against a ground truth of the same size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import islice

from vsrcli.bench.alignment import aligned, refuse_other_rate
from vsrcli.bench.excerpts import Excerpt, length
from vsrcli.bench.progress import BarSpan, BenchProgress, OnProgress
from vsrcli.bench.protocols import RunResult
from vsrcli.bench.report import BenchRow
from vsrcli.bench.scores import OpenScores
from vsrcli.bench.shots import ComparedFrame
from vsrcli.bench.source import Picture, Source
from vsrcli.errors import InputError


class ComparisonRun:
    """One result and its ground truth; implements :class:`~vsrcli.bench.protocols.BenchRun`.

    Args:
        truth: the ground truth.
        result: what is scored.
        excerpts: what is scored.

    Raises:
        InputError: the sizes differ, or the frame rates where places are found by time.
    """

    def __init__(
        self,
        truth: Source,
        result: Source,
        excerpts: list[Excerpt],
    ) -> None:
        truth_size = (truth.width, truth.height)
        result_size = (result.width, result.height)
        if result_size != truth_size:
            raise InputError(
                f"{result.path} has {result.width}x{result.height} pixels, "
                f"{truth.path} {truth.width}x{truth.height}: "
                "only equal sizes can be compared"
            )
        if any(excerpt.start is not None for excerpt in excerpts):
            refuse_other_rate(truth, result)
        self._truth = truth
        self._result = result
        self._excerpts = excerpts
        self._name = result.path.name
        self._count = length(excerpts, truth.count)
        self.places = len(excerpts)
        self.width = truth.width
        self.height = truth.height
        self.rate = truth.rate
        self.pixel_aspect = truth.pixel_aspect
        self.description = f"none: {self._name} is compared as it is"

    def score(
        self,
        open_scores: OpenScores,
        on_progress: OnProgress,
    ) -> RunResult:
        """See :class:`~vsrcli.bench.protocols.BenchRun`."""
        bar = BarSpan(0.0, 1.0)
        with open_scores() as scores:
            for done, (truth, picture) in enumerate(self._pairs(), start=1):
                scores.add(truth, picture.luma)
                share = bar.share(done, self._count)
                on_progress(BenchProgress(share, self._name, done))
            scored = scores.finish()
        row = BenchRow(
            name=self._name,
            is_baseline=False,
            means=scored.means,
            per_frame=scored.per_frame,
        )
        return RunResult([row], scored.times)

    def frames(self) -> Iterator[ComparedFrame]:
        """See :class:`~vsrcli.bench.protocols.BenchRun`."""
        for truth, picture in self._pairs():
            pictures = {self._name: picture.luma}
            colours = {}
            if picture.colour is not None:
                colours[self._name] = picture.colour
            yield ComparedFrame(truth, partial(dict, pictures), colours)

    def _pairs(self) -> Iterator[tuple[Picture, Picture]]:
        for number, excerpt in enumerate(self._excerpts):
            pairs = aligned(self._truth, self._result, excerpt)
            asked_for = (pair for pair in pairs if not pair[0].is_context)
            follows_gap = number > 0
            for truth, picture in islice(asked_for, excerpt.count):
                yield replace(truth, follows_gap=follows_gap), picture
                follows_gap = False
