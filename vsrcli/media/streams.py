"""What happens to each stream of the source: decided before the work starts, and the copying of those that are kept.

Copied packets come from a second handle on the source, so that reading the pictures stays a plain iterator.
"""

from __future__ import annotations

import io
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Discard, Stream

from vsrcli.errors import InputError, OutputError
from vsrcli.frame import StreamInfo, VideoInfo
from vsrcli.media.encoders import Container, container_of, open_quietly
from vsrcli.media.timing import round_half_away

_SAMPLE_PACKETS = 3
_SAMPLE_BYTES = 16 << 20
# Tags that describe the source file rather than its content: the muxer writes its own.
_FILE_TAGS = {"encoder", "major_brand", "minor_version", "compatible_brands", "duration", "rotate", "vendor_id", "software"}
_FILE_TAG_STARTS = ("_statistics", "number_of_", "bps", "duration-", "source_id")
_DEFAULT_HANDLERS = {"VideoHandler", "SoundHandler", "SubtitleHandler", "Core Media Video", "Core Media Audio"}

_DEMUXERS = {"mp4": "mov", "mov": "mov", "matroska": "matroska", "webm": "matroska", "mpegts": "mpegts", "avi": "avi"}

_DROPPED = {
    "data": "data streams are not carried",
    "attachment": "attachments are not carried",
    "video": "only one video stream is upscaled",
}


@dataclass(frozen=True)
class StreamPlan:
    """What happens to one stream of the source, and why."""

    stream: StreamInfo
    action: Literal["upscale", "copy", "drop"]
    reason: str


def plan_streams(info: VideoInfo, target: Path | str, audio: Literal["copy", "none"]) -> tuple[StreamPlan, ...]:
    """Decide what happens to each stream. Whether the container takes a stream is found out by putting its first packets into one in
    memory and reading them back.

    Args:
        info: the source.
        target: the output's name; its ending names the container.
        audio: ``copy`` all tracks, or ``none``.

    Returns:
        One plan for each stream, in the source's order.

    Raises:
        OutputError: the container does not take an audio track; the message names the ways out.
        InputError: the source cannot be opened.
    """
    container = container_of(target)
    wanted = {s.index for s in info.streams if s.kind == "subtitle" or (s.kind == "audio" and audio == "copy")}
    refused = _refusals(info, container, wanted)
    plans = []
    for stream in info.streams:
        if stream.index == info.video.index:
            plans.append(StreamPlan(stream, "upscale", "the picture"))
        elif stream.index in wanted and stream.index not in refused:
            plans.append(StreamPlan(stream, "copy", "copied as it is"))
        elif stream.kind == "audio" and audio == "copy":
            raise OutputError(
                f"{target}: its container does not take {stream.codec} audio (stream {stream.index} of {info.path}): "
                "name the output .mkv, which takes it, or give --audio none"
            )
        else:
            plans.append(StreamPlan(stream, "drop", _drop_reason(stream, container)))
    return tuple(plans)


def _drop_reason(stream: StreamInfo, container: Container) -> str:
    if stream.is_cover:
        return "cover pictures are not carried"
    if stream.kind == "audio":
        return "--audio none"
    if stream.kind == "subtitle":
        return f"a {container.format} file does not take {stream.codec} subtitles as they are"
    return _DROPPED.get(stream.kind, f"{stream.kind} streams are not carried")


def open_source(info: VideoInfo) -> InputContainer:
    """Open a further handle on the source.

    Raises:
        InputError: it cannot be opened any more.
    """
    try:
        return av.open(str(info.path.absolute()), "r", metadata_errors="replace")
    except (av.FFmpegError, OSError) as error:
        raise InputError(f"{info.path}: cannot be opened again: {error.strerror}") from error


def _refusals(info: VideoInfo, container: Container, wanted: set[int]) -> set[int]:
    if not wanted:
        return set()
    with open_source(info) as source:
        packets = _first_packets(source, wanted)
        return {index for index in wanted if not _is_taken(source.streams[index], packets[index], container)}


