"""Ground truth with its low-resolution input, as a stream of cases to score."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vsrcli.bench.progress import frame_count
from vsrcli.bench.source import Luma, Picture, Source, aligned
from vsrcli.clips.data import load
from vsrcli.clips.degradation import (
    DEGRADATIONS,
    at_crf,
    half_blurred,
    half_clean,
)
from vsrcli.clips.pack_reader import is_pack
from vsrcli.clips.sequences import Sequences, validation_pairs
from vsrcli.errors import InputError
from vsrcli.frame import Frame, PixelFormat
from vsrcli.picture.scenes import CutDetector
from vsrcli.picture.windows import windows

Codes = NDArray[Any]

_GRAY = {
    8: PixelFormat(
        name="gray",
        bits=8,
        log2_chroma_w=0,
        log2_chroma_h=0,
        has_chroma=False,
    ),
    16: PixelFormat(
        name="gray16le",
        bits=16,
        log2_chroma_w=0,
        log2_chroma_h=0,
        has_chroma=False,
    ),
}
_RADIUS = 2
_LOOKAHEAD = 2 * _RADIUS
_PACK_RATE = 25.0
_DESCRIPTIONS = {
    "clean": "antialiased bicubic half size (MATLAB imresize, a = -0.5)",
    "blur3": "Gaussian blur of sigma 3, then 2x2 mean",
    "video": "blur, half size, noise, x264 (clips/degradation.py)",
}


@dataclass(frozen=True, slots=True)
class Pair:
    """A ground-truth picture, and the same at half its size as the networks see it."""

    truth: Picture
    low: Frame


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

    def cases(self, limit: int | None) -> Iterator[Case]:
        """Every case in order, at most ``limit``."""

    def description(self, limit: int | None) -> str:
        """How the low-resolution input of at most ``limit`` cases is made, for people."""


class StreamTruth:
    """A video or a folder, with a degradation or a given low-resolution input.

    Implements :class:`GroundTruth`.

    Args:
        source: the ground truth; an odd last row or column is left out.
        degradation: ``clean``, ``blur3`` or ``crf:N``; unused with ``low``.
        low: the low-resolution input, if it is given.
    """

    def __init__(
        self,
        source: Source,
        degradation: str,
        low: Source | None,
    ) -> None:
        self._source = source
        self._degradation = degradation
        self._low = low
        self.width = source.width // 2 * 2
        self.height = source.height // 2 * 2
        self.rate = source.rate
        self.pixel_aspect = source.pixel_aspect
        self.count = source.count

    def cases(self, limit: int | None) -> Iterator[Case]:
        """See :class:`GroundTruth`."""
        return truth_cases(
            self._source,
            self._degradation,
            self._low,
            limit,
        )

    def description(self, limit: int | None) -> str:
        """See :class:`GroundTruth`."""
        if self._low is not None:
            return f"low resolution given: {self._low.path.name}"
        bits = _low_bits(self._source, self._degradation)
        return _describe(self._degradation, bits)


class PackTruth:
    """The central parts of a training pack's sequences, as ``vsr train`` validates.

    Implements :class:`GroundTruth`.

    Args:
        sequences: those of the pack.
        degradation: ``clean``, ``blur3``, ``video`` or ``crf:N``.
        count: maximum number of sequences to score.
        size: maximum side of the central part, pixels.
    """

    def __init__(
        self,
        sequences: Sequences,
        degradation: str,
        count: int,
        size: int,
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

    def cases(self, limit: int | None) -> Iterator[Case]:
        """See :class:`GroundTruth`."""
        cases = pack_cases(
            self._sequences,
            self._degradation,
            self._requested,
            self._size,
        )
        return islice(cases, limit)

    def description(self, limit: int | None) -> str:
        """See :class:`GroundTruth`."""
        count = frame_count(self.count, limit)
        degradation = _describe(self._degradation, bits=8)
        return (
            f"{degradation}; middle {self.width}x{self.height} "
            f"of the middle frames of {count} sequences"
        )


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
    limit: int | None,
) -> Iterator[Case]:
    """Every ground-truth picture with the window of low-resolution frames around it, in order.

    No window crosses a scene cut.

    Args:
        truth: the ground truth; an odd last row or column is left out.
        degradation: ``clean``, ``blur3`` or ``crf:N``; unused with ``low``.
        low: the low-resolution input, if it is given.
        limit: maximum number of cases.

    Raises:
        InputError: ``low`` has another count or size, or times that do not fit.
    """
    pairs = (
        _degraded_pairs(truth, degradation)
        if low is None
        else _given_pairs(truth, low, limit)
    )
    if limit is not None:
        pairs = islice(pairs, limit + _LOOKAHEAD)
    pair_windows = windows(pairs, _RADIUS, lambda pair: pair.low.scene_cut)
    for window in islice(pair_windows, limit):
        frames = tuple(pair.low for pair in window)
        yield Case(frames, window[_RADIUS].truth)


def pack_cases(
    sequences: Sequences,
    degradation: str,
    count: int,
    size: int,
) -> Iterator[Case]:
    """The central part of each sequence's middle frame, as ``vsr train`` validates.

    Sequences, degradation and seed are the same as there.
    """
    crf = _crf_of(degradation)
    degrade = DEGRADATIONS[degradation] if crf is None else at_crf(crf)
    pairs = validation_pairs(sequences, degrade, count=count, size=size)
    for number, (window, high) in enumerate(pairs):
        frames = []
        for plane in window:
            codes = plane.astype(np.uint8)
            frame = Frame((codes,), _GRAY[8], Fraction(number))
            frames.append(frame)
        luma = high.astype(np.uint8)
        truth = Picture(luma, time=None)
        yield Case(tuple(frames), truth)


def _crf_of(degradation: str) -> float | None:
    """N of ``crf:N``, or None for other degradations."""
    if not degradation.startswith("crf:"):
        return None
    return float(degradation.removeprefix("crf:"))


def _low_bits(truth: Source, degradation: str) -> int:
    """Bits of low-resolution pictures: 8 by the protocol, of pictures and of x264.

    Floating-point data would lose their fine steps in 8 bits.
    """
    if truth.is_float and _crf_of(degradation) is None:
        return 16
    return 8


def _degraded_pairs(truth: Source, degradation: str) -> Iterator[Pair]:
    """Pairs whose low resolution is made from the ground truth."""
    crf = _crf_of(degradation)
    shrink = half_blurred if degradation == "blur3" else half_clean
    bits = _low_bits(truth, degradation)
    pending: deque[Picture] = deque()

    def shrunk() -> Iterator[Codes]:
        for picture in truth:
            even = _with_even_sides(picture)
            pending.append(even)
            yield _quantized(shrink(even.luma), bits)

    lows = shrunk()
    if crf is not None:
        from vsrcli.clips.roundtrip import x264_stream

        lows = x264_stream(lows, crf=crf)
    detector = CutDetector()
    for number, low in enumerate(lows):
        picture = pending.popleft()
        frame = _low_frame(
            low,
            picture.time,
            number,
            detector,
        )
        yield Pair(picture, frame)


def _given_pairs(
    truth: Source,
    low: Source,
    limit: int | None,
) -> Iterator[Pair]:
    """Pairs whose low resolution is read from ``low``."""
    size = (low.width, low.height)
    rounded_down = (truth.width // 2, truth.height // 2)
    rounded_up = (-(-truth.width // 2), -(-truth.height // 2))
    if size not in (rounded_down, rounded_up):
        raise InputError(
            f"{low.path} has {low.width}x{low.height} pixels: "
            f"half of {truth.path} ({truth.width}x{truth.height}) is needed"
        )
    detector = CutDetector()
    pairs = aligned(truth, low, required=limit)
    for number, (high, small) in enumerate(pairs):
        picture = _with_even_sides(high)
        height, width = picture.luma.shape
        rows = slice(height // 2)
        columns = slice(width // 2)
        codes: Codes = small.luma[rows, columns]
        if codes.dtype != np.uint8:
            codes = _quantized(codes, bits=16)
        frame = _low_frame(
            codes,
            high.time,
            number,
            detector,
        )
        yield Pair(picture, frame)


def _with_even_sides(picture: Picture) -> Picture:
    height, width = picture.luma.shape
    rows = slice(height // 2 * 2)
    columns = slice(width // 2 * 2)
    luma: Luma = picture.luma[rows, columns]
    return replace(picture, luma=luma)


def _quantized(luma: Codes, bits: int) -> Codes:
    """Codes of 8 or 16 bits for luma on the scale of 8-bit codes."""
    step = np.float32(1 << (bits - 8))
    peak = (1 << bits) - 1
    dtype = np.uint8 if bits == 8 else np.uint16
    rounded = np.rint(luma * step)
    return np.clip(rounded, 0, peak).astype(dtype)


def _low_frame(
    codes: Codes,
    time: Fraction | None,
    number: int,
    detector: CutDetector,
) -> Frame:
    bits = 8 if codes.dtype == np.uint8 else 16
    return Frame(
        (codes,),
        _GRAY[bits],
        Fraction(number) if time is None else time,
        scene_cut=detector.is_cut(codes, bits),
    )
