"""Many videos at once, and what signals and hangs do to a run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fake import FakeBackend

from vsrcli.cli import _run
from vsrcli.decode import picture_decoder as picture_decoder_module
from vsrcli.decode import reader as reader_module
from vsrcli.decode.input_file import decoder_of
from vsrcli.errors import InputError
from vsrcli.jobs.batch import target_for
from vsrcli.jobs.demo import write_demo
from vsrcli.jobs.upscale import upscale
from vsrcli.options import EncoderOptions, UpscaleOptions
from vsrcli.pipeline import prefetch
from vsrcli.pipeline.prefetch import Prefetch

TESTS = Path(__file__).resolve().parent


def run(*arguments: str | Path) -> int:
    return _run([str(argument) for argument in arguments])


def test_one_failure_does_not_stop_the_rest(
    demo_clip: Path,
    tmp_path: Path,
    fake: FakeBackend,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = tmp_path / "a.mp4"
    second = tmp_path / "b.mov"
    broken = tmp_path / "broken.mkv"
    out = tmp_path / "out"
    shutil.copy(demo_clip, first)
    shutil.copy(demo_clip, second)
    broken.write_text("no video")
    arguments: list[str | Path] = [
        first,
        broken,
        tmp_path / "missing.mp4",
        second,
        "--out-dir",
        out,
        "--end",
        "0.2",
        "--preset",
        "ultrafast",
    ]
    assert run("upscale", *arguments) == 1
    errors = capsys.readouterr().err
    assert "2 done, 0 skipped, 2 failed" in errors
    assert "Traceback" not in errors
    assert sorted(path.name for path in out.iterdir()) == ["a.mp4", "b.mov"]
    times = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    assert (
        run("upscale", first, second, "--out-dir", out, "--skip-existing", "--json")
        == 0
    )
    printed = json.loads(capsys.readouterr().out)
    assert [(item["report"], item["error"]) for item in printed] == [(None, None)] * 2
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == times
    assert run("upscale", first, "--out-dir", out) == 1
    assert "-y replaces it" in capsys.readouterr().err


def test_two_of_one_name_are_not_written_over_each_other(
    demo_clip: Path,
    tmp_path: Path,
    fake: FakeBackend,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        shutil.copy(demo_clip, tmp_path / name / "a.mp4")
    assert (
        run(
            "upscale",
            tmp_path / "one" / "a.mp4",
            tmp_path / "two" / "a.mp4",
            "--out-dir",
            tmp_path / "out",
            "--end",
            "0.1",
            "-y",
        )
        == 1
    )
    assert "another folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["a.mp4"], 2, "IN and OUT"),
        (["a.mp4", "b.mp4", "c.mp4"], 2, "3 names"),
        (["a.mp4", "b.mp4", "--skip-existing"], 2, "--out-dir"),
        (["-", "--out-dir", "x"], 2, "files and --out-dir"),
        (["a.mp4", "--out-dir", "/dev/null/x"], 1, "cannot be made"),
    ],
)
def test_wrong_use(
    arguments: list[str], status: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("upscale", *arguments) == status
    assert says in capsys.readouterr().err


def test_names_of_outputs(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    names = {
        "a.mp4": "a.mp4",
        "b.MKV": "b.MKV",
        "c.wmv": "c.wmv.mkv",
        "d": "d.mkv",
        "frames": "frames.mkv",
    }
    assert {name: target_for(tmp_path / name, tmp_path).name for name in names} == names


# -- signals


def started(
    tmp_path: Path, *options: str, seconds: float = 3.0, pause: float = 0.05
) -> tuple[subprocess.Popen[str], Path]:
    """A run in a process of its own, in the middle of its work; the target."""
    source = tmp_path / "in.mp4"
    target = tmp_path / "o.mkv"
    if not source.exists():
        write_demo(source, seconds=seconds, size=(64, 48))
    process = subprocess.Popen(
        [
            sys.executable,
            str(TESTS / "fake_vsr.py"),
            "--seconds-a-frame",
            str(pause),
            "upscale",
            str(source),
            str(target),
            "--codec",
            "ffv1",
            *options,
        ],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: [
            signal.signal(number, signal.SIG_DFL)
            for number in (signal.SIGINT, signal.SIGHUP)
        ],
    )
    return process, target


def wait_for(condition: Any, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("number", "times", "status"),
    [
        (signal.SIGINT, 1, 130),
        (signal.SIGINT, 2, 130),
        (signal.SIGTERM, 2, 143),
        (signal.SIGHUP, 1, 129),
    ],
)
def test_signals_keep_finished_segments_and_nothing_else(
    tmp_path: Path, number: signal.Signals, times: int, status: int
) -> None:
    process, target = started(tmp_path, "--segment", "0.3")
    folder = tmp_path / "o.mkv.vsr"
    wait_for(lambda: len(list(folder.glob("*.packets"))) >= 2, process)
    for _ in range(times):
        process.send_signal(number)
        time.sleep(0.03)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == status
    assert "Traceback" not in errors
    assert "the same command continues from there" in errors
    assert not target.exists()
    assert sorted({path.suffix for path in folder.iterdir()}) == [
        "",
        ".jsonl",
        ".packets",
    ]
    again, _ = started(tmp_path, "--segment", "0.3", pause=0.0)
    assert "resuming from" in again.communicate(timeout=60)[1]
    assert again.returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "o.mkv"]


def test_the_folder_removed_in_mid_run_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    write_demo(tmp_path / "in.mp4", seconds=3, size=(64, 48))
    process = subprocess.Popen(
        [
            sys.executable,
            str(TESTS / "fake_vsr.py"),
            "--seconds-a-frame",
            "0.05",
            "upscale",
            str(tmp_path / "in.mp4"),
            str(tmp_path / "out" / "o.mkv"),
            "--codec",
            "ffv1",
            "--segment",
            "0.3",
            "-q",
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(
        lambda: len(list((tmp_path / "out" / "o.mkv.vsr").glob("*.packets"))) >= 1,
        process,
    )
    # removing races the run, which may write a file meanwhile
    while (tmp_path / "out").exists():
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.count("\n") == 1
    assert "o.mkv" in errors
    assert not (tmp_path / "out").exists()


def test_a_thread_that_hangs_is_left_behind_in_the_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(prefetch, "_PATIENCE_SECONDS", 0.3)
    released = threading.Event()

    def hanging() -> Any:
        yield 1
        released.wait(30)

    began = time.monotonic()
    with Prefetch(hanging(), 2, "decode") as items:
        assert next(iter(items)) == 1
    assert time.monotonic() - began < 5
    assert "does not answer" in caplog.text
    released.set()


def test_a_decoder_that_hangs_is_an_error_and_no_wait_for_ever(
    demo_clip: Path, tmp_path: Path, fake: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As FFmpeg's do with some damage: reading and decoding one packet takes beyond all measure."""
    monkeypatch.setattr(reader_module, "_STALL_SECONDS", 1)
    released = threading.Event()
    genuine = decoder_of

    def hanging(stream: Any) -> Any:
        context = genuine(stream)
        count = 0

        def step(packet: Any) -> Any:
            nonlocal count
            count += 1
            if count == 25:
                released.wait(60)
            return context.decode(packet)

        return SimpleNamespace(decode=step, flush_buffers=context.flush_buffers)

    monkeypatch.setattr(picture_decoder_module, "decoder_of", hanging)
    began = time.monotonic()
    with pytest.raises(
        InputError,
        match=r"decoding hangs after 0\.\d+ s: the file is damaged.* --end 0\.\d+",
    ):
        upscale(
            demo_clip,
            tmp_path / "o.mkv",
            UpscaleOptions(segment=0.3, encoder=EncoderOptions(codec="ffv1")),
        )
    assert time.monotonic() - began < 20
    assert not (tmp_path / "o.mkv").exists()
    released.set()
