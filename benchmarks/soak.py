"""A long run through the whole of `upscale`, with memory and descriptors watched.

python benchmarks/soak.py [--minutes 60 | --frames 108000] [--size 64x48] [--model delta]

The same clip is upscaled again and again in one process. From the second quarter of the runs to the
last, the median of resident memory must stay within 5 % (single readings vary by a tenth, up and
down), and no descriptor or thread may be left.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from script_parts import parse_size, print_header, print_row

from vsrcli.jobs.demo import write_demo
from vsrcli.jobs.upscale import upscale
from vsrcli.options import EncoderOptions, UpscaleOptions

MIN_RUNS = 6
MAX_GROWTH = 1.05
PAGE_BYTES = 4096


@dataclass(frozen=True)
class State:
    """What a process holds: resident memory in MB, open descriptors, threads."""

    memory_mb: float
    descriptors: int
    threads: int


def state() -> State:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return State(
        memory_mb=pages * PAGE_BYTES / 1e6,
        descriptors=len(list(Path("/proc/self/fd").iterdir())),
        threads=threading.active_count(),
    )


def median_memory(states: list[State]) -> float:
    return statistics.median(each.memory_mb for each in states)


def run_on(arguments: argparse.Namespace) -> tuple[int, list[State]]:
    """Upscale until time or frames are reached: frames made, and the state after each run."""
    options = UpscaleOptions(
        model=arguments.model,
        device="cpu",
        overwrite=True,
        encoder=EncoderOptions(preset="veryfast"),
    )
    frames = 0
    states: list[State] = []
    began = time.monotonic()

    def is_done() -> bool:
        if len(states) < MIN_RUNS:
            return False
        if arguments.frames is not None:
            return bool(frames >= arguments.frames)
        minutes = (time.monotonic() - began) / 60
        return bool(minutes >= arguments.minutes)

    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "in.mp4"
        target = Path(name) / "out.mp4"
        size = parse_size(arguments.size)
        write_demo(source, seconds=arguments.clip_seconds, size=size)
        while not is_done():
            frames += upscale(source, target, options).frames_out
            states.append(state())
    return frames, states


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument(
        "--frames",
        type=int,
        help="go on until so many are made, however long it takes (an hour of video is 108000)",
    )
    parser.add_argument("--size", default="64x48")
    parser.add_argument("--model", default="delta")
    parser.add_argument("--clip-seconds", type=float, default=60.0)
    arguments = parser.parse_args()
    began = time.monotonic()
    frames, states = run_on(arguments)
    minutes = (time.monotonic() - began) / 60
    quarter = len(states) // 4
    early = median_memory(states[quarter : 2 * quarter])
    late = median_memory(states[-quarter:])
    growth = late / early
    first = states[quarter]
    last = states[-1]
    print_header(
        "minutes",
        "runs",
        "frames",
        "memory, second quarter, MB",
        "last quarter, MB",
        "ratio",
        "descriptors",
        "threads",
    )
    print_row(
        f"{minutes:.1f}",
        len(states),
        frames,
        f"{early:.0f}",
        f"{late:.0f}",
        f"{growth:.3f}",
        f"{first.descriptors} to {last.descriptors}",
        f"{first.threads} to {last.threads}",
    )
    has_leak = last.descriptors != first.descriptors or last.threads != first.threads
    sys.exit(growth > MAX_GROWTH or has_leak)


if __name__ == "__main__":
    main()
