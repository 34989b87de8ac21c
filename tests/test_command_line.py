"""The command line as its users meet it: help, hints, times, defaults of one's own, completion."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import fields, is_dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner
from fake import FakeBackend

import vsrcli.options
from vsrcli.cli import COMMANDS, _run, group
from vsrcli.cli.command import Command, group_of
from vsrcli.encode.encoder_table import ENCODERS
from vsrcli.errors import OptionError
from vsrcli.metrics.frames import FRAME_METRICS
from vsrcli.metrics.sequence import SEQUENCE_METRICS
from vsrcli.models import DOMAINS, MODELS
from vsrcli.options import BenchOptions, ExtractOptions, UpscaleOptions
from vsrcli.options.declare import GROUPS
from vsrcli.options.encoder import CODECS, PRESETS
from vsrcli.timing import TimeRange

# what says how to print
ABOUT_PRINTING = {"quiet", "no_progress", "as_json", "verbose", "log", "h"}
ABOUT_SETTINGS = {"config", "profile"}
ROOT = Path(__file__).resolve().parent.parent
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
            assert is_help or parameter.name in ABOUT_PRINTING | ABOUT_SETTINGS, (
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
        if isinstance(parameter, click.Option) and not parameter.hidden:
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
        (["preview", "a.mp4", "-m", "lite:vidoe"], "(did you mean 'video'?)"),
        (["bench", "a.mp4", "--degrade", "blru3"], "(did you mean 'blur3'?)"),
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
    error = _error(capsys, *bench, "--model", "lite:vidoe")
    assert "no 'vidoe' weights ship for 'lite' (did you mean 'video'?): choose" in error
    assert "(did you mean 'psnr'?)" in _error(capsys, *bench, "--metrics", "psrn")
    assert "(did you mean 'lite'?)" in _error(capsys, *bench, "--model", "liet:video")
    for command in (upscale, [*bench, "--model", "lite"]):
        for device in ("cdua", "gpu"):
            error = _error(capsys, *command, "--device", device)
            hint = f"unknown device '{device}' (did you mean 'cuda'?): use auto, "
            assert hint in error
    assert list(tmp_path.iterdir()) == []


def test_what_is_like_nothing_gets_no_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert _error(capsys, "xyzzy") == "no such command 'xyzzy' (see vsr --help)"
    error = _error(capsys, "upscale", "a", "b", "--xyzzy")
    assert error == "no such option '--xyzzy' (see vsr upscale --help)"


ARCHIVE = """
[upscale]
model = "lite"
crf = 20
fps = 23.976
reuse = false
range = [0, 1]
fp16 = true
extra = ["tune=film", "aq-mode=2"]
start = 00:00:01
out_dir = "~/big"
[profiles.archive.upscale]
model = "previous"
codec = "ffv1"
[profiles.quick.train]
time = "2h"
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the user's defaults, where vsr looks for it."""
    monkeypatch.delenv("VSR_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", "/home/me")
    file = tmp_path / "vsr.toml"
    file.write_text(ARCHIVE)
    return file


def _values(*arguments: str) -> dict[str, Any]:
    """What ``vsr upscale`` would run with."""
    words = ["upscale", "a", "b", *arguments]
    with group.make_context("vsr", words) as root:
        name, command, rest = group.resolve_command(root, words)
        assert command is not None
        return command.make_context(name, rest, parent=root).params


def test_the_users_own_defaults(config: Path) -> None:
    values = _values()
    assert values["model"] == "lite"
    assert values["crf"] == 20.0
    assert values["fps"] == Fraction("23.976")
    assert values["reuse"] is False
    assert values["value_range"] == (0.0, 1.0)
    assert values["precision"] == "fp16"
    assert values["extra"] == (("tune", "film"), ("aq-mode", "2"))
    assert values["start"] == 1
    assert values["out_dir"] == "/home/me/big"
    assert values["codec"] == "auto"


