"""The curves of a benchmark: every method's figure over the frames, one panel a metric."""

from __future__ import annotations

import io
import math
from itertools import pairwise

from vsrcli.bench.report import BenchReport


def plot(report: BenchReport) -> bytes:
    """Draw the curves as a PNG.

    Args:
        report: the benchmark; figures that are not finite leave gaps.

    Returns:
        The file's content.
    """
    # imported here: it takes a second, and most runs of vsr draw nothing
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    metrics = [
        metric
        for metric in report.metrics
        if any(row.per_frame.get(metric.name) for row in report.rows)
    ]
    is_time = len(report.times) > 1 and all(
        before < after for before, after in pairwise(report.times)
    )
    places = (
        report.times if is_time else [float(number) for number in range(report.frames)]
    )
    figure = Figure(figsize=(11, 0.8 + 2.8 * len(metrics)), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(
        f"{report.ground_truth}: {report.degradation}", fontsize=10, parse_math=False
    )
    panels = figure.subplots(len(metrics), 1, sharex=True, squeeze=False)[:, 0]
    for axes, metric in zip(panels, metrics, strict=True):
        for row in report.rows:
            values = [
                value if math.isfinite(value) else math.nan
                for value in row.per_frame[metric.name]
            ]
            style = (
                {"linestyle": "--", "linewidth": 1.0}
                if row.is_baseline
                else {"linewidth": 1.6}
            )
            axes.plot(
                places,
                values,
                label=row.name,
                marker="." if len(places) < 40 else None,
                **style,
            )
        axes.set_ylabel(metric.title)
        axes.grid(alpha=0.3)
    # outside of the panels, so that it hides no curve
    figure.legend(
        *panels[0].get_legend_handles_labels(),
        loc="outside lower center",
        fontsize=8,
        ncols=min(6, len(report.rows)),
    )
    panels[-1].set_xlabel("time, s" if is_time else "frame")
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=100)
    return file.getvalue()
