"""Carries streams from the source into an output that is being written.

Packets come from a second handle on the source, so that reading pictures stays a plain iterator.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from fractions import Fraction
from itertools import chain
from typing import Any

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import AttachmentStream, Discard, Stream

from vsrcli.containers.pipe import is_standard_input
from vsrcli.containers.table import Container
from vsrcli.decode.input_file import open_input
from vsrcli.decode.source_clock import continuous_packets
from vsrcli.frame import FileInfo
from vsrcli.streams.apple_tags import apple_tags, are_apple_tags
from vsrcli.streams.attachments import add_cover, add_file
from vsrcli.streams.audio_conversion import AudioConverter
from vsrcli.streams.audio_settings import AudioSettings
from vsrcli.streams.packet_clock import PacketClock
from vsrcli.streams.source_packets import begin_of, decoding_time, must_be_skipped
from vsrcli.streams.stream_plan import StreamPlan, audio_settings_for
from vsrcli.streams.stream_tags import (
    content_tags,
    copy_tags,
    global_tags,
    storable_tags,
    trim_chapters,
)
from vsrcli.streams.subtitle_conversion import SubtitleConverter
from vsrcli.streams.trial_mux import measure_lead
from vsrcli.timing import WHOLE, TimeRange

# Reading begins this long before a range of time, for lines of subtitles that are still on screen.
# Nearer to the file's beginning, all of it is read.
_RUN_UP_SECONDS = 30
# MP3 keeps parts of a packet in the ones before it, AAC and AC-3 add half of the last one's sound,
# Opus needs 80 ms to settle.
_DECODER_RUN_UP_SECONDS = Fraction(1, 2)


class StreamCopier:
    """The streams that are carried, from a second handle on the source into an output.

    The constructor carries global tags, chapters, attachments, and the tags and dispositions of the
    streams. Packets come when asked for.

    Attributes:
        delivered: number of packets delivered so far, by index of the output's stream.
    """

    def __init__(
        self,
        source: FileInfo,
        plan: tuple[StreamPlan, ...],
        output: OutputContainer,
        container: Container,
        *,
        time_range: TimeRange = WHOLE,
        origin: Fraction = Fraction(0),
    ) -> None:
        """Add the streams to ``output``.

        Args:
            source: the file.
            plan: what to carry.
            output: the file; its header is not written yet, and its stream 0 is the upscaled video.
            container: what kind it is.
            time_range: source times that the output has; chapters are cut by it.
            origin: source time that is output time 0, seconds.

        Raises:
            InputError: the source cannot be opened any more.
            ValueError, av.FFmpegError: the container refuses a stream.
        """
        self.delivered: dict[int, int] = {}
        self._source = source
        self._container = container
        self._range = time_range
        self._origin = origin
        self._clock = PacketClock(
            source.start,
            container,
            time_range,
            origin,
        )
        self._kinds = {item.stream.index: item.stream.kind for item in plan}
        self._pending: Packet[Any] | None = None
        # by index of the source's stream
        self._copies: dict[int, Stream] = {}
        self._audio: dict[int, AudioConverter] = {}
        self._audio_settings: dict[int, AudioSettings] = {}
        self._subtitles: dict[int, SubtitleConverter] = {}
        self._covers: list[Packet[Any]] = []
        self._input: InputContainer = open_input(source.path)
        try:
            self._carry_global_tags(output)
            self._carry_chapters(plan, output)
            if source.video is not None:
                video = self._input.streams[source.video.index]
                copy_tags(video, output.streams[0], container)
            for item in plan:
                self._add_stream(item, output)
        except BaseException:
            self._input.close()
            raise
        if not self._copies:
            self._input.close()  # a pipe need not be kept for it
        self._packets = self._read()

    def _carry_global_tags(self, output: OutputContainer) -> None:
        tags = content_tags(
            self._input.metadata,
            handler_names=self._container.has_handler_names,
        )
        if are_apple_tags(self._container, tags):
            tags = apple_tags(global_tags(self._input.metadata))
        output.metadata.update(storable_tags(tags, self._container))

    def _carry_chapters(
        self,
        plan: tuple[StreamPlan, ...],
        output: OutputContainer,
    ) -> None:
        chapters: list[Any] = self._input.chapters()
        source_start = self._source.start
        lead = Fraction(0)
        begins_at_zero = not self._range.begin
        if chapters and begins_at_zero and not self._container.hides_samples:
            copied_audio = {
                item.stream.index
                for item in plan
                if item.action == "copy" and item.stream.kind == "audio"
            }
            lead = measure_lead(
                self._source,
                copied_audio,
                self._container,
                source_start,
            )
        chapters = trim_chapters(
            chapters,
            source_start + self._range.begin - lead,
            None if self._range.end is None else source_start + self._range.end,
        )
        if chapters:
            output.set_chapters(chapters)

    def _add_stream(self, item: StreamPlan, output: OutputContainer) -> None:
        index = item.stream.index
        stream = self._input.streams[index]
        if item.action == "attach":
            self._attach(stream, item.stream.codec, output)
            return
        copy: Stream
        if item.action == "copy":
            copy = output.add_stream_from_template(stream)
        elif item.action == "convert" and item.codec is not None:
            if item.stream.kind == "subtitle":
                converter = SubtitleConverter(item.stream.codec, item.codec, output)
                self._subtitles[index] = converter
                copy = converter.stream
            else:
                copy = self._add_audio(stream, output)
        else:
            self._discard(stream)
            return
        copy_tags(stream, copy, self._container)
        self._copies[index] = copy
        self.delivered[copy.index] = 0

    @staticmethod
    def _discard(stream: Stream) -> None:
        """Read no packets of a stream that does not show where the source's clock restarts."""
        if stream.type not in ("video", "audio"):
            stream.discard = Discard.all

    def _add_audio(self, stream: Stream, output: OutputContainer) -> Stream:
        settings = audio_settings_for(stream, self._container)
        if settings is None:
            raise ValueError(f"audio stream {stream.index} cannot be converted")
        track: Any = output.add_stream(settings.encoder, rate=settings.rate)
        settings.configure(track.codec_context)
        track.codec_context.open(strict=False)
        copy: Stream = track
        self._audio_settings[stream.index] = settings
        self._copies[stream.index] = copy
        self._audio[stream.index] = self._audio_converter(stream.index)
        return copy

    def _audio_converter(self, index: int) -> AudioConverter:
        source: Any = self._input.streams[index]
        output: Any = self._copies[index]
        return AudioConverter(
            source,
            output,
            self._audio_settings[index],
            zero=self._clock.shift,
            end=self._clock.end,
            from_zero=not self._container.keeps_timestamps,
        )

    def _attach(
        self,
        stream: Stream,
        codec: str,
        output: OutputContainer,
    ) -> None:
        if isinstance(stream, AttachmentStream):
            add_file(stream, output)
            return
        path = self._source.path
        packet = add_cover(
            path,
            stream,
            codec,
            output,
            self._container,
        )
        if packet is not None:
            self._covers.append(packet)
        stream.discard = Discard.all

    def until(self, seconds: Fraction | None) -> Iterator[Packet[Any]]:
        """Deliver the packets that come before a time of the output.

        Args:
            seconds: output time; None for all that are left.

        Yields:
            Packets that belong to the output's streams, with the output's times.
        """
        while self._covers:
            yield self._covers.pop()
        while True:
            packet = self._pending or next(self._packets, None)
            self._pending = None
            if packet is None:
                return
            time = decoding_time(packet)
            if seconds is not None and time is not None and time >= seconds:
                self._pending = packet
                return
            self.delivered[packet.stream_index] += 1
            yield packet

    def close(self) -> None:
        """Let go of the source; may be called more than once."""
        self._packets.close()
        self._input.close()

    def _read(self) -> Generator[Packet[Any]]:
        """The packets of the output, in the order of the source."""
        unfinished = set(self._copies)
        demuxed = self._demux() if unfinished else iter(())
        while unfinished:
            try:
                packet = next(demuxed)
            except (StopIteration, av.FFmpegError):
                break  # the reader of the pictures, which meets the damage too, reports it
            index = packet.stream_index
            if packet.size == 0 or index not in unfinished:
                continue
            if must_be_skipped(packet, self._source.start, self._container):
                continue
            run_up = _DECODER_RUN_UP_SECONDS if index in self._audio else Fraction(0)
            place = self._clock.place(packet, run_up)
            if place == "after":
                unfinished.discard(index)
            elif place == "inside":
                yield from self._carry(packet)
        for index in self._audio:
            yield from self._convert_audio(index, None)
        for subtitles in self._subtitles.values():
            yield from subtitles.flush()

    def _demux(self) -> Iterator[Packet[Any]]:
        """The source's packets, from its beginning or from well before the range of time."""
        target = self._range.begin - _RUN_UP_SECONDS
        is_near = target <= _RUN_UP_SECONDS
        if is_near or self._source.restarts or is_standard_input(self._source.path):
            return continuous_packets(self._input)
        try:
            packets = self._demux_from(target)
        except av.FFmpegError:
            packets = None  # some cannot seek
        if packets is not None:
            return packets
        self._reopen()
        return continuous_packets(self._input)

    def _demux_from(self, time: Fraction) -> Iterator[Packet[Any]] | None:
        """The packets from a source time on; None if an audio track begins too late there."""
        waiting = {index for index in self._copies if self._kinds[index] == "audio"}
        read: list[Packet[Any]] = []
        self._input.seek(int((self._source.start + time) * av.time_base))
        demuxed = continuous_packets(self._input)
        for packet in demuxed:
            read.append(packet)
            begin = begin_of(packet)
            if begin is not None and begin - self._source.start <= self._origin:
                waiting.discard(packet.stream_index)
            elif packet.stream_index in waiting:
                return None
            if not waiting:
                return chain(read, demuxed)
        return None

    def _reopen(self) -> None:
        self._input.close()
        self._input = open_input(self._source.path)
        for stream in self._input.streams:
            if stream.index not in self._copies:
                self._discard(stream)
        for index in self._audio:
            self._audio[index] = self._audio_converter(index)

    def _carry(self, packet: Packet[Any]) -> Iterator[Packet[Any]]:
        """The packets of the output that a packet of the source gives."""
        index = packet.stream_index
        if index in self._audio:
            yield from self._convert_audio(index, packet)
            return
        copy = self._copies[index]
        self._clock.move(packet, self._kinds[index], copy.time_base)
        if index in self._subtitles:
            yield from self._subtitles[index].convert(packet)
        else:
            packet.stream = copy
            yield packet

    def _convert_audio(
        self,
        index: int,
        packet: Packet[Any] | None,
    ) -> Iterator[Packet[Any]]:
        for converted in self._audio[index].push(packet):
            converted.stream = self._copies[index]
            yield converted
