"""Turning and mirroring frames as a display matrix asks for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from vsrcli.errors import InputError
from vsrcli.frame import ColorTags, Frame, PixelFormat, Plane
from vsrcli.picture.chroma import DEFAULT_LOCATION, SITING

# A matrix element that counts as zero: FFmpeg's numbers have 16 bits behind the point, and some writers round.
_ALMOST_ZERO = 64


@dataclass(frozen=True, slots=True)
class Orientation:
    """One of the eight ways to lay a picture: rows and columns swapped, then mirrored left-right, then upside down."""

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @classmethod
    def of_matrix(cls, matrix: tuple[int, ...]) -> Orientation:
        """The orientation that a display matrix stands for.

        Args:
            matrix: FFmpeg's nine numbers (a, b, u, c, d, v, x, y, w): a point (p, q) is shown at (a p + c q, b p + d q).

        Raises:
            InputError: the matrix turns by something else than quarters.
        """
        a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]
        if max(abs(b), abs(c)) <= _ALMOST_ZERO:
            return cls(False, a < 0, d < 0)
        if max(abs(a), abs(d)) <= _ALMOST_ZERO:
            return cls(True, c < 0, b < 0)
        raise InputError(
            "the display matrix turns the picture by no multiple of 90 degrees: it cannot be baked; leave --bake-rotation away"
        )

    def layout(self, format: PixelFormat) -> PixelFormat:
        """The pixel format of a turned frame: 4:2:2 becomes 4:4:0 and the other way round.

        Raises:
            InputError: it has no name: 4:1:1.
        """
        wide, high = format.log2_chroma_w, format.log2_chroma_h
        if not self.transpose or wide == high:
            return format
        turned = {"422": "440", "440": "422"}
        for one, other in turned.items():
            if (
                one in format.name
                and (parsed := PixelFormat.parse(format.name.replace(one, other)))
                is not None
            ):
                return parsed
        raise InputError(
            f"a picture of {format.name} cannot be turned: leave --bake-rotation away, which keeps the display rotation"
        )

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of a turned picture."""
        return (height, width) if self.transpose else (width, height)

    def aspect(self, sample_aspect: Fraction | None) -> Fraction | None:
        """Pixel width / height of a turned picture."""
        return 1 / sample_aspect if self.transpose and sample_aspect else sample_aspect

    def siting(self, tags: ColorTags) -> str:
        """Where the chroma samples of a turned frame lie, by a name of ``chroma.SITING``."""
        across, down = SITING[tags.chroma_location or DEFAULT_LOCATION]
        if self.transpose:
            across, down = down, across
        place = (
            1 - across if self.flip_x else across,
            1 - down if self.flip_y else down,
        )
        return next(name for name, found in SITING.items() if found == place)

    def turn(self, frame: Frame) -> Frame:
        """The frame turned; its planes are copies in C order.

        Raises:
            InputError: as ``layout``.
        """
        return replace(
            frame,
            planes=tuple(self._plane(plane) for plane in frame.planes),
            format=self.layout(frame.format),
        )

    def _plane(self, plane: Plane) -> Plane:
        turned: Any = plane.T if self.transpose else plane
        result: Plane = np.ascontiguousarray(
            turned[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]
        )
        return result
