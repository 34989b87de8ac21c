"""A benchmark: a ground truth, what is scored on it, and the report.

Frames stream: only a number per metric is kept of each.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from vsrcli.bench.comparison import ComparisonRun
from vsrcli.bench.excerpts import Excerpt, from_start, spread
from vsrcli.bench.passes import MethodRun
from vsrcli.bench.progress import BenchProgress, OnProgress
from vsrcli.bench.protocols import BenchRun
from vsrcli.bench.report import BenchReport
from vsrcli.bench.scores import CROPS, Scores
from vsrcli.bench.shots import take_shots
from vsrcli.bench.source import Source
from vsrcli.bench.truth import GroundTruth, PackTruth, StreamTruth, read_pack
from vsrcli.clips.degradation import SEEDED
from vsrcli.clips.pack_reader import MANIFEST_NAME
from vsrcli.errors import InputError, OptionError
from vsrcli.images.folders import list_pictures
from vsrcli.metrics.frames import FRAME_METRICS
from vsrcli.metrics.sequence import SEQUENCE_METRICS
from vsrcli.options import BenchOptions
from vsrcli.page.shots import Shot
from vsrcli.paths import check_source, is_folder
from vsrcli.wording import did_you_mean

_METRICS = (*FRAME_METRICS, *SEQUENCE_METRICS)
# Consecutive frames for metrics that compare each one with the one before it.
_MIN_RUN = 5
_MIN_CROPPED_SIDE = 11  # pixels; the larger window of SSIM


class Bench:
    """One ground truth and how it is scored.

    Args:
        path: video, folder of pictures, or the video of a training pack.
        options: how.

    Raises:
        InputError: the ground truth, or what is given with it, cannot be read or does not fit.
        OptionError: an unknown metric, or a crop that leaves too little.
        BackendError: a metric's package or filter is missing.
    """

    def __init__(self, path: Path, options: BenchOptions) -> None:
        self.path = path
        self.options = options
        check_source(path)
        self.crop = CROPS[options.protocol]
        if options.crop is not None:
            self.crop = options.crop
        _check_metrics(options.metrics)
        self._run = _open_run(path, options, self.crop)
        width = self._run.width
        height = self._run.height
        cropped_side = min(width, height) - 2 * self.crop
        if cropped_side < _MIN_CROPPED_SIDE:
            raise OptionError(
                f"a crop of {self.crop} leaves too little of {width}x{height} pixels: "
                "give a smaller --crop"
            )
        self._open_scores = partial(
            Scores,
            options,
            width=width,
            height=height,
            crop=self.crop,
            rate=self._run.rate,
        )
        # A missing package is reported before the work begins.
        with self._open_scores() as scores:
            self._infos = scores.infos

    @property
    def inputs(self) -> list[Path]:
        """Every file that is read: of a folder, the pictures in it; of a pack, its manifest too."""
        options = self.options
        names = [self.path, options.lr, options.compare, *options.model]
        files: list[Path] = []
        for path in (Path(name) for name in names if name):
            if is_folder(path):
                files += list_pictures(path)
            else:
                files += [path, path.with_name(MANIFEST_NAME)]
        return files

    def run(self, on_progress: OnProgress | None = None) -> BenchReport:
        """Score everything.

        Raises:
            InputError: frames that do not fit each other, or none.
            ModelError: an unknown model, or a bad checkpoint.
            BackendError: the device is missing, or a network failed.
        """
        result = self._run.score(self._open_scores, on_progress or _ignore)
        if not result.times:
            raise InputError(f"{self.path}: no frame to score")
        return BenchReport(
            ground_truth=self.path.name,
            protocol=self.options.protocol,
            degradation=self._run.description,
            width=self._run.width,
            height=self._run.height,
            frames=len(result.times),
            crop=self.crop,
            data_range=self.options.range,
            metrics=self._infos,
            rows=tuple(result.rows),
            times=result.times,
            places=self._run.places,
        )

    def shots(self, report: BenchReport) -> list[Shot]:
        """The worst and the median frame, by the PSNR of the last row, as pictures.

        This is a second pass; it upscales these frames only.
        """
        return take_shots(report, self._run.frames(), self._run.pixel_aspect)


def _ignore(progress: BenchProgress) -> None:
    """Report nothing."""


def _check_metrics(names: tuple[str, ...]) -> None:
    unknown = [name for name in names if name not in _METRICS]
    if unknown:
        choices = ", ".join(_METRICS)
        hint = did_you_mean(unknown[0], _METRICS)
        raise OptionError(f"unknown metric {unknown[0]!r}{hint}: choose from {choices}")


def _open_run(
    path: Path,
    options: BenchOptions,
    crop: int,
) -> BenchRun:
    if options.compare:
        _refuse_random_degradation(options)
        truth = Source(path, options.range)
        result = Source(Path(options.compare), options.range)
        return ComparisonRun(truth, result, _excerpts(truth, result, options))
    return MethodRun(_open_truth(path, options), options, crop)


def _open_truth(path: Path, options: BenchOptions) -> GroundTruth:
    sequences = None if options.lr else read_pack(path)
    if sequences is not None:
        _check_pack_options(options)
        return PackTruth(
            sequences,
            options.degrade,
            count=options.sequences,
            size=options.area,
            limit=options.frames,
        )
    _refuse_random_degradation(options)
    source = Source(path, options.range)
    low = None
    if options.lr:
        low = Source(Path(options.lr), options.range)
    return StreamTruth(source, options.degrade, low, _excerpts(source, low, options))


def _check_pack_options(options: BenchOptions) -> None:
    if options.start is not None:
        raise OptionError(
            "--start is a time of a film, and a training pack has single frames: omit it"
        )
    consecutive = [name for name in options.metrics if name in SEQUENCE_METRICS]
    if consecutive:
        raise OptionError(
            f"{consecutive[0]} needs consecutive frames, and a training pack "
            "has single ones: omit it from --metrics"
        )


def _excerpts(
    truth: Source,
    other: Source | None,
    options: BenchOptions,
) -> list[Excerpt]:
    """Which frames of the truth are scored; ``other`` has the same ones."""
    sources = [source for source in (truth, other) if source is not None]
    have_times = all(source.has_times for source in sources)
    if options.start is not None:
        if options.start and not have_times:
            raise OptionError(
                "--start needs a video, and pictures in a folder have no times: "
                "--start 0 begins with the first one"
            )
        return from_start(options.start, options.frames, truth.rate)
    counts = [source.count for source in sources if source.count is not None]
    available = min(counts) if len(counts) == len(sources) else None
    needs_runs = any(name in SEQUENCE_METRICS for name in options.metrics)
    return spread(
        options.frames,
        available,
        truth.rate if have_times else None,
        min_run=_MIN_RUN if needs_runs else 1,
    )


def _refuse_random_degradation(options: BenchOptions) -> None:
    if options.degrade in SEEDED:
        raise OptionError(
            f"--degrade {options.degrade} is random for each clip, and for training packs only: "
            "choose crf:N instead"
        )
