"""The cost of everything around the network, and peak memory by length and by picture size.

python benchmarks/pipeline.py [--model delta] [--backend auto] [--size 320x180] [--frames 60]
    [--lengths 10 60] [--sizes 320x180 640x360]

The first table has the wall time of everything over that of the network alone.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from script_parts import (
    FRAMES_PER_SECOND,
    parse_size,
    print_header,
    print_row,
)

from vsrcli.jobs.demo import write_demo

STAGES = ("decode", "motion", "pictures", "encode")
# Each run is a process of its own, so that its peak of memory is its own.
_RUN = """
import json, re, sys
from pathlib import Path
from vsrcli import UpscaleOptions, upscale
from vsrcli.options import EncoderOptions
source, target, model, backend, preset = sys.argv[1:]
options = UpscaleOptions(
    model=model,
    backend=backend,
    device="cpu",
    overwrite=True,
    encoder=EncoderOptions(preset=preset),
)
report = upscale(source, target, options)
# not getrusage: its peak begins with that of the process that started this one
status = Path("/proc/self/status").read_text()
peak = 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", status)[1])
print(json.dumps({
    "seconds": report.seconds,
    "network": report.network_seconds,
    "stages": report.stages,
    "frames": report.frames_upscaled,
    "peak": peak,
    "backend": report.backend,
}))
"""


@dataclass(frozen=True)
class Settings:
    """How each run upscales."""

    model: str
    backend: str
    preset: str


def measure(
    folder: Path,
    size: str,
    frames: int,
    settings: Settings,
) -> dict[str, Any]:
    """Upscale a clip in a process; what it reports."""
    clip = folder / f"{size}-{frames}.mp4"
    if not clip.exists():
        seconds = frames / FRAMES_PER_SECOND
        write_demo(clip, seconds=seconds, size=parse_size(size))
    target = folder / "out.mp4"
    words = [settings.model, settings.backend, settings.preset]
    command = [sys.executable, "-c", _RUN, str(clip), str(target), *words]
    done = subprocess.run(
        command,
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def print_times(
    folder: Path,
    size: str,
    frames: int,
    settings: Settings,
) -> None:
    run = measure(folder, size, frames, settings)
    print_header(
        "network",
        "run by",
        "input",
        "frames",
        "everything, s",
        "network, s",
        "ratio",
        *[f"{stage}, s" for stage in STAGES],
    )
    # The threads of motion compensation are added up; most networks have none.
    stages = [run["stages"].get(stage, 0) for stage in STAGES]
    print_row(
        settings.model,
        run["backend"],
        size,
        run["frames"],
        f"{run['seconds']:.1f}",
        f"{run['network']:.1f}",
        f"{run['seconds'] / run['network']:.3f}",
        *[f"{seconds:.1f}" for seconds in stages],
    )


def print_memory(
    folder: Path, cases: list[tuple[str, int]], settings: Settings
) -> None:
    print_header("network", "run by", "input", "frames", "peak memory, MB")
    for size, frames in cases:
        run = measure(folder, size, frames, settings)
        peak = f"{run['peak'] / 1e6:.0f}"
        print_row(settings.model, run["backend"], size, run["frames"], peak)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="delta")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--preset", default="medium")
    parser.add_argument("--size", default="320x180", help="input, WIDTHxHEIGHT, even")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument(
        "--lengths",
        type=int,
        nargs="*",
        default=[10, 60],
        help="seconds of clips of 64x48",
    )
    parser.add_argument("--sizes", nargs="*", default=["320x180", "640x360"])
    arguments = parser.parse_args()
    settings = Settings(arguments.model, arguments.backend, arguments.preset)
    lengths = [("64x48", FRAMES_PER_SECOND * each) for each in arguments.lengths]
    sizes = [(size, 6) for size in arguments.sizes]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print_times(folder, arguments.size, arguments.frames, settings)
        print()
        print_memory(folder, lengths + sizes, settings)


if __name__ == "__main__":
    main()
