"""Command-line flags made from the option dataclasses, and values back into them: no default or help text stands here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields
from fractions import Fraction
from typing import Any, TypeVar

import click

from vsrcli.errors import OptionError
from vsrcli.media.timing import parse_rate, parse_time
from vsrcli.options import (
    AssembleOptions,
    EncoderOptions,
    UpscaleOptions,
    parse_duration,
)

F = TypeVar("F", bound=Callable[..., Any])
Options = TypeVar("Options", UpscaleOptions, AssembleOptions)


class _Parsed(click.ParamType[Any]):
    """A value read by one of the library's parsers."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name, self._parse = name, parse

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except OptionError as error:
            self.fail(str(error), param, ctx)


def _key_value(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise OptionError(f"{text!r} is not of the form KEY=VALUE")
    return key, value


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _tile(text: str) -> int | str:
    if text != "auto" and not text.isdecimal():
        raise OptionError(f"{text!r} is neither a number of pixels nor `auto`")
    return text if text == "auto" else int(text)


_TIME = _Parsed("TIME", parse_time)
_TYPES: dict[str, click.ParamType[Any]] = {
    "fps": _Parsed("RATE", parse_rate),
    "tile": _Parsed("N|auto", _tile),
    "value_range": click.Tuple([click.FLOAT, click.FLOAT]),
    "start": _TIME,
    "end": _TIME,
    "extra": _Parsed("KEY=VALUE", _key_value),
    "metrics": _Parsed("LIST", _names),
    "segment": click.FLOAT,
    "frames": click.INT,
    "crop": click.INT,
    "steps": click.IntRange(min=1),
    "batch": click.INT,
    "patch": click.INT,
    "learning_rate": click.FLOAT,
    "threads": click.IntRange(min=1),
    "val_count": click.INT,
    "time": _Parsed("TIME", parse_duration),
    "budget": _Parsed("TIME", parse_duration),
}


def option_flags(*dataclasses: type[Any]) -> Callable[[F], F]:
    """Decorate a command with one flag for every field of the dataclasses, in their order."""

    def decorate(command: F) -> F:
        for declared in reversed(
            [
                field
                for dataclass in dataclasses
                for field in fields(dataclass)
                if "help" in field.metadata
            ]
        ):
            for decorator in reversed(_decorators(declared)):
                command = decorator(command)
        return command

    return decorate


def with_encoder(dataclass: type[Options], values: Mapping[str, Any]) -> Options:
    """Make options that have an ``encoder`` from a command's parameters.

    Raises:
        OptionError: a value makes no sense.
    """
    encoder = EncoderOptions(
        **{field.name: values[field.name] for field in fields(EncoderOptions)}
    )
    own = {
        field.name: values[field.name]
        for field in fields(dataclass)
        if "help" in field.metadata
    }
    return dataclass(**own, encoder=encoder)


def _decorators(field: Field[Any]) -> list[Callable[[F], F]]:
    meta = field.metadata
    names = list(meta["flags"]) or ["--" + field.name.replace("_", "-")]
    default = None if field.default is MISSING else field.default
    if len(names) == len(meta["choices"]) > 1 and all(
        name == f"--{choice}"
        for name, choice in zip(names, meta["choices"], strict=True)
    ):
        # a pair such as --fp16/--fp32: each sets the field to its own name
        return [
            click.option(
                name,
                field.name,
                flag_value=choice,
                default=None,
                help=meta["help"] if place == 0 else f"The opposite of {names[0]}.",
            )
            for place, (name, choice) in enumerate(
                zip(names, meta["choices"], strict=True)
            )
        ]
    if isinstance(default, bool):
        return [
            click.option(
                *names, field.name, is_flag=True, default=default, help=meta["help"]
            )
        ]
    kind: Any = (
        click.Choice(meta["choices"])
        if meta["choices"]
        else _TYPES.get(field.name, str if default in (None, ()) else type(default))
    )
    shown = (
        str(default)
        if isinstance(default, Fraction)
        else ",".join(default)
        if isinstance(default, tuple) and default
        else default
    )
    if meta["flag_value"] is not None:
        return [
            click.option(
                *names,
                field.name,
                is_flag=False,
                flag_value=meta["flag_value"],
                default=None,
                metavar=meta["metavar"],
                help=meta["help"],
            )
        ]
    return [
        click.option(
            *names,
            field.name,
            type=kind,
            default=shown,
            multiple=default == (),
            show_default=default not in (None, ()),
            metavar=meta["metavar"],
            help=meta["help"],
        )
    ]
