"""Text from files and names reaches the terminal, JSON and pages without controlling them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import pytest
from clips import texture

from vsrcli.cli import _run, main, signals
from vsrcli.wording import printable

ROOT = Path(__file__).resolve().parent.parent
# an escape sequence, a C1 control, rich's markup, a bidirectional override, a second line
HOSTILE = "\x1b[31mred\x9b0m [bold]x[/bold] \u202egnp.exe\u2069 one\ntwo\r"
NAME = HOSTILE.replace("/", "").strip()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("film.mp4", "film.mp4"),
        ("\x1b[2J\x07\x7f", r"\x1b[2J\x07\x7f"),
        ("a\nb\r\tc\x85", r"a\nb\r\tc\x85"),
        ("\u202eabc\u2066", r"\u202eabc\u2066"),
        ("a\u2028b\u2029", r"a\u2028b\u2029"),
        ("\udcff", r"\udcff"),
        ("\U000e0041", r"\U000e0041"),
        # letters of all scripts, and the joiners and marks that they need
        (
            "Möwe 映画 фильм نیم‌فاصله 👩‍🚀 \u200f",
            "Möwe 映画 фильм نیم‌فاصله 👩‍🚀 \u200f",
        ),
        ("[bold]x[/bold]", "[bold]x[/bold]"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown


def _assert_harmless(text: str) -> None:
    for line in text.split("\n"):
        assert printable(line) == line
    assert "gnp.exe" not in text or r"\u202egnp.exe" in text


@pytest.fixture(scope="module")
def hostile_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight frames in a file whose name, tags, titles and languages are hostile."""
    path = tmp_path_factory.mktemp("hostile") / f"{NAME}.mkv"
    with av.open(str(path), "w", format="matroska") as out:
        video: Any = out.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        video.width = 32
        video.height = 32
        video.pix_fmt = "yuv420p"
        lines: Any = out.add_mux_stream("subrip")
        out.metadata.update({"title": HOSTILE, f"key{HOSTILE}": HOSTILE})
        for stream in (video, lines):
            stream.metadata.update({"title": HOSTILE, "language": "\x1b[m\u202e"})
        for number in range(8):
            picture = av.VideoFrame.from_ndarray(texture(number, (32, 32)), "gray")
            out.mux(video.encode(picture.reformat(format="yuv420p")))
        out.mux(video.encode(None))
        line: Any = av.Packet(HOSTILE.encode())
        line.stream = lines
        line.time_base = Fraction(1, 1000)
        line.pts = line.dts = 0
        line.duration = 300
        out.mux(line)
    return path


def test_every_command_prints_harmless_text(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, hostile_clip: Path
) -> None:
    output = tmp_path / f"{NAME}-x2.avi"
    pictures = tmp_path / f"pictures {NAME}"
    weights = tmp_path / f"{NAME}.safetensors"
    weights.write_bytes(b"no weights")
    page = tmp_path / "page.html"
    lite = ("--model", "lite")
    statuses = {}
    for arguments in (
        ("info", hostile_clip),
        ("info", hostile_clip, "--to", "o.avi"),
        ("info", hostile_clip, "--json"),
        ("info", tmp_path / NAME),
        ("upscale", hostile_clip, output, *lite, "-v", "--verify"),
        ("upscale", hostile_clip, output, *lite),
        ("upscale", hostile_clip, tmp_path / "o.mp4", *lite, "--strict"),
        ("upscale", hostile_clip, tmp_path / "o.mp4", "--weights", weights),
        ("upscale", hostile_clip, hostile_clip, "--out-dir", pictures, *lite),
        ("verify", hostile_clip, output),
        ("verify", hostile_clip, output, "--json"),
        ("extract", hostile_clip, pictures / "frames"),
        ("assemble", pictures / "frames", tmp_path / f"a{NAME}.mkv"),
        ("bench", hostile_clip, "-m", "lite", "--frames", "4", "--html", page),
        ("preview", hostile_clip, "-m", "lite", "--frames", "1", "-y", "--html", page),
        ("preview", hostile_clip, "--html", page.with_name(NAME)),
        ("bench", hostile_clip, "--against", tmp_path / NAME),
        ("models", weights),
        ("train", "--data", hostile_clip, "--out", tmp_path / f"run{NAME}"),
        ("export", "--model", "lite", tmp_path / NAME / "x.onnx"),
        ("demo", tmp_path / NAME / "x.mp4"),
        (HOSTILE,),
        ("info", f"--{HOSTILE}"),
    ):
        statuses[arguments[:2]] = _run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        _assert_harmless(captured.err)
        if "--json" in arguments:
            assert captured.out.isascii()
            json.loads(captured.out)
        else:
            _assert_harmless(captured.out)
    assert statuses["upscale", hostile_clip] in (0, 1)
    _assert_harmless(page.read_text(encoding="utf-8"))


