"""Command-line flags made from the option dataclasses, and their values back into these.

Defaults and help texts are in ``vsrcli/options``; here are only the flags that say what to print.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import click

from vsrcli.cli.command import Option
from vsrcli.errors import OptionError
from vsrcli.options import (
    AssembleOptions,
    EncoderOptions,
    UpscaleOptions,
    parse_aspect,
    parse_crop,
)
from vsrcli.timing import parse_rate, parse_time
from vsrcli.wording import did_you_mean

F = TypeVar("F", bound=Callable[..., Any])
Options = TypeVar("Options", UpscaleOptions, AssembleOptions)

_MAX_DIGITS = 18
_WHOLE_NUMBER = re.compile(rf"[+-]?\d{{1,{_MAX_DIGITS}}}", re.ASCII)
_TYPED = "vsrcli.typed"  # among what a run of the command line remembers

quiet_flag = click.option(
    "-q",
    "--quiet",
    is_flag=True,
    help="Print errors only.",
)
no_progress_flag = click.option(
    "--no-progress",
    is_flag=True,
    help="Show no progress: neither a bar nor, off a terminal, a line a minute.",
)
json_summary_flag = click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print a summary of the run as JSON on stdout.",
)
dry_run_flag = click.option(
    "--dry-run",
    is_flag=True,
    cls=Option,
    group="Safety",
    is_common=True,
    help="Show what would happen, how long it would take here, and how large OUT would be; write "
    "nothing.",
)
verbose_flag = click.option(
    "-v",
    "--verbose",
    count=True,
    help="Print more; twice for everything.",
)


class FileName(click.Path):
    """The name of a file or folder; whether it can be read is the library's to say."""

    def __init__(self) -> None:
        super().__init__(readable=False, path_type=Path)

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:
        """A path; an empty name would be that of the current folder."""
        if not os.fspath(value):
            self.fail("the name is empty", param, ctx)
        path = super().convert(value, param, ctx)
        if ctx is not None:
            ctx.meta.setdefault(_TYPED, {})[path] = os.fspath(value)
        return path


def as_typed(path: Path) -> str:
    """A ``FileName`` of the command as the user wrote it: a path has lost the ``/`` at its end."""
    typed: dict[Path, str] = click.get_current_context().meta.get(_TYPED, {})
    return typed.get(path, str(path))


log_flag = click.option(
    "--log",
    type=FileName(),
    metavar="FILE",
    help="Append all messages to this file, with date and time, and a line of progress "
    "a minute.",
)


class _Text(click.ParamType[Any]):
    """Text that is not empty."""

    name = "TEXT"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:
        if value == "":
            self.fail("the value is empty: omit the option", param, ctx)
        return value


TEXT = _Text()


class _Choice(click.Choice[str]):
    """One of several words."""

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:
        if value not in self.choices:
            choices = ", ".join(self.choices)
            hint = did_you_mean(str(value), self.choices)
            self.fail(f"{value!r}{hint}: choose {choices}", param, ctx)
        return value


