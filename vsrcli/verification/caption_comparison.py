"""Closed captions of an output compared with its source's: every byte, in order."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from vsrcli.captions import TRIPLET_BYTES, pairs_of
from vsrcli.frame import Frame
from vsrcli.verification.packet_inventory import TimedCaptions
from vsrcli.wording import plural

_CHANNELS = ("CEA-608 field 1", "CEA-608 field 2", "CEA-708")
# What the first byte of a triplet says; its other bits are always set.
_MEANING = 7


class CaptionComparison:
    """Collects the captions of both files while they are decoded.

    A rate that drops or repeats frames moves captions to frames nearby, so each channel is compared
    as one sequence. Padding does not count.

    Attributes:
        has_any: whether a frame of the source had captions or padding.
    """

    def __init__(self) -> None:
        self.has_any = False
        self._expected = tuple(_Channel() for _ in _CHANNELS)
        self._actual = tuple(_Channel() for _ in _CHANNELS)

    def add_expected(self, frame: Frame) -> None:
        """Take the next frame of the source, within the range of the output."""
        if frame.captions:
            self.has_any = True
            _add(frame.captions, float(frame.time), self._expected)

    def add_actual(self, frame: Frame) -> None:
        """Take the next frame of the output."""
        if frame.captions:
            _add(frame.captions, float(frame.time), self._actual)

    @property
    def expected_count(self) -> int:
        """How many pairs of bytes the source has."""
        return sum(len(channel) for channel in self._expected)

    @property
    def actual_count(self) -> int:
        """How many the output has."""
        return sum(len(channel) for channel in self._actual)

    def unread(
        self, packets: Sequence[TimedCaptions], frame_times: Collection[Fraction]
    ) -> str | None:
        """What packets of the source hold and its frames did not give, or None.

        Args:
            packets: those of the range that have captions, in order of presentation.
            frame_times: of the frames in the range, seconds. Where not every packet is at the time
                of a frame, it only counts whether the frames gave any captions.
        """
        if packets and not self.has_any:
            return "lost: packets of the source hold some that its frames did not give"
        held = tuple(_Channel() for _ in _CHANNELS)
        for time, captions in packets:
            if time is None or time not in frame_times:
                return None
            _add(captions, float(time), held)
        difference = _first_difference(held, self._expected)
        if difference is None:
            return None
        return f"frames of the source gave others than its packets hold: {difference}"

    def problem(self) -> str | None:
        """What is wrong with the captions of the output, or None."""
        if self.expected_count and not self.actual_count:
            first = min(channel.times[0] for channel in self._expected if len(channel))
            count = plural(self.expected_count, "pair")
            return f"lost: the source has {count} of bytes, from {first:.3f} s on"
        return _first_difference(self._expected, self._actual)


class _Channel:
    """The triplets of one channel, and the times of their frames, seconds."""

    def __init__(self) -> None:
        self.content = bytearray()
        self.times = array("f")

    def __len__(self) -> int:
        return len(self.times)

    def triplets(self) -> NDArray[np.uint8]:
        """Shape (N, 3)."""
        return np.frombuffer(self.content, np.uint8).reshape(-1, TRIPLET_BYTES)


def _add(captions: bytes, seconds: float, channels: tuple[_Channel, ...]) -> None:
    for number, triplet in pairs_of(captions):
        kind = triplet[0] & _MEANING
        channels[number].content += bytes([kind]) + triplet[1:]
        channels[number].times.append(seconds)


def _first_difference(
    expected: tuple[_Channel, ...], actual: tuple[_Channel, ...]
) -> str | None:
    for name, one, other in zip(_CHANNELS, expected, actual, strict=True):
        problem = _difference(one, other)
        if problem is not None:
            return f"{name}: {problem}"
    return None


def _difference(expected: _Channel, actual: _Channel) -> str | None:
    length = min(len(expected), len(actual))
    expected_triplets = expected.triplets()[:length]
    differs = (expected_triplets != actual.triplets()[:length]).any(axis=1)
    if differs.any():
        first = int(differs.argmax())
        return (
            f"pair {first} of {len(expected)} is different from the source's "
            f"at {expected.times[first]:.3f} s"
        )
    if len(actual) < len(expected):
        missing = len(expected) - length
        return (
            f"the last {missing} of {plural(len(expected), 'pair')} are missing, "
            f"from {expected.times[length]:.3f} s on"
        )
    if len(actual) > len(expected):
        surplus = plural(len(actual) - length, "pair")
        return f"{surplus} too many, from {actual.times[length]:.3f} s on"
    return None