def _first_packets(source: InputContainer, wanted: set[int]) -> dict[int, list[Packet[Any]]]:
    packets: dict[int, list[Packet[Any]]] = {index: [] for index in wanted}
    for stream in source.streams:
        if stream.index not in wanted:
            stream.discard = Discard.all
    read = 0
    try:
        for packet in source.demux():
            if packet.size and packet.stream_index in packets and len(packets[packet.stream_index]) < _SAMPLE_PACKETS:
                packets[packet.stream_index].append(packet)
            read += packet.size
            missing = [index for index, found in packets.items() if len(found) < _SAMPLE_PACKETS]
            if not missing or read > _SAMPLE_BYTES:
                break
    except av.FFmpegError:
        pass  # damage further on is the reader's to report; what came so far is enough to try
    return packets


def _is_taken(stream: Stream, packets: list[Packet[Any]], container: Container) -> bool:
    """Whether the container takes the stream's packets and gives them back as the same codec."""
    codec = stream.codec_context.name if stream.codec_context is not None else ""
    if not codec or (container.format == "mp4" and codec.startswith("pcm_") and codec.endswith("le")):
        return False  # FFmpeg writes some of this PCM into mp4, but few players know it
    buffer = io.BytesIO()

    def write() -> None:
        with av.open(buffer, "w", format=container.format) as out:
            copy = out.add_stream_from_template(stream)
            out.start_encoding()
            for packet in packets:
                packet.stream = copy
                out.mux(packet)

    def read() -> None:
        buffer.seek(0)
        with av.open(buffer, "r", format=_DEMUXERS[container.format]) as back:
            found = back.streams[0]
            if found.codec_context is None or found.codec_context.name != codec:
                raise ValueError("comes back as something else")
            if not any(packet.size for packet in back.demux(found)):
                raise ValueError("nothing comes back")

    if open_quietly(write) is not None:
        return False
    return not packets or open_quietly(read) is None




