"""One clock for a whole source: its packets, with times that go on where the file's do not.

Recordings that were written one after the other into one file, chained Ogg streams and transport
streams that were cut have clocks that fall back or jump ahead in the middle. Whoever reads the
packets of a source (decoder, copier, verification, the plan of segments) reads them from
``continuous_packets``, so that all of them agree.

FFmpeg itself follows clocks of 33 bits over their end. It takes a recording with an earlier clock
for one that has passed that end, so a clock that was set back may appear to jump ahead by a day.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from vsrcli.decode.clock_joint import Joint, Line, ticks_of
from vsrcli.decode.input_file import is_cover
from vsrcli.decode.stream_analysis import demux
from vsrcli.timing import round_half_away

# FFmpeg's flag of such formats, AVFMT_TS_DISCONT.
_TS_DISCONT = 0x200
# Streams reach a joint one by one; multiplexers keep them within a second of each other.
_LOOK_AHEAD_SECONDS = 5
_LOOK_AHEAD_PACKETS = 5000
# A stream that ended so long before a joint has nothing to do with it.
_MAX_APART_SECONDS = 10
# FFmpeg marks one of so many packets before a joint as damaged.
_MARKED_PACKETS = 2


def expects_restarts(container: InputContainer) -> bool:
    """Whether clocks of this format may restart in the middle, by FFmpeg's own account."""
    return bool(container.format.flags & _TS_DISCONT)


def continuous_packets(
    container: InputContainer,
    on_restart: Callable[[Fraction], None] | None = None,
) -> Iterator[Packet[Any]]:
    """The packets of a source, on one clock that never restarts.

    Where the clocks of pictures and sound restart together, what follows begins where the longest
    of them has ended, and their offset to each other stays. What follows is moved, never what comes
    before. No packet of sound comes before the one before it.

    All readers of a file decide alike only if none of its video and audio streams is discarded.

    Args:
        container: the open file, at its beginning or after a seek.
        on_restart: called with the time of each joint on the continuous clock, seconds.

    Raises:
        av.FFmpegError: the demuxer gave up; the packets before that were delivered.
    """
    return _ContinuousClock(container, on_restart).packets()


def continuous_packets_of(
    container: InputContainer,
    stream: Stream,
    on_restart: Callable[[Fraction], None] | None = None,
) -> Iterator[Packet[Any]]:
    """The packets of one stream, as ``continuous_packets`` gives them."""
    for packet in continuous_packets(container, on_restart):
        # the index of the empty packets at the end is 0
        if packet.stream.index == stream.index:
            yield packet


