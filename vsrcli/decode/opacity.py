"""Whether pictures with alpha are opaque everywhere, so that nothing is lost without it."""

from __future__ import annotations

from pathlib import Path

import av

from vsrcli.decode.decoding import Unpacker
from vsrcli.decode.delivered import delivered_format
from vsrcli.decode.input_file import codec_name, decoder_of, find_video, open_input
from vsrcli.frame import Cropping

# Decoders of these always give alpha, or often though it means nothing.
_CODECS = ("gif", "apng", "png", "webp")
# As many pixels are looked at: a second, at most.
_MAX_PIXELS = 60_000_000


def is_opaque(path: Path) -> bool:
    """Whether a short file's pictures have alpha that is opaque everywhere.

    Args:
        path: the file.

    Returns:
        False also where that is not known: the codec has alpha for a reason, the file is long, or
        it is a pipe.

    Raises:
        InputError: it cannot be opened any more.
    """
    if not path.is_file():
        return False
    with open_input(path) as container:
        stream = find_video(container, path)
        if codec_name(stream) not in _CODECS:
            return False
        context = decoder_of(stream)
        pixels = 0
        for packet in container.demux(stream):
            try:
                frames: list[av.VideoFrame] = context.decode(packet)
            except av.FFmpegError:
                return False
            for frame in frames:
                pixels += frame.width * frame.height
                if pixels > _MAX_PIXELS or not _is_frame_opaque(frame):
                    return False
    return True


def _is_frame_opaque(frame: av.VideoFrame) -> bool:
    stored = frame.format.name
    layout = delivered_format(stored)
    if not layout.has_alpha:
        return True
    alpha = Unpacker(
        stored,
        layout,
        Cropping(),
        is_full_range=True,
    ).planes(frame)[-1]
    return bool(alpha.min() == layout.peak)
