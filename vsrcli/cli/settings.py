"""Defaults of one's own: a file (TOML), profiles in it, and environment variables.

A flag wins over the environment, that over the profile, that over the file's own tables, and these
over vsr's defaults. Nothing is read before a command runs, so that no file can break ``--help``.
"""

from __future__ import annotations

import datetime
import os
import re
import shlex
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from vsrcli.errors import OptionError
from vsrcli.paths import open_regular, reason_of
from vsrcli.wording import did_you_mean

PROFILES = "profiles"
FILE_VARIABLE = "VSR_CONFIG"
PROFILE_VARIABLE = "VSR_PROFILE"
_MAX_BYTES = 1 << 20
_YES = ("1", "true", "yes", "on")
_NO = ("0", "false", "no", "off")
_NOT_CONFIGURABLE = {"help", "h", "version", "config", "profile"}


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


@dataclass(frozen=True, slots=True)
class Settings:
    """What the file says.

    Attributes:
        path: of the file, which need not exist.
        is_there: whether it does.
        tables: as read: of commands, and of profiles.
        profile: name of the chosen profile, or None.
    """

    path: Path
    is_there: bool
    tables: Mapping[str, Any]
    profile: str | None

    @property
    def profiles(self) -> list[str]:
        """The names of the profiles in the file."""
        return list(self.tables.get(PROFILES, {}))

    def of_command(
        self,
        name: str,
        command: click.Command,
        ctx: click.Context,
    ) -> list[Setting]:
        """The values for a command, the weightiest last.

        Raises:
            OptionError: an unknown key, or a wrong value.
        """
        settings: list[Setting] = []
        for title, table in self._tables_of(name):
            origin = f"{self.path}, [{title}]"
            settings += _from_table(table, origin, command, ctx)
        settings += _from_environment(name, command, ctx)
        return settings

    def _tables_of(self, name: str) -> Iterable[tuple[str, Any]]:
        if name in self.tables:
            yield name, self.tables[name]
        if self.profile is not None:
            profile = self.tables[PROFILES][self.profile]
            if name in profile:
                yield f"{PROFILES}.{self.profile}.{name}", profile[name]


def config_path(given: str | None) -> tuple[Path, bool]:
    """The file of settings, and whether the user named it.

    Args:
        given: by ``--config``.
    """
    name = given or os.environ.get(FILE_VARIABLE)
    if name:
        return Path(name), True
    folder = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    if not folder.is_absolute():  # the standard says to ignore such a one
        folder = Path(_expanded("~/.config"))
    if not folder.is_absolute():  # nobody's home
        return Path(os.devnull), False
    return folder / "vsr.toml", False


def _expanded(name: str) -> str:
    """A name with the home in place of ``~/``, as a shell has it."""
    if not name.startswith("~/"):
        return name
    try:
        return str(Path(name).expanduser())
    except RuntimeError:
        return name


def read_settings(
    given: str | None,
    profile: str | None,
    commands: Iterable[str],
) -> Settings:
    """Read the file of settings.

    Args:
        given: its name by ``--config``, or None.
        profile: its profile by ``--profile``, or None.
        commands: names of the commands, which have tables; none: any name will do.

    Raises:
        OptionError: it is missing although it was named, is no TOML, or has unknown tables; or
            there is no such profile.
    """
    path, is_named = config_path(given)
    tables = _read(path, is_named)
    settings = Settings(
        path,
        tables is not None,
        tables or {},
        profile or os.environ.get(PROFILE_VARIABLE) or None,
    )
    _check_tables(settings, tuple(commands))
    return settings


def _read(path: Path, is_named: bool) -> dict[str, Any] | None:
    """The tables of a file; None if there is none and none was named."""
    if str(path) == os.devnull:
        return {}
    try:
        with open_regular(path) as file:
            text = file.read(_MAX_BYTES + 1)
        if len(text) > _MAX_BYTES:
            raise OptionError(f"{path}: too large for a file of settings")
        return tomllib.loads(text.decode())
    except (FileNotFoundError, NotADirectoryError) as error:
        if not is_named:
            return None
        raise OptionError(
            f"{path}: no such file of settings: check --config and {FILE_VARIABLE}"
        ) from error
    except (OSError, RuntimeError) as error:
        reason = (
            "nested too deeply"
            if isinstance(error, RecursionError)
            else reason_of(error)
        )
        raise OptionError(
            f"{path}: cannot be read ({reason}): name another file with --config"
        ) from error
    except ValueError as error:
        raise OptionError(
            f"{path}: this is no TOML ({error}): write `[upscale]`, then lines such as "
            '`model = "lite"`'
        ) from error


def _check_tables(settings: Settings, commands: tuple[str, ...]) -> None:
    path = settings.path
    _check_names(path, "", settings.tables, commands and (*commands, PROFILES))
    profiles = settings.tables.get(PROFILES, {})
    for name, profile in profiles.items():
        if not isinstance(profile, dict):
            raise OptionError(
                f"{path}: {PROFILES}.{name} is no table: write [{PROFILES}.{name}.upscale]"
            )
        _check_names(path, f"{PROFILES}.{name}.", profile, commands)
    chosen = settings.profile
    if chosen is not None and chosen not in profiles:
        there = f"it has {', '.join(profiles)}" if profiles else "it has none"
        raise OptionError(
            f"no profile {chosen!r}{did_you_mean(chosen, profiles)} in {path}: {there}"
        )


def _check_names(
    path: Path,
    prefix: str,
    tables: Mapping[str, Any],
    known: tuple[str, ...],
) -> None:
    for name, table in tables.items():
        if known and name not in known:
            hint = did_you_mean(name, known)
            raise OptionError(
                f"{path}: unknown table [{prefix}{name}]{hint}: "
                f"write [{prefix}COMMAND] with the options of a command"
            )
        if not isinstance(table, dict):
            raise OptionError(
                f"{path}: {prefix}{name} = {table!r} is no table: "
                f"write [{prefix}{name}] and the options below it"
            )


def _from_table(
    table: Mapping[str, Any],
    origin: str,
    command: click.Command,
    ctx: click.Context,
) -> list[Setting]:
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


def _from_environment(
    name: str,
    command: click.Command,
    ctx: click.Context,
) -> list[Setting]:
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
        return _expanded(raw)
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
