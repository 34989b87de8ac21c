"""Frames into the pictures that an encoder takes: shared without a copy, or converted."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

import av
import numpy as np
from av.filter import Graph
from av.video.reformatter import VideoReformatter

from vsrcli.frame import ColorTags, Frame, PixelFormat, Plane

_RANGE_NUMBERS = {None: 0, "limited": 1, "full": 2}
_SUBSAMPLING_NAMES = {
    (0, 0): "444",
    (0, 1): "440",
    (1, 0): "422",
    (1, 1): "420",
    (2, 0): "411",
    (2, 2): "410",
}
# swscale counts chroma positions in 256ths of a luma pixel.
_HALF_PIXEL = 128


class FrameConverter:
    """Makes pictures of one format from frames of another.

    The colour space stays as it is, and the range too unless told otherwise.
    """

    def __init__(
        self,
        source: PixelFormat,
        target: PixelFormat,
        tags: ColorTags,
        *,
        full_range: bool,
        share: bool,
    ) -> None:
        """Plan the conversion.

        Args:
            source: the frames' format.
            target: the encoder's format.
            tags: the frames' colours.
            full_range: whether the encoder is given full-range codes.
            share: whether the encoder may be given the frame's own memory.
        """
        self._frame_format = source
        self._target = target
        self._tags = tags
        self._to_full = full_range
        self._share = share
        # the frames' format with the alpha that the target has
        self._source = source.opaque
        if target.has_alpha:
            self._source = source if source.has_alpha else _with_alpha(source)
        # swscale takes gray as full range, whatever it is told: gray goes through it as YUV with
        # neutral chroma
        self._scaled = target
        if not target.has_chroma:
            if source.has_chroma:
                self._scaled = _yuv_format(_sampling(self._source), target.bits)
            else:
                self._scaled = _yuv_format((1, 1), target.bits)
        self._changes_range = tags.is_full_range != full_range
        self._is_direct = not self._changes_range and _same_samples(
            self._source, target
        )
        self._reformatter = VideoReformatter()
        self._graph: Graph | None = None

    def convert(self, frame: Frame) -> av.VideoFrame:
        """Make a picture.

        Args:
            frame: planes of the source format; they must not change afterwards.

        Returns:
            A picture of the target format, tagged with the frame's colours; its time is not set.
        """
        planes = self._with_target_alpha(frame.planes)
        picture = self._as_picture(planes)
        picture.color_range = _RANGE_NUMBERS[self._range_tag()]
        picture.colorspace = self._tags.matrix
        picture.color_primaries = self._tags.primaries
        picture.color_trc = self._tags.transfer
        return picture

    def _range_tag(self) -> Literal["limited", "full"] | None:
        if self._to_full:
            return "full"
        return "limited" if self._tags.range == "limited" else None

    def _with_target_alpha(self, planes: tuple[Plane, ...]) -> tuple[Plane, ...]:
        """The planes without alpha that the target does not have, or with opaque alpha added."""
        source = self._frame_format
        if source.has_alpha and not self._target.has_alpha:
            return planes[:-1]
        if self._target.has_alpha and not source.has_alpha:
            opaque = _filled(planes[0].shape, source.peak, source)
            return (*planes, opaque)
        return planes

    def _as_picture(self, planes: tuple[Plane, ...]) -> av.VideoFrame:
        if self._is_direct:
            return _wrap(planes, self._target.name, share=self._share)
        layout = self._source
        if layout.is_rgb:
            return self._reformatter.reformat(
                _wrap(planes, layout.name, share=False),
                format=self._target.name,
                threads=1,
            )
        height, width = planes[0].shape
        if not layout.has_chroma:
            layout = _yuv_format(_sampling(self._scaled), layout.bits)
            chroma_width, chroma_height = layout.chroma_size(width, height)
            middle = 1 << (layout.bits - 1)
            neutral = _filled((chroma_height, chroma_width), middle, layout)
            planes = (planes[0], neutral, neutral)
        picture = _wrap(planes, layout.name, share=False)
        if self._changes_range or not _same_samples(layout, self._scaled):
            picture = self._scale(picture, layout)
        if self._target.has_chroma:
            return picture
        luma = _view(
            picture,
            0,
            self._target.dtype,
            height,
            width,
        )
        return _wrap((luma,), self._target.name, share=False)

    def _scale(self, picture: av.VideoFrame, layout: PixelFormat) -> av.VideoFrame:
        """Change subsampling, depth or range, and leave chroma at the luma it belongs to.

        The plain reformatter takes chroma as centred in some formats.
        """
        if self._graph is None:
            self._graph = self._scale_graph(picture, layout)
        self._graph.push(picture)
        return self._graph.vpull()

    def _scale_graph(self, picture: av.VideoFrame, layout: PixelFormat) -> Graph:
        location = self._tags.chroma_location
        settings = {
            "flags": "bicubic+accurate_rnd+bitexact",
            "in_range": "full" if self._tags.is_full_range else "limited",
            "out_range": "full" if self._to_full else "limited",
        }
        for side, format in (("in", layout), ("out", self._scaled)):
            across, down = _chroma_position(format, location)
            settings[f"{side}_h_chr_pos"] = str(across)
            settings[f"{side}_v_chr_pos"] = str(down)
        joined = ":".join(f"{name}={value}" for name, value in settings.items())
        graph = Graph()
        graph.threads = 1  # see Unpacker
        source = graph.add_buffer(
            width=picture.width,
            height=picture.height,
            format=picture.format,
            time_base=Fraction(1, 25),
        )
        scale = graph.add("scale", joined)
        format_filter = graph.add("format", self._scaled.name)
        sink = graph.add("buffersink")
        source.link_to(scale)
        scale.link_to(format_filter)
        format_filter.link_to(sink)
        graph.configure()
        return graph


def _chroma_position(layout: PixelFormat, location: str | None) -> tuple[int, int]:
    """Where the first chroma sample is, across and down, 256ths of a luma pixel.

    Subsampling other than 4:2:0 always has it on the left.
    """
    centre_across = _HALF_PIXEL * ((1 << layout.log2_chroma_w) - 1)
    centre_down = _HALF_PIXEL * ((1 << layout.log2_chroma_h) - 1)
    is_420 = _sampling(layout) == (1, 1)
    name = location if is_420 and location is not None else "left"
    across = 0 if name.endswith("left") else centre_across
    if name.startswith("top"):
        return across, 0
    if name.startswith("bottom"):
        return across, 2 * centre_down
    return across, centre_down


def _sampling(layout: PixelFormat) -> tuple[int, int]:
    return layout.log2_chroma_w, layout.log2_chroma_h


def _with_alpha(layout: PixelFormat) -> PixelFormat:
    name = layout.name.replace("yuvj", "yuv")
    name = name.replace("yuv", "yuva")
    name = name.replace("gbrp", "gbrap")
    return PixelFormat(
        name,
        layout.bits,
        layout.log2_chroma_w,
        layout.log2_chroma_h,
        layout.has_chroma,
        has_alpha=True,
        is_rgb=layout.is_rgb,
    )


def _filled(
    shape: tuple[int, ...],
    value: int,
    layout: PixelFormat,
) -> Plane:
    plane = np.full(shape, value)
    if layout.bits == 8:
        return plane.astype(np.uint8)
    return plane.astype(np.uint16)


def _same_samples(one: PixelFormat, other: PixelFormat) -> bool:
    return one.name.replace("yuvj", "yuv") == other.name.replace("yuvj", "yuv")


def _yuv_format(sampling: tuple[int, int], bits: int) -> PixelFormat:
    suffix = "" if bits == 8 else f"{bits}le"
    name = f"yuv{_SUBSAMPLING_NAMES[sampling]}p{suffix}"
    return PixelFormat(
        name,
        bits,
        *sampling,
        has_chroma=True,
    )


def _wrap(
    planes: tuple[Plane, ...],
    name: str,
    *,
    share: bool,
) -> av.VideoFrame:
    """A picture of these planes: of the same memory if it may be shared, otherwise a copy."""
    if share and all(_can_be_shared(plane) for plane in planes):
        try:
            return av.VideoFrame.from_dlpack(planes, format=name)
        except ValueError:
            pass  # a layout that the exchange does not know, such as 4:1:0 of some sizes
    height, width = planes[0].shape
    picture = av.VideoFrame(width, height, name)
    for index, plane in enumerate(planes):
        view = _view(picture, index, plane.dtype.type, *plane.shape)
        view[...] = plane
    return picture


def _can_be_shared(plane: Plane) -> bool:
    row_stride, sample_stride = plane.strides
    has_rows = row_stride > 0 and sample_stride == plane.itemsize
    return has_rows and plane.flags.writeable


def _view(
    picture: av.VideoFrame,
    index: int,
    dtype: type[np.uint8] | type[np.uint16],
    height: int,
    width: int,
) -> Plane:
    plane = picture.planes[index]
    return np.ndarray(
        (height, width),
        dtype,
        buffer=memoryview(plane),
        strides=(plane.line_size, np.dtype(dtype).itemsize),
    )
