"""Where the clock of a file restarts: one stream before and after, and all of them together."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from av.packet import Packet

# FFmpeg's own threshold, in the formats in which it expects clocks that jump.
_MAX_JUMP_SECONDS = 10
# A pause between frames that is as long as the ones before it is no jump.
_MAX_JUMP_GAPS = 3
# Decoding times do not fall back, but where FFmpeg makes them up they may, by a few frames.
_MAX_FALL_SECONDS = Fraction(1, 10)
_MIN_FAR_SECONDS = Fraction(1, 2)
# Where only the times of presentation are known, frames come in another order.
_MAX_REORDERING_SECONDS = 1
_MAX_REORDERED_FRAMES = 16
# A stream that goes on for so long after another one has jumped does not jump itself.
_MIN_STAY_SECONDS = 2


@dataclass(slots=True, eq=False)
class Line:
    """One stream between two restarts of its clock. Times are ticks of the file's clock.

    Attributes:
        unit: of the ticks, seconds.
        max_jump: how far the next packet may be ahead of the last one; None: anywhere.
        offset: what is added to get the continuous clock.
        first, last: decoding time of the first and the last packet.
        is_decoding_time: whether the last packet has one, and ``last`` is not when it is presented.
        gap: the longest step lately.
        first_shown, shown_until: when the first packet is presented, and when the last one ends.
    """

    unit: Fraction
    max_jump: int | None
    first: int
    last: int
    is_decoding_time: bool
    offset: int = 0
    gap: int = 0
    duration: int = 0
    first_shown: int = 0
    shown_until: int = 0

    @classmethod
    def begin(
        cls,
        packet: Packet[Any],
        time: int,
        unit: Fraction,
        *,
        may_jump: bool,
    ) -> Line:
        """The line of a stream's packet.

        Args:
            packet: the first one.
            time: when it is decoded, ticks.
            unit: of the ticks, seconds.
            may_jump: whether clocks of the format may jump ahead.
        """
        shown = time if packet.pts is None else packet.pts
        return cls(
            unit=unit,
            max_jump=int(_MAX_JUMP_SECONDS / unit) if may_jump else None,
            first=time,
            last=time,
            is_decoding_time=packet.dts is not None,
            first_shown=shown,
            shown_until=shown,
        )

    def continues(self, packet: Packet[Any], time: int) -> bool:
        """Whether a packet may follow the last one.

        Args:
            packet: the next one.
            time: its ``ticks_of``.
        """
        step = time - self.last
        if step < 0:
            return -step <= self._max_fall(packet)
        if self.max_jump is None or step <= self.max_jump:
            return True
        return not self.gap or step <= _MAX_JUMP_GAPS * self.gap

    def _max_fall(self, packet: Packet[Any]) -> Fraction | float:
        """How far a packet may fall back behind the last one, ticks."""
        if packet.dts is not None and self.is_decoding_time:
            return _MAX_FALL_SECONDS / self.unit
        if not self.gap:
            return math.inf
        reordered = _MAX_REORDERED_FRAMES * self.gap
        return max(_MAX_REORDERING_SECONDS / self.unit, Fraction(reordered))

    def note(self, packet: Packet[Any], time: int) -> None:
        """Take the next packet."""
        shown = time if packet.pts is None else packet.pts
        step = time - self.last
        if step > 0:
            self.gap = step
        self.last = time
        self.is_decoding_time = packet.dts is not None
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

    def shift_after(self, before: Line) -> Fraction:
        """By how much this line must be moved to begin where another one ends, seconds."""
        decoding = before.end + before.offset - self.first
        presentation = before.shown_until + before.offset - self.first_shown
        return max(decoding, presentation) * self.unit


@dataclass(slots=True, eq=False)
class Joint:
    """What was read ahead around a jump.

    Attributes:
        is_jump_ahead: whether the first stream that jumped did so ahead.
        held: the packets, each with the line that it is on; None where none is known.
        before: by stream, the lines that ended.
        after: by stream, the lines that have begun.
        stays: by stream, where the lines that have not ended were when the first one did.
    """

    is_jump_ahead: bool
    held: list[tuple[Packet[Any], Line | None]] = field(default_factory=list)
    before: dict[int, Line] = field(default_factory=dict)
    after: dict[int, Line] = field(default_factory=dict)
    stays: dict[int, int] = field(default_factory=dict)

    def staying(self, lines: dict[int, Line]) -> set[int]:
        """The streams that go on as before.

        Args:
            lines: of all streams, without those that have begun.
        """
        staying = set()
        for index, last in self.stays.items():
            line = lines[index]
            is_long = (line.last - last) * line.unit > _MIN_STAY_SECONDS
            if is_long and index not in self.after:
                staying.add(index)
        return staying

    def is_restart(self, *, is_alone: bool, is_expected: bool) -> bool:
        """Whether the clock has restarted, and nothing is meant by the jump.

        Args:
            is_alone: whether other streams go on as before.
            is_expected: whether clocks of the format may restart.
        """
        if self.is_jump_ahead:
            return not is_alone
        far = [self._fall(index) > _MIN_FAR_SECONDS for index in self.after]
        if is_alone:
            return all(far)
        return is_expected or any(far)

    def _fall(self, index: int) -> Fraction:
        line = self.after[index]
        return (self.before[index].last - line.first) * line.unit

    def shift(self) -> Fraction:
        """What is added to the times after the joint, so that no stream overlaps, seconds."""
        return max(
            line.shift_after(self.before[index]) for index, line in self.after.items()
        )

    def clear_marks(self) -> None:
        """Take the mark of damage from the last packets before the joint: see ``packets``."""
        for packet, line in self.held:
            time = ticks_of(packet)
            before = self.before.get(packet.stream_index)
            if before is None or before is not line or time is None:
                continue
            if packet.is_corrupt and before.last - time <= before.gap:
                packet.is_corrupt = False


def ticks_of(packet: Packet[Any]) -> int | None:
    """When a packet is decoded, or else presented, in its own unit; None if it does not say."""
    return packet.pts if packet.dts is None else packet.dts
