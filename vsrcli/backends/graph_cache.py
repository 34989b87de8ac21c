"""The folder of kept graphs: a graph is read only if it is whole and this user's own.

Nobody else can have written what is used, in whatever folder it lies, and a damaged graph is never
run: it would give other frames without an error. Where nothing can be kept, graphs are made again.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import secrets
import stat
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

from vsrcli.models.weights import MAX_BYTES

log = logging.getLogger(__name__)

_MARK = b"vsr graph\n"
_DIGEST_BYTES = 64
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
# A temporary file older than this has no process any more that writes it.
_MAX_WRITING_SECONDS = 3600


def keep(key: str, make: Callable[[], bytes]) -> bytes:
    """The graph that ``key`` names: from the folder, else from ``make``, and then kept.

    Args:
        key: everything that decides the graph: weights, form, and versions of the programs.
        make: gives the ONNX file.
    """
    folder = cache_folder()
    if folder is None:
        _warn_once(
            "graphs cannot be kept without a home folder, so each start makes them again: "
            "XDG_CACHE_HOME can name a folder"
        )
        return make()
    name = hashlib.sha256(key.encode()).hexdigest()[:24]
    path = folder / f"{name}.graph"
    content = _read(path, key)
    if content is None:
        content = make()
        _write(path, key, content)
    return content


def cache_folder() -> Path | None:
    """Where graphs are kept: ``$XDG_CACHE_HOME/vsr`` or ``~/.cache/vsr``; None without a home.

    A relative path in either variable does not count, as the XDG specification demands.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if base.is_absolute():
        return base / "vsr"
    with contextlib.suppress(RuntimeError):  # no such user
        home = Path.home()
        if home.is_absolute():
            return home / ".cache" / "vsr"
    return None


def private_folder(name: str) -> Path | None:
    """A folder in the cache that nobody else can write, for files that a library reads by itself.

    Returns:
        The folder, or None if there can be no such folder; the user is told.
    """
    parent = cache_folder()
    if parent is None:
        _warn_once(f"no folder for {name} can be kept: there is no home folder")
        return None
    folder = parent / name
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        is_private = _is_own(parent.stat()) and _is_own(folder.lstat())
        is_folder = stat.S_ISDIR(folder.lstat().st_mode)
    except OSError as error:
        _warn_once(f"{folder} cannot be used: {error.strerror}")
        return None
    if not is_private or not is_folder:
        _warn_once(f"{folder} is not used: other users can write it")
        return None
    return folder


def _read(path: Path, key: str) -> bytes | None:
    """A kept graph; None if there is none, or none to be trusted, which the user is told."""
    # without following links, and without waiting for the other end of a pipe
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(path, flags), "rb") as file:
            status = os.fstat(file.fileno())
            is_trusted = stat.S_ISREG(status.st_mode) and _is_own(status)
            stored = file.read(MAX_BYTES) if is_trusted else b""
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        log.info("%s: cannot be read: %s", path, error.strerror)
        return None
    if not is_trusted:
        log.warning(
            "%s is not used: other users can write it; the graph is made again", path
        )
        return None
    content = stored[len(_MARK) + _DIGEST_BYTES :]
    if stored != _stored(key, content):
        log.warning("%s is damaged: the graph is made again", path)
        return None
    return content


def _write(path: Path, key: str, content: bytes) -> None:
    """Write a graph under its name at once, so that no other process sees a part of it."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove_leftovers(path.parent)
        try:
            with os.fdopen(os.open(temporary, flags, 0o644), "wb") as file:
                file.write(_stored(key, content))
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        _warn_once(
            f"{path.parent}: graphs cannot be kept ({error.strerror}), so each start makes them "
            "again: XDG_CACHE_HOME can name another folder"
        )


def _remove_leftovers(folder: Path) -> None:
    """Remove what processes left that were killed while they wrote."""
    oldest = time.time() - _MAX_WRITING_SECONDS
    for path in folder.glob(".*.graph.*.part"):
        with contextlib.suppress(OSError):
            if path.lstat().st_mtime < oldest:
                path.unlink()


def _stored(key: str, content: bytes) -> bytes:
    """The content of a kept file. Its checksum covers the key: no graph passes for another."""
    digest = hashlib.sha256(key.encode() + b"\n" + content).hexdigest()
    return _MARK + digest.encode() + content


def _is_own(status: os.stat_result) -> bool:
    """Whether only this user, or root, can have written it."""
    is_owner = status.st_uid in (0, os.geteuid())
    return is_owner and not status.st_mode & _WRITABLE_BY_OTHERS


@cache
def _warn_once(message: str) -> None:
    log.warning("%s", message)
