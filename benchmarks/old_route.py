"""``vsr upscale`` beside the route it replaces, on one clip in one run: python benchmarks/old_route.py [--size 160x90] [--frames 60].

The old route: every frame to a PNG file, a script that takes five of them at a time through the network in eager PyTorch (``nn.Conv3d``, luma only), a
PNG file of each result, and ffmpeg to join them. It needs Debian's ffmpeg, as it always did. Both are timed as commands, their start included.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from vsrcli.media.demo import write_demo

_FRAMES_PER_SECOND = 30


def old_route(clip: Path, folder: Path, target: Path, model: str) -> int:
    """Returns the bytes that lay on the disk for it."""
    (folder / "low").mkdir()
    (folder / "high").mkdir()
    ffmpeg("-i", str(clip), str(folder / "low" / "%05d.png"))
    subprocess.run(
        [sys.executable, str(Path(__file__).with_name("eager.py")), str(folder), model],
        check=True,
    )
    ffmpeg(
        "-framerate",
        str(_FRAMES_PER_SECOND),
        "-i",
        str(folder / "high" / "%05d.png"),
        "-crf",
        "16",
        "-pix_fmt",
        "yuv420p",
        str(target),
    )
    return sum(file.stat().st_size for file in folder.rglob("*.png"))


def ffmpeg(*command: str) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *command], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="160x90", help="input, WIDTHxHEIGHT, even")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--model", default="delta", choices=("delta", "5-parallel"))
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = folder / "in.mp4"
        write_demo(
            clip, seconds=arguments.frames / _FRAMES_PER_SECOND, size=(width, height)
        )
        vsr = [
            sys.executable,
            "-c",
            "from vsrcli.cli import main; main()",
            "upscale",
            "--model",
            arguments.model,
            "--device",
            "cpu",
            "--crf",
            "16",
            "--json",
        ]
        began = time.perf_counter()
        done = subprocess.run(
            [*vsr, str(clip), str(folder / "new.mp4")],
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        new = time.perf_counter() - began
        report = json.loads(done.stdout)
        began = time.perf_counter()
        disk = old_route(clip, folder, folder / "old.mp4", arguments.model)
        old = time.perf_counter() - began
    print(
        "| network | input | frames | old route, s | vsr upscale, s | ratio | run by | old route's files on disk |\n|---|---|---|---|---|---|---|---|"
    )
    print(
        f"| {arguments.model} | {arguments.size} | {report['frames_out']} | {old:.1f} | {new:.1f} | {old / new:.1f} | {report['backend']} | {disk / 1e6:.1f} MB |"
    )


if __name__ == "__main__":
    main()
