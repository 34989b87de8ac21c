"""What earlier runs on the same output have left behind."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vsrcli.encode.atomic_file import remove_abandoned
from vsrcli.segments.folder_lock import LOCK_NAME, FolderLock
from vsrcli.segments.journal import OUTPUT_KEY, identity_of
from vsrcli.segments.journal_lines import read_lines
from vsrcli.segments.segment import Segment
from vsrcli.segments.segment_folder import (
    JOURNAL_NAME,
    folder_of,
    record_of,
    remove_folder,
)

# What names raise that lead in a circle, are too long, or hold a zero byte.
_ODD_NAME_ERRORS = (OSError, RuntimeError, ValueError)


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run that was killed when its output had its name already.

    Attributes:
        head: what the run is, as ``journal_head.py`` gives it.
        done: its segments by number.
    """

    head: dict[str, Any]
    done: dict[int, Segment]


def finished_run(target: Path) -> FinishedRun | None:
    """The run that made an output and was killed in its last step; None if there is none.

    The output has to be the very file that the run's journal names.
    """
    with contextlib.suppress(*_ODD_NAME_ERRORS):
        for path in (folder_of(target) / JOURNAL_NAME, record_of(target)):
            lines = read_lines(path)
            if lines and lines[-1].get(OUTPUT_KEY) == identity_of(target):
                return FinishedRun(lines[0], dict(_segments(lines[1:])))
    return None


def model_of_earlier_run(target: Path) -> str | None:
    """The network that an earlier run on an output began with; None if none is left of it."""
    with contextlib.suppress(*_ODD_NAME_ERRORS):
        for path in (folder_of(target) / JOURNAL_NAME, record_of(target)):
            lines = read_lines(path)
            model = lines[0].get("--model") if lines else None
            if isinstance(model, str):
                return model
    return None


def clear_leftovers(target: Path) -> None:
    """Remove what runs that were killed have left and no other run can use.

    That is the folder of a run whose output has its name, or of which nothing but a lock that
    nobody holds is left; and hidden files.
    """
    with contextlib.suppress(*_ODD_NAME_ERRORS):
        if finished_run(target) is not None:
            remove_folder(target)
        elif target.exists() and _holds_only_lock(folder_of(target)):
            lock = FolderLock(folder_of(target))
            try:
                remove_folder(target)
            finally:
                lock.release()
        record_of(target).unlink(missing_ok=True)
        remove_abandoned(target)


def _segments(lines: list[dict[str, Any]]) -> Iterator[tuple[int, Segment]]:
    for line in lines:
        segment = Segment.from_json(line)
        if segment is not None:
            yield segment.number, segment


def _holds_only_lock(folder: Path) -> bool:
    try:
        names = {path.name for path in folder.iterdir()}
    except OSError:
        return False
    return names <= {LOCK_NAME}
