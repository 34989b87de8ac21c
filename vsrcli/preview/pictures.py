"""Doubled frames of a film as pictures: the part that is shown, turned as players turn it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vsrcli.errors import InputError, OptionError
from vsrcli.frame import ColorTags, Frame, Plane, VideoInfo
from vsrcli.options.parse import Crop
from vsrcli.picture.display import Bytes, displayed
from vsrcli.picture.finish import finish_frame
from vsrcli.picture.orientation import Orientation
from vsrcli.picture.region import Region, cut, most_of
from vsrcli.picture.rgb import to_rgb
from vsrcli.preflight.pictures import (
    Conversion,
    matrix_to_rgb,
    picture_tags,
    plan_conversion,
)
from vsrcli.preview.places import detail_of

# Pixels around a part that its colours depend on: the filters of chroma reach less far.
COLOUR_MARGIN_PX = 24
_DEFAULT_PART = Crop(480, 270)

# Doubled luma, and which part of the frame it is of.
Part = tuple[Plane, Region]


@dataclass(frozen=True, slots=True)
class Still:
    """One picture.

    Attributes:
        samples: (H, W, 3) R, G, B, (H, W, 4) with alpha, or (H, W) gray; 8 or 16 bits.
        shown: the same for an ordinary display: 8 bits, HDR tone-mapped, no alpha.
    """

    samples: NDArray[Any]
    shown: Bytes


class Painter:
    """Makes pictures of a film's frames.

    Attributes:
        conversion: what is done to frames before the network.
        tags: what PNG files say of their colours.
        pixel_aspect: width / height of a pixel of the pictures.

    Args:
        info: the film.

    Raises:
        InputError: its colours cannot be converted to RGB.
    """

    def __init__(self, info: VideoInfo) -> None:
        self.conversion: Conversion = plan_conversion(info, None, to_folder=False)
        self.tags = picture_tags(info)
        self._orientation = _orientation_of(info)
        self.pixel_aspect = self._orientation.aspect(info.sample_aspect) or Fraction(1)
        self._matrix = _matrix_of(info, self.conversion)
        self._bits = 8 if info.format.bits == 8 else 16

    def part(
        self, luma: Plane, bits: int, crop: Crop | Literal["all"] | None
    ) -> Region:
        """Which part of a frame is shown.

        Args:
            luma: of the frame, (H, W).
            bits: significant bits of a code.
            crop: what the user asks for, in the picture as it is displayed.

        Returns:
            The part of the frame as it is stored.

        Raises:
            OptionError: it is not within the picture.
        """
        height, width = luma.shape
        if crop == "all":
            return Region.whole(height, width)
        crop = crop or _DEFAULT_PART
        if crop.place is None:
            sides = self._orientation.size(crop.width, crop.height)
            return most_of(detail_of(luma, bits), sides[1], sides[0])
        size = self._orientation.size(width, height)
        left, top = crop.place
        if left + crop.width > size[0] or top + crop.height > size[1]:
            raise OptionError(
                f"--crop {crop} is not within the pictures, which have {size[0]}x{size[1]} pixels"
            )
        shown = Region(top, left, crop.height, crop.width)
        return self._as_stored(shown, size)

    def still(self, frame: Frame, doubled_luma: Part, part: Region) -> Still:
        """The picture of one method.

        Args:
            frame: the source's.
            doubled_luma: of what is shown and at least ``COLOUR_MARGIN_PX`` around it.
            part: what is shown, pixels of the frame.
        """
        outer = part.with_margin(COLOUR_MARGIN_PX, frame.height, frame.width)
        luma, region = doubled_luma
        doubled = finish_frame(
            cut(frame, outer),
            luma[outer.within(region).scaled(2).slices],
            self.conversion.tags,
            self.conversion.siting,
        )
        rgb = to_rgb(doubled, self.conversion.tags, self._matrix, self._bits)
        inner = cut(rgb, part.within(outer).scaled(2))
        turned = self._orientation.turn(inner)
        return Still(_samples(turned), self._displayed(turned))

    def displayed_size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of a picture once it is turned."""
        return self._orientation.size(width, height)

    def _displayed(self, picture: Frame) -> Bytes:
        tags: ColorTags = replace(self.conversion.tags, range="full")
        return displayed(picture, tags, self._matrix)

    def _as_stored(self, shown: Region, size: tuple[int, int]) -> Region:
        """A part of the turned picture, of that width and height, before it was turned."""
        width, height = size
        top = shown.top
        left = shown.left
        if self._orientation.flip_x:
            left = width - left - shown.width
        if self._orientation.flip_y:
            top = height - top - shown.height
        if self._orientation.transpose:
            return Region(left, top, shown.width, shown.height)
        return Region(top, left, shown.height, shown.width)


def _orientation_of(info: VideoInfo) -> Orientation:
    """How players turn the pictures; not at all, where it is by another angle."""
    if info.display_matrix is None:
        return Orientation()
    try:
        return Orientation.of_matrix(info.display_matrix)
    except InputError:
        return Orientation()


def _matrix_of(info: VideoInfo, conversion: Conversion) -> int:
    if conversion.layout is not None:
        return conversion.matrix
    try:
        return matrix_to_rgb(info)
    except ValueError as error:
        raise InputError(
            f"{info.path}: {error}: upscale a few seconds of it, with --start and --end"
        ) from error


def _samples(picture: Frame) -> NDArray[Any]:
    if not picture.format.is_rgb:
        return np.ascontiguousarray(picture.luma)
    green, blue, red, *alpha = picture.planes
    return np.stack([red, green, blue, *alpha], axis=2)
