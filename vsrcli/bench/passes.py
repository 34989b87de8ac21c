"""The passes of every method over the frames of a ground truth.

Each method has its own pass, so that its memory can be told from the others'. Networks have a
second pass, in which each window holds its middle frame five times: what they lose by that is
their temporal gain. That pass is not timed, and its memory is not measured.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from vsrcli.bench.memory import PeakMemory
from vsrcli.bench.methods import Loader, Method, Window, baselines, networks
from vsrcli.bench.progress import BarSpan, BenchProgress, OnProgress
from vsrcli.bench.protocols import RunResult
from vsrcli.bench.report import BenchRow
from vsrcli.bench.scores import OpenScores
from vsrcli.bench.shots import ComparedFrame, Luma, Pictures
from vsrcli.bench.truth import Case, GroundTruth
from vsrcli.metrics.frames import psnr
from vsrcli.options import BenchOptions


class MethodRun:
    """The baselines and networks; implements :class:`~vsrcli.bench.protocols.BenchRun`.

    Args:
        truth: the ground truth with its low-resolution input.
        options: which networks, where they run, and how many frames.
        crop: pixels left out at each border.
    """

    def __init__(
        self,
        truth: GroundTruth,
        options: BenchOptions,
        crop: int,
    ) -> None:
        self._truth = truth
        self._options = options
        self._networks = networks(options)
        self._crop = crop
        self._count = truth.count
        self.places = truth.places
        self.width = truth.width
        self.height = truth.height
        self.rate = truth.rate
        self.pixel_aspect = truth.pixel_aspect
        self.description = truth.description

    def score(
        self,
        open_scores: OpenScores,
        on_progress: OnProgress,
    ) -> RunResult:
        """See :class:`~vsrcli.bench.protocols.BenchRun`."""
        rows: list[BenchRow] = []
        times: list[float] = []
        for load, span in self._passes():
            result = self._measure(
                load,
                span,
                open_scores,
                on_progress,
            )
            rows.extend(result.rows)
            times = result.times
        return RunResult(_with_gains(rows), times)

    def frames(self) -> Iterator[ComparedFrame]:
        """See :class:`~vsrcli.bench.protocols.BenchRun`."""
        loaders = [*baselines(), *self._networks]
        methods = [load() for load in loaders]
        for case in self._truth.cases():
            make_pictures = partial(_pictures, case, methods)
            yield ComparedFrame(case.truth, make_pictures)

    def _passes(self) -> Iterator[tuple[Loader, BarSpan]]:
        """Every method with its part of the progress bar."""
        # Interpolation takes next to no time, so only networks move the bar.
        for load in baselines():
            yield load, BarSpan(0.0, 0.0)
        for number, load in enumerate(self._networks):
            length = 1 / len(self._networks)
            yield load, BarSpan(number * length, length)

    def _measure(
        self,
        load: Loader,
        span: BarSpan,
        open_scores: OpenScores,
        on_progress: OnProgress,
    ) -> RunResult:
        """One method's passes."""
        seconds = 0.0
        with PeakMemory() as memory, open_scores() as scores:
            method = load()
            memory.device = method.device
            is_network = not method.is_baseline
            timed_span = span.first_half if is_network else span
            for done, case in enumerate(self._truth.cases(), start=1):
                start = time.perf_counter()
                picture = method.upscale(case.window)
                seconds += time.perf_counter() - start
                scores.add(case.truth, _on_8_bit_scale(picture))
                share = timed_span.share(done, self._count)
                on_progress(BenchProgress(share, method.name, done))
            scored = scores.finish()
        frames = len(scored.times)
        row = BenchRow(
            name=method.name,
            is_baseline=method.is_baseline,
            means=scored.means,
            per_frame=scored.per_frame,
            frames_per_second=frames / seconds if seconds else None,
            peak_memory_mb=memory.megabytes,
        )
        if frames and is_network:
            values = self._still_psnr(method, span.second_half, on_progress)
            row = _with_temporal_gain(row, values)
        return RunResult([row], scored.times)

    def _still_psnr(
        self,
        method: Method,
        span: BarSpan,
        on_progress: OnProgress,
    ) -> list[float]:
        """PSNR of every frame, dB, when the windows contain nothing but that frame."""
        values: list[float] = []
        for done, case in enumerate(self._truth.cases(), start=1):
            truth = case.truth.luma
            picture = method.upscale(_still(case.window))
            luma = _on_8_bit_scale(picture)
            figure = psnr(truth, luma, crop=self._crop)
            values.append(figure)
            share = span.share(done, self._count)
            name = f"{method.name}, one frame"
            on_progress(BenchProgress(share, name, done))
        return values


def _still(window: Window) -> Window:
    """A window that repeats the middle frame of another."""
    middle = window[len(window) // 2]
    return (middle,) * len(window)


def _with_gains(rows: list[BenchRow]) -> list[BenchRow]:
    """Rows with their PSNR over bicubic's."""
    by_name = {row.name: row for row in rows}
    reference = by_name["bicubic"].per_frame["psnr"]
    if not reference:
        return rows
    result: list[BenchRow] = []
    for row in rows:
        values = row.per_frame["psnr"]
        gains = _differences(values, reference)
        gain = float(np.mean(gains))
        result.append(replace(row, gain_db=gain))
    return result


def _with_temporal_gain(row: BenchRow, still_psnr: list[float]) -> BenchRow:
    """A network's row with its PSNR over that of still windows."""
    gains = _differences(row.per_frame["psnr"], still_psnr)
    per_frame = {**row.per_frame, "temporal_gain_db": gains}
    return replace(
        row,
        per_frame=per_frame,
        temporal_gain_db=float(np.mean(gains)),
    )


def _differences(values: list[float], others: list[float]) -> list[float]:
    """``values`` minus ``others``, dB; 0 for a frame both restore exactly (black, say)."""
    differences: list[float] = []
    pairs = zip(values, others, strict=True)
    for value, other in pairs:
        is_same = value == other  # both may be infinite
        differences.append(0.0 if is_same else value - other)
    return differences


def _pictures(case: Case, methods: list[Method]) -> Pictures:
    pictures: Pictures = {}
    for method in methods:
        picture = method.upscale(case.window)
        pictures[method.name] = _on_8_bit_scale(picture)
    return pictures


def _on_8_bit_scale(codes: Luma) -> Luma:
    """Codes of 8 or 16 bits on the scale of 8-bit ones."""
    if codes.dtype == np.uint8:
        return codes
    return codes.astype(np.float64) / 256.0
