"""A long run through the whole of `upscale`, memory and descriptors watched: python benchmarks/soak.py [--minutes 60 | --frames 108000] [--size 64x48] [--model delta].

The same clip is upscaled again and again in one process. From the second quarter of the runs to the last, the median of resident memory must stay within
5 % (single readings wander by a tenth, up and down), and no descriptor or thread be left.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

from vsrcli.media.demo import write_demo
from vsrcli.options import EncoderOptions, UpscaleOptions
from vsrcli.run.upscale import upscale

_TOLERATED = 1.05


def state() -> tuple[float, int, int]:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return (
        pages * 4096 / 1e6,
        len(list(Path("/proc/self/fd").iterdir())),
        threading.active_count(),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
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
    width, height = map(int, arguments.size.split("x"))
    options = UpscaleOptions(
        model=arguments.model,
        device="cpu",
        overwrite=True,
        encoder=EncoderOptions(preset="veryfast"),
    )
    frames = 0
    runs = 0
    began = time.monotonic()
    seen: list[tuple[float, int, int]] = []
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "in.mp4"
        target = Path(name) / "out.mp4"
        write_demo(source, seconds=arguments.clip_seconds, size=(width, height))
        while runs < 6 or (
            time.monotonic() - began < 60 * arguments.minutes
            if arguments.frames is None
            else frames < arguments.frames
        ):
            frames += upscale(source, target, options).frames_out
            runs += 1
            seen.append(state())
    quarter = len(seen) // 4
    warm = seen[quarter:]
    early, late = (
        statistics.median(memory for memory, _, _ in part)
        for part in (seen[quarter : 2 * quarter], seen[-quarter:])
    )
    growth = late / early
    print(
        "| minutes | runs | frames | memory, second quarter, MB | last quarter, MB | ratio | descriptors | threads |\n|---|---|---|---|---|---|---|---|"
    )
    print(
        f"| {(time.monotonic() - began) / 60:.1f} | {runs} | {frames} | {early:.0f} | {late:.0f} | {growth:.3f} | "
        f"{warm[0][1]} to {warm[-1][1]} | {warm[0][2]} to {warm[-1][2]} |"
    )
    sys.exit(growth > _TOLERATED or warm[-1][1:] != warm[0][1:])


if __name__ == "__main__":
    main()
