"""Runs of ``upscale`` that kill themselves at a system call, each in a process of its own.

python tests/killed.py SOURCE: reads lines of JSON, ``{"target", "options", "call", "number"}``, and
writes a line for each: the number of the signal that ended the run, or 0. The network is the one
that only interpolates. All runs are forks of one process, so that it imports but once.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import fake
from lossless import LOSSLESS

import vsrcli.jobs.upscale as module
from vsrcli.segments import frame_keeper


@dataclass(frozen=True)
class KilledRun:
    """A run, and where it is killed.

    Attributes:
        target: the output.
        call: a function of ``os``.
        number: which call of it is not made any more, from 1.
        options: of ``UpscaleOptions``, beside those of ``LOSSLESS``.
        keeps_frames: whether each frame is kept at once, as if the network took minutes for it.
    """

    target: Path
    call: str
    number: int
    options: dict[str, Any]
    keeps_frames: bool = False


def kill(source: Path, runs: Sequence[KilledRun]) -> None:
    """Start runs and have them killed; each has to reach its call."""
    lines = [json.dumps({**vars(run), "target": str(run.target)}) for run in runs]
    done = subprocess.run(
        [sys.executable, __file__, str(source)],
        input="\n".join(lines),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    killed = [str(int(signal.SIGKILL))] * len(runs)
    assert done.stdout.split() == killed, done.stderr


def _run(source: str, run: dict[str, Any]) -> None:
    call = getattr(os, run["call"])
    calls_left = run["number"]

    def count(*arguments: Any, **options: Any) -> Any:
        nonlocal calls_left
        calls_left -= 1
        if not calls_left:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **options)

    if run["keeps_frames"]:
        setattr(frame_keeper, "_WORTH_SECONDS", 0.0)  # noqa: B010
        setattr(frame_keeper, "_SAVE_SECONDS", 0.0)  # noqa: B010
    setattr(os, run["call"], count)
    setattr(module, "open_backend", fake.open_fake)  # noqa: B010
    module.upscale(source, run["target"], replace(LOSSLESS, **run["options"]))


def main() -> None:
    for line in sys.stdin:
        process = os.fork()
        if not process:
            try:
                _run(sys.argv[1], json.loads(line))
            finally:
                os._exit(0)
        _, status = os.waitpid(process, 0)
        sys.stdout.write(f"{os.WTERMSIG(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
