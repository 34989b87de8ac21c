"""What all packets of a file say without decoding: restarts, and where segments can begin."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet

from vsrcli.containers.pipe import is_standard_input
from vsrcli.decode.input_file import find_video, open_input
from vsrcli.decode.source_clock import continuous_packets, expects_restarts
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
_KEPT_SCANS = 4


@dataclass(frozen=True, slots=True)
class PacketTimeline:
    """What the packets of a video say, without decoding.

    Attributes:
        keyframes: times of the frames at which decoding can begin, seconds after the beginning of
            the file, increasing.
        is_seekable: whether every packet has a time of its own and the clock never restarts, so
            that reading may begin anywhere.
        end: the latest time of a frame, seconds.
        stream_bytes: size of all packets of each stream, by its index.
    """

    keyframes: tuple[Fraction, ...]
    is_seekable: bool
    end: Fraction
    stream_bytes: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Restarts:
    """Where the clock of a file restarts; times are seconds of its continuous clock.

    Attributes:
        times: of the joints, increasing.
        end: when the last packet of picture or sound ends.
    """

    times: tuple[Fraction, ...]
    end: Fraction


def packet_timeline(info: VideoInfo) -> PacketTimeline:
    """Read all packets of a video, unless ``find_restarts`` has just done so.

    Raises:
        InputError: the file cannot be opened any more.
    """
    if is_standard_input(info.path):
        raise InputError("standard input cannot be read twice")
    scan = _scan(info.path)
    unit = info.time_base
    keyframes = [pts * unit - info.start for pts in sorted(scan.keyframes)]
    end = Fraction(0)
    if scan.latest is not None:
        end = scan.latest * unit - info.start
    is_seekable = scan.is_clean and not scan.restarts
    return PacketTimeline(
        tuple(keyframes),
        is_seekable,
        end,
        dict(scan.stream_bytes),
    )


def frame_times(info: VideoInfo) -> list[Fraction]:
    """The times of a video's frames by its packets, seconds, increasing; reads as the timeline.

    Returns:
        Nothing where the packets do not say.

    Raises:
        InputError: the file cannot be opened any more.
    """
    scan = _scan(info.path)
    if not scan.is_clean:
        return []
    return [pts * info.time_base - info.start for pts in scan.times]


def find_restarts(path: Path, container: InputContainer) -> Restarts | None:
    """Look for restarts of the clock in formats that expect some: reads all packets.

    Args:
        path: the file.
        container: the same, open; its packets stay unread.

    Returns:
        None if there are none; or if that is not known, since the source cannot be read twice.
    """
    if not expects_restarts(container) or not path.is_file():
        return None
    scan = _scan(path)
    if not scan.restarts:
        return None
    return Restarts(tuple(scan.restarts), scan.end)


def _scan(path: Path) -> _PacketScan:
    state = path.stat() if path.exists() else None
    size = 0 if state is None else state.st_size
    return _scan_once(path, size, 0 if state is None else state.st_mtime_ns)


@lru_cache(_KEPT_SCANS)
def _scan_once(path: Path, size: int, modified_ns: int) -> _PacketScan:
    """Scan a file of that size and time of change."""
    with open_input(path) as container:
        try:
            video_index = find_video(container, path).index
        except InputError:
            video_index = -1  # a sound track
        scan = _PacketScan(container, video_index)
        try:
            for packet in continuous_packets(container, scan.restarts.append):
                scan.add(packet)
        except av.FFmpegError:
            scan.is_clean = False
    scan.times = array("q", sorted(scan.timestamps))
    scan.timestamps.clear()
    return scan


class _PacketScan:
    """Collects timestamps of packets, and whether they are those of one steady clock.

    Attributes:
        keyframes: of the video, ticks.
        latest: time of a packet of the video, ticks.
        is_clean: whether each packet of the video has a time of its own.
        restarts: times of the joints, seconds.
        timestamps: of the video, ticks; only while it is read.
        times: the same afterwards, increasing.
        end: when the last packet of picture or sound ends, seconds.
        stream_bytes: size of all packets of each stream, by its index.
    """

    def __init__(self, container: InputContainer, video_index: int) -> None:
        demuxers = container.format.name.split(",")
        self.keyframes: array[int] = array("q")
        self.latest: int | None = None
        self.is_clean = not any(name in _NOT_SEEKABLE for name in demuxers)
        self.restarts: list[Fraction] = []
        self.stream_bytes: Counter[int] = Counter()
        self._video_index = video_index
        self._units: dict[int, Fraction] = {}
        self._ends: dict[int, int] = {}
        for stream in (*container.streams.video, *container.streams.audio):
            self._units[stream.index] = stream.time_base or Fraction(1)
        unit = self._units.get(video_index, Fraction(1))
        self._max_step_back = _MAX_REORDERING_SECONDS / unit
        self.timestamps: set[int] = set()
        self.times: array[int] = array("q")

    @property
    def end(self) -> Fraction:
        ends = [end * self._units[index] for index, end in self._ends.items()]
        return max(ends, default=Fraction(0))

    def add(self, packet: Packet[Any]) -> None:
        index = packet.stream_index
        if not packet.size:
            return
        self.stream_bytes[index] += packet.size
        pts = packet.pts
        if index in self._units and pts is not None:
            end = pts + (packet.duration or 0)
            self._ends[index] = max(end, self._ends.get(index, end))
        if index == self._video_index:
            self._add_picture(packet, pts)

    def _add_picture(self, packet: Packet[Any], pts: int | None) -> None:
        if packet.is_corrupt or pts is None or pts in self.timestamps:
            self.is_clean = False
        if pts is None:
            return
        if self.latest is None:
            self.latest = pts
        if pts < self.latest - self._max_step_back:
            self.is_clean = False
        self.latest = max(self.latest, pts)
        self.timestamps.add(pts)
        if packet.is_keyframe:
            self.keyframes.append(pts)
