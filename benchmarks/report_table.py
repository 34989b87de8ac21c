"""The report's table on stand-ins for its data.

python benchmarks/report_table.py [--frames N] [--checkpoints DIR]

The report's protocol: luma; Gaussian blur of sigma 3 at high resolution, then half size (`blur3`);
windows of five frames; MSE, SSIM and PSNR over the interior of 2H-4 x 2W-4, means over frames; SSIM
with scikit-image's default 7x7 uniform window; data range 255 (gem) or 1 (field). Every picture
goes through the code path of `vsr upscale` as gray full-range luma, the gem in 8 bits, the field as
v * 255 in 16 bits, so that each checkpoint gets the scale that it was trained on.

The data are not the report's (benchmarks/standins.py), and nothing was trained on them, while the
report trained on the same video that it tested on: its figures are printed beside ours to show what
it measured, not to be compared number for number.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from script_parts import print_header, print_row
from standins import FIELD_FRAMES, GEM_FRAMES, field, gem

from vsrcli.backends import open_backend
from vsrcli.bench.methods import doubling
from vsrcli.clips.degradation import half_blurred
from vsrcli.frame import ColorTags, Frame, PixelFormat
from vsrcli.metrics.frames import mse, psnr, ssim
from vsrcli.models import MODELS
from vsrcli.models.weights import weights_file_name, weights_folder
from vsrcli.picture.resize import double

Window = tuple[Frame, ...]
Method = Callable[[Window], NDArray[np.integer]]

NETWORKS = {"Previous": "previous", "Delta": "delta", "5-parallel": "5-parallel"}
AUTHORS = "5-parallel-diamond.pth"
TAGS = ColorTags(range="full")


@dataclass(frozen=True)
class StandIn:
    """A generated data set.

    Attributes:
        title: name and range.
        frames: in all.
        make: yields the frames numbered in ``only``.
        data_range: of its values.
        layout: as which it is upscaled.
        theirs: the report's own data set.
        reported: row -> MSE, SSIM, PSNR that the report measured on it, as text.
    """

    title: str
    frames: int
    make: Callable[..., Iterator[NDArray[np.uint8]] | Iterator[NDArray[np.float32]]]
    data_range: float
    layout: PixelFormat
    theirs: str
    reported: dict[str, tuple[str, str, str]]


STANDINS = (
    StandIn(
        title="gem (0..255)",
        frames=GEM_FRAMES,
        make=gem,
        data_range=255.0,
        layout=PixelFormat("gray", 8, 0, 0, has_chroma=False),
        theirs="Diamond",
        reported={
            "Delta": ("125.1786", "0.9155", "27.1675"),
            "5-parallel": ("127.5626", "0.9184", "27.0820"),
        },
    ),
    StandIn(
        title="field (0..1)",
        frames=FIELD_FRAMES,
        make=field,
        data_range=1.0,
        layout=PixelFormat("gray16le", 16, 0, 0, has_chroma=False),
        theirs="Climate",
        reported={
            "Previous": ("4.9283e-05", "0.9896", "43.0746"),
            "Delta": ("1.9801e-05", "0.9943", "46.0013"),
            "5-parallel": ("2.8866e-05", "0.9953", "45.6618"),
        },
    ),
)


def windows(data: StandIn, count: int) -> Iterator[tuple[Window, NDArray[np.float64]]]:
    """``count`` windows spread evenly over the clip.

    Yields:
        Five frames at low resolution, and the middle one at high resolution on the scale of
        ``data_range``.
    """
    peak = data.layout.peak
    for number in range(count):
        place = int((number + 0.5) * data.frames / count)
        centre = min(max(place, 2), data.frames - 3)
        frames = []
        truths = []
        pictures: Iterator[NDArray[Any]] = data.make(only=range(centre - 2, centre + 3))
        for time, picture in enumerate(pictures):
            truth = picture.astype(np.float64)
            codes = np.rint(half_blurred(truth) * (peak / data.data_range))
            low = codes.clip(0, peak).astype(data.layout.dtype)
            truths.append(truth)
            frames.append(Frame((low,), data.layout, Fraction(time)))
        yield tuple(frames), truths[2]


def bicubic(window: Window) -> NDArray[np.integer]:
    return double(window[2].luma)


def network(model: str, domain: str | None) -> Method:
    backend = open_backend("torch", model, domain, device="auto", precision="fp32")
    return doubling(backend, TAGS)


def methods(authors: Path | None) -> dict[str, Method | None]:
    """Row -> method, or None where no weights ship."""
    found: dict[str, Method | None] = {"raw (bicubic)": bicubic}
    for row, name in NETWORKS.items():
        has_domain = "blur3" in MODELS[name].domains
        file = weights_folder() / weights_file_name(name, "blur3")
        ships = has_domain and file.is_file()
        found[row] = network(name, "blur3") if ships else None
    if authors:
        found["5-parallel, the authors' weights"] = network(str(authors), None)
    return found


def score(
    data: StandIn,
    found: dict[str, Method | None],
    count: int,
) -> dict[str, NDArray[np.float64]]:
    """Row -> mean MSE, SSIM and PSNR; only rows that have a method."""
    running = {row: method for row, method in found.items() if method}
    figures: dict[str, list[tuple[float, float, float]]] = {row: [] for row in running}
    scale = data.data_range / data.layout.peak
    for number, (window, truth) in enumerate(windows(data, count), start=1):
        reference = truth[2:-2, 2:-2]
        for row, method in running.items():
            picture = method(window).astype(np.float64) * scale
            figures[row].append(_figures(reference, picture[2:-2, 2:-2], data))
        print(f"{data.title}: {number} of {count} frames", file=sys.stderr, flush=True)
    return {row: np.mean(values, axis=0) for row, values in figures.items()}


def _figures(
    reference: NDArray[np.float64],
    picture: NDArray[np.float64],
    data: StandIn,
) -> tuple[float, float, float]:
    return (
        mse(reference, picture),
        ssim(reference, picture, data_range=data.data_range, window="uniform"),
        psnr(reference, picture, data_range=data.data_range),
    )


def authors_in_test_data() -> Path | None:
    """The authors' checkpoint, or None, with a note if only the file is missing."""
    test_data = os.environ.get("VSR_TEST_DATA")
    if not test_data:
        return None
    authors = Path(test_data) / "checkpoints" / AUTHORS
    if authors.is_file():
        return authors
    print(
        f"no {authors}: the row of the authors' weights is left out",
        file=sys.stderr,
    )
    return None


