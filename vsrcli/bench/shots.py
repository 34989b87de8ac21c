"""The worst and the median frame of a benchmark as pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrcli.bench.colour import Colour
from vsrcli.bench.report import BenchReport
from vsrcli.bench.source import Picture
from vsrcli.metrics.frames import psnr
from vsrcli.page.shots import Shot, View
from vsrcli.picture.region import Region, most_of

# Pages with whole large frames would grow to tens of megabytes.
_MAX_WIDTH = 640
_MAX_HEIGHT = 360
_GROUND_TRUTH = "ground truth"
_BICUBIC = "bicubic"
_BLACK = 16
_SPAN = 219

Luma = NDArray[Any]
Pictures = dict[str, Luma]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class ComparedFrame:
    """One frame to be compared as pictures.

    Attributes:
        truth: the ground truth.
        make_pictures: makes the picture of each method, on the scale of 8-bit codes.
        colours: make the colours of those that have their own; the others take the truth's.
    """

    truth: Picture
    make_pictures: Callable[[], Pictures]
    colours: Mapping[str, Callable[[], Colour]] = field(default_factory=dict)


def take_shots(
    report: BenchReport,
    frames: Iterable[ComparedFrame],
    pixel_aspect: Fraction = Fraction(1),
) -> list[Shot]:
    """The worst and the median frame, by the PSNR of the report's last row.

    Args:
        report: the benchmark.
        frames: every frame in order. Pictures are made of the chosen ones only.
        pixel_aspect: width / height of a pixel.

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
            shots[number] = _shot(title, frame, report, pixel_aspect)
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


def _shot(
    title: str,
    frame: ComparedFrame,
    report: BenchReport,
    pixel_aspect: Fraction,
) -> Shot:
    """The part of a frame where bicubic interpolation, or a compared result, fails most."""
    truth = frame.truth.luma
    pictures = frame.make_pictures()
    judged = next(iter(pictures))
    if _BICUBIC in pictures:
        judged = _BICUBIC
    difference = truth - pictures[judged].astype(np.float64)
    part = most_of(np.abs(difference), _MAX_HEIGHT, _MAX_WIDTH)
    note = ""
    if (part.height, part.width) != truth.shape:
        note = (
            f"the {part.width}×{part.height} pixels where {judged} fails most; "
            "dB of the whole frame"
        )
    colour = None if frame.truth.colour is None else frame.truth.colour()
    psnrs: dict[str, float] = {}
    views: list[View] = []
    for name, picture in pictures.items():
        psnrs[name] = psnr(truth, picture, crop=report.crop)
        if name in frame.colours:
            pixels = frame.colours[name]().shown(part)
        else:
            pixels = _gray(picture, part)
            if colour is not None:
                pixels = colour.with_luma(picture, part)
        views.append(View(name, pixels, _decibels(psnrs[name])))
    own = _gray(truth, part) if colour is None else colour.shown(part)
    views.append(View(_GROUND_TRUTH, own))
    left, right = _chosen_views(psnrs, report)
    return Shot(
        title,
        views,
        left,
        right,
        note,
        pixel_aspect,
    )


def _chosen_views(psnrs: dict[str, float], report: BenchReport) -> tuple[int, int]:
    """Which pictures are on the left and on the right at first, by number."""
    names = list(psnrs)
    truth = len(names)
    left = names.index(_BICUBIC) if _BICUBIC in psnrs else 0
    networks = []
    for row in report.rows:
        is_network = not row.is_baseline
        if is_network and row.name in psnrs:
            networks.append(row.name)
    if not networks:
        return left, truth
    right = names.index(max(networks, key=psnrs.__getitem__))
    if right == left:  # a result that is compared on its own
        right = truth
    return left, right


def _decibels(figure: float) -> str:
    return f"{figure:.2f} dB" if math.isfinite(figure) else "∞ dB"


def _gray(luma: Luma, part: Region) -> Bytes:
    """A part of a limited-range luma picture, in full range."""
    values = (luma[part.slices].astype(np.float32) - _BLACK) * (255 / _SPAN)
    codes: Bytes = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return codes
