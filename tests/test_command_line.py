"""The command line as its users meet it: help, hints, times, defaults of one's own, completion."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import vsrcli.options
from vsrcli.cli import COMMANDS, _run, group
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


def _error(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that refuses a command line as wrong usage."""
    assert _run(list(arguments)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("vsr: error: ")
    assert captured.err.count("\n") == 1
    return captured.err.removeprefix("vsr: error: ").rstrip("\n")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["upscal"], "(did you mean 'upscale'?)"),
        (["Upscale"], "(did you mean 'upscale'?)"),
        (["help"], "did you mean: vsr --help"),
        (["help", "train"], "did you mean: vsr train --help"),
        (["clip.mp4"], "did you mean: vsr upscale clip.mp4 OUT"),
        (
            ["my clip.mp4", "big.mp4", "-y"],
            "did you mean: vsr upscale 'my clip.mp4' big.mp4 -y",
        ),
        (["frames/", "big.mp4"], "did you mean: vsr upscale frames/ big.mp4"),
        (["-m", "lite", "clip.mp4", "o.mp4"], "options follow the command"),
        (["--verison"], "(did you mean '--version'?)"),
        (["upscale", "a", "b", "--modle", "lite"], "(did you mean '--model'?)"),
        (["upscale", "a", "b", "--domain", "vidoe"], "(did you mean 'video'?)"),
        (["upscale", "a", "b", "--backend", "ONNX"], "(did you mean 'onnx'?)"),
        (["train", "--model", "detla"], "(did you mean 'delta'?)"),
        (["export", "o.onnx", "--target", "mlrt"], "(did you mean 'vs-mlrt'?)"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_did_you_mean(
    capsys: pytest.CaptureFixture[str], arguments: list[str], hint: str
) -> None:
    assert hint in _error(capsys, *arguments)


def test_did_you_mean_a_model_or_device(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, moving_clip: Path
) -> None:
    files = (str(moving_clip), str(tmp_path / "o.mp4"))
    upscale = ["upscale", *files]
    bench = ["bench", files[0]]
    for command in (upscale, bench, ["export", "o.onnx"]):
        error = _error(capsys, *command, "--model", "detla")
        assert "unknown model 'detla' (did you mean 'delta'?): choose delta, " in error
    for command in (upscale, [*bench, "--model", "lite"]):
        error = _error(capsys, *command, "--device", "cdua")
        assert "unknown device 'cdua' (did you mean 'cuda'?): use auto, " in error
    assert list(tmp_path.iterdir()) == []


def test_what_is_like_nothing_gets_no_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert _error(capsys, "xyzzy") == "no such command 'xyzzy' (see vsr --help)"
    error = _error(capsys, "upscale", "a", "b", "--xyzzy")
    assert error == "no such option '--xyzzy' (see vsr upscale --help)"
