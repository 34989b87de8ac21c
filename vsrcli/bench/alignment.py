"""Pairs of pictures of the same moment out of two sources."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, zip_longest

from vsrcli.bench.excerpts import WHOLE, Excerpt
from vsrcli.bench.source import Picture, Source
from vsrcli.errors import InputError

# Rates that differ by more than this share are those of different frames.
_MAX_RATE_ERROR = 0.005


def aligned(
    first: Source,
    second: Source,
    excerpt: Excerpt = WHOLE,
    margin: int = 0,
) -> Iterator[tuple[Picture, Picture]]:
    """Pairs of pictures of the same moment, by timestamp if both have any, otherwise by number.

    Args:
        first: one source.
        second: the other.
        excerpt: of the first. With a ``count``, so many pairs must exist; after these, the pairs
            end with the shorter source. Without one, every picture needs a partner.
        margin: pictures before the excerpt to give as well, if there are any.

    Raises:
        InputError: a picture has no partner: missing, superfluous, or at another time.
    """
    tolerance = _tolerance(first)
    pictures1 = first.read(excerpt, margin)
    beginning = next(pictures1, None)
    if beginning is None:
        return
    pictures2 = _partners(second, beginning, excerpt, margin, tolerance)
    pairs = zip_longest(chain([beginning], pictures1), pictures2)
    scored = 0
    for number, (one, two) in enumerate(pairs):
        if one is None or two is None:
            is_enough = excerpt.count is not None and scored >= excerpt.count
            has_ended = one is None and excerpt.end is not None
            if is_enough or has_ended:
                return
            refuse_other_rate(first, second)
            if excerpt.start is not None or excerpt.number:
                raise _ends_early(first, second, one or two)
            if two is None:
                raise _unequal_counts(first, pictures1, second, number)
            raise _unequal_counts(second, pictures2, first, number)
        _check_times({first: one.time, second: two.time}, number, tolerance)
        scored += not one.is_context
        yield one, two


def _check_times(
    times: dict[Source, Fraction | None],
    number: int,
    tolerance: Fraction,
) -> None:
    """Raise for frames of one number whose times differ; None: there is none."""
    known = {source: time for source, time in times.items() if time is not None}
    if len(known) < len(times):
        return
    if max(known.values()) - min(known.values()) > tolerance:
        refuse_other_rate(*times)
        raise _unequal_times(number, known)


def refuse_other_rate(first: Source, second: Source) -> None:
    """Refuse sources of which each has its own frame rate.

    Raises:
        InputError: the rates differ.
    """
    if not (first.has_times and second.has_times):
        return
    if abs(first.rate - second.rate) <= _MAX_RATE_ERROR * first.rate:
        return
    raise InputError(
        f"{second.path} has {second.rate:.5g} frames/s and {first.path} {first.rate:.5g}: "
        "only the same frames can be compared (`vsr upscale --fps source` keeps them all)"
    )


def _tolerance(source: Source) -> Fraction:
    """Half of the time between two frames, seconds."""
    return Fraction(1, 2) / Fraction(source.rate).limit_denominator(100_000)


def _partners(
    second: Source,
    beginning: Picture,
    excerpt: Excerpt,
    margin: int,
    tolerance: Fraction,
) -> Iterator[Picture]:
    """Pictures of the second source, from the partner of ``beginning`` on."""
    if excerpt.start is None or beginning.time is None:
        return second.read(Excerpt(max(0, excerpt.number - margin)))
    start = max(Fraction(0), beginning.time - tolerance)
    return second.read(Excerpt(excerpt.number, start=start))


def _ends_early(first: Source, second: Source, rest: Picture | None) -> InputError:
    """The error for sources of which one ends in the middle of an excerpt, before ``rest``."""
    place = ""
    if rest is not None and rest.time is not None:
        place = f" at {float(rest.time):.3f} s"
    return InputError(
        f"only one of {first.path} and {second.path} has a frame{place}: compare files of the "
        "same frames, or with --start and --frames the part that both have"
    )


def _unequal_counts(
    longer: Source,
    rest: Iterator[Picture],
    shorter: Source,
    common: int,
) -> InputError:
    """The error for sources that share ``common`` frames; one more was read, before ``rest``."""
    count = common + 1 + sum(1 for _ in rest)
    return InputError(
        f"{longer.path} has {count} frames, {shorter.path} only {common}: compare files of the "
        f"same frames (--start 0 --frames {common} scores the first {common})"
    )


def _unequal_times(number: int, times: dict[Source, Fraction]) -> InputError:
    """The error for frames of one number whose times differ; ``times`` are those in each file."""
    earlier, later = sorted(times, key=times.__getitem__)
    time = float(times[earlier])
    later_time = float(times[later])
    return InputError(
        f"frame {number} of {earlier.path} is at {time:.3f} s, and {later.path} "
        f"has no frame there (its next is at {later_time:.3f} s): "
        "a frame is missing, or the timing differs"
    )
