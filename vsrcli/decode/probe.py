"""What is in a file: its streams, and all that is known of its video before decoding."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from vsrcli.containers.table import MATROSKA_DEMUXER
from vsrcli.decode.delivered import delivered_format, is_rgb
from vsrcli.decode.input_file import (
    codec_name,
    decoder_of,
    find_video,
    is_cover,
    open_input,
)
from vsrcli.decode.sidedata import display_matrix, hdr_metadata
from vsrcli.decode.siting import chroma_location
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
# AVFieldOrder: 0 unknown, 1 progressive, the others interlaced one way or another
_PROGRESSIVE_ORDERS = (0, 1)
_PROBED_FRAMES = 2
# A higher average rate is that of the clock.
_MAX_RATE = 1000
_DESCRIBED_KINDS = ("video", "audio", "subtitle")


def probe(path: Path, *, keep_rgb: bool = False) -> VideoInfo:
    """Describe a video file.

    Args:
        path: the file.
        keep_rgb: whether RGB pictures are delivered as planes of green, blue and red, instead of
            luma and chroma.

    Returns:
        What is in it; a frame or two are decoded for what headers leave out.

    Raises:
        InputError: it cannot be opened, has no video, or not one frame of it can be decoded.
    """
    with open_input(path) as container:
        stream = find_video(container, path)
        frames = list(islice(_decodable(container, stream), _PROBED_FRAMES))
        if not frames:
            raise InputError(
                f"{path}: not one frame of its video ({codec_name(stream)}) can be decoded: "
                "the file is damaged"
            )
        if stream.time_base is None:
            raise InputError(f"{path}: its video has no time base: the file is damaged")
        first = frames[0]
        delivered = delivered_format(first.format.name, keep_rgb=keep_rgb)
        streams = tuple(_describe(each) for each in container.streams)
        context = stream.codec_context
        aspect = stream.sample_aspect_ratio or context.sample_aspect_ratio
        has_fields = any(frame.interlaced_frame for frame in frames)
        start = _start(container, stream.time_base)
        return VideoInfo(
            path=path,
            container=container.format.name,
            video=next(each for each in streams if each.index == stream.index),
            streams=streams,
            width=first.width,
            height=first.height,
            pixel_format=first.format.name,
            format=delivered,
            tags=_tags(stream, first, delivered),
            sample_aspect=aspect or None,
            rotation=float(first.rotation),
            interlaced=has_fields or not _is_progressive(stream),
            rate=_rate(stream),
            time_base=stream.time_base,
            start=start,
            duration=_duration(container, start),
            metadata=dict(container.metadata),
            chapters=len(container.chapters()),
            display_matrix=display_matrix(first),
            hdr=hdr_metadata(first),
        )


def probe_file(path: Path) -> FileInfo:
    """Describe a media file that need hold no video, such as a sound track.

    Raises:
        InputError: it cannot be opened.
    """
    with open_input(path) as container:
        streams = tuple(_describe(stream) for stream in container.streams)
        videos = [
            stream
            for stream in streams
            if stream.kind == "video" and not stream.is_cover
        ]
        start = _start(container, Fraction(1, av.time_base))
        return FileInfo(
            path=path,
            container=container.format.name,
            video=videos[0] if videos else None,
            streams=streams,
            start=start,
            duration=_duration(container, start),
            metadata=dict(container.metadata),
            chapters=len(container.chapters()),
        )


def _decodable(
    container: InputContainer, stream: VideoStream
) -> Iterator[av.VideoFrame]:
    try:
        decode = decoder_of(stream)
        for packet in container.demux(stream):
            try:
                yield from decode(packet)
            except av.FFmpegError:
                continue
    except av.FFmpegError:
        return


def _tags(
    stream: VideoStream,
    frame: av.VideoFrame,
    delivered: PixelFormat,
) -> ColorTags:
    context = stream.codec_context
    primaries = int(context.color_primaries)
    transfer = int(context.color_trc)
    if delivered.is_rgb:
        return ColorTags("full", _RGB_MATRIX, primaries, transfer)
    stored = frame.format.name
    if is_rgb(stored):
        return ColorTags("limited", _BT709_MATRIX, primaries, transfer)
    range_number = int(context.color_range) or int(frame.color_range)
    location = None
    if delivered.log2_chroma_w or delivered.log2_chroma_h:
        location = chroma_location(stream)
    return ColorTags(
        range="full" if stored.startswith("yuvj") else _RANGES.get(range_number),
        matrix=int(context.colorspace) or UNSPECIFIED,
        primaries=primaries,
        transfer=transfer,
        chroma_location=location,
    )


def _start(container: InputContainer, grid: Fraction) -> Fraction:
    """Time of the earliest stream, rounded down to the grid.

    On the video's own grid, its timestamps stay whole multiples of its time base.
    """
    starts = []
    for stream in container.streams:
        if stream.type not in ("video", "audio") or is_cover(stream):
            continue
        if stream.start_time is not None and stream.time_base is not None:
            starts.append(stream.start_time * stream.time_base)
    return min(starts, default=Fraction(0)) // grid * grid


def _rate(stream: VideoStream) -> Fraction | None:
    """Frames per second; the average of raw DV is the rate of the clock."""
    average = stream.average_rate
    guessed = stream.guessed_rate
    if average and guessed and guessed < _MAX_RATE < average:
        return guessed
    return average or guessed


def _duration(container: InputContainer, start: Fraction) -> Fraction | None:
    if not container.duration:
        return None
    duration = Fraction(container.duration, av.time_base)
    # Matroska's header counts from zero, the others from the first timestamp
    if MATROSKA_DEMUXER in container.format.name and 0 < start < duration:
        return duration - start
    return duration


def _is_progressive(stream: VideoStream) -> bool:
    order = int(getattr(stream.codec_context, "field_order", 0) or 0)
    return order in _PROGRESSIVE_ORDERS


def _describe(stream: Any) -> StreamInfo:
    kind = stream.type
    tags = stream.metadata
    return StreamInfo(
        index=stream.index,
        kind=kind,
        codec=codec_name(stream) if kind in _DESCRIBED_KINDS else "",
        language=tags.get("language") or tags.get("LANGUAGE"),
        title=tags.get("title"),
        detail=_detail(stream),
        is_cover=is_cover(stream),
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