def test_flags_win_over_environment_profile_and_file(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = ("--profile", "archive")
    assert _values()["model"] == "lite"
    assert _values(*profile)["model"] == "previous"
    monkeypatch.setenv("VSR_UPSCALE_MODEL", "5-parallel")
    assert _values(*profile)["model"] == "5-parallel"
    assert _values(*profile, "--model", "delta")["model"] == "delta"
    assert _values(*profile)["codec"] == "ffv1"
    assert _values(*profile)["crf"] == 20.0
    monkeypatch.setenv("VSR_PROFILE", "archive")
    assert _values()["codec"] == "ffv1"
    # of what can be repeated, those on the command line are all there are
    assert _values("-e", "tune=grain")["extra"] == (("tune", "grain"),)
    assert _values("--fp32", "--reuse")["precision"] == "fp32"
    assert _values("--fp32", "--reuse")["reuse"] is True
    assert _values("--fp16")["precision"] == "fp16"


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("VSR_UPSCALE_FPS", "source", "fps", "source"),
        ("VSR_UPSCALE_RANGE", "0 255", "value_range", (0.0, 255.0)),
        ("VSR_UPSCALE_OUT_DIR", "my big", "out_dir", "my big"),
        ("VSR_UPSCALE_OVERWRITE", "1", "overwrite", True),
        ("VSR_UPSCALE_OVERWRITE", "no", "overwrite", False),
        ("VSR_UPSCALE_OVERWRITE", "", "overwrite", False),
        ("VSR_UPSCALE_NO_REUSE", "yes", "reuse", False),
        ("VSR_UPSCALE_FP32", "on", "precision", "fp32"),
        ("VSR_UPSCALE_FP32", "0", "precision", None),
        ("VSR_UPSCALE_JSON", "true", "as_json", True),
        ("VSR_UPSCALE_VERBOSE", "2", "verbose", 2),
        (
            "VSR_UPSCALE_EXTRA",
            "a=b 'c=d e'",
            "extra",
            (("a", "b"), ("c", "d e")),
        ),
    ],
)
def test_environment_variables(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, name: str, value: object
) -> None:
    monkeypatch.setenv(variable, text)
    assert _values()[name] == value


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[upscale]\nmodel =", "this is no TOML"),
        ("\xff\xfe", "this is no TOML"),
        ("[upscale]\nx = " + "[" * 5000, "nested too deeply"),
        ("[upscale]\ntile = " + "9" * 5000, "this is no TOML"),
        ("[upscal]", "unknown table [upscal] (did you mean 'upscale'?)"),
        ("upscale = 3", "write [upscale]"),
        ("[profiles]\na = 1", "write [profiles.a.upscale]"),
        ("[profiles.a.upscal]", "unknown table [profiles.a.upscal]"),
        ('[upscale]\nmodle = "x"', "unknown option 'modle' (did you mean 'model'?)"),
        ('[upscale]\nmodel = ""', "the value is empty"),
        ('[upscale]\nmodel = ["a", "b"]', "write one value"),
        ('[upscale]\ncrf = "high"', "crf = 'high'"),
        ("[upscale]\ncrf = true", "write one value"),
        ("[upscale]\noverwrite = 1", "write true or false"),
        ('[upscale]\nfps = "fast"', "is not a frame rate"),
        ("[upscale]\nrange = [1]", "give 2 values"),
        ('[upscale]\ndomain = "vidoe"', "(did you mean 'video'?)"),
        ("[upscale]\nstart = 2020-02-02", "write one value"),
        ('[upscale]\nextra = ["a"]', "KEY=VALUE"),
        ('[upscale]\nprofile = "a"', "unknown option 'profile'"),
    ],
    ids=lambda text: text[:30],
)
def test_a_wrong_file_breaks_one_command_alone(
    config: Path, capsys: pytest.CaptureFixture[str], text: str, says: str
) -> None:
    config.write_text(text, encoding="latin-1")
    error = _error(capsys, "upscale", "a", "b")
    assert error.startswith(str(config))
    assert says in error
    assert "Other:" in _help("upscale", "--help")
    assert "Most used options" in _help("upscale", "-h")
    status = _run(["config"])
    captured = capsys.readouterr()
    assert (status, str(config) in captured.out) == (1, True)
    assert f"vsr: error: {error}\n" == captured.err
    if "[upscale]\n" in text and "no TOML" not in says and "deeply" not in says:
        assert _run(["models", "--json"]) == 0


