"""Whether a frame of an output shows the frame of the source that it should.

A frame of the output comes here reduced to the source's size. Three questions are asked of it.

- Is it close? Its PSNR decides; or, where the source has more fine detail than any interpolation
  keeps, its error compared with that of the source's own half size.
- Is it the right moment? The difference to a neighbouring frame must not explain the error.
- Are its large areas as bright? Means over cells decide, which sharpness and noise hardly change,
  so that a wrong range shows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]

_PEAK = 255.0
_MAX_CELLS = 32
_MIN_CELL_SIDE = 8
# Largest mean difference of cells, 8-bit codes: codecs and networks stay under 1, full range taken
# for limited range gives 6 and more.
_MAX_CELL_DIFFERENCE = 3.0
_FLAT_VARIANCE = 4.0
# A frame shows another moment where its error is visible (mean square, 8-bit codes), points towards
# the neighbour (correlation), goes most of the way there (share), and does so by this much more
# (lead) than towards the neighbour on the other side: a network that removes noise moves towards
# both.
_VISIBLE_ERROR = 4.0
_MIN_CORRELATION = 0.7
_MIN_SHARE = 0.75
_MIN_LEAD = 0.35


@dataclass(slots=True)
class WorstFrame:
    """The frame with the lowest PSNR so far."""

    frame: int = 0
    seconds: float = 0.0
    psnr: float = math.inf


@dataclass(slots=True)
class FrameComparison:
    """Compares frames one by one; remembers the worst one and what was wrong, not the pictures.

    Attributes:
        threshold_db: PSNR that is always close enough.
        blur: halves and doubles the source's luma: float32 of the same shape.
        frames: compared so far.
        worst: the lowest PSNR.
        wrong: number and description of the first frame that shows something else.
        wrong_count: how many do.
        levels, chroma, alpha: largest mean difference of cells, 8-bit codes, and the frame's
            number.
        loses_alpha: whether alpha that is not opaque everywhere has no counterpart.
    """

    threshold_db: float
    blur: Callable[[NDArray[Any]], Float]
    frames: int = 0
    worst: WorstFrame = field(default_factory=WorstFrame)
    wrong: str | None = None
    wrong_count: int = 0
    levels: tuple[float, int] = (0.0, 0)
    chroma: tuple[float, int] = (0.0, 0)
    alpha: tuple[float, int] = (0.0, 0)
    loses_alpha: bool = False

    def add(
        self,
        number: int,
        seconds: float,
        actual: Float,
        expected: NDArray[Any],
        neighbours: Sequence[NDArray[Any] | None],
        unit: float,
    ) -> bool:
        """Compare the luma of one frame.

        Args:
            number: of the output's frame.
            seconds: its time.
            actual: the output's luma at the source's size, float32, on the source's scale.
            expected: the luma of the source's frame, shape (H, W), integers.
            neighbours: luma of the source's frames before and after it, None where there is none.
            unit: converts a code of the source's scale to 8-bit codes.

        Returns:
            Whether it shows that frame.
        """
        error = (actual - expected).ravel()
        mean_square = _mean_square(error, unit)
        psnr = _psnr(mean_square)
        if psnr < self.worst.psnr or not self.frames:
            self.worst = WorstFrame(number, seconds, psnr)
        self.frames += 1

        actual_cells = cells(actual) * unit
        expected_cells = cells(expected) * unit
        gain, offset = _fit_line(expected_cells, actual_cells)
        fitted_cells = gain * expected_cells + offset
        drift = _mean_difference(actual_cells, fitted_cells)
        problem = None
        if mean_square >= _VISIBLE_ERROR:
            problem = _other_moment(error, expected, neighbours)
        if problem is None and (
            psnr < self.threshold_db or drift > _MAX_CELL_DIFFERENCE
        ):
            problem = self._difference(
                expected,
                mean_square,
                drift,
                unit,
            )
        if problem is not None:
            self.wrong_count += 1
            if self.wrong is None:
                self.wrong = f"number {number} ({seconds:.3f} s): {problem}"
            return False
        level_change = float(np.abs((gain - 1) * expected_cells + offset).mean())
        self.levels = max(self.levels, (level_change, number))
        return True

    def _difference(
        self,
        expected: NDArray[Any],
        mean_square: float,
        drift: float,
        unit: float,
    ) -> str | None:
        """What is wrong with a frame that is not close, unless its source is hard to resample."""
        blurred = self.blur(expected)
        blur_error = (blurred - expected).ravel()
        threshold = _PEAK**2 / 10 ** (self.threshold_db / 10)
        if mean_square > max(_mean_square(blur_error, unit), threshold):
            return f"it does not look like its source: {_psnr(mean_square):.1f} dB"
        blur_drift = _mean_difference(cells(blurred) * unit, cells(expected) * unit)
        if drift > max(_MAX_CELL_DIFFERENCE, blur_drift):
            return f"its large areas differ from its source's by {drift:.1f} codes"
        return None

    def add_chroma(self, number: int, planes: Sequence[tuple[Float, Float]]) -> None:
        """Compare the chroma of a frame that passed ``add``.

        Args:
            number: of the output's frame.
            planes: for each plane, the ``cells`` of output and source, 8-bit codes.
        """
        differences = [_mean_difference(*pair) for pair in planes]
        difference = max(differences, default=0.0)
        self.chroma = max(self.chroma, (difference, number))

    def add_alpha(
        self,
        number: int,
        actual: Float,
        expected: Float,
    ) -> None:
        """Compare the alpha of a frame that passed ``add``; arguments as for ``add_chroma``."""
        difference = _mean_difference(actual, expected)
        self.alpha = max(self.alpha, (difference, number))

    @staticmethod
    def is_close(difference: float) -> bool:
        """Whether codecs and networks may cause a mean difference of cells."""
        return difference <= _MAX_CELL_DIFFERENCE


def cells(plane: NDArray[Any], grid: tuple[int, int] | None = None) -> Float:
    """Means over a grid of cells of 8 samples or more per side, at most 32x32.

    Args:
        plane: shape (H, W).
        grid: number of rows and columns; None: as many as fit.

    Returns:
        Shape ``grid``, float32.
    """
    rows, columns = grid or grid_of(plane.shape)
    height, width = plane.shape
    tops = np.arange(rows) * height // rows
    lefts = np.arange(columns) * width // columns
    row_sums = np.add.reduceat(
        plane,
        tops,
        axis=0,
        dtype=np.float32,
    )
    sums = np.add.reduceat(row_sums, lefts, axis=1)
    heights = np.diff(tops, append=height)
    widths = np.diff(lefts, append=width)
    means: Float = (sums / np.outer(heights, widths)).astype(np.float32)
    return means


def grid_of(shape: tuple[int, ...]) -> tuple[int, int]:
    """Number of rows and columns of cells in a plane of that shape."""
    rows, columns = (
        max(1, min(_MAX_CELLS, length // _MIN_CELL_SIDE)) for length in shape
    )
    return rows, columns


def _mean_square(error: Float, unit: float) -> float:
    return float(error @ error) / error.size * unit**2


def _mean_difference(first: Float, second: Float) -> float:
    return float(np.abs(first - second).mean())


def _psnr(mean_square: float) -> float:
    if mean_square == 0:
        return math.inf
    return 20 * math.log10(_PEAK) - 10 * math.log10(mean_square)


def _fit_line(x: Float, y: Float) -> tuple[float, float]:
    """Gain and offset of the line that fits y best; a gain of 1 where x is flat."""
    mean_x = float(x.mean())
    mean_y = float(y.mean())
    variance = float(np.square(x - mean_x).mean())
    gain = 1.0
    if variance >= _FLAT_VARIANCE:
        covariance = float(((x - mean_x) * (y - mean_y)).mean())
        gain = covariance / variance
    return gain, mean_y - gain * mean_x


def _other_moment(
    error: Float,
    expected: NDArray[Any],
    neighbours: Sequence[NDArray[Any] | None],
) -> str | None:
    """Which neighbouring frame it looks like, if the step to that frame explains the error."""
    shares = []
    correlations = []
    energy = float(error @ error)
    for neighbour in neighbours:
        share = 0.0
        correlation = 0.0
        if neighbour is not None:
            step = (neighbour.astype(np.float32) - expected).ravel()
            common = float(error @ step)
            length = float(step @ step)
            if length > 0:
                share = common / length
                correlation = common / math.sqrt(length * energy)
        shares.append(share)
        correlations.append(correlation)
    for place, name in enumerate(("before", "after")):
        lead = shares[place] - shares[1 - place]
        is_like_it = correlations[place] > _MIN_CORRELATION
        if is_like_it and shares[place] > _MIN_SHARE and lead > _MIN_LEAD:
            return f"it looks like the source's frame {name} it"
    return None
