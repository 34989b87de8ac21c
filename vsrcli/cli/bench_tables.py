"""What ``vsr bench`` prints: tables on the terminal, and every frame's figures as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from textwrap import wrap
from typing import TYPE_CHECKING

from vsrcli.cli.console import print_table

if TYPE_CHECKING:
    from vsrcli.bench.report import BenchReport, BenchRow

_GAINS = ("over bicubic dB", "temporal gain dB")
_COSTS = ("frames/s", "peak MB")
# Headings are wrapped at so many columns: with the usual metrics, a table fits into 80.
_HEADING_COLUMNS = 6


def print_report(report: BenchReport) -> None:
    """Print a table of a benchmark's means, a row per method."""
    has_gains = any(row.gain_db is not None for row in report.rows)
    header = ["method", *_metric_titles(report)]
    if has_gains:
        header += [*_GAINS, *_COSTS]
    rows = []
    for row in report.rows:
        cells = [row.name, *_means([row], report)]
        if has_gains:
            cells += [*_gain_cells([row]), *_cost_cells(row)]
        rows.append(cells)
    title = (
        f"{report.ground_truth}: {report.width}x{report.height}, "
        f"{report.extent}, {report.degradation}; "
        f"protocol {report.protocol}, crop {report.crop}"
    )
    _print(title, header, rows)


def print_mean(reports: Sequence[BenchReport]) -> None:
    """Print a table of the means over several ground truths, a row per method."""
    first = reports[0]
    header = ["method", *_metric_titles(first), *_GAINS]
    rows = []
    for place, row in enumerate(first.rows):
        same_method = [report.rows[place] for report in reports]
        means = _means(same_method, first)
        rows.append([row.name, *means, *_gain_cells(same_method)])
    _print(f"mean of {len(reports)} ground truths", header, rows)


def _print(title: str, header: list[str], rows: list[list[str]]) -> None:
    """Print a table with headings of several short lines."""
    headings = [
        "\n".join(wrap(heading, _HEADING_COLUMNS, break_long_words=False))
        for heading in header
    ]
    print_table(title, headings, rows, is_narrow=True)


def as_csv(reports: Sequence[BenchReport]) -> str:
    """Every frame's figures: a line for each ground truth, method and frame."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [metric.name for metric in reports[0].metrics]
    writer.writerow(["ground_truth", "method", "frame", "time", *names])
    for report in reports:
        for row in report.rows:
            for frame, time in enumerate(report.times):
                figures = [f"{row.per_frame[name][frame]:.9g}" for name in names]
                place = [report.ground_truth, row.name, frame, f"{time:.6f}"]
                writer.writerow([*place, *figures])
    return text.getvalue()


def _metric_titles(report: BenchReport) -> list[str]:
    return [metric.title for metric in report.metrics]


def _means(rows: Sequence[BenchRow], report: BenchReport) -> list[str]:
    """A cell per metric: the mean over the rows."""
    cells = []
    for metric in report.metrics:
        mean = _mean([row.means[metric.name] for row in rows])
        cells.append(_figure(mean, f".{metric.digits}f"))
    return cells


def _gain_cells(rows: Sequence[BenchRow]) -> list[str]:
    """The mean gain and the mean temporal gain of the rows that have one."""
    gains = [row.gain_db for row in rows if row.gain_db is not None]
    temporal_gains = [
        row.temporal_gain_db for row in rows if row.temporal_gain_db is not None
    ]
    return [
        _figure(_mean(gains), "+.2f") if gains else "",
        _figure(_mean(temporal_gains), "+z.2f") if temporal_gains else "",
    ]


def _cost_cells(row: BenchRow) -> list[str]:
    rate = row.frames_per_second
    rate_cell = ""
    if rate is not None:
        rate_cell = f"{rate:.0f}" if rate >= 100 else f"{rate:.3g}"
    memory = row.peak_memory_mb
    memory_cell = "" if memory is None else f"{memory:.0f}"
    return [rate_cell, memory_cell]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _figure(value: float, digits: str) -> str:
    if math.isfinite(value):
        return f"{value:{digits}}"
    if math.isnan(value):
        return "-"
    return "inf" if value > 0 else "-inf"
