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
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from vsrcli.decode.input_file import is_cover
from vsrcli.timing import round_half_away

# FFmpeg's flag of such formats, AVFMT_TS_DISCONT.
_TS_DISCONT = 0x200
# FFmpeg's own threshold, in the formats in which it expects clocks that jump.
_MAX_JUMP_SECONDS = 10
# Decoding times never fall back. Where FFmpeg makes them up, they may, by a few frames.
_MAX_FALL_SECONDS = 1
_MAX_FALL_SECONDS_WHERE_EXPECTED = Fraction(1, 10)
# A pause between frames that is as long as the ones before it is no jump.
_MAX_JUMP_GAPS = 3
# Streams reach a joint one by one; multiplexers keep them within a second of each other.
_LOOK_AHEAD_SECONDS = 5
_LOOK_AHEAD_PACKETS = 5000
# FFmpeg marks one of so many packets before a joint as damaged.
_MARKED_PACKETS = 2
# A stream that goes on for so long after another one has jumped does not jump itself.
_MIN_STAY_SECONDS = 2


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


@dataclass(slots=True, eq=False)
class _Line:
    """One stream between two restarts of its clock. Times are ticks of the file's clock.

    Attributes:
        unit: of the ticks, seconds.
        max_fall, max_jump: how far the next packet may be from the last one.
        offset: what is added to get the continuous clock.
        first, last: decoding time of the first and the last packet.
        gap: the longest step lately.
        first_shown, shown_until: when the first packet is presented, and when the last one ends.
    """

    unit: Fraction
    max_fall: int
    max_jump: int | None
    offset: int
    first: int
    last: int
    gap: int = 0
    duration: int = 0
    first_shown: int = 0
    shown_until: int = 0

    def continues(self, time: int) -> bool:
        step = time - self.last
        if step < -self.max_fall:
            return False
        if self.max_jump is None or step <= self.max_jump:
            return True
        return not self.gap or step <= _MAX_JUMP_GAPS * self.gap

    def note(self, packet: Packet[Any], time: int) -> None:
        shown = time if packet.pts is None else packet.pts
        step = time - self.last
        if step > 0:
            self.gap = step
        self.last = time
        self.duration = packet.duration or self.gap
        self.first_shown = min(self.first_shown, shown)
        self.shown_until = max(self.shown_until, shown + self.duration)

    @property
    def time(self) -> Fraction:
        """Of the last packet, on the continuous clock, seconds."""
        return (self.last + self.offset) * self.unit

    @property
    def end(self) -> int:
        """When the last packet has been decoded."""
        return self.last + max(1, self.duration)

    def shift_after(self, before: _Line) -> Fraction:
        """By how much this line must be moved to begin where another one ends, seconds."""
        decoding = before.end + before.offset - self.first
        presentation = before.shown_until + before.offset - self.first_shown
        return max(decoding, presentation) * self.unit


@dataclass(slots=True, eq=False)
class _Joint:
    """What was read ahead around a jump.

    Attributes:
        is_jump_ahead: whether the first stream that jumped did so ahead.
        held: the packets, each with the line that it is on; None where none is known.
        before: by stream, the lines that ended.
        after: by stream, the lines that have begun.
        stays: by stream, where the lines that have not ended were when the first one did.
    """

    is_jump_ahead: bool
    held: list[tuple[Packet[Any], _Line | None]] = field(default_factory=list)
    before: dict[int, _Line] = field(default_factory=dict)
    after: dict[int, _Line] = field(default_factory=dict)
    stays: dict[int, int] = field(default_factory=dict)


