"""The certificate of an output: what was checked, and the pure comparisons of streams, tags and descriptions behind it.

Times are those of a file's own clock minus ``VideoInfo.start``, as everywhere. Nothing is read here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrcli.frame import UNSPECIFIED, ColorTags, Hdr, MasteringDisplay, PixelFormat

Integers = NDArray[np.int64]
Digests = NDArray[np.uint64]

# A packet without a timestamp.
NO_TIME = np.iinfo(np.int64).min
OFFSET_SECONDS = Fraction(1, 1000)
# Encoders put a frame of silence or two before the first sample, and fill the last frame.
_CONVERTED_SECONDS = Fraction(1, 20)
# Headers of these have no word for "range not said": their decoders report limited.
_ALWAYS_SAY_A_RANGE = ("hevc", "av1", "vp9")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was checked.

    Attributes:
        name: what; the same for every run.
        passed: whether it holds.
        text: one line: what was found, and where not passed what should be.
    """

    name: str
    passed: bool
    text: str


@dataclass(frozen=True, slots=True)
class Certificate:
    """What became of everything that the source had.

    Attributes:
        source, target: files.
        checks: in the order of reading; a check that has nothing to look at is left out.
        facts: figures for a machine: rate policy, worst frame, packets and sums of each stream.
    """

    source: str
    target: str
    checks: tuple[Check, ...]
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """True when every check holds."""
        return all(check.passed for check in self.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that do not hold."""
        return tuple(check for check in self.checks if not check.passed)

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        checks = [
            {"name": check.name, "passed": check.passed, "text": check.text}
            for check in self.checks
        ]
        return {
            "source": self.source,
            "target": self.target,
            "ok": self.ok,
            "checks": checks,
            **self.facts,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One stream of a file, as its packets tell.

    Attributes:
        index: FFmpeg's index.
        kind: ``video``, ``audio``, ``subtitle``, ``data`` or ``attachment``.
        codec: its canonical name.
        unit: of ``times`` and ``lengths``, seconds.
        start: ``VideoInfo.start`` of the file, seconds.
        times: presentation times of the packets in the order of the file, ``NO_TIME`` where there is none.
        lengths: their durations, 0 where not said.
        digests: of their payloads (the transport's own framing left out).
        sha256: of all payloads one after the other, or of an attachment's content.
        channels: of audio, else 0.
        is_cover: a picture that is no video.
        file_name: of an attachment.
        language, title: as tagged, or None.
        disposition: FFmpeg's flags.
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
    is_cover: bool = False
    file_name: str | None = None
    language: str | None = None
    title: str | None = None
    disposition: int = 0

    @property
    def label(self) -> str:
        """Name for the user."""
        return f"{self.kind} stream {self.index} ({self.codec or 'attachment'})"

    def time(self, packet: int) -> Fraction:
        """When a packet is shown, seconds."""
        return int(self.times[packet]) * self.unit - self.start

    @property
    def span(self) -> tuple[Fraction, Fraction]:
        """Beginning of the earliest packet and end of the latest, seconds; zeros where no packet has a time."""
        known = self.times != NO_TIME
        if not known.any():
            return Fraction(0), Fraction(0)
        return int(self.times[known].min()) * self.unit - self.start, int(
            (self.times + self.lengths)[known].max()
        ) * self.unit - self.start

    def within(
        self, begin: Fraction | None, end: Fraction | None, margin: Fraction
    ) -> NDArray[np.bool_]:
        """Which packets are shown inside a range of time widened by ``margin`` (narrowed where negative); those without a time are."""
        inside = np.ones(len(self.times), np.bool_)
        unknown = self.times == NO_TIME
        if begin is not None:
            inside &= (
                self.times + self.lengths
                > _floor(begin - margin + self.start, self.unit)
            ) | unknown
        if end is not None:
            inside &= (
                self.times < -_floor(-(end + margin + self.start), self.unit)
            ) | unknown
        return inside


def _floor(seconds: Fraction, unit: Fraction) -> int:
    return seconds // unit


@dataclass(frozen=True, slots=True)
class Chapter:
    """A chapter: times in seconds, and its title."""

    start: Fraction
    end: Fraction
    title: str


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What a file holds beside its pictures.

    Attributes:
        tracks: its streams.
        chapters: in their order.
        tags: the global ones that describe the content.
        end: when the header says that the video ends, seconds; None where it does not say.
    """

    tracks: tuple[Track, ...]
    chapters: tuple[Chapter, ...]
    tags: dict[str, str]
    end: Fraction | None


@dataclass(frozen=True, slots=True)
class Cut:
    """What part of the source the output shows.

    Attributes:
        begin, end: source times at which it begins and ends, seconds; None where nothing is cut off.
        shift: source time minus output time of the same moment, seconds, where the output's time counts from its file's start.
    """

    begin: Fraction | None
    end: Fraction | None
    shift: Fraction


def compare_payloads(
    source: Track, target: Track, cut: Cut, margin: Fraction = OFFSET_SECONDS
) -> tuple[str | None, Integers]:
    """Whether the packets of a copied stream are those of the source, in their order, from the right place.

    Args:
        source: the stream as it was.
        target: the stream as it is.
        cut: what part of the source there should be.
        margin: packets that touch the edge of the cut by less than this may be there or not, seconds.

    Returns:
        What is wrong, or None; and which of the source's packets the output's are, up to the first that differs.
    """
    certain = np.flatnonzero(source.within(cut.begin, cut.end, -margin))
    possible = np.flatnonzero(source.within(cut.begin, cut.end, margin))
    found = target.digests
    before = possible[possible < certain[0]] if len(certain) else possible
    after = possible[possible > certain[-1]] if len(certain) else possible[:0]
    lead = next(
        (
            n
            for n in range(len(before), 0, -1)
            if np.array_equal(found[:n], source.digests[before[-n:]])
        ),
        0,
    )
    tail = next(
        (
            n
            for n in range(len(after), 0, -1)
            if len(found) - lead - n >= len(certain)
            and np.array_equal(found[-n:], source.digests[after[:n]])
        ),
        0,
    )
    taken = np.concatenate([before[len(before) - lead :], certain, after[:tail]])
    wanted = source.digests[taken]
    if np.array_equal(found, wanted):
        return None, taken
    short = min(len(found), len(wanted))
    different = np.flatnonzero(found[:short] != wanted[:short])
    place = int(different[0]) if len(different) else short
    counts = (
        f"{len(found)} packets"
        if len(found) == len(wanted)
        else f"{len(found)} packets of {len(wanted)}"
    )
    when = ""
    if place < len(taken) and source.times[taken[place]] != NO_TIME:
        when = f" ({float(source.time(int(taken[place]))):.3f} s in the source)"
    return (
        f"{target.label}: {counts}, the first that differs is number {place}{when}",
        taken[:place],
    )


def compare_offsets(
    source: Track, target: Track, taken: Integers, cut: Cut, tolerance: Fraction
) -> str | None:
    """Whether the packets of a stream stand as far from the pictures as in the source.

    Args:
        source: the stream as it was.
        target: the stream as it is.
        taken: numbers of the source's packets that the output's first ones are.
        cut: gives the source's time of a moment of the output.
        tolerance: seconds.

    Returns:
        What is wrong, or None.
    """
    for place, number in enumerate(taken[: len(target.times)].tolist()):
        if source.times[number] == NO_TIME or target.times[place] == NO_TIME:
            continue
        expected = source.time(number) - cut.shift
        if (
            target.kind == "subtitle" or target.codec != source.codec
        ) and cut.begin is not None:
            expected = max(
                expected, cut.begin - cut.shift
            )  # a line already shown when the cut begins, or sound made anew from there on
        error = target.time(place) - expected
        if abs(error) > tolerance:
            return f"{target.label}: {1e3 * float(error):+.1f} ms at packet {place} ({float(target.time(place)):.3f} s)"
    return None


def compare_converted(
    source: Track, target: Track, cut: Cut, codec: str | None
) -> str | None:
    """Whether a converted stream is there from beginning to end: codec, channels, length; of text, the number of lines.

    Returns:
        What is wrong, or None.
    """
    if codec is not None and target.codec != codec:
        return f"{target.label}: it should have been converted to {codec}"
    wanted = np.flatnonzero(source.within(cut.begin, cut.end, -OFFSET_SECONDS))
    if source.kind == "subtitle":
        expected_lines = (
            _rows(source, wanted, cut) if codec == "mov_text" else len(wanted)
        )
        return (
            None
            if len(target.times) == expected_lines
            else f"{target.label}: {len(target.times)} lines of {expected_lines}"
        )
    if source.channels != target.channels:
        return f"{target.label}: {target.channels} channels, the source has {source.channels}"
    begin, end = source.span
    begin, end = (
        (begin if cut.begin is None else max(begin, cut.begin)),
        (end if cut.end is None else min(end, cut.end)),
    )
    found = target.span
    length, expected = found[1] - max(found[0], begin - cut.shift), end - begin
    if abs(length - expected) > _CONVERTED_SECONDS:
        return f"{target.label}: it lasts {float(length):.3f} s, the source's {float(expected):.3f} s"
    return None


def _rows(source: Track, wanted: Integers, cut: Cut) -> int:
    """As how many lines those wanted of a source stand in a track that shows one at a time."""
    begins = np.maximum(
        source.times[wanted], round((cut.shift + source.start) / source.unit)
    )
    ends = np.sort(
        np.maximum(source.times[wanted] + source.lengths[wanted], begins + 1)
    )
    begins = np.sort(begins)
    bounds = np.unique(np.concatenate([begins, ends]))
    return int(
        np.count_nonzero(
            np.searchsorted(begins, bounds, "right")
            > np.searchsorted(ends, bounds, "right")
        )
    )


def compare_chapters(
    source: tuple[Chapter, ...],
    target: tuple[Chapter, ...],
    cut: Cut,
    tolerance: Fraction,
) -> str | None:
    """Whether the chapters are there: number, titles, times within ``tolerance``.

    Returns:
        What is wrong, or None.
    """
    begin = cut.begin or Fraction(0)
    wanted = []
    for chapter in source:
        stop = chapter.end if cut.end is None else min(chapter.end, cut.end)
        if stop - max(chapter.start, begin) > (
            tolerance if cut.begin is not None or cut.end is not None else 0
        ):
            wanted.append(
                Chapter(
                    max(chapter.start, begin) - cut.shift,
                    stop - cut.shift,
                    chapter.title,
                )
            )
    if len(target) != len(wanted):
        return f"{len(target)} of {len(wanted)}"
    for number, (one, other) in enumerate(zip(wanted, target, strict=True), start=1):
        if one.title != other.title:
            return f"number {number} is called {other.title!r}, not {one.title!r}"
        if (
            abs(one.start - other.start) > tolerance
            or abs(one.end - other.end) > tolerance
        ):
            times = [
                f"{float(each.start):.3f}..{float(each.end):.3f} s"
                for each in (other, one)
            ]
            return f"number {number} lasts {times[0]}, not {times[1]}"
    return None


def compare_tags(source: dict[str, str], target: dict[str, str]) -> list[str]:
    """Which of the source's tags the target lacks or has otherwise; names are compared without regard to case."""
    found = {key.lower(): value for key, value in target.items()}
    return [
        f"{key} {'is lost' if key.lower() not in found else 'has changed'}"
        for key, value in source.items()
        if found.get(key.lower()) != value
    ]


def compare_colour(source: ColorTags, target: ColorTags, codec: str) -> list[str]:
    """Which colour tags differ. A range that the source leaves open and the codec cannot counts as limited; chroma's place only where both say it.

    Args:
        source: the tags as they were.
        target: the tags as they are.
        codec: canonical name of the target's video codec.
    """
    wrong = []
    for name in ("matrix", "primaries", "transfer"):
        before, after = getattr(source, name), getattr(target, name)
        if before != after:
            wrong.append(f"{name} {_said(after)}, the source's is {_said(before)}")
    says_colours = (source.matrix, source.primaries, source.transfer) != (
        UNSPECIFIED,
    ) * 3
    is_forced = codec in _ALWAYS_SAY_A_RANGE or (codec == "h264" and says_colours)
    same_range = source.range == target.range or (
        is_forced and source.range is None and target.range == "limited"
    )
    # x264 says nothing of a range that is all it knows of the colours; it means limited
    same_range |= (
        codec == "h264"
        and not says_colours
        and (source.range, target.range) == ("limited", None)
    )
    if not same_range and codec != "mjpeg":
        wrong.append(
            f"range {target.range or 'not said'}, the source's is {source.range or 'not said'}"
        )
    if (
        source.chroma_location
        and target.chroma_location
        and source.chroma_location != target.chroma_location
    ):
        wrong.append(
            f"chroma location {target.chroma_location}, the source's is {source.chroma_location}"
        )
    return wrong


def _said(code: int) -> str:
    return "not said" if code == UNSPECIFIED else str(code)


def compare_hdr(source: Hdr, target: Hdr) -> list[str]:
    """Which static HDR metadata of the source the target lacks or has otherwise, to within the units they are written in."""
    wrong = []
    if source.mastering is not None and not _same_display(
        source.mastering, target.mastering
    ):
        wrong.append(
            "mastering display " + ("lost" if target.mastering is None else "changed")
        )
    if (
        source.content_light is not None
        and source.content_light != target.content_light
    ):
        wrong.append(
            "content light level "
            + (
                "lost"
                if target.content_light is None
                else f"{target.content_light}, not {source.content_light}"
            )
        )
    return wrong


def _same_display(one: MasteringDisplay, other: MasteringDisplay | None) -> bool:
    if other is None:
        return False
    points = [
        (a, b)
        for name in ("red", "green", "blue", "white")
        for a, b in zip(getattr(one, name), getattr(other, name), strict=True)
    ]
    chromatic = all(abs(a - b) <= Fraction(1, 25000) for a, b in points)
    bright = (
        abs(one.max_luminance - other.max_luminance)
        <= Fraction(1, 2) + one.max_luminance / 1000
    )
    return (
        chromatic
        and bright
        and abs(one.min_luminance - other.min_luminance)
        <= Fraction(1, 5000) + one.min_luminance / 100
    )


def compare_depth(source: PixelFormat, target: PixelFormat) -> list[str]:
    """What of a source's samples the target's pixel format has no place for."""
    lost = (
        [f"{target.bits} bits, the source has {source.bits}"]
        if target.bits < source.bits
        else []
    )
    if source.has_chroma and not target.has_chroma:
        lost.append(f"{target.name} has no colour")
    return lost
