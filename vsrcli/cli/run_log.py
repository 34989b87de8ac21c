"""``--log FILE``: what a run tells, with date and time, at the end of a file."""

from __future__ import annotations

import logging
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from vsrcli._version import __version__
from vsrcli.cli.console import note, record, recording
from vsrcli.errors import OutputError, VsrError
from vsrcli.paths import is_folder, output_name, reason_of
from vsrcli.wording import plural, printable

if TYPE_CHECKING:
    from vsrcli.pipeline.upscale_report import UpscaleReport

_SEGMENTS_SUFFIX = ".vsr"


class _RunLog:
    """Writes lines to a file until it takes no more."""

    def __init__(self, file: TextIO, path: Path) -> None:
        self._file = file
        self._path = path
        self._is_broken = False

    def write(self, text: str) -> None:
        """Write a line; a full disk does not end the work."""
        if self._is_broken:
            return
        try:
            self._file.write(f"{datetime.now():%Y-%m-%d %H:%M:%S} {text}\n")
            self._file.flush()
        except OSError as error:
            self._is_broken = True
            note(f"{self._path}: the log ends here: {reason_of(error)}")


class _LogHandler(logging.Handler):
    """Puts the library's log into that of the run."""

    def emit(self, record_: logging.LogRecord) -> None:
        record(f"{record_.levelname.lower()}: {record_.getMessage()}")


@contextmanager
def run_log(
    path: Path | None, sources: Sequence[Path], targets: Sequence[Path]
) -> Iterator[None]:
    """Append everything that is told meanwhile to a file, errors included.

    Args:
        path: the file; None for none.
        sources: files and folders that are read.
        targets: files and folders that are written.

    Raises:
        OutputError: the file is in the way of the work, or cannot be written.
    """
    if path is None:
        yield
        return
    _check(path, sources, targets)
    try:
        file = path.open("a", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise OutputError(
            f"--log {path}: cannot be written: {reason_of(error)}: name another file"
        ) from error
    handler = _LogHandler()
    root = logging.getLogger()
    with ExitStack() as stack:
        stack.enter_context(file)
        stack.enter_context(recording(_RunLog(file, path).write))
        root.addHandler(handler)
        stack.callback(root.removeHandler, handler)
        arguments = printable(shlex.join(sys.argv[1:]))
        record(f"vsr {__version__}, in {Path.cwd()}: vsr {arguments}")
        try:
            yield
        except BaseException as error:
            _record_end(error)
            raise


def facts(report: UpscaleReport) -> str:
    """What ran, and where its time went, in one line."""
    weights = (
        report.model if report.domain is None else f"{report.model}:{report.domain}"
    )
    phrases = [
        f"{weights} in {report.precision} by {report.backend} on {report.device}",
        plural(report.frames_computed, "frame") + " through the network",
    ]
    from_before = report.frames_resumed + report.frames_recalled
    if from_before:
        phrases.append(f"{plural(from_before, 'frame')} of an earlier run")
    if report.reused:
        phrases.append(f"{100 * report.reused:.0f} % of the pixels unchanged")
    phrases += [f"{name} {seconds:.1f} s" for name, seconds in report.stages.items()]
    return ", ".join(phrases)


def _record_end(error: BaseException) -> None:
    """Say why the work ended early; what the terminal is told comes after the log is closed."""
    if isinstance(error, VsrError):
        record(f"error: {error}")
    elif isinstance(error, KeyboardInterrupt):
        record("interrupted")
    elif isinstance(error, SystemExit):
        record("terminated")
    elif isinstance(error, Exception) and str(error):
        record(f"error: {error}")


def _check(path: Path, sources: Sequence[Path], targets: Sequence[Path]) -> None:
    """Refuse a log that would get into the way of the work.

    Raises:
        OutputError: it would.
    """
    output_name(path)
    if is_folder(path):
        raise OutputError(f"--log {path}: this is a folder: name a file")
    if path.exists() and not path.is_file():
        raise OutputError(f"--log {path}: this is no regular file: name another")
    if not is_folder(path.parent):
        raise OutputError(f"--log {path}: there is no folder {path.parent}")
    place = os.path.realpath(path)
    for source in sources:
        if _is_within(place, source) or (path.exists() and _is_same(path, source)):
            raise OutputError(
                f"--log {path} is the input {source} or in it: name another file"
            )
    for target in targets:
        segments = target.with_name(target.name + _SEGMENTS_SUFFIX)
        is_target = place == os.path.realpath(target) or _is_same(path, target)
        if is_target or _is_within(place, segments):
            raise OutputError(f"--log {path} is the output itself: name another file")


def _is_same(path: Path, other: Path) -> bool:
    """Whether two names are of one file, by a link for example."""
    try:
        return path.samefile(other)
    except (OSError, ValueError):
        return False


def _is_within(place: str, folder: Path) -> bool:
    """Whether a path is that of a folder or of something in it."""
    around = os.path.realpath(folder)
    return place == around or place.startswith(around + os.sep)
