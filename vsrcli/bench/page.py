"""A benchmark as one self-contained HTML page: table, curves, frames to compare with a slider."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib.resources import files
from itertools import pairwise
from typing import Any

import numpy as np

from vsrcli.bench.report import BenchReport, BenchRow
from vsrcli.metrics.info import MetricInfo
from vsrcli.page.document import Document
from vsrcli.page.shots import Shot
from vsrcli.page.table import Column, table_of
from vsrcli.page.text import text_of
from vsrcli.wording import printable

_MAX_POINTS = 2000
_NO_FIGURE = "–"
_TEMPORAL_GAIN = "Temporal gain, dB"
_TEMPORAL_GAIN_NOTE = (
    "PSNR over that of the same network when it is given the middle frame five times, "
    "mean over frames"
)
_CURVES = (
    '<section id="curves"><h2>Frame by frame</h2><div class="tabs"></div>'
    '<div class="chart"><svg role="img" aria-label="Figures of every frame"></svg>'
    '<div class="legend"></div></div></section>'
)


def render(report: BenchReport, shots: Sequence[Shot]) -> str:
    """Make the page.

    Args:
        report: the benchmark.
        shots: frames to show, each with every method's picture.

    Returns:
        HTML, with everything inline.
    """
    table = table_of(
        [row.name for row in report.rows],
        _columns(report),
        baselines=[row.is_baseline for row in report.rows],
    )
    document = Document(
        command="vsr bench",
        title=report.ground_truth,
        facts=_facts(report),
        sections=[table, _notes(report), _CURVES],
        shots=shots,
        data={"curves": _curves(report)},
        style=_own_file("curves.css"),
        script=_own_file("curves.js"),
    )
    return document.render()


def _own_file(name: str) -> str:
    return files("vsrcli.bench").joinpath(name).read_text(encoding="utf-8")


def _facts(report: BenchReport) -> dict[str, str]:
    return {
        "Low resolution": report.degradation,
        "Size": f"{report.width} × {report.height}",
        "Scored": report.extent,
        "Protocol": f"{report.protocol}, {report.crop} pixels left out at each border",
        "Data range": f"0..{report.data_range:g}",
    }


def _notes(report: BenchReport) -> str:
    """What the columns of the table mean, as a list."""
    notes = {metric.title: metric.note for metric in report.metrics}
    if _has_temporal_gain(report):
        notes[_TEMPORAL_GAIN] = _TEMPORAL_GAIN_NOTE
    items = []
    for title, note in notes.items():
        items.append(f"<li><b>{text_of(title)}</b>: {text_of(note)}</li>")
    return f'<ul class="notes">{"".join(items)}</ul>'


def _has_temporal_gain(report: BenchReport) -> bool:
    return any(row.temporal_gain_db is not None for row in report.rows)


def _columns(report: BenchReport) -> list[Column]:
    """The gain first: on a phone, the columns behind it are scrolled to."""
    rows = report.rows
    columns: list[Column] = []
    if any(row.gain_db is not None for row in rows):
        gains = [_figure(row.gain_db, "+.2f") for row in rows]
        columns.append(Column("Gain over bicubic, dB", gains))
    columns += [_metric_column(report, metric) for metric in report.metrics]
    if _has_temporal_gain(report):
        gains = [_figure(row.temporal_gain_db, "+z.2f") for row in rows]
        columns.append(Column(_TEMPORAL_GAIN, gains))
    if any(row.frames_per_second is not None for row in rows):
        speeds = [_speed(row.frames_per_second) for row in rows]
        columns.append(Column("Frames/s", speeds))
        memory = [_figure(row.peak_memory_mb, ".0f") for row in rows]
        columns.append(Column("Peak memory, MB", memory))
    return columns


def _metric_column(report: BenchReport, metric: MetricInfo) -> Column:
    """A metric's column; the best figure is text, so that figures that look equal are equal."""
    digits = f".{metric.digits}f"
    values = [row.means.get(metric.name, math.nan) for row in report.rows]
    figures = [_figure(value, digits) for value in values]
    known = [value for value in values if not math.isnan(value)]
    if len(known) < 2:
        return Column(metric.title, figures)
    best = max(known) if metric.higher_is_better else min(known)
    return Column(
        metric.title,
        figures,
        best=_figure(best, digits),
    )


def _speed(frames_per_second: float | None) -> str:
    is_fast = frames_per_second is not None and frames_per_second >= 100
    return _figure(frames_per_second, ".0f" if is_fast else ".3g")


def _figure(value: float | None, digits: str) -> str:
    if value is None or math.isnan(value):
        return _NO_FIGURE
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return format(value, digits).replace("-", "−")


def _curves(report: BenchReport) -> dict[str, Any]:
    frames = _drawn_frames(report)
    positions = report.positions
    metrics: list[dict[str, Any]] = []
    for metric in report.metrics:
        if _is_complete(report, metric):
            curves = [_curve(row, metric, frames) for row in report.rows]
            metrics.append(
                {
                    "title": metric.title,
                    "digits": metric.digits,
                    "rows": curves,
                }
            )
    return {
        "unit": "s" if report.has_times else "frame",
        "frames": frames,
        "x": [round(positions[frame], 4) for frame in frames],
        "metrics": metrics,
    }


def _is_complete(report: BenchReport, metric: MetricInfo) -> bool:
    """Whether every method has a value for every frame."""
    for row in report.rows:
        values = row.per_frame.get(metric.name, [])
        if len(values) != report.frames:
            return False
    return True


def _drawn_frames(report: BenchReport) -> list[int]:
    """Frames to draw: all of a short clip; of a long one the worst of each stretch.

    The worst frame is that of the last method by the first metric.
    """
    if report.frames <= _MAX_POINTS:
        return list(range(report.frames))
    metric = report.metrics[0]
    last_row = report.rows[-1]
    values = np.array(last_row.per_frame[metric.name], np.float64)
    if not metric.higher_is_better:
        values = -values
    values[np.isnan(values)] = np.inf
    bounds = np.linspace(0, report.frames, _MAX_POINTS + 1)
    bounds = bounds.astype(int)
    frames = []
    for start, stop in pairwise(bounds):
        worst = start + values[start:stop].argmin()
        frames.append(int(worst))
    return frames


def _curve(
    row: BenchRow,
    metric: MetricInfo,
    frames: list[int],
) -> dict[str, Any]:
    values = row.per_frame[metric.name]
    points: list[float | None] = []
    for frame in frames:
        value = values[frame]
        if math.isfinite(value):
            points.append(float(f"{value:.6g}"))
        else:
            points.append(None)
    return {
        "name": printable(row.name),
        "baseline": row.is_baseline,
        "y": points,
    }
