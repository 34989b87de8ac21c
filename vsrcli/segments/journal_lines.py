"""The lines of a journal: JSON, one value a line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vsrcli.paths import open_regular

# In the first line, which says what the run is.
VERSION_KEY = "vsr"


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a journal; none unless the first says what the run is.

    Raises:
        OSError: it cannot be read.
    """
    try:
        with open_regular(path, follow_link=False) as file:
            text = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return []
    lines = []
    for line in text.splitlines():
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue  # torn by a crash
        if isinstance(value, dict):
            lines.append(value)
    if not lines or VERSION_KEY not in lines[0]:
        return []
    return lines


def as_text(lines: Iterable[Mapping[str, Any]]) -> str:
    """Values as lines."""
    return "".join(json.dumps(line) + "\n" for line in lines)
