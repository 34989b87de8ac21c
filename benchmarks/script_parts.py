"""What the scripts share (benchmarks/script_parts.py): sizes, clips, the command, tables."""

from __future__ import annotations

import sys
from pathlib import Path

VSR = [sys.executable, "-c", "from vsrcli.cli import main; main()"]
# of the demonstration clip
FRAMES_PER_SECOND = 30


def parse_size(text: str) -> tuple[int, int]:
    """Width and height of a size such as ``640x360``."""
    width, height = text.split("x")
    return int(width), int(height)


def write_clip(path: Path, frames: int, size: tuple[int, int]) -> None:
    """Write the demonstration clip with so many frames; ``size`` is (width, height)."""
    from vsrcli.jobs.demo import write_demo  # PyAV, which some machines lack

    write_demo(path, seconds=frames / FRAMES_PER_SECOND, size=size)


def print_header(*columns: str) -> None:
    """Print the first two rows of a Markdown table."""
    print_row(*columns)
    print("|" + "---|" * len(columns), flush=True)


def print_row(*cells: object) -> None:
    """Print a row of a Markdown table."""
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)
