"""What a benchmark found, as data: one row a method, one figure a metric, every frame's values kept for curves."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrcli.metrics.info import MetricInfo


@dataclass(frozen=True, slots=True)
class BenchRow:
    """One method's figures.

    Attributes:
        name: ``nearest``, ``bicubic``, ``lanczos``, ``delta:video``, a checkpoint's name, or that of a file compared.
        is_baseline: interpolation, not a network.
        means: metric -> mean over the frames; infinite where any frame is identical to its truth and the metric has no bound.
        per_frame: metric -> one value a frame (NaN where a metric has none, such as the first frame of a temporal one); of a
            network ``temporal_gain_db`` as well.
        gain_db: PSNR over bicubic's, mean over frames, or None where it is not known.
        temporal_gain_db: PSNR over that of the same network when its window shows the middle frame
            only, mean over frames: what the neighbours bring. None for what is no network.
        frames_per_second: of the method alone, without reading and scoring; None where it did not run.
        peak_memory_mb: of the process while the method ran (of the card, for CUDA); None where unknown.
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
        degradation: how the low-resolution input came about, in words for people.
        width, height: size of the ground truth, pixels.
        frames: frames scored.
        crop: pixels left out at each border.
        data_range: peak of the data, 255 or what ``--range`` said.
        metrics: how each metric is shown, in order.
        rows: baselines first.
        times: time of each frame in seconds, for curves; indices where a source has no times.
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

    def as_json(self) -> dict[str, Any]:
        """The report for JSON, which has no infinity: None instead, with the reason under ``undefined``."""
        undefined: list[str] = []

        def finite(value: float | None, what: str) -> float | None:
            if value is None or math.isfinite(value):
                return value
            if what:
                reason = (
                    "infinite: at least one picture is identical to its truth"
                    if math.isinf(value)
                    else "the metric has no value here"
                )
                undefined.append(f"{what}: {reason}")
            return None

        rows = [
            {
                "name": row.name,
                "is_baseline": row.is_baseline,
                "means": {
                    name: finite(value, f"{row.name}.{name}")
                    for name, value in row.means.items()
                },
                "gain_over_bicubic_db": finite(
                    row.gain_db, f"{row.name}.gain_over_bicubic_db"
                ),
                "temporal_gain_db": finite(
                    row.temporal_gain_db, f"{row.name}.temporal_gain_db"
                ),
                "frames_per_second": row.frames_per_second,
                "peak_memory_mb": row.peak_memory_mb,
                "per_frame": {
                    name: [finite(value, "") for value in values]
                    for name, values in row.per_frame.items()
                },
            }
            for row in self.rows
        ]
        return {
            "ground_truth": self.ground_truth,
            "protocol": self.protocol,
            "degradation": self.degradation,
            "width": self.width,
            "height": self.height,
            "frames": self.frames,
            "crop": self.crop,
            "data_range": self.data_range,
            "metrics": {
                metric.name: {
                    "title": metric.title,
                    "higher_is_better": metric.higher_is_better,
                    "note": metric.note,
                }
                for metric in self.metrics
            },
            "times": self.times,
            "rows": rows,
            "undefined": undefined,
        }


@dataclass(frozen=True, slots=True)
class Shot:
    """One frame as pictures, for the page.

    Attributes:
        title: such as ``worst frame (57, 2.28 s)``.
        truth: ground-truth luma, (H, W) uint8 codes; of large frames a part.
        pictures: method -> luma of the same shape.
        psnr: method -> PSNR of the whole frame, dB.
        full_range: whether black and white are 0 and 255 instead of 16 and 235.
        note: what else there is to say of the pictures.
    """

    title: str
    truth: NDArray[np.uint8]
    pictures: dict[str, NDArray[np.uint8]]
    psnr: dict[str, float]
    full_range: bool = False
    note: str = ""
