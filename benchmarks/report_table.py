"""The report's table on stand-ins for its data: python benchmarks/report_table.py [--frames N] [--checkpoints DIR].

The report's protocol: luma, Gaussian blur of sigma 3 and half size (`blur3`), windows of five frames, scored over the interior of 2H-4 x 2W-4, PSNR and SSIM
with scikit-image's default window, data range 255 (gem) or 1 (field). The data are not the report's (benchmarks/standins.py): its figures stand beside ours to show what it
measured, not to be compared number for number. Nothing here was trained on the stand-ins, while the report trained on the same video that it tested on.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from standins import FIELD_FRAMES, GEM_FRAMES, field, gem

from vsrcli.backends import open_backend
from vsrcli.errors import ModelError
from vsrcli.frame import ColorTags, Frame, PixelFormat
from vsrcli.picture.resize import double
from vsrcli.quality.metrics import mse, psnr, ssim
from vsrcli.run.upscale import upscale_frame
from vsrcli.training.degradation import half_blurred

GRAY16 = PixelFormat("gray16le", 16, 0, 0, has_chroma=False)
GRAY8 = PixelFormat("gray", 8, 0, 0, has_chroma=False)
NETWORKS = {"Previous": "previous", "Delta": "delta", "5-parallel": "5-parallel"}
# What the report measured on its own data: MSE, SSIM, PSNR. Its "raw" row is an artefact (height and width swapped) and left out.
REPORTED = {
    ("gem", "Delta"): (125.1786, 0.9155, 27.1675),
    ("gem", "5-parallel"): (127.5626, 0.9184, 27.0820),
    ("field", "Previous"): (4.9283e-05, 0.9896, 43.0746),
    ("field", "Delta"): (1.9801e-05, 0.9943, 46.0013),
    ("field", "5-parallel"): (2.8866e-05, 0.9953, 45.6618),
}
Method = Callable[[tuple[Frame, ...]], NDArray[np.generic]]


def methods(checkpoints: Path | None) -> dict[str, Method | str]:
    """Row -> method, or why there is none."""
    found: dict[str, Method | str] = {"raw (bicubic)": lambda window: double(window[2].luma)}
    wanted = [(row, name, "blur3") for row, name in NETWORKS.items()]
    if checkpoints is not None and (checkpoints / "5-parallel-diamond.pth").is_file():
        wanted.append(("5-parallel, the authors' weights", str(checkpoints / "5-parallel-diamond.pth"), None))  # type: ignore[arg-type]
    for row, name, domain in wanted:
        try:
            backend = open_backend("torch", name, domain, device="auto", precision="fp32")
        except ModelError as error:
            found[row] = str(error)
            continue
        found[row] = lambda window, backend=backend: upscale_frame(window, backend.run, backend, ColorTags()).luma  # type: ignore[misc]
    return found


def windows(name: str, count: int) -> list[tuple[tuple[Frame, ...], NDArray[np.float64]]]:
    """``count`` windows spread over a data set, each with its true frame on the scale of 8-bit codes."""
    total = GEM_FRAMES if name == "gem" else FIELD_FRAMES
    result = []
    for number in range(count):
        centre = int((number + 0.5) * total / count)
        only = np.arange(centre - 2, centre + 3)
        frames = [picture.astype(np.float64) for picture in (gem(only=only) if name == "gem" else field(only=only))]
        if name == "field":
            frames = [picture * 255.0 for picture in frames]
        bits, layout = (8, GRAY8) if name == "gem" else (16, GRAY16)
        lows = [np.clip(np.rint(half_blurred(picture) * (1 << (bits - 8))), 0, (1 << bits) - 1).astype(layout.dtype) for picture in frames]
        result.append((tuple(Frame((low,), layout, Fraction(place)) for place, low in enumerate(lows)), frames[2]))
        print(f"\r{name}: {number + 1} of {count} windows rendered", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=12, help="frames scored of each data set, spread over it")
    data = os.environ.get("VSR_TEST_DATA")
    parser.add_argument("--checkpoints", type=Path, default=Path(data) / "checkpoints" if data else None, help="folder with the authors' .pth files")
    arguments = parser.parse_args()
    rows = methods(arguments.checkpoints)
    print(f"{arguments.frames} frames of each data set, spread over it.\n")
    print("| stand-in | network | MSE | SSIM | PSNR dB | the report, on its own data: MSE, SSIM, PSNR |\n|---|---|---|---|---|---|")
    for name, title in (("gem", "gem (0..255)"), ("field", "field (0..1)")):
        peak = 255.0 if name == "gem" else 1.0
        cases = windows(name, arguments.frames)
        for row, method in rows.items():
            reported = REPORTED.get((name, row))
            beside = "-" if reported is None else f"{reported[0]:.6g}, {reported[1]:.4f}, {reported[2]:.2f} dB"
            if isinstance(method, str):
                print(f"| {title} | {row} | - | - | {method} | {beside} |", flush=True)
                continue
            figures = []
            for window, truth in cases:
                picture = method(window).astype(np.float64) / (1 if name == "gem" else 256)
                inside = (truth[2:-2, 2:-2] * (peak / 255), picture[2:-2, 2:-2] * (peak / 255))
                figures.append((mse(*inside), ssim(*inside, data_range=peak, window="uniform"), psnr(*inside, data_range=peak)))
            error, similarity, ratio = np.mean(figures, axis=0)
            print(f"| {title} | {row} | {error:.6g} | {similarity:.4f} | {ratio:.2f} | {beside} |", flush=True)


if __name__ == "__main__":
    main()
