"""A file or folder that gets its name only when it is complete.

Until then it has a hidden name beside the target, ``.TARGET.XXXXXXXX.part``, and its process holds
a lock on it, which the system releases if the process dies, however that comes. What nobody holds
was left by such a process: the next one that writes the same target removes it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import itertools
import os
import secrets
import shutil
import stat
from pathlib import Path

_MAX_NAME_BYTES = 200
_SUFFIX = ".part"
_TOKEN_BYTES = 4
_TOKEN_PATTERN = "[0-9a-f]" * 2 * _TOKEN_BYTES


class TemporaryName:
    """A hidden file or folder, held by this process until it is published or discarded.

    Attributes:
        path: where it is.
    """

    def __init__(self, target: Path, folder: Path, *, is_folder: bool = False) -> None:
        """Make it, and remove what dead processes left of the same target.

        Args:
            target: what it will become.
            folder: where it is.
            is_folder: whether it is a folder.

        Raises:
            OSError: the folder refuses.
        """
        remove_abandoned(target, folder)
        self._descriptor = -1
        while self._descriptor < 0:
            token = secrets.token_hex(_TOKEN_BYTES)
            self.path = folder / f"{hidden_stem(target)}.{token}{_SUFFIX}"
            self._descriptor = _make(self.path, is_folder=is_folder)

    def publish(self, target: Path, *, overwrite: bool) -> None:
        """Give the complete file its name, once it is safe on the disk.

        Args:
            target: the name, on the same disk.
            overwrite: whether a file of that name is replaced.

        Raises:
            FileExistsError: there is a file of that name, and it may not be replaced.
            OSError: the disk refuses.
        """
        sync(self.path)
        if overwrite:
            self.path.replace(target)
        else:
            _rename_to_free_name(self.path, target)
        sync(target.parent)
        self.path.unlink(missing_ok=True)
        self.release()

    def discard(self) -> None:
        """Remove what is there; may be called more than once."""
        if self._descriptor >= 0:
            _remove(self.path)
            self.release()

    def release(self) -> None:
        """Hold it no longer, because it has another name; may be called more than once."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class AtomicFile:
    """A temporary file, beside the target or in another folder of the same disk.

    Attributes:
        sink: what FFmpeg writes to.
        part: the temporary file.
    """

    def __init__(
        self,
        target: Path,
        folder: Path | None = None,
        *,
        overwrite: bool = False,
    ) -> None:
        """Create the temporary file.

        Args:
            target: the name that the file will have; a link is followed.
            folder: where the temporary file is, unless the target is on another disk; None: beside
                the target.
            overwrite: whether a file that has the name by then is replaced.

        Raises:
            OSError: the folder refuses.
        """
        self._target = target.resolve()
        self._overwrite = overwrite
        beside = self._target.parent
        if folder is None or not _are_on_one_disk(folder, beside):
            folder = beside
        self._temporary = TemporaryName(self._target, folder)
        self.part = self._temporary.path
        self.sink = str(self.part)

    def commit(self) -> None:
        """Give the complete file its name, once it is safe on the disk.

        Raises:
            FileExistsError: there is a file of that name by now, and it may not be replaced.
            OSError: the disk refuses.
        """
        self._temporary.publish(self._target, overwrite=self._overwrite)

    def discard(self) -> None:
        """Remove the temporary file; may be called more than once."""
        self._temporary.discard()


def write_file(target: Path, content: bytes, *, overwrite: bool = False) -> None:
    """Write a small file as a whole, or leave what is there as it is.

    Raises:
        FileExistsError: there is a file of that name, and it may not be replaced.
        OSError: the disk refuses.
    """
    file = AtomicFile(target, overwrite=overwrite)
    try:
        file.part.write_bytes(content)
        file.commit()
    finally:
        file.discard()


def keep_aside(path: Path, target: Path) -> Path:
    """Give a file a name that is free: the target's, or that with a number before its ending.

    Raises:
        OSError: the disk refuses.
    """
    aside = target
    for number in itertools.count(2):
        try:
            _rename_to_free_name(path, aside)
            break
        except FileExistsError:
            aside = target.with_name(f"{target.stem}-{number}{target.suffix}")
    path.unlink(missing_ok=True)
    return aside


def hidden_stem(target: Path) -> str:
    """How the names of hidden files of a target begin; never too long for a disk."""
    encoded_name = os.fsencode(target.name)
    return f".{os.fsdecode(encoded_name[:_MAX_NAME_BYTES])}"


def remove_abandoned(target: Path, folder: Path | None = None) -> None:
    """Remove the temporary files and folders of a target that no living process holds.

    Args:
        target: what they would have become; a link is followed.
        folder: where they are; None: beside the target.
    """
    target = target.resolve()
    folder = folder or target.parent
    pattern = f"{glob.escape(hidden_stem(target))}.{_TOKEN_PATTERN}{_SUFFIX}"
    with contextlib.suppress(OSError):
        for path in folder.glob(pattern):
            _remove_if_abandoned(path)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are safe on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make(path: Path, *, is_folder: bool) -> int:
    """Make and hold a file or folder; returns its descriptor, or -1 if it is gone again."""
    if is_folder:
        path.mkdir()
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    else:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
    # some disks know no locks: there, what is left is never removed
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    if _is_file_of(descriptor, path):
        return descriptor
    os.close(descriptor)  # another process held it for abandoned before it was locked
    return -1


def _remove_if_abandoned(path: Path) -> None:
    with contextlib.suppress(OSError):
        # network disks lock only what is open for writing
        flags = os.O_RDWR
        if stat.S_ISDIR(path.lstat().st_mode):
            flags = os.O_RDONLY
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_file_of(descriptor, path):
                _remove(path)
        finally:
            os.close(descriptor)


def _is_file_of(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _rename_to_free_name(path: Path, target: Path) -> None:
    """Rename a file, or raise ``FileExistsError``; the caller removes its old name."""
    try:
        os.link(path, target)
    except FileExistsError:
        raise
    except OSError:
        # a disk without hard links, such as FAT: what appears between these lines is replaced
        if os.path.lexists(target):
            raise FileExistsError(
                errno.EEXIST, os.strerror(errno.EEXIST), str(target)
            ) from None
        path.replace(target)


def _are_on_one_disk(folder: Path, other: Path) -> bool:
    return folder.stat().st_dev == other.stat().st_dev
