"""Runs killed at the calls that matter: the same command ends well, and nothing is left.

All points, under strace: ``benchmarks/kill_points.py``.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from clips import write_clip
from fake import FakeBackend, open_fake
from killed import KilledRun, kill
from lossless import LOSSLESS, content, packets

from vsrcli.encode.atomic_file import AtomicFile, TemporaryName, write_file
from vsrcli.encode.encoders import thread_count
from vsrcli.encode.part_joining import joined
from vsrcli.encode.parts import hash_of
from vsrcli.errors import OutputError
from vsrcli.jobs.demo import write_demo
from vsrcli.jobs.upscale import upscale
from vsrcli.options import EncoderOptions
from vsrcli.pipeline.upscale_report import UpscaleProgress
from vsrcli.segments.journal import Journal

SEGMENTS: dict[str, Any] = {"segment": 0.5}
ONE_GO: dict[str, Any] = {"segment": 0}
# options, call, which one, whether the output has its name by then
POINTS = {
    "a part before its line": (SEGMENTS, "fsync", 5, False),
    "the output before its name": (SEGMENTS, "link", 1, False),
    "the output is not safe yet": (SEGMENTS, "fsync", 11, True),
    "the parts before they go": (SEGMENTS, "unlink", 6, True),
    "the journal before it moves": (SEGMENTS, "rename", 1, True),
    "the folder before it goes": (SEGMENTS, "rmdir", 1, True),
    "the journal before it goes": (SEGMENTS, "unlink", 9, True),
    "one go: before its name": (ONE_GO, "link", 1, False),
    "one go: its name is not safe yet": (ONE_GO, "fsync", 2, True),
    "one go, -y: before its name": ({**ONE_GO, "overwrite": True}, "replace", 1, False),
}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 frames; the cut is at a half."""
    path = tmp_path_factory.mktemp("clips") / "in.mp4"
    write_demo(path, seconds=1, size=(32, 32))
    return path


