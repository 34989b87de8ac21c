"""Frames into the pictures that an encoder takes: handed over without a copy where it can be, converted where it must be."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
from av.filter import Graph
from av.video.reformatter import VideoReformatter

from vsrcli.frame import ColorTags, Frame, PixelFormat, Plane

_LIMITED, _FULL = 1, 2
_NAMES = {False: "limited", True: "full"}
_SUBSAMPLING = {
    (0, 0): "444",
    (0, 1): "440",
    (1, 0): "422",
    (1, 1): "420",
    (2, 0): "411",
    (2, 2): "410",
}


class PictureMaker:
    """Makes pictures of one format out of frames of another; the colour space stays, the range too unless told otherwise."""

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
        self._given, self._target, self._tags, self._share = source, target, tags, share
        self._to_full = full_range
        self._source = source.opaque
        if target.has_alpha:
            self._source = source if source.has_alpha else _with_alpha(source)
        # swscale takes gray for full range, whatever it is told: gray goes through it as YUV with neutral chroma
        self._between = target
        if not target.has_chroma:
            self._between = _planar(
                self._source if source.has_chroma else _planar_420(source.bits),
                target.bits,
            )
        self._direct = (
            _same_samples(self._source, target) and tags.is_full_range == full_range
        )
        self._reformatter = VideoReformatter()
        self._graph: Graph | None = None

    def make(self, frame: Frame) -> av.VideoFrame:
        """Make a picture.

        Args:
            frame: planes of the source format; they must not change afterwards.

        Returns:
            A picture of the target format, tagged with the frame's colours; time is not set.
        """
        planes = frame.planes
        if self._given.has_alpha and not self._target.has_alpha:
            planes = planes[:-1]
        elif self._target.has_alpha and not self._given.has_alpha:
            planes = (*planes, _filled(planes[0].shape, self._given.peak, self._given))
        picture = (
            _wrap(planes, self._target.name, share=self._share)
            if self._direct
            else self._convert(planes)
        )
        picture.color_range = (
            _FULL
            if self._to_full
            else (_LIMITED if self._tags.range == "limited" else 0)
        )
        picture.colorspace, picture.color_primaries, picture.color_trc = (
            self._tags.matrix,
            self._tags.primaries,
            self._tags.transfer,
        )
        return picture

    def _convert(self, planes: tuple[Plane, ...]) -> av.VideoFrame:
        layout = self._source
        height, width = planes[0].shape
        if layout.is_rgb:
            return self._reformatter.reformat(
                _wrap(planes, layout.name, share=False),
                format=self._target.name,
                threads=1,
            )
        if not layout.has_chroma:
            layout = _planar(self._between, layout.bits)
            neutral = _filled(
                layout.chroma_size(width, height)[::-1], 1 << (layout.bits - 1), layout
            )
            planes = (planes[0], neutral, neutral)
        picture = _wrap(planes, layout.name, share=False)
        if (
            not _same_samples(layout, self._between)
            or self._tags.is_full_range != self._to_full
        ):
            picture = self._scale(picture, layout)
        if self._target.has_chroma:
            return picture
        return _wrap(
            (_view(picture, 0, self._target.dtype, height, width),),
            self._target.name,
            share=False,
        )

    def _scale(self, picture: av.VideoFrame, layout: PixelFormat) -> av.VideoFrame:
        """Other subsampling, depth or range, with chroma left on the luma it belongs to: the plain reformatter takes it for centred in some formats."""
        if self._graph is None:
            location = self._tags.chroma_location
            places = [
                f"{way}_{axis}_chr_pos={at}"
                for way, form in (("in", layout), ("out", self._between))
                for axis, at in _places(form, location).items()
            ]
            ranges = f"in_range={_NAMES[self._tags.is_full_range]}:out_range={_NAMES[self._to_full]}"
            self._graph = Graph()
            self._graph.threads = 1  # see Unpacker
            source = self._graph.add_buffer(
                width=picture.width,
                height=picture.height,
                format=picture.format,
                time_base=Fraction(1, 25),
            )
            scale = self._graph.add(
                "scale",
                f"flags=bicubic+accurate_rnd+bitexact:{ranges}:{':'.join(places)}",
            )
            kind, sink = (
                self._graph.add("format", self._between.name),
                self._graph.add("buffersink"),
            )
            source.link_to(scale)
            scale.link_to(kind)
            kind.link_to(sink)
            self._graph.configure()
        self._graph.push(picture)
        return self._graph.vpull()


def _places(layout: PixelFormat, location: str | None) -> dict[str, int]:
    """Where chroma's first sample lies across and down, 256ths of a luma pixel; of other subsampling than 4:2:0 always on the left."""
    across, down = (
        128 * ((1 << layout.log2_chroma_w) - 1),
        128 * ((1 << layout.log2_chroma_h) - 1),
    )
    is_420 = (layout.log2_chroma_w, layout.log2_chroma_h) == (1, 1)
    name = location if is_420 and location is not None else "left"
    return {
        "h": 0 if name.endswith("left") else across,
        "v": 0
        if name.startswith("top")
        else 2 * down
        if name.startswith("bottom")
        else down,
    }


def _with_alpha(layout: PixelFormat) -> PixelFormat:
    name = (
        layout.name.replace("yuvj", "yuv")
        .replace("yuv", "yuva")
        .replace("gbrp", "gbrap")
    )
    return PixelFormat(
        name,
        layout.bits,
        layout.log2_chroma_w,
        layout.log2_chroma_h,
        layout.has_chroma,
        has_alpha=True,
        is_rgb=layout.is_rgb,
    )


def _filled(shape: tuple[int, ...], value: int, layout: PixelFormat) -> Plane:
    plane: Plane = (
        np.full(shape, value).astype(np.uint8)
        if layout.bits == 8
        else np.full(shape, value).astype(np.uint16)
    )
    return plane


def _same_samples(one: PixelFormat, other: PixelFormat) -> bool:
    return one.name.replace("yuvj", "yuv") == other.name.replace("yuvj", "yuv")


def _planar(like: PixelFormat, bits: int) -> PixelFormat:
    name = f"yuv{_SUBSAMPLING[like.log2_chroma_w, like.log2_chroma_h]}p" + (
        "" if bits == 8 else f"{bits}le"
    )
    return PixelFormat(
        name, bits, like.log2_chroma_w, like.log2_chroma_h, has_chroma=True
    )


def _planar_420(bits: int) -> PixelFormat:
    return PixelFormat("", bits, 1, 1, has_chroma=True)


def _wrap(planes: tuple[Plane, ...], name: str, *, share: bool) -> av.VideoFrame:
    height, width = planes[0].shape
    if share and all(
        plane.flags.writeable
        and plane.strides[1] == plane.itemsize
        and plane.strides[0] > 0
        for plane in planes
    ):
        try:
            return av.VideoFrame.from_dlpack(planes, format=name)
        except ValueError:
            pass  # a layout that the exchange does not know, such as 4:1:0 of some sizes
    picture = av.VideoFrame(width, height, name)
    for index, plane in enumerate(planes):
        _view(picture, index, plane.dtype.type, *plane.shape)[...] = plane
    return picture


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
