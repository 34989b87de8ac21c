"""Whether an output shows what its source shows, when its source shows it: comparisons of timestamps and, frame by frame, of pictures.

A picture of the output comes here shrunk to the source's size. Three questions are asked of it. Is it close: its PSNR, or, where the source has more fine
detail than any interpolation keeps, its error against that of the source's own half size. Is it the right moment: the error must not be explained by the
difference to a neighbouring frame. Are its large areas as bright: means over cells, which sharpness and noise hardly change, so that a wrong range shows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Integers = NDArray[np.int64]

DEFAULT_THRESHOLD_DB = 25.0
_PEAK = 255.0
_CELLS, _CELL_SIDE = 32, 8
# Largest mean difference of cells, 8-bit codes: codecs and networks stay under 1, full range taken for limited gives 6 and more.
_CELL_LIMIT = 3.0
_FLAT_VARIANCE = 4.0
# Another moment is meant where the error is visible (mean square, 8-bit codes), points to the neighbour (correlation), and most of the way there (share),
# and points to it by so much more than to the neighbour on the other side: a network that takes noise away moves towards both.
_VISIBLE_ERROR, _MOMENT_CORRELATION, _MOMENT_SHARE, _MOMENT_LEAD = 4.0, 0.7, 0.75, 0.35


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """When frames are shown.

    Attributes:
        ticks: int64, one a frame, in units of ``unit``.
        unit: seconds.
        end: when the last frame ends, ticks; None where nothing says so.
    """

    ticks: Integers
    unit: Fraction
    end: int | None = None

    def __len__(self) -> int:
        return len(self.ticks)

    def seconds(self, number: int) -> float:
        """Time of a frame."""
        return float(int(self.ticks[number]) * self.unit)


def tolerance(expected: Timeline, shown: Timeline) -> Fraction:
    """How far two distances between frames may differ: not at all where the output's clock can say the expected times, else one tick (half at each end)."""
    return Fraction(0) if (expected.unit / shown.unit).denominator == 1 else shown.unit


def _on_one_clock(
    expected: Timeline, shown: Timeline
) -> tuple[Integers, Integers, Fraction]:
    unit = Fraction(1, math.lcm(expected.unit.denominator, shown.unit.denominator))
    return (
        expected.ticks * int(expected.unit / unit),
        shown.ticks * int(shown.unit / unit),
        unit,
    )


def pair(expected: Timeline, shown: Timeline) -> tuple[Integers, NDArray[np.bool_]]:
    """Which expected frame each shown one stands for: the same number where there are as many; else by time, the clocks' difference being none, that of the
    first frames, or that of the last, whichever fits more.

    Returns:
        The expected frame's number (the one that should be on screen at that time), int64; and whether it begins just then.
    """
    if not len(shown) or not len(expected):
        return np.zeros(len(shown), np.int64), np.zeros(len(shown), np.bool_)
    wanted, found, unit = _on_one_clock(expected, shown)
    slack = int(tolerance(expected, shown) / unit)
    if len(wanted) == len(found):
        deviation = found - wanted
        return np.arange(len(found), dtype=np.int64), np.abs(
            deviation - deviation[0]
        ) <= slack
    best: tuple[Integers, NDArray[np.bool_]] | None = None
    for shift in (0, found[0] - wanted[0], found[-1] - wanted[-1]):
        places = np.clip(
            np.searchsorted(wanted, found - shift + slack, "right") - 1, 0, None
        )
        fits = np.abs(found - shift - wanted[places]) <= slack
        if best is None or fits.sum() > best[1].sum():
            best = places.astype(np.int64), fits
    return best if best is not None else (np.zeros(0, np.int64), np.zeros(0, np.bool_))


def compare_count(expected: Timeline, shown: Timeline) -> str | None:
    """Whether there are as many frames as there should be; else what is wrong."""
    if len(expected) == len(shown):
        return None
    places, fits = pair(expected, shown)
    if len(shown) < len(expected):
        missing = np.setdiff1d(np.arange(len(expected)), places[fits])
        which = (
            f"number {missing[0]} ({expected.seconds(int(missing[0])):.3f} s) is missing"
            if len(missing)
            else "some are missing"
        )
    else:
        repeated = np.flatnonzero(~fits | (np.diff(places, prepend=-1) == 0))
        which = (
            f"number {repeated[0]} ({shown.seconds(int(repeated[0])):.3f} s) is too many"
            if len(repeated)
            else "some are too many"
        )
    return f"{len(shown)} frames, {len(expected)} expected: {which}"