class StreamCopier:
    """The streams that are copied, from a second handle on the source into an output that is being written.

    Global tags, chapters, and the tags and dispositions of the streams are carried over at once; packets come when asked for. At most one
    packet is held.

    Attributes:
        origin: source time that is output time 0, seconds; set it before the first packet is asked for.
        delivered: packets delivered so far, by index of the output's stream.
    """

    def __init__(
        self,
        source: VideoInfo,
        plan: tuple[StreamPlan, ...],
        output: OutputContainer,
        *,
        start: Fraction | None = None,
        end: Fraction | None = None,
    ) -> None:
        """Add the streams to ``output``, whose header must not be written yet, and whose stream 0 is the upscaled video.

        Args:
            source: the file.
            plan: what to copy.
            output: the container.
            start: source time at which the output begins (to within a frame: chapters are cut by it), seconds.
            end: source time at which it ends, seconds.

        Raises:
            InputError: the source cannot be opened any more.
            ValueError, av.FFmpegError: the container refuses a stream.
        """
        self.origin = start or Fraction(0)
        self.delivered: dict[int, int] = {}
        self._file_start, self._end, self._trimmed = source.start, end, start is not None and start > 0
        self._pending: Packet[Any] | None = None
        self._copies: dict[int, Stream] = {}
        self._input = open_source(source)
        try:
            self._add_streams(source, plan, output)
        except BaseException:
            self._input.close()
            raise
        self._packets = self._read()

    def _add_streams(self, source: VideoInfo, plan: tuple[StreamPlan, ...], output: OutputContainer) -> None:
        is_mov = output.format.name in ("mp4", "mov")
        output.metadata.update(_content_tags(self._input.metadata, is_mov))
        chapters = _cut_chapters(self._input.chapters(), self._file_start, self.origin, self._end)
        if chapters:
            output.set_chapters(chapters)
        _carry(self._input.streams[source.video.index], output.streams[0], is_mov)
        for item in plan:
            stream = self._input.streams[item.stream.index]
            if item.action == "copy":
                copy = output.add_stream_from_template(stream)
                _carry(stream, copy, is_mov)
                self._copies[stream.index] = copy
                self.delivered[copy.index] = 0
            else:
                stream.discard = Discard.all

    def until(self, seconds: Fraction | None) -> Iterator[Packet[Any]]:
        """Deliver the packets that come before a time of the output.

        Args:
            seconds: output time; None for all that are left.

        Yields:
            Packets that belong to the output's streams, timestamps shifted.
        """
        while True:
            packet = self._pending or next(self._packets, None)
            self._pending = None
            if packet is None:
                return
            time = packet.dts if packet.dts is not None else packet.pts
            if seconds is not None and time is not None and packet.time_base is not None and time * packet.time_base >= seconds:
                self._pending = packet
                return
            self.delivered[packet.stream_index] += 1
            yield packet

    def close(self) -> None:
        """Let go of the source; may be called more than once."""
        self._packets.close()
        self._input.close()

    def _read(self) -> Generator[Packet[Any]]:
        open_streams = set(self._copies)
        demuxed = self._input.demux() if open_streams else iter(())
        while open_streams:
            try:
                packet = next(demuxed)
            except (StopIteration, av.FFmpegError):
                return  # a damaged rest: the reader of the pictures, which sees it too, is the one to report it
            if packet.size == 0 or packet.stream_index not in open_streams:
                continue
            place = self._place(packet)
            if place == "after":
                open_streams.discard(packet.stream_index)
            elif place == "inside":
                self._shift(packet)
                packet.stream = self._copies[packet.stream_index]
                yield packet

    def _place(self, packet: Packet[Any]) -> Literal["before", "inside", "after"]:
        if packet.pts is None or packet.time_base is None:
            return "inside"
        begin = packet.pts * packet.time_base - self._file_start
        if self._end is not None and begin >= self._end:
            return "after"
        if self._trimmed and begin + (packet.duration or 0) * packet.time_base <= self.origin:
            return "before"
        return "inside"

    def _shift(self, packet: Packet[Any]) -> None:
        ticks = round_half_away((self.origin + self._file_start) / packet.time_base)
        if packet.pts is not None:
            packet.pts -= ticks
        if packet.dts is not None:
            packet.dts -= ticks
        if packet.stream.type == "subtitle" and packet.pts is not None and packet.pts < 0:
            packet.duration = max(1, (packet.duration or 0) + packet.pts)
            packet.pts = packet.dts = 0


def _carry(source: Stream, copy: Stream, is_mov: bool) -> None:
    copy.metadata.update(_content_tags(source.metadata, is_mov))
    copy.disposition = source.disposition


def _content_tags(tags: dict[str, str], is_mov: bool) -> dict[str, str]:
    kept = {
        key: value
        for key, value in tags.items()
        if key.lower() not in _FILE_TAGS
        and not key.lower().startswith(_FILE_TAG_STARTS)
        and not (key == "handler_name" and (not is_mov or value in _DEFAULT_HANDLERS))
        and not (key == "language" and value == "und")
    }
    if "name" in kept:  # what mov calls the title of a track
        kept.setdefault("title", kept.pop("name"))
    return kept


def _cut_chapters(chapters: list[Any], file_start: Fraction, origin: Fraction, end: Fraction | None) -> list[Any]:
    cut = []
    for chapter in chapters:
        unit = chapter["time_base"]
        shift = round_half_away((origin + file_start) / unit)
        begin, stop = max(0, chapter["start"] - shift), chapter["end"] - shift
        if end is not None:
            stop = min(stop, round_half_away((end - origin) / unit))
        if stop > begin:
            cut.append({**chapter, "start": begin, "end": stop})
    return cut
