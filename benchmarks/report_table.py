"""The report's table on stand-ins for its data: python benchmarks/report_table.py [--frames N] [--checkpoints DIR].

The report's protocol: luma; Gaussian blur of sigma 3 at high resolution, then half size (`blur3`); windows of five frames; MSE, SSIM and PSNR over the
interior of 2H-4 x 2W-4, means over frames; SSIM with scikit-image's default 7x7 uniform window; data range 255 (gem) or 1 (field). Every picture goes
through the code path of `vsr upscale` as gray full-range luma, the gem in 8 bits, the field as v * 255 in 16 bits, so that each checkpoint gets the scale
that it was trained on. The data are not the report's (benchmarks/standins.py), and nothing was trained on them, while the report trained on the same video
that it tested on: its figures stand beside ours to show what it measured, not to be compared number for number.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from standins import FIELD_FRAMES, GEM_FRAMES, field, gem

from vsrcli.backends import Backend, open_backend
from vsrcli.bench.methods import doubling
from vsrcli.frame import ColorTags, Frame, PixelFormat
from vsrcli.metrics.frames import mse, psnr, ssim
from vsrcli.models import MODELS
from vsrcli.models.weights import file_name, folder
from vsrcli.picture.resize import double
from vsrcli.training.degradation import half_blurred

Window = tuple[Frame, ...]
Method = Callable[[Window], NDArray[np.integer]]

NETWORKS = {"Previous": "previous", "Delta": "delta", "5-parallel": "5-parallel"}
AUTHORS = "5-parallel-diamond.pth"
TAGS = ColorTags(range="full")


@dataclass(frozen=True)
class StandIn:
    """A generated data set, and what the report measured on its own one: row -> MSE, SSIM, PSNR as text."""

    title: str
    frames: int
    make: Callable[..., Iterator[NDArray[np.uint8]] | Iterator[NDArray[np.float32]]]
    data_range: float
    layout: PixelFormat
    theirs: str
    reported: dict[str, tuple[str, str, str]]


STANDINS = (
    StandIn(
        "gem (0..255)", GEM_FRAMES, gem, 255.0, PixelFormat("gray", 8, 0, 0, has_chroma=False), "Diamond",
        {"Delta": ("125.1786", "0.9155", "27.1675"), "5-parallel": ("127.5626", "0.9184", "27.0820")},
    ),
    StandIn(
        "field (0..1)", FIELD_FRAMES, field, 1.0, PixelFormat("gray16le", 16, 0, 0, has_chroma=False), "Climate",
        {
            "Previous": ("4.9283e-05", "0.9896", "43.0746"),
            "Delta": ("1.9801e-05", "0.9943", "46.0013"),
            "5-parallel": ("2.8866e-05", "0.9953", "45.6618"),
        },
    ),
)  # fmt: skip


def windows(data: StandIn, count: int) -> Iterator[tuple[Window, NDArray[np.float64]]]:
    """``count`` windows spread evenly over the clip: five low-resolution frames, and the middle one at high resolution on the scale of ``data_range``."""
    peak = data.layout.peak
    for number in range(count):
        centre = min(max(int((number + 0.5) * data.frames / count), 2), data.frames - 3)
        truths = [
            picture.astype(np.float64)
            for picture in data.make(only=range(centre - 2, centre + 3))
        ]
        codes = [
            np.rint(half_blurred(truth) * (peak / data.data_range))
            .clip(0, peak)
            .astype(data.layout.dtype)
            for truth in truths
        ]
        yield (
            tuple(
                Frame((low,), data.layout, Fraction(place))
                for place, low in enumerate(codes)
            ),
            truths[2],
        )


def bicubic(window: Window) -> NDArray[np.integer]:
    return double(window[2].luma)


def network(backend: Backend) -> Method:
    return doubling(backend, TAGS)


def methods(authors: Path | None) -> dict[str, Method | None]:
    """Row -> method, or None where no weights ship."""
    found: dict[str, Method | None] = {"raw (bicubic)": bicubic}
    for row, name in NETWORKS.items():
        ships = (
            "blur3" in MODELS[name].domains
            and (folder() / file_name(name, "blur3")).is_file()
        )
        found[row] = (
            network(
                open_backend("torch", name, "blur3", device="auto", precision="fp32")
            )
            if ships
            else None
        )
    if authors:
        found["5-parallel, the authors' weights"] = network(
            open_backend("torch", str(authors), None, device="auto", precision="fp32")
        )
    return found


def score(
    data: StandIn, found: dict[str, Method | None], count: int
) -> dict[str, NDArray[np.float64]]:
    """Row -> mean MSE, SSIM and PSNR; only rows that have a method."""
    figures: dict[str, list[tuple[float, float, float]]] = {
        row: [] for row, method in found.items() if method
    }
    inside = (slice(2, -2), slice(2, -2))
    for number, (window, truth) in enumerate(windows(data, count), 1):
        for row, method in found.items():
            if method:
                picture = method(window).astype(np.float64) * (
                    data.data_range / data.layout.peak
                )
                pair = truth[inside], picture[inside]
                figures[row].append(
                    (
                        mse(*pair),
                        ssim(*pair, data_range=data.data_range, window="uniform"),
                        psnr(*pair, data_range=data.data_range),
                    )
                )
        print(f"{data.title}: {number} of {count} frames", file=sys.stderr, flush=True)
    return {row: np.mean(values, axis=0) for row, values in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--frames",
        type=int,
        default=12,
        help="frames scored of each stand-in, spread evenly over it (default: %(default)s)",
    )
    place = f"folder with the authors' {AUTHORS}; default: $VSR_TEST_DATA/checkpoints where that is set"
    parser.add_argument("--checkpoints", type=Path, metavar="DIR", help=place)
    arguments = parser.parse_args()
    if arguments.frames < 1:
        parser.error(f"--frames {arguments.frames}: at least 1")
    authors = None
    if arguments.checkpoints or os.environ.get("VSR_TEST_DATA"):
        authors = (
            arguments.checkpoints or Path(os.environ["VSR_TEST_DATA"]) / "checkpoints"
        ) / AUTHORS
        if not authors.is_file():
            if arguments.checkpoints:
                parser.error(f"--checkpoints: there is no {authors}")
            print(
                f"no {authors}: the row of the authors' weights is left out",
                file=sys.stderr,
            )
            authors = None
    found = methods(authors)
    print(
        f"{arguments.frames} frames of each stand-in, spread evenly over {GEM_FRAMES} (gem) and {FIELD_FRAMES} (field). The last four columns are the"
    )
    print(
        "report's own data and its figures on them: other pictures, so not comparable number for number.\n"
    )
    print(
        "| stand-in | network | MSE | SSIM | PSNR dB | report's data | its MSE | its SSIM | its PSNR dB |\n|---|---|---|---|---|---|---|---|---|"
    )
    for data in STANDINS:
        scores = score(data, found, arguments.frames)
        for row in found:
            ours = "no blur3 weights ship | - | -"
            if row in scores:
                error, similarity, ratio = scores[row]
                ours = f"{error:{'.2f' if data.data_range > 1 else '.4e'}} | {similarity:.4f} | {ratio:.2f}"
            theirs = (
                " | ".join((data.theirs, *data.reported[row]))
                if row in data.reported
                else "- | - | - | -"
            )
            print(f"| {data.title} | {row} | {ours} | {theirs} |", flush=True)


if __name__ == "__main__":
    main()
