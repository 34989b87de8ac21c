"""Between RGB pictures and the luma and chroma of networks and encoders; names of pictures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil
from pathlib import Path

from vsrcli.decode.probe import probe
from vsrcli.errors import InputError, OptionError
from vsrcli.frame import UNSPECIFIED, ColorTags, Frame, PixelFormat, VideoInfo
from vsrcli.images.folder_reader import FolderReader
from vsrcli.images.folders import DEFAULT_PATTERN, FramePattern
from vsrcli.options import UpscaleOptions
from vsrcli.picture.chroma import DEFAULT_LOCATION
from vsrcli.picture.matrices import BT709, matrix_of
from vsrcli.picture.orientation import Orientation
from vsrcli.picture.rgb import (
    from_rgb,
    gray_layout,
    rgb_layout,
    to_rgb,
)

FOLDER_RATE = Fraction(30)
_MAX_DEPTH = 16


@dataclass(frozen=True, slots=True)
class Conversion:
    """What is done to frames before they go through the network, and after.

    Attributes:
        tags: colours of the frames that go through the network.
        layout: the layout that RGB frames are converted to first; None: they are not RGB.
        matrix: between RGB and those, as code point of ITU-T H.273.
        bits: depth of the RGB or gray pictures that are written; None: the network's frames are
            written.
        orientation: how frames are turned; None: not at all.
        siting: where the chroma of the source's frames is; None: where the tags say.
    """

    tags: ColorTags
    layout: PixelFormat | None = None
    matrix: int = BT709
    bits: int | None = None
    orientation: Orientation | None = None
    siting: str | None = None

    def incoming(self, frame: Frame) -> Frame:
        """The frame for the network."""
        if self.layout is not None:
            frame = from_rgb(frame, self.layout, self.tags, self.matrix)
        return frame if self.orientation is None else self.orientation.turn(frame)

    def outgoing(self, frame: Frame) -> Frame:
        """The frame for the writer."""
        if self.bits is None:
            return frame
        return to_rgb(frame, self.tags, self.matrix, self.bits)


@dataclass(frozen=True, slots=True)
class Pictures:
    """The pictures of a folder.

    Attributes:
        pattern: their names.
        first: number of the first.
        value_range: values of black and white, where they are floating-point.
    """

    pattern: FramePattern
    first: int = 1
    value_range: tuple[float, float] | None = None


def describe(source: Path, options: UpscaleOptions) -> tuple[VideoInfo, Pictures]:
    """Describe a source, and how pictures made from it are named: as its own, if it is a folder.

    Raises:
        InputError: as ``probe`` and ``FolderReader``.
        OptionError: ``--range`` for a video.
    """
    if not source.is_dir():
        if options.value_range is not None:
            raise OptionError(
                "--range is for folders of floating-point pictures: "
                "a video's codes say for themselves what is black and white"
            )
        if options.sar is not None:
            raise OptionError(
                "--sar is for folders of pictures: a video says for itself how wide its pixels are"
            )
        return probe(source, start=options.start), Pictures(
            FramePattern.parse(DEFAULT_PATTERN)
        )
    rate = folder_rate(options)
    skipped = ceil(options.range.begin * rate)
    with FolderReader(source, rate=rate, value_range=options.value_range) as reader:
        pictures = Pictures(
            _writable(reader.pattern, reader.is_float),
            reader.first + skipped,
            options.value_range,
        )
        return replace(reader.info, sample_aspect=options.sar), pictures


def folder_rate(options: UpscaleOptions) -> Fraction:
    """How many pictures of a folder make a second."""
    return FOLDER_RATE if options.rate == "source" else options.rate


def plan_conversion(
    info: VideoInfo,
    orientation: Orientation | None,
    *,
    to_folder: bool,
) -> Conversion:
    """Decide what is done to the frames of a source.

    Args:
        info: the source.
        orientation: how they are turned.
        to_folder: whether the output is a folder of pictures.

    Raises:
        InputError: its colours cannot be converted to RGB.
    """
    tags = info.tags
    layout = None
    try:
        matrix = _rgb_matrix(info, to_folder=to_folder)
    except ValueError as error:
        raise InputError(
            f"{info.path}: {error}: name a video file as the output"
        ) from error
    if info.format.is_rgb:
        layout = _layout_of_rgb(info.format, to_folder=to_folder)
        tags = replace(tags, range="full" if to_folder else "limited", matrix=matrix)
    siting = tags.chroma_location
    is_420 = (info.format.log2_chroma_w, info.format.log2_chroma_h) == (1, 1)
    if siting is not None and not is_420:
        # no file states another one for 4:2:2 and the like; JPEG has it
        tags = replace(tags, chroma_location=DEFAULT_LOCATION)
    if orientation is not None:
        siting = orientation.siting(info.tags)
    bits = None
    if to_folder:
        bits = 8 if info.format.bits == 8 else _MAX_DEPTH
    return Conversion(
        tags=tags,
        layout=layout,
        matrix=matrix,
        bits=bits,
        orientation=orientation,
        siting=siting,
    )


def _rgb_matrix(info: VideoInfo, *, to_folder: bool) -> int:
    """The matrix between RGB and the frames that go through the network.

    Raises:
        ValueError: the tagged matrix cannot be used.
    """
    tags = info.tags
    if info.format.is_rgb:
        if tags.primaries == UNSPECIFIED:
            return BT709
        untagged = replace(tags, matrix=UNSPECIFIED)
        return matrix_of(untagged, info.width, info.height)
    return matrix_to_rgb(info) if to_folder else BT709


def matrix_to_rgb(info: VideoInfo) -> int:
    """The matrix by which a source's luma and chroma become RGB.

    Raises:
        ValueError: its colours cannot be converted.
    """
    if info.needs_dolby_vision:
        raise ValueError(
            "colours of Dolby Vision alone (profile 5) cannot be converted to RGB here"
        )
    return matrix_of(info.tags, info.width, info.height)


def _layout_of_rgb(pictures: PixelFormat, *, to_folder: bool) -> PixelFormat | None:
    """The luma and chroma that RGB goes through.

    From RGB and back to it needs twice the depth, as far as there is room.
    """
    depth = max(_MAX_DEPTH, pictures.bits) if to_folder else pictures.bits
    alpha = "a" if pictures.has_alpha else ""
    suffix = "" if depth == 8 else f"{depth}le"
    return PixelFormat.parse(f"yuv{alpha}444p{suffix}")


def picture_layout(info: VideoInfo, bits: int) -> PixelFormat:
    """The layout of the pictures made from a source."""
    if not info.format.has_chroma:
        return gray_layout(bits)
    return rgb_layout(bits, alpha=info.format.has_alpha)


def picture_tags(info: VideoInfo) -> ColorTags:
    """What pictures made from a source say of their colours."""
    return ColorTags("full", primaries=info.tags.primaries, transfer=info.tags.transfer)


def _writable(pattern: FramePattern, is_float: bool) -> FramePattern:
    """The pattern with an ending that can be written.

    PNG for the compressed kinds, TIFF for floating-point values.
    """
    suffix = ".tiff" if is_float else ".png"
    if pattern.suffix in (".tif", ".tiff", suffix):
        return pattern
    stem = pattern.behind[: -len(pattern.suffix)]
    return replace(pattern, behind=stem + suffix)
