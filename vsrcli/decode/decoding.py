"""From FFmpeg's decoded pictures to frames: device, fields, times, and planes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from av.codec.hwaccel import HWAccel, hwdevices_available
from av.filter import Graph
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from vsrcli.decode.caption_reader import PictureMark
from vsrcli.decode.delivered import is_rgb
from vsrcli.decode.input_file import find_video, open_input
from vsrcli.frame import Cropping, PixelFormat, Plane
from vsrcli.picture.value_range import with_range

log = logging.getLogger(__name__)

_GRAY_WITH_ALPHA: dict[str, np.dtype[Any]] = {
    "ya8": np.dtype("u1"),
    "ya16le": np.dtype("<u2"),
    "ya16be": np.dtype(">u2"),
}


def device_for(path: Path, hwaccel: Literal["auto", "none", "cuda"]) -> HWAccel | None:
    """A device that decodes the video, tried on its first frame; None for software.

    Args:
        path: the file.
        hwaccel: ``none``; ``cuda`` warns if there is no device, ``auto`` does not.
    """
    if hwaccel == "none":
        return None
    report = log.info if hwaccel == "auto" else log.warning
    if "cuda" not in hwdevices_available():
        report("%s: this FFmpeg has no CUDA decoding: decoding in software", path)
        return None
    try:
        device = HWAccel("cuda", allow_software_fallback=True)
        with open_input(path, hwaccel=device) as container:
            stream = find_video(container, path)
            next(container.decode(stream))
            if stream.codec_context.is_hwaccel:
                return device
        reason = "the GPU does not decode this kind of video"
    except (av.FFmpegError, OSError, RuntimeError, StopIteration) as error:
        cause = getattr(error, "strerror", None) or error
        reason = f"no decoding on a GPU ({cause})"
    report("%s: %s: decoding in software", path, reason)
    return None


class PictureClock:
    """Times of pictures in presentation order, counted from the beginning of their file.

    Attributes:
        time: of the last picture, seconds; None before the first.
    """

    def __init__(
        self,
        start: Fraction,
        spacing: Fraction,
    ) -> None:
        """Start before the first picture.

        Args:
            start: time of the file's beginning on its own clock, seconds.
            spacing: length of an average frame, seconds.
        """
        self.time: Fraction | None = None
        self._start = start
        self._spacing = spacing

    def advance(self, picture: av.VideoFrame) -> Fraction:
        """Time of the next picture, seconds; ``VideoReader`` says how gaps are filled."""
        if picture.pts is not None and picture.time_base is not None:
            time = picture.pts * picture.time_base - self._start
        elif self.time is None:
            time = Fraction(0)
        else:
            time = self.time + self._spacing
        self.time = time
        return time


class Unpacker:
    """Gives the planes of decoded pictures; planar ones are not copied."""

    def __init__(
        self,
        stored: str,
        layout: PixelFormat,
        cropping: Cropping,
        *,
        is_full_range: bool,
    ) -> None:
        """Plan the conversion.

        Args:
            stored: FFmpeg's name of the pictures' format.
            layout: the layout to deliver (``delivered_format``).
            cropping: what to leave out of the pictures.
            is_full_range: whether codes of luma and chroma are delivered as full range.
        """
        self._is_full_range = is_full_range
        self._layout = layout
        self._cropping = cropping
        self._needs_matrix = is_rgb(stored) and not layout.is_rgb
        self._has_palette = av.VideoFormat(stored).has_palette

    def planes(self, picture: av.VideoFrame) -> tuple[Plane, ...]:
        """The picture's planes, ordered as in ``Frame``.

        They are views of its memory, or of a converted picture's.
        """
        planes = self._whole_planes(picture)
        if self._has_other_range(picture):
            planes = with_range(planes, self._layout, is_full=self._is_full_range)
        if not self._cropping:
            return planes
        cropping = self._cropping
        luma_shape = planes[0].shape
        width = picture.width - cropping.left - cropping.right
        height = picture.height - cropping.top - cropping.bottom
        chroma_width, chroma_height = self._layout.chroma_size(width, height)
        chroma_left = cropping.left >> self._layout.log2_chroma_w
        chroma_top = cropping.top >> self._layout.log2_chroma_h
        cropped = []
        for number, plane in enumerate(planes):
            part = (cropping.left, cropping.top, width, height)
            if number in (1, 2) and plane.shape != luma_shape:
                part = (chroma_left, chroma_top, chroma_width, chroma_height)
            left, top, columns, rows = part
            cropped.append(plane[top : top + rows, left : left + columns])
        return tuple(cropped)

    def _has_other_range(self, picture: av.VideoFrame) -> bool:
        """Whether a picture says that its range is not the one to deliver."""
        name = picture.format.name
        if not self._layout.has_chroma or self._layout.is_rgb or is_rgb(name):
            return False
        if name.startswith("yuvj"):
            return not self._is_full_range
        other = ColorRange.MPEG if self._is_full_range else ColorRange.JPEG
        return picture.color_range == other

    def _whole_planes(self, picture: av.VideoFrame) -> tuple[Plane, ...]:
        layout = self._layout
        if picture.format.name in _GRAY_WITH_ALPHA:
            return self._gray_with_alpha(picture)
        name = picture.format.name.replace("yuvj", "yuv")
        if name != layout.name and name.replace("yuva", "yuv") != layout.name:
            picture = self._converted(picture)
        luma_shape = (picture.height, picture.width)
        shapes = [luma_shape]
        if layout.has_chroma:
            width, height = layout.chroma_size(picture.width, picture.height)
            shapes += 2 * [(height, width)]
        if layout.has_alpha:
            shapes.append(luma_shape)
        planes = []
        for shape, plane in zip(shapes, picture.planes, strict=False):
            planes.append(_view(plane, shape, layout.dtype))
        return tuple(planes)

    def _converted(self, picture: av.VideoFrame) -> av.VideoFrame:
        # in one thread: with several, swscale writes eight wrong samples of chroma now and then
        # (once in some hundred pictures of p010)
        name = self._layout.name
        if self._needs_matrix:
            return picture.reformat(
                format=name,
                dst_colorspace=Colorspace.ITU709,
                dst_color_range=ColorRange.MPEG,
                threads=1,
            )
        if self._has_palette:
            # rgb24 first: from there on only bytes move
            picture = picture.reformat(format="rgb24", threads=1)
        return picture.reformat(format=name, threads=1)

    def _gray_with_alpha(self, picture: av.VideoFrame) -> tuple[Plane, ...]:
        """Gray as luma with neutral chroma, and alpha; they are stored in pairs."""
        stored = _GRAY_WITH_ALPHA[picture.format.name]
        dtype = self._layout.dtype
        plane = picture.planes[0]
        pairs: NDArray[Any] = np.ndarray(
            (picture.height, picture.width, 2),
            stored,
            buffer=memoryview(plane),
            strides=(plane.line_size, 2 * stored.itemsize, stored.itemsize),
        )
        gray: Any = np.ascontiguousarray(pairs[..., 0].astype(dtype))
        if not self._layout.has_chroma:
            return (gray,)  # alpha that means nothing
        alpha: Any = np.ascontiguousarray(pairs[..., 1].astype(dtype))
        neutral: Any = np.full_like(gray, 1 << (self._layout.bits - 1))
        return gray, neutral, neutral, alpha


def _view(
    plane: Any,
    shape: tuple[int, int],
    dtype: type[np.uint8] | type[np.uint16],
) -> Plane:
    """Samples of a plane of FFmpeg's, without a copy."""
    itemsize = np.dtype(dtype).itemsize
    return np.ndarray(
        shape,
        dtype,
        buffer=memoryview(plane),
        strides=(plane.line_size, itemsize),
    )


