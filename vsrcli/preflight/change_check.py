"""A source that changes in the middle: which parts fit into one output, and what is lost."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from vsrcli.decode.changes import Change, find_changes
from vsrcli.errors import InputError
from vsrcli.frame import VideoInfo
from vsrcli.timing import TimeRange, cut_time
from vsrcli.wording import plural

_MAX_NAMED_PARTS = 4


def changes_within(info: VideoInfo, time_range: TimeRange) -> tuple[Change, ...]:
    """Where the pictures of a range change without becoming another kind.

    Raises:
        InputError: their size or format changes: they do not fit into one output.
    """
    changes = () if info.path.is_dir() else find_changes(info, time_range)
    cuts = [change for change in changes if change.is_new_kind]
    if cuts:
        raise InputError(
            f"{info.path} changes {cuts[0]}: take its parts one by one, "
            f"with {_parts(time_range, cuts)}"
        )
    return changes


def change_losses(time_range: TimeRange, changes: Sequence[Change]) -> list[str]:
    """A line for what an output, which is the same from its beginning to its end, loses of them."""
    lost = [change for change in changes if change.loses]
    if not lost:
        return []
    more = ""
    if len(lost) > 1:
        more = f", and {plural(len(lost) - 1, 'more time')}"
    return [
        f"the source changes {lost[0]}{more}; the output stays as it begins: "
        f"take its parts one by one, with {_parts(time_range, lost)}"
    ]


def change_notes(changes: Sequence[Change]) -> list[str]:
    """A line for each change that is made up for."""
    return [
        f"the source changes {change}: its codes are converted to the range it begins with"
        for change in changes
        if not change.loses
    ]


def _parts(time_range: TimeRange, changes: Sequence[Change]) -> str:
    """Options for each part of a range, such as ``--end 1.000 and --start 1.000``."""
    cuts = [cut_time(change.time) for change in changes]
    begins = [_seconds(time_range.start), *cuts]
    ends = [*cuts, _seconds(time_range.end)]
    parts = []
    for begin, end in zip(begins, ends, strict=True):
        options = [f"--start {begin}"] if begin else []
        options += [f"--end {end}"] if end else []
        parts.append(" ".join(options))
    if len(parts) > _MAX_NAMED_PARTS:
        return f"{', '.join(parts[:_MAX_NAMED_PARTS])} and so on ({len(parts)} parts)"
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def _seconds(time: Fraction | None) -> str:
    return "" if time is None else f"{float(time):.6f}".rstrip("0").rstrip(".")
