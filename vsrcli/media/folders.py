"""Folders of numbered pictures: which belong to the sequence, in what order, and what is in one of them."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vsrcli.errors import InputError

PICTURE_SUFFIXES = frozenset({".png", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg", ".webp"})
_NUMBER = re.compile(r"(\d+)(?!.*\d)")  # the last number in a name counts the frames


def is_frame_folder(folder: Path) -> bool:
    """Whether pictures lie directly in ``folder``."""
    return folder.is_dir() and any(file.suffix.lower() in PICTURE_SUFFIXES and not file.name.startswith(".") for file in folder.iterdir())


def list_pictures(folder: Path) -> list[Path]:
    """The pictures of a sequence in the order of their numbers (2 before 10).

    Raises:
        InputError: no pictures, names without a number, pictures of several kinds or names, or a gap in the numbering.
    """
    files = [file for file in folder.iterdir() if file.suffix.lower() in PICTURE_SUFFIXES and not file.name.startswith(".")] if folder.is_dir() else []
    if not files:
        raise InputError(f"{folder}: no pictures in this folder ({', '.join(sorted(PICTURE_SUFFIXES))})")
    numbered: dict[int, Path] = {}
    patterns: dict[str, Path] = {}
    for file in sorted(files):
        match = _NUMBER.search(file.stem)
        if match is None:
            raise InputError(f"{file}: its name holds no number, so its place in the sequence is unknown; rename it, or move it elsewhere")
        pattern = f"{file.stem[: match.start()]}*{file.stem[match.end() :]}{file.suffix.lower()}"
        patterns.setdefault(pattern, file)
        if len(patterns) > 1:
            names = " and ".join(found.name for found in list(patterns.values())[:2])
            raise InputError(f"{folder}: more than one sequence lies there ({names}); give each a folder of its own")
        if int(match[1]) in numbered:
            raise InputError(f"{folder}: {numbered[int(match[1])].name} and {file.name} have the same number; remove one")
        numbered[int(match[1])] = file
    order = sorted(numbered)
    for before, after in pairwise(order):
        if after != before + 1:
            gap = f"{before + 1}" if after == before + 2 else f"{before + 1} to {after - 1}"
            raise InputError(f"{folder}: a gap in the numbering: {gap} missing (after {numbered[before].name}); number the pictures without gaps")
    return [numbered[number] for number in order]


def read_picture(file: Path) -> NDArray[Any]:
    """Read one picture.

    Returns:
        (H, W) for gray or (H, W, 3) in the order R, G, B; uint8, uint16 or float32, as stored; alpha left off.

    Raises:
        InputError: missing, damaged, or no picture.
    """
    try:
        data = np.frombuffer(file.read_bytes(), np.uint8)
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from error
    try:
        picture = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    except cv2.error:
        picture = None
    if picture is None:
        raise InputError(f"{file}: damaged, or no picture of a known kind")
    if picture.dtype not in (np.uint8, np.uint16, np.float32):
        raise InputError(f"{file}: its samples are {picture.dtype}; 8 or 16 bits or 32-bit float are possible")
    if picture.ndim == 2:
        return np.asarray(picture)
    if picture.shape[2] == 2:
        return np.ascontiguousarray(picture[:, :, 0])
    return np.ascontiguousarray(picture[:, :, 2::-1])
