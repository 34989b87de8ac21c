"""Leaves out work: what did not change since the last window is not computed again.

A network's output depends only on the input within its halo, and some libraries compute a part of
a picture to the same bits as the whole (`Backend.exact_parts`; a test holds them to it). So the
result is bit for bit the same as without reuse. With other libraries, only a window that has not
changed at all is left out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vsrcli.frame import Plane
from vsrcli.models import ModelSpec
from vsrcli.picture.tiles import Samples, Tiler, halo_of

log = logging.getLogger(__name__)

# Changes are searched in squares of this side, and the sides of what is computed are multiples of
# it (except for a last odd piece at a border): libraries prepare themselves for each size of a
# picture, so there should not be many.
CELL_PX = 16
# Parts that add up to more of the picture than this are not worth the copying.
_MAX_SHARE = 0.8
# What one more part costs, as an area that could be computed in that time.
_CALL_PX = 64 * 64


@dataclass(frozen=True, slots=True)
class Part:
    """A rectangle of a picture whose result is new, in low-resolution pixels.

    Attributes:
        core: (rows, columns) to replace in the result.
        source: (rows, columns) to compute for it, halo included.
    """

    core: tuple[slice, slice]
    source: tuple[slice, slice]

    @property
    def area(self) -> int:
        """Pixels to compute."""
        rows, columns = self.source
        height = rows.stop - rows.start
        width = columns.stop - columns.start
        return int(height * width)

    def cut(self, values: Samples, scale: int) -> Samples:
        """The core, cut from the result of the source: (scale*h, scale*w)."""
        sides = []
        for core, source in zip(self.core, self.source, strict=True):
            start = scale * (core.start - source.start)
            stop = scale * (core.stop - source.start)
            sides.append(slice(start, stop))
        rows, columns = sides
        return values[rows, columns]

    def place(self, scale: int) -> tuple[slice, slice]:
        """(rows, columns) of the core in the result."""
        rows, columns = self.core
        target_rows = slice(scale * rows.start, scale * rows.stop)
        target_columns = slice(scale * columns.start, scale * columns.stop)
        return target_rows, target_columns


class Reuse:
    """Upscales windows, and remembers the last one and its result.

    Attributes:
        pixels: low-resolution pixels asked for so far.
        pixels_computed: pixels that went through the network, halos included.
    """

    def __init__(
        self,
        tiler: Tiler,
        spec: ModelSpec,
        *,
        exact_parts: bool,
        enabled: bool = True,
        prove: Callable[[Plane, Part], bool] = lambda lumas, part: True,
    ) -> None:
        """Start with nothing remembered.

        Args:
            tiler: upscales a window, or a part of one.
            spec: the network.
            exact_parts: whether parts of a picture may be computed by themselves.
            enabled: False: every window is computed whole.
            prove: called once, with the window and its first part, before a part is computed: says
                whether this part, a sample of all, has the same bits as in the whole picture on
                this machine. If not, parts are never computed.
        """
        self._tiler = tiler
        self._spec = spec
        self._prove = prove
        self._exact_parts = exact_parts
        self._enabled = enabled
        self._proved = False
        self._lumas: Plane | None = None
        self._result: Samples | None = None
        self.pixels = 0
        self.pixels_computed = 0

    def upscale(self, lumas: Plane) -> Samples:
        """Upscale the middle frame of a window.

        Args:
            lumas: codes, shape (planes, H, W), uint8 or uint16; kept until the next call, so it
                must not change.

        Returns:
            Shape (scale*H, scale*W), of the type that the tiler gives. It may be the array that the
            last call returned, so it must not be changed.

        Raises:
            BackendError: from the tiler.
        """
        _, height, width = lumas.shape
        area = height * width
        self.pixels += area
        parts = self._new_parts(lumas)
        if parts is None or self._result is None:
            result = self._tiler.upscale(lumas)
            self.pixels_computed += area
        elif parts:
            result = self._replace_parts(self._result, parts, lumas)
        else:
            result = self._result
        if self._enabled:
            self._lumas = lumas
            self._result = result
        return result

    def _replace_parts(
        self,
        result: Samples,
        parts: list[Part],
        lumas: Plane,
    ) -> Samples:
        """A copy of the last result with its new parts computed."""
        scale = self._spec.scale
        result = result.copy()
        for part in parts:
            rows, columns = part.source
            values = self._tiler.upscale(lumas[:, rows, columns])
            result[part.place(scale)] = part.cut(values, scale)
            self.pixels_computed += part.area
        return result

    def _new_parts(self, lumas: Plane) -> list[Part] | None:
        """The parts whose result is new; None: the whole picture has to be computed."""
        before = self._lumas
        if before is None or self._result is None:
            return None
        if before.shape != lumas.shape or before.dtype != lumas.dtype:
            return None
        if not self._exact_parts:
            # frame by frame, so that the first one that moves ends the comparison
            is_same = all(map(np.array_equal, before, lumas))
            return [] if is_same else None
        changed = (before != lumas).any(axis=0)
        if not changed.any():
            return []
        parts = changed_parts(changed, halo_of(self._spec))
        if sum(part.area for part in parts) > _MAX_SHARE * changed.size:
            return None
        if not self._proved:
            self._proved = self._prove(lumas, parts[0])
            self._exact_parts = self._proved
            finding = "differ from the whole: not reused"
            if self._proved:
                finding = "equal the whole"
            log.info("parts of a picture %s on this machine", finding)
        return parts if self._exact_parts else None


def changed_parts(changed: NDArray[np.bool_], halo: int) -> list[Part]:
    """Cover what a change of pixels can change in the result with few rectangles of little area.

    Args:
        changed: shape (H, W), True where any frame of the window changed; at least one is True.
        halo: pixels around a pixel beyond which nothing influences it.

    Returns:
        Parts whose cores hold every pixel within ``halo`` of a changed one; cores may overlap.
    """
    height, width = changed.shape
    cutter = _BoxCutter(_cells(changed), halo, (height, width))
    return [cutter.part(box) for box in cutter.boxes()]


def _cells(changed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """True where any pixel of a cell changed, (cell rows, cell columns)."""
    height, width = changed.shape
    below = -height % CELL_PX
    right = -width % CELL_PX
    padded = np.pad(changed, ((0, below), (0, right)))
    cell_rows = padded.shape[0] // CELL_PX
    grouped = padded.reshape(cell_rows, CELL_PX, -1, CELL_PX)
    cells: NDArray[np.bool_] = np.logical_or.reduce(grouped, axis=(1, 3))
    return cells


# rows and columns of cells, ends excluded
_Box = tuple[slice, slice]


class _BoxCutter:
    """Covers the changed cells of a picture with boxes."""

    def __init__(
        self,
        cells: NDArray[np.bool_],
        halo: int,
        size: tuple[int, int],
    ) -> None:
        """``cells`` is True where a cell changed; ``size`` is (height, width) in pixels."""
        self._cells = cells
        self._halo = halo
        self._size = size

    def boxes(self) -> list[_Box]:
        """The box around all changed cells, split at empty lines for as long as that saves work."""
        rows, columns = self._cells.shape
        whole = self._shrink(slice(0, rows), slice(0, columns))
        return self._split(whole)

    def part(self, box: _Box) -> Part:
        """The part of the picture to compute for a box."""
        halo_cells = -(-2 * self._halo // CELL_PX)
        core = self._grow(box, self._halo)
        source = self._grow(box, halo_cells * CELL_PX)
        return Part(core, source)

    def _grow(self, box: _Box, margin: int) -> tuple[slice, slice]:
        """A box in pixels with a margin, clipped to the picture."""
        sides = []
        for side, length in zip(box, self._size, strict=True):
            start = max(0, side.start * CELL_PX - margin)
            stop = min(length, side.stop * CELL_PX + margin)
            sides.append(slice(start, stop))
        rows, columns = sides
        return rows, columns

    def _split(self, box: _Box) -> list[_Box]:
        pairs = self._halves(box)
        best = min(pairs, key=lambda pair: self._cost(*pair), default=None)
        if best is None or self._cost(*best) >= self._cost(box):
            return [box]
        first, second = best
        return [*self._split(first), *self._split(second)]

    def _cost(self, *boxes: _Box) -> int:
        return sum(self.part(box).area + _CALL_PX for box in boxes)

    def _halves(self, box: _Box) -> Iterator[tuple[_Box, _Box]]:
        """Every way to split a box at an empty line."""
        rows, columns = box
        inside = self._cells[box]
        filled_rows = np.logical_or.reduce(inside, axis=1)
        for gap_end in _gap_ends(filled_rows):
            line = rows.start + gap_end
            above = self._shrink(slice(rows.start, line), columns)
            below = self._shrink(slice(line, rows.stop), columns)
            yield above, below
        filled_columns = np.logical_or.reduce(inside, axis=0)
        for gap_end in _gap_ends(filled_columns):
            line = columns.start + gap_end
            left = self._shrink(rows, slice(columns.start, line))
            right = self._shrink(rows, slice(line, columns.stop))
            yield left, right

    def _shrink(self, rows: slice, columns: slice) -> _Box:
        """The smallest box that holds the changed cells of a box."""
        inside = self._cells[rows, columns]
        filled_rows = np.logical_or.reduce(inside, axis=1)
        filled_columns = np.logical_or.reduce(inside, axis=0)
        return (
            _extent(filled_rows, rows.start),
            _extent(filled_columns, columns.start),
        )


def _extent(lines: NDArray[np.bool_], start: int) -> slice:
    """From the first True to the last, counted from ``start``."""
    places = np.flatnonzero(lines)
    first = int(places[0])
    last = int(places[-1])
    return slice(start + first, start + last + 1)


def _gap_ends(filled: NDArray[np.bool_]) -> list[int]:
    """Where runs of empty lines end; the first and the last line are filled."""
    follows_gap = filled[1:] & ~filled[:-1]
    ends = np.flatnonzero(follows_gap) + 1
    return [int(end) for end in ends]
