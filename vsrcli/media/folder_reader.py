"""A folder of numbered pictures as an iterator of frames: the surface of ``VideoReader``."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
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
from vsrcli.media.folders import FramePattern, list_pictures, number_of
from vsrcli.media.scenes import CutDetector
from vsrcli.media.stills import read_picture, read_tags
from vsrcli.timing import WHOLE, TimeRange

_RGB = 0
_FLOAT_BITS = 16


class FolderReader:
    """The pictures of a folder, once, in the order of their numbers, one every 1/rate seconds.

    Colour pictures come as planes of green, blue and red (and alpha), gray ones as luma; 8 or 16 bits as stored. 32-bit floating-point ones come in 16 bits,
    black and white being the ends of ``value_range``.

    Attributes:
        info: what is in the folder, described as a video.
        pattern: how the pictures are called.
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
            folder: where they lie.
            rate: pictures a second.
            time_range: as in ``VideoReader``.
            context: the same.
            value_range: the values that are black and white in floating-point pictures.

        Raises:
            InputError: no sequence (see ``list_pictures``), a picture that cannot be read, or none in that range of time.
        """
        self._files = list_pictures(folder)
        self._rate, self._range = rate, value_range
        self.damage = Damage()
        self.pattern, self.first = (
            FramePattern.of(self._files[0]),
            number_of(self._files[0]),
        )
        picture = read_picture(self._files[0], keep_alpha=True)
        self._shape = picture.shape, picture.dtype
        self.is_float = picture.dtype == np.float32
        if self.is_float and value_range is None:
            low, high = float(np.nanmin(picture)), float(np.nanmax(picture))
            raise InputError(
                f"{self._files[0]} holds floating-point values ({low:g} to {high:g}): say which become black and white with --range MIN MAX"
            )
        if value_range is not None and not self.is_float:
            raise InputError(
                f"{self._files[0]} holds whole numbers ({picture.dtype}): --range is for floating-point pictures"
            )
        self._format = _layout(picture)
        self.info = self._describe(folder, picture)
        count = len(self._files)
        begin = max(0, math.ceil(time_range.begin * rate))
        stop = math.ceil((time_range.end_within(self.info.duration) or 0) * rate)
        if begin >= stop:
            raise InputError(
                f"{folder} gives no frame in that range: its {count} pictures last {float(count / rate):.3f} s at {float(rate):g} a second"
            )
        self._numbers = range(max(0, begin - context), min(count, stop + context))

    def __enter__(self) -> FolderReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Nothing stays open between two pictures."""

    def __iter__(self) -> Iterator[Frame]:
        """The frames.

        Raises:
            InputError: a picture cannot be read, is of another size or kind, or holds values outside the range.
        """
        detector = CutDetector()
        for number in self._numbers:
            planes = self._planes(self._files[number])
            is_cut = detector.is_cut(planes[0], self._format.bits)
            yield Frame(
                planes,
                self._format,
                number / self._rate,
                1 / self._rate,
                scene_cut=is_cut,
            )

    def _planes(self, file: Path) -> tuple[Plane, ...]:
        picture = read_picture(file, keep_alpha=True)
        if (picture.shape, picture.dtype) != self._shape:
            raise InputError(
                f"{file} is {_shown(picture.shape, picture.dtype)}, the first picture {_shown(*self._shape)}: a sequence is of one kind"
            )
        if self._range is not None:
            picture = _scaled(picture, self._range, file)
        if picture.ndim == 2:
            return (picture,)
        return tuple(
            np.ascontiguousarray(picture[:, :, channel])
            for channel in (1, 2, 0, 3)[: picture.shape[2]]
        )

    def _describe(self, folder: Path, picture: NDArray[Any]) -> VideoInfo:
        said, stream = (
            read_tags(self._files[0]),
            StreamInfo(0, "video", self.pattern.suffix.removeprefix(".")),
        )
        is_limited = picture.ndim == 2 and said.range == "limited"
        tags = ColorTags(
            "limited" if is_limited else "full",
            primaries=said.primaries,
            transfer=said.transfer,
        )
        if self._format.is_rgb:
            tags = ColorTags("full", _RGB, said.primaries, said.transfer)
        return VideoInfo(
            path=folder, container="folder", video=stream, streams=(stream,), start=Fraction(0), duration=len(self._files) / self._rate,
            width=picture.shape[1], height=picture.shape[0], pixel_format=self._format.name, format=self._format, tags=tags, sample_aspect=None,
            rotation=0.0, interlaced=False, rate=self._rate, time_base=1 / self._rate,
        )  # fmt: skip


def _layout(picture: NDArray[Any]) -> PixelFormat:
    bits = {"uint8": 8, "uint16": 16}.get(picture.dtype.name, _FLOAT_BITS)
    kind = "gray" if picture.ndim == 2 else "gbrap" if picture.shape[2] == 4 else "gbrp"
    layout = PixelFormat.parse(kind + ("" if bits == 8 else f"{bits}le"))
    if layout is None:
        raise InputError(f"pictures of {bits} bits cannot be read")
    return layout


def _scaled(
    picture: NDArray[Any], value_range: tuple[float, float], file: Path
) -> NDArray[np.uint16]:
    low, high = value_range
    if not np.isfinite(picture).all():
        raise InputError(f"{file} holds values that are no numbers")
    least, most = float(picture.min()), float(picture.max())
    if least < low or most > high:
        raise InputError(
            f"{file} holds values from {least:g} to {most:g}, beyond --range {low:g} {high:g}: give a wider one"
        )
    peak = (1 << _FLOAT_BITS) - 1
    return np.rint((picture.astype(np.float64) - low) * (peak / (high - low))).astype(
        np.uint16
    )


def _shown(shape: tuple[int, ...], dtype: Any) -> str:
    kind = "gray" if len(shape) == 2 else "RGBA" if shape[2] == 4 else "RGB"
    return f"{shape[1]}x{shape[0]} {kind} {dtype}"
