"""Commands interrupted by Ctrl-C at every moment of their start, and on to their end.

python benchmarks/interrupts.py [--step 0.1] [--seconds 6] [COMMAND ...]

Each run is a process group of its own, as in a terminal, and the signal goes to all of it. A run
must end with exit code 130 (or 0, when it was finished before) and the line of an interruption, and
leave neither a traceback, nor a process, nor a file but finished segments. While Python itself
starts, before the first line of vsr, the interpreter answers; such runs are counted apart.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from script_parts import print_header, print_row, write_clip

from vsrcli.cli import COMMANDS

# As installed: it begins with the first line of the program.
_COMMAND = [sys.executable, "-m", "vsrcli"]
# Names of what each command may leave behind: an output that is complete, and what a run keeps.
_KEPT = ("out", "weights-run", ".vsr-run")
_WAIT_SECONDS = 60
_INTERPRETER_FAILED = 1


@dataclass(frozen=True)
class Outcome:
    """How one interrupted run ended.

    Attributes:
        problem: what was wrong; empty if nothing was.
        before_vsr: whether the signal came before the first line of vsr.
    """

    problem: str
    before_vsr: bool = False


def commands(clip: Path, folder: Path) -> dict[str, list[str]]:
    """The arguments of each command, by its name in the table."""
    output = str(folder / "out.mkv")
    upscale = ["upscale", str(clip), output, "--model", "lite", "-y", "--no-progress"]
    return {
        "--help": ["--help"],
        "models": ["models"],
        "info": ["info", str(clip)],
        "demo": ["demo", output, "-y"],
        "upscale": upscale,
        "upscale --segment 0": [*upscale, "--segment", "0"],
        "upscale --segment 0.2": [*upscale, "--segment", "0.2"],
        "upscale --devices cpu*2": [*upscale, "--devices", "cpu*2", "--segment", "0.2"],
        "upscale --verify": [*upscale, "--verify"],
        "extract": ["extract", str(clip), str(folder / "out"), "-y"],
        "assemble": ["assemble", str(clip.parent / "frames"), output, "-y"],
        "verify": ["verify", str(clip), str(clip.parent / "big.mkv"), "-q"],
        "bench": ["bench", str(clip), "-m", "lite", "--frames", "4"],
        "preview": [
            *("preview", str(clip), "-m", "lite", "--frames", "2", "-y"),
            *("--html", str(folder / "page.html")),
        ],
        "export": ["export", "-m", "lite", str(folder / "out.onnx"), "-y"],
        "train": [
            *("train", "--data", str(clip), "--out", str(folder / "weights-run")),
            *("-m", "lite", "--steps", "2"),
        ],
    }


def interrupted(arguments: list[str], delay: float, folder: Path) -> Outcome:
    """Run a command, and interrupt its process group after ``delay`` seconds."""
    process = subprocess.Popen(
        [*_COMMAND, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    time.sleep(delay)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
    try:
        _, error = process.communicate(timeout=_WAIT_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return Outcome("does not end")
    is_running = _is_group_running(process.pid)
    return _judge(process.returncode, error, is_running, folder)


def _judge(status: int, error: str, is_running: bool, folder: Path) -> Outcome:
    if is_running:
        return Outcome("a process is left")
    if "Traceback" in error:
        # of the interpreter or of runpy: no file of vsr stands in it but its first
        if "vsrcli/cli" not in error and status in (
            _INTERPRETER_FAILED,
            -signal.SIGINT,
        ):
            return Outcome("", before_vsr=True)
        return Outcome(f"traceback: {error.strip().splitlines()[-1]}")
    if status not in (0, 130, -signal.SIGINT):
        return Outcome(f"exit {status}: {error.strip()[-80:]}")
    left = [path.name for path in folder.iterdir() if not path.name.startswith(_KEPT)]
    if left:
        return Outcome(f"left behind: {', '.join(left)}")
    return Outcome("", before_vsr=status == -signal.SIGINT)


def _is_group_running(group: int) -> bool:
    """Whether a process of the group is still there after a second."""
    for _ in range(20):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.05)
    return True


def main() -> None:
    """Interrupt every command at every moment, and print a row for each command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--step", type=float, default=0.1, help="seconds between moments"
    )
    parser.add_argument("--seconds", type=float, default=6.0, help="the last moment")
    parser.add_argument(
        "names", nargs="*", metavar="COMMAND", help="as in the table; all without"
    )
    options = parser.parse_args()
    problems = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = folder / "clip.mp4"
        write_clip(clip, 24, (64, 48))
        output_folder = folder / "outputs"
        output_folder.mkdir()
        subprocess.run(
            [*_COMMAND, "extract", str(clip), str(folder / "frames"), "-q"], check=True
        )
        big = [str(clip), str(folder / "big.mkv"), "--model", "lite", "-q"]
        subprocess.run([*_COMMAND, "upscale", *big], check=True)
        table = commands(clip, output_folder)
        untried = set(COMMANDS).difference(*table.values())
        if untried:
            raise SystemExit(f"commands without a row: {', '.join(sorted(untried))}")
        print_header("command", "moments", "before vsr", "problems")
        for title, arguments in table.items():
            if options.names and title not in options.names:
                continue
            outcomes = []
            for number in range(1, round(options.seconds / options.step) + 1):
                delay = number * options.step
                outcome = interrupted(arguments, delay, output_folder)
                outcomes.append(outcome)
                if outcome.problem:
                    print(
                        f"{title} after {delay:.2f} s: {outcome.problem}",
                        file=sys.stderr,
                    )
            failed = sum(bool(outcome.problem) for outcome in outcomes)
            early = sum(outcome.before_vsr for outcome in outcomes)
            print_row(title, len(outcomes), early, failed)
            problems += failed
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
