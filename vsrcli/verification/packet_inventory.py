"""What a file holds besides its pictures, as its packets say: streams, chapters and tags.

Times are those of a file's own clock minus ``VideoInfo.start``. Nothing is read here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Digests = NDArray[np.uint64]

# When a packet is presented, seconds, or None where it does not say; and what it holds.
TimedCaptions = tuple[Fraction | None, bytes]

# The time of a packet without a timestamp.
NO_TIME = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One stream of a file.

    Attributes:
        index: FFmpeg's index.
        kind: ``video``, ``audio``, ``subtitle``, ``data`` or ``attachment``.
        codec: its canonical name.
        unit: of ``times`` and ``lengths``, seconds.
        start: ``VideoInfo.start`` of the file, seconds.
        times: presentation times of the packets in file order, ``NO_TIME`` where there is none.
        lengths: their durations, 0 where unknown. Those of sound whose packets say nothing reach
            to the next packet.
        digests: of their payloads, without the transport's own framing.
        sha256: of all payloads in sequence, or of an attachment's content.
        channels: of audio, else 0.
        rate: samples per second of audio, else 0.
        uncertain_end: by how much the last packet may be shorter than ``lengths`` says, seconds.
        is_cover: whether it is a cover picture, not video.
        file_name: of an attachment.
        language, title: as tagged, or None.
        disposition: FFmpeg's flags.
        tags: what else describes the content.
    """

    index: int
    kind: str
    codec: str
    unit: Fraction
    start: Fraction
    times: Integers
    lengths: Integers
    digests: Digests
    sha256: str
    channels: int = 0
    rate: int = 0
    uncertain_end: Fraction = Fraction(0)
    is_cover: bool = False
    file_name: str | None = None
    language: str | None = None
    title: str | None = None
    disposition: int = 0
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Name for the user."""
        return f"{self.kind} stream {self.index} ({self.codec or 'attachment'})"

    def time(self, packet: int) -> Fraction:
        """When a packet is presented, seconds."""
        return self._seconds(int(self.times[packet]))

    @property
    def span(self) -> tuple[Fraction, Fraction]:
        """First beginning and last end of a packet, seconds; zeros where no packet has a time."""
        known = self.times != NO_TIME
        if not known.any():
            return Fraction(0), Fraction(0)
        begins = self.times[known]
        ends = begins + self.lengths[known]
        return self._seconds(int(begins.min())), self._seconds(int(ends.max()))

    def within(
        self,
        start: Fraction | None,
        end: Fraction | None,
        margin: Fraction,
    ) -> NDArray[np.bool_]:
        """Which packets are presented inside a range of time.

        Args:
            start: of the range, seconds; None where it is open.
            end: of the range, seconds; None where it is open.
            margin: the range is widened by this at both ends, or narrowed where it is negative.

        Returns:
            One value per packet; True for packets without a time.
        """
        inside = np.ones(len(self.times), np.bool_)
        unknown = self.times == NO_TIME
        if start is not None:
            first = (start - margin + self.start) // self.unit
            inside &= (self.times + self.lengths > first) | unknown
        if end is not None:
            stop = -(-(end + margin + self.start) // self.unit)
            inside &= (self.times < stop) | unknown
        return inside

    def _seconds(self, ticks: int) -> Fraction:
        return ticks * self.unit - self.start


@dataclass(frozen=True, slots=True)
class Chapter:
    """A chapter: times in seconds, and its title."""

    start: Fraction
    end: Fraction
    title: str


@dataclass(frozen=True, slots=True, eq=False)
class PacketInventory:
    """What a file holds besides its pictures.

    Attributes:
        tracks: its streams.
        chapters: in file order.
        tags: the global ones that describe the content.
        end: when the video ends according to the header, seconds; None where it does not say.
        captions: closed captions in packets of the video, in order of presentation.
        uncarried: phrases for what packets of the video have beside them and no output holds.
    """

    tracks: tuple[Track, ...]
    chapters: tuple[Chapter, ...]
    tags: dict[str, str]
    end: Fraction | None
    captions: tuple[TimedCaptions, ...] = ()
    uncarried: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrimRange:
    """The part of the source that the output holds.

    Attributes:
        start, end: source times at which it begins and ends, seconds; None where nothing is cut.
        shift: source time minus output time of the same moment, seconds. The output's time counts
            from its file's start.
    """

    start: Fraction | None
    end: Fraction | None
    shift: Fraction

    @property
    def origin(self) -> Fraction:
        """The source time that is output time 0, seconds."""
        return self.start or Fraction(0)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is cut off."""
        return self.start is None and self.end is None
