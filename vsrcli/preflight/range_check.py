"""Whether a source has the time range that was asked for."""

from __future__ import annotations

from vsrcli.containers.pipe import is_standard_input
from vsrcli.decode.completeness import completeness
from vsrcli.errors import InputError, OptionError
from vsrcli.frame import VideoInfo
from vsrcli.timing import TimeRange


def check_range(info: VideoInfo, time_range: TimeRange) -> None:
    """Refuse a time range that the source does not have.

    Raises:
        OptionError: it begins after the end.
        InputError: the source is cut off before the range ends.
    """
    start = time_range.start
    if start is not None and info.duration is not None and start >= info.duration:
        raise OptionError(
            f"--start {float(start):g} is after the end of {info.path} "
            f"({float(info.duration):.3f} s)"
        )
    if info.path.is_dir() or is_standard_input(info.path):
        return
    source = completeness(info)
    needs_more = time_range.end is None or time_range.end > source.present
    if source.missing and needs_more:
        promised = float(info.duration or 0)
        present = f"{float(source.present):.2f}"
        raise InputError(
            f"{info.path} is cut off: {present} s of the {promised:.2f} s its header promises "
            f"are there; get the complete file, or take what is there with --end {present}"
        )
    if source.unread_from is not None and needs_more:
        present = f"{float(source.present):.2f}"
        raise InputError(
            f"{info.path} holds another recording from byte {source.unread_from} on, which FFmpeg "
            f"does not read: split it there, or take the first with --end {present}"
        )
