"""Turning and mirroring frames as a display matrix asks for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from vsrcli.errors import InputError
from vsrcli.frame import ColorTags, Frame, PixelFormat, Plane
from vsrcli.picture.chroma import DEFAULT_LOCATION, SITING

# A matrix element up to this counts as zero: FFmpeg's numbers have 16 fractional bits,
# and some writers round.
_ALMOST_ZERO = 64


@dataclass(frozen=True, slots=True)
class Orientation:
    """One of the eight orientations of a picture.

    Attributes:
        transpose: whether rows and columns are swapped, before any mirroring.
        flip_x: whether left and right are swapped.
        flip_y: whether top and bottom are swapped.
    """

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @classmethod
    def of_matrix(cls, matrix: tuple[int, ...]) -> Orientation:
        """Return the orientation that a display matrix describes.

        Args:
            matrix: FFmpeg's nine numbers (a, b, u, c, d, v, x, y, w): a point (p, q) is displayed
                at (a p + c q, b p + d q).

        Raises:
            InputError: the matrix rotates by an angle that is not a multiple of 90 degrees.
        """
        a, b, _, c, d, *_ = matrix
        if max(abs(b), abs(c)) <= _ALMOST_ZERO:
            return cls(transpose=False, flip_x=a < 0, flip_y=d < 0)
        if max(abs(a), abs(d)) <= _ALMOST_ZERO:
            return cls(transpose=True, flip_x=c < 0, flip_y=b < 0)
        raise InputError(
            "the display matrix does not turn the picture by a multiple of 90 degrees: "
            "it cannot be baked; omit --bake-rotation"
        )

    def layout(self, format: PixelFormat) -> PixelFormat:
        """Return the pixel format of a turned frame: 4:2:2 turns into 4:4:0 and vice versa.

        Raises:
            InputError: FFmpeg has no such format (4:1:1 turned).
        """
        is_square = format.log2_chroma_w == format.log2_chroma_h
        if not self.transpose or is_square:
            return format
        for old, new in (("422", "440"), ("440", "422")):
            if old not in format.name:
                continue
            turned = PixelFormat.parse(format.name.replace(old, new))
            if turned is not None:
                return turned
        raise InputError(
            f"a picture of {format.name} cannot be turned: "
            "omit --bake-rotation, which keeps the display rotation"
        )

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of a turned picture."""
        return (height, width) if self.transpose else (width, height)

    def aspect(self, sample_aspect: Fraction | None) -> Fraction | None:
        """Pixel width / height of a turned picture."""
        if self.transpose and sample_aspect:
            return 1 / sample_aspect
        return sample_aspect

    def siting(self, tags: ColorTags) -> str:
        """Where the chroma samples of a turned frame lie, by a name of ``chroma.SITING``."""
        across, down = SITING[tags.chroma_location or DEFAULT_LOCATION]
        if self.transpose:
            across, down = down, across
        if self.flip_x:
            across = 1 - across
        if self.flip_y:
            down = 1 - down
        names = {place: name for name, place in SITING.items()}
        return names[across, down]

    def turn(self, frame: Frame) -> Frame:
        """Return the turned frame; its planes are copies in C order.

        Raises:
            InputError: as ``layout``.
        """
        planes = tuple(self._turn_plane(plane) for plane in frame.planes)
        return replace(frame, planes=planes, format=self.layout(frame.format))

    def _turn_plane(self, plane: Plane) -> Plane:
        turned: Any = plane.T if self.transpose else plane
        if self.flip_y:
            turned = turned[::-1]
        if self.flip_x:
            turned = turned[:, ::-1]
        result: Plane = np.ascontiguousarray(turned)
        return result
