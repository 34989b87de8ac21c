"""What is kept between runs: graphs, in every kind of folder, and the mark of a source."""

from __future__ import annotations

import errno
import logging
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from vsrcli.backends import graph_cache, onnx_graphs
from vsrcli.backends.graph_cache import cache_folder, keep, private_folder
from vsrcli.segments.fingerprint import file_fingerprint

ORDINARY_USER = 12345
CONTENT = bytes(range(256)) * 40


@pytest.fixture
def folder(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> Iterator[Path]:
    """The folder of kept graphs, which does not exist yet; warnings are recorded."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    graph_cache._warn_once.cache_clear()
    caplog.set_level(logging.WARNING)
    yield tmp_path / "cache" / "vsr"
    graph_cache._warn_once.cache_clear()


def _never() -> bytes:
    pytest.fail("it was kept")


def _make() -> bytes:
    return CONTENT


def _kept(folder: Path) -> Path:
    """The file of the one graph that is kept."""
    (path,) = folder.iterdir()
    return path


def _lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    messages = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return messages


def test_a_graph_is_made_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert keep("a", _make) == CONTENT
    assert keep("a", _never) == CONTENT
    assert folder.stat().st_mode & 0o777 == 0o700
    assert not _lines(caplog)


@pytest.mark.parametrize("place", [0, 12, 73, 74, 5000, -1])
def test_a_flipped_bit_is_noticed(
    folder: Path, place: int, caplog: pytest.LogCaptureFixture
) -> None:
    keep("a", _make)
    path = _kept(folder)
    stored = bytearray(path.read_bytes())
    stored[place] ^= 4
    path.write_bytes(stored)
    assert keep("a", _make) == CONTENT
    (line,) = _lines(caplog)
    assert "is damaged: the graph is made again" in line
    assert keep("a", _never) == CONTENT


@pytest.mark.parametrize("stored", [b"", b"vsr graph\n", CONTENT])
def test_what_is_no_kept_graph_is_replaced(folder: Path, stored: bytes) -> None:
    keep("a", _make)
    _kept(folder).write_bytes(stored)
    assert keep("a", _make) == CONTENT
    assert keep("a", _never) == CONTENT


def test_no_graph_passes_for_another(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keep("a", lambda: b"other")
    other = _kept(folder)
    keep("b", _make)
    (path,) = set(folder.iterdir()) - {other}
    other.rename(path)
    assert keep("b", _make) == CONTENT
    assert "is damaged" in _lines(caplog)[0]


def test_a_graph_that_others_can_write_is_not_used(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keep("a", _make)
    _kept(folder).chmod(0o666)
    assert keep("a", lambda: b"again") == b"again"
    assert "other users can write it" in _lines(caplog)[0]
    assert _kept(folder).stat().st_mode & 0o022 == 0


def test_a_graph_of_another_user_is_not_used(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    keep("a", _make)
    if os.geteuid() == 0:
        os.chown(_kept(folder), ORDINARY_USER, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: ORDINARY_USER)
    assert keep("a", lambda: b"again") == b"again"
    assert "other users can write it" in _lines(caplog)[0]


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_lies_at_the_name_of_a_graph_is_not_followed(
    folder: Path, tmp_path: Path, kind: str
) -> None:
    keep("a", _make)
    path = _kept(folder)
    elsewhere = tmp_path / "elsewhere"
    path.rename(elsewhere)
    if kind == "link":
        path.symlink_to(elsewhere)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    before = elsewhere.read_bytes()
    assert keep("a", lambda: b"again") == b"again"
    assert elsewhere.read_bytes() == before


def test_a_folder_that_is_a_link_works(folder: Path, tmp_path: Path) -> None:
    disk = tmp_path / "other disk"
    disk.mkdir()
    folder.parent.mkdir()
    folder.symlink_to(disk)
    keep("a", _make)
    assert keep("a", _never) == CONTENT


@pytest.mark.parametrize("base", ["file", "/proc/vsr", "dangling"])
def test_without_a_folder_graphs_are_made_every_time(
    base: str,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "dangling").symlink_to("nowhere/at/all")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / base))
    assert keep("a", _make) == CONTENT
    assert keep("a", lambda: b"again") == b"again"
    (line,) = _lines(caplog)
    assert "graphs cannot be kept" in line
    assert "XDG_CACHE_HOME can name another folder" in line


@contextmanager
def _as_ordinary_user(folder: Path) -> Iterator[None]:
    """Own ``folder``, and have no more rights than anybody: root may write everywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.chown(folder, ORDINARY_USER, -1)
    os.seteuid(ORDINARY_USER)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_that_may_only_be_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # pytest's own folders are closed to other users
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        monkeypatch.setenv("XDG_CACHE_HOME", name)
        with _as_ordinary_user(base):
            keep("a", _make)
            (base / "vsr").chmod(0o500)
            assert keep("a", _never) == CONTENT
            assert not _lines(caplog)
            assert keep("b", lambda: b"other") == b"other"
            assert "graphs cannot be kept (Permission denied)" in _lines(caplog)[0]
            _kept(base / "vsr").chmod(0)
            assert keep("a", lambda: b"again") == b"again"
            (base / "vsr").chmod(0o700)


def test_a_full_disk_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    opened = os.fdopen

    class Full:
        def __init__(self, file: Any) -> None:
            self.file = file

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

        def write(self, content: bytes) -> None:
            self.file.write(content[:100])
            raise OSError(errno.ENOSPC, "No space left on device")

    def fdopen(descriptor: int, mode: str) -> Any:
        file = opened(descriptor, mode)
        return Full(file) if mode == "wb" else file

    monkeypatch.setattr(os, "fdopen", fdopen)
    assert keep("a", _make) == CONTENT
    assert not list(folder.iterdir())
    assert "No space left on device" in _lines(caplog)[0]


@pytest.mark.parametrize("home", [None, "relative"])
def test_without_a_home(
    home: str | None,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    def no_such_user(number: int) -> None:
        raise KeyError(number)

    monkeypatch.setenv("XDG_CACHE_HOME", "relative/too")
    monkeypatch.setattr("pwd.getpwuid", no_such_user)
    monkeypatch.chdir(tmp_path)
    if home is None:
        monkeypatch.delenv("HOME", raising=False)
    else:
        monkeypatch.setenv("HOME", home)
    assert cache_folder() is None
    assert keep("a", _make) == CONTENT
    assert private_folder("engines") is None
    assert len(_lines(caplog)) == 2
    assert not list(tmp_path.iterdir())


def test_runs_that_start_at_once_do_not_disturb_each_other(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    start = threading.Barrier(4)
    results: list[bytes] = []

    def run() -> None:
        start.wait()
        results.extend(keep(f"key {number}", _make) for number in range(20))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [CONTENT] * 80
    assert not _lines(caplog)
    assert len(list(folder.iterdir())) == 20


def test_what_a_killed_run_left_is_removed(folder: Path) -> None:
    keep("a", _make)
    name = _kept(folder).name
    old = folder / f".{name}.0123.part"
    new = folder / f".{name}.4567.part"
    for path in (old, new):
        path.touch()
    hours_ago = time.time() - 7200
    os.utime(old, (hours_ago, hours_ago))
    keep("b", _make)
    assert not old.exists()
    assert new.exists(), "its process may still be writing"


@pytest.mark.parametrize("package", ["vsr", "torch", "onnx"])
def test_graphs_of_other_versions_are_not_used(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = tmp_path / "a.safetensors"
    checkpoint.write_bytes(b"weights")
    before = onnx_graphs._key(checkpoint, "sliced", "whole")
    if package == "vsr":
        monkeypatch.setattr(onnx_graphs, "__version__", "99.1")
    else:
        monkeypatch.setattr(
            onnx_graphs,
            "version",
            lambda name: "99.1" if name == package else version(name),
        )
    assert onnx_graphs._key(checkpoint, "sliced", "whole") != before


def test_a_folder_for_code_is_private(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engines = private_folder("engines")
    assert engines == folder / "engines"
    assert engines.stat().st_mode & 0o777 == 0o700
    for writable in (engines, folder):
        writable.chmod(0o777)
        assert private_folder("engines") is None
        writable.chmod(0o700)
    assert "is not used: other users can write it" in _lines(caplog)[0]
    engines.rmdir()
    engines.symlink_to(folder)
    assert private_folder("engines") is None


@pytest.mark.parametrize("size", [1000, 64 << 16, (64 << 16) + 1, 20 << 20])
def test_a_change_anywhere_in_a_source_is_noticed(tmp_path: Path, size: int) -> None:
    path = tmp_path / "source"
    path.write_bytes(bytes(size))
    before = file_fingerprint(path)
    assert file_fingerprint(path) == before
    for place in (0, size // 3, size // 2 + 100, size - 1):
        time.sleep(0.02)  # more than the clock of the file system takes for a tick
        with path.open("r+b") as file:
            file.seek(place)
            file.write(b"x")
        assert file_fingerprint(path) != before
        before = file_fingerprint(path)
