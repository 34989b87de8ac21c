"""Defaults of one's own: a file (TOML), profiles in it, and environment variables.

A flag wins over the environment, that over the profile, that over the file's own tables, and these
over vsr's defaults. Nothing is read before a command runs, so that no file can break ``--help``.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from vsrcli.cli.setting_values import Setting, from_environment, from_table, with_home
from vsrcli.errors import OptionError
from vsrcli.options import AUTO
from vsrcli.paths import open_regular, reason_of
from vsrcli.wording import did_you_mean

PROFILES = "profiles"
FILE_VARIABLE = "VSR_CONFIG"
PROFILE_VARIABLE = "VSR_PROFILE"
_MAX_BYTES = 1 << 20
# What an option that weighs more puts out of force, beside its own value in a lighter place.
_REPLACES = {
    "quality": ("crf", "preset"),
    "end": ("duration",),
    "duration": ("end",),
    "model": ("budget",),
    "device": ("devices", "ray"),
    "devices": ("device", "ray"),
    "ray": ("device", "devices"),
}


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
            settings += from_table(table, origin, command, ctx)
        settings += from_environment(name, command, ctx)
        return settings

    def _tables_of(self, name: str) -> Iterable[tuple[str, Any]]:
        if name in self.tables:
            yield name, self.tables[name]
        if self.profile is not None:
            profile = self.tables[PROFILES][self.profile]
            if name in profile:
                yield f"{PROFILES}.{self.profile}.{name}", profile[name]


def effective(
    settings: Iterable[Setting],
    given: Mapping[str, Any],
) -> dict[str, Setting]:
    """Those settings that nothing replaces which weighs more.

    Args:
        settings: the weightiest last.
        given: parameters of the command line with their values.

    Returns:
        By parameter.
    """
    used: dict[str, Setting] = {}
    for setting in settings:
        for name, other in list(used.items()):
            is_lighter = other.layer != setting.layer
            if is_lighter and _replaces(setting.parameter, setting.value, name):
                del used[name]
        used[setting.parameter] = setting
    for name, value in given.items():
        for lighter in list(used):
            if name == lighter or _replaces(name, value, lighter):
                del used[lighter]
    return used


def _replaces(name: str, value: Any, other: str) -> bool:
    if name == "model" and value == AUTO:
        return False  # the budget is for this one
    return other in _REPLACES.get(name, ())


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
        folder = Path(with_home("~/.config"))
    if not folder.is_absolute():  # nobody's home
        return Path(os.devnull), False
    return folder / "vsr.toml", False


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
