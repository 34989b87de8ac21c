"""The folder in which a run keeps what is finished: a journal, and parts of the video.

The journal has a line of JSON that says what the run is (options, source, cuts), then one for each
finished segment. A line that was torn by a crash is ignored. A process holds a lock on the folder
while it works in it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from vsrcli.encode.atomic_file import sync
from vsrcli.encode.parts import extradata_of, hash_of
from vsrcli.errors import OutputError
from vsrcli.preflight.segment_plan import SegmentPlan
from vsrcli.segments.folder_check import check_folder
from vsrcli.segments.folder_lock import LOCK_NAME, FolderLock
from vsrcli.segments.journal_head import check_head, journal_head
from vsrcli.segments.journal_lines import as_text, read_lines
from vsrcli.segments.segment import Mark, Segment
from vsrcli.segments.segment_folder import (
    JOURNAL_NAME,
    UNFINISHED_SUFFIX,
    folder_of,
    is_of_a_run,
    is_unfinished,
    kept_paths,
    part_path,
    record_of,
    remove_folder,
    remove_kept,
)

# Of the last line, which says which file the output is.
OUTPUT_KEY = "output"


class Journal:
    """The folder of one run, held under its lock.

    Attributes:
        folder: where it is.
        plan: the cuts.
        done: the finished segments by number.
        largest_kept: bytes that kept frames of one of them took, at most.
    """

    def __init__(
        self,
        target: Path,
        plan: SegmentPlan,
        fingerprint: Mapping[str, str],
        *,
        restart: bool = False,
    ) -> None:
        """Make the folder, or continue with what is in it.

        Args:
            target: the output.
            plan: the cuts.
            fingerprint: what decides the result, by names that the user knows: options, source,
                network.
            restart: discard what is there.

        Raises:
            OutputError: another process works in it, it belongs to another run, or the disk
                refuses.
        """
        self.folder = folder_of(target)
        self._target = target
        self.plan = plan
        self.done: dict[int, Segment] = {}
        self.largest_kept = 0
        self._path = self.folder / JOURNAL_NAME
        self._head = journal_head(plan, fingerprint)
        check_folder(self.folder)
        try:
            self._lock = FolderLock(self.folder)
        except BlockingIOError:
            raise OutputError(
                f"another vsr is working on {target} right now: "
                "wait for it, or name another output"
            ) from None
        except OSError as error:
            raise self._cannot_be_written(error) from error
        try:
            self._open(restart)
        except OSError as error:
            self.close()
            raise self._cannot_be_written(error) from error
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            self._remove_unfinished()  # of a worker that was killed
        self.close()

    def missing(self) -> list[int]:
        """The numbers of the segments that are still to be made."""
        return [number for number in range(len(self.plan)) if number not in self.done]

    def part(self, number: int) -> Path:
        """Where the part of a segment is."""
        return part_path(self.folder, number)

    def add(self, segment: Segment) -> None:
        """Record a segment whose part is safe on the disk; what was kept of its frames goes.

        Raises:
            OutputError: the disk refuses.
        """
        try:
            self._append(asdict(segment))
        except OSError as error:
            raise OutputError(
                f"{self._path}: cannot be written: {error.strerror}: "
                "free some space, and the same command continues"
            ) from error
        self.done[segment.number] = segment
        kept_bytes = remove_kept(self.folder, segment.number)
        self.largest_kept = max(self.largest_kept, kept_bytes)

    def record_output(self, output: Path) -> None:
        """Record which file is about to get the name of the output.

        Raises:
            OSError: the disk refuses.
        """
        self._append({OUTPUT_KEY: identity_of(output)})

    def drop(self, number: int) -> None:
        """Forget a segment, so that it is redone.

        Raises:
            OSError: the disk refuses.
        """
        self.done.pop(number, None)
        self.part(number).unlink(missing_ok=True)
        self._write()

    def lost(self) -> list[int]:
        """Segments whose part somebody removed or cut short."""
        return [
            number
            for number, segment in sorted(self.done.items())
            if segment.frames and not _has_size(self.part(number), segment.size)
        ]

    def mismatched(self) -> list[int]:
        """Segments that do not fit the others.

        They do not begin where the one before them ended, or their encoder was set up differently
        from the first one's.

        Raises:
            OSError: a part cannot be read.
        """
        return sorted({*self._out_of_place(), *self._differently_encoded()})

    def remove(self) -> None:
        """Remove the folder."""
        remove_folder(self._target)

    def close(self) -> None:
        """Release the lock; may be called more than once."""
        self._lock.release()

    def _out_of_place(self) -> list[int]:
        numbers = []
        for number in range(1, len(self.plan)):
            if number not in self.done or number - 1 not in self.done:
                continue
            segment = self.done[number]
            if segment.frames_in and segment.before != self._end_of(number - 1):
                numbers.append(number)
        return numbers

    def _end_of(self, number: int) -> Mark | None:
        """The last source frame up to the end of a segment, as far back as segments are known."""
        while number > 0 and self.done[number].last is None and number - 1 in self.done:
            number -= 1
        return self.done[number].last or self.done[number].before

    def _differently_encoded(self) -> list[int]:
        with_part = [number for number in sorted(self.done) if self.done[number].frames]
        if not with_part:
            return []
        expected = extradata_of(self.part(with_part[0]))
        return [
            number
            for number in with_part[1:]
            if extradata_of(self.part(number)) != expected
        ]

    def _cannot_be_written(self, error: OSError) -> OutputError:
        return OutputError(
            f"{self.folder}: cannot be written: {error.strerror}: "
            "choose another folder, or give --segment 0"
        )

    def _open(self, restart: bool) -> None:
        if restart:
            self._discard()
        lines = read_lines(self._path)
        if lines:
            check_head(lines[0], self._head, self.folder)
            self._take_over(lines[1:])
        else:
            self._check_is_ours()
        self._remove_unfinished()
        self._remove_outdated()
        self._write()

    def _discard(self) -> None:
        for path in self.folder.iterdir():
            if is_of_a_run(path):
                path.unlink()

    def _take_over(self, lines: list[dict[str, Any]]) -> None:
        """Keep the segments of an earlier run that are complete on the disk."""
        for line in lines:
            segment = Segment.from_json(line)
            if segment is None or segment.number >= len(self.plan):
                continue
            if self._is_complete(segment):
                self.done[segment.number] = segment

    def _is_complete(self, segment: Segment) -> bool:
        if not segment.frames:
            return True
        part = self.part(segment.number)
        try:
            return _has_size(part, segment.size) and hash_of(part) == segment.sha256
        except OSError:
            return False

    def _check_is_ours(self) -> None:
        """Refuse a folder without a journal that holds anything but what a crash leaves."""
        for path in self.folder.iterdir():
            if path.name != LOCK_NAME and not is_unfinished(path):
                raise OutputError(
                    f"{self.folder} is in the way, and holds no journal of vsr: "
                    "move it, or name another output"
                )

    def _write(self) -> None:
        """Replace the journal by one that holds what is known now."""
        temporary = self.folder / f".{JOURNAL_NAME}{UNFINISHED_SUFFIX}"
        segments = [asdict(self.done[number]) for number in sorted(self.done)]
        with temporary.open("w") as file:
            file.write(as_text([self._head, *segments]))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._path)
        sync(self.folder)

    def _append(self, line: Mapping[str, Any]) -> None:
        with self._path.open("a") as file:
            file.write(as_text([line]))
            file.flush()
            os.fsync(file.fileno())

    def _remove_unfinished(self) -> None:
        for path in filter(is_unfinished, self.folder.iterdir()):
            path.unlink(missing_ok=True)

    def _remove_outdated(self) -> None:
        """Remove kept frames of segments that are complete, or that there are not."""
        for number, path in kept_paths(self.folder).items():
            if number in self.done or number >= len(self.plan):
                path.unlink()


def identity_of(path: Path) -> list[int]:
    """What a file keeps when it is renamed, and shares with no other on its disk."""
    status = path.stat()
    return [status.st_ino, status.st_size]


def write_record(
    target: Path,
    head: Mapping[str, Any],
    segments: Iterable[Segment],
    output: Path,
) -> None:
    """Record which file is about to get the name of an output that is written in one go.

    Args:
        target: the output.
        head: what the run is.
        segments: of the run.
        output: the complete file.

    Raises:
        OSError: the disk refuses.
    """
    record = record_of(target)
    record.unlink(missing_ok=True)
    lines = [head, *map(asdict, segments), {OUTPUT_KEY: identity_of(output)}]
    with record.open("x") as file:
        file.write(as_text(lines))


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False
