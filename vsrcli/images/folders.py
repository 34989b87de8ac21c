"""Folders of numbered pictures: which belong to the sequence, their order, and their names."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from vsrcli.errors import InputError, OptionError, OutputError
from vsrcli.images.stills import WRITABLE_SUFFIXES
from vsrcli.paths import output_name, refuse_inputs
from vsrcli.wording import plural

PICTURE_SUFFIXES = frozenset(
    {".png", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg", ".webp"}
)
DEFAULT_PATTERN = "frame%06d.png"
_NUMBER = re.compile(r"(\d+)(?!.*\d)")  # the last number in a name counts the frames
_FIELD = re.compile(r"%(?:0(\d+))?d")


@dataclass(frozen=True, slots=True)
class FramePattern:
    """How the pictures of a sequence are named.

    Attributes:
        before: the name up to the number.
        digits: minimum number of digits.
        behind: the name after the number.
    """

    before: str
    digits: int
    behind: str

    @classmethod
    def parse(cls, text: str) -> FramePattern:
        """Read a name such as ``frame%06d.png``.

        Raises:
            OptionError: no place for the number, or more than one, or an ending that cannot be
                written.
        """
        fields = list(_FIELD.finditer(text))
        if len(fields) != 1 or "%" in text.replace(fields[0][0], "") or "/" in text:
            raise OptionError(
                f"{text!r} is not a name for numbered pictures: "
                f"write one such as {DEFAULT_PATTERN}"
            )
        field = fields[0]
        pattern = cls(
            before=text[: field.start()],
            digits=int(field[1] or 1),
            behind=text[field.end() :],
        )
        if re.search(r"\d", pattern.behind.removesuffix(pattern.suffix)):
            raise OptionError(
                f"{text!r}: the last number in a name has to be the one that counts, "
                f"such as in {DEFAULT_PATTERN}"
            )
        if pattern.suffix not in WRITABLE_SUFFIXES:
            raise OptionError(
                f"{text!r}: pictures can be written as {', '.join(WRITABLE_SUFFIXES)}"
            )
        return pattern

    @classmethod
    def of(cls, file: Path) -> FramePattern:
        """The pattern that a picture of a sequence follows (see ``list_pictures``)."""
        match = _find_number(file)
        digits = match[1]
        return cls(
            before=file.stem[: match.start()],
            digits=len(digits) if digits.startswith("0") else 1,
            behind=file.stem[match.end() :] + file.suffix,
        )

    @property
    def suffix(self) -> str:
        """The ending of the name, in lower case."""
        return Path("x" + self.behind).suffix.lower()

    def name(self, number: int) -> str:
        """The name of the picture with that number."""
        return f"{self.before}{number:0{self.digits}d}{self.behind}"

    def number(self, name: str) -> int | None:
        """The number of a picture of this pattern; None if the name does not follow it."""
        digits = name.removeprefix(self.before).removesuffix(self.behind)
        if not digits.isdecimal():
            return None
        number = int(digits)
        return number if self.name(number) == name else None


def number_of(file: Path) -> int:
    """The number in a name that follows a pattern."""
    match = _NUMBER.search(file.stem)
    return int(match[1]) if match else 0


def is_frame_folder(folder: Path) -> bool:
    """True if ``folder`` itself holds pictures."""
    return folder.is_dir() and bool(_pictures_in(folder))


def list_pictures(folder: Path) -> list[Path]:
    """The pictures of a sequence in the order of their numbers (2 before 10).

    Raises:
        InputError: no pictures, names without a number, pictures of several kinds or names, or a
            gap in the numbering.
    """
    files = _pictures_in(folder) if folder.is_dir() else []
    if not files:
        raise InputError(
            f"{folder}: no pictures in this folder ({', '.join(sorted(PICTURE_SUFFIXES))})"
        )
    numbered: dict[int, Path] = {}
    patterns: dict[str, Path] = {}
    for file in sorted(files):
        match = _find_number(file)
        before = file.stem[: match.start()]
        behind = file.stem[match.end() :]
        patterns.setdefault(f"{before}*{behind}{file.suffix.lower()}", file)
        if len(patterns) > 1:
            names = " and ".join(first.name for first in patterns.values())
            raise InputError(
                f"{folder}: more than one sequence is in it ({names}); "
                "give each a folder of its own"
            )
        number = int(match[1])
        if number in numbered:
            raise InputError(
                f"{folder}: {numbered[number].name} and {file.name} have the same number; "
                "remove one"
            )
        numbered[number] = file
    _check_numbering(folder, numbered)
    return [numbered[number] for number in sorted(numbered)]


def _pictures_in(folder: Path) -> list[Path]:
    return [
        file
        for file in folder.iterdir()
        if file.suffix.lower() in PICTURE_SUFFIXES and not file.name.startswith(".")
    ]


def _find_number(file: Path) -> re.Match[str]:
    match = _NUMBER.search(file.stem)
    if match is None:
        raise InputError(
            f"{file}: its name holds no number, so its place in the sequence is unknown; "
            "rename it, or move it elsewhere"
        )
    return match


def _check_numbering(folder: Path, numbered: dict[int, Path]) -> None:
    for before, after in pairwise(sorted(numbered)):
        first = before + 1
        last = after - 1
        if first > last:
            continue
        gap = f"{first}" if first == last else f"{first} to {last}"
        raise InputError(
            f"{folder}: a gap in the numbering: {gap} missing "
            f"(after {numbered[before].name}); number the pictures without gaps"
        )


def leftover_note(folder: Path, pattern: FramePattern, written: range) -> str | None:
    """A line about pictures that follow the pattern, but are not those that were just written.

    Args:
        folder: where they are.
        pattern: the names of all.
        written: numbers of the new ones.

    Returns:
        None if there are no others.
    """
    others: dict[int, str] = {}
    for file in folder.iterdir():
        number = pattern.number(file.name)
        if number is not None and number not in written:
            others[number] = file.name
    if not others:
        return None
    first = others[min(others)]
    last = others[max(others)]
    names = first if first == last else f"{first} to {last}"
    return (
        f"{folder} still holds {plural(len(others), 'picture')} of an earlier run ({names}) beside "
        f"the {len(written)} new ones: remove what does not belong to them, or it is read as a "
        "part of this sequence"
    )


def check_folder_target(
    target: Path,
    pattern: FramePattern,
    overwrite: bool,
    source: Path | None = None,
) -> None:
    """Refuse a folder that pictures cannot be written into, before anything is read.

    Args:
        target: the folder.
        pattern: how the pictures are named.
        overwrite: whether the ones of these names may be replaced.
        source: a file that is read.

    Raises:
        OutputError: it is a file, holds pictures of the same names that may not be replaced, or is
            where nothing can be written.
    """
    output_name(target)
    is_folder = target.is_dir()
    if target.exists() and not is_folder:
        raise OutputError(f"{target} is a file, not a folder: name another one")
    parent = target if is_folder else target.resolve().parent
    if not parent.is_dir():
        raise OutputError(f"{target}: there is no folder {parent}: make it first")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise OutputError(
            f"{target}: the folder {parent} is not writable: choose another one"
        )
    if not is_folder:
        return
    try:
        names = [file.name for file in target.iterdir()]
    except OSError as error:
        raise OutputError(
            f"{target}: this folder cannot be read ({error.strerror}): name another one"
        ) from error
    has_files = any(not name.startswith(".") for name in names)
    if has_files and not is_frame_folder(target):
        raise OutputError(
            f"{target} is a folder with other things in it: "
            "name a new one for pictures, or a video file in it"
        )
    existing = sorted(name for name in names if pattern.number(name) is not None)
    if existing and not overwrite:
        raise OutputError(
            f"{target} holds {plural(len(existing), 'picture')} of that name already "
            f"({existing[0]}): "
            "-y replaces those of the same names"
        )
    for name in existing:
        if (target / name).is_dir():
            raise OutputError(f"{target / name} is a folder: move it elsewhere")
        if source is not None:
            refuse_inputs(target / name, [source])
