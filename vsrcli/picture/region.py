"""A part of a picture, and how a frame is cut to it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from vsrcli.frame import Frame, Plane

# Common multiple of what chroma is subsampled by, twice over: the part is still whole at half size.
STEP = 8


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of pixels.

    Attributes:
        top, left: its first row and column.
        height, width: its size.
    """

    top: int
    left: int
    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}+{self.left}+{self.top}"

    @classmethod
    def whole(cls, height: int, width: int) -> Self:
        """All of a picture."""
        return cls(0, 0, height, width)

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns, to cut an array."""
        rows = slice(self.top, self.top + self.height)
        return rows, slice(self.left, self.left + self.width)

    def with_margin(self, margin: int, height: int, width: int) -> Region:
        """The rectangle with what is around it, as far as the picture goes.

        Args:
            margin: at least so many pixels on each side; the sides are at multiples of ``STEP``.
            height: of the picture.
            width: of the picture.
        """
        top, bottom = _widened(self.top, self.height, margin, height)
        left, right = _widened(self.left, self.width, margin, width)
        return Region(top, left, bottom - top, right - left)

    def within(self, outer: Region) -> Region:
        """The same rectangle, counted from the first pixel of one that contains it."""
        return replace(self, top=self.top - outer.top, left=self.left - outer.left)

    def scaled(self, factor: int) -> Region:
        """The same rectangle in a picture ``factor`` times as large."""
        return Region(
            factor * self.top,
            factor * self.left,
            factor * self.height,
            factor * self.width,
        )


def _widened(begin: int, length: int, margin: int, end: int) -> tuple[int, int]:
    first = max(0, begin - margin) // STEP * STEP
    last = -(-(begin + length + margin) // STEP) * STEP
    return first, min(last, end)


def cut(frame: Frame, region: Region) -> Frame:
    """A part of a frame; its planes are views.

    Args:
        frame: not changed.
        region: begins at multiples of the chroma subsampling.
    """
    layout = frame.format
    chroma = Region(
        region.top >> layout.log2_chroma_h,
        region.left >> layout.log2_chroma_w,
        -(-region.height >> layout.log2_chroma_h),
        -(-region.width >> layout.log2_chroma_w),
    )
    planes: list[Plane] = []
    for number, plane in enumerate(frame.planes):
        is_chroma = layout.has_chroma and number in (1, 2)
        planes.append(plane[(chroma if is_chroma else region).slices])
    return replace(frame, planes=tuple(planes))


def most_of(values: NDArray[Any], height: int, width: int) -> Region:
    """The rectangle of that size with the greatest sum of ``values`` (H, W).

    It is the whole array along a side that is not longer.
    """
    height = min(values.shape[0], height)
    width = min(values.shape[1], width)
    # Sums of all pixels above and to the left of each corner give the sum of any rectangle.
    one_before = (1, 0)
    sums = np.pad(values.astype(np.float64), (one_before, one_before))
    sums = sums.cumsum(axis=0)
    sums = sums.cumsum(axis=1)
    row_sums = sums[height:] - sums[:-height]
    part_sums = row_sums[:, width:] - row_sums[:, :-width]
    index = int(part_sums.argmax())
    top, left = map(int, np.unravel_index(index, part_sums.shape))
    return Region(top, left, height, width)
