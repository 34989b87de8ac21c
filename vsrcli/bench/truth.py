"""Ground truth and low-resolution input as streams: a video, a folder of pictures, or a training pack's sequences."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrcli.errors import InputError
from vsrcli.frame import Frame, PixelFormat
from vsrcli.media.folders import list_pictures
from vsrcli.media.scenes import CutDetector
from vsrcli.media.stills import read_picture
from vsrcli.picture.color import rgb_to_luma
from vsrcli.picture.windows import windows
from vsrcli.training.data import Sequences, is_pack, load, validation_pairs
from vsrcli.training.degradation import (
    DEGRADATIONS,
    compressed,
    half_blurred,
    half_clean,
)

# Luma on the scale of 8-bit codes, 0..255: uint8 where the source has 8 bits, else float64 with the source's own steps.
Luma = NDArray[np.uint8] | NDArray[np.float64]

_GRAY = {
    8: PixelFormat("gray", 8, 0, 0, has_chroma=False),
    16: PixelFormat("gray16le", 16, 0, 0, has_chroma=False),
}
_RADIUS = 2
_LOOKAHEAD = 2 * _RADIUS


@dataclass(frozen=True, slots=True)
class Picture:
    """One luma picture: (H, W) on the scale of 8-bit codes, and its time in seconds (None in a folder)."""

    luma: Luma
    time: Fraction | None


@dataclass(frozen=True, slots=True)
class Pair:
    """A true picture, and the same at half its size as the networks see it."""

    truth: Picture
    low: Frame


@dataclass(frozen=True, slots=True)
class Case:
    """What is scored: the window that goes into a method, and the true picture."""

    window: tuple[Frame, ...]
    truth: Picture


class Source:
    """Luma pictures of a video or a folder, read anew each time they are asked for.

    Args:
        path: a video file, or a folder of numbered pictures of 8 or 16 bits or 32-bit float.
        peak: value of floating-point data that becomes code 255.

    Attributes:
        width, height: of the pictures, pixels.
        count: how many there are, or None where only reading them tells.
        rate: pictures a second.
        is_float: whether the data are floating-point numbers.

    Raises:
        InputError: missing, unreadable, or a folder that is no sequence.
    """

    def __init__(self, path: Path, peak: float = 255.0) -> None:
        self.path, self._peak = path, peak
        self._files = list_pictures(path) if path.is_dir() else None
        self.is_float = False
        if self._files is None:
            # imported here: a training pack is read, and benchmarked, where there is no FFmpeg
            from vsrcli.media.probe import probe

            info = probe(path)
            self.width, self.height, self.rate = (
                info.width,
                info.height,
                float(info.rate or 25),
            )
            self.count = (
                None
                if info.duration is None or info.rate is None
                else round(info.duration * info.rate)
            )
        else:
            first = read_picture(self._files[0])
            self.height, self.width = first.shape[:2]
            self.count, self.rate, self.is_float = (
                len(self._files),
                30.0,
                first.dtype == np.float32,
            )

    def __iter__(self) -> Iterator[Picture]:
        if self._files is None:
            from vsrcli.media.reader import VideoReader

            with VideoReader(self.path) as reader:
                bits = reader.info.format.bits
                for frame in reader:
                    yield Picture(
                        frame.luma.astype(np.uint8)
                        if bits == 8
                        else frame.luma.astype(np.float64) / (1 << (bits - 8)),
                        frame.time,
                    )
            return
        for file in self._files:
            picture = read_picture(file)
            if picture.shape[:2] != (self.height, self.width):
                raise InputError(
                    f"{file} has {picture.shape[1]}x{picture.shape[0]} pixels, the pictures before it {self.width}x{self.height}"
                )
            yield Picture(_luma(picture, self._peak), None)


def _luma(picture: NDArray[Any], peak: float) -> Luma:
    if picture.dtype == np.float32:
        gray = (
            picture.astype(np.float64)
            if picture.ndim == 2
            else picture.mean(axis=2, dtype=np.float64)
        )
        return np.asarray(gray * (255.0 / peak))
    if picture.ndim == 3:
        luma = rgb_to_luma(picture)
        return (
            np.rint(luma).astype(np.uint8)
            if picture.dtype == np.uint8
            else luma.astype(np.float64)
        )
    return picture if picture.dtype == np.uint8 else picture.astype(np.float64) / 257.0


def truth_cases(
    truth: Source, degradation: str, low: Source | None, limit: int | None
) -> Iterator[Case]:
    """Every true picture with the window of low-resolution frames around the same moment, cuts respected, in order.

    Args:
        truth: the ground truth; an odd last row or column is left off.
        degradation: ``clean``, ``blur3`` or ``crf:N``; unused with ``low``.
        low: the low-resolution input, where it is given.
        limit: most cases.

    Raises:
        InputError: ``low`` has another count or size, or times that do not fit.
    """
    pairs = _given(truth, low, limit) if low is not None else _made(truth, degradation)
    if limit is not None:
        pairs = _first(pairs, limit + _LOOKAHEAD)
    for number, window in enumerate(
        windows(pairs, _RADIUS, lambda pair: pair.low.scene_cut)
    ):
        if limit is not None and number >= limit:
            break
        yield Case(tuple(pair.low for pair in window), window[_RADIUS].truth)


def pack_cases(
    sequences: Sequences, degradation: str, count: int, size: int
) -> Iterator[Case]:
    """The middle of each sequence's middle frame, as ``vsr train`` validates: same sequences, same degradation, same seed."""
    name = (
        compressed(float(degradation.removeprefix("crf:")))
        if degradation.startswith("crf:")
        else DEGRADATIONS[degradation]
    )
    for number, (window, high) in enumerate(
        validation_pairs(sequences, name, count=count, size=size)
    ):
        frames = tuple(
            Frame((plane.astype(np.uint8),), _GRAY[8], Fraction(number))
            for plane in window
        )
        yield Case(frames, Picture(high.astype(np.uint8), Fraction(number)))


