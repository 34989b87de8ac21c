"""Speed of the metrics beside scikit-image's.

python benchmarks/metrics.py [--size 1920x1080] [--repeats 15]

Both score the same pair of 8-bit pictures in turn, in one process; the table shows the median of
each. scikit-image runs in one thread, ours in as many as there are cores.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from script_parts import parse_size, print_header, print_row
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from vsrcli.metrics.frames import psnr, ssim


@dataclass(frozen=True)
class Pair:
    """One metric, scikit-image's and ours."""

    name: str
    theirs: Callable[[], float]
    ours: Callable[[], float]


def seconds(function: Callable[[], object], repeats: int) -> float:
    function()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def metric_pairs(truth: np.ndarray, other: np.ndarray) -> list[Pair]:
    gaussian = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return [
        Pair(
            "SSIM, 7x7 uniform (scikit-image's default)",
            lambda: structural_similarity(truth, other),
            lambda: ssim(truth, other, window="uniform"),
        ),
        Pair(
            "SSIM, 11x11 Gaussian",
            lambda: structural_similarity(truth, other, **gaussian),
            lambda: ssim(truth, other),
        ),
        Pair(
            "PSNR",
            lambda: peak_signal_noise_ratio(truth, other),
            lambda: psnr(truth, other),
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    width, height = parse_size(arguments.size)
    rng = np.random.default_rng(0)
    smooth = cv2.GaussianBlur(rng.normal(0, 1, (height, width)), (0, 0), 3)
    truth = np.clip(128 + 400 * smooth, 0, 255).astype(np.uint8)
    other = np.clip(truth + rng.normal(0, 4, truth.shape), 0, 255).astype(np.uint8)
    print(f"{arguments.size}, 8 bits\n")
    print_header(
        "metric",
        "scikit-image, ms",
        "vsr, ms",
        "ratio",
        "relative difference",
    )
    for pair in metric_pairs(truth, other):
        difference = abs(pair.ours() / pair.theirs() - 1)
        slow = seconds(pair.theirs, max(3, arguments.repeats // 3))
        fast = seconds(pair.ours, arguments.repeats)
        print_row(
            pair.name,
            f"{1e3 * slow:.1f}",
            f"{1e3 * fast:.1f}",
            f"{slow / fast:.1f}",
            f"{difference:.1e}",
        )


if __name__ == "__main__":
    main()
