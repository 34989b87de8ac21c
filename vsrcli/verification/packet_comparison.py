"""Comparisons of what a source and its output hold besides pictures: packets, chapters, tags.

Each function takes what was read from the two files and says what is wrong; nothing is read here.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

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
# Encoders put a frame or two of silence before the first sample, and fill the last frame.
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
    tolerance: Fraction,
) -> str | None:
    """Whether the packets of a stream have the same offset to the pictures as in the source.

    Args:
        source: the source's stream.
        output: the output's stream.
        taken: numbers of the source's packets that the output's first ones are.
        trim: gives the source's time of a moment of the output.
        tolerance: seconds.

    Returns:
        What is wrong, or None.
    """
    is_reencoded = output.codec != source.codec
    is_clamped = trim.start is not None and (output.kind == "subtitle" or is_reencoded)
    for place, number in enumerate(taken[: len(output.times)].tolist()):
        if source.times[number] == NO_TIME or output.times[place] == NO_TIME:
            continue
        expected = source.time(number) - trim.shift
        if is_clamped and trim.start is not None:
            # a line that is on screen when the range begins, or sound encoded from there on
            expected = max(expected, trim.start - trim.shift)
        actual = output.time(place)
        error = actual - expected
        if abs(error) > tolerance:
            milliseconds = 1e3 * float(error)
            where = f"packet {place} ({float(actual):.3f} s)"
            return f"{output.label}: {milliseconds:+.1f} ms at {where}"
    return None


def compare_converted(
    source: Track,
    output: Track,
    trim: TrimRange,
    codec: str | None,
) -> str | None:
    """Whether a converted stream is complete: codec, channels and length, or lines of text.

    Args:
        source: the source's stream.
        output: the output's stream.
        trim: the part of the source that there should be.
        codec: what it should be converted to; None where any will do.

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
    if source.channels != output.channels:
        channels = f"{output.channels} channels, the source has {source.channels}"
        return f"{output.label}: {channels}"
    start, end = source.span
    if trim.start is not None:
        start = max(start, trim.start)
    if trim.end is not None:
        end = min(end, trim.end)
    output_start, output_end = output.span
    expected = end - start
    actual = output_end - max(output_start, start - trim.shift)
    if abs(actual - expected) > _CONVERTED_SECONDS:
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
