"""Commands whose help comes in groups, and in a short form."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import click

from vsrcli.options.declare import GROUPS, Group

# More options than this are too many for one list,
_MAX_UNGROUPED = 10
# and more than this for a first look.
_MAX_AT_ONCE = 20
# Wider flags have a line of their own.
_MAX_FLAG_COLUMNS = 26
_PREFORMATTED = "\b\n"  # how click marks a paragraph that keeps its lines


class Option(click.Option):
    """An option with its place in the help.

    Attributes:
        group: heading that it is under.
        is_common: whether ``-h`` shows it as well.
    """

    def __init__(
        self,
        *args: Any,
        group: Group = "Other",
        is_common: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.group = group
        self.is_common = is_common


class Command(click.Command):
    """A command with its many options in groups.

    Where they are very many, ``-h`` shows only the common ones, with the examples.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if len(self.params) > _MAX_AT_ONCE:
            short_help = click.Option(
                ["-h"],
                is_flag=True,
                is_eager=True,
                expose_value=False,
                callback=_show_short_help,
                help="Show the most used options.",
            )
            self.params.append(short_help)

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """``--help``, said in few words."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.help = "Show this help."
        return option

    def format_options(
        self,
        ctx: click.Context,
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the options under their headings; a few need none."""
        groups: dict[str, list[tuple[str, str]]] = {name: [] for name in GROUPS}
        for option, row in self._rows(ctx):
            groups[group_of(option)].append(row)
        if sum(map(len, groups.values())) <= _MAX_UNGROUPED:
            groups = {"Options": [row for rows in groups.values() for row in rows]}
        for name, rows in groups.items():
            _write_section(formatter, name, rows)

    def short_help_text(self, ctx: click.Context) -> str:
        """What ``-h`` prints."""
        formatter = ctx.make_formatter()
        self.format_usage(ctx, formatter)
        paragraphs = inspect.cleandoc(self.help or "").split("\n\n")
        examples = [text for text in paragraphs if text.startswith(_PREFORMATTED)]
        for text in (paragraphs[0], *examples):
            formatter.write_paragraph()
            with formatter.indentation():
                formatter.write_text(text)
        rows = [row for option, row in self._rows(ctx) if _is_common(option)]
        _write_section(formatter, "Most used options", rows)
        formatter.write_paragraph()
        formatter.write_text(f"All options: {ctx.command_path} --help")
        return formatter.getvalue().rstrip("\n")

    def _rows(
        self, ctx: click.Context
    ) -> Iterator[tuple[click.Option, tuple[str, str]]]:
        """The options that the help shows, each with its flags and its text."""
        for parameter in self.get_params(ctx):
            row = parameter.get_help_record(ctx)
            if row is not None and isinstance(parameter, click.Option):
                flags, text = row
                # as wide everywhere, so that the sections are aligned
                yield parameter, (flags.ljust(_MAX_FLAG_COLUMNS), text)


def group_of(parameter: click.Parameter) -> Group:
    """The heading that a parameter is under in the help."""
    return parameter.group if isinstance(parameter, Option) else "Other"


def _is_common(parameter: click.Parameter) -> bool:
    return isinstance(parameter, Option) and parameter.is_common


def _write_section(
    formatter: click.HelpFormatter,
    name: str,
    rows: list[tuple[str, str]],
) -> None:
    if rows:
        with formatter.section(name):
            formatter.write_dl(rows, col_max=_MAX_FLAG_COLUMNS)


def _show_short_help(
    ctx: click.Context,
    parameter: click.Parameter,
    value: bool,
) -> None:
    del parameter
    command = ctx.command
    if value and not ctx.resilient_parsing and isinstance(command, Command):
        click.echo(command.short_help_text(ctx), color=ctx.color)
        ctx.exit()
