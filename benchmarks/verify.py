"""What verification costs beside the upscaling, on the CPU.

python benchmarks/verify.py [--size 1280x720] [--frames 4] [--model delta]
"""

from __future__ import annotations

import argparse
import tempfile
from fractions import Fraction
from pathlib import Path

from script_parts import parse_size, print_header, print_row, write_clip

from vsrcli import UpscaleOptions, upscale


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="1280x720", help="input, WIDTHxHEIGHT")
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--model", default="delta")
    arguments = parser.parse_args()
    options = UpscaleOptions(
        model=arguments.model,
        fps=Fraction(30),
        device="cpu",
        verify=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mp4"
        write_clip(clip, arguments.frames, parse_size(arguments.size))
        report = upscale(clip, Path(folder) / "out.mp4", options)
    upscaling = report.seconds - report.verify_seconds
    print_header(
        "network",
        "input",
        "frames",
        "upscaling, s",
        "verification, s",
        "overhead",
    )
    print_row(
        arguments.model,
        arguments.size,
        report.frames_out,
        f"{upscaling:.1f}",
        f"{report.verify_seconds:.2f}",
        f"{100 * report.verify_seconds / upscaling:.2f} %",
    )


if __name__ == "__main__":
    main()