def compare_times(expected: Timeline, shown: Timeline) -> str | None:
    """Whether every frame is as far from the first as it should be, missing and surplus ones aside; else what is wrong."""
    if not len(shown):
        return "there is no frame"
    places, fits = pair(expected, shown)
    surplus = max(0, len(shown) - len(expected))
    wrong = np.flatnonzero(~fits)
    if len(wrong) <= surplus:
        return None
    first = int(wrong[0])
    shift = shown.seconds(0) - expected.seconds(int(places[0]))
    error = shown.seconds(first) - expected.seconds(int(places[first])) - shift
    return f"{len(wrong)} of {len(shown)} frames stand elsewhere: number {first} by {1e3 * error:+.3f} ms, at {shown.seconds(first):.3f} s"


def compare_end(expected: Timeline, shown: Timeline, extra: Fraction) -> str | None:
    """Whether the last frame ends when it should, to within the clock's rounding and ``extra`` seconds; else what is wrong."""
    if expected.end is None or shown.end is None or not len(expected) or not len(shown):
        return None
    first = int(pair(expected, shown)[0][0])
    wanted, found = (
        (expected.end - int(expected.ticks[first])) * expected.unit,
        (shown.end - int(shown.ticks[0])) * shown.unit,
    )
    if abs(wanted - found) <= tolerance(expected, shown) + extra:
        return None
    return f"the last frame ends {float(found):.3f} s after the first begins, it should be {float(wanted):.3f} s"


def best_policy(candidates: dict[str, Timeline], shown: Timeline) -> str:
    """The first of the rate policies whose frames and times the output has; the first of all where none fits."""
    fitting = (
        name
        for name, line in candidates.items()
        if compare_count(line, shown) is None and compare_times(line, shown) is None
    )
    return next(fitting, next(iter(candidates)))


@dataclass(slots=True)
class Worst:
    """The frame with the lowest PSNR so far."""

    frame: int = 0
    seconds: float = 0.0
    psnr: float = math.inf


@dataclass(slots=True)
class Agreement:
    """Judges the frames of an output one by one; remembers the worst and what was wrong, not the pictures.

    Attributes:
        threshold_db: PSNR that is always enough.
        blur: makes of a source's luma what is left of it after halving and doubling: float32 of the same shape.
        frames: judged so far.
        worst: the lowest PSNR.
        wrong: number and description of the first frames that show something else.
        wrong_count: how many did.
        levels, chroma, alpha: largest mean difference of cells, 8-bit codes, and the frame's number.
    """

    threshold_db: float
    blur: Callable[[NDArray[Any]], Float]
    frames: int = 0
    worst: Worst = field(default_factory=Worst)
    wrong: str | None = None
    wrong_count: int = 0
    levels: tuple[float, int] = (0.0, 0)
    chroma: tuple[float, int] = (0.0, 0)
    alpha: tuple[float, int] = (0.0, 0)

    def add(
        self,
        number: int,
        seconds: float,
        small: Float,
        own: NDArray[Any],
        neighbours: Sequence[NDArray[Any] | None],
        unit: float,
    ) -> bool:
        """Judge the luma of one frame.

        Args:
            number: of the output's frame.
            seconds: its time.
            small: the output's luma at the source's size, float32, on the source's scale.
            own: the source's luma that should be shown, shape (H, W), integers.
            neighbours: the source's frames before and after it, None where there is none.
            unit: what makes one 8-bit code of the source's scale.

        Returns:
            Whether it shows that frame.
        """
        error = (small - own).ravel()
        mean_square = float(error @ error) / error.size * unit**2
        psnr = (
            math.inf
            if mean_square == 0
            else 20 * math.log10(_PEAK) - 10 * math.log10(mean_square)
        )
        if psnr < self.worst.psnr or not self.frames:
            self.worst = Worst(number, seconds, psnr)
        self.frames += 1
        seen, wanted = cells(small) * unit, cells(own) * unit
        gain, offset = _line(wanted, seen)
        drift = float(np.abs(seen - (gain * wanted + offset)).mean())
        elsewhere = (
            _other_moment(error, own, neighbours)
            if mean_square >= _VISIBLE_ERROR
            else None
        )
        if elsewhere is None and (psnr < self.threshold_db or drift > _CELL_LIMIT):
            blurred = self.blur(own)
            lost = (blurred - own).ravel()
            excuse = float(lost @ lost) / lost.size * unit**2
            if mean_square > max(excuse, _PEAK**2 / 10 ** (self.threshold_db / 10)):
                elsewhere = f"it does not look like its source: {psnr:.1f} dB"
            elif drift > max(
                _CELL_LIMIT, float(np.abs(cells(blurred) * unit - wanted).mean())
            ):
                elsewhere = (
                    f"its large areas differ from its source's by {drift:.1f} codes"
                )
        if elsewhere is not None:
            self.wrong_count += 1
            self.wrong = self.wrong or f"number {number} ({seconds:.3f} s): {elsewhere}"
            return False
        moved = float(np.abs((gain - 1) * wanted + offset).mean())
        self.levels = max(self.levels, (moved, number))
        return True

    def add_chroma(self, number: int, pairs: Sequence[tuple[Float, Float]]) -> None:
        """Compare chroma planes of a frame that passed ``add``: pairs of equally many ``cells`` of output and source, 8-bit codes."""
        difference = max(
            (float(np.abs(seen - wanted).mean()) for seen, wanted in pairs), default=0.0
        )
        self.chroma = max(self.chroma, (difference, number))

    def add_alpha(self, number: int, seen: Float, wanted: Float) -> None:
        """The same for alpha."""
        self.alpha = max(self.alpha, (float(np.abs(seen - wanted).mean()), number))

    @staticmethod
    def is_close(difference: float) -> bool:
        """Whether a mean difference of cells is what codecs and networks leave."""
        return difference <= _CELL_LIMIT


