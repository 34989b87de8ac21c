"""The terminal: results go to stdout; notes, progress and errors go to stderr.

Everything that is printed goes through ``printable``: names, tags and errors can come from files of
others. Rich is imported where it is used: it takes longer than the rest of ``vsr --help``.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from vsrcli.paths import with_addresses
from vsrcli.wording import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)
# Wider than any table.
_UNLIMITED_WIDTH = 10_000
_DEFAULT_WIDTH = 80

# The stream and its console.
_stderr: tuple[Any, Console] | None = None
# Takes what is printed for a log, if there is one.
_recorder: Callable[[str], None] | None = None


def stdout() -> Console:
    """The console for results."""
    from rich.console import Console

    return Console(file=sys.stdout, highlight=False, width=_width())


def stderr() -> Console:
    """The console for everything else: one for each stream, since a bar on it must know of all.

    A second one would print into the bar, and leave its lines standing.
    """
    global _stderr
    from rich.console import Console

    # while a bar is shown, rich puts a proxy in the stream's place, which prints above the bar
    file = getattr(sys.stderr, "rich_proxied_file", sys.stderr)
    if _stderr is None or _stderr[0] is not file:
        own = Console(file=file, highlight=False, soft_wrap=True, width=_width())
        _stderr = (file, own)
    return _stderr[1]


def _width() -> int | None:
    """The width where the environment says 0, which rich takes at its word; None: found by rich."""
    columns = os.environ.get("COLUMNS", "")
    return _DEFAULT_WIDTH if columns.isdigit() and not int(columns) else None


def note(text: str) -> None:
    """Print a line for the user on stderr, and in the log if there is one."""
    text = with_addresses(text)
    stderr().print(f"vsr: {printable(text)}", markup=False)
    record(text)


def record(text: str) -> None:
    """Write a line in the log, if there is one."""
    if _recorder is not None:
        _recorder(printable(text))


def is_recording() -> bool:
    """Whether there is a log."""
    return _recorder is not None


@contextmanager
def recording(recorder: Callable[[str], None]) -> Iterator[None]:
    """Give ``recorder`` every line for the user, while it runs."""
    global _recorder
    before = _recorder
    _recorder = recorder
    try:
        yield
    finally:
        _recorder = before


def print_facts(title: str, facts: Iterable[tuple[str, str]]) -> None:
    """Print a title and aligned lines of name and value on stdout.

    Lines are never wrapped, so that other programs can cut and search them.
    """
    rows = list(facts)
    width = max((len(name) for name, _ in rows), default=0)
    console = stdout()
    _print_title(console, title)
    for name, value in rows:
        line = printable(f"  {name:<{width}}  {value}")
        console.print(line, markup=False, soft_wrap=True)


def print_table(
    title: str,
    header: list[str],
    rows: list[list[str]],
    *,
    is_narrow: bool = False,
) -> None:
    """Print a table on stdout: the first column is aligned left, figures right.

    A table wider than the terminal is not cut off: the terminal wraps it. ``is_narrow`` puts the
    columns closer to each other.
    """
    from rich.console import Console

    console = stdout()
    _print_title(console, title)
    table = _table(header, rows)
    if is_narrow:
        table.padding = (0, 1, 0, 0)
        table.show_edge = False
    needed = Console(width=_UNLIMITED_WIDTH).measure(table).maximum
    console.width = max(console.width, needed)
    console.print(table)


def _table(header: list[str], rows: list[list[str]]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    first, *others = header
    table.add_column(first, justify="left", vertical="bottom", no_wrap=True)
    for name in others:
        table.add_column(name, justify="right", vertical="bottom", no_wrap=True)
    for row in rows:
        table.add_row(*(escape(printable(cell)) for cell in row))
    return table


def _print_title(console: Console, title: str) -> None:
    from rich.markup import escape

    console.print(f"[bold]{escape(printable(title))}[/bold]", soft_wrap=True)


def print_json(value: Any) -> None:
    """Print a machine-readable result on stdout, in ASCII alone."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def log_to_stderr(verbosity: int) -> None:
    """Show the library's log: warnings by default, information with 1, everything with 2."""
    from rich.logging import RichHandler

    handler = RichHandler(
        console=stderr(),
        show_time=False,
        show_path=False,
        markup=False,
    )
    handler.setFormatter(_PrintableFormatter())
    logging.basicConfig(
        level=_LEVELS[min(verbosity, 2)],
        handlers=[handler],
        force=True,
    )


class _PrintableFormatter(logging.Formatter):
    """Messages of the log, as lines that a terminal can show."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return printable(record.message)
