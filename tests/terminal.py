"""A terminal for tests: a program runs in it, and its screen is read."""

from __future__ import annotations

import os
import pty
import re
import threading
from dataclasses import dataclass, field
from typing import Self

_CONTROL = re.compile(
    r"\x1b\[(?P<numbers>[0-9;?]*)(?P<letter>[A-Za-z])|(?P<plain>[\r\n])|(?P<text>[^\x1b\r\n]+)"
)

_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass
class Screen:
    """The lines of a terminal that has no last line.

    Attributes:
        columns: width; a longer line goes on in the next.
        lines: what is shown.
        wraps: how many lines had to go on in the next.
    """

    columns: int = 100
    lines: list[str] = field(default_factory=lambda: [""])
    wraps: int = 0
    row: int = 0
    column: int = 0

    def feed(self, text: str) -> None:
        """Take what a program prints: text, and the sequences that rich uses."""
        position = 0
        while position < len(text):
            match = _CONTROL.match(text, position)
            assert match is not None, text[position : position + 20]
            position = match.end()
            if match["text"]:
                self._write(match["text"])
            elif match["plain"] == "\r":
                self.column = 0
            elif match["plain"] == "\n":
                self._go_down()
            else:
                self._control(match["letter"], match["numbers"])

    def _write(self, text: str) -> None:
        for letter in text:
            if self.column == self.columns:
                self.wraps += 1
                self._go_down()
                self.column = 0
            line = self.lines[self.row].ljust(self.column)
            self.lines[self.row] = (
                line[: self.column] + letter + line[self.column + 1 :]
            )
            self.column += 1

    def _go_down(self) -> None:
        self.row += 1
        if self.row == len(self.lines):
            self.lines.append("")

    def _control(self, letter: str, numbers: str) -> None:
        if letter == "A":
            self.row = max(0, self.row - int(numbers or 1))
        elif letter == "K":
            assert numbers == "2"
            self.lines[self.row] = ""
        else:
            assert letter in "mhl", letter

    @property
    def shown(self) -> list[str]:
        """The lines that hold anything, without spaces at their ends."""
        return [line.rstrip() for line in self.lines if line.strip()]


class Terminal:
    """A terminal that something prints to; a context manager.

    Attributes:
        descriptor: of its other end, which programs print to.
        text: everything that was printed, once it is closed.
    """

    def __init__(self) -> None:
        self._ours, self.descriptor = pty.openpty()
        self._chunks: list[bytes] = []
        self._reader = threading.Thread(target=self._read)
        self.text = ""

    def __enter__(self) -> Self:
        self._reader.start()
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self.descriptor)
        self._reader.join()
        os.close(self._ours)
        self.text = b"".join(self._chunks).decode()

    def screen(self, columns: int) -> Screen:
        """How it looks at the end."""
        screen = Screen(columns)
        screen.feed(self.text)
        return screen

    def _read(self) -> None:
        while True:
            try:
                chunk = os.read(self._ours, 65536)
            except OSError:  # nobody has it open any more
                return
            if not chunk:
                return
            self._chunks.append(chunk)


def bars_in(text: str) -> list[str]:
    """Every line that was printed, those that were wiped later too, without colours."""
    plain = _COLOURS.sub("", text)
    return [line for line in re.split(r"[\r\n]+", plain) if line.strip()]
