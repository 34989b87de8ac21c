"""The help texts, README.md and the docstrings, held against the code."""

from __future__ import annotations

import ast
import importlib.util
import re
import shlex
from collections.abc import Iterator
from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from vsrcli.cli import COMMANDS, group
from vsrcli.models import MODELS
from vsrcli.options import EncoderOptions, TrainOptions, UpscaleOptions

ROOT = Path(__file__).resolve().parent.parent
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "weights/README.md",
    "docs/containers.md",
)
FILES = sorted((ROOT / "vsrcli").rglob("*.py"))
README = (ROOT / "README.md").read_text()


def _command(name: str) -> click.Command:
    command = group.get_command(click.Context(group), name)
    assert command is not None, f"there is no command {name!r}"
    return command


def _flags(command: click.Command) -> set[str]:
    return {
        flag
        for parameter in command.get_params(click.Context(command))
        for flag in (*parameter.opts, *parameter.secondary_opts)
    }


def _shown_commands(text: str) -> Iterator[list[str]]:
    """Every ``vsr`` command line of a page: in its blocks of code and between backticks, without what follows it in the shell."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    lines = [
        part
        for block in blocks
        for line in block.splitlines()
        for part in line.split("&&")
    ]
    lines += [" ".join(quoted.split()) for quoted in re.findall(r"`([^`]+)`", prose)]
    for line in lines:
        words = shlex.split(line, comments=True)
        words = words[
            : next(
                (place for place, word in enumerate(words) if word in (">", "|")),
                len(words),
            )
        ]
        for place, word in enumerate(words):
            if (
                word.rsplit("/", 1)[-1] == "vsr"
                and words[place + 1 :]
                and (place == 0 or words[0] == "docker")
                and words[:2] != ["docker", "build"]
            ):
                yield words[place + 1 :]
                break


SHOWN = [
    (page, words)
    for page in PAGES
    for words in _shown_commands((ROOT / page).read_text())
]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str) -> None:
    result = CliRunner().invoke(group, [name, "--help"])
    assert result.exit_code == 0
    assert re.search(rf"^  vsr {re.escape(name)}( |$)", result.stdout, re.MULTILINE), (
        f"vsr {name} --help shows no example"
    )
    assert _command(name).short_help


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_in_the_help_parses(name: str) -> None:
    examples = re.findall(r"^ *vsr (.+)$", _command(name).help or "", re.MULTILINE)
    assert examples
    for example in examples:
        first, *words = shlex.split(example)
        command = _command(first)
        command.make_context(first, words)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_has_a_help_text(name: str) -> None:
    for parameter in _command(name).params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"vsr {name} {parameter.opts[0]} has no help text"


def test_pages_show_commands() -> None:
    assert {words[0] for page, words in SHOWN if page == "README.md"} >= set(COMMANDS)


@pytest.mark.parametrize(
    ("page", "words"),
    SHOWN,
    ids=[f"{page}: {' '.join(words)}" for page, words in SHOWN],
)
def test_commands_on_the_pages_exist(page: str, words: list[str]) -> None:
    name, *rest = words
    if name.startswith("-"):
        assert name in _flags(group)
        return
    command = _command(name)
    # prose may name a command with a flag and leave the files out; a line of a block is whole
    command.make_context(
        name, list(rest), resilient_parsing=not _has_arguments(command, rest)
    )
    assert {word.partition("=")[0] for word in rest if word.startswith("-")} <= _flags(
        command
    )


def _has_arguments(command: click.Command, words: list[str]) -> bool:
    needed = sum(
        len((parameter.metavar or "ONE").split())
        for parameter in command.params
        if isinstance(parameter, click.Argument)
    )
    return len([word for word in words if not word.startswith("-")]) >= needed


def test_flags_on_the_pages_exist() -> None:
    known = set().union(*(_flags(_command(name)) for name in COMMANDS), _flags(group))
    text = re.sub(r"^```.*?^```$", "", README, flags=re.DOTALL | re.MULTILINE)
    shown = {
        flag
        for quoted in re.findall(r"`([^`]+)`", text)
        for flag in re.findall(r"(?<!\S)(--?[a-z][a-z0-9-]*)", quoted)
    }
    assert "--strict" in shown
    assert shown <= known, (
        f"README.md names flags that do not exist: {sorted(shown - known)}"
    )


def test_the_table_of_containers_is_current() -> None:
    """docs/containers.md is what docs/containers.py makes of the code's own rules."""
    spec = importlib.util.spec_from_file_location(
        "containers", ROOT / "docs" / "containers.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.page() == module.PAGE.read_text(), "run python docs/containers.py"


def test_readme_has_one_test_command() -> None:
    # .ci/run takes it from there, word for word
    assert README.count("<!-- test command -->") == 1
    found = re.findall(
        r"^<!-- test command -->\n```sh\n(.+?)\n```$", README, re.DOTALL | re.MULTILINE
    )
    assert len(found) == 1
    assert "\n" not in found[0]
    assert found[0].startswith("python3 -m venv .venv && ")
    assert found[0].endswith("pytest")


def test_readme_names_every_network_with_its_size() -> None:
    rows = dict(
        re.findall(
            r"^\| `([^`]+)`(?: \(default\))? \| ([\d,]+) \|", README, re.MULTILINE
        )
    )
    assert rows == {spec.name: f"{spec.parameters:,}" for spec in MODELS.values()}


def test_model_card_covers_the_weights_that_ship() -> None:
    card = (ROOT / "weights" / "README.md").read_text()
    shipped = {
        f"{spec.name}-{domain}-x{spec.scale}.safetensors"
        for spec in MODELS.values()
        for domain in spec.domains
    }
    assert set(re.findall(r"^\| `([^`]+\.safetensors)`", card, re.MULTILINE)) == shipped
    assert {
        line.split()[1]
        for line in (ROOT / "weights" / "SHA256SUMS").read_text().splitlines()
    } == shipped


def test_files_named_in_backticks_exist() -> None:
    for page in PAGES:
        for name in re.findall(
            r"`((?:vsrcli|tests|weights)/[\w./-]*)`", (ROOT / page).read_text()
        ):
            assert (ROOT / name).exists(), f"{page} names {name}, which does not exist"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_everything_public_has_a_docstring(file: Path) -> None:
    tree = ast.parse(file.read_text())
    if tree.body:
        assert ast.get_docstring(tree), f"{file} has no docstring"
    for name, node in _public(tree):
        assert ast.get_docstring(node), f"{file}: {name} has no docstring"


def _public(
    parent: ast.Module | ast.ClassDef,
) -> Iterator[tuple[str, ast.ClassDef | ast.FunctionDef]]:
    for node in parent.body:
        if isinstance(
            node, ast.ClassDef | ast.FunctionDef
        ) and not node.name.startswith("_"):
            yield node.name, node
            if isinstance(node, ast.ClassDef):
                yield from (
                    (f"{node.name}.{name}", child) for name, child in _public(node)
                )


@pytest.mark.parametrize(
    ("name", "declared"),
    [("upscale", UpscaleOptions), ("upscale", EncoderOptions), ("train", TrainOptions)],
)
def test_defaults_are_those_of_the_options(name: str, declared: type[Any]) -> None:
    options: dict[str, list[click.Option]] = {}
    for parameter in _command(name).params:
        if isinstance(parameter, click.Option):
            options.setdefault(str(parameter.name), []).append(parameter)
    context = click.Context(_command(name))
    for field in fields(declared):
        if "help" not in field.metadata:
            continue
        flags = options[field.name]
        assert field.metadata["help"] == flags[0].help
        for flag in flags:
            value = flag.type_cast_value(context, flag.get_default(context))
            assert (value or None) == (field.default or None), (
                f"{flag.opts[0]}: {value!r} is not {field.default!r}"
            )
            assert not isinstance(field.default, Fraction) or isinstance(
                value, Fraction
            )
