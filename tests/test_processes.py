"""Processes that vsr starts end with it, however it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from vsrcli.jobs.demo import write_demo

TESTS = Path(__file__).resolve().parent
# On a busy machine; else it is a second or two.
_SECONDS_TO_START = 120
_SECONDS_TO_END = 10
_WORKERS = """
import signal
import sys
import fake
import vsrcli.jobs.upscale as module
from vsrcli.options import EncoderOptions, UpscaleOptions

# what runs in the background of a shell ignores it
signal.signal(signal.SIGINT, signal.default_int_handler)
module.open_backend = fake.open_slow
encoder = EncoderOptions(codec="ffv1")
options = UpscaleOptions(devices="cpu*2", segment=0.25, encoder=encoder, reuse=False)
module.upscale(sys.argv[1], sys.argv[2], options)
"""
_VMAF = """
import numpy as np
from vsrcli.metrics.vmaf import Vmaf

metric = Vmaf(("vmaf",), 64, 64)
while True:
    metric.add(np.full((64, 64), 90, np.float32), np.full((64, 64), 99, np.float32))
"""


def _descendants(process: int) -> set[int]:
    """Processes that a process has started, and those have, and so on."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            text = (folder / "stat").read_text()
        except OSError:
            continue
        parent = int(text.rpartition(")")[2].split()[1])
        children.setdefault(parent, []).append(int(folder.name))
    found: set[int] = set()
    waiting = [process]
    while waiting:
        new = children.get(waiting.pop(), [])
        found.update(new)
        waiting += new
    return found


def _is_alive(process: int) -> bool:
    try:
        text = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] not in "ZX"


def _wait_until(is_true: Callable[[], object], seconds: float) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if is_true():
            return True
        time.sleep(0.02)
    return False


def _survivors(code: str, arguments: list[str], count: int, then: Path | None) -> int:
    """How many of a program's processes outlive it.

    Args:
        code: of the program.
        arguments: its arguments.
        count: it is killed when it has so many processes,
        then: and this file or folder exists.
    """
    program = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])},
        stderr=subprocess.DEVNULL,
    )
    try:
        assert _wait_until(
            lambda: (
                len(_descendants(program.pid)) >= count
                and (then is None or then.exists())
            ),
            _SECONDS_TO_START,
        )
        started = _descendants(program.pid)
    finally:
        program.kill()
        program.wait()
    _wait_until(lambda: not any(map(_is_alive, started)), _SECONDS_TO_END)
    return sum(map(_is_alive, started))


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


def test_workers_end_with_a_killed_run(tmp_path: Path) -> None:
    source = tmp_path / "in.mp4"
    target = tmp_path / "out.mkv"
    write_demo(source, seconds=1, size=(64, 48))
    part = tmp_path / "out.mkv.vsr" / "000000.packets"
    assert _survivors(_WORKERS, [str(source), str(target)], 2, part) == 0


def test_without_help_of_the_system_a_worker_sees_the_end_of_its_connection() -> None:
    """As on systems that do not kill the children of a process."""
    code = (
        "import os, sys, time, vsrcli.segments.lifetime as lifetime; "
        "lifetime.sys = type('', (), {'platform': 'other'}); "
        "lifetime.end_with_parent(os.getppid(), 0); "
        "print('ready', flush=True); time.sleep(60)"
    )
    ours, theirs = socket.socketpair()
    with (
        ours,
        theirs,
        subprocess.Popen(
            [sys.executable, "-c", code], stdin=theirs.fileno(), stdout=subprocess.PIPE
        ) as worker,
    ):
        try:
            assert worker.stdout is not None
            assert worker.stdout.readline() == b"ready\n"
            assert worker.poll() is None
            theirs.close()
            ours.close()
            assert worker.wait(timeout=_SECONDS_TO_END) == 1
        finally:
            worker.kill()


def test_ctrl_c_reaches_no_worker_even_while_it_starts(tmp_path: Path) -> None:
    source = tmp_path / "in.mp4"
    write_demo(source, seconds=1, size=(64, 48))
    program = subprocess.Popen(
        [sys.executable, "-c", _WORKERS, str(source), str(tmp_path / "out.mkv")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])},
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert _wait_until(
            lambda: len(_descendants(program.pid)) == 2, _SECONDS_TO_START
        )
        os.killpg(program.pid, signal.SIGINT)
        _, errors = program.communicate(timeout=_SECONDS_TO_START)
    finally:
        program.kill()
    assert errors.count(b"Traceback") == 1, "the program's own"
    assert not list(tmp_path.glob("out.mkv*"))


def test_ffmpeg_ends_with_a_killed_benchmark() -> None:
    pytest.importorskip("imageio_ffmpeg")
    assert _survivors(_VMAF, [], 1, None) == 0
