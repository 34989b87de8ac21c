"""What names stand for on the disk, asked before the work starts: each refusal is one line."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from vsrcli.errors import InputError, OutputError

_STANDARD_INPUT = Path("-")
# `https:/host`: what is left of `https://host` as a path.
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/(?=[^/])")
_WEB_ADDRESS = re.compile(r"\b(https?|ftp|rtsp|rtmp):/(?=[^/])")
_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def check_source(path: Path) -> None:
    """Refuse a source that is neither a file nor a folder, or that cannot be read.

    Args:
        path: as the user gave it; ``-`` is standard input and passes.

    Raises:
        InputError: it is missing, unreadable, a pipe, a device, or no name at all.
    """
    if path == _STANDARD_INPUT:
        return
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            with os.scandir(path) as entries:
                next(entries, None)
        elif stat.S_ISREG(mode):
            with path.open("rb"):
                pass
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(_missing(path)) from error
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be read ({reason_of(error)}): "
            "check its name and who may read it and its folders"
        ) from error
    kind = _KINDS.get(stat.S_IFMT(mode))
    if kind is not None:
        raise InputError(
            f"{path} is {kind}, and vsr reads a file more than once: save it to a file, "
            "or pipe it in: `PROGRAM | vsr upscale - OUT`"
        )


def check_file(path: Path) -> None:
    """Refuse a source that is not a regular file that can be read.

    Raises:
        InputError: as ``check_source``, or it is a folder or empty.
    """
    check_source(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder: name a video file")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes): copy or download it again")


def open_regular(path: Path, *, follow_link: bool = True) -> BinaryIO:
    """Open a regular file for reading, without waiting for whoever writes to a pipe of that name.

    Raises:
        OSError: it cannot be opened, or is no regular file; or no link is followed, and it is one.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK
    if not follow_link:
        flags |= os.O_NOFOLLOW
    descriptor = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return os.fdopen(descriptor, "rb")


def output_name(path: Path) -> Path:
    """The name of an output, refused if no file or folder can have it.

    Returns:
        The same; of ``.`` and ``..``, the folder by its own name.

    Raises:
        OutputError: it is too long, an address, in a folder that may not be searched, or ``/``.
    """
    try:
        if path.name in ("", ".."):
            path = path.resolve(strict=True)
        path.lstat()
    except (FileNotFoundError, NotADirectoryError) as error:
        address = _address(path)
        if address is not None:
            raise OutputError(
                f"{address} is an address, and vsr writes files only: name a file"
            ) from error
    except (OSError, ValueError) as error:
        raise OutputError(
            f"{path}: cannot be written ({reason_of(error)}): name another output"
        ) from error
    if not path.name:
        raise OutputError(
            f"{path} is not a name for an output: name a file or a folder"
        )
    return path


def refuse_inputs(target: Path, inputs: Iterable[Path]) -> None:
    """Refuse an output that is one of the inputs, by whatever name or link.

    Args:
        target: a file that will be replaced.
        inputs: files that are read.

    Raises:
        OutputError: it is one of them.
    """
    if not os.path.lexists(target):
        return
    for source in inputs:
        if _is_same(source, target):
            raise OutputError(
                f"{target} is the input {source} itself: name another output"
            )


def with_addresses(text: str) -> str:
    """A message with the slash that an address in it has lost as a path."""
    return _WEB_ADDRESS.sub(r"\1://", text)


def is_folder(path: Path) -> bool:
    """Whether a name is that of a folder; False as well where the system does not say."""
    try:
        return path.is_dir()
    except OSError:
        return False


def reason_of(error: Exception) -> str:
    """Why the system refuses, without names."""
    return getattr(error, "strerror", None) or str(error)


def _is_same(source: Path, target: Path) -> bool:
    try:
        return source.samefile(target)
    except (OSError, ValueError):
        return False


def _missing(path: Path) -> str:
    if path.is_symlink():
        return f"{path}: no such file: it is a link to {path.readlink()}"
    address = _address(path)
    if address is None:
        return f"{path}: no such file"
    return (
        f"{address} is an address, and vsr opens files only: "
        f"save it first with `ffmpeg -i {address} -c copy FILE.mkv`"
    )


def _address(path: Path) -> str | None:
    """The address that a path was made from, which loses one of its slashes; else None."""
    match = _ADDRESS.match(str(path))
    if match is None:
        return None
    slashes = ":///" if match[1].lower() == "file" else "://"
    return match[1] + slashes + str(path)[match.end() :]
