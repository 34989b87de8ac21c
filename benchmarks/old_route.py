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

import cv2
import numpy as np
import torch
from speed import plain

from vsrcli.media.demo import write_demo
from vsrcli.models.checkpoint import load
from vsrcli.models.layers import WindowNetwork
from vsrcli.models.weights import locate

_FRAMES_PER_SECOND = 30


def old_route(clip: Path, folder: Path, target: Path, model: str) -> int:
    """Returns the bytes that lay on the disk for it."""
    (folder / "low").mkdir()
    (folder / "high").mkdir()
    ffmpeg("-i", str(clip), str(folder / "low" / "%05d.png"))
    subprocess.run([sys.executable, __file__, "--script", str(folder), "--model", model], check=True)
    ffmpeg("-framerate", str(_FRAMES_PER_SECOND), "-i", str(folder / "high" / "%05d.png"), "-crf", "16", "-pix_fmt", "yuv420p", str(target))
    return sum(file.stat().st_size for file in folder.rglob("*.png"))


def ffmpeg(*command: str) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *command], check=True)


def script(folder: Path, model: str) -> None:
    """What a researcher's script does: pictures of ``low`` to pictures of ``high``."""
    network, _ = load(locate(model, "video"))
    if not isinstance(network, WindowNetwork):
        raise TypeError(model)
    files = sorted((folder / "low").iterdir())
    for number in range(len(files)):
        window = []
        for place in range(number - 2, number + 3):
            picture = cv2.imread(str(files[min(max(place, 0), len(files) - 1)]))
            window.append(cv2.cvtColor(picture, cv2.COLOR_BGR2YUV))  # type: ignore[arg-type]  # ffmpeg just wrote it
        luma = torch.from_numpy(np.stack([np.pad(each[..., 0], 1, mode="reflect") for each in window]).astype(np.float32))
        with torch.no_grad():
            doubled = plain(network, luma[None, None])[0, 0].numpy()
        height, width = doubled.shape
        chroma = cv2.resize(window[2], (width, height), interpolation=cv2.INTER_CUBIC)
        chroma[..., 0] = np.clip(np.rint(doubled), 0, 255)
        cv2.imwrite(str(folder / "high" / f"{number:05d}.png"), cv2.cvtColor(chroma, cv2.COLOR_YUV2BGR))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="160x90", help="input, WIDTHxHEIGHT, even")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--model", default="delta", choices=("delta", "5-parallel"))
    parser.add_argument("--script", type=Path, metavar="FOLDER", help="do the part of the old route between the two calls of ffmpeg")
    arguments = parser.parse_args()
    if arguments.script is not None:
        script(arguments.script, arguments.model)
        return
    width, height = map(int, arguments.size.split("x"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = folder / "in.mp4"
        write_demo(clip, seconds=arguments.frames / _FRAMES_PER_SECOND, size=(width, height))
        vsr = [sys.executable, "-c", "from vsrcli.cli import main; main()", "upscale", "--model", arguments.model, "--device", "cpu", "--crf", "16", "--json"]
        began = time.perf_counter()
        done = subprocess.run([*vsr, str(clip), str(folder / "new.mp4")], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        new = time.perf_counter() - began
        report = json.loads(done.stdout)
        began = time.perf_counter()
        disk = old_route(clip, folder, folder / "old.mp4", arguments.model)
        old = time.perf_counter() - began
    print("| network | input | frames | old route, s | vsr upscale, s | ratio | run by | old route's files on disk |\n|---|---|---|---|---|---|---|---|")
    print(f"| {arguments.model} | {arguments.size} | {report['frames_out']} | {old:.1f} | {new:.1f} | {old / new:.1f} | {report['backend']} | {disk / 1e6:.1f} MB |")


if __name__ == "__main__":
    main()
