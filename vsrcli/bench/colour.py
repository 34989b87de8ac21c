"""The colours of ground truth, for pictures: benchmarks score luma alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrcli.frame import ColorTags, Frame, PixelFormat, Plane
from vsrcli.picture.display import displayed
from vsrcli.picture.finish import finish_frame
from vsrcli.picture.matrices import SMPTE170M
from vsrcli.picture.region import Region, cut
from vsrcli.picture.resize import half
from vsrcli.picture.rgb import from_rgb, to_rgb

Bytes = NDArray[np.uint8]

# Pixels around a part that its colours depend on.
_MARGIN = 48
_PICTURE_TAGS = ColorTags("limited")


@dataclass(frozen=True, slots=True)
class Colour:
    """A ground-truth picture with its chroma.

    Attributes:
        frame: the picture: luma and chroma, or gray; without alpha.
        tags: its range, chroma siting, primaries and transfer.
        matrix: its matrix, code point of ITU-T H.273.
    """

    frame: Frame
    tags: ColorTags
    matrix: int

    @classmethod
    def of_video(cls, frame: Frame, tags: ColorTags, matrix: int | None) -> Colour:
        """That of a decoded frame; without a matrix it is gray."""
        planes = frame.planes[:3] if frame.format.has_chroma else frame.planes[:1]
        layout = frame.format.opaque
        if matrix is None:
            planes = planes[:1]
            layout = _gray_of(layout)
        opaque = replace(frame, planes=planes, format=layout)
        return cls(opaque, tags, SMPTE170M if matrix is None else matrix)

    @classmethod
    def of_picture(cls, rgb: Frame) -> Colour:
        """That of an RGB picture: its luma is that which benchmarks score (BT.601)."""
        suffix = "" if rgb.format.bits == 8 else f"{rgb.format.bits}le"
        layout = PixelFormat.parse(f"yuv444p{suffix}")
        assert layout is not None
        frame = from_rgb(rgb, layout, _PICTURE_TAGS, SMPTE170M)
        return cls(frame, _PICTURE_TAGS, SMPTE170M)

    def shown(self, part: Region) -> Bytes:
        """A part of the picture as it is: (H, W, 3), or (H, W) for gray."""
        outer = self._around(part)
        picture = displayed(cut(self.frame, outer), self.tags, self.matrix)
        return picture[part.within(outer).slices]

    def with_luma(self, luma: NDArray[Any], part: Region) -> Bytes:
        """A part of the picture with another luma, and chroma that was halved and doubled.

        Args:
            luma: (H, W) of the whole picture, on the scale of 8-bit codes.
            part: begins and ends anywhere.

        Returns:
            (H, W, 3), or (H, W) for gray.
        """
        outer = self._around(part)
        layout = self.frame.format
        values = luma[outer.slices].astype(np.float64)
        codes = np.rint(values * (1 << (layout.bits - 8)))
        plane: Any = np.clip(codes, 0, layout.peak).astype(layout.dtype)
        doubled = finish_frame(self._halved(outer), plane, self.tags)
        picture = displayed(doubled, self.tags, self.matrix)
        return picture[part.within(outer).slices]

    def _around(self, part: Region) -> Region:
        even_height = self.frame.height // 2 * 2
        even_width = self.frame.width // 2 * 2
        return part.with_margin(_MARGIN, even_height, even_width)

    def _halved(self, part: Region) -> Frame:
        """A part at half its size, with chroma as in a video of that size."""
        frame = cut(self.frame, part)
        layout = frame.format
        rgb = to_rgb(frame, self.tags, self.matrix, layout.bits)
        planes: list[Plane] = []
        for plane in rgb.planes:
            smaller = np.clip(np.rint(half(plane)), 0, rgb.format.peak)
            codes: Any = smaller.astype(rgb.format.dtype)
            planes.append(codes)
        small = replace(rgb, planes=tuple(planes))
        return from_rgb(small, layout, self.tags, self.matrix)


def _gray_of(layout: PixelFormat) -> PixelFormat:
    return PixelFormat("gray", layout.bits, 0, 0, has_chroma=False)
