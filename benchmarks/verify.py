"""What the certificate costs beside the upscaling it is about, on the CPU: python benchmarks/verify.py [--size 1280x720] [--frames 4] [--model delta]."""

from __future__ import annotations

import argparse
import tempfile
from fractions import Fraction
from pathlib import Path

from vsrcli import UpscaleOptions, upscale
from vsrcli.media.demo import write_demo


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="1280x720", help="input, WIDTHxHEIGHT")
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--model", default="delta")
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mp4"
        write_demo(clip, seconds=arguments.frames / 30, size=(width, height))
        report = upscale(
            clip,
            Path(folder) / "out.mp4",
            UpscaleOptions(
                model=arguments.model, fps=Fraction(30), device="cpu", verify=True
            ),
        )
    upscaling = report.seconds - report.verify_seconds
    print(
        "| network | input | frames | upscaling, s | certificate, s | overhead |\n|---|---|---|---|---|---|"
    )
    print(
        f"| {arguments.model} | {arguments.size} | {report.frames_out} | {upscaling:.1f} | {report.verify_seconds:.2f} | "
        f"{100 * report.verify_seconds / upscaling:.2f} % |"
    )


if __name__ == "__main__":
    main()