class _ContinuousClock:
    """Follows the clocks of all streams of one source."""

    def __init__(
        self,
        container: InputContainer,
        on_restart: Callable[[Fraction], None] | None,
    ) -> None:
        self._demuxed = demux(container)
        self._read_ahead: deque[Packet[Any]] = deque()
        self._error: av.FFmpegError | None = None
        self._on_restart = on_restart
        self._is_expected = expects_restarts(container)
        self._streams: dict[int, Stream] = {}
        for stream in (*container.streams.video, *container.streams.audio):
            if stream.time_base is not None and not is_cover(stream):
                self._streams[stream.index] = stream
        units = [stream.time_base for stream in self._streams.values()]
        self._grid = units[0] if units else None
        self._lines: dict[int, Line] = {}
        self._audio = {stream.index for stream in container.streams.audio}
        # on the continuous clock, by audio stream, ticks
        self._sound_until: dict[int, int] = {}
        # seconds that are added before and after the latest joint
        self._shifts = (Fraction(0), Fraction(0))
        # streams that have not been seen since the latest joint
        self._unseen: set[int] = set()
        self._latest: Line | None = None

    def packets(self) -> Iterator[Packet[Any]]:
        while (packet := self._next()) is not None:
            line = self._line_of(packet)
            if line is None:
                yield self._move_other(packet)
                continue
            time = ticks_of(packet)
            if time is None:
                yield self._move(packet, line)
            elif line.continues(packet, time) or self._has_only_paused(line, time):
                if self._is_expected and packet.is_corrupt:
                    self._clear_at_joint(packet, line)
                line.note(packet, time)
                self._latest = line
                yield self._move(packet, line)
            else:
                yield from self._packets_around_joint(packet, time)

    def _has_only_paused(self, line: Line, time: int) -> bool:
        """Whether a jump ahead leads to where other streams are by now."""
        if time < line.last:
            return False
        moved = (time + line.offset) * line.unit
        return any(
            other is not line and abs(moved - other.time) <= _MAX_APART_SECONDS
            for other in self._lines.values()
        )

    def _next(self) -> Packet[Any] | None:
        if self._read_ahead:
            return self._read_ahead.popleft()
        return self._demux_one()

    def _demux_one(self) -> Packet[Any] | None:
        """The next packet of the file; what is read ahead still comes before an error."""
        if self._error is not None:
            raise self._error
        try:
            return next(self._demuxed, None)
        except av.FFmpegError as error:
            self._error = error
            if self._read_ahead:
                return None
            raise

    def _clear_at_joint(self, packet: Packet[Any], line: Line) -> None:
        """Take the mark of damage from one of the last two packets before a joint.

        FFmpeg marks what it holds where a transport stream's counters do not continue: the last
        packet, or what its parser makes of it, which is the one before.
        """
        last = ticks_of(packet)
        seen = 0
        for ahead in range(_LOOK_AHEAD_PACKETS):
            if ahead == len(self._read_ahead):
                demuxed = self._demux_one()
                if demuxed is None:
                    return
                self._read_ahead.append(demuxed)
            following = self._read_ahead[ahead]
            time = ticks_of(following)
            if following.stream_index != packet.stream_index or time is None:
                continue
            step = time - (last or time)
            if not line.continues(following, line.last + step):
                packet.is_corrupt = False
                return
            last = time
            seen += 1
            if seen == _MARKED_PACKETS:
                return

    def _line_of(self, packet: Packet[Any]) -> Line | None:
        """The line of a packet of video or audio; of another stream, None."""
        index = packet.stream_index
        line = self._lines.get(index)
        is_known = line is not None and index not in self._unseen
        if is_known or index not in self._streams:
            return line
        time = ticks_of(packet)
        if time is None:
            return line
        self._unseen.discard(index)
        unit = self._streams[index].time_base or Fraction(1)
        shift = self._nearest_shift(time * unit)
        line = self._begin_line(packet, time)
        line.offset = round_half_away(shift / unit)
        self._lines[index] = line
        return line

    def _begin_line(self, packet: Packet[Any], time: int) -> Line:
        unit = self._streams[packet.stream_index].time_base or Fraction(1)
        return Line.begin(packet, time, unit, may_jump=self._is_expected)

    def _nearest_shift(self, time: Fraction) -> Fraction:
        """What brings a time nearest to the latest packet of pictures or sound, seconds."""
        before, after = self._shifts
        if before == after or self._latest is None:
            return after
        latest = self._latest.time
        if abs(time + before - latest) < abs(time + after - latest):
            return before
        return after

    def _packets_around_joint(
        self,
        first: Packet[Any],
        time: int,
    ) -> Iterator[Packet[Any]]:
        line = self._lines[first.stream_index]
        joint = Joint(is_jump_ahead=time > line.last)
        for index, other in self._lines.items():
            if abs(other.time - line.time) <= _MAX_APART_SECONDS:
                joint.stays[index] = other.last
        self._hold(joint, first)
        while not self._is_decided(joint):
            try:
                packet = self._next()
            except av.FFmpegError:
                break  # it comes again
            if packet is None:
                break
            if not self._hold(joint, packet):
                self._read_ahead.appendleft(packet)
                break
        self._decide(joint)
        for packet, line_of_packet in joint.held:
            if line_of_packet is None:
                yield self._move_other(packet)
            else:
                yield self._move(packet, line_of_packet)

    def _is_decided(self, joint: Joint) -> bool:
        if not joint.after or len(joint.held) > _LOOK_AHEAD_PACKETS:
            return True
        if joint.after.keys() >= joint.stays.keys():
            return True
        return any(
            (line.last - line.first) * line.unit > _LOOK_AHEAD_SECONDS
            for line in joint.after.values()
        )

    def _hold(self, joint: Joint, packet: Packet[Any]) -> bool:
        """Read one packet ahead; False if it is beyond the next joint."""
        index = packet.stream_index
        time = ticks_of(packet)
        line = joint.after.get(index) or self._lines.get(index)
        if line is None or time is None:
            joint.held.append((packet, line))
            return True
        if line.continues(packet, time):
            line.note(packet, time)
            joint.held.append((packet, line))
            return True
        before = self._lines[index]
        if index not in joint.after:
            line = self._begin_line(packet, time)
            line.note(packet, time)
            joint.before[index] = before
            joint.after[index] = line
            joint.held.append((packet, line))
            return True
        if not before.continues(packet, time):
            return False
        # a few packets had a wrong time: they are placed after the ones before them
        wrong = joint.after.pop(index)
        wrong.offset = round_half_away(wrong.shift_after(before) / wrong.unit)
        before.note(packet, time)
        joint.held.append((packet, before))
        return True

    def _decide(self, joint: Joint) -> None:
        if not joint.after:
            return
        staying = joint.staying(self._lines)
        if not joint.is_restart(is_alone=bool(staying), is_expected=self._is_expected):
            # a pause, or frames out of order: it is meant
            for index, line in joint.after.items():
                line.offset = joint.before[index].offset
                self._lines[index] = line
            return
        shift = joint.shift()
        if self._grid:
            shift = -(-shift // self._grid) * self._grid
        for index, line in joint.after.items():
            line.offset = round_half_away(shift / line.unit)
            self._lines[index] = line
        joint.clear_marks()
        self._shifts = (self._shifts[1], shift)
        self._latest = next(iter(joint.after.values()))
        self._unseen = self._lines.keys() - joint.after.keys() - staying
        if self._on_restart is not None:
            begins = [line.first_shown * line.unit for line in joint.after.values()]
            self._on_restart(min(begins) + shift)

    def _move_other(self, packet: Packet[Any]) -> Packet[Any]:
        """Move a packet of subtitles or data."""
        if not any(self._shifts):
            return packet
        time = ticks_of(packet)
        if time is None:
            return packet
        unit = packet.time_base
        shift = self._nearest_shift(time * unit)
        return _add(packet, round_half_away(shift / unit))

    def _move(self, packet: Packet[Any], line: Line) -> Packet[Any]:
        if line.offset:
            _add(packet, line.offset)
        index = packet.stream_index
        time = packet.dts
        if index in self._audio and time is not None:
            until = self._sound_until.get(index, time)
            if time < until:
                _add(packet, until - time)
            self._sound_until[index] = max(until, time)
        return packet


def _add(packet: Packet[Any], ticks: int) -> Packet[Any]:
    """Move a packet."""
    if packet.pts is not None:
        packet.pts += ticks
    if packet.dts is not None:
        packet.dts += ticks
    return packet
