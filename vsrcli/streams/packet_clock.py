"""Brings the packets of carried streams from the source's clock to the output's."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, Literal

from av.packet import Packet

from vsrcli.containers.table import Container
from vsrcli.decode.input_file import codec_name
from vsrcli.streams.source_packets import begin_of, length_of
from vsrcli.timing import TimeRange, round_half_away

_MIN_CLOCK_HZ = 90_000


def is_held_at_zero(kind: str, *, is_converted: bool) -> bool:
    """Whether what begins before output time 0 begins there: the verification expects the same.

    Args:
        kind: of the stream. A line of subtitles that is on screen by then is shown from then on.
        is_converted: whether it is encoded again, which sound is from output time 0 on.
    """
    return kind == "subtitle" or is_converted


class PacketClock:
    """The relation of the two clocks, and the range of time that is carried.

    Attributes:
        shift: time of the source's own clock that is output time 0, seconds.
        end: output time at which the streams end, seconds; None for their own end.
    """

    def __init__(
        self,
        source_start: Fraction,
        container: Container,
        time_range: TimeRange,
        origin: Fraction,
    ) -> None:
        """Relate the clocks.

        Args:
            source_start: of the source's own clock (``FileInfo.start``), seconds.
            container: what the packets are written to.
            time_range: source times that the output has.
            origin: source time that is output time 0, seconds.
        """
        self._source_start = source_start
        self._container = container
        self._range = time_range
        self._origin = origin
        self.shift = origin + source_start
        self.end: Fraction | None = None
        if time_range.end is not None:
            self.end = time_range.end - origin
        # of each audio track, seconds
        self._phases: dict[int, Fraction] = {}
        # of each stream: its last packet's begin, and the time from the one before, seconds
        self._begins: dict[int, Fraction] = {}
        self._steps: dict[int, Fraction] = {}

    def place(
        self,
        packet: Packet[Any],
        run_up: Fraction,
    ) -> Literal["before", "inside", "after"]:
        """Where a packet is in relation to the range.

        Args:
            packet: with its own times.
            run_up: packets that end less than this before the range count as inside, seconds.
        """
        time = begin_of(packet)
        if time is None:
            return "inside"
        begin = time - self._source_start
        if self._range.end is not None and begin >= self._range.end:
            return "after"
        self._note_step(packet, time)
        length = self._length(packet)
        if not self._container.keeps_timestamps:
            # these are counted from the first one: it is the nearest to the beginning
            length /= 2
        if self._range.begin > 0 and begin + length <= self._origin - run_up:
            return "before"
        return "inside"

    def _note_step(self, packet: Packet[Any], time: Fraction) -> None:
        index = packet.stream_index
        if index in self._begins:
            self._steps[index] = max(Fraction(0), time - self._begins[index])
        self._begins[index] = time

    def _length(self, packet: Packet[Any]) -> Fraction:
        """How long a packet lasts, seconds; if sound or captions do not say, as the one before.

        Of a track whose last packet has no length, some readers leave that packet out.
        """
        stream = packet.stream
        is_continuous = stream.type == "audio" or codec_name(stream) == "eia_608"
        if packet.duration or not is_continuous:
            return length_of(packet)
        return self._steps.get(packet.stream_index, Fraction(0))

    def move(
        self,
        packet: Packet[Any],
        kind: str,
        unit: Fraction | None,
    ) -> None:
        """Change a packet's times to those of the output, in units that are fine enough.

        AVI counts in whole packets of sound.

        Args:
            packet: with its own times.
            kind: of its stream.
            unit: of the stream in the output, seconds; None where it has none yet.
        """
        phase = Fraction(0)
        if kind == "audio" and not self._container.keeps_timestamps:
            phase = self._phase(packet, unit)
        pts = packet.pts
        dts = packet.dts
        duration = round_half_away(self._length(packet) / packet.time_base)
        finer = max(1, math.ceil(packet.time_base * _MIN_CLOCK_HZ))
        finer_unit = packet.time_base / finer
        ticks = round_half_away((self.shift + phase) / finer_unit)
        packet.time_base = finer_unit
        packet.pts = None if pts is None else pts * finer - ticks
        packet.dts = None if dts is None else dts * finer - ticks
        packet.duration = duration * finer
        is_held = is_held_at_zero(kind, is_converted=False)
        if is_held and packet.pts is not None and packet.pts < 0:
            packet.duration = max(1, duration * finer + packet.pts)
            packet.pts = 0
            packet.dts = 0

    def _phase(self, packet: Packet[Any], unit: Fraction | None) -> Fraction:
        """By how much a track is moved to a grid of whole packets, seconds.

        Halfway between two places, jitter would put two packets in one of them.
        """
        time = begin_of(packet)
        if time is None:
            return Fraction(0)
        index = packet.stream_index
        if index not in self._phases:
            unit = unit or packet.time_base
            first = time - self.shift
            nearest = round_half_away(first / unit) * unit
            self._phases[index] = first - nearest
        return self._phases[index]
