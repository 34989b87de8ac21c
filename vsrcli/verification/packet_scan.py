"""Reads every packet of a file for its inventory: times, digests, streams, chapters, tags."""

from __future__ import annotations

import contextlib
import hashlib
from array import array
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import AttachmentStream, Disposition

from vsrcli.containers.table import Container
from vsrcli.decode.caption_reader import captions_in
from vsrcli.decode.completeness import promised_end
from vsrcli.decode.input_file import find_video, open_input
from vsrcli.decode.metadata import uncarried_by_packet
from vsrcli.decode.source_clock import continuous_packets, continuous_packets_of
from vsrcli.frame import VideoInfo
from vsrcli.streams.adts import without_header
from vsrcli.streams.source_packets import must_be_skipped
from vsrcli.streams.stream_tags import content_tags, global_tags, other_tags
from vsrcli.verification.packet_inventory import (
    NO_TIME,
    Chapter,
    PacketInventory,
    TimedCaptions,
    Track,
)

_DEFAULT_UNIT = Fraction(1, 1000)
_DIGEST_BYTES = 8
_MAX_SILENT_PACKETS = 16
# What mp4 fills the time between two lines with.
_EMPTY_MOV_TEXT = b"\0\0"


def scan_packets(
    info: VideoInfo,
    container: Container | None = None,
) -> PacketInventory:
    """Read every packet of a file once; nothing is decoded.

    Args:
        info: the file. The payloads of its main video are not digested.
        container: what it was carried into: packets that are not carried into it are left out;
            None: all count.

    Returns:
        All streams in the file's order.

    Raises:
        InputError: the file cannot be opened any more.
    """
    with open_input(info.path) as source:
        uncarried: dict[str, None] = {}
        recorders = [_TrackRecorder(stream, info) for stream in source.streams]
        for packet in _carried_packets(source, info, container):
            recorders[packet.stream_index].add(packet)
            if packet.stream_index == info.video.index:
                uncarried |= dict.fromkeys(uncarried_by_packet(packet))
        chapters = [_chapter(chapter, info.start) for chapter in source.chapters()]
        video = find_video(source, info.path)
        return PacketInventory(
            tracks=tuple(recorder.track() for recorder in recorders),
            chapters=tuple(chapters),
            tags=global_tags(dict(source.metadata)),
            end=promised_end(video, info.start),
            captions=recorders[video.index].captions(),
            uncarried=tuple(uncarried),
        )


def _carried_packets(
    source: InputContainer,
    info: VideoInfo,
    container: Container | None,
) -> Iterator[Packet[Any]]:
    # where the rest is damaged, what comes before it counts
    with contextlib.suppress(av.FFmpegError):
        for packet in continuous_packets(source):
            is_skipped = container is not None and must_be_skipped(
                packet,
                info.start,
                container,
            )
            if packet.size and not is_skipped:
                yield packet


def _chapter(chapter: Any, start: Fraction) -> Chapter:
    unit = chapter["time_base"]
    return Chapter(
        start=chapter["start"] * unit - start,
        end=chapter["end"] * unit - start,
        title=chapter["metadata"].get("title", ""),
    )


def payload_sum(
    info: VideoInfo,
    container: Container,
    index: int,
    packets: slice,
) -> str:
    """The sha256 of the payloads of some packets of one stream, in sequence.

    Args:
        info: the file.
        container: as for ``scan_packets``.
        index: of the stream.
        packets: which, counted as in ``Track.times``.

    Raises:
        InputError: the file cannot be opened any more.
    """
    digest = hashlib.sha256()
    with open_input(info.path) as source:
        carried = (
            packet
            for packet in continuous_packets_of(source, source.streams[index])
            if packet.size and not must_be_skipped(packet, info.start, container)
        )
        for packet in islice(carried, packets.start, packets.stop):
            digest.update(bytes(packet))
    return digest.hexdigest()


def first_sample_time(info: VideoInfo, index: int) -> Fraction:
    """When the first samples of an audio track come out of its decoder, seconds.

    Some decoders give no samples for the first packets.

    Raises:
        InputError: the file cannot be opened any more.
    """
    with open_input(info.path) as source, contextlib.suppress(av.FFmpegError):
        packets = source.demux(source.streams[index])
        for packet in islice(packets, _MAX_SILENT_PACKETS):
            frames: list[Any] = list(packet.decode())
            for frame in frames:
                if frame.pts is not None and frame.time_base is not None:
                    return Fraction(frame.pts * frame.time_base - info.start)
    return Fraction(0)


class _TrackRecorder:
    """Remembers one stream while its packets go by: 24 bytes for each."""

    def __init__(self, stream: Any, info: VideoInfo) -> None:
        self._stream = stream
        self._start = info.start
        self._is_main_video = stream.index == info.video.index
        self._codec = ""
        if stream.index < len(info.streams):
            self._codec = info.streams[stream.index].codec
        self._times = array("q")
        self._lengths = array("q")
        self._digests = array("Q")
        self._sum = hashlib.sha256()
        self._captions: list[tuple[int, bytes]] = []

    def add(self, packet: Packet[Any]) -> None:
        payload = b""
        if not self._is_main_video:
            payload = bytes(packet)
            if self._codec == "aac":
                payload = without_header(payload)
        elif captions := captions_in(bytes(packet), self._codec):
            time = NO_TIME if packet.pts is None else packet.pts
            self._captions.append((time, captions))
        if self._codec == "mov_text" and payload == _EMPTY_MOV_TEXT:
            return
        digest = hashlib.sha256(payload).digest()[:_DIGEST_BYTES]
        self._times.append(NO_TIME if packet.pts is None else packet.pts)
        self._lengths.append(packet.duration or 0)
        self._digests.append(int.from_bytes(digest, "little"))
        self._sum.update(payload)

    def captions(self) -> tuple[TimedCaptions, ...]:
        """See ``PacketInventory.captions``."""
        unit = self._stream.time_base or _DEFAULT_UNIT
        ordered = sorted(self._captions, key=lambda item: item[0])
        return tuple(
            (None if ticks == NO_TIME else ticks * unit - self._start, captions)
            for ticks, captions in ordered
        )

    def track(self) -> Track:
        stream = self._stream
        tags = dict(stream.metadata)
        sha256 = self._sum
        if isinstance(stream, AttachmentStream):
            sha256 = hashlib.sha256(bytes(stream.data))
        channels = 0
        rate = 0
        if stream.type == "audio" and stream.codec_context is not None:
            channels = stream.codec_context.channels
            rate = stream.codec_context.sample_rate
        times = np.array(self._times, np.int64)
        lengths = np.array(self._lengths, np.int64)
        unit = stream.time_base or _DEFAULT_UNIT
        uncertain_end = Fraction(0)
        is_silent = len(times) > 1 and not lengths.any() and NO_TIME not in times
        if stream.type == "audio" and is_silent:
            steps = np.diff(times)
            lengths = np.append(steps, steps[-1])
            uncertain_end = int(steps[-1]) * unit
        return Track(
            index=stream.index,
            kind=stream.type,
            codec=self._codec,
            unit=unit,
            start=self._start,
            times=times,
            lengths=lengths,
            digests=np.array(self._digests, np.uint64),
            sha256=sha256.hexdigest(),
            channels=channels,
            rate=rate,
            uncertain_end=uncertain_end,
            is_cover=bool(stream.disposition & Disposition.attached_pic),
            file_name=tags.get("filename"),
            language=tags.get("language") or tags.get("LANGUAGE"),
            title=content_tags(tags, handler_names=False).get("title"),
            disposition=int(stream.disposition),
            tags=other_tags(tags),
        )
