"""Work not done: what did not change since the last window is not computed again.

A network's output depends on the input within its halo only, and some libraries compute a part of a picture to the same bits as the whole
(`Backend.exact_parts`; a test holds them to it). So the result is the same as without, bit for bit. With the others, only a window that has not changed at
all is left out.
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

# Changes are looked for in squares of this side, and sides of what is computed are multiples of it (but for a last odd piece at a border): libraries prepare
# themselves for each size of a picture, so there should not be many.
CELL_PX = 16
# Parts that come to more of the picture than this are not worth the copying.
_WORTH = 0.8
# What one more part costs, as an area that could be computed in that time.
_CALL_PX = 64 * 64


@dataclass(frozen=True, slots=True)
class Part:
    """A rectangle of a picture whose result is new, low-resolution pixels.

    Attributes:
        core: (rows, columns) to be replaced in the result.
        source: (rows, columns) to be computed for it, halo included.
    """

    core: tuple[slice, slice]
    source: tuple[slice, slice]

    @property
    def area(self) -> int:
        """Pixels to be computed."""
        rows, columns = self.source
        return int((rows.stop - rows.start) * (columns.stop - columns.start))

    def cut(self, values: Samples, scale: int) -> Samples:
        """The core, from what was computed of the source: (scale*h, scale*w)."""
        rows, columns = (
            slice(
                scale * (core.start - source.start), scale * (core.stop - source.start)
            )
            for core, source in zip(self.core, self.source, strict=True)
        )
        return values[rows, columns]

    def place(self, scale: int) -> tuple[slice, slice]:
        """Where the core lies in the result."""
        rows, columns = (
            slice(scale * core.start, scale * core.stop) for core in self.core
        )
        return rows, columns


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
        """Begin with nothing remembered.

        Args:
            tiler: what upscales a window, or a part of one.
            spec: the network.
            exact_parts: whether parts of a picture may be computed by themselves.
            enabled: False: every window is computed whole.
            prove: called with the window before its first part is computed: whether that part, a sample of all, really comes out to the bits of the
                whole picture on this machine. Where it does not, parts are not computed.
        """
        self._tiler, self._spec, self._prove = tiler, spec, prove
        self._exact_parts, self._enabled = exact_parts, enabled
        self._proved = False
        self._lumas: Plane | None = None
        self._result: Samples | None = None
        self.pixels = self.pixels_computed = 0

    def upscale(self, lumas: Plane) -> Samples:
        """Upscale the middle frame of a window.

        Args:
            lumas: codes, shape (planes, H, W), uint8 or uint16; kept until the next call, so it must not change.

        Returns:
            Shape (scale*H, scale*W), of the type that the tiler gives; it may be the last call's, so it must not be changed.

        Raises:
            BackendError: from the tiler.
        """
        area = lumas.shape[1] * lumas.shape[2]
        self.pixels += area
        parts = self._needed(lumas)
        if parts is None or self._result is None:
            values = self._tiler.upscale(lumas)
            self.pixels_computed += area
        elif not parts:
            values = self._result
        else:
            values = self._result.copy()
            for part in parts:
                rows, columns = part.source
                values[part.place(self._spec.scale)] = part.cut(
                    self._tiler.upscale(lumas[:, rows, columns]), self._spec.scale
                )
                self.pixels_computed += part.area
        if self._enabled:
            self._lumas, self._result = lumas, values
        return values

    def _needed(self, lumas: Plane) -> list[Part] | None:
        """The parts whose result is new; None: the whole picture has to be computed."""
        before = self._lumas
        if (
            before is None
            or self._result is None
            or before.shape != lumas.shape
            or before.dtype != lumas.dtype
        ):
            return None
        if (
            not self._exact_parts
        ):  # frame by frame, so that the first one that moves ends it
            return [] if all(map(np.array_equal, before, lumas)) else None
        changed = (before != lumas).any(axis=0)
        if not changed.any():
            return []
        parts = changed_parts(changed, halo_of(self._spec))
        if sum(part.area for part in parts) > _WORTH * changed.size:
            return None
        if not self._proved:
            self._exact_parts = self._proved = self._prove(lumas, parts[0])
            log.info(
                "parts of a picture %s on this machine",
                "come out as the whole does"
                if self._proved
                else "come out otherwise than the whole: not reused",
            )
        return parts if self._exact_parts else None


def changed_parts(changed: NDArray[np.bool_], halo: int) -> list[Part]:
    """Cover what a change of pixels can change in the result with few rectangles of little area.

    Args:
        changed: shape (H, W), True where any frame of the window changed; somewhere it did.
        halo: pixels around a pixel beyond which nothing influences it.

    Returns:
        Parts whose cores hold every pixel within ``halo`` of a changed one; a core may overlap another.
    """
    height, width = changed.shape
    padded = np.pad(changed, ((0, -height % CELL_PX), (0, -width % CELL_PX)))
    cells = np.logical_or.reduce(
        padded.reshape(padded.shape[0] // CELL_PX, CELL_PX, -1, CELL_PX), axis=(1, 3)
    )
    return [
        _part(box, halo, (height, width))
        for box in _boxes(cells, halo, (height, width))
    ]


# rows and columns of cells, ends excluded
_Box = tuple[slice, slice]


def _part(box: _Box, halo: int, size: tuple[int, int]) -> Part:
    def grown(by: int) -> tuple[slice, slice]:
        rows, columns = (
            slice(
                max(0, side.start * CELL_PX - by), min(length, side.stop * CELL_PX + by)
            )
            for side, length in zip(box, size, strict=True)
        )
        return rows, columns

    return Part(grown(halo), grown(-(-2 * halo // CELL_PX) * CELL_PX))


def _boxes(cells: NDArray[np.bool_], halo: int, size: tuple[int, int]) -> list[_Box]:
    """Rectangles that hold all changed cells: the one around them, cut in two at an empty line for as long as that saves work."""

    def around(box: _Box) -> _Box:
        inside = cells[box]
        rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
        top, left = box[0].start, box[1].start
        return slice(top + int(rows[0]), top + int(rows[-1]) + 1), slice(
            left + int(columns[0]), left + int(columns[-1]) + 1
        )

    def cost(*boxes: _Box) -> int:
        return sum(_part(box, halo, size).area + _CALL_PX for box in boxes)

    def halves(box: _Box) -> Iterator[tuple[_Box, _Box]]:
        rows, columns = box
        inside = cells[box]
        for line in _gaps(np.logical_or.reduce(inside, axis=1)):
            yield (
                around((slice(rows.start, rows.start + line), columns)),
                around((slice(rows.start + line, rows.stop), columns)),
            )
        for line in _gaps(np.logical_or.reduce(inside, axis=0)):
            yield (
                around((rows, slice(columns.start, columns.start + line))),
                around((rows, slice(columns.start + line, columns.stop))),
            )

    def cut(box: _Box) -> list[_Box]:
        best = min(halves(box), key=lambda pair: cost(*pair), default=None)
        if best is None or cost(*best) >= cost(box):
            return [box]
        return [*cut(best[0]), *cut(best[1])]

    return cut(around((slice(0, cells.shape[0]), slice(0, cells.shape[1]))))


def _gaps(filled: NDArray[np.bool_]) -> list[int]:
    """Where runs of empty lines end; the first and the last line are filled."""
    return [int(line) for line in np.flatnonzero(filled[1:] & ~filled[:-1]) + 1]
