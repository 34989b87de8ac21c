"""Commands whose help comes in groups, and in a short form."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from vsrcli.errors import OptionError
from vsrcli.options.declare import GROUPS, Group

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# More options than this are too many for one list,
_MAX_UNGROUPED = 10
# and more than this for a first look.
_MAX_AT_ONCE = 20
# Wider flags have a line of their own.
_MAX_FLAG_COLUMNS = 26
_META = "vsrcli."
_APPLIED = _META + "applied"
_PREFORMATTED = "\b\n"  # how click marks a paragraph that keeps its lines


class Option(click.Option):
    """An option with its place in the help.

    Attributes:
        group: heading that it is under.
        is_common: whether ``-h`` shows it as well.
        suggestions: likely values.
    """

    def __init__(
        self,
        *args: Any,
        group: Group = "Other",
        is_common: bool = False,
        suggestions: tuple[str, ...] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.group = group
        self.is_common = is_common
        self.suggestions = suggestions

    def shell_complete(
        self, ctx: click.Context, incomplete: str
    ) -> list[CompletionItem]:
        """What a shell offers behind the flag: likely values, else files where one goes."""
        from vsrcli.cli.completion import suggested, suggested_files

        items = suggested(self.suggestions, incomplete, is_list=self.metavar == "LIST")
        if not items:
            items = super().shell_complete(ctx, incomplete)
        return items or suggested_files(self.metavar, incomplete)


class Command(click.Command):
    """A command with its many options in groups.

    Where they are very many, ``-h`` shows only the common ones, with the examples.

    Attributes:
        takes_settings: whether options that are not given are taken from the user's settings.
    """

    takes_settings = True

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
        self.params += settings_options(is_hidden=len(self.params) <= _MAX_UNGROUPED)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line; what it leaves open is taken from the user's settings.

        Raises:
            OptionError: these cannot be read.
        """
        rest = super().parse_args(ctx, args)
        if not ctx.resilient_parsing and self.takes_settings:
            _apply_settings(self, ctx)
        return rest

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a refused value of the user's settings is said to be from there."""
        try:
            return super().invoke(ctx)
        except OptionError as error:
            text = str(error)
            for setting in ctx.meta.get(_APPLIED, ()):
                if re.search(rf"{re.escape(setting.flag)}(?![\w-])", text):
                    text += f" ({setting.flag} is from {setting.origin})"
            raise OptionError(text) from error

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


def settings_options(*, is_hidden: bool) -> list[click.Parameter]:
    """``--config`` and ``--profile``, which stand before or behind the command's name."""
    file = Option(
        ["--config"],
        metavar="FILE",
        is_eager=True,
        expose_value=False,
        hidden=is_hidden,
        callback=_remember,
        help="Read your own defaults from this file.",
    )
    profile = Option(
        ["--profile"],
        metavar="NAME",
        is_eager=True,
        expose_value=False,
        hidden=is_hidden,
        callback=_remember,
        shell_complete=_profiles,
        help="Use this profile of the file.",
    )
    return [file, profile]


def _profiles(
    ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> list[str]:
    """The profiles of the user's file, for a shell to complete."""
    del parameter
    from vsrcli.cli.settings import read_settings

    try:
        settings = read_settings(given_settings(ctx)[0], None, ())
    except OptionError:
        return []
    return [name for name in settings.profiles if name.startswith(incomplete)]


def given_settings(ctx: click.Context) -> tuple[str | None, str | None]:
    """What ``--config`` and ``--profile`` were given as."""
    return ctx.meta.get(_META + "config"), ctx.meta.get(_META + "profile")


def _remember(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value is not None:
        ctx.meta[f"{_META}{parameter.name}"] = value


def _apply_settings(command: Command, ctx: click.Context) -> None:
    # here, because no help needs it
    from vsrcli.cli.settings import effective, read_settings

    name = str(command.name)
    settings = read_settings(*given_settings(ctx), known_commands(ctx))
    given = {key: value for key, value in ctx.params.items() if _is_given(ctx, key)}
    applied = effective(settings.of_command(name, command, ctx), given)
    for setting in applied.values():
        ctx.params[setting.parameter] = setting.value
        ctx.set_parameter_source(setting.parameter, setting.source)
    ctx.meta[_APPLIED] = tuple(applied.values())


def known_commands(ctx: click.Context) -> list[str]:
    """The names of all commands; none where one is run without the others."""
    root = ctx.find_root()
    command = root.command
    return command.list_commands(root) if isinstance(command, click.Group) else []


def _is_given(ctx: click.Context, name: str) -> bool:
    """Whether an option is on the command line; --fp16 and --fp32 share a name."""
    flags = [parameter for parameter in ctx.command.params if parameter.name == name]
    if len(flags) > 1:
        return ctx.params.get(name) is not None
    return ctx.get_parameter_source(name) is not ParameterSource.DEFAULT


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