def deinterlaced(
    pictures: Iterator[av.VideoFrame], *, per_field: bool = False
) -> Iterator[av.VideoFrame]:
    """Combine the fields of interlaced pictures into whole frames; progressive ones pass unchanged.

    Args:
        pictures: decoded, in presentation order.
        per_field: make a frame of each field of an interlaced picture, half a picture's time apart.
    """
    mode = "send_field" if per_field else "send_frame"
    graph: Graph | None = None
    for picture in pictures:
        if per_field:
            picture.opaque = PictureMark()
        if graph is None:
            # the filter holds a frame back: nothing goes through it before the first picture that
            # needs it
            if not picture.interlaced_frame:
                yield picture
                continue
            graph = _filter_graph(picture, f"mode={mode}:deint=interlaced")
        graph.push(picture)
        yield from _pull(graph)
    if graph is not None:
        graph.push(None)
        yield from _pull(graph)


def _filter_graph(picture: av.VideoFrame, settings: str) -> Graph:
    """A graph with bwdif, for pictures like this one."""
    graph = Graph()
    source = graph.add_buffer(
        width=picture.width,
        height=picture.height,
        format=picture.format,
        time_base=picture.time_base or Fraction(0),
    )
    bwdif = graph.add("bwdif", settings)
    sink = graph.add("buffersink")
    source.link_to(bwdif)
    bwdif.link_to(sink)
    graph.configure()
    return graph


def _pull(graph: Graph) -> Iterator[Any]:
    while True:
        try:
            yield graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return