class _ContinuousClock:
    """Follows the clocks of all streams of one source."""

    def __init__(
        self,
        container: InputContainer,
        on_restart: Callable[[Fraction], None] | None,
    ) -> None:
        self._demuxed = container.demux()
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
        self._lines: dict[int, _Line] = {}
        self._audio = {stream.index for stream in container.streams.audio}
        # on the continuous clock, by audio stream, ticks
        self._sound_until: dict[int, int] = {}
        # seconds that are added before and after the latest joint
        self._shifts = (Fraction(0), Fraction(0))
        # streams that have not been seen since the latest joint
        self._unseen: set[int] = set()
        self._latest: _Line | None = None

    def packets(self) -> Iterator[Packet[Any]]:
        while (packet := self._next()) is not None:
            line = self._line_of(packet)
            if line is None:
                yield self._move_other(packet)
                continue
            time = _decoding_time(packet)
            if time is None:
                yield self._move(packet, line)
            elif line.continues(time):
                if self._is_expected and packet.is_corrupt:
                    self._clear_at_joint(packet, line)
                line.note(packet, time)
                self._latest = line
                yield self._move(packet, line)
            else:
                yield from self._packets_around_joint(packet, time)

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

    def _clear_at_joint(self, packet: Packet[Any], line: _Line) -> None:
        """Take the mark of damage from one of the last two packets before a joint.

        FFmpeg marks what it holds where a transport stream's counters do not continue: the last
        packet, or what its parser makes of it, which is the one before.
        """
        last = _decoding_time(packet)
        seen = 0
        for ahead in range(_LOOK_AHEAD_PACKETS):
            if ahead == len(self._read_ahead):
                demuxed = self._demux_one()
                if demuxed is None:
                    return
                self._read_ahead.append(demuxed)
            following = self._read_ahead[ahead]
            time = _decoding_time(following)
            if following.stream_index != packet.stream_index or time is None:
                continue
            if last is not None and not line.continues(time - (last - line.last)):
                packet.is_corrupt = False
                return
            last = time
            seen += 1
            if seen == _MARKED_PACKETS:
                return

    def _line_of(self, packet: Packet[Any]) -> _Line | None:
        """The line of a packet of video or audio; of another stream, None."""
        index = packet.stream_index
        line = self._lines.get(index)
        is_known = line is not None and index not in self._unseen
        if is_known or index not in self._streams:
            return line
        time = _decoding_time(packet)
        if time is None:
            return line
        self._unseen.discard(index)
        unit = self._streams[index].time_base or Fraction(1)
        shift = self._nearest_shift(time * unit)
        line = self._begin_line(packet, time, round_half_away(shift / unit))
        self._lines[index] = line
        return line

    def _begin_line(self, packet: Packet[Any], time: int, offset: int) -> _Line:
        unit = self._streams[packet.stream_index].time_base or Fraction(1)
        max_fall = Fraction(_MAX_FALL_SECONDS)
        if self._is_expected and packet.dts is not None:
            max_fall = _MAX_FALL_SECONDS_WHERE_EXPECTED
        shown = time if packet.pts is None else packet.pts
        return _Line(
            unit=unit,
            max_fall=int(max_fall / unit),
            max_jump=int(_MAX_JUMP_SECONDS / unit) if self._is_expected else None,
            offset=offset,
            first=time,
            last=time,
            first_shown=shown,
            shown_until=shown,
        )

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
        joint = _Joint(is_jump_ahead=time > line.last)
        for index, other in self._lines.items():
            if abs(other.time - line.time) <= _MAX_JUMP_SECONDS:
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

    def _is_decided(self, joint: _Joint) -> bool:
        if not joint.after or len(joint.held) > _LOOK_AHEAD_PACKETS:
            return True
        if joint.after.keys() >= joint.stays.keys():
            return True
        return any(
            (line.last - line.first) * line.unit > _LOOK_AHEAD_SECONDS
            for line in joint.after.values()
        )

    def _hold(self, joint: _Joint, packet: Packet[Any]) -> bool:
        """Read one packet ahead; False if it is beyond the next joint."""
        index = packet.stream_index
        time = _decoding_time(packet)
        line = joint.after.get(index) or self._lines.get(index)
        if line is None or time is None:
            joint.held.append((packet, line))
            return True
        if line.continues(time):
            line.note(packet, time)
            joint.held.append((packet, line))
            return True
        before = self._lines[index]
        if index not in joint.after:
            line = self._begin_line(packet, time, offset=0)
            line.note(packet, time)
            joint.before[index] = before
            joint.after[index] = line
            joint.held.append((packet, line))
            return True
        if not before.continues(time):
            return False
        # a few packets had a wrong time: they are placed after the ones before them
        wrong = joint.after.pop(index)
        wrong.offset = round_half_away(wrong.shift_after(before) / wrong.unit)
        before.note(packet, time)
        joint.held.append((packet, before))
        return True

    def _decide(self, joint: _Joint) -> None:
        if not joint.after:
            return
        staying = []
        for index, was in joint.stays.items():
            line = self._lines[index]
            stayed = (line.last - was) * line.unit
            if index not in joint.after and stayed > _MIN_STAY_SECONDS:
                staying.append(index)
        if staying and not self._is_certain(joint):
            # a pause, or frames out of order: it is meant
            for index, line in joint.after.items():
                line.offset = joint.before[index].offset
                self._lines[index] = line
            return
        shift = max(
            line.shift_after(joint.before[index]) for index, line in joint.after.items()
        )
        if self._grid:
            shift = -(-shift // self._grid) * self._grid
        for index, line in joint.after.items():
            line.offset = round_half_away(shift / line.unit)
            self._lines[index] = line
        for packet, line_of_packet in joint.held:
            time = _decoding_time(packet)
            before = joint.before.get(packet.stream_index)
            if before is None or before is not line_of_packet or time is None:
                continue
            if packet.is_corrupt and before.last - time <= before.gap:
                packet.is_corrupt = False
        self._shifts = (self._shifts[1], shift)
        self._latest = next(iter(joint.after.values()))
        self._unseen = self._lines.keys() - joint.after.keys() - set(staying)
        if self._on_restart is not None:
            begins = [line.first_shown * line.unit for line in joint.after.values()]
            self._on_restart(min(begins) + shift)

    @staticmethod
    def _is_certain(joint: _Joint) -> bool:
        """Whether a jump is one though other streams go on: no clock falls back that far."""
        if joint.is_jump_ahead:
            return False
        return all(
            (joint.before[index].last - line.first) * line.unit > _MAX_FALL_SECONDS
            for index, line in joint.after.items()
        )

    def _move_other(self, packet: Packet[Any]) -> Packet[Any]:
        """Move a packet of subtitles or data."""
        if not any(self._shifts):
            return packet
        time = _decoding_time(packet)
        if time is None:
            return packet
        unit = packet.time_base
        shift = self._nearest_shift(time * unit)
        return _add(packet, round_half_away(shift / unit))

    def _move(self, packet: Packet[Any], line: _Line) -> Packet[Any]:
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


def _decoding_time(packet: Packet[Any]) -> int | None:
    return packet.pts if packet.dts is None else packet.dts


def _add(packet: Packet[Any], ticks: int) -> Packet[Any]:
    """Move a packet."""
    if packet.pts is not None:
        packet.pts += ticks
    if packet.dts is not None:
        packet.dts += ticks
    return packet
