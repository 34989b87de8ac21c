"""The terminal: where results, notes, progress and errors go. Results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text


def stdout() -> Console:
    """The console of results."""
    return Console(file=sys.stdout, highlight=False)


def stderr() -> Console:
    """The console of everything else."""
    return Console(file=sys.stderr, highlight=False, soft_wrap=True)


def note(text: str) -> None:
    """One line for the user, on stderr."""
    stderr().print(f"vsr: {text}", markup=False)


def print_facts(title: str, facts: Iterable[tuple[str, str]]) -> None:
    """A title and aligned lines of name and value on stdout; never wrapped, so that they can be cut and searched."""
    rows = list(facts)
    width = max((len(name) for name, _ in rows), default=0)
    console = stdout()
    console.print(f"[bold]{escape(title)}[/bold]", soft_wrap=True)
    for name, value in rows:
        console.print(f"  {name:<{width}}  {value}", markup=False, soft_wrap=True)


def print_table(title: str, header: list[str], rows: list[list[str]]) -> None:
    """A table on stdout: first column to the left, figures to the right; as wide as it needs to be, wherever it is printed."""
    console = stdout()
    console.print(f"[bold]{escape(title)}[/bold]", soft_wrap=True)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for number, name in enumerate(header):
        table.add_column(name, justify="left" if number == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    # figures are never cut off: a narrow terminal wraps them
    needed = Console(width=10_000).measure(table).maximum
    Console(file=sys.stdout, highlight=False, width=max(console.width, needed)).print(
        table
    )


def print_json(value: Any) -> None:
    """A machine-readable result on stdout."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def log_to_stderr(verbosity: int) -> None:
    """Show the library's log: warnings by default, information with ``-v``, everything with ``-vv``."""
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbosity, 2)]
    handler = RichHandler(
        console=stderr(), show_time=False, show_path=False, markup=False
    )
    logging.basicConfig(
        level=level, format="%(message)s", handlers=[handler], force=True
    )


class _Rate(ProgressColumn):
    """Units a second, from the task's field ``rate``."""

    def render(self, task: Task) -> Text:
        rate = task.fields.get("rate")
        return Text("" if not rate else f"{rate:.2f} {task.fields['unit']}/s")


@contextmanager
def progress_bar(
    title: str, unit: str, *, enabled: bool
) -> Iterator[Callable[[float | None, int, str], None]]:
    """Show a bar on stderr; silent when that is no terminal or ``enabled`` is False.

    Yields:
        A function to call with the share done (0..1 or None where unknown), how many units are done, and a text to show.
    """
    console = stderr()
    if not (enabled and console.is_terminal):
        yield lambda share, count, text: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>5.1f}%"),
        TextColumn("{task.fields[text]}"),
        _Rate(),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, refresh_per_second=4
    ) as bar:
        task = bar.add_task(title, total=1.0, text="", rate=None, unit=unit)
        first: int | None = (
            None  # what a resumed run has behind it is not this one's speed
        )

        def update(share: float | None, count: int, text: str) -> None:
            nonlocal first
            first = count if first is None else first
            elapsed = bar.tasks[0].elapsed or 0
            rate = (count - first) / elapsed if elapsed > 0 else None
            if share is None:
                bar.update(task, total=None, text=text, rate=rate)
            else:
                bar.update(task, completed=share, text=text, rate=rate)

        yield update
