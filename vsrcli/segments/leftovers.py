"""What earlier runs on the same output have left behind."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from vsrcli.segments.folder_lock import LOCK_NAME, FolderLock
from vsrcli.segments.journal import OUTPUT_KEY, identity_of
from vsrcli.segments.segment_folder import JOURNAL_NAME, folder_of, remove_folder

_MAX_LINE_BYTES = 1 << 24


def model_of_unfinished_run(target: Path) -> str | None:
    """The network that an unfinished run on an output began with; None if there is no such run."""
    try:
        with (folder_of(target) / JOURNAL_NAME).open("rb") as file:
            model = json.loads(file.readline(_MAX_LINE_BYTES)).get("--model")
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    return model if isinstance(model, str) else None


def clear_finished(target: Path) -> None:
    """Remove the folder of a run that was killed after its output had its name.

    Nothing is touched unless the output is the very file that the folder's journal records, or
    nothing but a lock that nobody holds is left of the folder.
    """
    folder = folder_of(target)
    if _is_recorded(folder, target):
        remove_folder(folder)
    elif target.exists() and _holds_only_lock(folder):
        with contextlib.suppress(OSError):
            lock = FolderLock(folder)
            try:
                remove_folder(folder)
            finally:
                lock.release()


def _is_recorded(folder: Path, target: Path) -> bool:
    """Whether the journal ends with the output that is there."""
    try:
        last_line = (folder / JOURNAL_NAME).read_bytes().splitlines()[-1]
        recorded: object = json.loads(last_line)[OUTPUT_KEY]
        return recorded == identity_of(target)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return False


def _holds_only_lock(folder: Path) -> bool:
    try:
        names = {path.name for path in folder.iterdir()}
    except OSError:
        return False
    return names <= {LOCK_NAME}