class _Parsed(click.ParamType[Any]):
    """A value read by one of the library's parsers."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except OptionError as error:
            self.fail(str(error), param, ctx)


def _parse_key_value(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise OptionError(f"{text!r} is not of the form KEY=VALUE")
    return key, value


def _parse_names(text: str) -> tuple[str, ...]:
    names = [name.strip() for name in text.split(",")]
    return tuple(name for name in names if name)


def _parse_tile(text: str) -> int | str:
    if text == "auto":
        return text
    if not text.isdecimal() or len(text) > _MAX_DIGITS:
        raise OptionError(f"{text!r} is neither a number of pixels nor `auto`")
    return int(text)


def _parse_whole(text: str) -> int:
    stripped = text.strip()
    if not _WHOLE_NUMBER.fullmatch(stripped):
        raise OptionError(f"{text!r} is not a whole number, or has too many digits")
    return int(stripped)


def _parse_count(text: str) -> int:
    count = _parse_whole(text)
    if count < 1:
        raise OptionError(f"{count} is too small: 1 or more")
    return count


def _parse_number(text: str) -> float:
    with contextlib.suppress(ValueError):
        number = float(text)
        if math.isfinite(number):
            return number
    raise OptionError(f"{text!r} is not a number")


WHOLE = _Parsed("INTEGER", _parse_whole)
NUMBER = _Parsed("NUMBER", _parse_number)
_COUNT = _Parsed("N", _parse_count)
_TIME = _Parsed("TIME", parse_time)
_SECONDS = _Parsed("TIME", lambda text: float(parse_time(text)))
# The types of fields whose default does not say it.
_TYPES: dict[str, click.ParamType[Any]] = {
    "fps": _Parsed("RATE", parse_rate),
    "tile": _Parsed("N|auto", _parse_tile),
    "value_range": click.Tuple([NUMBER, NUMBER]),
    "sar": _Parsed("N:D", parse_aspect),
    "start": _TIME,
    "audio_start": _TIME,
    "at": _TIME,
    "part": _Parsed("WxH+X+Y|WxH|all", parse_crop),
    "end": _TIME,
    "duration": _TIME,
    "crf": NUMBER,
    "extra": _Parsed("KEY=VALUE", _parse_key_value),
    "metrics": _Parsed("LIST", _parse_names),
    "segment": _SECONDS,
    "validate_every": _SECONDS,
    "frames": WHOLE,
    "crop": WHOLE,
    "steps": _COUNT,
    "batch": WHOLE,
    "patch": WHOLE,
    "learning_rate": NUMBER,
    "threads": _COUNT,
    "val_count": WHOLE,
    "time": _SECONDS,
    "budget": _SECONDS,
}


def option_flags(*dataclasses: type[Any]) -> Callable[[F], F]:
    """Decorate a command with a flag for every field of the dataclasses, in their order."""
    decorators: list[Callable[[F], F]] = []
    for dataclass in dataclasses:
        for field in _flag_fields(dataclass):
            decorators += _decorators(field)

    def decorate(command: F) -> F:
        # as if written above each other: the last decorator is applied first
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


def with_encoder(dataclass: type[Options], values: Mapping[str, Any]) -> Options:
    """Make options that have an ``encoder`` from a command's parameters.

    Raises:
        OptionError: a value makes no sense.
    """
    encoder = EncoderOptions(**field_values(EncoderOptions, values))
    return dataclass(**field_values(dataclass, values), encoder=encoder)


def field_values(dataclass: type[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a command's parameters that are fields of a dataclass."""
    return {field.name: values[field.name] for field in _flag_fields(dataclass)}


def _flag_fields(dataclass: type[Any]) -> list[Field[Any]]:
    return [field for field in fields(dataclass) if "help" in field.metadata]


def _decorators(field: Field[Any]) -> list[Callable[[F], F]]:
    metadata = field.metadata
    names = list(metadata["flags"]) or ["--" + field.name.replace("_", "-")]
    choices = metadata["choices"]
    default = None if field.default is MISSING else field.default
    if len(names) > 1 and names == [f"--{choice}" for choice in choices]:
        return _choice_decorators(field, names)
    if isinstance(default, bool):
        decorator = click.option(
            *names,
            field.name,
            cls=Option,
            group=metadata["group"],
            is_common=metadata["is_common"],
            is_flag=True,
            default=default,
            help=metadata["help"],
        )
    elif metadata["flag_value"] is not None:
        decorator = click.option(
            *names,
            field.name,
            cls=Option,
            group=metadata["group"],
            is_common=metadata["is_common"],
            is_flag=False,
            flag_value=metadata["flag_value"],
            default=None,
            metavar=metadata["metavar"],
            help=metadata["help"],
        )
    else:
        decorator = click.option(
            *names,
            field.name,
            cls=Option,
            group=metadata["group"],
            is_common=metadata["is_common"],
            suggestions=metadata["suggestions"],
            type=_type_of(field, default),
            default=_default_text(default),
            multiple=default == (),
            show_default=default not in (None, ()),
            metavar=metadata["metavar"],
            help=metadata["help"],
        )
    return [decorator]


def _choice_decorators(field: Field[Any], names: list[str]) -> list[Callable[[F], F]]:
    """A flag per choice, such as --fp16 and --fp32: each sets the field to its own name."""
    decorators = []
    for name in names:
        is_first = name == names[0]
        decorator = click.option(
            name,
            field.name,
            cls=Option,
            group=field.metadata["group"],
            flag_value=name.removeprefix("--"),
            default=None,
            help=field.metadata["help"] if is_first else f"The opposite of {names[0]}.",
        )
        decorators.append(decorator)
    return decorators


def _type_of(field: Field[Any], default: Any) -> Any:
    if field.metadata["choices"]:
        return _Choice(field.metadata["choices"])
    if field.name in _TYPES:
        return _TYPES[field.name]
    if isinstance(default, str) or default in (None, ()):
        return TEXT
    return NUMBER if isinstance(default, float) else WHOLE


def _default_text(default: Any) -> Any:
    """A default as the user would write it."""
    if isinstance(default, Fraction):
        return str(default)
    if isinstance(default, float):
        return f"{default:g}"
    if isinstance(default, tuple) and default:
        return ",".join(default)
    return default
