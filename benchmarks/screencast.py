"""Work saved on a still picture with a blinking cursor, in one run with reuse and without.

python benchmarks/screencast.py [--size 640x360] [--frames 60]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import cv2
import numpy as np
from script_parts import parse_size, print_header, print_row

from vsrcli import UpscaleOptions, upscale
from vsrcli.decode.probe import probe
from vsrcli.decode.reader import VideoReader
from vsrcli.options import EncoderOptions

PAPER = 245
INK = (30, 30, 30)
CURSOR = 20


def write_frames(
    folder: Path,
    width: int,
    height: int,
    frames: int,
) -> None:
    """A page of text whose cursor blinks once a second at 30 frames a second."""
    page = np.full((height, width, 3), PAPER, np.uint8)
    for line, y in enumerate(range(24, height - 8, 18)):
        text = f"{line:3d}  def frame(number): return window[number % {line + 2}]"
        font = cv2.FONT_HERSHEY_SIMPLEX
        cv2.putText(page, text, (8, y), font, 0.4, INK, 1, cv2.LINE_AA)
    middle = height // 2
    for number in range(frames):
        picture = page.copy()
        if number // 15 % 2:
            picture[middle : middle + 14, 40:48] = CURSOR
        cv2.imwrite(str(folder / f"{number:05d}.png"), picture)


def same_lumas(one: Path, other: Path) -> bool:
    with VideoReader(probe(one)) as first, VideoReader(probe(other)) as second:
        pairs = zip(first, second, strict=True)
        return all(np.array_equal(a.luma, b.luma) for a, b in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="640x360", help="input, WIDTHxHEIGHT")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--model", default="delta")
    arguments = parser.parse_args()
    width, height = parse_size(arguments.size)
    print_header(
        "network",
        "backend",
        "input",
        "frames",
        "without reuse, s",
        "with, s",
        "ratio",
        "pixels reused",
    )
    with tempfile.TemporaryDirectory() as name:
        frames = Path(name) / "frames"
        frames.mkdir()
        write_frames(frames, width, height, arguments.frames)
        targets = {reuse: Path(name) / f"{reuse}.mkv" for reuse in (True, False)}
        reports = {}
        for reuse, target in targets.items():
            options = UpscaleOptions(
                model=arguments.model,
                backend=arguments.backend,
                device="cpu",
                reuse=reuse,
                encoder=EncoderOptions(codec="ffv1", pix_fmt="yuv444p"),
            )
            reports[reuse] = upscale(frames, target, options)
        same = same_lumas(targets[True], targets[False])
    slow = reports[False].seconds
    fast = reports[True].seconds
    print_row(
        arguments.model,
        reports[True].backend,
        arguments.size,
        arguments.frames,
        f"{slow:.1f}",
        f"{fast:.1f}",
        f"{slow / fast:.1f}",
        f"{100 * reports[True].reused:.0f} %",
    )
    print(f"\nthe same frames: {same}")


if __name__ == "__main__":
    main()
