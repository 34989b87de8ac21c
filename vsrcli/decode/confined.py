"""FFmpeg opens the one file that it is given, and none that its content or its name asks for."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer

from vsrcli.decode.playlist import Playlist, is_playlist

# Demuxers that read what their file names, wherever that is. FFmpeg chooses by content: such a
# text may be called NAME.mp4.
_LIST_DEMUXERS = {
    "avisynth",
    "concat",
    "dash",
    "hls",
    "imf",
    "lavfi",
    "rtp",
    "rtsp",
    "sap",
    "sdp",
    "vapoursynth",
    "vobsub",
    "webm_dash_manifest",
}


def open_confined(
    path: Path,
    *,
    hwaccel: HWAccel | None = None,
    options: dict[str, str] | None = None,
) -> InputContainer:
    """Open a regular file.

    Of an HLS playlist, the segments in its own folder and below are read as well (see
    ``Playlist``).

    Args:
        path: the file.
        hwaccel: a device that decodes.
        options: for FFmpeg's demuxer.

    Raises:
        InputError: a playlist that is not followed.
        av.FFmpegError, OSError: it cannot be opened, or no demuxer that is allowed knows it.
    """
    allowed: dict[str, str] = {
        "protocol_whitelist": "file",
        "format_whitelist": _allowed_demuxers(),
        # a%d.png is the name of one picture
        "pattern_type": "none",
        **(options or {}),
    }
    # absolute, since FFmpeg takes what comes before a colon as a protocol
    name = str(path.resolve())
    io_open = None
    if is_playlist(path):
        playlist = Playlist(path)
        name = playlist.name
        io_open = playlist.open
        allowed["format_whitelist"] += ",hls"
    return av.open(
        name,
        metadata_errors="replace",
        hwaccel=hwaccel,
        container_options=allowed,
        io_open=io_open,
    )


def open_stream(reader: Any) -> InputContainer:
    """Open what a Python object reads, such as a pipe; no file is opened.

    Raises:
        av.FFmpegError: no demuxer that is allowed knows it.
    """
    container: InputContainer = av.open(
        reader,
        "r",
        metadata_errors="replace",
        container_options={
            "protocol_whitelist": "none",
            "format_whitelist": _allowed_demuxers(),
        },
    )
    return container


@cache
def _allowed_demuxers() -> str:
    return ",".join(sorted(av.formats_available - _LIST_DEMUXERS))
