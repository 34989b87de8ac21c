"""A benchmark's result as data: one row per method, one figure per metric.

The values of every frame are kept for curves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from vsrcli.metrics.info import MetricInfo
from vsrcli.wording import plural


@dataclass(frozen=True, slots=True)
class BenchRow:
    """One method's figures.

    Attributes:
        name: ``nearest``, ``bicubic``, ``lanczos``, ``delta:video``, a checkpoint's name, or that
            of a file compared.
        is_baseline: True for interpolation, False for networks.
        means: metric -> mean over the frames; infinite if any frame is identical to its truth and
            the metric has no bound.
        per_frame: metric -> one value per frame (NaN where a metric has none, such as the first
            frame of a temporal one); for a network with ``temporal_gain_db`` as well.
        gain_db: PSNR over bicubic's, mean over frames, or None if it is unknown.
        temporal_gain_db: PSNR over that of the same network when its window holds the middle frame
            only, mean over frames: what the neighbours bring. None for anything but networks.
        frames_per_second: of the method alone, without reading and scoring; None if it did not run.
        peak_memory_mb: of the process while the method ran (of the GPU, for CUDA); None if it is
            unknown.
    """

    name: str
    is_baseline: bool
    means: dict[str, float]
    per_frame: dict[str, list[float]]
    gain_db: float | None = None
    temporal_gain_db: float | None = None
    frames_per_second: float | None = None
    peak_memory_mb: float | None = None


@dataclass(frozen=True, slots=True)
class BenchReport:
    """A benchmark's result.

    Attributes:
        ground_truth: name of the file or folder.
        protocol: ``vsr`` or ``report``.
        degradation: how the low-resolution input was made, in words for people.
        width, height: size of the ground truth, pixels.
        frames: number of frames scored.
        places: in how many places of the ground truth they are; consecutive in each.
        crop: pixels left out at each border.
        data_range: peak of the data, 255 or the value of ``--range``.
        metrics: how each metric is presented, in order.
        rows: baselines first.
        times: time of each frame in seconds, for curves; frame numbers if a source has no times.
    """

    ground_truth: str
    protocol: str
    degradation: str
    width: int
    height: int
    frames: int
    crop: int
    data_range: float
    metrics: tuple[MetricInfo, ...]
    rows: tuple[BenchRow, ...]
    times: list[float] = field(default_factory=list)
    places: int = 1

    @property
    def extent(self) -> str:
        """How many frames are scored, and in how many places, in words for people."""
        frames = plural(self.frames, "frame")
        return f"{frames} in {self.places} places" if self.places > 1 else frames

    @property
    def has_times(self) -> bool:
        """Whether curves can be drawn over time: there are times, and they increase."""
        if len(self.times) < 2:
            return False
        pairs = pairwise(self.times)
        return all(before < after for before, after in pairs)

    @property
    def positions(self) -> list[float]:
        """Where each frame is on the axis of curves: times if ``has_times``, otherwise numbers."""
        if self.has_times:
            return self.times
        return [float(number) for number in range(self.frames)]

    def as_json(self) -> dict[str, Any]:
        """The report for JSON.

        JSON has no infinity: such figures are None, with the reason under ``undefined``.
        """
        undefined: list[str] = []
        metrics: dict[str, Any] = {}
        for metric in self.metrics:
            metrics[metric.name] = {
                "title": metric.title,
                "higher_is_better": metric.higher_is_better,
                "note": metric.note,
            }
        return {
            "ground_truth": self.ground_truth,
            "protocol": self.protocol,
            "degradation": self.degradation,
            "width": self.width,
            "height": self.height,
            "frames": self.frames,
            "places": self.places,
            "crop": self.crop,
            "data_range": self.data_range,
            "metrics": metrics,
            "times": self.times,
            "rows": [_row_as_json(row, undefined) for row in self.rows],
            "undefined": undefined,
        }


def _row_as_json(row: BenchRow, undefined: list[str]) -> dict[str, Any]:
    """A row for JSON; the reasons for missing figures are added to ``undefined``."""

    def finite(value: float | None, name: str) -> float | None:
        if value is None or math.isfinite(value):
            return value
        reason = "the metric has no value here"
        if math.isinf(value):
            reason = "infinite: at least one picture is identical to its truth"
        undefined.append(f"{row.name}.{name}: {reason}")
        return None

    means = {name: finite(value, name) for name, value in row.means.items()}
    per_frame: dict[str, list[float | None]] = {}
    for name, values in row.per_frame.items():
        per_frame[name] = [value if math.isfinite(value) else None for value in values]
    return {
        "name": row.name,
        "is_baseline": row.is_baseline,
        "means": means,
        "gain_over_bicubic_db": finite(row.gain_db, "gain_over_bicubic_db"),
        "temporal_gain_db": finite(row.temporal_gain_db, "temporal_gain_db"),
        "frames_per_second": row.frames_per_second,
        "peak_memory_mb": row.peak_memory_mb,
        "per_frame": per_frame,
    }
