"""Opening a media file, and finding its video and the decoder for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from vsrcli.containers.pipe import is_standard_input, standard_input
from vsrcli.decode.confined import open_confined, open_stream
from vsrcli.decode.encryption import ENCRYPTED, is_encrypted_mp4
from vsrcli.decode.playlist import list_kind
from vsrcli.decode.stream_analysis import open_analysed
from vsrcli.errors import InputError
from vsrcli.paths import check_file

# FFmpeg's own decoders of these codecs leave alpha out.
_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


def open_input(path: Path, *, hwaccel: HWAccel | None = None) -> InputContainer:
    """Open a file for reading.

    Args:
        path: the file.
        hwaccel: a device that decodes. If it refuses, PyAV raises ``PermissionError`` or an error
            of FFmpeg's, which pass through as they are.

    Raises:
        InputError: missing, a folder, a pipe, empty, not readable, a list of other files, or
            nothing that FFmpeg knows.
    """
    if is_standard_input(path):
        return _open_standard_input()
    check_file(path)
    try:

        def open_with(options: dict[str, str]) -> InputContainer:
            return open_confined(path, hwaccel=hwaccel, options=options)

        return open_analysed(path.resolve(), open_with)
    except av.FFmpegError as error:
        if hwaccel is not None:
            raise
        kind = list_kind(path)
        if kind is not None:
            raise InputError(f"{path} is {kind}") from error
        if is_encrypted_mp4(path):
            raise InputError(f"{path}: {ENCRYPTED}") from error
        raise InputError(
            f"{path}: FFmpeg cannot open it ({error.strerror}): "
            "it is not a media file, or its beginning or index is missing"
        ) from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def _open_standard_input() -> InputContainer:
    reader = standard_input().reader()
    try:
        return open_stream(reader)
    except av.FFmpegError as error:
        raise InputError(
            f"standard input holds nothing that FFmpeg knows ({error.strerror}): "
            "pipe y4m or nut, such as `ffmpeg -i in.mp4 -c copy -f nut -`"
        ) from error


def find_video(container: InputContainer, path: Path) -> VideoStream:
    """The stream to upscale: the one that FFmpeg calls best, without cover art.

    Raises:
        InputError: there is none, or no decoder for it.
    """
    candidates = [stream for stream in container.streams.video if not is_cover(stream)]
    if not candidates:
        raise InputError(f"{path} has no video: it holds {_contents(container)} only")
    stream = candidates[0]
    best = container.streams.best("video")
    if best is not None:
        for candidate in candidates:
            if candidate.index == best.index:
                stream = candidate
    # PyAV leaves the context out if FFmpeg has no decoder, whatever its type annotation says
    context: Any = stream.codec_context
    if context is None:
        raise InputError(f"{path}: FFmpeg has no decoder for its video")
    return stream


def _contents(container: InputContainer) -> str:
    """What a file without video holds, for messages."""
    kinds: set[str] = {stream.type for stream in container.streams}
    contents = ", ".join(sorted(kinds - {"video"})) or "nothing"
    return f"{contents} and cover art" if container.streams.video else contents


def is_cover(stream: Any) -> bool:
    """True for a cover picture."""
    return bool(stream.disposition & Disposition.attached_pic)


def codec_name(stream: Any) -> str:
    """FFmpeg's canonical name of a stream's codec; empty if FFmpeg has no decoder."""
    context = stream.codec_context
    return str(context.codec.canonical_name) if context is not None else ""


def decoder_of(stream: VideoStream) -> Any:
    """The codec context that decodes a video stream; an empty packet makes it give all it holds.

    If the container says that VP8 or VP9 has alpha, libvpx decodes it.
    """
    name = _ALPHA_DECODERS.get(codec_name(stream))
    tags = {key.lower(): value for key, value in stream.metadata.items()}
    if name is None or tags.get("alpha_mode") != "1":
        return stream.codec_context
    return av.CodecContext.create(name, "r")
