"""Whether the folder of a run may be trusted: it is this user's, and nothing in it leads elsewhere.

In a folder that many may write, such as /tmp, another user can make OUT.vsr first, with links to
files of this user, which a run would write to.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from vsrcli.errors import OutputError


def check_folder(folder: Path) -> None:
    """Refuse a folder of another user, or one that holds links; one that is missing passes.

    The folder itself may be a link of this user's, to a larger disk.

    Raises:
        OutputError: it is refused.
    """
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        _check_owner(folder)
        _check_links(folder)


def _check_owner(folder: Path) -> None:
    strangers = {folder.lstat().st_uid, folder.stat().st_uid} - {os.geteuid()}
    if strangers and strangers != {_owner_of_new_files(folder)}:
        raise OutputError(
            f"{folder} belongs to another user: move it, or name another output"
        )


def _owner_of_new_files(folder: Path) -> int | None:
    """Some disks of other machines give all files one owner; None if none can be made."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            return os.fstat(file.fileno()).st_uid
    except OSError:
        return None


def _check_links(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_symlink():
            raise OutputError(
                f"{path} is a link, and vsr makes none there: "
                "remove it, or name another output"
            )