@pytest.fixture(scope="module")
def whole(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a run that nobody disturbed; the codec is lossless."""
    target = tmp_path_factory.mktemp("whole") / "o.mkv"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vsrcli.jobs.upscale.open_backend", open_fake)
        upscale(clip, target, replace(LOSSLESS, segment=0))
    return target


@pytest.fixture(scope="module")
def killed(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each point, as the run that was killed there left it."""
    root = tmp_path_factory.mktemp("killed")
    runs = []
    for name, (options, call, number, _) in POINTS.items():
        (root / name).mkdir()
        runs.append(KilledRun(root / name / "o.mkv", call, number, options))
    (root / "another command").mkdir()
    runs.append(KilledRun(root / "another command" / "o.mkv", "fsync", 2, ONE_GO))
    kill(clip, runs)
    return root


@pytest.mark.parametrize("name", POINTS)
def test_the_same_command_ends_well(
    name: str, clip: Path, killed: Path, whole: Path, fake: FakeBackend
) -> None:
    options, _, _, is_there = POINTS[name]
    folder = killed / name
    target = folder / "o.mkv"
    assert target.exists() == is_there
    assert len(list(folder.iterdir())) > is_there, "something is left"
    notes: list[str] = []
    report = upscale(clip, target, replace(LOSSLESS, **options), on_note=notes.append)
    assert any("is finished already" in line for line in notes) == is_there
    assert report.frames_out == report.frames_in == 30
    assert content(target) == content(whole)
    assert packets(target) == packets(whole)
    assert list(folder.iterdir()) == [target]


def test_another_command_is_refused_and_clears_up_as_well(
    clip: Path, killed: Path, fake: FakeBackend
) -> None:
    target = killed / "another command" / "o.mkv"
    assert len(list(target.parent.iterdir())) > 1
    options = replace(LOSSLESS, segment=0, fps=Fraction(25))
    with pytest.raises(OutputError, match="exists; -y replaces it"):
        upscale(clip, target, options)
    assert list(target.parent.iterdir()) == [target]


# -- temporary files


def test_what_nobody_holds_is_removed_and_what_lives_is_not(tmp_path: Path) -> None:
    target = tmp_path / "o.mkv"
    living = TemporaryName(target, tmp_path)
    abandoned = tmp_path / ".o.mkv.0123abcd.part"
    abandoned.write_bytes(b"x")
    pictures = tmp_path / ".o.mkv.00000000.part"
    pictures.mkdir()
    (pictures / "1.png").touch()
    others = [
        tmp_path / ".o.mkv.part",
        tmp_path / ".o.mkv.thesis00.part",
        tmp_path / ".p.mkv.0123abcd.part",
    ]
    for path in others:
        path.touch()
    file = AtomicFile(target)
    assert not abandoned.exists()
    assert not pictures.exists()
    assert living.path.exists()
    assert all(path.exists() for path in others)
    file.discard()
    living.discard()
    assert sorted(tmp_path.iterdir()) == sorted(others)


def test_a_disk_without_locks_or_links_is_good_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(os, "link", refuse)
    other = tmp_path / ".o.txt.0123abcd.part"
    other.touch()
    target = tmp_path / "o.txt"
    write_file(target, b"one")
    with pytest.raises(FileExistsError):
        write_file(target, b"two")
    assert target.read_bytes() == b"one"
    assert sorted(tmp_path.iterdir()) == [other, target], "it may belong to a process"


@pytest.mark.parametrize("segment", [0, 0.5])
def test_a_file_that_appears_in_mid_run_is_not_replaced(
    segment: float, clip: Path, tmp_path: Path, fake: FakeBackend
) -> None:
    target = tmp_path / "o.mkv"
    options = replace(LOSSLESS, segment=segment)

    def appear(progress: UpscaleProgress) -> None:
        target.write_text("precious")

    with pytest.raises(OutputError, match="in the meantime; -y replaces it"):
        upscale(clip, target, options, on_progress=appear)
    assert target.read_text() == "precious"
    report = upscale(clip, target, replace(options, overwrite=True))
    assert (report.frames_resumed > 0) == (segment > 0), "the work is not lost"
    assert len(content(target)) == 30
    assert list(tmp_path.iterdir()) == [target]


# -- another disk


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on another disk."""
    shared_memory = Path("/dev/shm")
    if not shared_memory.is_dir():
        pytest.skip("no second disk here")
    if shared_memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second disk here")
    with tempfile.TemporaryDirectory(dir=shared_memory) as name:
        yield Path(name)


@pytest.mark.parametrize("segment", [0, 0.5])
def test_an_output_that_is_a_link_to_another_disk(
    segment: float, clip: Path, tmp_path: Path, other_disk: Path, fake: FakeBackend
) -> None:
    link = tmp_path / "o.mkv"
    link.symlink_to(other_disk / "real.mkv")
    seen: set[str] = set()

    def look(progress: UpscaleProgress) -> None:
        seen.update(path.name for path in other_disk.iterdir())

    options = replace(LOSSLESS, segment=segment)
    upscale(clip, link, options, on_progress=look)
    if segment:
        assert seen == {"real.mkv.vsr"}, "the space is there"
    assert len(content(link)) == 30
    assert link.is_symlink()
    assert [path.name for path in other_disk.iterdir()] == ["real.mkv"]
    assert list(tmp_path.iterdir()) == [link]


def test_a_folder_of_parts_that_is_a_link_to_another_disk(
    clip: Path, tmp_path: Path, other_disk: Path, fake: FakeBackend
) -> None:
    (tmp_path / "o.mkv.vsr").symlink_to(other_disk)
    upscale(clip, tmp_path / "o.mkv", replace(LOSSLESS, segment=0.5))
    assert len(content(tmp_path / "o.mkv")) == 30


# -- parts that change in mid-run


def _at_the_last_frame(work: Any) -> Any:
    def on_progress(progress: UpscaleProgress) -> None:
        if progress.frames_out == 30:
            work()

    return on_progress


@pytest.mark.parametrize("damage", ["removed", "cut short"])
def test_a_part_that_is_lost_in_mid_run_is_made_again(
    damage: str, clip: Path, whole: Path, tmp_path: Path, fake: FakeBackend
) -> None:
    part = tmp_path / "o.mkv.vsr" / "000000.packets"
    done: list[int] = []

    def lose() -> None:
        if not done and part.exists():
            done.append(part.stat().st_size)
            part.unlink()
            if damage == "cut short":
                part.write_bytes(b"vsrpart1")

    options = replace(LOSSLESS, segment=0.5)
    upscale(clip, tmp_path / "o.mkv", options, on_progress=_at_the_last_frame(lose))
    assert done
    assert content(tmp_path / "o.mkv") == content(whole)
    assert packets(tmp_path / "o.mkv") == packets(whole)


def test_a_part_that_changes_in_mid_run_is_not_published(
    clip: Path, tmp_path: Path, fake: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "o.mkv"
    part = tmp_path / "o.mkv.vsr" / "000000.packets"
    mismatched = Journal.mismatched

    def damage(journal: Journal) -> list[int]:
        numbers = mismatched(journal)
        content_before = bytearray(part.read_bytes())
        content_before[-9] ^= 1
        part.write_bytes(content_before)
        return numbers

    options = replace(LOSSLESS, segment=0.5)
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "mismatched", damage)
        with pytest.raises(OutputError, match="the same command makes it again"):
            upscale(clip, target, options)
    assert not target.exists()
    assert 0 < upscale(clip, target, options).frames_resumed < 30
    assert list(tmp_path.iterdir()) == [target]


def test_a_part_that_vanishes_while_it_is_joined_is_one_clear_error(
    tmp_path: Path,
) -> None:
    path = tmp_path / "000000.packets"
    path.write_bytes(b"vsrpart1\0\0\0\0")
    parts = [(path, hash_of(path)), (tmp_path / "000001.packets", "")]
    with pytest.raises(OutputError, match="removed while vsr was working"):
        list(joined(parts, Fraction(1, 30)))


# -- encoders


def test_the_threads_of_encoders_do_not_depend_on_the_machine() -> None:
    assert [thread_count("libx264", height) for height in (32, 96, 720, 4320)] == [
        *(1, 1, 8, 16)
    ]
    assert thread_count("libx265", 32) == thread_count("libx265", 4320) == 3


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="needs processors to choose from"
)
def test_frames_do_not_depend_on_the_processors(
    tmp_path: Path, fake: FakeBackend
) -> None:
    source = write_clip(tmp_path / "in.mkv", frames=12, size=(64, 96))
    cores = os.sched_getaffinity(0)
    options = replace(LOSSLESS, encoder=EncoderOptions(preset="ultrafast"))
    try:
        os.sched_setaffinity(0, {min(cores)})
        upscale(source, tmp_path / "one.mkv", options)
    finally:
        os.sched_setaffinity(0, cores)
    upscale(source, tmp_path / "all.mkv", options)
    assert content(tmp_path / "one.mkv") == content(tmp_path / "all.mkv")
    assert packets(tmp_path / "one.mkv") == packets(tmp_path / "all.mkv")