def our_cells(data: StandIn, scores: NDArray[np.float64] | None) -> tuple[str, ...]:
    if scores is None:
        return "no blur3 weights ship", "-", "-"
    error, similarity, ratio = scores
    form = ".2f" if data.data_range > 1 else ".4e"
    return f"{error:{form}}", f"{similarity:.4f}", f"{ratio:.2f}"


def their_cells(data: StandIn, row: str) -> tuple[str, ...]:
    if row not in data.reported:
        return "-", "-", "-", "-"
    return data.theirs, *data.reported[row]


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
    parser.add_argument(
        "--checkpoints",
        type=Path,
        metavar="DIR",
        help=(
            f"folder with the authors' {AUTHORS}; "
            "default: $VSR_TEST_DATA/checkpoints where that is set"
        ),
    )
    arguments = parser.parse_args()
    if arguments.frames < 1:
        parser.error(f"--frames {arguments.frames}: at least 1")
    if arguments.checkpoints:
        authors = arguments.checkpoints / AUTHORS
        if not authors.is_file():
            parser.error(f"--checkpoints: there is no {authors}")
    else:
        authors = authors_in_test_data()
    found = methods(authors)
    print(
        f"{arguments.frames} frames of each stand-in, spread evenly over "
        f"{GEM_FRAMES} (gem) and {FIELD_FRAMES} (field). The last four columns are the\n"
        "report's own data and its figures on them: other pictures, so not comparable "
        "number for number.\n"
    )
    print_header(
        "stand-in",
        "network",
        "MSE",
        "SSIM",
        "PSNR dB",
        "report's data",
        "its MSE",
        "its SSIM",
        "its PSNR dB",
    )
    for data in STANDINS:
        scores = score(data, found, arguments.frames)
        for row in found:
            ours = our_cells(data, scores.get(row))
            print_row(data.title, row, *ours, *their_cells(data, row))


if __name__ == "__main__":
    main()
