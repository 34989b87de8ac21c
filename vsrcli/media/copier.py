"""The carrying of streams from the source into an output that is being written, beside its picture.

Packets come from a second handle on the source, so that reading the pictures stays a plain iterator.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from fractions import Fraction
from typing import Any, Literal

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import AttachmentStream, Discard, Stream

from vsrcli.frame import FileInfo
from vsrcli.media.containers import Container
from vsrcli.media.convert import (
    TEXT_HEADER,
    OneAtATime,
    Sound,
    SoundConverter,
    read_text,
    write_text,
)
from vsrcli.media.pipe import is_standard_input
from vsrcli.media.probe import open_input
from vsrcli.media.streams import StreamPlan, is_cut_off, lead_of, sound_for
from vsrcli.timing import WHOLE, TimeRange, round_half_away

# Tags that describe the source file rather than its content: the muxer writes its own.
_FILE_TAGS = {
    "encoder",
    "major_brand",
    "minor_version",
    "compatible_brands",
    "duration",
    "rotate",
    "vendor_id",
    "software",
    "alpha_mode",
}
_FILE_TAG_STARTS = ("_statistics", "number_of_", "bps", "duration-", "source_id")
_DEFAULT_HANDLERS = {
    "VideoHandler",
    "SoundHandler",
    "SubtitleHandler",
    "Core Media Video",
    "Core Media Audio",
}
_MIME_TYPES = {
    "mjpeg": ("image/jpeg", "cover.jpg"),
    "png": ("image/png", "cover.png"),
    "webp": ("image/webp", "cover.webp"),
    "bmp": ("image/bmp", "cover.bmp"),
}
# Before a range of time, this much is read, for lines of subtitles that are still shown; nearer to the file's beginning, all of it is.
_RUN_UP_SECONDS = 30
_LEAST_CLOCK_HZ = 90_000
# MP3 keeps parts of a packet in the ones before it, AAC and AC-3 add half of the last one's sound, Opus needs 80 ms to settle.
_DECODER_SECONDS = Fraction(1, 2)


class StreamCopier:
    """The streams that are carried, from a second handle on the source into an output.

    Global tags, chapters, attachments, and the tags and dispositions of the streams are carried over at once; packets come when asked for.

    Attributes:
        delivered: packets delivered so far, by index of the output's stream.
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
        """Add the streams to ``output``, whose header must not be written yet, and whose stream 0 is the upscaled video.

        Args:
            source: the file.
            plan: what to carry.
            output: the file.
            container: what kind it is.
            time_range: source times that the output has; chapters are cut by it.
            origin: source time that is output time 0, seconds.

        Raises:
            InputError: the source cannot be opened any more.
            ValueError, av.FFmpegError: the container refuses a stream.
        """
        self.delivered: dict[int, int] = {}
        self._source = source
        self._range = time_range
        self._origin = origin
        self._container = container
        self._plans = {item.stream.index: item for item in plan}
        self._pending: Packet[Any] | None = None
        self._copies: dict[int, Stream] = {}
        self._converters: dict[int, SoundConverter] = {}
        self._sounds: dict[int, Sound] = {}
        self._phases: dict[int, Fraction] = {}
        self._rows = {
            item.stream.index: OneAtATime() for item in plan if item.codec == "mov_text"
        }
        self._row_units: dict[int, Fraction] = {}
        self._covers: list[Packet[Any]] = []
        self._input: InputContainer = open_input(source.path)
        try:
            self._add_streams(source, plan, output)
        except BaseException:
            self._input.close()
            raise
        if not self._copies:
            self._input.close()  # a pipe need not be kept for it
        self._packets = self._read()

    def _add_streams(
        self, source: FileInfo, plan: tuple[StreamPlan, ...], output: OutputContainer
    ) -> None:
        container = self._container
        tags = content_tags(
            self._input.metadata, handler_names=container.has_handler_names
        )
        output.metadata.update(tags)
        chapters: list[Any] = self._input.chapters()
        copied = {
            item.stream.index
            for item in plan
            if item.action == "copy" and item.stream.kind == "audio"
        }
        lead = (
            lead_of(source, copied, self._container, source.start)
            if chapters and not container.hides_samples and not self._range.begin
            else 0
        )
        chapters = _cut_chapters(
            chapters, source.start, self._range.begin - lead, self._range.end
        )
        if chapters:
            output.set_chapters(chapters)
        if source.video is not None:
            _carry(
                self._input.streams[source.video.index],
                output.streams[0],
                container,
            )
        for item in plan:
            stream = self._input.streams[item.stream.index]
            if item.action == "attach":
                self._attach(stream, item, output)
                continue
            copy = self._add(stream, item, output)
            if copy is None:
                stream.discard = Discard.all
                continue
            _carry(stream, copy, container)
            self._copies[stream.index] = copy
            self.delivered[copy.index] = 0

    def _add(
        self, stream: Stream, item: StreamPlan, output: OutputContainer
    ) -> Stream | None:
        if item.action == "copy":
            copy: Stream = output.add_stream_from_template(stream)
            return copy
        if item.action != "convert" or item.codec is None:
            return None
        return (
            self._add_text(item.codec, output)
            if item.stream.kind == "subtitle"
            else self._add_sound(stream, output)
        )

    def _add_text(self, codec: str, output: OutputContainer) -> Stream:
        made: Any
        if codec == "mov_text":
            made = output.add_stream("mov_text")
            made.codec_context.subtitle_header = TEXT_HEADER
        else:
            made = output.add_mux_stream(codec)
        made.time_base = Fraction(1, 1000)
        stream: Stream = made
        return stream

    def _add_sound(self, stream: Stream, output: OutputContainer) -> Stream:
        sound = sound_for(stream, self._container)
        if sound is None:
            raise ValueError(f"audio stream {stream.index} cannot be converted")
        made: Any = output.add_stream(sound.encoder, rate=sound.rate)
        sound.configure(made.codec_context)
        made.codec_context.open(strict=False)
        self._sounds[stream.index] = sound
        self._copies[stream.index] = made
        self._converters[stream.index] = self._converter(stream.index)
        converted: Stream = made
        return converted

    def _converter(self, index: int) -> SoundConverter:
        source: Any = self._input.streams[index]
        target: Any = self._copies[index]
        return SoundConverter(
            source,
            target,
            self._sounds[index],
            from_zero=not self._container.keeps_timestamps,
        )

    def _attach(
        self, stream: Stream, item: StreamPlan, output: OutputContainer
    ) -> None:
        if isinstance(stream, AttachmentStream):
            output.add_attachment(
                stream.name or f"attachment{stream.index}",
                stream.mimetype or "application/octet-stream",
                bytes(stream.data),
            )
            return
        picture = self._cover(stream.index)
        if self._container.covers == "attachment":
            mime, name = _MIME_TYPES.get(
                item.stream.codec, ("application/octet-stream", "cover")
            )
            output.add_attachment(
                stream.metadata.get("filename", name),
                stream.metadata.get("mimetype", mime),
                picture,
            )
        else:
            copy = output.add_stream_from_template(stream)
            copy.disposition = stream.disposition
            packet: Any = av.Packet(picture)
            packet.stream, packet.time_base = copy, copy.time_base or Fraction(1, 90000)
            self._covers.append(packet)
        stream.discard = Discard.all

    def _cover(self, index: int) -> bytes:
        """The content of a cover picture, from a handle of its own."""
        with open_input(self._source.path) as opened:
            return next(
                (
                    bytes(packet)
                    for packet in opened.demux(opened.streams[index])
                    if packet.size
                ),
                b"",
            )

    def until(self, seconds: Fraction | None) -> Iterator[Packet[Any]]:
        """Deliver the packets that come before a time of the output.

        Args:
            seconds: output time; None for all that are left.

        Yields:
            Packets that belong to the output's streams, timestamps shifted.
        """
        while self._covers:
            yield self._covers.pop()
        while True:
            packet = self._pending or next(self._packets, None)
            self._pending = None
            if packet is None:
                return
            time = packet.dts if packet.dts is not None else packet.pts
            if (
                seconds is not None
                and time is not None
                and packet.time_base is not None
                and time * packet.time_base >= seconds
            ):
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
        demuxed = self._demuxed() if open_streams else iter(())
        while open_streams:
            try:
                packet = next(demuxed)
            except (StopIteration, av.FFmpegError):
                break  # a damaged rest: the reader of the pictures, which sees it too, is the one to report it
            if (
                packet.size == 0
                or packet.stream_index not in open_streams
                or is_cut_off(packet, self._source.start, self._container)
            ):
                continue
            place = self._place(packet)
            if place == "after":
                open_streams.discard(packet.stream_index)
            elif place == "inside":
                yield from self._carried(packet)
        for index, converter in self._converters.items():
            yield from self._owned(converter.push(None, self._shift, self._stop), index)
        for index, unit in self._row_units.items():
            yield from self._written(index, unit, self._rows[index].rest())

    def _demuxed(self) -> Iterator[Packet[Any]]:
        """The source's packets, from its beginning or from well before the range of time."""
        target = self._range.begin - _RUN_UP_SECONDS
        if target <= _RUN_UP_SECONDS or is_standard_input(self._source.path):
            return self._input.demux()
        sounds = {
            index for index in self._copies if self._plans[index].stream.kind == "audio"
        }
        head: list[Packet[Any]] = []
        try:
            self._input.seek(int((self._source.start + target) * av.time_base))
            demuxed = self._input.demux()
            for packet in demuxed:
                head.append(packet)
                if (
                    packet.pts is not None
                    and packet.time_base is not None
                    and packet.pts * packet.time_base - self._source.start
                    <= self._origin
                ):
                    sounds.discard(packet.stream_index)
                elif packet.stream_index in sounds:
                    break  # landed too late
                if not sounds:
                    return _joined(head, demuxed)
        except av.FFmpegError:
            pass  # some cannot seek
        self._reopen()
        return self._input.demux()

    def _reopen(self) -> None:
        self._input.close()
        self._input = open_input(self._source.path)
        for stream in self._input.streams:
            if stream.index not in self._copies:
                stream.discard = Discard.all
        self._converters = {index: self._converter(index) for index in self._converters}

    @property
    def _shift(self) -> Fraction:
        """Time on the source's own clock minus time of the output, seconds."""
        return self._origin + self._source.start

    @property
    def _stop(self) -> Fraction | None:
        """Output time at which the streams end, seconds."""
        end = self._range.end
        return None if end is None else end - self._origin

    def _place(self, packet: Packet[Any]) -> Literal["before", "inside", "after"]:
        if packet.pts is None or packet.time_base is None:
            return "inside"
        begin = packet.pts * packet.time_base - self._source.start
        if self._range.end is not None and begin >= self._range.end:
            return "after"
        run_up = _DECODER_SECONDS if packet.stream_index in self._converters else 0
        length = (packet.duration or 0) * packet.time_base
        if not self._container.keeps_timestamps:
            length /= 2  # counted from the first packet on: the one that is nearest to the beginning
        if self._range.begin > 0 and begin + length <= self._origin - run_up:
            return "before"
        return "inside"

    def _carried(self, packet: Packet[Any]) -> Iterator[Packet[Any]]:
        index = packet.stream_index
        plan = self._plans[index]
        if index in self._converters:
            yield from self._owned(
                self._converters[index].push(packet, self._shift, self._stop), index
            )
            return
        if plan.action == "convert" and plan.codec is not None:
            text = read_text(plan.stream.codec, bytes(packet))
            if not text and plan.stream.codec == "mov_text":
                return  # what mp4 fills the time between two lines with
            if index in self._rows:
                self._move(packet)
                yield from self._written(
                    index,
                    packet.time_base,
                    self._rows[index].add(
                        packet.pts or 0,
                        (packet.pts or 0) + (packet.duration or 0),
                        text,
                    ),
                )
                return
            packet = _rewritten(packet, write_text(plan.codec, text))
        self._move(packet)
        packet.stream = self._copies[index]
        yield packet

    def _written(
        self, index: int, unit: Fraction, lines: Iterator[tuple[int, int, str]]
    ) -> Iterator[Packet[Any]]:
        self._row_units[index] = unit
        for begin, end, text in lines:
            made: Any = av.Packet(write_text("mov_text", text))
            made.pts = made.dts = begin
            made.duration, made.time_base, made.stream = (
                end - begin,
                unit,
                self._copies[index],
            )
            yield made

    def _owned(
        self, packets: Iterator[Packet[Any]], index: int
    ) -> Iterator[Packet[Any]]:
        for packet in packets:
            packet.stream = self._copies[index]
            yield packet

    def _phase(self, packet: Packet[Any]) -> Fraction:
        """What a sound track is moved by to the container's grid, where that is one of whole packets, seconds: half-way, jitter would put two in one place."""
        if (
            self._container.keeps_timestamps
            or packet.pts is None
            or self._plans[packet.stream_index].stream.kind != "audio"
        ):
            return Fraction(0)
        if packet.stream_index not in self._phases:
            first, unit = (
                packet.pts * packet.time_base - self._shift,
                self._copies[packet.stream_index].time_base or packet.time_base,
            )
            self._phases[packet.stream_index] = (
                first - round_half_away(first / unit) * unit
            )
        return self._phases[packet.stream_index]

    def _move(self, packet: Packet[Any]) -> None:
        """Bring a packet's times to the output's clock, on a grid fine enough for it: AVI counts in whole packets of sound."""
        finer = max(1, math.ceil(packet.time_base * _LEAST_CLOCK_HZ))
        unit = packet.time_base / finer
        ticks = round_half_away((self._shift + self._phase(packet)) / unit)
        pts, dts, duration = packet.pts, packet.dts, packet.duration or 0
        packet.time_base = unit
        packet.pts = None if pts is None else pts * finer - ticks
        packet.dts = None if dts is None else dts * finer - ticks
        packet.duration = duration * finer
        if (
            self._plans[packet.stream_index].stream.kind == "subtitle"
            and packet.pts is not None
            and packet.pts < 0
        ):
            packet.duration = max(1, (packet.duration or 0) + packet.pts)
            packet.pts = packet.dts = 0