def _command(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "vsrcli", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | options.pop("env", {}),
        **options,
    )


def test_no_columns_hide_no_error() -> None:
    process = _command("info", "missing.mp4", env={"COLUMNS": "0"})
    assert "missing.mp4: no such file" in process.communicate()[1]
    assert process.returncode == 1


def test_where_stderr_is_closed_notes_do_not_go_into_the_output(tmp_path: Path) -> None:
    """The number of a closed stream is the next that the system gives to a file."""
    output = tmp_path / "output"
    code = (
        "import os, sys; os.close(2); sys.stderr = None\n"
        "from vsrcli import cli\n"
        "from vsrcli.cli.console import note\n"
        "def work(**options):\n"
        f"    with open({str(output)!r}, 'wb') as file:\n"
        "        note('a note')\n"
        "cli.group.main = work\n"
        "cli.main([])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert done.returncode == 0
    assert output.read_bytes() == b""


@pytest.mark.parametrize("arguments", [("models", "--json"), ("demo", "--help")])
def test_a_standard_output_that_takes_nothing_is_an_error(arguments: list[str]) -> None:
    process = _command(*arguments, preexec_fn=lambda: os.close(1))
    _, error = process.communicate()
    assert "vsr: error: standard output cannot be written: Bad file" in error
    assert error.count("\n") == 1
    assert process.returncode == 1


_INTERRUPTED_IMPORT = """
import os, signal, sys
interrupted = sys.argv.pop(1)
class Interrupt:
    def find_spec(self, name, *rest):
        if name == interrupted:
            os.kill(os.getpid(), signal.SIGINT)
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Interrupt())
from vsrcli.__main__ import main
main()
"""


@pytest.mark.parametrize("module", ["click", "vsrcli.cli.upscale", "numpy", "torch"])
def test_interrupted_while_a_library_is_imported(
    tmp_path: Path, hostile_clip: Path, module: str
) -> None:
    output = tmp_path / "o.mkv"
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            _INTERRUPTED_IMPORT,
            module,
            "upscale",
            hostile_clip,
            output,
            "--backend=torch",
        ],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.strip() == "vsr: interrupted"
    assert done.returncode == 130
    assert list(tmp_path.iterdir()) == []


def test_what_a_library_makes_of_an_interruption_is_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def import_interrupted(**options: object) -> None:
        monkeypatch.setattr(signals, "_interrupts", 1)
        raise ImportError("numpy could not be imported")

    monkeypatch.setattr("vsrcli.cli.group", SimpleNamespace(main=import_interrupted))
    monkeypatch.setattr(signals, "_interrupts", 0)
    assert _run(["models"]) == 130
    assert capsys.readouterr().err == "vsr: interrupted\n"


class _InterruptedWhenDropped:
    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)


def test_an_interruption_that_python_swallows_comes_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def work(**options: object) -> None:
        dropped = _InterruptedWhenDropped()
        del dropped
        time.sleep(10)

    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr("vsrcli.cli.group", SimpleNamespace(main=work))
    try:
        with pytest.raises(SystemExit) as ended:
            main([])
    finally:
        signal.signal(signal.SIGINT, previous)
    assert ended.value.code == 130
    assert capsys.readouterr().err == "vsr: interrupted\n"
