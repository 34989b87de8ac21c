"""A finished segment, as a journal keeps it."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

# A source frame: its time, and a checksum of its luma.
Mark = tuple[str, int]


@dataclass(slots=True)
class Segment:
    """A finished segment.

    Two marks tell whether segments that were read separately fit together.

    Attributes:
        number: its place in the plan.
        frames: of the output.
        frames_in: source frames in it.
        frames_upscaled: those of them that went through the network.
        size: of its part, bytes; 0 if it has no frame.
        sha256: of its part; empty if it has no frame.
        before: the last source frame before it; None if there is none.
        last: the last source frame in it; None if there is none.
        damage: what was wrong with the source in it.
    """

    number: int
    frames: int = 0
    frames_in: int = 0
    frames_upscaled: int = 0
    size: int = 0
    sha256: str = ""
    before: Mark | None = None
    last: Mark | None = None
    damage: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, value: Any) -> Segment | None:
        """Read an entry of a journal; None if it does not describe a segment."""
        try:
            segment = cls(**value)
            segment.before = _parse_mark(segment.before)
            segment.last = _parse_mark(segment.last)
        except (TypeError, ValueError):
            return None
        return segment if segment._is_valid() else None

    def _is_valid(self) -> bool:
        numbers = (
            self.number,
            self.frames,
            self.frames_in,
            self.frames_upscaled,
            self.size,
        )
        for number in numbers:
            if type(number) is not int or number < 0:
                return False
        return type(self.sha256) is str and type(self.damage) is dict


def mark_of(time: Fraction, checksum: int) -> Mark:
    """The mark of a source frame: its time, seconds, and a checksum of its luma."""
    return str(time), checksum


def _parse_mark(value: Any) -> Mark | None:
    if value is None:
        return None
    time, checksum = value
    return str(time), int(checksum)
