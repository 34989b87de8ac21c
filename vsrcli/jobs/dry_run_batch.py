"""What a batch would do, found out without writing anything. Prints nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vsrcli.errors import VsrError
from vsrcli.jobs.batch import batch_folder, explain, refuse_second, target_for
from vsrcli.jobs.checked_run import check_run
from vsrcli.jobs.dry_run import DryRun, dry_run
from vsrcli.options import BatchOptions, UpscaleOptions
from vsrcli.paths import refuse_inputs


@dataclass(frozen=True, slots=True)
class DryItem:
    """What would happen to one video.

    Attributes:
        source: the video.
        target: its output.
        found: what a run would do; None if it would be skipped or refused.
        error: why it would be refused, one line; None if it would not.
    """

    source: Path
    target: Path
    found: DryRun | None = None
    error: str | None = None


def dry_run_all(
    sources: Sequence[Path],
    batch: BatchOptions,
    options: UpscaleOptions,
) -> Iterator[DryItem]:
    """Find out what ``upscale_all`` would do; the folder is not made either.

    Args:
        sources: as for ``upscale_all``.
        batch: the same.
        options: the same.

    Raises:
        OptionError: there is no folder to write into, or ``-`` is among the sources.
    """
    folder = batch_folder(sources, batch)
    before: list[DryItem] = []
    for source in sources:
        item = _dry_run_one(source, folder, sources, before, batch, options)
        before.append(item)
        yield item


def _dry_run_one(
    source: Path,
    folder: Path,
    sources: Sequence[Path],
    before: Sequence[DryItem],
    batch: BatchOptions,
    options: UpscaleOptions,
) -> DryItem:
    target = target_for(source, folder)
    try:
        refuse_second(source, target, before)
        if batch.skip_existing and target.exists():
            return DryItem(source, target)
        refuse_inputs(target, sources)
        checked = check_run(source, target, options, is_dry=True, makes_folder=True)
        found = dry_run(source, target, options, checked=checked)
    except (VsrError, OSError) as error:
        return DryItem(source, target, error=explain(error, source))
    return DryItem(source, target, found)
