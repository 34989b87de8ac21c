"""``vsr config``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import click

from vsrcli.cli.command import Command, given_settings, known_commands
from vsrcli.cli.console import note, print_facts, print_json
from vsrcli.cli.setting_values import Setting, keys_of, variable_of
from vsrcli.cli.settings import Settings, config_path, effective, read_settings
from vsrcli.errors import OptionError
from vsrcli.wording import did_you_mean

_PREFIX = "VSR_"


class _Config(Command):
    """It shows settings, and takes none, so that none can break it."""

    takes_settings = False


@dataclass(frozen=True, slots=True)
class _Row:
    """One value that differs from vsr's default."""

    command: str
    option: str
    value: str
    origin: str
    is_used: bool


@click.command("config", cls=_Config)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Show your own defaults, where each comes from, and the file they are in.

    The file is ~/.config/vsr.toml, or the one that --config or VSR_CONFIG names. It has a
    table for each command, with the command's options: `[upscale]`, then `model = "lite"`. A table
    `[profiles.NAME.upscale]` applies with `--profile NAME`. An environment variable such as
    VSR_UPSCALE_MODEL wins over the file, a flag over both.

    \b
    vsr config
    vsr config --profile archive --json
    """
    problems: list[str] = []
    settings = _read(ctx, problems)
    rows = list(_rows(ctx, settings, problems))
    if as_json:
        _print_json(settings, rows, problems)
    else:
        _print(settings, rows)
        for problem in problems:
            note(f"error: {problem}")
    if problems:
        raise click.exceptions.Exit(1)


def _read(ctx: click.Context, problems: list[str]) -> Settings:
    """The settings; an empty file in place of one that cannot be read."""
    given, profile = given_settings(ctx)
    try:
        return read_settings(given, profile, known_commands(ctx))
    except OptionError as error:
        problems.append(str(error))
        path, _ = config_path(given)
        return Settings(path, os.path.lexists(path), {}, None)


def _rows(
    ctx: click.Context,
    settings: Settings,
    problems: list[str],
) -> Iterator[_Row]:
    root = ctx.find_root()
    group = root.command
    assert isinstance(group, click.Group)
    variables: set[str] = set()
    for name in known_commands(ctx):
        shown = group.get_command(root, name)
        if shown is None or not getattr(shown, "takes_settings", False):
            continue
        inner = click.Context(shown, info_name=name, parent=root)
        variables |= {variable_of(name, key) for key in keys_of(shown, inner)}
        try:
            found = settings.of_command(name, shown, inner)
        except OptionError as error:
            problems.append(str(error))
            continue
        yield from _marked(name, found)
    problems += _unknown_variables(known_commands(ctx), variables)


def _marked(name: str, settings: list[Setting]) -> Iterator[_Row]:
    used = effective(settings, {})
    for setting in settings:
        yield _Row(
            name,
            setting.flag,
            setting.text,
            setting.origin,
            setting is used.get(setting.parameter),
        )


def _unknown_variables(commands: list[str], known: set[str]) -> Iterator[str]:
    prefixes = tuple(f"{_PREFIX}{name.upper()}_" for name in commands)
    for variable in sorted(os.environ):
        if variable.startswith(prefixes) and variable not in known:
            hint = did_you_mean(variable, known)
            yield f"{variable} belongs to no option{hint}: unset it"


def _print(settings: Settings, rows: list[_Row]) -> None:
    state = "" if settings.is_there else " (there is no such file)"
    facts = [("file", f"{settings.path}{state}")]
    if settings.profiles or settings.profile:
        there = ", ".join(settings.profiles)
        facts.append(("profile", f"{settings.profile or 'none'} (of {there})"))
    print_facts("your own defaults", facts)
    if not rows:
        print_facts("every option has vsr's default", [])
    width = max((len(row.value) for row in rows), default=0)
    for name in dict.fromkeys(row.command for row in rows):
        facts = [_fact(row, width) for row in rows if row.command == name]
        print_facts(f"vsr {name}", facts)


def _fact(row: _Row, width: int) -> tuple[str, str]:
    unused = "" if row.is_used else " (replaced)"
    return row.option, f"{row.value:<{width}}  from {row.origin}{unused}"


def _print_json(
    settings: Settings,
    rows: list[_Row],
    problems: list[str],
) -> None:
    value: dict[str, Any] = {
        "file": str(settings.path),
        "exists": settings.is_there,
        "profile": settings.profile,
        "profiles": settings.profiles,
        "values": [asdict(row) for row in rows],
        "problems": problems,
    }
    print_json(value)