def _rewritten(packet: Packet[Any], content: bytes) -> Packet[Any]:
    made: Any = av.Packet(content)
    made.pts, made.dts, made.duration, made.time_base = (
        packet.pts,
        packet.dts,
        packet.duration,
        packet.time_base,
    )
    made.stream = packet.stream
    return made  # type: ignore[no-any-return]


def _joined(
    head: list[Packet[Any]], rest: Iterator[Packet[Any]]
) -> Iterator[Packet[Any]]:
    yield from head
    yield from rest


def _carry(source: Stream, copy: Stream, container: Container) -> None:
    tags = content_tags(source.metadata, handler_names=container.has_handler_names)
    if "language" in tags:
        tags["language"] = container.language_tag(tags["language"])
    if container.has_handler_names and "title" in tags:
        tags.setdefault("handler_name", tags["title"])  # what some players show
    copy.metadata.update(tags)
    copy.disposition = source.disposition


def content_tags(tags: dict[str, str], *, handler_names: bool) -> dict[str, str]:
    """Tags that describe the content, not the file they stand in.

    Args:
        tags: as they stand in the source.
        handler_names: whether the container that they are for has names of handlers.
    """
    kept = {
        key: value
        for key, value in tags.items()
        if key.lower() not in _FILE_TAGS
        and not key.lower().startswith(_FILE_TAG_STARTS)
        and not (
            key == "handler_name" and (not handler_names or value in _DEFAULT_HANDLERS)
        )
        and not (key == "language" and value == "und")
    }
    if "name" in kept:  # what mov calls the title of a track
        kept.setdefault("title", kept.pop("name"))
    return kept


def _cut_chapters(
    chapters: list[Any], file_start: Fraction, origin: Fraction, end: Fraction | None
) -> list[Any]:
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
