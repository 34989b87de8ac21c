"""``vsr upscale`` beside the route it replaces, on one clip in one run.

python benchmarks/old_route.py [--size 160x90] [--frames 60]

The old route writes every frame to a PNG file, runs a script that takes five of them at a time
through the network in eager PyTorch (``nn.Conv3d``, luma only), writes each result to a PNG file,
and joins them with ffmpeg. It needs Debian's ffmpeg, as it always did. Both are timed as commands,
their start included.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from script_parts import (
    FRAMES_PER_SECOND,
    VSR,
    parse_size,
    print_header,
    print_row,
)

from vsrcli.jobs.demo import write_demo

CRF = "16"


def old_route(
    clip: Path,
    folder: Path,
    target: Path,
    model: str,
) -> int:
    """Upscale as before; returns the bytes of the files it wrote on its way."""
    low = folder / "low"
    high = folder / "high"
    low.mkdir()
    high.mkdir()
    ffmpeg("-i", str(clip), str(low / "%05d.png"))
    script = Path(__file__).with_name("eager.py")
    subprocess.run([sys.executable, str(script), str(folder), model], check=True)
    rate = ["-framerate", str(FRAMES_PER_SECOND)]
    encoding = ["-crf", CRF, "-pix_fmt", "yuv420p"]
    ffmpeg(*rate, "-i", str(high / "%05d.png"), *encoding, str(target))
    return sum(file.stat().st_size for file in folder.rglob("*.png"))


def ffmpeg(*command: str) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *command], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="160x90", help="input, WIDTHxHEIGHT, even")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--model", default="delta", choices=("delta", "5-parallel"))
    arguments = parser.parse_args()
    model = arguments.model
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = folder / "in.mp4"
        seconds = arguments.frames / FRAMES_PER_SECOND
        write_demo(clip, seconds=seconds, size=parse_size(arguments.size))
        options = ["--model", model, "--device", "cpu", "--crf", CRF, "--json"]
        places = [str(clip), str(folder / "new.mp4")]
        began = time.perf_counter()
        done = subprocess.run(
            [*VSR, "upscale", *options, *places],
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        new = time.perf_counter() - began
        report = json.loads(done.stdout)
        began = time.perf_counter()
        disk = old_route(clip, folder, folder / "old.mp4", model)
        old = time.perf_counter() - began
    print_header(
        "network",
        "input",
        "frames",
        "old route, s",
        "vsr upscale, s",
        "ratio",
        "run by",
        "old route's files on disk",
    )
    print_row(
        model,
        arguments.size,
        report["frames_out"],
        f"{old:.1f}",
        f"{new:.1f}",
        f"{old / new:.1f}",
        report["backend"],
        f"{disk / 1e6:.1f} MB",
    )


if __name__ == "__main__":
    main()
