"""Luma pictures of a video or a folder as a stream; their colours go with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrcli.bench.colour import Colour
from vsrcli.bench.excerpts import WHOLE, Excerpt
from vsrcli.errors import InputError
from vsrcli.frame import Frame, VideoInfo
from vsrcli.images.folders import list_pictures
from vsrcli.images.stills import read_picture
from vsrcli.paths import check_source
from vsrcli.picture.color import rgb_to_luma
from vsrcli.picture.matrices import matrix_of
from vsrcli.picture.rgb import rgb_layout
from vsrcli.timing import TimeRange

# Luma on the scale of 8-bit codes, 0..255: uint8 if the source has 8 bits, otherwise float64 with
# the source's own steps.
Luma = NDArray[np.uint8] | NDArray[np.float64]

_DEFAULT_VIDEO_RATE = 25.0
_FOLDER_RATE = 30.0


@dataclass(frozen=True, slots=True)
class Picture:
    """One luma picture.

    Attributes:
        luma: (H, W) on the scale of 8-bit codes.
        time: seconds, or None without timestamps.
        colour: makes the picture with its colours; None: it has none.
        is_context: whether it only surrounds the pictures that were asked for.
        follows_gap: whether pictures are left out between it and the one scored before it.
    """

    luma: Luma
    time: Fraction | None
    colour: Callable[[], Colour] | None = None
    is_context: bool = False
    follows_gap: bool = False


class Source:
    """Luma pictures of a video or a folder, read again by each iteration.

    Args:
        path: a video file, or a folder of numbered pictures of 8 or 16 bits or 32-bit float.
        peak: value of floating-point data that corresponds to code 255.

    Attributes:
        width, height: of the pictures, pixels.
        count: number of pictures, or None if only reading them would tell.
        rate: pictures per second.
        has_times: whether it is a video.
        is_float: whether the data are floating-point numbers.
        pixel_aspect: width / height of a pixel.

    Raises:
        InputError: missing, unreadable, or a folder that is not a sequence.
    """

    def __init__(self, path: Path, peak: float = 255.0) -> None:
        self.path = path
        self._peak = peak
        self._files: list[Path] = []
        self._info: VideoInfo | None = None
        self.is_float = False
        self.pixel_aspect = Fraction(1)
        self.count: int | None = None
        check_source(path)
        if path.is_dir():
            self._open_folder()
        else:
            self._open_video()

    def __iter__(self) -> Iterator[Picture]:
        return self.read(WHOLE)

    @property
    def has_times(self) -> bool:
        """Whether it is a video."""
        return self._info is not None

    def read(self, excerpt: Excerpt, margin: int = 0) -> Iterator[Picture]:
        """Some pictures, with at most ``margin`` more before them, and those after them.

        Reading goes on behind the last one, for those who look ahead; a video that has an ``end``
        gives ``margin`` more after it.

        Raises:
            InputError: no frame where there should be one, or a damaged file.
        """
        if self._info is None:
            return self._read_folder(excerpt, margin)
        if excerpt.start is None and excerpt.number:
            return _numbered(self._read_video(self._info, WHOLE, 0), excerpt, margin)
        return self._read_video(self._info, excerpt, margin)

    def _open_folder(self) -> None:
        self._files = list_pictures(self.path)
        first = read_picture(self._files[0])
        self.height, self.width = first.shape[:2]
        self.count = len(self._files)
        self.rate = _FOLDER_RATE
        self.is_float = first.dtype == np.float32

    def _open_video(self) -> None:
        # Imported here: a training pack can be benchmarked where there is no FFmpeg.
        from vsrcli.decode.probe import probe

        info = probe(self.path)
        self._info = info
        self.width = info.width
        self.height = info.height
        self.rate = float(info.rate or _DEFAULT_VIDEO_RATE)
        self.pixel_aspect = info.sample_aspect or Fraction(1)
        if info.duration is not None and info.rate is not None:
            self.count = round(info.duration * info.rate)

    def _read_folder(self, excerpt: Excerpt, margin: int) -> Iterator[Picture]:
        first = max(0, excerpt.number - margin)
        for number, file in enumerate(self._files[first:], start=first):
            picture = read_picture(file)
            height, width = picture.shape[:2]
            has_other_size = width != self.width or height != self.height
            if has_other_size:
                raise InputError(
                    f"{file} has {width}x{height} pixels, "
                    f"but the pictures before it have {self.width}x{self.height}"
                )
            luma = _luma_of_file(picture, self._peak)
            yield Picture(
                luma,
                time=None,
                colour=_colour_of_file(picture),
                is_context=number < excerpt.number,
            )

    def _read_video(
        self,
        info: VideoInfo,
        excerpt: Excerpt,
        margin: int,
    ) -> Iterator[Picture]:
        from vsrcli.decode.reader import VideoReader

        bits = info.format.bits
        matrix = _matrix_of(info)
        time_range = TimeRange(excerpt.start, excerpt.end)
        with VideoReader(
            info,
            time_range=time_range,
            context=margin,
            allow_empty=excerpt.may_be_empty,
        ) as reader:
            for frame in reader:
                luma = _on_8_bit_scale(frame.luma, bits)
                colour = partial(Colour.of_video, frame, info.tags, matrix)
                is_context = not time_range.contains(frame.time)
                yield Picture(luma, frame.time, colour, is_context)


def _numbered(
    pictures: Iterator[Picture],
    excerpt: Excerpt,
    margin: int,
) -> Iterator[Picture]:
    """Pictures from a number on, with ``margin`` before them."""
    for number, picture in enumerate(pictures):
        if number >= excerpt.number - margin:
            yield replace(picture, is_context=number < excerpt.number)


def _matrix_of(info: VideoInfo) -> int | None:
    """The matrix of a video's colours; None where they cannot be shown."""
    if info.needs_dolby_vision:
        return None
    try:
        return matrix_of(info.tags, info.width, info.height)
    except ValueError:
        return None


def _colour_of_file(picture: NDArray[Any]) -> Callable[[], Colour] | None:
    """The colours of a picture file (H, W, 3); those of data and gray pictures are none."""
    if picture.dtype == np.float32 or picture.ndim == 2:
        return None
    bits = 8 if picture.dtype == np.uint8 else 16
    red, green, blue = (picture[:, :, channel] for channel in range(3))
    layout = rgb_layout(bits, alpha=False)
    return partial(Colour.of_picture, Frame((green, blue, red), layout, Fraction(0)))


def _on_8_bit_scale(codes: NDArray[Any], bits: int) -> Luma:
    if bits == 8:
        return codes.astype(np.uint8)
    steps_per_code = 1 << (bits - 8)
    return codes.astype(np.float64) / steps_per_code


def _luma_of_file(picture: NDArray[Any], peak: float) -> Luma:
    """Luma of a picture (H, W) or (H, W, 3)."""
    if picture.dtype == np.float32:
        gray = picture.astype(np.float64)
        if picture.ndim == 3:
            gray = picture.mean(axis=2, dtype=np.float64)
        return np.asarray(gray * (255.0 / peak))
    is_8_bit = picture.dtype == np.uint8
    if picture.ndim == 3:
        luma = rgb_to_luma(picture)
        if is_8_bit:
            return np.rint(luma).astype(np.uint8)
        return luma.astype(np.float64)
    if is_8_bit:
        return picture
    return picture.astype(np.float64) / 257.0
