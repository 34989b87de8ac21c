"""Where a video can be cut into pieces that are read one by one: learned from its packets, without decoding."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import av
from av.stream import Discard

from vsrcli.errors import InputError
from vsrcli.frame import VideoInfo
from vsrcli.media.pipe import is_standard_input
from vsrcli.media.probe import find_video, open_input

_MOST_REORDERING_SECONDS = 1
# Formats without an index or times, where a seek goes by bytes or not at all.
_NO_SEEKING = (
    "h264",
    "hevc",
    "m4v",
    "mpegvideo",
    "obu",
    "ivf",
    "yuv4mpegpipe",
    "rawvideo",
    "gif",
    "image2",
    "concat",
)


@dataclass(frozen=True, slots=True)
class Timeline:
    """What the packets of a video say.

    Attributes:
        keyframes: times of the frames at which decoding can begin, seconds after the file's beginning, rising.
        is_seekable: whether every packet has a time of its own and the clock never restarts, so that reading may begin anywhere.
        end: the latest time of a frame, seconds.
    """

    keyframes: tuple[Fraction, ...]
    is_seekable: bool
    end: Fraction


def timeline(info: VideoInfo) -> Timeline:
    """Read all packets of a video.

    Raises:
        InputError: the file cannot be opened any more.
    """
    if is_standard_input(info.path):
        raise InputError("standard input cannot be read twice")
    keyframes: list[int] = []
    seen: set[int] = set()
    latest: int | None = None
    tolerated = _MOST_REORDERING_SECONDS / info.time_base
    with open_input(info.path) as container:
        stream = find_video(container, info.path)
        for other in container.streams:
            if other.index != stream.index:
                other.discard = Discard.all
        is_clean = not any(
            name in _NO_SEEKING for name in container.format.name.split(",")
        )
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError:
                is_clean = False
                break
            if packet is None:
                break
            if not packet.size:
                continue
            if (
                packet.pts is None
                or packet.pts in seen
                or packet.is_corrupt
                or (latest is not None and packet.pts < latest - tolerated)
            ):
                is_clean = False
            if packet.pts is not None:
                seen.add(packet.pts)
                latest = packet.pts if latest is None else max(latest, packet.pts)
                if packet.is_keyframe:
                    keyframes.append(packet.pts)
    times = tuple(sorted(pts * info.time_base - info.start for pts in keyframes))
    return Timeline(
        times,
        is_clean,
        Fraction(0) if latest is None else latest * info.time_base - info.start,
    )
