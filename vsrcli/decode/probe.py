"""What is in a file: its streams, and all that is known of its video before decoding."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
from av.container import InputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from vsrcli.containers.pipe import is_standard_input
from vsrcli.containers.table import MATROSKA_DEMUXER
from vsrcli.decode.beginning import Beginning, read_beginning
from vsrcli.decode.caption_reader import captions_of
from vsrcli.decode.delivered import delivered_format, is_rgb, without_alpha
from vsrcli.decode.encryption import ENCRYPTED
from vsrcli.decode.extent import extent_of
from vsrcli.decode.frame_rate import frame_rate
from vsrcli.decode.input_file import (
    codec_name,
    find_video,
    is_cover,
    open_input,
)
from vsrcli.decode.metadata import uncarried_by
from vsrcli.decode.opacity import is_opaque
from vsrcli.decode.part_beginning import read_part_beginning
from vsrcli.decode.shape import (
    cropping_of,
    needs_dolby_vision,
    projection_of,
    stereo_mode_of,
)
from vsrcli.decode.sidedata import display_matrix, hdr_metadata, rotation_of
from vsrcli.decode.siting import chroma_location
from vsrcli.decode.stream_header import StreamHeader
from vsrcli.decode.undecodable import reason_undecodable
from vsrcli.errors import InputError
from vsrcli.frame import (
    UNSPECIFIED,
    ColorTags,
    FileInfo,
    PixelFormat,
    StreamInfo,
    VideoInfo,
)

_RANGES: dict[int, Literal["limited", "full"]] = {1: "limited", 2: "full"}
# Code points of H.273 for the matrix.
_RGB_MATRIX = 0
_BT709_MATRIX = 1
_RESERVED_CODES = (0, 3)
# AVFieldOrder: 0 unknown, 1 progressive, the others interlaced one way or another
_PROGRESSIVE_ORDERS = (0, 1)
_DESCRIBED_KINDS = ("video", "audio", "subtitle")


def probe(
    path: Path,
    *,
    keep_rgb: bool = False,
    start: Fraction | None = None,
) -> VideoInfo:
    """Describe a video file.

    Args:
        path: the file.
        keep_rgb: whether RGB pictures are delivered as planes of green, blue and red, instead of
            luma and chroma.
        start: where the part begins whose pictures are described, seconds; None: at the beginning.

    Returns:
        What is in it; a frame or two are decoded for what headers leave out.

    Raises:
        InputError: it cannot be opened, has no video, its video is encrypted, or not one frame of
            it can be decoded.
    """
    with open_input(path) as container:
        stream = find_video(container, path)
        beginning = read_beginning(container, path, stream)
        if stream.index in beginning.encrypted:
            raise InputError(f"{path}: {ENCRYPTED}")
        frames = beginning.frames
        if not frames:
            raise InputError(
                f"{path}: not one frame of its video ({codec_name(stream)}) can be decoded: "
                f"{reason_undecodable(path)}"
            )
        if stream.time_base is None:
            raise InputError(f"{path}: its video has no time base: the file is damaged")
        extent = extent_of(path, container, stream.time_base, frames[0])
        context = stream.codec_context
        aspect = stream.sample_aspect_ratio or context.sample_aspect_ratio
        part = None
        is_inside = extent.duration is None or (start or 0) < extent.duration
        if start and is_inside and not is_standard_input(path):
            part = read_part_beginning(
                path,
                extent.start + start,
                can_seek=not extent.restarts,
            )
        if part is not None:
            frames = part.frames
            for frame in frames:
                beginning.uncarried |= dict.fromkeys(uncarried_by(frame))
            aspect = _aspect_later(stream, aspect, part.context)
            context = part.context
        first = frames[0]
        delivered = delivered_format(first.format.name, keep_rgb=keep_rgb)
        if delivered.has_alpha and is_opaque(path):
            delivered = without_alpha(first.format.name, delivered)
        streams = _describe_all(container, beginning)
        header = StreamHeader.of_stream(stream)
        has_fields = any(frame.interlaced_frame for frame in frames)
        interlaced = has_fields or not _is_progressive(context)
        cropping = cropping_of(
            header,
            (first.width, first.height),
            delivered,
            interlaced=interlaced,
        )
        return VideoInfo(
            path=path,
            container=container.format.name,
            video=next(each for each in streams if each.index == stream.index),
            streams=streams,
            width=first.width - cropping.left - cropping.right,
            height=first.height - cropping.top - cropping.bottom,
            pixel_format=first.format.name,
            format=delivered,
            tags=_tags(context, first, delivered, header),
            sample_aspect=aspect or None,
            rotation=rotation_of(first),
            interlaced=interlaced,
            rate=frame_rate(path, stream),
            time_base=stream.time_base,
            start=extent.start,
            duration=extent.duration,
            metadata=dict(container.metadata),
            chapters=len(container.chapters()),
            restarts=extent.restarts,
            display_matrix=display_matrix(first),
            hdr=hdr_metadata(first),
            cropping=cropping,
            stereo_mode=stereo_mode_of(stream, frames),
            projection=projection_of(header),
            uncarried=tuple(beginning.uncarried),
            needs_dolby_vision=needs_dolby_vision(header, frames),
            has_captions=any(captions_of(frame) for frame in frames),
        )


def probe_file(path: Path) -> FileInfo:
    """Describe a media file that need hold no video, such as a sound track.

    Raises:
        InputError: it cannot be opened.
    """
    with open_input(path) as container:
        beginning = read_beginning(container, path, video=None)
        streams = _describe_all(container, beginning)
        videos = [
            stream
            for stream in streams
            if stream.kind == "video" and not stream.is_cover
        ]
        extent = extent_of(path, container, Fraction(1, av.time_base))
        return FileInfo(
            path=path,
            container=container.format.name,
            video=videos[0] if videos else None,
            streams=streams,
            start=extent.start,
            duration=extent.duration,
            metadata=dict(container.metadata),
            chapters=len(container.chapters()),
            restarts=extent.restarts,
        )


def _aspect_later(
    stream: VideoStream,
    aspect: Fraction | None,
    context: VideoCodecContext,
) -> Fraction | None:
    """The aspect ratio of pixels in a later part, if that of the beginning is ``aspect``."""
    # Matroska's header says how pictures are shown, whatever they say themselves
    is_fixed = MATROSKA_DEMUXER in stream.container.format.name
    own_aspect = context.sample_aspect_ratio
    if is_fixed or own_aspect == stream.codec_context.sample_aspect_ratio:
        return aspect
    return own_aspect


def _tags(
    context: VideoCodecContext,
    frame: av.VideoFrame,
    delivered: PixelFormat,
    header: StreamHeader,
) -> ColorTags:
    primaries = _specified(int(context.color_primaries))
    transfer = _specified(int(context.color_trc))
    if delivered.is_rgb:
        return ColorTags("full", _RGB_MATRIX, primaries, transfer)
    stored = frame.format.name
    if is_rgb(stored):
        return ColorTags("limited", _BT709_MATRIX, primaries, transfer)
    range_number = int(frame.color_range) or int(context.color_range)
    location = None
    if delivered.log2_chroma_w or delivered.log2_chroma_h:
        location = chroma_location(header)
    return ColorTags(
        range="full" if stored.startswith("yuvj") else _RANGES.get(range_number),
        matrix=_specified(int(context.colorspace)),
        primaries=primaries,
        transfer=transfer,
        chroma_location=location,
    )


def _specified(code: int) -> int:
    """A code point of H.273; one that is reserved says nothing (for the matrix, 0 is RGB)."""
    return UNSPECIFIED if code in _RESERVED_CODES else code


def _is_progressive(context: VideoCodecContext) -> bool:
    order = int(getattr(context, "field_order", 0) or 0)
    return order in _PROGRESSIVE_ORDERS


def _describe_all(
    container: InputContainer, beginning: Beginning
) -> tuple[StreamInfo, ...]:
    return tuple(
        _describe(stream, is_encrypted=stream.index in beginning.encrypted)
        for stream in container.streams
    )


def _describe(stream: Any, *, is_encrypted: bool) -> StreamInfo:
    kind = stream.type
    tags = {name.lower(): value for name, value in stream.metadata.items()}
    return StreamInfo(
        index=stream.index,
        kind=kind,
        codec=codec_name(stream) if kind in _DESCRIBED_KINDS else "",
        language=tags.get("language"),
        title=tags.get("title") or tags.get("name"),
        detail=_detail(stream),
        is_cover=is_cover(stream),
        is_encrypted=is_encrypted,
        tags=dict(stream.metadata),
    )


def _detail(stream: Any) -> str:
    """Sample rate, size, or what kind of data it is."""
    if stream.type == "data":
        return "timecode" if "timecode" in stream.metadata else stream.name or ""
    context = stream.codec_context
    if context is None:
        return ""
    if stream.type == "audio":
        return f"{context.sample_rate} Hz, {context.layout.name}"
    if stream.type == "video":
        return f"{context.width}x{context.height}"
    return ""
