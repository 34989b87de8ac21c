"""What is in a file: opening it, describing its video, and noticing that its end is missing, before any work."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from vsrcli.errors import InputError
from vsrcli.frame import (
    UNSPECIFIED,
    ColorTags,
    FileInfo,
    PixelFormat,
    StreamInfo,
    VideoInfo,
)
from vsrcli.media.containers import MATROSKA_DEMUXER
from vsrcli.media.pipe import is_standard_input, standard_input
from vsrcli.media.sidedata import display_matrix, hdr_metadata
from vsrcli.media.siting import chroma_location

_RANGES = {1: "limited", 2: "full"}
_RGB, _BT709 = 0, 1
_DEPTHS = (8, 9, 10, 12, 14, 16)
# AVFieldOrder: 0 unknown, 1 progressive, the others interlaced one way or another
_PROGRESSIVE_ORDERS = (0, 1)
_PROBED_FRAMES = 2
_CLOCK = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")
_TAIL_SECONDS = 2
_TOLERATED_GAP = Fraction(1, 2)
_FASTEST = 1000


def open_input(path: Path, *, hwaccel: HWAccel | None = None) -> InputContainer:
    """Open a file for reading.

    Args:
        path: the file.
        hwaccel: a device that decodes; where it refuses, PyAV raises ``PermissionError`` or an error of FFmpeg's, which pass through as they are.

    Raises:
        InputError: missing, a folder, empty, not readable, or nothing that FFmpeg knows.
    """
    if is_standard_input(path):
        return _open_standard_input()
    if path.is_dir():
        raise InputError(f"{path} is a folder: name a video file")
    if not path.exists():
        raise InputError(f"{path}: no such file")
    try:
        if path.is_file() and path.stat().st_size == 0:
            raise InputError(f"{path} is empty (0 bytes): copy or download it again")
        # absolute, since FFmpeg takes what stands before a colon for a protocol
        return av.open(str(path.resolve()), metadata_errors="replace", hwaccel=hwaccel)
    except av.FFmpegError as error:
        if hwaccel is not None:
            raise
        raise InputError(
            f"{path}: FFmpeg cannot open it ({error.strerror}): it is no media file, or its beginning or index is missing"
        ) from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def _open_standard_input() -> InputContainer:
    try:
        return av.open(standard_input().reader(), "r", metadata_errors="replace")
    except av.FFmpegError as error:
        raise InputError(
            f"standard input holds nothing that FFmpeg knows ({error.strerror}): pipe y4m or nut, such as `ffmpeg -i in.mp4 -f nut -`"
        ) from error


def find_video(container: InputContainer, path: Path) -> VideoStream:
    """The stream to upscale: the one FFmpeg calls best, cover art left out.

    Raises:
        InputError: there is none, or no decoder for it.
    """
    pictures = [stream for stream in container.streams.video if not _is_cover(stream)]
    if not pictures:
        kinds: set[str] = {
            stream.type for stream in container.streams if stream.type != "video"
        }
        raise InputError(
            f"{path} has no video: it holds {', '.join(sorted(kinds)) or 'nothing'}{' and cover art' if container.streams.video else ''} only"
        )
    best = container.streams.best("video")
    stream = next(
        (
            stream
            for stream in pictures
            if best is not None and stream.index == best.index
        ),
        pictures[0],
    )
    # PyAV leaves the context out where FFmpeg has no decoder, whatever its type annotation says
    context: Any = stream.codec_context
    if context is None:
        raise InputError(f"{path}: FFmpeg has no decoder for its video")
    return stream


def decoder_of(stream: VideoStream) -> Callable[[av.Packet[Any]], list[Any]]:
    """What turns the packets of a video stream into frames; the empty packet at the end brings out what it still holds.

    FFmpeg's own decoders of VP8 and VP9 leave alpha out: where the container says that there is some, libvpx decodes.
    """
    name = {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(_codec_name(stream))
    if (
        name is None
        or {key.lower(): value for key, value in stream.metadata.items()}.get(
            "alpha_mode"
        )
        != "1"
    ):
        return lambda packet: packet.decode()
    context: Any = av.CodecContext.create(name, "r")
    return lambda packet: list(context.decode(packet if packet.size else None))


def probe(path: Path, *, keep_rgb: bool = False) -> VideoInfo:
    """Describe a video file.

    Args:
        path: the file.
        keep_rgb: whether RGB pictures are to be delivered as planes of green, blue and red, instead of luma and chroma.

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
                f"{path}: not one frame of its video ({_codec_name(stream)}) can be decoded: the file is damaged"
            )
        first = frames[0]
        stored, delivered = (
            first.format.name,
            delivered_format(first.format.name, keep_rgb=keep_rgb),
        )
        streams = tuple(_describe(each) for each in container.streams)
        if stream.time_base is None:
            raise InputError(f"{path}: its video has no time base: the file is damaged")
        start = _start(container, stream.time_base)
        return VideoInfo(
            path=path,
            container=container.format.name,
            video=next(each for each in streams if each.index == stream.index),
            streams=streams,
            width=first.width,
            height=first.height,
            pixel_format=stored,
            format=delivered,
            tags=_tags(stream, first, delivered),
            sample_aspect=stream.sample_aspect_ratio
            or stream.codec_context.sample_aspect_ratio
            or None,
            rotation=float(first.rotation),
            interlaced=_field_order(stream) not in _PROGRESSIVE_ORDERS
            or any(frame.interlaced_frame for frame in frames),
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
        streams = tuple(_describe(each) for each in container.streams)
        pictures = [
            stream.index for stream in container.streams.video if not _is_cover(stream)
        ]
        start = _start(container, Fraction(1, av.time_base))
        return FileInfo(
            path=path, container=container.format.name, video=streams[pictures[0]] if pictures else None, streams=streams, start=start,
            duration=_duration(container, start), metadata=dict(container.metadata), chapters=len(container.chapters()),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Completeness:
    """How much of a file is there, judged by its packets.

    Attributes:
        present: where its last video packet ends, seconds.
        missing: how much earlier its last packet (of any kind, or of video) ends than the header promises, seconds; 0 where that is next to nothing
            or nothing is promised.
    """

    present: Fraction
    missing: Fraction


def completeness(info: VideoInfo) -> Completeness:
    """Compare a file's last packets with its promised duration, without decoding.

    A cut mp4, mov, mkv or webm reads to its last byte without any error. MPEG-TS and others that promise nothing cannot be told.

    Raises:
        InputError: the file cannot be opened any more.
    """
    if info.duration is None or is_standard_input(info.path):
        return Completeness(Fraction(0), Fraction(0))
    result = _measure(info, near_the_end=True)
    # the index may be as damaged as the rest: believe bad news only after reading all packets
    return result if not result.missing else _measure(info, near_the_end=False)


def _measure(info: VideoInfo, *, near_the_end: bool) -> Completeness:
    ends: dict[int, Fraction] = {}
    duration = info.duration or Fraction(0)
    promised = None
    with open_input(info.path) as container:
        try:
            promised = promised_end(find_video(container, info.path), info.start)
            if near_the_end:
                container.seek(
                    int((info.start + duration - _TAIL_SECONDS) * av.time_base)
                )
            for packet in container.demux():
                if (
                    packet.size
                    and packet.pts is not None
                    and packet.time_base is not None
                ):
                    end = (
                        packet.pts + (packet.duration or 0)
                    ) * packet.time_base - info.start
                    ends[packet.stream.index] = max(
                        end, ends.get(packet.stream.index, end)
                    )
        except av.FFmpegError:
            pass  # what came before the error is what is there
    present = ends.get(info.video.index, Fraction(0))
    # the video by itself as well: where all audio stands before it, the audio is whole
    missing = max(
        duration - max(ends.values(), default=Fraction(0)),
        Fraction(0) if promised is None else promised - present,
    )
    return Completeness(
        present, missing if missing > tolerated_gap(info) else Fraction(0)
    )


def tolerated_gap(info: VideoInfo) -> Fraction:
    """How much earlier than promised a video may end, seconds: headers are rounded, and last frames often have no length."""
    return max(_TOLERATED_GAP, 2 / info.rate if info.rate else Fraction(0))


def delivered_format(stored: str, *, keep_rgb: bool = False) -> PixelFormat:
    """The planar format that frames of FFmpeg's format ``stored`` are delivered in: the same samples where that is possible; RGB becomes 4:4:4 luma and
    chroma unless ``keep_rgb``; alpha stays.

    Raises:
        InputError: a format without a planar twin.
    """
    plain = PixelFormat.parse(stored.replace("yuvj", "yuv"))
    if plain is not None and (keep_rgb or not plain.is_rgb):
        return plain
    described = av.VideoFormat(stored)
    bits = next(
        (
            depth
            for depth in _DEPTHS
            if depth >= max(part.bits for part in described.components)
        ),
        _DEPTHS[-1],
    )
    has_alpha = has_transparency(stored)
    if has_alpha and bits == 14 and not keep_rgb:
        bits = 16
    suffix = "" if bits == 8 else f"{bits}le"
    if is_rgb(stored):
        name = (
            f"gbr{'a' * has_alpha}p{suffix}"
            if keep_rgb
            else f"yuv{'a' * has_alpha}444p{suffix}"
        )
    elif sum(not part.is_alpha for part in described.components) < 3:
        name = f"yuva444p{suffix}" if has_alpha else f"gray{suffix}"
    else:
        subsampling = _SUBSAMPLINGS.get(
            (described.chroma_width(16), described.chroma_height(16)), "444"
        )
        name = f"yuv{'a' * has_alpha}{subsampling}p{suffix}"
    parsed = PixelFormat.parse(name)
    if parsed is None:
        raise InputError(
            f"pixel format {stored} is none that vsr knows: convert the video to yuv420p first"
        )
    return parsed


_SUBSAMPLINGS = {
    (16, 16): "444",
    (8, 16): "422",
    (8, 8): "420",
    (16, 8): "440",
    (4, 16): "411",
    (4, 4): "410",
}


def is_rgb(stored: str) -> bool:
    """True when frames of that format need a matrix to become luma and chroma."""
    described = av.VideoFormat(stored)
    return described.is_rgb or described.has_palette


def has_transparency(stored: str) -> bool:
    """True when frames of that format carry alpha of their own (a palette's is not looked at)."""
    described = av.VideoFormat(stored)
    return not described.has_palette and any(
        part.is_alpha for part in described.components
    )


def _tags(
    stream: VideoStream, frame: av.VideoFrame, delivered: PixelFormat
) -> ColorTags:
    context = stream.codec_context
    if delivered.is_rgb:
        return ColorTags(
            "full", _RGB, int(context.color_primaries), int(context.color_trc)
        )
    if is_rgb(frame.format.name):
        return ColorTags(
            "limited", _BT709, int(context.color_primaries), int(context.color_trc)
        )
    value = int(context.color_range) or int(frame.color_range)
    return ColorTags(
        range="full" if frame.format.name.startswith("yuvj") else _RANGES.get(value),  # type: ignore[arg-type]  # only the literals come out
        matrix=int(context.colorspace) if int(context.colorspace) else UNSPECIFIED,
        primaries=int(context.color_primaries),
        transfer=int(context.color_trc),
        chroma_location=chroma_location(stream)
        if delivered.log2_chroma_w or delivered.log2_chroma_h
        else None,
    )


def _decodable(container: InputContainer, stream: VideoStream) -> Any:
    try:
        decode = decoder_of(stream)
        for packet in container.demux(stream):
            try:
                yield from decode(packet)
            except av.FFmpegError:
                continue
    except av.FFmpegError:
        return


def _start(container: InputContainer, grid: Fraction) -> Fraction:
    starts = [
        stream.start_time * stream.time_base
        for stream in container.streams
        if stream.type in ("video", "audio")
        and stream.start_time is not None
        and stream.time_base is not None
        and not _is_cover(stream)
    ]
    # on the video's own grid, so that its timestamps stay whole multiples of its time base
    return (min(starts, default=Fraction(0)) // grid) * grid


def _rate(stream: VideoStream) -> Fraction | None:
    """Frames a second; of raw DV the average is that of the clock."""
    average, guessed = stream.average_rate, stream.guessed_rate
    return (
        guessed
        if average and guessed and guessed < _FASTEST < average
        else average or guessed
    )


def _duration(container: InputContainer, start: Fraction) -> Fraction | None:
    if not container.duration:
        return None
    duration = Fraction(container.duration, av.time_base)
    # Matroska's header counts from zero, the others from the first timestamp
    counted_from_zero = MATROSKA_DEMUXER in container.format.name and 0 < start < duration
    return duration - start if counted_from_zero else duration


def promised_end(stream: VideoStream, start: Fraction) -> Fraction | None:
    """Where the header says that a video stream ends, seconds after ``start``; None where it does not say.

    Args:
        stream: the stream.
        start: ``VideoInfo.start`` of its file.
    """
    # Matroska says it of the whole only, and FFmpeg gives that to streams of few packets: the music's length to a still picture
    if (
        stream.duration
        and stream.time_base is not None
        and MATROSKA_DEMUXER not in stream.container.format.name
    ):
        return ((stream.start_time or 0) + stream.duration) * stream.time_base - start
    # Matroska: a tag that counts from zero; the language suffix is mkvmerge's
    for name in ("DURATION", "DURATION-eng"):
        match = _CLOCK.fullmatch(stream.metadata.get(name, ""))
        if match is not None:
            hours, minutes, seconds = match.groups()
            return 3600 * int(hours) + 60 * int(minutes) + Fraction(seconds) - start
    return None


def _is_cover(stream: Any) -> bool:
    return bool(stream.disposition & Disposition.attached_pic)


def _field_order(stream: VideoStream) -> int:
    return int(getattr(stream.codec_context, "field_order", 0) or 0)


def _codec_name(stream: Any) -> str:
    context = stream.codec_context
    return str(context.codec.canonical_name) if context is not None else ""


def _describe(stream: Any) -> StreamInfo:
    detail = ""
    if stream.type == "audio" and stream.codec_context is not None:
        detail = (
            f"{stream.codec_context.sample_rate} Hz, {stream.codec_context.layout.name}"
        )
    elif stream.type == "video" and stream.codec_context is not None:
        detail = f"{stream.codec_context.width}x{stream.codec_context.height}"
    elif stream.type == "data":
        detail = "timecode" if "timecode" in stream.metadata else stream.name or ""
    return StreamInfo(
        index=stream.index,
        kind=stream.type,
        codec=_codec_name(stream)
        if stream.type in ("video", "audio", "subtitle")
        else "",
        language=stream.metadata.get("language") or stream.metadata.get("LANGUAGE"),
        title=stream.metadata.get("title"),
        detail=detail,
        is_cover=_is_cover(stream),
    )
