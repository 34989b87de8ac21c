"""Folders of numbered pictures: which belong to the sequence, in what order, and how new ones are called."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from vsrcli.errors import InputError, OptionError, OutputError
from vsrcli.media.stills import WRITABLE_SUFFIXES

PICTURE_SUFFIXES = frozenset(
    {".png", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg", ".webp"}
)
_NUMBER = re.compile(r"(\d+)(?!.*\d)")  # the last number in a name counts the frames
_FIELD = re.compile(r"%(?:0(\d+))?d")
DEFAULT_PATTERN = "frame%06d.png"


@dataclass(frozen=True, slots=True)
class FramePattern:
    """How the pictures of a sequence are called: what stands before and behind the number, and its digits at least."""

    before: str
    digits: int
    behind: str

    @classmethod
    def parse(cls, text: str) -> FramePattern:
        """Read a name such as ``frame%06d.png``.

        Raises:
            OptionError: no place for the number, or more than one, or an ending that cannot be written.
        """
        fields = list(_FIELD.finditer(text))
        if len(fields) != 1 or "%" in text.replace(fields[0][0], "") or "/" in text:
            raise OptionError(
                f"{text!r} is no name for numbered pictures: write one such as {DEFAULT_PATTERN}"
            )
        found = cls(
            text[: fields[0].start()], int(fields[0][1] or 1), text[fields[0].end() :]
        )
        if re.search(r"\d", found.behind.removesuffix(found.suffix)):
            raise OptionError(
                f"{text!r}: the last number in a name has to be the one that counts, such as in {DEFAULT_PATTERN}"
            )
        if found.suffix not in WRITABLE_SUFFIXES:
            raise OptionError(
                f"{text!r}: pictures can be written as {', '.join(WRITABLE_SUFFIXES)}"
            )
        return found

    @classmethod
    def of(cls, file: Path) -> FramePattern:
        """The pattern that a picture of a sequence follows (see ``list_pictures``)."""
        match = _NUMBER.search(file.stem)
        if match is None:
            raise InputError(
                f"{file}: its name holds no number, so its place in the sequence is unknown; rename it, or move it elsewhere"
            )
        return cls(
            file.stem[: match.start()],
            len(match[1]) if match[1].startswith("0") else 1,
            file.stem[match.end() :] + file.suffix,
        )

    @property
    def suffix(self) -> str:
        """The ending of the name, in small letters."""
        return Path("x" + self.behind).suffix.lower()

    def name(self, number: int) -> str:
        """What the picture of that number is called."""
        return f"{self.before}{number:0{self.digits}d}{self.behind}"

    def number(self, name: str) -> int | None:
        """The number of a picture of this pattern, or None where the name does not follow it."""
        digits = name.removeprefix(self.before).removesuffix(self.behind)
        return (
            int(digits)
            if digits.isdecimal() and self.name(int(digits)) == name
            else None
        )


def number_of(file: Path) -> int:
    """The number in a name that follows a pattern."""
    match = _NUMBER.search(file.stem)
    return int(match[1]) if match else 0


def is_frame_folder(folder: Path) -> bool:
    """Whether pictures lie directly in ``folder``."""
    return folder.is_dir() and any(
        file.suffix.lower() in PICTURE_SUFFIXES and not file.name.startswith(".")
        for file in folder.iterdir()
    )


def list_pictures(folder: Path) -> list[Path]:
    """The pictures of a sequence in the order of their numbers (2 before 10).

    Raises:
        InputError: no pictures, names without a number, pictures of several kinds or names, or a gap in the numbering.
    """
    files = (
        [
            file
            for file in folder.iterdir()
            if file.suffix.lower() in PICTURE_SUFFIXES and not file.name.startswith(".")
        ]
        if folder.is_dir()
        else []
    )
    if not files:
        raise InputError(
            f"{folder}: no pictures in this folder ({', '.join(sorted(PICTURE_SUFFIXES))})"
        )
    numbered: dict[int, Path] = {}
    patterns: dict[str, Path] = {}
    for file in sorted(files):
        match = _NUMBER.search(file.stem)
        if match is None:
            raise InputError(
                f"{file}: its name holds no number, so its place in the sequence is unknown; rename it, or move it elsewhere"
            )
        pattern = f"{file.stem[: match.start()]}*{file.stem[match.end() :]}{file.suffix.lower()}"
        patterns.setdefault(pattern, file)
        if len(patterns) > 1:
            names = " and ".join(found.name for found in list(patterns.values())[:2])
            raise InputError(
                f"{folder}: more than one sequence lies there ({names}); give each a folder of its own"
            )
        if int(match[1]) in numbered:
            raise InputError(
                f"{folder}: {numbered[int(match[1])].name} and {file.name} have the same number; remove one"
            )
        numbered[int(match[1])] = file
    order = sorted(numbered)
    for before, after in pairwise(order):
        if after != before + 1:
            gap = (
                f"{before + 1}"
                if after == before + 2
                else f"{before + 1} to {after - 1}"
            )
            raise InputError(
                f"{folder}: a gap in the numbering: {gap} missing (after {numbered[before].name}); number the pictures without gaps"
            )
    return [numbered[number] for number in order]


def check_folder_target(target: Path, pattern: FramePattern, overwrite: bool) -> None:
    """Refuse a folder that pictures cannot be put into, before anything is read.

    Raises:
        OutputError: it is a file, holds pictures of the same names that may not be replaced, or lies where nothing can be written.
    """
    if target.exists() and not target.is_dir():
        raise OutputError(f"{target} is a file, not a folder: name another one")
    parent = target if target.is_dir() else target.resolve().parent
    if not parent.is_dir():
        raise OutputError(f"{target}: there is no folder {parent}: make it first")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise OutputError(
            f"{target}: the folder {parent} is not writable: choose another one"
        )
    if (
        target.is_dir()
        and not is_frame_folder(target)
        and any(not file.name.startswith(".") for file in target.iterdir())
    ):
        raise OutputError(
            f"{target} is a folder with other things in it: name a new one for pictures, or a video file in it"
        )
    if target.is_dir() and not overwrite:
        there = next(
            (
                file.name
                for file in target.iterdir()
                if pattern.number(file.name) is not None
            ),
            None,
        )
        if there is not None:
            raise OutputError(
                f"{target} holds pictures of that name already ({there}); -y replaces them"
            )
