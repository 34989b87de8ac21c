"""Ground truth with its low-resolution input, as a stream of cases to score."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np

from vsrcli.bench.excerpts import Excerpt, length
from vsrcli.bench.pairs import GRAY, crf_of, degraded_pairs, given_pairs, low_bits
from vsrcli.bench.source import Picture, Source
from vsrcli.clips.data import load
from vsrcli.clips.degradation import (
    DEGRADATIONS,
    at_crf,
)
from vsrcli.clips.pack_reader import is_pack
from vsrcli.clips.sequences import Sequences, validation_pairs
from vsrcli.frame import Frame
from vsrcli.picture.windows import windows

_RADIUS = 2
# Frames to read before an excerpt: those of its first window, and what cut detection remembers.
_MARGIN = _RADIUS + 3
# With x264, a second more: it begins an excerpt with a frame that is better than most.
_CRF_MARGIN = 24
_PACK_RATE = 25.0
_DESCRIPTIONS = {
    "clean": "antialiased bicubic half size (MATLAB imresize, a = -0.5)",
    "blur3": "Gaussian blur of sigma 3, then 2x2 mean",
    "video": "blur, half size, noise, x264 (clips/degradation.py)",
    "compressed": "blur, half size, noise, x264 at crf 26 to 40 (clips/degradation.py)",
}


@dataclass(frozen=True, slots=True)
class Case:
    """What is scored: the window that goes into a method, and the ground-truth picture."""

    window: tuple[Frame, ...]
    truth: Picture


class GroundTruth(Protocol):
    """What a benchmark scores methods on."""

    @property
    def width(self) -> int:
        """Of the pictures scored, pixels."""

    @property
    def height(self) -> int:
        """Of the pictures scored, pixels."""

    @property
    def rate(self) -> float:
        """Pictures per second."""

    @property
    def pixel_aspect(self) -> Fraction:
        """Width / height of a pixel."""

    @property
    def count(self) -> int | None:
        """Number of cases, or None if only reading them would tell."""

    @property
    def places(self) -> int:
        """In how many places of the source they are."""

    @property
    def description(self) -> str:
        """How the low-resolution input is made, in words for people."""

    def cases(self) -> Iterator[Case]:
        """Every case in order."""


class StreamTruth:
    """A video or a folder, with a degradation or a given low-resolution input.

    Implements :class:`GroundTruth`.

    Args:
        source: the ground truth; an odd last row or column is left out.
        degradation: ``clean``, ``blur3`` or ``crf:N``; unused with ``low``.
        low: the low-resolution input, if it is given.
        excerpts: what is scored.
    """

    def __init__(
        self,
        source: Source,
        degradation: str,
        low: Source | None,
        excerpts: list[Excerpt],
    ) -> None:
        self._source = source
        self._degradation = degradation
        self._low = low
        self._excerpts = excerpts
        self.width = source.width // 2 * 2
        self.height = source.height // 2 * 2
        self.rate = source.rate
        self.pixel_aspect = source.pixel_aspect
        self.count = length(excerpts, source.count)
        self.places = len(excerpts)

    @property
    def description(self) -> str:
        """See :class:`GroundTruth`."""
        if self._low is not None:
            return f"low resolution given: {self._low.path.name}"
        bits = low_bits(self._source, self._degradation)
        return _describe(self._degradation, bits)

    def cases(self) -> Iterator[Case]:
        """See :class:`GroundTruth`."""
        return truth_cases(
            self._source,
            self._degradation,
            self._low,
            self._excerpts,
        )


class PackTruth:
    """The central parts of a training pack's sequences, as ``vsr train`` validates.

    Implements :class:`GroundTruth`.

    Args:
        sequences: those of the pack.
        degradation: ``clean``, ``blur3``, ``video``, ``compressed`` or ``crf:N``.
        count: maximum number of sequences to score.
        size: maximum side of the central part, pixels.
        limit: maximum number of the cases to score.
    """

    places = 1

    def __init__(
        self,
        sequences: Sequences,
        degradation: str,
        count: int,
        size: int,
        limit: int | None,
    ) -> None:
        self._sequences = sequences
        self._degradation = degradation
        self._requested = count
        self._size = size
        height, width = sequences.clips[0].shape[1:]
        self.width = min(size, width)
        self.height = min(size, height)
        self.rate = _PACK_RATE
        self.pixel_aspect = Fraction(1)
        self.count = min(count, len(sequences))
        if limit is not None:
            self.count = min(self.count, limit)

    @property
    def description(self) -> str:
        """See :class:`GroundTruth`."""
        degradation = _describe(self._degradation, bits=8)
        return (
            f"{degradation}; middle {self.width}x{self.height} "
            f"of the middle frames of {self.count} sequences"
        )

    def cases(self) -> Iterator[Case]:
        """See :class:`GroundTruth`."""
        cases = pack_cases(
            self._sequences,
            self._degradation,
            self._requested,
            self._size,
        )
        return islice(cases, self.count)


def _describe(degradation: str, bits: int) -> str:
    description = _DESCRIPTIONS.get(degradation)
    if description is None:
        crf = degradation.removeprefix("crf:")
        description = f"antialiased bicubic half size, then x264 at crf {crf}"
    return f"{description}, {bits} bits"


def read_pack(path: Path) -> Sequences | None:
    """The sequences of a training pack, or None if ``path`` is something else."""
    if path.is_dir() or not is_pack(path):
        return None
    return load([path])


def truth_cases(
    truth: Source,
    degradation: str,
    low: Source | None,
    excerpts: list[Excerpt],
) -> Iterator[Case]:
    """Every ground-truth picture with the window of low-resolution frames around it, in order.

    No window crosses a scene cut.

    Args:
        truth: the ground truth; an odd last row or column is left out.
        degradation: ``clean``, ``blur3`` or ``crf:N``; unused with ``low``.
        low: the low-resolution input, if it is given.
        excerpts: which pictures.

    Raises:
        InputError: ``low`` has another count or size, or times that do not fit.
    """
    margin = _MARGIN if low is not None or crf_of(degradation) is None else _CRF_MARGIN
    for number, excerpt in enumerate(excerpts):
        pairs = (
            degraded_pairs(truth, degradation, excerpt, margin)
            if low is None
            else given_pairs(truth, low, excerpt, margin)
        )
        pair_windows = windows(pairs, _RADIUS, lambda pair: pair.low.scene_cut)
        asked_for = (
            window for window in pair_windows if not window[_RADIUS].truth.is_context
        )
        follows_gap = number > 0
        for window in islice(asked_for, excerpt.count):
            frames = tuple(pair.low for pair in window)
            picture = window[_RADIUS].truth
            yield Case(frames, replace(picture, follows_gap=follows_gap))
            follows_gap = False


def pack_cases(
    sequences: Sequences,
    degradation: str,
    count: int,
    size: int,
) -> Iterator[Case]:
    """The central part of each sequence's middle frame, as ``vsr train`` validates.

    Sequences, degradation and seed are the same as there.
    """
    crf = crf_of(degradation)
    degrade = DEGRADATIONS[degradation] if crf is None else at_crf(crf)
    pairs = validation_pairs(sequences, degrade, count=count, size=size)
    for number, (window, high) in enumerate(pairs):
        frames = []
        for plane in window:
            codes = plane.astype(np.uint8)
            frame = Frame((codes,), GRAY[8], Fraction(number))
            frames.append(frame)
        luma = high.astype(np.uint8)
        truth = Picture(luma, time=None)
        yield Case(tuple(frames), truth)
