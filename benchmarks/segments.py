"""What segments cost, and what workers gain, in one run.

python benchmarks/segments.py [--size 1280x720] [--frames 600] [--model delta] [--workers | --ray]

With neither: wall time of the whole of `vsr upscale` with segments of 5 s against one go, the two
taken in turn, medians. ``--network fake`` replaces the network by interpolation, so that encoding
is the bottleneck: the worst case for segments. With ``--workers``: one worker on one core against
two workers on one core each. With ``--ray``: a Ray cluster of one node on one core against two
nodes on one core each. It ends with ``ray stop``, which ends any other cluster of this machine as
well.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from script_parts import (
    FRAMES_PER_SECOND,
    VSR,
    parse_size,
    print_header,
    print_row,
)

from vsrcli.jobs.demo import write_demo

_TESTS = Path(__file__).resolve().parent.parent / "tests"
_FAKE_VSR = [sys.executable, str(_TESTS / "fake_vsr.py")]
_PORT = 6399

Cores = set[int]


@dataclass(frozen=True)
class Variant:
    """Options of a run, and the cores that it may use, or None for all."""

    options: list[str]
    cores: Cores | None = None


def start(command: list[str], cores: Cores | None = None) -> None:
    def keep_to_cores() -> None:
        if cores is not None:
            os.sched_setaffinity(0, cores)

    subprocess.run(
        command,
        check=True,
        stdout=subprocess.DEVNULL,
        preexec_fn=keep_to_cores,
    )


def seconds_of(command: list[str], cores: Cores | None = None) -> float:
    began = time.monotonic()
    start(command, cores)
    return time.monotonic() - began


@contextlib.contextmanager
def cluster(cores: Cores) -> Iterator[None]:
    """A Ray cluster of one node on each of these cores."""
    ray = shutil.which("ray", path=str(Path(sys.executable).parent)) or "ray"
    head = ["--head", f"--port={_PORT}", "--include-dashboard=false"]
    other = [f"--address=127.0.0.1:{_PORT}"]
    try:
        for number, core in enumerate(sorted(cores)):
            place = other if number else head
            start([ray, "start", "--num-cpus=1", *place], {core})
        yield
    finally:
        start([ray, "stop", "--force"])


def variants(arguments: argparse.Namespace) -> dict[str, Variant]:
    cores = sorted(os.sched_getaffinity(0))[:2]
    one_core = {cores[0]}
    two_cores = set(cores)
    if arguments.ray:
        address = ["--ray", f"127.0.0.1:{_PORT}"]
        return {
            "one node, one core": Variant(address, one_core),
            "two nodes, one core each": Variant(address, two_cores),
        }
    if arguments.workers:
        one_worker = ["--devices", "cpu*1"]
        two_workers = ["--devices", "cpu*2"]
        return {
            "one worker, one core": Variant(one_worker, one_core),
            "two workers, one core each": Variant(two_workers, two_cores),
        }
    return {
        "one go": Variant(["--segment", "0"]),
        "segments of 5 s": Variant([]),
    }


def measure(
    command: list[str],
    compared: dict[str, Variant],
    repeats: int,
    *,
    on_ray: bool,
) -> dict[str, list[float]]:
    """Seconds of every run, the variants taken in turn."""
    times: dict[str, list[float]] = {name: [] for name in compared}
    for _ in range(repeats):
        for name, variant in compared.items():
            with contextlib.ExitStack() as stack:
                if on_ray and variant.cores:
                    stack.enter_context(cluster(variant.cores))
                words = [*command, *variant.options]
                times[name].append(seconds_of(words, variant.cores))
    return times


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--size", default="1280x720", help="of the output, WIDTHxHEIGHT"
    )
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--network", default="real", choices=("real", "fake"))
    parser.add_argument("--model", default="delta")
    parser.add_argument("--workers", action="store_true")
    parser.add_argument("--ray", action="store_true")
    parser.add_argument("--preset", default="medium")
    arguments = parser.parse_args()
    width, height = parse_size(arguments.size)
    program = _FAKE_VSR if arguments.network == "fake" else VSR
    options = ["-y", "-q", "--no-progress"]
    options += ["--preset", arguments.preset, "--model", arguments.model]
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "in.mp4"
        target = Path(name) / "out.mp4"
        seconds = arguments.frames / FRAMES_PER_SECOND
        write_demo(source, seconds=seconds, size=(width // 2, height // 2))
        command = [*program, "upscale", str(source), str(target), *options]
        times = measure(
            command,
            variants(arguments),
            arguments.repeats,
            on_ray=arguments.ray,
        )
    medians = {name: statistics.median(values) for name, values in times.items()}
    print_header("variant", "seconds, median", "all")
    for name, values in times.items():
        every = " ".join(f"{value:.2f}" for value in values)
        print_row(name, f"{medians[name]:.2f}", every)
    first, second = medians
    ratio = medians[second] / medians[first]
    print(f"\n{second} / {first}: {ratio:.3f} of the time")


if __name__ == "__main__":
    main()
