"""The values of one's own defaults: from a table of the file or from the environment, checked."""

from __future__ import annotations

import datetime
import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from vsrcli.errors import OptionError
from vsrcli.wording import did_you_mean

_NOT_CONFIGURABLE = {"help", "h", "version", "config", "profile"}
_NO = ("0", "false", "no", "off")
_YES = ("1", "true", "yes", "on")


class _Refused(Exception):
    """A value is of the wrong kind; the text says what it should be."""


@dataclass(frozen=True, slots=True)
class Setting:
    """The value of an option that is not from the command line.

    Attributes:
        flag: of the option, such as ``--model``.
        parameter: the command's name for it.
        value: as the command takes it.
        text: as the user wrote it.
        origin: where it is from, for people.
        source: where it is from, for click.
    """

    flag: str
    parameter: str
    value: Any
    text: str
    origin: str
    source: ParameterSource

    @property
    def layer(self) -> str:
        """What weighs as much: a table of the file, or the whole environment."""
        is_variable = self.source is ParameterSource.ENVIRONMENT
        return "environment" if is_variable else self.origin


def with_home(name: str) -> str:
    """A name with the home in place of ``~/``, as a shell has it."""
    if not name.startswith("~/"):
        return name
    try:
        return str(Path(name).expanduser())
    except RuntimeError:
        return name


def from_table(
    table: Mapping[str, Any],
    origin: str,
    command: click.Command,
    ctx: click.Context,
) -> list[Setting]:
    """The settings of a table.

    Args:
        table: keys and values, as read.
        origin: what to call the table.
        command: whose options the keys are.
        ctx: of that command.

    Raises:
        OptionError: an unknown key, or a wrong value.
    """
    options = keys_of(command, ctx)
    settings = []
    for key, raw in table.items():
        option = options.get(key.replace("_", "-"))
        if option is None:
            raise OptionError(
                f"{origin}: unknown option {key!r}{did_you_mean(key, options)}: "
                f"see {ctx.command_path} --help"
            )
        try:
            value = _converted(option, key, _as_typed(option, raw), ctx)
        except _Refused as error:
            raise OptionError(f"{origin}: {key} = {raw!r}: {error}") from error
        if value is not None:
            source = ParameterSource.DEFAULT_MAP
            settings.append(_setting(option, value, _shown(raw), origin, source))
    return settings


def from_environment(
    name: str,
    command: click.Command,
    ctx: click.Context,
) -> list[Setting]:
    """The settings of the environment.

    Args:
        name: of the command.
        command: whose options the variables stand for.
        ctx: of that command.

    Raises:
        OptionError: a wrong value.
    """
    settings = []
    for key, option in keys_of(command, ctx).items():
        variable = variable_of(name, key)
        text = os.environ.get(variable)
        if not text:
            continue
        try:
            value = _converted(option, key, _from_text(option, text), ctx)
        except _Refused as error:
            raise OptionError(f"{variable}={text}: {error}") from error
        if value is not None:
            source = ParameterSource.ENVIRONMENT
            settings.append(_setting(option, value, text, variable, source))
    return settings


def variable_of(command: str, key: str) -> str:
    """The environment variable of an option, such as ``VSR_UPSCALE_OUT_DIR``."""
    return re.sub(r"[^A-Z0-9]", "_", f"vsr_{command}_{key}".upper())


def keys_of(command: click.Command, ctx: click.Context) -> dict[str, click.Option]:
    """The options of a command by their keys: the long flags without the dashes.

    An option without one goes by its name.
    """
    keys: dict[str, click.Option] = {}
    for parameter in command.get_params(ctx):
        if not isinstance(parameter, click.Option):
            continue
        flags = [*parameter.opts, *parameter.secondary_opts]
        long_keys = [flag[2:] for flag in flags if flag.startswith("--")]
        for key in long_keys or [str(parameter.name)]:
            if key not in _NOT_CONFIGURABLE:
                keys[key] = parameter
    return keys


def _setting(
    option: click.Option,
    value: Any,
    text: str,
    origin: str,
    source: ParameterSource,
) -> Setting:
    flag = max(option.opts, key=len)
    return Setting(flag, str(option.name), value, text, origin, source)


def _shown(raw: Any) -> str:
    """A value of the file as one would write it on the command line."""
    if isinstance(raw, list):
        return ", ".join(map(_shown, raw))
    return str(raw).lower() if isinstance(raw, bool) else str(raw)


def _as_typed(option: click.Option, raw: Any) -> Any:
    """A value of the file as the user would have typed it; bool for a flag."""
    if option.count:
        if isinstance(raw, int):
            return int(raw)
        raise _Refused("write 1 or 2")
    if option.is_flag:
        if isinstance(raw, bool):
            return raw
        raise _Refused("write true or false")
    if option.multiple or option.nargs > 1:
        items = raw if isinstance(raw, list) else [raw]
        return tuple(_scalar(item) for item in items)
    return _scalar(raw)


def _scalar(raw: Any) -> str:
    if isinstance(raw, str):
        return with_home(raw)
    if isinstance(raw, (int, float, datetime.time)) and not isinstance(raw, bool):
        return str(raw)
    raise _Refused("write one value, a text in quotes or a number")


def _from_text(option: click.Option, text: str) -> Any:
    """The value of an environment variable as the user would have typed it."""
    if option.count:
        if text.isdecimal() and len(text) == 1:
            return int(text)
        raise _Refused("write 1 or 2")
    if option.is_flag:
        if text.lower() in (*_YES, *_NO):
            return text.lower() in _YES
        raise _Refused("write 1 or 0")
    if option.multiple or option.nargs > 1:
        try:
            return tuple(shlex.split(text))
        except ValueError as error:
            raise _Refused(f"{error}: write the values with spaces between") from error
    return text


def _converted(
    option: click.Option,
    key: str,
    typed: Any,
    ctx: click.Context,
) -> Any:
    """The value as the command takes it; None if it says nothing."""
    if option.is_flag and not option.count:
        is_negative = f"--{key}" in option.secondary_opts
        if isinstance(option.flag_value, str):
            return option.flag_value if typed else None
        return typed is not is_negative
    if option.nargs > 1 and len(typed) != option.nargs:
        raise _Refused(f"give {option.nargs} values")
    try:
        return option.type_cast_value(ctx, typed)
    except click.BadParameter as error:
        raise _Refused(error.message.rstrip(".")) from error
