"""The folder in which a run keeps its segments: where it is, what is in it, how it goes."""

from __future__ import annotations

import contextlib
from pathlib import Path

from vsrcli.segments.folder_lock import LOCK_NAME

JOURNAL_NAME = "journal.jsonl"
PART_SUFFIX = ".packets"
_FOLDER_SUFFIX = ".vsr"
_REMOVED_LAST = (JOURNAL_NAME, LOCK_NAME)


def folder_of(target: Path) -> Path:
    """Where the parts of an output are kept: beside it."""
    return target.with_name(target.name + _FOLDER_SUFFIX)


def part_path(folder: Path, number: int) -> Path:
    """Where the part of a segment is in a folder."""
    return folder / f"{number:06d}{PART_SUFFIX}"


def remove_folder(folder: Path) -> None:
    """Remove the folder of a run, as far as possible.

    The journal goes after the parts: if the process is killed on the way, what is left still tells
    that the run is complete (``leftovers.clear_finished``).
    """
    with contextlib.suppress(OSError):
        parts = [path for path in folder.iterdir() if path.name not in _REMOVED_LAST]
        for path in parts:
            path.unlink(missing_ok=True)
        for name in _REMOVED_LAST:
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()
