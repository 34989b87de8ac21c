"""Work not done on a still picture with a blinking cursor, in one run with and without: python benchmarks/screencast.py [--size 640x360] [--frames 60]."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import cv2
import numpy as np

from vsrcli import UpscaleOptions, upscale
from vsrcli.media.reader import VideoReader
from vsrcli.options import EncoderOptions


def write_frames(folder: Path, width: int, height: int, frames: int) -> None:
    """A page of text whose cursor blinks once a second at 30 frames a second."""
    page = np.full((height, width, 3), 245, np.uint8)
    for line, y in enumerate(range(24, height - 8, 18)):
        cv2.putText(
            page,
            f"{line:3d}  def frame(number): return window[number % {line + 2}]",
            (8, y),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.4,
            (30, 30, 30),
            1,
            cv2.LINE_AA,
        )
    for number in range(frames):
        shown = page.copy()
        if number // 15 % 2:
            shown[height // 2 : height // 2 + 14, 40:48] = 20
        cv2.imwrite(str(folder / f"{number:05d}.png"), shown)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="640x360", help="input, WIDTHxHEIGHT")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--model", default="delta")
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    print(
        "| network | backend | input | frames | without reuse, s | with, s | ratio | pixels reused |\n|---|---|---|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as name:
        frames = Path(name) / "frames"
        frames.mkdir()
        write_frames(frames, width, height, arguments.frames)
        reports = {}
        for reuse in (True, False):
            options = UpscaleOptions(
                model=arguments.model,
                backend=arguments.backend,
                device="cpu",
                reuse=reuse,
                encoder=EncoderOptions(codec="ffv1", pix_fmt="yuv444p"),
            )
            reports[reuse] = upscale(frames, Path(name) / f"{reuse}.mkv", options)
        pairs = zip(
            *(VideoReader(Path(name) / f"{reuse}.mkv") for reuse in (True, False)),
            strict=True,
        )
        same = all(np.array_equal(one.luma, other.luma) for one, other in pairs)
    slow = reports[False].seconds
    fast = reports[True].seconds
    print(
        f"| {arguments.model} | {reports[True].backend} | {arguments.size} | {arguments.frames} | {slow:.1f} | {fast:.1f} | {slow / fast:.1f} | "
        f"{100 * reports[True].reused:.0f} % |\n\nthe same frames: {same}"
    )


if __name__ == "__main__":
    main()
