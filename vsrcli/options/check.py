"""Checks of values that several commands share; each raises ``OptionError``."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from vsrcli.errors import OptionError
from vsrcli.timing import TimeRange
from vsrcli.wording import did_you_mean

_MAX_ASPECT = Fraction(10)
MAX_FPS = 1000
_MAX_RATE_PART = 2**31 - 1  # of FFmpeg's fractions


def check_choices(options: Any, *names: str) -> None:
    """Check fields against the choices they are declared with.

    Args:
        options: a dataclass whose fields are made by ``option``.
        names: the fields to check; one whose default is None may be None.

    Raises:
        OptionError: a value is not among its choices.
    """
    declared = options.__dataclass_fields__
    for name in names:
        value = getattr(options, name)
        if value is None and declared[name].default is None:
            continue
        choices = declared[name].metadata["choices"]
        if value not in choices:
            hint = did_you_mean(str(value), choices)
            raise OptionError(
                f"unknown {name} {value!r}{hint}: choose from {', '.join(choices)}"
            )


def check_minima(options: Any, minima: Mapping[str, int]) -> None:
    """Check fields against the smallest value of each; None passes.

    Raises:
        OptionError: a value is too small.
    """
    for name, minimum in minima.items():
        value = getattr(options, name)
        if value is not None and value < minimum:
            raise OptionError(
                f"{flag_of(name)} {value} is too small: {minimum} or more"
            )


def check_time_range(time_range: TimeRange) -> None:
    """Check ``--start`` and ``--end``.

    Raises:
        OptionError: one is negative, or nothing is between them.
    """
    for flag, value in (("--start", time_range.start), ("--end", time_range.end)):
        if value is not None and value < 0:
            raise OptionError(
                f"{flag} {float(value):g} is negative: "
                "times count from the beginning of the file"
            )
    begin = time_range.begin
    end = time_range.end
    if end is not None and end <= begin:
        raise OptionError(
            f"--end {float(end):g} is not after --start {float(begin):g}: "
            "nothing would be left"
        )


def check_rate(fps: Fraction | str) -> None:
    """Check ``--fps``, where it has to be a number.

    Raises:
        OptionError: it is not above 0, too high, or of more digits than a file can hold.
    """
    if isinstance(fps, str):
        raise OptionError(f"--fps {fps}: give a number of pictures per second")
    if not 0 < fps <= MAX_FPS:
        raise OptionError(
            f"--fps {fps} makes no sense: give a rate above 0 and up to {MAX_FPS}"
        )
    if max(fps.numerator, fps.denominator) > _MAX_RATE_PART:
        raise OptionError(
            f"--fps {fps}: no file can hold this: give fewer digits, or N/D"
        )


def resolve_duration(options: Any) -> None:
    """Replace ``--duration`` by the ``--end`` it means, so that nothing else has to know it.

    Args:
        options: a dataclass with start, end and duration, seconds or None.

    Raises:
        OptionError: both are given, or the duration is not above zero.
    """
    if options.duration is None:
        return
    duration = f"--duration {float(options.duration):g}"
    if options.end is not None:
        raise OptionError(
            f"{duration} and --end {float(options.end):g} both say where to stop: omit one"
        )
    if options.duration <= 0:
        raise OptionError(f"{duration} is no length of time: give one above zero")
    begin = TimeRange(options.start).begin
    # frozen for everybody else
    object.__setattr__(options, "end", begin + options.duration)
    object.__setattr__(options, "duration", None)


def check_value_range(value_range: tuple[float, float] | None) -> None:
    """Check ``--range`` of float pictures.

    Raises:
        OptionError: the first value is not the smaller one.
    """
    if value_range is None:
        return
    black, white = value_range
    if not black < white:
        raise OptionError(
            f"--range {black:g} {white:g} makes no sense: give the smaller value first"
        )


def check_strength(strength: float) -> None:
    """Check ``--strength``.

    Raises:
        OptionError: it is not from 0 to 1.
    """
    if not 0 <= strength <= 1:
        raise OptionError(
            f"--strength {strength:g} makes no sense: give 0 (plain interpolation) to 1 (the "
            "network alone)"
        )


def check_aspect(aspect: Fraction | None) -> None:
    """Check ``--sar``.

    Raises:
        OptionError: pixels are never of that shape.
    """
    if aspect is not None and not 1 / _MAX_ASPECT <= aspect <= _MAX_ASPECT:
        raise OptionError(
            f"--sar {aspect.numerator}:{aspect.denominator} makes no sense: "
            "give width:height of a pixel, such as 16:11"
        )


def flag_of(name: str) -> str:
    """The long flag of a field."""
    return "--" + name.replace("_", "-")
