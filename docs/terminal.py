"""Record docs/terminal.svg: vsr in a terminal, on the demonstration clip: python docs/terminal.py.

Each command runs in a pseudo-terminal of its own. What it writes goes through a screen that knows
the few control sequences that vsr sends; rich draws the result. Times differ from run to run.
"""

from __future__ import annotations

import os
import pty
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

PICTURE = Path(__file__).with_name("terminal.svg")
COLUMNS = 96
COMMANDS = (
    "vsr demo clip.mp4",
    "vsr upscale clip.mp4 big.mp4 --model lite",
)
# of a terminal's output: a control sequence, a character that moves, or text
_PIECE = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)|\x1b.")
# what rich adds to its pictures and these do not need
_ADDED = re.compile(r"@font-face \{.*?\}\s*|<!--.*?-->\s*", re.DOTALL)


class Screen:
    """Lines as a terminal would show them at the end, with their colours."""

    def __init__(self) -> None:
        self._lines: list[list[str]] = [[]]
        self._row = 0
        self._column = 0
        self._style = ""

    def feed(self, output: str) -> None:
        """Show what a program writes."""
        for number, command, move, text in _PIECE.findall(output):
            if text:
                for character in text:
                    self._put(character)
            elif move == "\r":
                self._column = 0
            elif move == "\n":
                self._go_down()
            elif command:
                self._obey(command, number)

    def _put(self, character: str) -> None:
        line = self._lines[self._row]
        line.extend([" "] * (self._column + 1 - len(line)))
        line[self._column] = f"{self._style}{character}\x1b[0m"
        self._column += 1

    def _go_down(self) -> None:
        self._row += 1
        if self._row == len(self._lines):
            self._lines.append([])

    def _obey(self, command: str, number: str) -> None:
        if command == "m":
            is_reset = number in ("", "0")
            self._style = "" if is_reset else f"{self._style}\x1b[{number}m"
        elif command == "A":
            self._row = max(0, self._row - int(number or 1))
        elif command == "K":
            line = self._lines[self._row]
            line[0 if number == "2" else self._column :] = []

    def text(self) -> str:
        """All lines, with sequences for colours alone."""
        return "\n".join("".join(line) for line in self._lines).rstrip()


def record(command: str, folder: Path) -> str:
    """Run a command in a terminal.

    Args:
        command: begins with ``vsr``.
        folder: where it runs.

    Returns:
        What the terminal shows at its end.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    _, *arguments = shlex.split(command)
    size = {"COLUMNS": str(COLUMNS), "LINES": "40", "TERM": "xterm-256color"}
    outer, inner = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "vsrcli", *arguments],
        cwd=folder,
        env=os.environ | size,
        stdin=subprocess.DEVNULL,
        stdout=inner,
        stderr=inner,
    )
    os.close(inner)
    pieces = []
    while piece := _read(outer):
        pieces.append(piece)
    os.close(outer)
    if process.wait():
        raise subprocess.CalledProcessError(process.returncode, command)
    screen = Screen()
    screen.feed(b"".join(pieces).decode())
    return screen.text()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux says so where the other end is closed
        return b""


def draw(shown: list[tuple[str, str]]) -> str:
    """An SVG of commands and what they showed; it takes no font from elsewhere."""
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True)
        for number, (command, output) in enumerate(shown):
            if number:
                console.print()
            console.print(Text.assemble(("$ ", "green"), (command, "bold")))
            console.print(Text.from_ansi(output))
        picture = console.export_svg(title="vsr", theme=MONOKAI)
    return _ADDED.sub("", picture)


def main() -> None:
    """Run the commands and write the picture."""
    with tempfile.TemporaryDirectory() as name:
        shown = [(command, record(command, Path(name))) for command in COMMANDS]
    PICTURE.write_text(draw(shown))


if __name__ == "__main__":
    main()
