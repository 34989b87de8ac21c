"""Packets of text subtitles that a container refuses become packets of another codec."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream

from vsrcli.streams.subtitle_text import (
    TEXT_HEADER,
    OverlapMerger,
    read_text,
    write_text,
)

_TIME_BASE = Fraction(1, 1000)
# Has one line at a time: of two at once, FFmpeg's muxer would lose the first.
_ONE_LINE_AT_A_TIME = ("mov_text",)


class SubtitleConverter:
    """Converts one track.

    Attributes:
        stream: the track in the output.
    """

    def __init__(
        self,
        source_codec: str,
        codec: str,
        output: OutputContainer,
    ) -> None:
        """Add the track to an output whose header is not written yet.

        Args:
            source_codec: canonical name; one of ``TEXT_CODECS``.
            codec: ``mov_text``, ``webvtt`` or ``subrip``.
            output: the file.
        """
        self._source_codec = source_codec
        self._codec = codec
        self._merger: OverlapMerger | None = None
        if codec in _ONE_LINE_AT_A_TIME:
            self._merger = OverlapMerger()
        self._unit = _TIME_BASE
        self.stream = _add_track(codec, output)

    def convert(self, packet: Packet[Any]) -> Iterator[Packet[Any]]:
        """Convert one packet, whose times are already those of the output."""
        text = read_text(self._source_codec, bytes(packet))
        if not text and self._source_codec == "mov_text":
            return  # fills the time between two lines
        if self._merger is None:
            yield self._rewrite(packet, text)
            return
        self._unit = packet.time_base
        begin = packet.pts or 0
        end = begin + (packet.duration or 0)
        yield from self._write_lines(self._merger.add(begin, end, text))

    def flush(self) -> Iterator[Packet[Any]]:
        """The lines that are left at the end."""
        if self._merger is not None:
            yield from self._write_lines(self._merger.flush())

    def _rewrite(self, packet: Packet[Any], text: str) -> Packet[Any]:
        converted: Packet[Any] = av.Packet(write_text(self._codec, text))
        converted.pts = packet.pts
        converted.dts = packet.dts
        converted.duration = packet.duration
        converted.time_base = packet.time_base
        converted.stream = self.stream
        return converted

    def _write_lines(
        self,
        lines: Iterator[tuple[int, int, str]],
    ) -> Iterator[Packet[Any]]:
        for begin, end, text in lines:
            packet: Packet[Any] = av.Packet(write_text(self._codec, text))
            packet.pts = begin
            packet.dts = begin
            packet.duration = end - begin
            packet.time_base = self._unit
            packet.stream = self.stream
            yield packet


def _add_track(codec: str, output: OutputContainer) -> Stream:
    track: Any
    if codec == "mov_text":
        track = output.add_stream(codec)
        track.codec_context.subtitle_header = TEXT_HEADER
    else:
        track = output.add_mux_stream(codec)
    track.time_base = _TIME_BASE
    stream: Stream = track
    return stream
