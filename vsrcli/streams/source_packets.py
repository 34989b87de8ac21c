"""What the packets of a source's streams say before the work starts, without decoding."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard

from vsrcli.containers.pipe import is_standard_input
from vsrcli.containers.table import Container
from vsrcli.decode.input_file import open_input
from vsrcli.decode.source_clock import continuous_packets
from vsrcli.decode.stream_analysis import MAX_ANALYSED_BYTES, demux
from vsrcli.frame import FileInfo
from vsrcli.streams.adts import lacks_header

SAMPLE_BYTES = 16 << 20
_SAMPLE_PACKETS = 3
# A longer pause between packets of sound is not the jitter of a clock.
_MIN_PAUSE_SECONDS = Fraction(1, 50)
# The longest delay of an encoder that a file hides before its start.
_MAX_PRIMING_SECONDS = Fraction(1, 10)


def begin_of(packet: Packet[Any]) -> Fraction | None:
    """When a packet is presented, on its own stream's clock, seconds; None if it does not say."""
    if packet.pts is None or packet.time_base is None:
        return None
    return packet.pts * packet.time_base


def decoding_time(packet: Packet[Any]) -> Fraction | None:
    """When a packet is decoded, seconds; None if it does not say."""
    ticks = packet.pts if packet.dts is None else packet.dts
    if ticks is None or packet.time_base is None:
        return None
    return ticks * packet.time_base


def length_of(packet: Packet[Any]) -> Fraction:
    """How long a packet lasts, seconds; 0 if it does not say."""
    return (packet.duration or 0) * (packet.time_base or Fraction(0))


def packets_of(
    source: InputContainer,
    indices: set[int],
) -> Iterator[tuple[Packet[Any], Fraction]]:
    """The packets of some streams that have a time, each with that time, up to any damage.

    Args:
        source: the open file.
        indices: of the streams.

    Yields:
        Packets, and when they are presented on the source's clock, seconds.
    """
    with contextlib.suppress(av.FFmpegError):
        for packet in continuous_packets(source):
            begin = begin_of(packet)
            if packet.stream_index in indices and begin is not None:
                yield packet, begin


def first_packets(
    source: InputContainer,
    indices: set[int],
) -> dict[int, list[Packet[Any]]]:
    """The first packets of some streams: a few of each, if they come soon.

    Args:
        source: the open file; its other streams are discarded from now on.
        indices: of the streams.
    """
    packets: dict[int, list[Packet[Any]]] = {index: [] for index in indices}
    for stream in source.streams:
        if stream.index not in indices:
            stream.discard = Discard.all
    bytes_read = 0
    # damage further on is the reader's to report; what came before it is enough for a trial
    with contextlib.suppress(av.FFmpegError):
        for packet in demux(source):
            collected = packets.get(packet.stream_index, [])
            if packet.size and len(collected) < _SAMPLE_PACKETS:
                collected.append(packet)
            bytes_read += packet.size
            if bytes_read > SAMPLE_BYTES:
                break
            if all(len(each) >= _SAMPLE_PACKETS for each in packets.values()):
                break
    return packets


def streams_with_packets(info: FileInfo, indices: set[int]) -> set[int]:
    """Which streams have a packet in the part of the file that FFmpeg analyses.

    Args:
        info: the source.
        indices: of the streams to look for.
    """
    found: set[int] = set()
    if not indices or is_standard_input(info.path):
        return found
    bytes_read = 0
    with open_input(info.path) as source, contextlib.suppress(av.FFmpegError):
        for packet in demux(source):
            bytes_read += packet.size
            if packet.size and packet.stream_index in indices:
                found.add(packet.stream_index)
            if found == indices or bytes_read > MAX_ANALYSED_BYTES:
                break
    return found


def tracks_with_pauses(info: FileInfo, tracks: set[int]) -> set[int]:
    """Which audio tracks begin late or have gaps.

    Without timestamps packets follow each other, and what comes after a gap would be heard early.

    Args:
        info: the source.
        tracks: indices of the tracks to look at.
    """
    paused: set[int] = set()
    if is_standard_input(info.path):
        return paused
    ends = dict.fromkeys(tracks, info.start)
    with open_input(info.path) as source:
        for packet, begin in packets_of(source, tracks):
            index = packet.stream_index
            if begin - ends[index] > _MIN_PAUSE_SECONDS:
                paused.add(index)
            ends[index] = max(ends[index], begin + length_of(packet))
    return paused


def must_be_skipped(
    packet: Packet[Any],
    start: Fraction,
    container: Container,
) -> bool:
    """Whether a packet is left out, since a container cannot hide it as the source does.

    A container without edit lists would play what an edit list of the source hides. (An encoder's
    delay just before the start is kept.) In a container without timestamps, a packet of which at
    least half comes before the start would delay all that follow. No container takes a torn piece
    of AAC. A line of subtitles that ends before pictures and sound begin is shown nowhere.

    Args:
        packet: as the source gives it.
        start: of the source's clock (``FileInfo.start``), seconds.
        container: what it would be written to.
    """
    if lacks_header(packet):
        return True
    time = begin_of(packet)
    if time is None:
        return False
    begin = time - start
    length = length_of(packet)
    if packet.stream.type == "subtitle":
        return length > 0 and begin + length <= 0
    if container.hides_samples:
        return False
    if not container.keeps_timestamps and begin < 0 and begin + length / 2 <= 0:
        return True
    is_priming = begin < 0 and begin + length > -_MAX_PRIMING_SECONDS
    return packet.is_discard and not is_priming
