"""Why not one frame of a video can be decoded."""

from __future__ import annotations

from pathlib import Path

import av
import av.logging

from vsrcli.containers.table import QUICKTIME_DEMUXER
from vsrcli.decode.input_file import codec_name, find_video, open_input

# What FFmpeg's decoders say of files that are as they should be.
_UNSUPPORTED = (
    "unsupported",
    "not supported",
    "not implemented",
    "not yet implemented",
)
_MAX_PACKETS = 32


def reason_undecodable(path: Path) -> str:
    """Explain it in one line, with a way out.

    Args:
        path: a file that was read before, of whose video nothing could be decoded.

    Raises:
        InputError: it cannot be opened any more.
    """
    level = av.logging.get_level()
    av.logging.set_level(av.logging.WARNING)
    try:
        with av.logging.Capture(local=False) as logs, open_input(path) as container:
            stream = find_video(container, path)
            codec = codec_name(stream)
            is_mp4 = QUICKTIME_DEMUXER in container.format.name
            has_content = False
            for number, packet in enumerate(container.demux(stream)):
                if number == _MAX_PACKETS:
                    break
                has_content |= packet.size > 0
                try:
                    packet.decode()
                except av.FFmpegError:
                    continue
    except av.FFmpegError:
        return "the file is damaged"
    finally:
        av.logging.set_level(level)
    if not has_content and is_mp4:
        return (
            "the file holds a header and no pictures: put the pieces of a stream together first, "
            "as `cat init.mp4 *.m4s > film.mp4` does"
        )
    if not has_content:
        return "the file holds no pictures"
    for _, _, text in logs:
        message = text.strip().splitlines()[0] if text.strip() else ""
        if any(word in message.lower() for word in _UNSUPPORTED):
            return (
                f"FFmpeg does not decode this kind of {codec} ({message}): "
                "convert the video to another format first"
            )
    return "the file is damaged"
