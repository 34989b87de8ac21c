"""The folder in which a run keeps its segments: where it is, what is in it, how it goes."""

from __future__ import annotations

import contextlib
from pathlib import Path

from vsrcli.encode.atomic_file import hidden_stem
from vsrcli.segments.folder_lock import LOCK_NAME

JOURNAL_NAME = "journal.jsonl"
PART_SUFFIX = ".packets"
KEPT_SUFFIX = ".frames"
UNFINISHED_SUFFIX = ".part"
LATEST_NAME = "latest.png"
_FOLDER_SUFFIX = ".vsr"
_RECORD_SUFFIX = ".vsr.part"
_REMOVED_LAST = (JOURNAL_NAME, LOCK_NAME)


def folder_of(target: Path) -> Path:
    """Where the parts of an output are kept: beside it, or beside the file that it is a link to."""
    if target.is_symlink():
        target = target.resolve()
    return target.with_name(target.name + _FOLDER_SUFFIX)


def record_of(target: Path) -> Path:
    """The hidden file that holds the journal of a run in its last step.

    It is beside the output, and the last thing that goes: whenever the process is killed, either
    the journal is there, which says that the output is complete, or nothing is left to do.
    """
    resolved = target.resolve()
    return resolved.with_name(hidden_stem(resolved) + _RECORD_SUFFIX)


def part_path(folder: Path, number: int) -> Path:
    """Where the part of a segment is in a folder."""
    return folder / f"{number:06d}{PART_SUFFIX}"


def kept_path(folder: Path, number: int) -> Path:
    """Where the doubled frames of a segment are kept until its part is there."""
    return folder / f"{number:06d}{KEPT_SUFFIX}"


def kept_paths(folder: Path) -> dict[int, Path]:
    """The files of kept frames in a folder, by the numbers of their segments."""
    return {
        int(path.stem): path
        for path in sorted(folder.glob(f"*{KEPT_SUFFIX}"))
        if path.stem.isdecimal()
    }


def remove_kept(folder: Path, number: int) -> int:
    """Remove the kept frames of a segment, if there are any; returns how many bytes they took."""
    path = kept_path(folder, number)
    try:
        size = path.stat().st_size
        path.unlink()
    except OSError:
        return 0
    return size


def is_of_a_run(path: Path) -> bool:
    """Whether a run made a file in its folder, by its name; the lock is not one of them."""
    if path.name in (JOURNAL_NAME, LATEST_NAME):
        return True
    return path.suffix in (PART_SUFFIX, KEPT_SUFFIX) and path.stem.isdecimal()


def is_unfinished(path: Path) -> bool:
    """Whether a file in the folder of a run is one that was being written."""
    return path.name.startswith(".") and path.suffix == UNFINISHED_SUFFIX


def remove_folder(target: Path) -> None:
    """Remove the folder of a run and its record, the journal last; others' files stay in it."""
    folder = folder_of(target)
    record = record_of(target)
    with contextlib.suppress(OSError):
        for path in list(folder.iterdir()):
            is_ours = is_of_a_run(path) or is_unfinished(path)
            if is_ours and path.name not in _REMOVED_LAST:
                path.unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            (folder / JOURNAL_NAME).rename(record)
        (folder / LOCK_NAME).unlink(missing_ok=True)
        folder.rmdir()
    with contextlib.suppress(OSError):
        record.unlink(missing_ok=True)
