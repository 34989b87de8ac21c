"""Record docs/terminal.svg: vsr in a terminal, on the demonstration clip: python docs/terminal.py.

Each command runs in a pseudo-terminal of its own. What it writes goes through a screen that knows
the few control sequences that vsr sends; rich draws some of its states, and the picture shows them
one after the other. Times differ from run to run.
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
SECONDS_PER_STATE = 1.2
# for how many others the last state is shown
LAST_SLOTS = 4
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


def record(command: str, folder: Path) -> list[str]:
    """Run a command in a terminal.

    Args:
        command: begins with ``vsr``.
        folder: where it runs.

    Returns:
        What the terminal shows: some states on the way, and the end.

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
    screen = Screen()
    states = [""]
    while piece := _read(outer):
        screen.feed(piece.decode(errors="replace"))
        states.append(screen.text())
    os.close(outer)
    if process.wait():
        raise subprocess.CalledProcessError(process.returncode, command)
    with_bar = [state for state in states if "%" in state]
    some = [with_bar[len(with_bar) * part // 4] for part in (1, 2, 3) if with_bar]
    return [*some, states[-1]]


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux says so where the other end is closed
        return b""


def draw(shown: list[tuple[str, list[str]]]) -> str:
    """An SVG of commands and what they showed; it takes no font from elsewhere."""
    before: list[Text] = []
    states = []
    for command, outputs in shown:
        before.append(Text.assemble(("$ ", "green"), (command, "bold")))
        states.append(list(before))
        states += [[*before, Text.from_ansi(output)] for output in outputs]
        before = [*states[-1], Text()]
    height = max(len(Text("\n").join(state).plain.splitlines()) for state in states)
    pictures = [_still(state, height, f"s{n}") for n, state in enumerate(states)]
    return _one_after_the_other(pictures)


def _still(state: list[Text], height: int, name: str) -> str:
    """One state, as high as the highest."""
    text = Text("\n").join(state)
    missing = height - len(text.plain.splitlines())
    text.append("\n" * missing)
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True)
        console.print(text)
        picture = console.export_svg(title="vsr", theme=MONOKAI, unique_id=name)
    return _ADDED.sub("", picture)


def _one_after_the_other(pictures: list[str]) -> str:
    """The pictures in turn, the last one longest; it alone where nothing may move."""
    slots = len(pictures) + LAST_SLOTS - 1
    share = 100 / slots
    seconds = slots * SECONDS_PER_STATE
    found = re.search(r'viewBox="[^"]+"', pictures[0])
    assert found is not None
    rules = [
        f"@keyframes turn {{ 0%, {share:.2f}% {{ opacity: 1 }} "
        f"{share + 0.01:.2f}%, 100% {{ opacity: 0 }} }}",
        f".state {{ opacity: 0; animation: turn {seconds:g}s infinite }}",
        ".last { animation: none; opacity: 1 }",
        "@media (prefers-reduced-motion) { .state { animation: none } "
        ".last { opacity: 1 } }",
    ]
    for number in range(len(pictures) - 1):
        delay = number * SECONDS_PER_STATE
        rules.append(f".t{number} {{ animation-delay: {delay:g}s }}")
    groups = [f'<g class="last">{pictures[-1]}</g>']
    for number, picture in enumerate(pictures[:-1]):
        groups.append(f'<g class="state t{number}">{picture}</g>')
    style = "\n".join(rules)
    body = "\n".join(groups)
    return (
        f'<svg {found[0]} xmlns="http://www.w3.org/2000/svg">\n'
        f"<style>\n{style}\n</style>\n{body}\n</svg>\n"
    )


def main() -> None:
    """Run the commands and write the picture."""
    with tempfile.TemporaryDirectory() as name:
        shown = [(command, record(command, Path(name))) for command in COMMANDS]
    PICTURE.write_text(draw(shown))


if __name__ == "__main__":
    main()