def read_pack(path: Path) -> Sequences | None:
    """The sequences of a training pack, or None where ``path`` is none."""
    return load([path]) if not path.is_dir() and is_pack(path) else None


def _first(pairs: Iterable[Pair], count: int) -> Iterator[Pair]:
    for number, pair in enumerate(pairs):
        if number >= count:
            return
        yield pair


def _even(picture: Picture) -> Picture:
    height, width = (side // 2 * 2 for side in picture.luma.shape)
    return Picture(picture.luma[:height, :width], picture.time)


def _made(truth: Source, degradation: str) -> Iterator[Pair]:
    shrink: Callable[[NDArray[Any]], NDArray[np.float32]] = (
        half_blurred if degradation == "blur3" else half_clean
    )
    # fields of floating-point data would lose their fine steps in 8 bits; pictures have 8 bits by the protocol
    bits = 16 if truth.is_float and not degradation.startswith("crf:") else 8
    waiting: deque[Picture] = deque()

    def shrunk() -> Iterator[NDArray[Any]]:
        for picture in truth:
            waiting.append(_even(picture))
            codes = np.rint(shrink(waiting[-1].luma) * np.float32(1 << (bits - 8)))
            yield np.clip(codes, 0, (1 << bits) - 1).astype(
                np.uint8 if bits == 8 else np.uint16
            )

    lows: Iterator[NDArray[Any]] = shrunk()
    if degradation.startswith("crf:"):
        from vsrcli.media.roundtrip import x264_stream

        lows = x264_stream(lows, crf=float(degradation.removeprefix("crf:")))
    detector = CutDetector()
    for number, low in enumerate(lows):
        picture = waiting.popleft()
        yield Pair(picture, _frame(low, picture.time, number, detector))


def _given(truth: Source, low: Source, limit: int | None) -> Iterator[Pair]:
    if (low.width, low.height) != (truth.width // 2, truth.height // 2) and (
        low.width,
        low.height,
    ) != (-(-truth.width // 2), -(-truth.height // 2)):
        raise InputError(
            f"{low.path} has {low.width}x{low.height} pixels: half of {truth.path} ({truth.width}x{truth.height}) is needed"
        )
    detector = CutDetector()
    for number, (high, small) in enumerate(aligned(truth, low, limit)):
        picture = _even(high)
        height, width = (side // 2 for side in picture.luma.shape)
        codes: NDArray[Any] = small.luma[:height, :width]
        if codes.dtype != np.uint8:
            codes = np.clip(np.rint(codes * 256.0), 0, 65535).astype(np.uint16)
        yield Pair(picture, _frame(codes, high.time, number, detector))


def _frame(
    codes: NDArray[Any], time: Fraction | None, number: int, detector: CutDetector
) -> Frame:
    bits = 8 if codes.dtype == np.uint8 else 16
    return Frame(
        (codes,),
        _GRAY[bits],
        Fraction(number) if time is None else time,
        scene_cut=detector.is_cut(codes, bits),
    )


def aligned(
    truth: Source, other: Source, needed: int | None = None
) -> Iterator[tuple[Picture, Picture]]:
    """Pictures of the same moment, by timestamp where both have some, else by number; each of both must find its partner.

    Args:
        truth: the one source.
        other: the other.
        needed: how many pairs must be there; where one source ends after that, so do the pairs.

    Raises:
        InputError: a picture is without a partner: missing, superfluous, or at another time.
    """
    tolerance = Fraction(1, 2) / Fraction(truth.rate).limit_denominator(100000)
    first, second = iter(truth), iter(other)
    number = 0
    while True:
        one, two = next(first, None), next(second, None)
        if (one is None and two is None) or (
            needed is not None and number >= needed and (one is None or two is None)
        ):
            return
        if one is None or two is None:
            longer, shorter = (truth, other) if two is None else (other, truth)
            more = 1 + sum(1 for _ in (first if two is None else second))
            raise InputError(
                f"{longer.path} has {number + more} frames, {shorter.path} only {number}: compare files of the same frames "
                f"(--frames {number} scores the first {number})"
            )
        if (
            one.time is not None
            and two.time is not None
            and abs(one.time - two.time) > tolerance
        ):
            earlier, later = (truth, other) if one.time < two.time else (other, truth)
            time = min(one.time, two.time)
            raise InputError(
                f"frame {number} of {earlier.path} is at {float(time):.3f} s, and {later.path} has no frame there (its next is at "
                f"{float(max(one.time, two.time)):.3f} s): a frame is missing, or the timing differs"
            )
        yield one, two
        number += 1
