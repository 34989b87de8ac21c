"""Where a video can be cut into segments that are read one by one: learned from its packets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard
from av.video.stream import VideoStream

from vsrcli.containers.pipe import is_standard_input
from vsrcli.decode.input_file import find_video, open_input
from vsrcli.errors import InputError
from vsrcli.frame import VideoInfo

_MAX_REORDERING_SECONDS = 1
# Formats without an index or times, where a seek goes by bytes or not at all.
_NOT_SEEKABLE = (
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
class PacketTimeline:
    """What the packets of a video say, without decoding.

    Attributes:
        keyframes: times of the frames at which decoding can begin, seconds after the beginning of
            the file, increasing.
        is_seekable: whether every packet has a time of its own and the clock never restarts, so
            that reading may begin anywhere.
        end: the latest time of a frame, seconds.
    """

    keyframes: tuple[Fraction, ...]
    is_seekable: bool
    end: Fraction


def packet_timeline(info: VideoInfo) -> PacketTimeline:
    """Read all packets of a video.

    Raises:
        InputError: the file cannot be opened any more.
    """
    if is_standard_input(info.path):
        raise InputError("standard input cannot be read twice")
    scan = _PacketScan(max_step_back=_MAX_REORDERING_SECONDS / info.time_base)
    with open_input(info.path) as container:
        stream = find_video(container, info.path)
        demuxers = container.format.name.split(",")
        scan.is_clean = not any(name in _NOT_SEEKABLE for name in demuxers)
        try:
            for packet in _video_packets(container, stream):
                scan.add(packet)
        except av.FFmpegError:
            scan.is_clean = False
    unit = info.time_base
    keyframes = [pts * unit - info.start for pts in sorted(scan.keyframes)]
    end = Fraction(0)
    if scan.latest is not None:
        end = scan.latest * unit - info.start
    return PacketTimeline(tuple(keyframes), scan.is_clean, end)


class _PacketScan:
    """Collects timestamps of packets, and whether they are those of one steady clock."""

    def __init__(self, *, max_step_back: Fraction) -> None:
        self.keyframes: list[int] = []
        self.latest: int | None = None
        self.is_clean = True
        self._max_step_back = max_step_back
        self._timestamps: set[int] = set()

    def add(self, packet: Packet[Any]) -> None:
        pts = packet.pts
        if packet.is_corrupt or pts is None or pts in self._timestamps:
            self.is_clean = False
        if pts is None:
            return
        if self.latest is None:
            self.latest = pts
        if pts < self.latest - self._max_step_back:
            self.is_clean = False
        self.latest = max(self.latest, pts)
        self._timestamps.add(pts)
        if packet.is_keyframe:
            self.keyframes.append(pts)


def _video_packets(
    container: InputContainer, stream: VideoStream
) -> Iterator[Packet[Any]]:
    for other in container.streams:
        if other.index != stream.index:
            other.discard = Discard.all
    for packet in container.demux(stream):
        if packet.size:
            yield packet
