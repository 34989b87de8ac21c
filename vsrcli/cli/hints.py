"""What the user may have meant: said in the line that refuses what was typed."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from vsrcli.wording import did_you_mean

# Words that other programs have for the help.
_HELP_WORDS = ("help", "?")


def no_command(words: Sequence[str], commands: Iterable[str]) -> str:
    """What is said of a first word that is no command.

    Args:
        words: the command line after ``vsr``; the first is not an option.
        commands: the names of the commands.
    """
    name = words[0]
    if name in _HELP_WORDS:
        line = " ".join(("vsr", *words[1:2], "--help"))
        return f"no such command {name!r}: did you mean: {line}"
    if _is_like_a_file(name):
        return f"no such command {name!r}: did you mean: {_upscale(words)}"
    return f"no such command {name!r}{did_you_mean(name, commands)}"


def _is_like_a_file(name: str) -> bool:
    has_ending = Path(name).suffix != ""
    return name == "-" or "/" in name or has_ending or os.path.lexists(name)


def _upscale(words: Sequence[str]) -> str:
    line = shlex.join(words)
    return f"vsr upscale {line}" if len(words) > 1 else f"vsr upscale {line} OUT"


def usage_text(error: click.UsageError) -> str:
    """What click says of a wrong command line, in one line with a way out."""
    context = error.ctx
    is_missing = isinstance(error, click.MissingParameter)
    if isinstance(error, click.NoSuchOption):
        message = _no_option(error.option_name, context)
    elif isinstance(error, click.BadParameter) and not is_missing:
        message = f"{_name(error.param, context)}: {error.message.rstrip('.')}"
    else:
        message = _uncapitalised(error.format_message().rstrip("."))
    has_way_out = ": " in message.partition(": ")[2] or "did you mean" in message
    if context is None or has_way_out:
        return message
    return f"{message} (see {context.command_path} --help)"


def _uncapitalised(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _name(parameter: click.Parameter | None, context: click.Context | None) -> str:
    """How the user knows a parameter."""
    if isinstance(parameter, click.Option):
        return max(parameter.opts, key=len)
    if parameter is None or context is None:
        return "command line"
    return parameter.make_metavar(context)


def _no_option(name: str, context: click.Context | None) -> str:
    known = _flags(context) if context is not None else []
    hint = did_you_mean(name, known)
    message = f"no such option {name!r}{hint}"
    if not hint and context is not None and isinstance(context.command, click.Group):
        return f"{message}: options follow the command, as in vsr upscale {name} ..."
    return message


def _flags(context: click.Context) -> list[str]:
    """The long flags of a command."""
    flags: list[str] = []
    for parameter in context.command.get_params(context):
        flags += [*parameter.opts, *parameter.secondary_opts]
    return [flag for flag in flags if flag.startswith("--")]
