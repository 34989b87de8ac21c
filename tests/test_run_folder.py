"""OUT.vsr is trusted only if it is this user's and leads nowhere else; what is not vsr's stays."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake import FakeBackend
from lossless import LOSSLESS, content

from vsrcli.encode.atomic_file import keep_aside
from vsrcli.errors import BackendError, OutputError
from vsrcli.jobs.upscale import upscale
from vsrcli.segments.folder_check import check_folder


@pytest.fixture
def unfinished(
    demo_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The folder of a run that failed; its output is ``o.mkv`` beside it."""
    with monkeypatch.context() as patch:
        failing = FakeBackend(fail_at=15)
        patch.setattr("vsrcli.jobs.upscale.open_backend", lambda *a, **b: failing)
        with pytest.raises(BackendError):
            upscale(demo_clip, tmp_path / "o.mkv", LOSSLESS)
    return tmp_path / "o.mkv.vsr"


@pytest.mark.parametrize(
    "name", ["lock", "journal.jsonl", "000001.frames", ".journal.jsonl.part"]
)
@pytest.mark.parametrize("restart", [False, True])
def test_links_are_not_followed(
    name: str,
    restart: bool,
    demo_clip: Path,
    unfinished: Path,
    fake: FakeBackend,
) -> None:
    precious = unfinished.parent / "thesis.txt"
    precious.write_text("precious")
    (unfinished / name).unlink(missing_ok=True)
    (unfinished / name).symlink_to(precious)
    target = unfinished.parent / "o.mkv"
    with pytest.raises(OutputError, match=f"{name} is a link"):
        upscale(demo_clip, target, replace(LOSSLESS, restart=restart))
    assert precious.read_text() == "precious"
    assert not target.exists()


def test_a_journal_that_is_a_pipe_is_not_waited_for(
    demo_clip: Path, unfinished: Path, fake: FakeBackend
) -> None:
    (unfinished / "journal.jsonl").unlink()
    os.mkfifo(unfinished / "journal.jsonl")
    with pytest.raises(OutputError, match="cannot be written"):
        upscale(demo_clip, unfinished.parent / "o.mkv", LOSSLESS)


def test_a_folder_of_another_user_is_refused(
    demo_clip: Path, unfinished: Path, fake: FakeBackend
) -> None:
    if os.geteuid():
        pytest.skip("only root can give a folder away")
    os.chown(unfinished, 12345, 12345)
    with pytest.raises(OutputError, match="belongs to another user"):
        upscale(demo_clip, unfinished.parent / "o.mkv", LOSSLESS)
    os.chown(unfinished, 0, 0)
    assert upscale(demo_clip, unfinished.parent / "o.mkv", LOSSLESS).frames_resumed


def test_a_disk_that_gives_all_files_one_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    check_folder(tmp_path)
    check_folder(tmp_path / "missing")
    monkeypatch.setattr("tempfile.TemporaryFile", _refuse)
    with pytest.raises(OutputError, match="belongs to another user"):
        check_folder(tmp_path)


def _refuse(*arguments: Any, **options: Any) -> None:
    raise OSError(30, "Read-only file system")


@pytest.mark.parametrize("restart", [False, True])
def test_files_of_others_in_the_folder_stay(
    restart: bool, demo_clip: Path, unfinished: Path, fake: FakeBackend
) -> None:
    """A restart stops at them; else the run goes on, and leaves them where they are."""
    names = ["notes.txt", "film.part", "thesis.packets", "thesis.frames"]
    for name in names:
        (unfinished / name).write_text("precious")
    target = unfinished.parent / "o.mkv"
    options = replace(LOSSLESS, restart=restart)
    if restart:
        with pytest.raises(OutputError, match="in the way"):
            upscale(demo_clip, target, options)
    else:
        upscale(demo_clip, target, options)
        assert len(content(target)) == 30
        assert sorted(path.name for path in unfinished.iterdir()) == sorted(names)
    assert all((unfinished / name).read_text() == "precious" for name in names)
    shutil.rmtree(unfinished)


def test_an_output_that_fails_its_checks_replaces_no_other(tmp_path: Path) -> None:
    target = tmp_path / "o.unverified.mkv"
    names = []
    for number in range(3):
        part = tmp_path / "part"
        part.write_text(str(number))
        names.append(keep_aside(part, target).name)
        assert not part.exists()
    assert names == ["o.unverified.mkv", "o.unverified-2.mkv", "o.unverified-3.mkv"]
    assert [(tmp_path / name).read_text() for name in names] == ["0", "1", "2"]
