"""A folder of numbered pictures as an iterator of frames."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrcli.errors import InputError
from vsrcli.frame import (
    ColorTags,
    Damage,
    Frame,
    PixelFormat,
    Plane,
    StreamInfo,
    VideoInfo,
)
from vsrcli.frame_io import FrameSource
from vsrcli.images.folders import FramePattern, list_pictures, number_of
from vsrcli.images.stills import read_picture, read_tags
from vsrcli.picture.scenes import CutDetector
from vsrcli.timing import WHOLE, TimeRange

_RGB_MATRIX = 0
_FLOAT_BITS = 16
# Planes are green, blue, red and alpha; pictures have red, green, blue and alpha.
_CHANNELS = (1, 2, 0, 3)


class FolderReader(FrameSource):
    """The pictures of a folder, once, in the order of their numbers, one every 1/rate seconds.

    Colour pictures come as planes of green, blue and red (and alpha), gray ones as luma; 8 or 16
    bits as stored. 32-bit floating-point values are scaled to 16 bits: the ends of ``value_range``
    become black and white.

    Attributes:
        info: what is in the folder, described as a video.
        pattern: how the pictures are named.
        first: number of the first one.
        is_float: whether they are floating-point.
        damage: none; a picture that cannot be read raises.
    """

    def __init__(
        self,
        folder: Path,
        *,
        rate: Fraction,
        time_range: TimeRange = WHOLE,
        context: int = 0,
        value_range: tuple[float, float] | None = None,
    ) -> None:
        """List the folder and read its first picture.

        Args:
            folder: where the pictures are.
            rate: pictures per second.
            time_range: as in ``VideoReader``.
            context: as in ``VideoReader``.
            value_range: the values that are black and white in floating-point pictures.

        Raises:
            InputError: no sequence (see ``list_pictures``), a picture that cannot be read, or none
                in the range of time.
        """
        self._files = list_pictures(folder)
        self._rate = rate
        self._range = value_range
        self.damage = Damage()
        first_file = self._files[0]
        self.pattern = FramePattern.of(first_file)
        self.first = number_of(first_file)
        picture = read_picture(first_file, keep_alpha=True)
        self._kind = _kind(picture)
        self.is_float = picture.dtype == np.float32
        self._check_value_range(picture)
        self._format = _layout(picture)
        self.info = self._describe(folder, picture)
        count = len(self._files)
        end = time_range.end_within(self.info.duration) or Fraction(0)
        begin = max(0, math.ceil(time_range.begin * rate))
        stop = math.ceil(end * rate)
        if begin >= stop:
            raise InputError(
                f"{folder} gives no frame in that range: its {count} pictures last "
                f"{float(count / rate):.3f} s at {float(rate):g} a second"
            )
        self._first_time = begin / rate
        self._numbers = range(max(0, begin - context), min(count, stop + context))

    def __iter__(self) -> Iterator[Frame]:
        """See ``FrameSource.__iter__``.

        Raises:
            InputError: a picture cannot be read, is of another size or kind, or holds values
                outside the range.
        """
        detector = CutDetector()
        duration = 1 / self._rate
        for number in self._numbers:
            planes = self._planes(self._files[number])
            is_cut = detector.is_cut(planes[0], self._format.bits)
            time = number * duration
            yield Frame(
                planes,
                self._format,
                time,
                duration,
                scene_cut=is_cut,
            )

    def first_time(self) -> Fraction:
        """See ``FrameSource.first_time``."""
        return self._first_time

    def close(self) -> None:
        """Nothing stays open between two pictures."""

    def _check_value_range(self, picture: NDArray[Any]) -> None:
        first_file = self._files[0]
        if self.is_float and self._range is None:
            low = float(np.nanmin(picture))
            high = float(np.nanmax(picture))
            raise InputError(
                f"{first_file} holds floating-point values ({low:g} to {high:g}): "
                "say which become black and white with --range MIN MAX"
            )
        if self._range is not None and not self.is_float:
            raise InputError(
                f"{first_file} holds whole numbers ({picture.dtype}): "
                "--range is for floating-point pictures"
            )

    def _planes(self, file: Path) -> tuple[Plane, ...]:
        picture = read_picture(file, keep_alpha=True)
        kind = _kind(picture)
        if kind != self._kind:
            raise InputError(
                f"{file} is {kind}, the first picture {self._kind}: a sequence is of one kind"
            )
        if self._range is not None:
            picture = _scaled(picture, self._range, file)
        if picture.ndim == 2:
            return (picture,)
        channels = _CHANNELS[: picture.shape[2]]
        return tuple(
            np.ascontiguousarray(picture[:, :, channel]) for channel in channels
        )

    def _describe(self, folder: Path, picture: NDArray[Any]) -> VideoInfo:
        height, width = picture.shape[:2]
        codec = self.pattern.suffix.removeprefix(".")
        stream = StreamInfo(0, "video", codec)
        return VideoInfo(
            path=folder,
            container="folder",
            video=stream,
            streams=(stream,),
            start=Fraction(0),
            duration=len(self._files) / self._rate,
            width=width,
            height=height,
            pixel_format=self._format.name,
            format=self._format,
            tags=self._tags(),
            sample_aspect=None,
            rotation=0.0,
            interlaced=False,
            rate=self._rate,
            time_base=1 / self._rate,
        )

    def _tags(self) -> ColorTags:
        stored = read_tags(self._files[0])
        if self._format.is_rgb:
            return ColorTags("full", _RGB_MATRIX, stored.primaries, stored.transfer)
        return ColorTags(
            "limited" if stored.range == "limited" else "full",
            primaries=stored.primaries,
            transfer=stored.transfer,
        )


def _layout(picture: NDArray[Any]) -> PixelFormat:
    bits = {"uint8": 8, "uint16": 16}.get(picture.dtype.name, _FLOAT_BITS)
    name = "gray"
    if picture.ndim == 3:
        name = "gbrap" if picture.shape[2] == 4 else "gbrp"
    if bits > 8:
        name += f"{bits}le"
    layout = PixelFormat.parse(name)
    if layout is None:
        raise InputError(f"pictures of {bits} bits cannot be read")
    return layout


def _scaled(
    picture: NDArray[Any],
    value_range: tuple[float, float],
    file: Path,
) -> NDArray[np.uint16]:
    low, high = value_range
    if not np.isfinite(picture).all():
        raise InputError(f"{file} holds values that are not numbers")
    smallest = float(picture.min())
    largest = float(picture.max())
    if smallest < low or largest > high:
        raise InputError(
            f"{file} holds values from {smallest:g} to {largest:g}, "
            f"beyond --range {low:g} {high:g}: give a wider one"
        )
    peak = (1 << _FLOAT_BITS) - 1
    gain = peak / (high - low)
    codes = np.rint((picture.astype(np.float64) - low) * gain)
    return codes.astype(np.uint16)


def _kind(picture: NDArray[Any]) -> str:
    """Size, channels and sample type, for comparison and for messages."""
    height, width = picture.shape[:2]
    channels = "gray"
    if picture.ndim == 3:
        channels = "RGBA" if picture.shape[2] == 4 else "RGB"
    return f"{width}x{height} {channels} {picture.dtype}"
