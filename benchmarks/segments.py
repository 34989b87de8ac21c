"""What segments cost, and what workers gain, in one run: python benchmarks/segments.py [--size 1280x720] [--frames 600] [--model delta] [--workers | --ray].

With neither: wall time of the whole of `vsr upscale` with segments of 5 s against one go, the two taken in turn, medians. ``--network fake`` puts
interpolation in the network's place, so that encoding is the bottleneck: the worst case for segments. With ``--workers``: one worker on one core against
two workers on one core each; with ``--ray``: a Ray cluster of one node on one core against two nodes on one core each (it ends with ``ray stop``, which ends
any other cluster of this machine as well).
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
from pathlib import Path

from vsrcli.media.demo import write_demo

_REAL = [sys.executable, "-c", "from vsrcli.cli import main; main()"]
_FAKE = [
    sys.executable,
    str(Path(__file__).resolve().parent.parent / "tests" / "fake_vsr.py"),
]


_PORT = 6399


def start(command: list[str], cores: set[int] | None = None) -> None:
    subprocess.run(
        command,
        check=True,
        stdout=subprocess.DEVNULL,
        preexec_fn=None if cores is None else lambda: os.sched_setaffinity(0, cores),
    )


def seconds_of(command: list[str], cores: set[int] | None = None) -> float:
    began = time.monotonic()
    start(command, cores)
    return time.monotonic() - began


@contextlib.contextmanager
def cluster(cores: set[int]) -> Iterator[None]:
    """A Ray cluster of one node on each of these cores."""
    ray = shutil.which("ray", path=str(Path(sys.executable).parent)) or "ray"
    places = [
        ["--head", f"--port={_PORT}", "--include-dashboard=false"],
        *[[f"--address=127.0.0.1:{_PORT}"]] * (len(cores) - 1),
    ]
    try:
        for core, place in zip(sorted(cores), places, strict=True):
            start([ray, "start", "--num-cpus=1", *place], {core})
        yield
    finally:
        start([ray, "stop", "--force"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
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
    width, height = (int(part) // 2 for part in arguments.size.split("x"))
    command = [*(_FAKE if arguments.network == "fake" else _REAL), "upscale"]
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "in.mp4"
        target = Path(name) / "out.mp4"
        write_demo(source, seconds=arguments.frames / 30, size=(width, height))
        common = [
            *command,
            str(source),
            str(target),
            "-y",
            "-q",
            "--no-progress",
            "--preset",
            arguments.preset,
            "--model",
            arguments.model,
        ]
        variants: dict[str, tuple[list[str], set[int] | None]]
        cores = sorted(os.sched_getaffinity(0))[:2]
        if arguments.ray:
            there = ["--ray", f"127.0.0.1:{_PORT}"]
            variants = {
                "one node, one core": (there, {cores[0]}),
                "two nodes, one core each": (there, set(cores)),
            }
        elif arguments.workers:
            variants = {
                "one worker, one core": (["--devices", "cpu*1"], {cores[0]}),
                "two workers, one core each": (["--devices", "cpu*2"], set(cores)),
            }
        else:
            variants = {
                "one go": (["--segment", "0"], None),
                "segments of 5 s": ([], None),
            }
        times: dict[str, list[float]] = {variant: [] for variant in variants}
        for _ in range(arguments.repeats):
            for variant, (extra, allowed) in variants.items():
                with (
                    cluster(allowed)
                    if arguments.ray and allowed
                    else contextlib.nullcontext()
                ):
                    times[variant].append(seconds_of([*common, *extra], allowed))
    medians = {variant: statistics.median(values) for variant, values in times.items()}
    first, second = medians
    print("| variant | seconds, median | all |\n|---|---|---|")
    for variant, values in times.items():
        print(
            f"| {variant} | {medians[variant]:.2f} | {' '.join(f'{value:.2f}' for value in values)} |"
        )
    print(f"\n{second} / {first}: {medians[second] / medians[first]:.3f} of the time")


if __name__ == "__main__":
    main()
