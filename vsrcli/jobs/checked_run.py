"""A run that was checked before the work, perhaps long before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from stat import S_ISREG

from vsrcli.options import UpscaleOptions
from vsrcli.paths import check_source, output_name
from vsrcli.preflight.upscale_job import UpscaleJob, prepare
from vsrcli.preflight.watch_check import check_watch
from vsrcli.segments.leftovers import FinishedRun, clear_leftovers, finished_run

# What a file was: device, number, size, and when it was changed.
_Stamp = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class CheckedRun:
    """What was decided, and what source and target were then.

    Attributes:
        job: the decisions.
        finished: the run that was killed when the target had its name already; None if none was.
    """

    job: UpscaleJob
    finished: FinishedRun | None
    source_stamp: _Stamp | None
    target_stamp: _Stamp | None

    def still_holds(self) -> bool:
        """Whether source and target are what they were; of folders and pipes nobody knows."""
        if self.source_stamp is None:
            return False
        is_same_source = _stamp(self.job.source) == self.source_stamp
        return is_same_source and _stamp(self.job.target) == self.target_stamp


def check_run(
    source: Path,
    target: Path,
    options: UpscaleOptions,
    *,
    is_dry: bool = False,
    makes_folder: bool = False,
) -> CheckedRun:
    """Check source, target and options, and clear up after earlier runs on the target.

    Args:
        source: as for ``upscale``.
        target: the output.
        options: as the user gave them.
        is_dry: whether nothing may be removed.
        makes_folder: whether the run makes the output's folder if it is missing.

    Raises:
        InputError: as ``prepare``.
        OutputError: as ``prepare``.
        OptionError: as ``prepare``.
    """
    check_source(source)
    target = output_name(target)
    check_watch(options.watch, source, target, options.overwrite)
    source_stamp = _stamp(source)
    finished = None if options.restart else finished_run(target)
    may_exist = options.overwrite or finished is not None
    if finished is None and not is_dry:
        clear_leftovers(target)
    job = prepare(
        source,
        target,
        replace(options, overwrite=may_exist),
        is_dry=is_dry,
        makes_folder=makes_folder,
    )
    return CheckedRun(job, finished, source_stamp, _stamp(target))


def _stamp(path: Path) -> _Stamp | None:
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    if not S_ISREG(found.st_mode):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
