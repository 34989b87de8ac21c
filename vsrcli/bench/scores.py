"""The scores of one pass over the frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrcli.bench.source import Picture
from vsrcli.metrics.frames import FRAME_METRICS, SsimWindow, mse, psnr_of_mse, ssim
from vsrcli.metrics.info import MetricInfo
from vsrcli.metrics.registry import joined, sequence_metrics
from vsrcli.metrics.sequence import SEQUENCE_METRICS, SequenceScores
from vsrcli.options import BenchOptions

CROPS = {
    "vsr": 8,
    "report": 2,
}
_WINDOWS: dict[str, SsimWindow] = {
    "vsr": "gaussian",
    "report": "uniform",
}
_WINDOW_NAMES = {
    "gaussian": "11x11 Gaussian of sigma 1.5, population covariance",
    "uniform": "7x7 uniform, sample covariance (scikit-image's default)",
}


@dataclass(frozen=True, slots=True)
class PassScores:
    """The scores of one pass.

    Attributes:
        means: metric -> mean over the frames, or the clip's own figure.
        per_frame: metric -> one value per frame; always with ``psnr``.
        times: of the frames, seconds; their numbers without timestamps.
    """

    means: dict[str, float]
    per_frame: dict[str, list[float]]
    times: list[float]


class Scores:
    """The requested metrics over one pass; a context manager, as some hold programs and files.

    Args:
        options: metrics, protocol and data range.
        width: of the pictures, pixels.
        height: of the pictures, pixels.
        crop: pixels left out at each border.
        rate: pictures per second.

    Raises:
        OptionError: pictures too small for a metric.
        BackendError: a package or filter is missing.
    """

    def __init__(
        self,
        options: BenchOptions,
        *,
        width: int,
        height: int,
        crop: int,
        rate: float,
    ) -> None:
        self._names = options.metrics
        self._crop = crop
        self._range = options.range
        self._window = _WINDOWS[options.protocol]
        self._times: list[float] = []
        self._per_frame: dict[str, list[float]] = {}
        for name in self._names:
            if name in FRAME_METRICS:
                self._per_frame[name] = []
        self._per_frame.setdefault("psnr", [])
        self._open_sequence = partial(
            sequence_metrics,
            [name for name in self._names if name in SEQUENCE_METRICS],
            width - 2 * crop,
            height - 2 * crop,
            rate,
        )
        self._sequence = self._open_sequence()
        # of the runs of consecutive frames that have ended
        self._earlier: list[SequenceScores] = []

    def __enter__(self) -> Scores:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for metric in self._sequence:
            metric.close()

    @property
    def infos(self) -> tuple[MetricInfo, ...]:
        """How the metrics are presented, in the order requested."""
        infos = _frame_metric_infos(self._range, self._crop, self._window)
        for metric in self._sequence:
            infos += metric.infos
        by_name = {info.name: info for info in infos}
        return tuple(by_name[name] for name in dict.fromkeys(self._names))

    def add(self, truth: Picture, picture: NDArray[Any]) -> None:
        """Score the next frame: luma (H, W) on the scale of 8-bit codes.

        Metrics of sequences begin anew where frames are left out.
        """
        if truth.follows_gap:
            self._end_run()
            self._sequence = self._open_sequence()
        luma = truth.luma
        crop = self._crop
        error = mse(luma, picture, crop=crop)
        self._per_frame["psnr"].append(psnr_of_mse(error))
        if "mse" in self._names:
            scaled_error = error * (self._range / 255.0) ** 2
            self._per_frame["mse"].append(scaled_error)
        if "ssim" in self._names:
            similarity = ssim(luma, picture, window=self._window, crop=crop)
            self._per_frame["ssim"].append(similarity)
        height, width = luma.shape
        rows = slice(crop, height - crop)
        columns = slice(crop, width - crop)
        for metric in self._sequence:
            metric.add(
                luma[rows, columns].astype(np.float64),
                picture[rows, columns].astype(np.float64),
            )
        time = len(self._times) if truth.time is None else truth.time
        self._times.append(float(time))

    def finish(self) -> PassScores:
        """Means, and the values of every frame."""
        means: dict[str, float] = {}
        for name, values in self._per_frame.items():
            if values:
                means[name] = float(np.mean(values))
        per_frame = dict(self._per_frame)
        self._end_run()
        sequences = joined(self._earlier)
        for name, (figure, values) in sequences.items():
            means[name] = figure
            per_frame[name] = values
        return PassScores(means, per_frame, self._times)

    def _end_run(self) -> None:
        """Keep the figures of the consecutive frames so far."""
        scores: SequenceScores = {}
        for metric in self._sequence:
            scores.update(metric.finish())
        for metric in self._sequence:
            metric.close()
        self._earlier.append(scores)


OpenScores = Callable[[], Scores]


def _frame_metric_infos(
    data_range: float,
    crop: int,
    window: SsimWindow,
) -> tuple[MetricInfo, ...]:
    inside = f"{crop} pixels left out at each border"
    return (
        MetricInfo(
            name="mse",
            title="MSE",
            higher_is_better=False,
            digits=9 if data_range <= 1 else 3,
            note=f"luma, data of 0..{data_range:g}, {inside}",
        ),
        MetricInfo(
            name="psnr",
            title="PSNR dB",
            higher_is_better=True,
            digits=2,
            note=(
                "luma, over the whole range, mean over frames of each frame's figure, "
                f"{inside}"
            ),
        ),
        MetricInfo(
            name="ssim",
            title="SSIM",
            higher_is_better=True,
            digits=4,
            note=f"luma, {_WINDOW_NAMES[window]}, {inside}",
        ),
    )
