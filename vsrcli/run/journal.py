"""The folder in which a run keeps what is finished: a journal of JSON lines, and the parts of the video.

The first line says what the run is (options, source, cuts), each further one is a finished segment. A line that was torn by a crash is left out. Whoever
works in the folder holds a lock on a file in it, which the system takes back from a process that dies.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

from vsrcli.errors import OutputError
from vsrcli.media.atomic_file import sync
from vsrcli.media.parts import extradata_of, hash_of
from vsrcli.run.plan import Plan

SUFFIX = ".vsr"
_JOURNAL, _LOCK, _PARTS = "journal.jsonl", "lock", ".packets"
_OUTPUT = "output"
_VERSION = 1
_LONGEST_LINE = 1 << 24
_SAMPLES, _SAMPLE_BYTES = 64, 1 << 16

Mark = tuple[str, int]


@dataclass(slots=True)
class Segment:
    """A finished segment.

    Attributes:
        number: its place in the plan.
        frames: of the output.
        frames_in: source frames in it.
        frames_upscaled: those of them that went through the network.
        size, sha256: of its part; 0 and empty where it has no frame.
        before, last: the last source frame before it, and in it: its time, and a checksum of its luma; None where there is none. So it is known that
            segments which were read apart from each other fit.
        damage: what was wrong with the source in it.
    """

    number: int
    frames: int = 0
    frames_in: int = 0
    frames_upscaled: int = 0
    size: int = 0
    sha256: str = ""
    before: Mark | None = None
    last: Mark | None = None
    damage: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, value: Any) -> Segment | None:
        """Read an entry of a journal; None where it is none."""
        try:
            segment = cls(**value)
            numbers = (
                segment.number,
                segment.frames,
                segment.frames_in,
                segment.frames_upscaled,
                segment.size,
            )
            if (
                not all(type(number) is int and number >= 0 for number in numbers)
                or type(segment.sha256) is not str
                or type(segment.damage) is not dict
            ):
                return None
            segment.before, segment.last = _mark(segment.before), _mark(segment.last)
        except (TypeError, ValueError):
            return None
        return segment


def _mark(value: Any) -> Mark | None:
    if value is None:
        return None
    time, check = value
    return str(time), int(check)


def folder_of(target: Path) -> Path:
    """Where the parts of an output are kept: beside it."""
    return target.with_name(target.name + SUFFIX)


def begun_with(target: Path) -> str | None:
    """The network that an unfinished run on an output began with; None where there is no such run."""
    try:
        with (folder_of(target) / _JOURNAL).open("rb") as file:
            model = json.loads(file.readline(_LONGEST_LINE)).get("--model")
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    return model if isinstance(model, str) else None


def clear_finished(target: Path) -> None:
    """Throw away what a run left behind that was killed after its output had its name, and before its folder was gone.

    Nothing is touched unless the output is the very file that the folder's journal says it became.
    """
    folder = folder_of(target)
    try:
        made = json.loads((folder / _JOURNAL).read_bytes().splitlines()[-1])[_OUTPUT]
        is_it = made == _identity(target)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return
    if is_it:
        shutil.rmtree(folder, ignore_errors=True)


class Journal:
    """The folder of one run, held under its lock.

    Attributes:
        folder: where it is.
        plan: the cuts.
        done: the finished segments by number.
        resumed: how many of them were finished by an earlier run.
    """

    def __init__(
        self,
        target: Path,
        plan: Plan,
        facts: Mapping[str, str],
        *,
        restart: bool = False,
    ) -> None:
        """Make the folder, or go on with what is in it.

        Args:
            target: the output.
            plan: the cuts.
            facts: what decides about the result, by a name that the user knows: options, source, network.
            restart: throw away what is there.

        Raises:
            OutputError: another process works in it, it belongs to another run, or the disk refuses.
        """
        self.folder, self.plan, self.done, self._target = (
            folder_of(target),
            plan,
            dict[int, Segment](),
            target,
        )
        self._lock = -1
        try:
            self._open(facts, restart)
        except OSError as error:
            self.close()
            raise OutputError(
                f"{self.folder}: cannot be written: {error.strerror}: choose another folder, or give --segment 0"
            ) from error
        except BaseException:
            self.close()
            raise
        self.resumed = len(self.done)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            self._sweep()  # of a worker that was killed
        self.close()

    def missing(self) -> list[int]:
        """The numbers of the segments that are still to be made."""
        return [number for number in range(len(self.plan)) if number not in self.done]

    def part(self, number: int) -> Path:
        """Where the part of a segment is."""
        return part_path(self.folder, number)

    def add(self, segment: Segment) -> None:
        """Write down a segment, whose part is safe on the disk.

        Raises:
            OutputError: the disk refuses.
        """
        try:
            self._append(asdict(segment))
        except OSError as error:
            raise OutputError(
                f"{self._journal}: cannot be written: {error.strerror}: make room, and the same command goes on"
            ) from error
        self.done[segment.number] = segment

    def becomes(self, output: Path) -> None:
        """Write down which file is about to get the name of the output.

        Raises:
            OSError: the disk refuses.
        """
        self._append({_OUTPUT: _identity(output)})

    def drop(self, number: int) -> None:
        """Forget a segment, so that it is made again.

        Raises:
            OSError: the disk refuses.
        """
        self.done.pop(number, None)
        self.part(number).unlink(missing_ok=True)
        self._write()

    def unfit(self) -> list[int]:
        """Segments that do not begin where the one before them ended; and those whose encoder was another than the first one's.

        Raises:
            OSError: a part cannot be read.
        """
        pairs = [
            number
            for number in range(1, len(self.plan))
            if number in self.done and number - 1 in self.done
        ]
        found = [
            number
            for number in pairs
            if self.done[number].frames_in
            and self.done[number].before != self._end_of(number - 1)
        ]
        with_part = [
            number for number, segment in sorted(self.done.items()) if segment.frames
        ]
        if with_part:
            first = extradata_of(self.part(with_part[0]))
            found += [
                number
                for number in with_part[1:]
                if number not in found and extradata_of(self.part(number)) != first
            ]
        return sorted(found)

    def remove(self) -> None:
        """Throw the folder away; nobody else is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def close(self) -> None:
        """Let go of the lock; may be called more than once."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    @property
    def _journal(self) -> Path:
        return self.folder / _JOURNAL

    def _end_of(self, number: int) -> Mark | None:
        while number > 0 and self.done[number].last is None and number - 1 in self.done:
            number -= 1
        return self.done[number].last or self.done[number].before

    def _open(self, facts: Mapping[str, str], restart: bool) -> None:
        self._take_lock()
        self._facts = {
            "vsr": _VERSION,
            **facts,
            "--segment": [str(cut) for cut in self.plan.cuts],
        }
        if restart:
            for path in self.folder.iterdir():
                if path.name == _JOURNAL or path.suffix == _PARTS:
                    path.unlink()
        lines = self._read()
        if lines:
            changed = [
                name
                for name in sorted({*lines[0], *self._facts})
                if lines[0].get(name) != self._facts.get(name)
            ]
            if changed:
                raise OutputError(self._refusal(changed, lines[0]))
            for line in lines[1:]:
                segment = Segment.from_json(line)
                if (
                    segment is not None
                    and segment.number < len(self.plan)
                    and self._is_whole(segment)
                ):
                    self.done[segment.number] = segment
        elif any(
            path.name != _LOCK and not path.name.endswith(".part")
            for path in self.folder.iterdir()
        ):
            raise OutputError(
                f"{self.folder} is in the way, and holds no journal of vsr: move it, or name another output"
            )
        self._sweep()
        self._write()

    def _refusal(self, changed: list[str], before: Mapping[str, Any]) -> str:
        if self._facts["vsr"] != before.get("vsr"):
            return f"{self.folder} was written by another version of vsr: --restart begins anew"
        shown = [
            name
            if name in ("--segment", "source", "weights")
            else f"{name} was {before.get(name)}, is {self._facts.get(name)}"
            for name in changed[:3]
        ]
        changes = ", ".join(shown) + (
            f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        )
        return f"{self.folder} holds a run that was begun otherwise ({changes} changed): go on with what it was begun with, or --restart begins anew"

    def _take_lock(self) -> None:
        while True:
            self.folder.mkdir(exist_ok=True)
            try:
                self._lock = os.open(self.folder / _LOCK, os.O_CREAT | os.O_RDWR, 0o666)
            except FileNotFoundError:
                continue  # whoever was in it has just finished
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise OutputError(
                    f"another vsr works on {self._target} right now: wait for it, or name another output"
                ) from None
            try:
                if os.fstat(self._lock).st_ino == (self.folder / _LOCK).stat().st_ino:
                    return
            except FileNotFoundError:
                pass
            self.close()

    def _read(self) -> list[dict[str, Any]]:
        try:
            text = self._journal.read_bytes()
        except FileNotFoundError:
            return []
        found = []
        for line in text.splitlines():
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                continue  # torn by a crash
            if isinstance(value, dict):
                found.append(value)
        return found if found and "vsr" in found[0] else []

    def _write(self) -> None:
        """The journal as it should be, in the place of what was there."""
        temporary = self.folder / f".{_JOURNAL}.part"
        with temporary.open("w") as file:
            for line in (
                self._facts,
                *(asdict(segment) for _, segment in sorted(self.done.items())),
            ):
                file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._journal)
        sync(self.folder)

    def _append(self, line: Mapping[str, Any]) -> None:
        with self._journal.open("a") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _sweep(self) -> None:
        for path in self.folder.glob("*.part"):
            path.unlink(missing_ok=True)

    def _is_whole(self, segment: Segment) -> bool:
        if not segment.frames:
            return True
        part = self.part(segment.number)
        try:
            return (
                part.stat().st_size == segment.size and hash_of(part) == segment.sha256
            )
        except OSError:
            return False


def _identity(path: Path) -> list[int]:
    """What a file keeps when it is renamed, and shares with no other on its disk."""
    found = path.stat()
    return [found.st_ino, found.st_size]


def part_path(folder: Path, number: int) -> Path:
    """Where the part of a segment is in a folder."""
    return folder / f"{number:06d}{_PARTS}"


def fingerprint(path: Path) -> str:
    """What tells a file from another one or from itself before a change: its size, and a hash of samples all over it (large files are not read whole).

    Raises:
        OSError: it cannot be read.
    """
    digest, size = hashlib.sha256(), path.stat().st_size
    with path.open("rb") as file:
        for number in range(_SAMPLES):
            file.seek(max(0, size - _SAMPLE_BYTES) * number // (_SAMPLES - 1))
            digest.update(file.read(_SAMPLE_BYTES))
    return f"{size} bytes, {digest.hexdigest()[:32]}"


def mark_of(time: Fraction, checksum: int) -> Mark:
    """A mark as a journal keeps it."""
    return str(time), checksum
