"""The worst and the median frame of a benchmark as pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrcli.bench.report import BenchReport, Shot
from vsrcli.bench.source import Picture
from vsrcli.metrics.frames import psnr

# Pages with whole large frames would grow to tens of megabytes.
_MAX_WIDTH = 640
_MAX_HEIGHT = 360

Luma = NDArray[Any]
Pictures = dict[str, Luma]
Bytes = NDArray[np.uint8]
Part = tuple[slice, slice]


@dataclass(frozen=True, slots=True)
class ComparedFrame:
    """One frame to be compared as pictures.

    Attributes:
        truth: the ground truth.
        make_pictures: makes the picture of each method, on the scale of 8-bit codes.
    """

    truth: Picture
    make_pictures: Callable[[], Pictures]


def take_shots(report: BenchReport, frames: Iterable[ComparedFrame]) -> list[Shot]:
    """The worst and the median frame, by the PSNR of the report's last row.

    Args:
        report: the benchmark.
        frames: every frame in order. Pictures are made of the chosen ones only.

    Returns:
        Worst frame first.
    """
    last_row = report.rows[-1]
    labels = _chosen_frames(last_row.per_frame["psnr"])
    shots: dict[int, Shot] = {}
    for number, frame in enumerate(frames):
        if number in labels:
            label = labels[number]
            title = _title(label, number, frame.truth)
            shots[number] = _shot(title, frame, report.crop)
        if len(shots) == len(labels):
            break
    return [shots[number] for number in labels if number in shots]


def _title(label: str, number: int, truth: Picture) -> str:
    if truth.time is None:
        return f"{label} ({number})"
    seconds = float(truth.time)
    return f"{label} ({number}, {seconds:.2f} s)"


def _chosen_frames(values: list[float]) -> dict[int, str]:
    """Frame -> what it is, for the frames to show."""
    if len(values) == 1:
        return {0: "the frame"}
    frames = range(len(values))
    worst_first = sorted(frames, key=values.__getitem__)
    worst = worst_first[0]
    median = worst_first[len(values) // 2]
    return {
        worst: "worst frame",
        median: "median frame",
    }


def _shot(title: str, frame: ComparedFrame, crop: int) -> Shot:
    """The part of a frame where bicubic interpolation, or a compared result, fails most."""
    truth = frame.truth.luma
    pictures = frame.make_pictures()
    judged = next(iter(pictures))
    if "bicubic" in pictures:
        judged = "bicubic"
    difference = truth - pictures[judged].astype(np.float64)
    part = _worst_part(np.abs(difference))
    truth_part = _as_bytes(truth[part])
    note = ""
    if truth_part.shape != truth.shape:
        height, width = truth_part.shape
        note = (
            f"the {width}×{height} pixels where {judged} fails most; "
            "dB of the whole frame"
        )
    parts: dict[str, Bytes] = {}
    figures: dict[str, float] = {}
    for name, picture in pictures.items():
        parts[name] = _as_bytes(picture[part])
        figures[name] = psnr(truth, picture, crop=crop)
    return Shot(
        title=title,
        truth=truth_part,
        pictures=parts,
        psnr=figures,
        note=note,
    )


def _worst_part(error: Luma) -> Part:
    """The part of limited size with the greatest sum of ``error`` (H, W)."""
    height = min(error.shape[0], _MAX_HEIGHT)
    width = min(error.shape[1], _MAX_WIDTH)
    # Sums of all pixels above and to the left of each corner give the sum of any rectangle.
    one_before = (1, 0)
    sums = np.pad(error, (one_before, one_before))
    sums = sums.cumsum(axis=0)
    sums = sums.cumsum(axis=1)
    row_sums = sums[height:] - sums[:-height]
    part_sums = row_sums[:, width:] - row_sums[:, :-width]
    index = int(part_sums.argmax())
    top, left = map(int, np.unravel_index(index, part_sums.shape))
    rows = slice(top, top + height)
    columns = slice(left, left + width)
    return rows, columns


def _as_bytes(luma: Luma) -> Bytes:
    codes = np.clip(np.rint(luma), 0, 255)
    return codes.astype(np.uint8)
