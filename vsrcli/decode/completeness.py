"""How much of a file is present: a missing end is noticed before any work."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.packet import Packet
from av.video.stream import VideoStream

from vsrcli.containers.pipe import is_standard_input
from vsrcli.containers.table import FLV_DEMUXER, MATROSKA_DEMUXER
from vsrcli.decode.input_file import find_video, open_input
from vsrcli.decode.stream_analysis import demux
from vsrcli.frame import VideoInfo

_CLOCK = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")
# A tag of Matroska that counts from zero; the language suffix is mkvmerge's.
_DURATION_TAGS = ("DURATION", "DURATION-eng")
_TAIL_SECONDS = 2
_FLV_SIGNATURE = b"FLV\x01"
# More than the last packet.
_SEARCHED_BYTES = 1 << 22
_TOLERATED_GAP_SECONDS = Fraction(1, 2)


@dataclass(frozen=True, slots=True)
class Completeness:
    """How much of a file is present, judged by its packets.

    Attributes:
        present: where its last video packet ends, seconds.
        missing: how much earlier its last packet (of any kind, or of video) ends than the header
            promises, seconds; 0 if that is next to nothing or nothing is promised.
        unread_from: byte at which another recording begins that FFmpeg does not read; None if there
            is none.
    """

    present: Fraction
    missing: Fraction
    unread_from: int | None = None


def completeness(info: VideoInfo) -> Completeness:
    """Compare a file's last packets with its promised duration, without decoding.

    A truncated mp4, mov, mkv or webm reads to its last byte without any error. MPEG-TS and others
    promise nothing, so nothing can be said of them.

    Raises:
        InputError: the file cannot be opened any more.
    """
    if info.duration is None or is_standard_input(info.path):
        return Completeness(present=Fraction(0), missing=Fraction(0))
    if info.restarts:
        # the duration is not that of the header: all packets have been read
        return Completeness(present=info.duration, missing=Fraction(0))
    result = _measure(info, info.duration, near_the_end=True)
    if not result.missing:
        return result
    # the index may be as damaged as the rest: believe bad news only after reading all packets
    return _measure(info, info.duration, near_the_end=False)


def tolerated_gap(info: VideoInfo) -> Fraction:
    """How much earlier than promised a video may end, seconds.

    Headers are rounded, and last frames often have no duration.
    """
    two_frames = 2 / info.rate if info.rate else Fraction(0)
    return max(_TOLERATED_GAP_SECONDS, two_frames)


def promised_end(stream: VideoStream, start: Fraction) -> Fraction | None:
    """Where the header says that a video stream ends, seconds after ``start``; None if it does not.

    Args:
        stream: the stream.
        start: ``VideoInfo.start`` of its file.
    """
    # Matroska says it of the whole file only, and FFmpeg gives that to streams of few packets: the
    # music's duration to a still picture
    is_matroska = MATROSKA_DEMUXER in stream.container.format.name
    if stream.duration and stream.time_base is not None and not is_matroska:
        end = (stream.start_time or 0) + stream.duration
        return end * stream.time_base - start
    for name in _DURATION_TAGS:
        match = _CLOCK.fullmatch(stream.metadata.get(name, ""))
        if match is not None:
            hours, minutes, seconds = match.groups()
            whole_seconds = 3600 * int(hours) + 60 * int(minutes)
            return whole_seconds + Fraction(seconds) - start
    return None


def _measure(
    info: VideoInfo,
    duration: Fraction,
    *,
    near_the_end: bool,
) -> Completeness:
    promised = None
    unread_from = None
    last_byte = 0
    ends: dict[int, Fraction] = {}
    with open_input(info.path) as container:
        try:
            promised = promised_end(find_video(container, info.path), info.start)
            if near_the_end:
                tail = info.start + duration - _TAIL_SECONDS
                container.seek(int(tail * av.time_base))
            for packet in demux(container):
                _note_end(packet, info.start, ends)
                last_byte = max(last_byte, packet.pos or 0)
            if container.format.name == FLV_DEMUXER:
                unread_from = _next_recording(info.path, last_byte)
        except av.FFmpegError:
            pass  # what came before the error is what is present
    present = ends.get(info.video.index, Fraction(0))
    end = max(ends.values(), default=Fraction(0))
    missing = duration - end
    if promised is not None:
        # the video by itself as well: if all audio comes before it, the audio is complete
        missing = max(missing, promised - present)
    missing = max(missing, Fraction(0))
    if missing <= tolerated_gap(info):
        missing = Fraction(0)
    return Completeness(present, missing, unread_from)


def _next_recording(path: Path, last_byte: int) -> int | None:
    """Where another FLV file begins in a file, after the last packet that FFmpeg gives."""
    with path.open("rb") as file:
        file.seek(last_byte)
        place = file.read(_SEARCHED_BYTES).find(_FLV_SIGNATURE)
    return None if place < 0 else last_byte + place


def _note_end(
    packet: Packet[Any],
    start: Fraction,
    ends: dict[int, Fraction],
) -> None:
    """Note where a packet ends, by the index of its stream."""
    if not packet.size or packet.pts is None or packet.time_base is None:
        return
    index = packet.stream_index
    end_ticks = packet.pts + (packet.duration or 0)
    end = end_ticks * packet.time_base - start
    ends[index] = max(end, ends.get(index, end))