def test_a_file_that_was_named_must_be_there(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no such file" in _error(capsys, "--config", "gone", "models")
    assert "no such file" in _error(capsys, "models", "--config", "gone")
    folder = str(config.parent)
    assert "not a regular file" in _error(capsys, "models", "--config", folder)
    monkeypatch.setenv("VSR_CONFIG", "gone")
    assert "no such file" in _error(capsys, "models")
    monkeypatch.delenv("VSR_CONFIG")
    config.unlink()
    assert _run(["models"]) == 0
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")  # to be ignored
    assert _run(["models"]) == 0


def test_an_unknown_profile(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = _error(capsys, "models", "--profile", "archiv")
    assert "no profile 'archiv' (did you mean 'archive'?)" in error
    assert "it has archive, quick" in error
    config.unlink()
    assert "it has none" in _error(capsys, "--profile", "archive", "models")


def test_a_refusal_says_whose_value_it_is(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text('[upscale]\nbudget = "2h"')
    error = _error(capsys, "upscale", "a", "b")
    assert error.endswith(f"(--budget is from {config}, [upscale])")
    monkeypatch.setenv("VSR_UPSCALE_BUDGET", "0")
    monkeypatch.setenv("VSR_UPSCALE_MODEL", "auto")
    error = _error(capsys, "upscale", "a", "b")
    assert error.endswith("(--budget is from VSR_UPSCALE_BUDGET)")
    monkeypatch.setenv("VSR_UPSCALE_BUDGET", "soon")
    assert "VSR_UPSCALE_BUDGET=soon: 'soon' is not a time" in _error(
        capsys, "upscale", "a", "b"
    )


def test_config_shows_values_and_where_they_are_from(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VSR_UPSCALE_CRF", "15")
    monkeypatch.setenv("VSR_UPSCALE_CRV", "15")
    assert _run(["config", "--profile", "archive", "--json"]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert shown["file"] == str(config)
    assert shown["exists"]
    assert (shown["profile"], shown["profiles"]) == ("archive", ["archive", "quick"])
    assert shown["problems"] == [
        "VSR_UPSCALE_CRV belongs to no option (did you mean 'VSR_UPSCALE_CRF'?): unset it"
    ]
    used = {
        row["option"]: (row["value"], row["origin"])
        for row in shown["values"]
        if row["is_used"]
    }
    assert used["--model"] == ("previous", f"{config}, [profiles.archive.upscale]")
    assert used["--crf"] == ("15", "VSR_UPSCALE_CRF")
    assert used["--reuse"] == ("false", f"{config}, [upscale]")
    assert used["-e"] == ("tune=film, aq-mode=2", f"{config}, [upscale]")
    monkeypatch.delenv("VSR_UPSCALE_CRV")
    assert _run(["config"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"--model +lite +from .*vsr.toml, \[upscale\]\n", text)
    assert re.search(r"--crf +20 +from .*vsr.toml, \[upscale\] \(replaced\)\n", text)


def test_config_without_a_file(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.unlink()
    assert _run(["config"]) == 0
    text = capsys.readouterr().out
    assert f"{config} (there is no such file)" in text
    assert "every option has vsr's default" in text


@pytest.mark.parametrize("kind", [UpscaleOptions, ExtractOptions])
def test_duration_is_another_way_to_say_the_end(kind: Any) -> None:
    said = kind(start=Fraction(90), duration=Fraction(10))
    assert said == kind(start=Fraction(90), end=Fraction(100))
    assert replace(said, start=Fraction(95)).range == TimeRange(
        Fraction(95), Fraction(100)
    )
    assert kind(duration=Fraction(5, 2)).range == TimeRange(None, Fraction(5, 2))
    with pytest.raises(
        OptionError, match=r"--duration 5 and --end 6 both .*: omit one"
    ):
        kind(duration=Fraction(5), end=Fraction(6))
    with pytest.raises(OptionError, match="--duration 0 is no length of time"):
        kind(duration=Fraction(0))


def test_one_notation_of_times_on_every_command() -> None:
    values = _values("--start", "1m", "--duration", "90s", "--segment", "0:10")
    assert (values["start"], values["duration"]) == (60, 90)
    assert values["segment"] == 10.0
    assert _values("--model", "auto", "--budget", "1h30m")["budget"] == 5400.0
    for name, words in {
        "extract": ["a", "b", "--start", "0:01:30", "--duration", "1.5h"],
        "verify": ["a", "b", "--end", "2h"],
        "train": ["--time", "90", "--validate-every", "5m"],
    }.items():
        context = _command(name).make_context(name, words)
        assert {90, 5400, 7200, 300} & set(context.params.values())
    assert (
        _command("train").make_context("train", ["--time", "90"]).params["time"] == 90
    )


def test_frames_of_a_duration(tmp_path: Path, moving_clip: Path) -> None:
    words = ["extract", str(moving_clip), str(tmp_path / "frames")]
    assert _run([*words, "--start", "0.04", "--duration", "0.08", "-q"]) == 0
    assert len(list((tmp_path / "frames").iterdir())) == 2


def test_pictures_are_written_where_they_are_meant(
    tmp_path: Path,
    moving_clip: Path,
    fake: FakeBackend,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    clip = str(moving_clip)
    short = ("--end", "0.04", "-q")
    error = _error(capsys, "upscale", clip, "o")
    assert (
        "o has no file name ending: write o.mp4 for a video, or o/ for a folder"
        in error
    )
    Path("videos").mkdir()
    for typed in ("videos", "."):
        error = _error(capsys, "upscale", clip, typed)
        assert f"{typed} is a folder: write " in error
        assert f"{moving_clip.stem}-x2.mp4 for a video in it, or {typed}/" in error
    assert [path.name for path in tmp_path.iterdir()] == ["videos"]
    assert list(Path("videos").iterdir()) == []
    assert _run(["upscale", clip, "o/", *short]) == 0
    assert len(list(Path("o").iterdir())) == 1
    # it holds pictures already
    assert _run(["upscale", clip, "o", "-y", *short]) == 0
    # pictures from pictures
    assert _run(["upscale", "o", "p", *short]) == 0
    assert len(list(Path("p").iterdir())) == 1
    assert _run(["upscale", clip, "videos/", *short]) == 0
    assert len(list(Path("videos").iterdir())) == 1


def test_a_network_without_weights_for_video_says_which_it_uses(
    tmp_path: Path,
    moving_clip: Path,
    fake: FakeBackend,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["upscale", str(moving_clip), str(tmp_path / "o.mp4"), "--end", "0.04"]
    line = "no 'video' weights ship for previous: those for 'clean' are used; --domain"
    assert _run([*words, "--model", "previous"]) == 0
    assert line in capsys.readouterr().err
    assert _run([*words, "--model", "previous", "--domain", "clean", "-y"]) == 0
    assert "weights ship" not in capsys.readouterr().err
    assert _run([*words, "--model", "lite", "-y"]) == 0
    assert "weights ship" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        "upscale {} o.mkv",
        "upscale {} b.mkv --out-dir d",
        "info {}",
        "train --resume {}",
        "train --data {} --out r --steps 1",
        "export {}",
        "bench {} --lr {}",
    ],
)
def test_an_address_is_said_as_typed(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    address = "https://example.org/films/a.mkv"
    assert _run(command.format(address, address).split()) == 1
    error = capsys.readouterr().err
    assert address in error
    assert "https:/e" not in error


HUGE = "9" * 5000  # more digits than Python reads


@pytest.mark.parametrize(
    "words",
    [
        *(["--fps", rate] for rate in ("1e999", "inf", HUGE, f"1/{HUGE}")),
        *(["--fps", rate] for rate in ("0.0000000001", "999.123456789", "1/0", "-1")),
        *(["--tile", size] for size in ("99999999999", HUGE, "9" * 400, "1.5")),
        *(["--start", time] for time in ("1e400", HUGE, "nan")),
        ["--segment", HUGE],
        ["--crf", "inf"],
        ["--range", "nan", "1"],
        ["--range", "-inf", "inf"],
        ["--strength", "nan"],
    ],
    ids=lambda words: " ".join(words)[:30],
)
def test_numbers_beyond_reason_are_wrong_usage(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, words: list[str]
) -> None:
    target = tmp_path / "o.mp4"
    _error(capsys, "upscale", "in.mp4", str(target), *words)
    if words[0] == "--fps":
        _error(capsys, "assemble", str(tmp_path), str(target), *words)
    assert list(tmp_path.iterdir()) == []


def test_whole_numbers_beyond_reason_are_wrong_usage(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for number in (HUGE, "9" * 400, "1.5", "1e9", "x"):
        for words in (
            ["bench", "in.mp4", "--frames", number],
            ["bench", "in.mp4", "--crop", number],
            ["train", "--steps", number],
            ["train", "--clips", number],
            ["train", "--seed", number],
        ):
            assert f"{words[-2]}: " in _error(capsys, *words)
    assert "--steps: 0 is too small: 1 or more" in _error(
        capsys, "train", "--steps", "0"
    )
    error = _error(capsys, "assemble", "frames", "o.mp4", "--fps", "source")
    assert error == "--fps source: give a number of pictures per second"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_word_that_is_no_choice_is_wrong_usage(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for parameter in _command(name).params:
        if isinstance(parameter, click.Option) and isinstance(
            parameter.type, click.Choice
        ):
            flag = max(parameter.opts, key=len)
            error = _error(capsys, name, f"{flag}=xyzzy")
            assert error.startswith(f"{flag}: 'xyzzy': choose ")


def _completions(line: str) -> list[str]:
    """What a shell offers for the last word of a command line."""
    *words, incomplete = line.split(" ")
    complete = ShellComplete(group, {}, "vsr", "_VSR_COMPLETE")
    items = complete.get_completions(words, incomplete)
    return [item.value if item.type == "plain" else item.type for item in items]


@pytest.mark.parametrize(
    ("line", "offers"),
    [
        ("up", ["upscale"]),
        ("upscale --mod", ["--model"]),
        ("upscale a b --model ", ["auto", *MODELS]),
        ("upscale a b -m d", ["delta"]),
        ("upscale a b --model run/b", ["file"]),
        ("upscale a b --domain ", list(DOMAINS)),
        ("upscale a b --device cu", ["cuda", "cuda:0", "cuda:1"]),
        ("upscale a b --backend o", ["onnx", "openvino"]),
        ("upscale a b --codec libx", ["libx264", "libx265"]),
        ("upscale a b --preset very", ["veryfast", "veryslow"]),
        ("upscale a b --fps so", ["source"]),
        ("upscale a b --out-dir ", ["dir"]),
        ("upscale ", ["file"]),
        ("upscale cl", ["file"]),
        (
            "bench gt.mp4 --model lite:",
            [f"lite:{domain}" for domain in MODELS["lite"].domains],
        ),
        ("bench gt.mp4 --metrics psnr,s", ["psnr,ssim"]),
        ("bench gt.mp4 --metrics psnr,p", []),
        ("bench gt.mp4 --compare ", ["file"]),
        ("train --model ", list(MODELS)),
        ("export o.onnx --target v", ["vsr", "vs-mlrt"]),
        ("upscale a b --profile a", ["archive"]),
        ("--profile ", ["archive", "quick"]),
        ("upscale a b --config ", ["file"]),
        ("--config ", ["file"]),
    ],
)
def test_shells_complete(config: Path, line: str, offers: list[str]) -> None:
    assert _completions(line) == offers


def test_no_file_breaks_completion(config: Path) -> None:
    config.write_text("[upscale")
    assert _completions("upscale a b --profile a") == []
    assert _completions("upscale a b -m d") == ["delta"]


def test_suggested_values_exist() -> None:
    libraries = {name for name in CODECS if name.startswith("lib")}
    assert libraries
    assert libraries <= ENCODERS.keys()
    presets = ENCODERS["libx264"].preset
    assert presets is not None
    assert list(PRESETS) == list(presets.values)
    metrics = BenchOptions.__dataclass_fields__["metrics"].metadata["suggestions"]
    assert sorted(metrics) == sorted((*FRAME_METRICS, *SEQUENCE_METRICS))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_lines_for_shells(shell: str) -> None:
    usage = (ROOT / "docs" / "usage.md").read_text()
    assert f"_VSR_COMPLETE={shell}_source vsr" in usage
    if shell == "bash" and shutil.which("bash") is None:
        pytest.skip("click asks bash for its version")
    done = subprocess.run(
        [sys.executable, "-m", "vsrcli"],
        env={**os.environ, "_VSR_COMPLETE": f"{shell}_source"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert "_vsr_completion" in done.stdout


def test_what_weighs_more_replaces_what_it_excludes(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text(
        """
        [upscale]
        model = "auto"
        budget = "2h"
        crf = 20
        preset = "slow"
        end = 90
        device = "cuda"
        [profiles.short.upscale]
        duration = 10
        """
    )
    assert _values()["budget"] == 7200.0
    assert _values("--model", "auto")["budget"] == 7200.0
    assert _values("--model", "lite")["budget"] is None
    values = _values("--quality", "high", "--duration", "5", "--devices", "cpu*2")
    assert (values["crf"], values["preset"], values["end"]) == (None, None, None)
    assert (values["device"], values["devices"]) == ("auto", "cpu*2")
    values = _values("--crf", "12", "--profile", "short")
    assert (values["crf"], values["preset"]) == (12.0, "slow")
    assert (values["end"], values["duration"]) == (None, 10)
    monkeypatch.setenv("VSR_UPSCALE_QUALITY", "small")
    monkeypatch.setenv("VSR_UPSCALE_CRF", "30")
    values = _values()
    assert (values["quality"], values["crf"]) == ("small", 30.0)
    assert values["preset"] is None
