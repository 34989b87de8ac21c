"""Between pictures of RGB and the luma and chroma that networks and encoders see; and how written pictures are called."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from vsrcli.errors import InputError, OptionError
from vsrcli.frame import UNSPECIFIED, ColorTags, Frame, PixelFormat, VideoInfo
from vsrcli.media.folder_reader import FolderReader
from vsrcli.media.folders import DEFAULT_PATTERN, FramePattern
from vsrcli.media.probe import probe
from vsrcli.options import UpscaleOptions
from vsrcli.picture.chroma import DEFAULT_LOCATION
from vsrcli.picture.orientation import Orientation
from vsrcli.picture.rgb import (
    BT709,
    from_rgb,
    gray_layout,
    matrix_of,
    rgb_layout,
    to_rgb,
)

FOLDER_RATE = Fraction(30)


@dataclass(frozen=True, slots=True)
class Conversion:
    """What is done to frames before they go through the network, and after.

    Attributes:
        layout: what RGB frames are turned into first; None: they are no RGB.
        tags: colours of the frames that go through the network.
        matrix: between RGB and those, as code point of ITU-T H.273.
        bits: depth of the RGB or gray pictures that come out in the end; None: what the network gives is what is written.
        orientation: how frames are turned; None: not at all.
        siting: where the chroma of frames lies that go in; None: where the tags say.
    """

    tags: ColorTags
    layout: PixelFormat | None = None
    matrix: int = BT709
    bits: int | None = None
    orientation: Orientation | None = None
    siting: str | None = None

    def incoming(self, frame: Frame) -> Frame:
        """The frame as the network wants it."""
        if self.layout is not None:
            frame = from_rgb(frame, self.layout, self.tags, self.matrix)
        return frame if self.orientation is None else self.orientation.turn(frame)

    def outgoing(self, frame: Frame) -> Frame:
        """The frame as it is written."""
        return (
            frame
            if self.bits is None
            else to_rgb(frame, self.tags, self.matrix, self.bits)
        )


@dataclass(frozen=True, slots=True)
class Pictures:
    """How the pictures of a folder are called, and what their black and white mean where they are floating-point."""

    pattern: FramePattern
    first: int = 1
    value_range: tuple[float, float] | None = None


def describe(source: Path, options: UpscaleOptions) -> tuple[VideoInfo, Pictures]:
    """Describe a source, and how pictures made from it are called: as its own, where it is a folder.

    Raises:
        InputError: as ``probe`` and ``FolderReader``.
        OptionError: ``--range`` for a video.
    """
    if not source.is_dir():
        if options.value_range is not None:
            raise OptionError(
                "--range is for folders of floating-point pictures: a video's codes say for themselves what is black and white"
            )
        return probe(source), Pictures(FramePattern.parse(DEFAULT_PATTERN))
    with FolderReader(
        source, rate=folder_rate(options), value_range=options.value_range
    ) as reader:
        skipped = (
            0
            if options.start is None
            else -(-options.start * folder_rate(options) // 1)
        )
        pictures = Pictures(
            _writable(reader.pattern, reader.is_float),
            reader.first + int(skipped),
            options.value_range,
        )
        return reader.info, pictures


def folder_rate(options: UpscaleOptions) -> Fraction:
    """How many pictures of a folder make a second."""
    return FOLDER_RATE if options.fps == "source" else options.fps


def plan_conversion(
    info: VideoInfo, orientation: Orientation | None, *, to_folder: bool
) -> Conversion:
    """Decide what is done to the frames of a source.

    Args:
        info: the source.
        orientation: how they are turned.
        to_folder: whether the output is a folder of pictures.

    Raises:
        InputError: its colours cannot become RGB.
    """
    layout, tags, bits = None, info.tags, info.format.bits
    try:
        if info.format.is_rgb:
            # to RGB and back goes through twice the depth where there is room for it; players get what they show
            depth = max(16, bits) if to_folder else bits
            name = f"yuv{'a' * info.format.has_alpha}444p" + (
                "" if depth == 8 else f"{depth}le"
            )
            layout = PixelFormat.parse(name)
            matrix = (
                BT709
                if tags.primaries == UNSPECIFIED
                else matrix_of(
                    replace(tags, matrix=UNSPECIFIED), info.width, info.height
                )
            )
            tags = replace(
                tags, range="full" if to_folder else "limited", matrix=matrix
            )
        elif to_folder:
            matrix = matrix_of(tags, info.width, info.height)
        else:
            matrix = BT709
    except ValueError as error:
        raise InputError(
            f"{info.path}: {error}: name a video file as the output"
        ) from error
    written = None if not to_folder else 8 if bits == 8 else 16
    siting = tags.chroma_location
    if siting is not None and (
        info.format.log2_chroma_w,
        info.format.log2_chroma_h,
    ) != (1, 1):
        tags = replace(
            tags, chroma_location=DEFAULT_LOCATION
        )  # no file says another one of 4:2:2 and the like; JPEG has it
    return Conversion(
        tags,
        layout,
        matrix,
        written,
        orientation,
        siting if orientation is None else orientation.siting(info.tags),
    )


def picture_layout(info: VideoInfo, bits: int) -> PixelFormat:
    """What the pictures made from a source are."""
    return (
        rgb_layout(bits, alpha=info.format.has_alpha)
        if info.format.has_chroma
        else gray_layout(bits)
    )


def picture_tags(info: VideoInfo) -> ColorTags:
    """What pictures made from a source say of their colours."""
    return ColorTags("full", primaries=info.tags.primaries, transfer=info.tags.transfer)


def _writable(pattern: FramePattern, is_float: bool) -> FramePattern:
    """The pattern with an ending that can be written: PNG for the compressed kinds, TIFF for floating-point values."""
    suffix = ".tiff" if is_float else ".png"
    if pattern.suffix in (".tif", ".tiff") or pattern.suffix == suffix:
        return pattern
    return replace(pattern, behind=pattern.behind[: -len(pattern.suffix)] + suffix)
