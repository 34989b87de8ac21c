"""Between FFmpeg's decoded pictures and frames: the decoding device, fields woven into whole pictures, packed samples into planes."""

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

from vsrcli.frame import PixelFormat, Plane
from vsrcli.media.probe import find_video, is_rgb, open_input

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
        hwaccel: ``none``; ``auto`` and ``cuda`` differ in whether it is worth a warning that there is none.
    """
    if hwaccel == "none":
        return None
    say = log.info if hwaccel == "auto" else log.warning
    if "cuda" not in hwdevices_available():
        say("%s: this FFmpeg has no CUDA decoding: decoding in software", path)
        return None
    try:
        device = HWAccel("cuda", allow_software_fallback=True)
        with open_input(path, hwaccel=device) as container:
            stream = find_video(container, path)
            next(container.decode(stream))
            if stream.codec_context.is_hwaccel:
                return device
        say(
            "%s: the GPU does not decode this kind of video: decoding in software", path
        )
    except (av.FFmpegError, OSError, RuntimeError, StopIteration) as error:
        say(
            "%s: no decoding on a GPU (%s): decoding in software",
            path,
            getattr(error, "strerror", None) or error,
        )
    return None


class Unpacker:
    """Turns decoded pictures into planes of one layout, without a copy where they are planar already."""

    def __init__(self, stored: str, layout: PixelFormat) -> None:
        """Plan it.

        Args:
            stored: FFmpeg's name of the pictures' format.
            layout: what is wanted (``probe.delivered_format``).
        """
        self._layout = layout
        self._needs_matrix = is_rgb(stored) and not layout.is_rgb
        self._has_palette = av.VideoFormat(stored).has_palette

    def planes(self, picture: av.VideoFrame) -> tuple[Plane, ...]:
        """The picture's planes in the order of ``Frame.planes``; views of its memory, or of a converted one's."""
        layout = self._layout
        if picture.format.name in _GRAY_WITH_ALPHA:
            return self._gray_with_alpha(picture)
        if picture.format.name.replace("yuvj", "yuv") != layout.name:
            picture = self._converted(picture)
        shapes = [(picture.height, picture.width)]
        if layout.has_chroma:
            shapes += 2 * [layout.chroma_size(picture.width, picture.height)[::-1]]
        if layout.has_alpha:
            shapes.append(shapes[0])
        itemsize = np.dtype(layout.dtype).itemsize
        return tuple(
            np.ndarray(
                shape,
                layout.dtype,
                buffer=memoryview(plane),
                strides=(plane.line_size, itemsize),
            )
            for shape, plane in zip(shapes, picture.planes, strict=False)
        )

    def _converted(self, picture: av.VideoFrame) -> av.VideoFrame:
        # in one thread: with several, swscale now and then writes eight wrong samples of chroma (once in some hundred pictures of p010)
        name = self._layout.name
        if self._needs_matrix:
            return picture.reformat(
                format=name,
                dst_colorspace=Colorspace.ITU709,
                dst_color_range=ColorRange.MPEG,
                threads=1,
            )
        if self._has_palette:
            picture = picture.reformat(
                format="rgb24", threads=1
            )  # from there on only bytes move
        return picture.reformat(format=name, threads=1)

    def _gray_with_alpha(self, picture: av.VideoFrame) -> tuple[Plane, ...]:
        stored, wanted = _GRAY_WITH_ALPHA[picture.format.name], self._layout.dtype
        plane = picture.planes[0]
        strides = (plane.line_size, 2 * stored.itemsize, stored.itemsize)
        pairs = np.ndarray(
            (picture.height, picture.width, 2),
            stored,
            buffer=memoryview(plane),
            strides=strides,
        ).astype(wanted)
        neutral: Any = np.full(
            (picture.height, picture.width), 1 << (self._layout.bits - 1), wanted
        )
        return (
            np.ascontiguousarray(pairs[..., 0]),
            neutral,
            neutral,
            np.ascontiguousarray(pairs[..., 1]),
        )


def deinterlaced(
    pictures: Iterator[av.VideoFrame], *, per_field: bool = False
) -> Iterator[av.VideoFrame]:
    """Weave the fields of interlaced pictures into whole frames; progressive ones pass untouched.

    Args:
        pictures: decoded, in the order of presentation.
        per_field: whether each field of an interlaced picture becomes a frame of its own, half a picture's time apart.
    """
    graph: Graph | None = None
    unit = Fraction(0)
    for picture in pictures:
        if graph is None:
            # the filter holds a frame back: nothing goes through it before the first picture that needs it
            if not picture.interlaced_frame:
                yield picture
                continue
            graph, unit = Graph(), picture.time_base or Fraction(0)
            source = graph.add_buffer(
                width=picture.width,
                height=picture.height,
                format=picture.format,
                time_base=unit,
            )
            filtered, sink = (
                graph.add(
                    "bwdif",
                    f"mode={'send_field' if per_field else 'send_frame'}:deint=interlaced",
                ),
                graph.add("buffersink"),
            )
            source.link_to(filtered)
            filtered.link_to(sink)
            graph.configure()
        graph.push(picture)
        yield from _pull(graph)
    if graph is not None:
        graph.push(None)
        yield from _pull(graph)


def _pull(graph: Graph) -> Iterator[Any]:
    while True:
        try:
            yield graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return
