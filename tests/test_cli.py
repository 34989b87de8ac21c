"""The command line: results on stdout, one line of error on stderr, exit codes, help."""

from __future__ import annotations

import ast
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path
from typing import get_args

import click
import pytest

from vsrcli._version import __version__
from vsrcli.cli import COMMANDS, _run, group
from vsrcli.containers.table import PIPED
from vsrcli.models import MODELS
from vsrcli.options import EncoderOptions, TrainOptions, UpscaleOptions
from vsrcli.options.declare import PipeFormat

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def _commands() -> dict[str, click.Command]:
    context = click.Context(group)
    return {
        name: command
        for name in COMMANDS
        if (command := group.get_command(context, name)) is not None
    }


def _vsr(
    capsys: pytest.CaptureFixture[str], *arguments: str | Path
) -> tuple[int, str, str]:
    status = _run([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_upscale_and_its_summary(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, moving_clip: Path
) -> None:
    status, out, err = _vsr(
        capsys,
        "upscale",
        moving_clip,
        tmp_path / "o.mp4",
        "--end",
        "0.08",
        "--device",
        "cpu",
        "--preset",
        "ultrafast",
        "--json",
    )
    assert status == 0
    summary = json.loads(out)
    wanted = {
        "frames_in",
        "frames_out",
        "width",
        "height",
        "seconds",
        "network_seconds",
        "device",
        "backend",
        "damage",
    }
    assert wanted <= summary.keys()
    assert (
        summary["frames_in"],
        summary["frames_out"],
        summary["width"],
        summary["height"],
    ) == (2, 2, 192, 128)
    assert "--fps source" in err
    assert "Traceback" not in err


def test_quiet_says_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, moving_clip: Path
) -> None:
    assert _vsr(
        capsys,
        "upscale",
        moving_clip,
        tmp_path / "o.mp4",
        "--end",
        "0.04",
        "-q",
        "--preset",
        "ultrafast",
    ) == (0, "", "")


def _bad_input(folder: Path, kind: str) -> Path:
    path = folder / "in.mp4"
    if kind == "a folder":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("hello")
    return path


@pytest.mark.parametrize("kind", ["missing", "a folder", "empty", "text"])
def test_bad_input_is_one_line_and_exit_1(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, kind: str
) -> None:
    status, out, err = _vsr(
        capsys, "upscale", _bad_input(tmp_path, kind), tmp_path / "o.mp4"
    )
    assert (status, out) == (1, "")
    assert err.count("\n") == 1
    assert str(tmp_path / "in.mp4") in err
    assert not (tmp_path / "o.mp4").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["--nonsense"], 2, "no such option"),
        (["--fps", "fast"], 2, "not a frame rate"),
        (["--start", "yesterday"], 2, "not a time"),
        (["--start", "5", "--end", "2"], 2, "not after --start"),
        (["--domain", "other"], 2, "other"),
        (["-e", "crf"], 2, "KEY=VALUE"),
        (["--model", "unheard-of"], 2, "choose delta"),
        (
            ["--model", "previous", "--domain", "video"],
            2,
            "no 'video' weights ship for 'previous'",
        ),
        (["--codec", "unheard-of"], 2, "mp4 takes libx264"),
        (["--codec", "libx256"], 2, "did you mean 'libx265'?"),
        (["--crf", "99"], 2, "libx264 takes 0 (best quality) to 51"),
        (["--preset", "warp"], 2, "no preset 'warp'"),
        (["--quality", "tiny"], 2, "balanced"),
        (["--device", "toaster"], 2, "use auto, cpu, cuda"),
        (["--fp16", "--device", "cpu"], 1, "--fp32"),
        (["--start", "99"], 2, "after the end"),
    ],
)
def test_wrong_options(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    moving_clip: Path,
    arguments: list[str],
    status: int,
    says: str,
) -> None:
    found, out, err = _vsr(
        capsys, "upscale", moving_clip, tmp_path / "o.mp4", *arguments
    )
    assert (found, out) == (status, "")
    assert says in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_cuda_where_there_is_none(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    moving_clip: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    status, _, err = _vsr(
        capsys, "upscale", moving_clip, tmp_path / "o.mp4", "--device", "cuda"
    )
    assert status == 1
    assert "--device cpu" in err
    assert list(tmp_path.iterdir()) == []


def test_existing_output_is_kept(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, moving_clip: Path
) -> None:
    (tmp_path / "o.mp4").write_text("precious")
    status, _, err = _vsr(capsys, "upscale", moving_clip, tmp_path / "o.mp4")
    assert status == 1
    assert "-y" in err
    assert (tmp_path / "o.mp4").read_text() == "precious"


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_interrupted(
    tmp_path: Path, demo_clip: Path, number: signal.Signals, status: int
) -> None:
    """Ctrl-C during a run: exit code, no output file, no temporary file, no traceback.

    A real network is at work the first time, one that waits the second.
    """
    program = ["-c", "from vsrcli.cli import main; main()"]
    if number == signal.SIGTERM:
        program = [str(ROOT / "tests" / "fake_vsr.py"), "--seconds-a-frame", "0.5"]
    arguments = [
        sys.executable,
        *program,
        "upscale",
        str(demo_clip),
        str(tmp_path / "o.mp4"),
        "--model",
        "delta",
        "--device",
        "cpu",
    ]
    process = subprocess.Popen(
        arguments,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        # where the tests run in the background, a shell has told its children to ignore Ctrl-C
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".*.part")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(number)
    try:
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == status
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_demo_info_and_models(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    clip = tmp_path / "clip.mp4"
    assert _vsr(capsys, "demo", clip)[0] == 0
    assert _vsr(capsys, "demo", clip)[0] == 1
    assert _vsr(capsys, "demo", clip, "-y", "-q") == (0, "", "")
    status, out, _ = _vsr(capsys, "info", clip, "--json")
    found = json.loads(out)
    assert status == 0
    assert found["video"]["upscaled_size"] == "512x288"
    assert [stream["action"] for stream in found["streams"]] == ["upscale", "copy"]
    assert re.search(r"upscaled size +512x288\n", _vsr(capsys, "info", clip)[1])
    rows = json.loads(_vsr(capsys, "models", "--json")[1])
    assert {row["name"]: row["parameters"] for row in rows} == {
        spec.name: spec.parameters for spec in MODELS.values()
    }
    for row in rows:
        for weights in row["checkpoints"]:
            assert {
                "file",
                "sha256",
                "licence",
                "trained_on",
                "domain",
            } <= weights.keys()
            assert weights["sha256"] in _vsr(capsys, "models")[1]


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert _vsr(capsys, "--version")[1].strip() == f"vsr, version {__version__}"
    assert "upscale" in _vsr(capsys, "--help")[1]
    assert _vsr(capsys, "unheard-of")[0] == 2


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_flag_has_help_with_an_example(name: str) -> None:
    command = _commands()[name]
    assert command.help is not None
    assert command.short_help
    assert re.search(rf"^\s*vsr {name}", command.help, re.MULTILINE)
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


@pytest.mark.parametrize(
    ("name", "dataclasses"),
    [("upscale", (UpscaleOptions, EncoderOptions)), ("train", (TrainOptions,))],
)
def test_flags_have_the_defaults_of_the_options(
    name: str, dataclasses: tuple[type, ...]
) -> None:
    command = _commands()[name]
    flags = {
        parameter.name: parameter
        for parameter in command.params
        if isinstance(parameter, click.Option)
    }
    for dataclass in dataclasses:
        for field in fields(dataclass):
            if "help" in field.metadata:
                found = flags[field.name].get_default(click.Context(command))
                default = field.default or None
                if field.name == "fps" and default is not None:
                    default = str(default)
                elif isinstance(default, float):
                    default = f"{default:g}"
                assert (found or None) == default, field.name


def test_readme_names_what_exists() -> None:
    commands = _commands()
    flags = {
        flag
        for command in commands.values()
        for parameter in command.params
        for flag in parameter.opts
    }
    for line in re.findall(r"^(?:\.venv/bin/)?vsr .*$", README, re.MULTILINE):
        words = line.split("#")[0].split()
        assert words[1] in commands, line
        for word in words:
            if word.startswith("-") and word.strip("-"):
                assert word in flags, line
    assert README.count("<!-- test command -->") == 1
    for spec in MODELS.values():
        assert re.search(rf"`{spec.name}`[^|]*\| {spec.parameters:,} \|", README)


def test_everything_public_is_documented() -> None:
    for file in sorted((ROOT / "vsrcli").rglob("*.py")):
        tree = ast.parse(file.read_text())
        assert ast.get_docstring(tree) or not tree.body, file
        for node in tree.body:
            if isinstance(
                node, ast.FunctionDef | ast.ClassDef
            ) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{file}: {node.name}"


def test_no_memory_is_one_line(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    moving_clip: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def exhausted(*arguments: object, **options: object) -> None:
        raise MemoryError

    monkeypatch.setattr("vsrcli.jobs.upscale.open_backend", exhausted)
    status, out, err = _vsr(capsys, "upscale", moving_clip, tmp_path / "o.mp4")
    assert (status, out) == (1, "")
    assert "--tile" in err


def test_every_container_for_pipes_is_a_choice() -> None:
    assert get_args(PipeFormat) == tuple(PIPED)
