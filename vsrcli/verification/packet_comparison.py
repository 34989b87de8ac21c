"""Comparisons of what a source and its output hold besides pictures: packets, chapters, tags.

Each function takes what was read from the two files and says what is wrong; nothing is read here.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from vsrcli.streams.audio_conversion import MAX_JITTER_SECONDS
from vsrcli.streams.audio_settings import encoding_delay
from vsrcli.streams.packet_clock import is_held_at_zero
from vsrcli.verification.packet_inventory import (
    NO_TIME,
    Chapter,
    Digests,
    Integers,
    Track,
    TrimRange,
)
from vsrcli.wording import plural

OFFSET_SECONDS = Fraction(1, 1000)
# The beginning and the end of converted sound may be off by this, or by the encoder's delay and
# frame where these are longer, as at low sample rates.
_CONVERTED_SECONDS = Fraction(1, 20)


def compare_payloads(
    source: Track,
    output: Track,
    trim: TrimRange,
    margin: Fraction = OFFSET_SECONDS,
) -> tuple[str | None, Integers]:
    """Whether a copied stream has the source's packets, in order, from the right place.

    Args:
        source: the source's stream.
        output: the output's stream.
        trim: the part of the source that there should be.
        margin: packets that reach into the range by less than this may be missing, and packets
            that are outside by less may be there, seconds.

    Returns:
        What is wrong, or None; and the numbers of the source's packets that the output's are, up to
        the first that differs.
    """
    certain = np.flatnonzero(source.within(trim.start, trim.end, -margin))
    possible = np.flatnonzero(source.within(trim.start, trim.end, margin))
    before = possible
    after = possible[:0]
    if len(certain):
        before = possible[possible < certain[0]]
        after = possible[possible > certain[-1]]
    actual = output.digests
    lead = _matching_lead(actual, source.digests[before])
    max_tail = len(actual) - lead - len(certain)
    tail = _matching_tail(actual, source.digests[after], max_tail)
    taken = np.concatenate([before[len(before) - lead :], certain, after[:tail]])
    expected = source.digests[taken]
    if np.array_equal(actual, expected):
        return None, taken

    first_wrong = _first_difference(actual, expected)
    counts = plural(len(actual), "packet")
    if len(actual) != len(expected):
        counts += f" of {len(expected)}"
    when = ""
    if first_wrong < len(taken) and source.times[taken[first_wrong]] != NO_TIME:
        seconds = float(source.time(int(taken[first_wrong])))
        when = f" ({seconds:.3f} s in the source)"
    problem = f"the first that differs is number {first_wrong}{when}"
    return f"{output.label}: {counts}, {problem}", taken[:first_wrong]


def _matching_lead(actual: Digests, optional: Digests) -> int:
    """How many of the last optional packets the output begins with."""
    for count in range(len(optional), 0, -1):
        if np.array_equal(actual[:count], optional[-count:]):
            return count
    return 0


def _matching_tail(
    actual: Digests,
    optional: Digests,
    max_count: int,
) -> int:
    """How many of the first optional packets the output ends with."""
    for count in range(min(len(optional), max_count), 0, -1):
        if np.array_equal(actual[-count:], optional[:count]):
            return count
    return 0


def _first_difference(actual: Digests, expected: Digests) -> int:
    shorter = min(len(actual), len(expected))
    different = np.flatnonzero(actual[:shorter] != expected[:shorter])
    return int(different[0]) if len(different) else shorter


def compare_offsets(
    source: Track,
    output: Track,
    taken: Integers,
    trim: TrimRange,
    *,
    early: Fraction,
    late: Fraction,
    is_converted: bool,
) -> str | None:
    """Whether the packets of a stream have the same offset to the pictures as in the source.

    Args:
        source: the source's stream.
        output: the output's stream.
        taken: numbers of the source's packets that the output's first ones are.
        trim: gives the source's time of a moment of the output.
        early: by how much a packet may come too early, seconds.
        late: by how much it may come too late, seconds.
        is_converted: whether the stream should have been encoded again.

    Returns:
        What is wrong, or None.
    """
    is_held = is_held_at_zero(output.kind, is_converted=is_converted)
    for place, number in enumerate(taken[: len(output.times)].tolist()):
        if source.times[number] == NO_TIME or output.times[place] == NO_TIME:
            continue
        expected = source.time(number) - trim.shift
        if is_held:
            expected = max(expected, trim.origin - trim.shift)
        actual = output.time(place)
        error = actual - expected
        if not -early <= error <= late:
            milliseconds = 1e3 * float(error)
            where = f"packet {place} ({float(actual):.3f} s)"
            return f"{output.label}: {milliseconds:+.1f} ms at {where}"
    return None


def compare_converted_offset(
    source: Track,
    output: Track,
    trim: TrimRange,
) -> str | None:
    """Whether a converted stream begins when the source's does.

    Its first packet may come earlier by the encoder's delay.

    Args:
        source: the source's stream.
        output: the output's stream.
        trim: the part of the source that there should be.

    Returns:
        What is wrong, or None.
    """
    inside = source.within(trim.start, trim.end, -OFFSET_SECONDS)
    delay = encoding_delay(output.codec, output.rate, output.channels)
    return compare_offsets(
        source,
        output,
        np.flatnonzero(inside)[:1],
        trim,
        early=max(_CONVERTED_SECONDS, delay + MAX_JITTER_SECONDS),
        late=_CONVERTED_SECONDS,
        is_converted=True,
    )


def compare_converted(
    source: Track,
    output: Track,
    trim: TrimRange,
    codec: str | None,
    channels: int = 0,
) -> str | None:
    """Whether a converted stream is complete: codec, channels and length, or lines of text.

    Args:
        source: the source's stream.
        output: the output's stream.
        trim: the part of the source that there should be.
        codec: what it should be converted to; None where any will do.
        channels: how many there should be, of sound.

    Returns:
        What is wrong, or None.
    """
    if codec is not None and output.codec != codec:
        return f"{output.label}: it should have been converted to {codec}"
    if source.kind == "subtitle":
        return _compare_lines(
            source,
            output,
            trim,
            codec,
        )
    if output.channels != channels:
        return f"{output.label}: {plural(output.channels, 'channel')} of {channels}"
    start, end = source.span
    if trim.start is not None:
        start = max(start, trim.start)
    if trim.end is not None:
        end = min(end, trim.end)
    output_start, output_end = output.span
    expected = end - start
    actual = output_end - max(output_start, start - trim.shift)
    delay = encoding_delay(output.codec, output.rate, output.channels)
    frame = int(output.lengths.max(initial=0)) * output.unit
    max_excess = max(_CONVERTED_SECONDS, delay + frame)
    max_lack = _CONVERTED_SECONDS + source.uncertain_end
    if not -max_lack <= actual - expected <= max_excess:
        lengths = f"{float(actual):.3f} s, the source's {float(expected):.3f} s"
        return f"{output.label}: it lasts {lengths}"
    return None


def _compare_lines(
    source: Track,
    output: Track,
    trim: TrimRange,
    codec: str | None,
) -> str | None:
    lines = np.flatnonzero(source.within(trim.start, trim.end, -OFFSET_SECONDS))
    expected = len(lines)
    if codec == "mov_text":
        expected = _merged_lines(source, lines, trim)
    actual = len(output.times)
    if actual == expected:
        return None
    return f"{output.label}: {actual} lines of {expected}"


def _merged_lines(
    source: Track,
    lines: Integers,
    trim: TrimRange,
) -> int:
    """Number of lines in a track that has one at a time: overlapping lines are merged there."""
    first_tick = round((trim.shift + source.start) / source.unit)
    times = source.times[lines]
    begins = np.maximum(times, first_tick)
    ends = np.maximum(times + source.lengths[lines], begins + 1)
    bounds = np.unique(np.concatenate([begins, ends]))
    begun = np.searchsorted(np.sort(begins), bounds, "right")
    ended = np.searchsorted(np.sort(ends), bounds, "right")
    return int(np.count_nonzero(begun > ended))


def compare_chapters(
    source: tuple[Chapter, ...],
    output: tuple[Chapter, ...],
    trim: TrimRange,
    tolerance: Fraction,
) -> str | None:
    """Whether the chapters are there: number, titles, and times.

    Args:
        source: the source's chapters.
        output: the output's chapters.
        trim: the part of the source that there should be.
        tolerance: of times, seconds.

    Returns:
        What is wrong, or None.
    """
    expected_chapters = _expected_chapters(source, trim, tolerance)
    if len(output) != len(expected_chapters):
        return f"{len(output)} of {len(expected_chapters)}"
    pairs = zip(expected_chapters, output, strict=True)
    for number, (expected, actual) in enumerate(pairs, start=1):
        if actual.title != expected.title:
            return f"number {number} is called {actual.title!r}, not {expected.title!r}"
        start_error = abs(actual.start - expected.start)
        end_error = abs(actual.end - expected.end)
        if max(start_error, end_error) > tolerance:
            return f"number {number} lasts {_span(actual)}, not {_span(expected)}"
    return None


def _expected_chapters(
    source: tuple[Chapter, ...],
    trim: TrimRange,
    tolerance: Fraction,
) -> list[Chapter]:
    min_length = Fraction(0) if trim.is_whole else tolerance
    expected = []
    for chapter in source:
        start = max(chapter.start, trim.start or Fraction(0))
        end = chapter.end if trim.end is None else min(chapter.end, trim.end)
        if end - start > min_length:
            expected.append(
                Chapter(start - trim.shift, end - trim.shift, chapter.title)
            )
    return expected


def _span(chapter: Chapter) -> str:
    return f"{float(chapter.start):.3f}..{float(chapter.end):.3f} s"


def compare_tags(source: dict[str, str], output: dict[str, str]) -> list[str]:
    """Which of the source's tags are missing or different; the case of names does not matter."""
    actual = {key.lower(): value for key, value in output.items()}
    problems = []
    for key, value in source.items():
        if key.lower() not in actual:
            problems.append(f"{key} is lost")
        elif actual[key.lower()] != value:
            problems.append(f"{key} has changed")
    return problems
