"""Several videos one after the other: a failure does not stop the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vsrcli.containers.table import DEFAULT_SUFFIX, can_be_written
from vsrcli.errors import OptionError, OutputError, VsrError
from vsrcli.jobs.upscale import upscale
from vsrcli.options import BatchOptions, UpscaleOptions
from vsrcli.paths import is_folder, output_name, reason_of, refuse_inputs
from vsrcli.pipeline.upscale_report import UpscaleProgress, UpscaleReport
from vsrcli.segments.leftovers import clear_leftovers

OnProgress = Callable[[UpscaleProgress], None]
OnBegin = Callable[[Path, Path], OnProgress | None]


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


def upscale_all(
    sources: Sequence[Path],
    batch: BatchOptions,
    options: UpscaleOptions,
    *,
    on_begin: OnBegin = lambda source, target: None,
    on_note: Callable[[str], None] | None = None,
    on_end: Callable[[BatchItem], None] = lambda item: None,
) -> list[BatchItem]:
    """Upscale videos into a folder.

    Args:
        sources: files, or folders of pictures.
        batch: the folder, and what to skip.
        options: for all of them.
        on_begin: called before each with it and its output; returns what is told of its progress.
        on_note: as in ``upscale``.
        on_end: called after each.

    Returns:
        The result of each, in order.

    Raises:
        OptionError: there is no folder to write into, or ``-`` is among the sources.
        OutputError: the folder cannot be made.
    """
    folder = _make_folder(sources, batch)
    items: list[BatchItem] = []
    source_of: dict[Path, Path] = {}
    for source in sources:
        target = target_for(source, folder)
        on_progress = on_begin(source, target)
        try:
            _refuse_second(source, target, source_of)
            if batch.skip_existing and target.exists():
                clear_leftovers(target)
                item = BatchItem(source, target)
            else:
                refuse_inputs(target, sources)
                report = upscale(
                    source,
                    target,
                    options,
                    on_progress=on_progress,
                    on_note=on_note,
                )
                item = BatchItem(source, target, report)
        except VsrError as error:
            item = BatchItem(source, target, error=str(error))
        except OSError as error:
            # whatever the system refuses of one video says nothing of the others
            reason = f"{error.filename or source}: {reason_of(error)}"
            item = BatchItem(source, target, error=reason)
        source_of.setdefault(target, source)
        items.append(item)
        on_end(item)
    return items


def _make_folder(sources: Sequence[Path], batch: BatchOptions) -> Path:
    reads_standard_input = any(str(source) == "-" for source in sources)
    if batch.out_dir is None or reads_standard_input:
        raise OptionError(
            "a batch goes from files into a folder: give files and --out-dir DIR"
        )
    folder = output_name(Path(batch.out_dir))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{folder}: this folder cannot be made: {error.strerror}: name another one"
        ) from error
    return folder


def _refuse_second(
    source: Path,
    target: Path,
    source_of: Mapping[Path, Path],
) -> None:
    if target in source_of:
        raise OutputError(
            f"{target} is the output of {source_of[target]} already: "
            f"put {source} into another folder"
        )
