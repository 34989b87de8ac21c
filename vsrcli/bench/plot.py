"""The curves of a benchmark: every method's figures over the frames, one panel per metric."""

from __future__ import annotations

import io
import math
from typing import Any

from vsrcli.bench.report import BenchReport
from vsrcli.metrics.info import MetricInfo
from vsrcli.wording import printable

_MAX_MARKED_FRAMES = 40


def plot(report: BenchReport) -> bytes:
    """Draw the curves as a PNG.

    Args:
        report: the benchmark; figures that are not finite leave gaps.

    Returns:
        The file's content.
    """
    # Imported here: it takes a second, and most runs of vsr draw nothing.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    metrics = [metric for metric in report.metrics if _has_curves(report, metric)]
    height = 0.8 + 2.8 * len(metrics)
    figure = Figure(figsize=(11, height), layout="constrained")
    FigureCanvasAgg(figure)
    title = printable(f"{report.ground_truth}: {report.degradation}")
    figure.suptitle(
        title,
        fontsize=10,
        parse_math=False,
    )
    grid = figure.subplots(
        nrows=len(metrics),
        ncols=1,
        sharex=True,
        squeeze=False,
    )
    panels = grid[:, 0]
    for panel, metric in zip(panels, metrics, strict=True):
        _draw(panel, report, metric)
    axis = "time, s" if report.has_times else "frame"
    panels[-1].set_xlabel(axis)
    handles, labels = panels[0].get_legend_handles_labels()
    # The legend is outside of the panels, so that it hides no curve.
    legend = figure.legend(
        handles,
        labels,
        loc="outside lower center",
        fontsize=8,
        ncols=min(6, len(report.rows)),
    )
    for text in legend.get_texts():
        text.set_parse_math(False)  # a name may hold dollar signs
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=100)
    return file.getvalue()


def _has_curves(report: BenchReport, metric: MetricInfo) -> bool:
    return any(row.per_frame.get(metric.name) for row in report.rows)


def _draw(
    panel: Any,
    report: BenchReport,
    metric: MetricInfo,
) -> None:
    """Draw every method's curve of one metric."""
    positions = report.positions
    marker = "." if len(positions) < _MAX_MARKED_FRAMES else None
    for row in report.rows:
        values = [
            value if math.isfinite(value) else math.nan
            for value in row.per_frame[metric.name]
        ]
        panel.plot(
            positions,
            values,
            label=printable(row.name),
            marker=marker,
            linestyle="--" if row.is_baseline else "-",
            linewidth=1.0 if row.is_baseline else 1.6,
        )
    panel.set_ylabel(metric.title)
    panel.grid(alpha=0.3)
