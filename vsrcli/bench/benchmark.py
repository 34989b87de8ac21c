"""A benchmark: every method over every frame of a ground truth, through the code path of ``vsr upscale``, scored as the protocol says.

Frames stream: what is kept of each is a number a metric. Each method has a pass of its own, so that its memory can be told from the others'.
Networks have a second pass, in which each window holds its middle frame five times: what they lose by that is their temporal gain. It is not timed, and its
memory is not measured.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrcli.bench.memory import PeakMemory
from vsrcli.bench.methods import Method, baselines, networks
from vsrcli.bench.report import BenchReport, BenchRow, Shot
from vsrcli.bench.truth import (
    Case,
    Picture,
    Source,
    aligned,
    pack_cases,
    read_pack,
    truth_cases,
)
from vsrcli.errors import InputError, OptionError
from vsrcli.metrics.frames import SsimWindow, mse, ssim
from vsrcli.metrics.info import MetricInfo
from vsrcli.metrics.registry import sequence_metrics
from vsrcli.metrics.sequence import SEQUENCE_METRICS
from vsrcli.options import BenchOptions

_CROPS = {"vsr": 8, "report": 2}
_WINDOWS: dict[str, SsimWindow] = {"vsr": "gaussian", "report": "uniform"}
_WINDOW_NAMES = {
    "gaussian": "11x11 Gaussian of sigma 1.5, population covariance",
    "uniform": "7x7 uniform, sample covariance (scikit-image's default)",
}
_SHOT_SIZE = (640, 360)  # pixels; width and height of the pictures on the page, at most
FRAME_METRICS = ("mse", "psnr", "ssim")


@dataclass(frozen=True, slots=True)
class BenchProgress:
    """Where a benchmark stands: share done (0..1, None where the length is unknown), the method running and frames it has done."""

    share: float | None
    method: str
    frames: int


Report = Callable[[BenchProgress], None]


class Bench:
    """One ground truth and how it is scored.

    Args:
        path: video, folder of pictures, or the video of a training pack.
        options: how.

    Raises:
        InputError: the ground truth, or what is given beside it, cannot be read or does not fit.
        OptionError: an unknown metric, or a crop that leaves nothing.
    """

    def __init__(self, path: Path, options: BenchOptions) -> None:
        self.path, self.options = path, options
        unknown = [
            name
            for name in options.metrics
            if name not in (*FRAME_METRICS, *SEQUENCE_METRICS)
        ]
        if unknown:
            raise OptionError(
                f"unknown metric {unknown[0]!r}: choose from {', '.join((*FRAME_METRICS, *SEQUENCE_METRICS))}"
            )
        self._over_sequence = tuple(
            dict.fromkeys(name for name in options.metrics if name in SEQUENCE_METRICS)
        )
        self.crop = _CROPS[options.protocol] if options.crop is None else options.crop
        self._sequences = None if options.lr or options.compare else read_pack(path)
        if self._sequences is None:
            if options.degrade == "video":
                raise OptionError(
                    "--degrade video is random, clip by clip, and for training packs only: choose crf:N instead"
                )
            self._truth: Source | None = Source(path, options.range)
            self._low = Source(Path(options.lr), options.range) if options.lr else None
            self.rate = self._truth.rate
            self.width, self.height = (
                self._truth.width // 2 * 2,
                self._truth.height // 2 * 2,
            )
            if options.compare:
                self.width, self.height = self._truth.width, self._truth.height
        else:
            self._truth = self._low = None
            self.rate = 25.0
            self.height, self.width = (
                min(options.area, side) for side in self._sequences.clips[0].shape[1:]
            )
        if min(self.width, self.height) - 2 * self.crop < 11:
            raise OptionError(
                f"a crop of {self.crop} leaves too little of {self.width}x{self.height} pixels: give a smaller --crop"
            )
        if self._sequences is not None and self._over_sequence:
            raise OptionError(
                f"{self._over_sequence[0]} needs frames that follow each other, and a training pack gives single ones: leave it out of --metrics"
            )
        with _Scores(self) as scores:  # what is missing shows before the work
            self._infos = scores.infos

    def run(self, on_progress: Report = lambda progress: None) -> BenchReport:
        """Score everything.

        Raises:
            InputError: frames that do not fit each other.
            ModelError: no such model, or a bad checkpoint.
            BackendError: the device is missing, or a network failed.
        """
        rows: list[BenchRow] = []
        times: list[float] = []
        if self.options.compare:
            rows.append(self._compare(Path(self.options.compare), times, on_progress))
        else:
            loaders = networks(self.options)
            for method in baselines():
                times.clear()
                rows.append(
                    self._measure(
                        partial(_itself, method),
                        times,
                        (0.0, 0.0 if loaders else 1 / len(baselines())),
                        on_progress,
                    )
                )
            for number, load in enumerate(loaders):
                times.clear()
                # interpolation takes next to no time: only networks move the bar
                rows.append(
                    self._measure(
                        load,
                        times,
                        (number / len(loaders), 1 / len(loaders)),
                        on_progress,
                    )
                )
        rows = _with_gains(rows)
        if not times:
            raise InputError(f"{self.path}: no frame to score")
        return BenchReport(
            ground_truth=self.path.name,
            protocol=self.options.protocol,
            degradation=self._describe(),
            width=self.width,
            height=self.height,
            frames=len(times),
            crop=self.crop,
            data_range=self.options.range,
            metrics=self._infos,
            rows=tuple(rows),
            times=times,
        )

    def shots(self, report: BenchReport) -> list[Shot]:
        """The worst and the median frame (by the PSNR of the last row) as pictures, by a second pass that upscales these two only."""
        values = report.rows[-1].per_frame.get("psnr") or [
            -error for error in report.rows[-1].per_frame.get("mse", [])
        ]
        if not values:
            return []
        order = sorted(range(len(values)), key=values.__getitem__)
        wanted = (
            {order[0]: "worst frame", order[len(order) // 2]: "median frame"}
            if len(order) > 1
            else {order[0]: "the frame"}
        )
        found = []
        for number, (truth, pictures_of) in enumerate(self._pictures()):
            if number not in wanted:
                continue
            pictures = pictures_of()
            figures = {
                name: psnr_of(mse(truth.luma, picture, crop=self.crop))
                for name, picture in pictures.items()
            }
            title = f"{wanted[number]} ({number}" + (
                f", {float(truth.time):.2f} s)"
                if truth.time is not None and self._truth
                else ")"
            )
            judged = "bicubic" if "bicubic" in pictures else next(iter(pictures))
            part = _telling_part(
                np.abs(truth.luma - pictures[judged].astype(np.float64))
            )
            shown = _as_bytes(truth.luma[part])
            height, width = shown.shape
            note = (
                ""
                if shown.shape == truth.luma.shape
                else f"the {width}×{height} pixels where {judged} fails most; dB of the whole frame"
            )
            found.append(
                Shot(
                    title,
                    shown,
                    {
                        name: _as_bytes(picture[part])
                        for name, picture in pictures.items()
                    },
                    figures,
                    note=note,
                )
            )
            if len(found) == len(wanted):
                break
        return sorted(found, key=lambda shot: not shot.title.startswith("worst"))

    def _pictures(
        self,
    ) -> Iterator[tuple[Picture, Callable[[], dict[str, NDArray[Any]]]]]:
        """Every true picture, and a function that makes each method's (or has the compared one) on the scale of 8-bit codes."""
        if self.options.compare and self._truth:
            result = Path(self.options.compare)
            for truth, picture in aligned(
                self._truth, Source(result, self.options.range), self.options.frames
            ):
                yield truth, partial(dict, {result.name: picture.luma})
            return
        methods = [*baselines(), *(load() for load in networks(self.options))]
        for case in self._cases():
            yield case.truth, partial(_upscaled, case, methods)

    def _cases(self) -> Iterator[Case]:
        if self._sequences is not None:
            options = self.options
            cases = pack_cases(
                self._sequences, options.degrade, options.sequences, options.area
            )
            return islice(cases, options.frames)
        assert self._truth is not None
        return truth_cases(
            self._truth, self.options.degrade, self._low, self.options.frames
        )

    def _count(self) -> int | None:
        if self._sequences is not None:
            count: int | None = min(self.options.sequences, len(self._sequences))
        else:
            count = self._truth.count if self._truth else None
        return (
            self.options.frames
            if count is None
            else min(count, self.options.frames or count)
        )

    def _measure(
        self,
        load: Callable[[], Method],
        times: list[float],
        part: tuple[float, float],
        on_progress: Report,
    ) -> BenchRow:
        """One method's passes; ``part`` is where on the bar they begin and how much of it they take."""
        start, length = part
        seconds = 0.0
        with PeakMemory() as memory, _Scores(self) as scores:
            method = load()
            memory.device = method.device
            length = length if method.is_baseline else length / 2
            for number, case in enumerate(self._cases()):
                began = time.perf_counter()
                picture = method.upscale(case.window)
                seconds += time.perf_counter() - began
                scores.add(case.truth, _as_luma(picture), times)
                share = self._share((start, length), number + 1)
                on_progress(BenchProgress(share, method.name, number + 1))
            means, per_frame = scores.finish()
        row = BenchRow(
            method.name,
            method.is_baseline,
            means,
            per_frame,
            frames_per_second=len(times) / seconds if seconds else None,
            peak_memory_mb=memory.megabytes,
        )
        if method.is_baseline or not times:
            return row
        still = self._still_psnr(method, (start + length, length), on_progress)
        gains = _differences(per_frame["psnr"], still)
        per_frame["temporal_gain_db"] = gains
        return replace(row, temporal_gain_db=float(np.mean(gains)))

    def _still_psnr(
        self, method: Method, part: tuple[float, float], on_progress: Report
    ) -> list[float]:
        """PSNR of every frame, dB, when the windows show nothing but that frame."""
        values = []
        for number, case in enumerate(self._cases()):
            middle = case.window[len(case.window) // 2]
            picture = method.upscale((middle,) * len(case.window))
            values.append(
                psnr_of(mse(case.truth.luma, _as_luma(picture), crop=self.crop))
            )
            share = self._share(part, number + 1)
            on_progress(BenchProgress(share, f"{method.name}, one frame", number + 1))
        return values

    def _share(self, part: tuple[float, float], done: int) -> float | None:
        """Where on the bar a pass stands that takes ``part`` of it, after ``done`` frames."""
        count = self._count()
        return part[0] + part[1] * min(1.0, done / count) if count else None

    def _compare(
        self, result: Path, times: list[float], on_progress: Report
    ) -> BenchRow:
        assert self._truth is not None
        other = Source(result, self.options.range)
        if (other.width, other.height) != (self._truth.width, self._truth.height):
            raise InputError(
                f"{result} has {other.width}x{other.height} pixels, {self.path} {self._truth.width}x{self._truth.height}: only equal sizes can be compared"
            )
        count = self._count()
        with _Scores(self) as scores:
            for number, (truth, picture) in enumerate(
                aligned(self._truth, other, self.options.frames)
            ):
                if self.options.frames is not None and number >= self.options.frames:
                    break
                scores.add(truth, picture.luma, times)
                on_progress(
                    BenchProgress(
                        min(1.0, (number + 1) / count) if count else None,
                        result.name,
                        number + 1,
                    )
                )
            means, per_frame = scores.finish()
        return BenchRow(result.name, False, means, per_frame)

    def _describe(self) -> str:
        if self.options.compare:
            return f"none: {Path(self.options.compare).name} is compared as it is"
        if self.options.lr:
            return f"low resolution given: {Path(self.options.lr).name}"
        kind = {
            "clean": "antialiased bicubic half size (MATLAB imresize, a = -0.5), 8 bits",
            "blur3": "Gaussian blur of sigma 3, then 2x2 mean, 8 bits",
            "video": "blur, half size, noise, x264 (training/degradation.py), 8 bits",
        }.get(self.options.degrade)
        kind = (
            kind
            or f"antialiased bicubic half size, then x264 at crf {self.options.degrade.removeprefix('crf:')}, 8 bits"
        )
        if self._truth is not None and self._truth.is_float:
            kind = kind.replace("8 bits", "16 bits")
        part = (
            f"; middle {self.width}x{self.height} of the middle frames of {self._count()} sequences"
            if self._sequences is not None
            else ""
        )
        return kind + part


class _Scores:
    """The metrics asked for, over one pass; a context manager, since some of them hold programs and files."""

    def __init__(self, bench: Bench) -> None:
        self._names, self._crop, self._range = (
            bench.options.metrics,
            bench.crop,
            bench.options.range,
        )
        self._window = _WINDOWS[bench.options.protocol]
        self._per_frame: dict[str, list[float]] = {
            name: []
            for name in (
                *(name for name in self._names if name in FRAME_METRICS),
                "psnr",
            )
        }
        self._sequence = sequence_metrics(
            [name for name in self._names if name in SEQUENCE_METRICS],
            bench.width - 2 * bench.crop,
            bench.height - 2 * bench.crop,
            bench.rate,
        )

    def __enter__(self) -> _Scores:
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
        """How the metrics are shown, in the order asked for."""
        inside = f"{self._crop} pixels left out at each border"
        known = {
            "mse": MetricInfo(
                "mse",
                "MSE",
                False,
                9 if self._range <= 1 else 3,
                f"luma, data of 0..{self._range:g}, {inside}",
            ),
            "psnr": MetricInfo(
                "psnr",
                "PSNR dB",
                True,
                2,
                f"luma, over the whole range, mean over frames of each frame's figure, {inside}",
            ),
            "ssim": MetricInfo(
                "ssim",
                "SSIM",
                True,
                4,
                f"luma, {_WINDOW_NAMES[self._window]}, {inside}",
            ),
        }
        known |= {info.name: info for metric in self._sequence for info in metric.infos}
        return tuple(known[name] for name in dict.fromkeys(self._names))

    def add(self, truth: Picture, picture: NDArray[Any], times: list[float]) -> None:
        """Score one frame, and note its time."""
        luma, crop = truth.luma, self._crop
        error = mse(luma, picture, crop=crop)
        self._per_frame["psnr"].append(psnr_of(error))
        if "mse" in self._names:
            self._per_frame["mse"].append(error * (self._range / 255.0) ** 2)
        if "ssim" in self._names:
            self._per_frame["ssim"].append(
                ssim(luma, picture, window=self._window, crop=crop)
            )
        height, width = luma.shape
        inside = (slice(crop, height - crop), slice(crop, width - crop))
        for metric in self._sequence:
            metric.add(
                luma[inside].astype(np.float64), picture[inside].astype(np.float64)
            )
        times.append(float(len(times) if truth.time is None else truth.time))

    def finish(self) -> tuple[dict[str, float], dict[str, list[float]]]:
        """Means, and every frame's figures."""
        means = {
            name: float(np.mean(values))
            for name, values in self._per_frame.items()
            if values
        }
        per_frame = dict(self._per_frame)
        for metric in self._sequence:
            for name, (figure, values) in metric.finish().items():
                means[name], per_frame[name] = figure, values
        return means, per_frame


def _itself(method: Method) -> Method:
    return method


def psnr_of(error: float) -> float:
    """PSNR over 0..255 of a mean squared error in squared codes, dB; infinite for none."""
    return math.inf if error == 0 else 20 * math.log10(255.0) - 10 * math.log10(error)


def _with_gains(rows: list[BenchRow]) -> list[BenchRow]:
    reference = next((row for row in rows if row.name == "bicubic"), None)
    if reference is None:
        return rows
    result = []
    for row in rows:
        gains = _differences(row.per_frame["psnr"], reference.per_frame["psnr"])
        result.append(replace(row, gain_db=float(np.mean(gains))))
    return result


def _differences(values: list[float], others: list[float]) -> list[float]:
    """``values`` less ``others``, dB; a frame that both restore exactly (black, say) gives 0."""
    pairs = zip(values, others, strict=True)
    return [0.0 if value == other else value - other for value, other in pairs]


def _upscaled(case: Case, methods: list[Method]) -> dict[str, NDArray[Any]]:
    return {method.name: _as_luma(method.upscale(case.window)) for method in methods}


def _telling_part(error: NDArray[np.float64]) -> tuple[slice, slice]:
    """The part of at most ``_SHOT_SIZE`` where the sum of ``error`` (H, W) is greatest: pages of whole large frames would grow to tens of megabytes."""
    height, width = (
        min(side, most)
        for side, most in zip(error.shape, _SHOT_SIZE[::-1], strict=True)
    )
    sums = np.pad(error, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    of_parts = (
        sums[height:, width:]
        - sums[:-height, width:]
        - sums[height:, :-width]
        + sums[:-height, :-width]
    )
    top, left = np.unravel_index(int(of_parts.argmax()), of_parts.shape)
    return slice(int(top), int(top) + height), slice(int(left), int(left) + width)


def _as_luma(picture: NDArray[Any]) -> NDArray[Any]:
    """Codes of 8 or 16 bits on the scale of 8-bit ones."""
    return picture if picture.dtype == np.uint8 else picture.astype(np.float64) / 256.0


def _as_bytes(luma: NDArray[Any]) -> NDArray[np.uint8]:
    codes: NDArray[np.uint8] = np.clip(np.rint(luma), 0, 255).astype(np.uint8)
    return codes
