"""Ground-truth pictures, each with the same at half its size as the networks see it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrcli.bench.alignment import aligned
from vsrcli.bench.excerpts import Excerpt
from vsrcli.bench.source import Luma, Picture, Source
from vsrcli.clips.degradation import half_blurred, half_clean
from vsrcli.errors import InputError
from vsrcli.frame import Frame, PixelFormat
from vsrcli.picture.scenes import CutDetector

Codes = NDArray[Any]

GRAY = {
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


@dataclass(frozen=True, slots=True)
class Pair:
    """A ground-truth picture, and the same at half its size as the networks see it."""

    truth: Picture
    low: Frame


def crf_of(degradation: str) -> float | None:
    """N of ``crf:N``, or None for other degradations."""
    if not degradation.startswith("crf:"):
        return None
    return float(degradation.removeprefix("crf:"))


def low_bits(truth: Source, degradation: str) -> int:
    """Bits of low-resolution pictures: 8 by the protocol, of pictures and of x264.

    Floating-point data would lose their fine steps in 8 bits.
    """
    if truth.is_float and crf_of(degradation) is None:
        return 16
    return 8


def degraded_pairs(
    truth: Source,
    degradation: str,
    excerpt: Excerpt,
    margin: int,
) -> Iterator[Pair]:
    """Pairs whose low resolution is made from the ground truth; arguments as of ``aligned``."""
    crf = crf_of(degradation)
    shrink = half_blurred if degradation == "blur3" else half_clean
    bits = low_bits(truth, degradation)
    pending: deque[Picture] = deque()

    def shrunk() -> Iterator[Codes]:
        for picture in truth.read(excerpt, margin):
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


def given_pairs(
    truth: Source,
    low: Source,
    excerpt: Excerpt,
    margin: int,
) -> Iterator[Pair]:
    """Pairs whose low resolution is read from ``low``; arguments as of ``aligned``.

    Raises:
        InputError: its size is not half of the truth's, or as from ``aligned``.
    """
    size = (low.width, low.height)
    rounded_down = (truth.width // 2, truth.height // 2)
    rounded_up = (-(-truth.width // 2), -(-truth.height // 2))
    if size not in (rounded_down, rounded_up):
        raise InputError(
            f"{low.path} has {low.width}x{low.height} pixels: "
            f"half of {truth.path} ({truth.width}x{truth.height}) is needed"
        )
    detector = CutDetector()
    pairs = aligned(truth, low, excerpt, margin)
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
        GRAY[bits],
        Fraction(number) if time is None else time,
        scene_cut=detector.is_cut(codes, bits),
    )
