"""The command line as its users meet it: help, hints, times, defaults of one's own, completion."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass

import click
import pytest
from click.testing import CliRunner

import vsrcli.options
from vsrcli.cli import COMMANDS, group
from vsrcli.cli.command import Command, group_of
from vsrcli.options.declare import GROUPS

# what says how to print
ABOUT_PRINTING = {"quiet", "no_progress", "as_json", "verbose", "h"}
WIDTH = 80


def _command(name: str) -> Command:
    command = group.get_command(click.Context(group), name)
    assert isinstance(command, Command), f"vsr {name}: click.command(..., cls=Command)"
    return command


def _help(*arguments: str) -> str:
    result = CliRunner(env={"COLUMNS": str(WIDTH)}).invoke(
        group, arguments, terminal_width=WIDTH, prog_name="vsr"
    )
    assert result.exit_code == 0
    return result.stdout


def test_every_declared_option_has_a_group() -> None:
    declared = 0
    for name in vsrcli.options.__all__:
        value = getattr(vsrcli.options, name)
        if not is_dataclass(value):
            continue
        for field in fields(value):
            if "help" in field.metadata:
                declared += 1
                assert field.metadata["group"] in GROUPS
                assert field.metadata["group"] != "Other"
    assert declared > 70


@pytest.mark.parametrize("name", COMMANDS)
def test_only_options_about_printing_are_under_other(name: str) -> None:
    command = _command(name)
    if not _is_grouped(name):
        return
    for parameter in command.get_params(click.Context(command)):
        if isinstance(parameter, click.Option) and group_of(parameter) == "Other":
            is_help = "--help" in parameter.opts
            assert is_help or parameter.name in ABOUT_PRINTING, (
                f"vsr {name}: {parameter.opts} needs cls=Option, group=..."
            )


def _is_grouped(name: str) -> bool:
    return "\nOther:\n" in _help(name, "--help")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_every_option_once_at_80_columns(name: str) -> None:
    command = _command(name)
    text = _help(name, "--help")
    options = text.partition("\nOptions:" if "\nOptions:" in text else "\nInput:")[2]
    assert options
    for parameter in command.get_params(click.Context(command)):
        if isinstance(parameter, click.Option):
            flag = re.escape(max(parameter.opts, key=len))
            lines = re.findall(rf"^  (?:-\w, )?{flag}(?![\w-])", options, re.MULTILINE)
            assert len(lines) == 1, f"{flag} is there {len(lines)} times"
    assert max(map(len, options.splitlines())) <= WIDTH


@pytest.mark.parametrize("name", COMMANDS)
def test_help_texts_are_short(name: str) -> None:
    """Three lines at 80 columns, so that the details are left to a page of docs/."""
    for parameter in _command(name).params:
        if isinstance(parameter, click.Option):
            text, _, _ = (parameter.help or "").partition("  [default")
            assert len(text) <= 130, f"vsr {name} {parameter.opts[0]}: {text}"


def test_help_in_groups() -> None:
    headings = re.findall(r"^(\w+):$", _help("upscale", "--help"), re.MULTILINE)
    assert headings == ["Input", "Output", "Network", "Speed", "Safety", "Other"]


@pytest.mark.parametrize("name", ["upscale", "bench", "train"])
def test_short_help_shows_the_most_used_options(name: str) -> None:
    text = _help(name, "-h")
    assert "Most used options:" in text
    assert f"  vsr {name} " in text
    assert "--model" in text
    assert "--fp32" not in text
    assert text.endswith(f"\nAll options: vsr {name} --help\n")
    assert len(text) < len(_help(name, "--help")) * 2 / 3


def test_short_help_is_the_whole_of_a_small_command() -> None:
    assert _help("demo", "-h") == _help("demo", "--help")
