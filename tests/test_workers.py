"""Segments in parallel worker processes: the same frames, one bar, no harm if a worker dies."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import fake
import pytest
from fake import FakeBackend
from lossless import LOSSLESS, content, packets

from vsrcli.backends import Float
from vsrcli.errors import BackendError, OptionError
from vsrcli.jobs.demo import write_demo
from vsrcli.jobs.upscale import upscale
from vsrcli.options import UpscaleOptions, parse_devices
from vsrcli.pipeline.upscale_report import UpscaleProgress, UpscaleReport
from vsrcli.segments import worker_process


class _Dying(FakeBackend):
    """Kills its process at its 20th window, unless a file says that it was done before."""

    def run(self, windows: Float) -> Float:
        mark = os.environ["VSR_TEST_DEATHS"]
        if len(self.windows) == 20 and len(Path(mark).read_text()) < int(
            os.environ["VSR_TEST_MOST_DEATHS"]
        ):
            with Path(mark).open("a") as file:
                file.write("x")
            os.kill(os.getpid(), signal.SIGKILL)
        return super().run(windows)


def open_dying(
    name: str, model: str, domain: str | None, *, device: str, precision: str | None
) -> FakeBackend:
    """A network that dies."""
    return _Dying()


def open_failing(
    name: str, model: str, domain: str | None, *, device: str, precision: str | None
) -> FakeBackend:
    """A network that fails."""
    return FakeBackend(fail_at=30)


def open_slow_to_report(
    name: str, model: str, domain: str | None, *, device: str, precision: str | None
) -> FakeBackend:
    """A network in a process that takes its time between a last segment and its report."""
    make = worker_process._make

    def make_and_wait(*arguments: Any) -> UpscaleReport:
        report = make(*arguments)
        time.sleep(0.2)
        return report

    setattr(worker_process, "_make", make_and_wait)  # noqa: B010
    return FakeBackend()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2 s, 60 frames."""
    path = tmp_path_factory.mktemp("clips") / "in.mp4"
    write_demo(path, seconds=2, size=(64, 48))
    return path


def children() -> list[str]:
    """Command lines of this process's living children that are workers."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = folder.joinpath("stat").read_text().rpartition(")")[2].split()[1]
            line = folder.joinpath("cmdline").read_bytes().decode()
        except OSError:
            continue
        if int(parent) == os.getpid() and "worker_process import serve" in line:
            found.append(line)
    return found


def test_two_workers_make_what_one_makes(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vsrcli.jobs.upscale.open_backend", fake.open_fake)
    options = replace(LOSSLESS, segment=0.25, start=Fraction(1, 10))
    seen: list[UpscaleProgress] = []
    upscale(clip, tmp_path / "one.mkv", replace(options, segment=0))
    crew: set[int] = set()

    def on_progress(progress: UpscaleProgress) -> None:
        seen.append(progress)
        crew.add(len(children()))

    report = upscale(
        clip,
        tmp_path / "two.mkv",
        replace(options, devices="cpu*2"),
        on_progress=on_progress,
    )
    assert crew == {2}
    assert content(tmp_path / "two.mkv") == content(tmp_path / "one.mkv")
    assert packets(tmp_path / "two.mkv") == packets(tmp_path / "one.mkv")
    assert (report.device, report.frames_out, report.segments) == ("cpu,cpu", 57, 8)
    shares = [progress.share or 0 for progress in seen]
    assert shares[-1] > 0.95
    assert max(before - after for before, after in pairwise(shares)) < 0.02
    assert not children()


def test_the_report_of_every_worker_is_counted(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vsrcli.jobs.upscale.open_backend", open_slow_to_report)
    options = replace(LOSSLESS, segment=0.5, devices="cpu*2", reuse=False)
    report = upscale(clip, tmp_path / "o.mkv", options)
    assert report.segments == 4
    assert report.frames_computed == report.frames_out == 60


def test_a_worker_that_dies_is_made_up_for(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vsrcli.jobs.upscale.open_backend", open_dying)
    (tmp_path / "deaths").touch()
    monkeypatch.setenv("VSR_TEST_DEATHS", str(tmp_path / "deaths"))
    monkeypatch.setenv("VSR_TEST_MOST_DEATHS", "2")
    notes: list[str] = []
    upscale(
        clip,
        tmp_path / "two.mkv",
        replace(LOSSLESS, devices="cpu*2", reuse=False),
        on_note=notes.append,
    )
    assert (
        sum("died (signal 9): its segments are redone" in line for line in notes) == 2
    )
    monkeypatch.setattr("vsrcli.jobs.upscale.open_backend", fake.open_fake)
    upscale(clip, tmp_path / "one.mkv", replace(LOSSLESS, segment=0))
    assert content(tmp_path / "two.mkv") == content(tmp_path / "one.mkv")
    assert not children()


def test_workers_that_always_die_are_given_up(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vsrcli.jobs.upscale.open_backend", open_dying)
    (tmp_path / "deaths").touch()
    monkeypatch.setenv("VSR_TEST_DEATHS", str(tmp_path / "deaths"))
    monkeypatch.setenv("VSR_TEST_MOST_DEATHS", "99")
    with pytest.raises(BackendError, match="workers died"):
        upscale(
            clip,
            tmp_path / "o.mkv",
            replace(LOSSLESS, segment=1, devices="cpu*1", reuse=False),
        )
    assert not children()


def test_an_error_in_a_worker_is_the_same_error_here(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vsrcli.jobs.upscale.open_backend", open_failing)
    with pytest.raises(BackendError, match="out of memory on fake"):
        upscale(
            clip, tmp_path / "o.mkv", replace(LOSSLESS, devices="cpu*2", reuse=False)
        )
    assert not children()


def test_interrupted_with_workers(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vsrcli.jobs.upscale.open_backend", fake.open_fake)
    options = replace(LOSSLESS, devices="cpu*2")
    done = []

    def interrupt(progress: UpscaleProgress) -> None:
        done.append(progress)
        if list((tmp_path / "o.mkv.vsr").glob("*.packets")):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        upscale(clip, tmp_path / "o.mkv", options, on_progress=interrupt)
    until = time.monotonic() + 5
    while children() and time.monotonic() < until:
        time.sleep(0.05)
    assert not children()
    assert not list((tmp_path / "o.mkv.vsr").glob(".*"))
    assert (
        upscale(clip, tmp_path / "o.mkv", replace(options, devices=None)).frames_out
        == 60
    )  # how many do the work changes nothing


def test_lists_of_devices() -> None:
    assert parse_devices("cpu*2") == ("cpu", "cpu")
    assert parse_devices("cuda:0, cuda:1,cuda:1*2") == (
        "cuda:0",
        "cuda:1",
        "cuda:1",
        "cuda:1",
    )
    for text in ("", "gpu", "cpu*0", "cpu,cuda:0", "cuda:x", "cpu*"):
        with pytest.raises(OptionError, match="--devices"):
            parse_devices(text)
    for wrong in ({"device": "cpu"}, {"segment": 0}, {"ray": "local"}):
        with pytest.raises(OptionError, match="--devices"):
            UpscaleOptions(devices="cpu*2", **wrong)
