"""Several videos one after the other: a failure does not stop the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vsrcli.containers.table import DEFAULT_SUFFIX, can_be_written
from vsrcli.errors import OptionError, OutputError, VsrError
from vsrcli.jobs.checked_run import CheckedRun, check_run
from vsrcli.jobs.upscale import upscale
from vsrcli.options import BatchOptions, UpscaleOptions
from vsrcli.paths import is_folder, output_name, reason_of, refuse_inputs
from vsrcli.pipeline.upscale_report import UpscaleProgress, UpscaleReport
from vsrcli.preflight.upscale_job import UpscaleJob
from vsrcli.preflight.workload import measure_workload
from vsrcli.segments.leftovers import clear_leftovers


@dataclass(frozen=True, slots=True)
class BatchItem:
    """The result of one video.

    Attributes:
        source: the video.
        target: its output.
        report: of the run; None if it failed or was skipped.
        error: why it failed, one line; None if it did not.
    """

    source: Path
    target: Path
    report: UpscaleReport | None = None
    error: str | None = None

    @property
    def is_skipped(self) -> bool:
        """Whether the output was there already."""
        return self.report is None and self.error is None


def target_for(source: Path, folder: Path) -> Path:
    """The output of a video in a folder.

    Returns:
        A file of the same name, with another ending if its own names no container that can be
        written.
    """
    if is_folder(source):
        return folder / (source.resolve().name + DEFAULT_SUFFIX)
    if can_be_written(source):
        return folder / source.name
    return folder / (source.name + DEFAULT_SUFFIX)


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """What is to be done with one video.

    Attributes:
        source: the video.
        target: its output.
        checked: what was decided; None if it is skipped or fails.
        error: why it cannot be upscaled, one line; None if it can.
        weight: about how much work it is: frames through the network, times pixels of each; None if
            that is unknown.
    """

    source: Path
    target: Path
    checked: CheckedRun | None = None
    error: str | None = None
    weight: float | None = 0.0


class BatchObserver:
    """Is told how a batch goes; each method does nothing by itself."""

    @property
    def is_silent(self) -> bool:
        """Whether nobody sees the notes, so that they need not be made."""
        return True

    def checked(self, count: int, total: int) -> None:
        """So many of all videos have been checked."""

    def planned(self, plans: Sequence[BatchPlan]) -> None:
        """All have been checked; nothing has been upscaled."""

    def begin(self, index: int) -> None:
        """The video of plan ``index`` begins."""

    def progress(self, progress: UpscaleProgress) -> None:
        """That video goes on."""

    def end(self, item: BatchItem) -> None:
        """That video ends."""

    def note(self, line: str) -> None:
        """A line for the user."""


def upscale_all(
    sources: Sequence[Path],
    batch: BatchOptions,
    options: UpscaleOptions,
    observer: BatchObserver | None = None,
) -> list[BatchItem]:
    """Upscale videos into a folder; all are checked before the first is upscaled.

    Args:
        sources: files, or folders of pictures.
        batch: the folder, and what to skip.
        options: for all of them.
        observer: who is told.

    Returns:
        The result of each, in order.

    Raises:
        OptionError: there is no folder to write into, or ``-`` is among the sources.
        OutputError: the folder cannot be made.
    """
    observer = observer or BatchObserver()
    folder = _make_folder(sources, batch)
    plans: list[BatchPlan] = []
    for source in sources:
        plans.append(_plan(source, folder, sources, plans, batch, options))
        observer.checked(len(plans), len(sources))
    observer.planned(plans)
    items = []
    for index, plan in enumerate(plans):
        observer.begin(index)
        item = _carry_out(plan, options, observer)
        items.append(item)
        observer.end(item)
    return items


def _plan(
    source: Path,
    folder: Path,
    sources: Sequence[Path],
    before: Sequence[BatchPlan],
    batch: BatchOptions,
    options: UpscaleOptions,
) -> BatchPlan:
    """Check one video."""
    target = target_for(source, folder)
    try:
        refuse_second(source, target, before)
        if batch.skip_existing and target.exists():
            clear_leftovers(target)
            return BatchPlan(source, target)
        refuse_inputs(target, sources)
        checked = check_run(source, target, options)
    except (VsrError, OSError) as error:
        return BatchPlan(source, target, error=explain(error, source))
    weight = _weight(checked.job, options)
    return BatchPlan(source, target, checked, weight=weight)


def _weight(job: UpscaleJob, options: UpscaleOptions) -> float | None:
    workload = measure_workload(job.info, options)
    if workload is None:
        return None
    return float(workload.frames) * job.info.width * job.info.height


def _carry_out(
    plan: BatchPlan,
    options: UpscaleOptions,
    observer: BatchObserver,
) -> BatchItem:
    """Upscale one video, if it can be."""
    if plan.checked is None:
        return BatchItem(plan.source, plan.target, error=plan.error)
    try:
        report = upscale(
            plan.source,
            plan.target,
            options,
            on_progress=observer.progress,
            on_note=None if observer.is_silent else observer.note,
            checked=plan.checked,
        )
    except (VsrError, OSError) as error:
        # whatever the system refuses of one video says nothing of the others
        reason = explain(error, plan.source)
        return BatchItem(plan.source, plan.target, error=reason)
    return BatchItem(plan.source, plan.target, report)


def explain(error: VsrError | OSError, source: Path) -> str:
    """What went wrong with one video, in one line."""
    if isinstance(error, VsrError):
        return str(error)
    return f"{error.filename or source}: {reason_of(error)}"


def batch_folder(sources: Sequence[Path], batch: BatchOptions) -> Path:
    """The folder that a batch goes into, which may be missing.

    Raises:
        OptionError: there is none, or ``-`` is among the sources.
    """
    reads_standard_input = any(str(source) == "-" for source in sources)
    if batch.out_dir is None or reads_standard_input:
        raise OptionError(
            "a batch goes from files into a folder: give files and --out-dir DIR"
        )
    return output_name(Path(batch.out_dir))


def _make_folder(sources: Sequence[Path], batch: BatchOptions) -> Path:
    folder = batch_folder(sources, batch)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{folder}: this folder cannot be made: {error.strerror}: name another one"
        ) from error
    return folder


class _HasNames(Protocol):
    """A source and its output."""

    @property
    def source(self) -> Path:
        """The video."""
        ...

    @property
    def target(self) -> Path:
        """Its output."""
        ...


def refuse_second(source: Path, target: Path, before: Sequence[_HasNames]) -> None:
    """Refuse a name that an earlier video has taken.

    Raises:
        OutputError: it has.
    """
    first = next((plan for plan in before if plan.target == target), None)
    if first is not None:
        raise OutputError(
            f"{target} is the output of {first.source} already: "
            f"put {source} into another folder"
        )
