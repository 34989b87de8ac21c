"""The beginning of a file: its first frames, and what the first packets say."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from vsrcli.containers.table import QUICKTIME_DEMUXER
from vsrcli.decode.encryption import encrypted_streams, is_encrypted
from vsrcli.decode.input_file import decoder_of
from vsrcli.decode.metadata import uncarried_by, uncarried_by_packet

_FRAMES = 2
# As many packets show whether those of each stream are encrypted.
_MAX_PACKETS = 200


@dataclass(slots=True)
class Beginning:
    """What was found there.

    Attributes:
        frames: the first ones that can be decoded, two at least unless there are fewer.
        encrypted: indices of the streams that are.
        uncarried: phrases for the metadata that no output holds (``metadata.py``), each once.
    """

    frames: list[av.VideoFrame] = field(default_factory=list)
    encrypted: set[int] = field(default_factory=set)
    uncarried: dict[str, None] = field(default_factory=dict)


def read_beginning(
    container: InputContainer,
    path: Path,
    video: VideoStream | None = None,
) -> Beginning:
    """Read it; damage ends it.

    Args:
        container: the file, from its first packet on.
        path: the file.
        video: the stream that is decoded; None: none is.
    """
    beginning = Beginning(encrypted=encrypted_streams(container, path))
    context = None if video is None else decoder_of(video)
    # only MP4's packets say whether they are encrypted
    unseen = set()
    if QUICKTIME_DEMUXER in container.format.name:
        unseen = {stream.index for stream in container.streams.audio}
    if video is None and not unseen:
        return beginning
    with contextlib.suppress(av.FFmpegError):
        for number, packet in enumerate(container.demux()):
            unseen.discard(packet.stream_index)
            if packet.size and is_encrypted(packet):
                beginning.encrypted.add(packet.stream_index)
            needs_frames = video is not None and len(beginning.frames) < _FRAMES
            if (
                video is not None
                and packet.stream_index == video.index
                and needs_frames
            ):
                _decode(packet, context, beginning)
            is_searched = bool(unseen) and number < _MAX_PACKETS
            if not needs_frames and not is_searched:
                break
    return beginning


def _decode(packet: Packet[Any], context: Any, beginning: Beginning) -> None:
    beginning.uncarried |= dict.fromkeys(uncarried_by_packet(packet))
    with contextlib.suppress(av.FFmpegError):
        for frame in context.decode(packet):
            beginning.uncarried |= dict.fromkeys(uncarried_by(frame))
            beginning.frames.append(frame)