def cells(plane: NDArray[Any], grid: tuple[int, int] | None = None) -> Float:
    """Means over a grid of cells of 8 samples or more a side, at most 32x32.

    Args:
        plane: shape (H, W).
        grid: cells down and across; None: as many as fit.

    Returns:
        Shape ``grid``, float32.
    """
    down, across = grid_of(plane.shape) if grid is None else grid
    rows, columns = (
        np.arange(count) * length // count
        for count, length in zip((down, across), plane.shape, strict=True)
    )
    sums = np.add.reduceat(
        np.add.reduceat(plane, rows, axis=0, dtype=np.float32), columns, axis=1
    )
    areas = np.outer(
        np.diff(rows, append=plane.shape[0]), np.diff(columns, append=plane.shape[1])
    )
    means: Float = (sums / areas).astype(np.float32)
    return means


def grid_of(shape: tuple[int, ...]) -> tuple[int, int]:
    """How many cells a plane of that shape has, down and across."""
    down, across = (max(1, min(_CELLS, length // _CELL_SIDE)) for length in shape)
    return down, across


def _line(x: Float, y: Float) -> tuple[float, float]:
    """Gain and offset that make y of x best; a gain of 1 where x is flat."""
    mean_x, mean_y = float(x.mean()), float(y.mean())
    variance = float(np.square(x - mean_x).mean())
    gain = (
        1.0
        if variance < _FLAT_VARIANCE
        else float(((x - mean_x) * (y - mean_y)).mean()) / variance
    )
    return gain, mean_y - gain * mean_x


def _other_moment(
    error: Float, own: NDArray[Any], neighbours: Sequence[NDArray[Any] | None]
) -> str | None:
    """Whether the error is explained by the step to a neighbouring frame: what it looks like, or None."""
    shares, correlations = [], []
    energy = float(error @ error)
    for neighbour in neighbours:
        share, correlation = 0.0, 0.0
        if neighbour is not None:
            step = (neighbour.astype(np.float32) - own).ravel()
            common, length = float(error @ step), float(step @ step)
            if length > 0:
                share, correlation = (
                    common / length,
                    common / math.sqrt(length * energy),
                )
        shares.append(share)
        correlations.append(correlation)
    for place, name in enumerate(("before", "after")):
        if (
            correlations[place] > _MOMENT_CORRELATION
            and shares[place] > _MOMENT_SHARE
            and shares[place] - shares[1 - place] > _MOMENT_LEAD
        ):
            return f"it looks like the source's frame {name} it"
    return None
