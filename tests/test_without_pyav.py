"""A machine for training may have no PyAV: what needs none works, what needs it says so."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from vsrcli.cli import COMMANDS
from vsrcli.clips.sequences import SEQUENCE

ROOT = Path(__file__).resolve().parent.parent

BLOCKED = "import sys\nsys.modules['av'] = None\n"
# prints status, stdout and stderr of each command line
RUN = (
    BLOCKED
    + """
import contextlib, io, json
from vsrcli.cli import _run

results = []
for arguments in json.loads(sys.argv[1]):
    out = io.StringIO()
    err = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = _run(arguments)
    results.append([status, out.getvalue(), err.getvalue()])
print(json.dumps(results))
"""
)


def _python(code: str, *arguments: str) -> str:
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _run(*lines: list[str]) -> list[tuple[int, str, str]]:
    """Status, stdout and stderr of each command line, all run in one process without PyAV."""
    results: list[tuple[int, str, str]] = json.loads(_python(RUN, json.dumps(lines)))
    return results


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The video of a training pack: three sequences of a pattern that moves, 64x64."""
    folder = tmp_path_factory.mktemp("pack")
    blocks = np.kron(
        np.random.default_rng(4).integers(30, 220, (32, 32)), np.ones((3, 3))
    )
    writer = cv2.VideoWriter(
        str(folder / "val.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 25, (64, 64)
    )
    for sequence in range(3):
        for frame in range(SEQUENCE):
            picture = np.roll(blocks, (frame, 9 * sequence), axis=(0, 1))[:64, :64]
            writer.write(np.dstack([picture.astype(np.uint8)] * 3))
    writer.release()
    rows = "".join(f"val,1,scene{number}\n" for number in range(3))
    (folder / "manifest.csv").write_text("split,shippable,content_group\n" + rows)
    return folder / "val.mp4"


def test_the_tests_for_a_card_are_collected() -> None:
    collect = [
        "tests/test_gpu.py",
        "--collect-only",
        "-q",
        "-m",
        "gpu",
        "-p",
        "no:cacheprovider",
    ]
    code = f"{BLOCKED}import pytest\nsys.exit(pytest.main({collect!r}))"
    found = [
        line
        for line in _python(code).splitlines()
        if line.startswith("tests/test_gpu.py::")
    ]
    assert len(found) > 5


def test_help_and_models() -> None:
    results = _run(["--help"], ["models"], *([name, "--help"] for name in COMMANDS))
    for status, out, err in results:
        assert (status, err) == (0, "")
        assert out


def test_a_training_pack_is_benchmarked(pack: Path) -> None:
    """Only as many sequences as ``--frames`` says."""
    line = [
        "bench",
        str(pack),
        "--frames",
        "2",
        "-m",
        "lite",
        "--device",
        "cpu",
        "--json",
        "-",
    ]
    [(status, out, err)] = _run(line)
    assert status == 0, err
    report = json.loads(out)
    assert report["frames"] == 2
    assert not report["undefined"]
    means = {row["name"]: row["means"] for row in report["rows"]}
    assert means.keys() == {"nearest", "bicubic", "lanczos"} | {
        "lite:clean",
        "lite:video",
    }
    for figures in means.values():
        assert figures.keys() == {"mse", "psnr", "ssim"}
        assert all(math.isfinite(value) for value in figures.values())
        assert figures["psnr"] > 15


@pytest.mark.parametrize(
    "line",
    [
        ["upscale", "in.mp4", "out.mp4"],
        ["upscale", "in.mp4", "in.mp4", "--out-dir", "."],
        ["verify", "in.mp4", "out.mp4"],
        ["extract", "in.mp4", "frames"],
        ["assemble", ".", "out.mp4"],
        ["info", "in.mp4"],
        ["demo", "out.mp4"],
        ["bench", "in.mp4"],
        [
            "train",
            "--data",
            "in.mp4",
            "--out",
            "run",
            "--steps",
            "1",
            "--device",
            "cpu",
        ],
    ],
    ids=lambda line: " ".join(
        line[:1] + [word for word in line if word == "--out-dir"]
    ),
)
def test_what_needs_pyav_says_so_in_one_line(line: list[str], tmp_path: Path) -> None:
    (tmp_path / "in.mp4").write_bytes(b"a film")
    names = {"in.mp4", "out.mp4", "frames", ".", "run"}
    [(status, out, err)] = _run(
        [str(tmp_path / word) if word in names else word for word in line]
    )
    assert (status, out) == (1, "")
    assert err.count("\n") == 1
    assert err.startswith("vsr: error: PyAV")
    assert "pip install av" in err


def test_a_metric_of_ffmpeg_says_so_too(tmp_path: Path) -> None:
    """A folder of pictures needs PyAV only for that."""
    for number in range(2):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((64, 64), 90, np.uint8))
    [(status, _, err)] = _run(
        ["bench", str(tmp_path), "-m", "lite", "--metrics", "xpsnr"]
    )
    assert status == 1
    assert err.startswith("vsr: error: PyAV")


def test_a_broken_pyav_says_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from vsrcli.cli import _run as run

    def refuse(name: str) -> None:
        raise ImportError(
            "libx264.so.164: cannot open shared object file", name="av._core"
        )

    monkeypatch.setattr("vsrcli.cli.import_module", refuse)
    assert run(["info", "in.mp4"]) == 1
    err = capsys.readouterr().err
    assert "libx264.so.164" in err
    assert err.count("\n") == 1


def test_another_package_that_is_missing_is_no_case_of_pyav(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The message would send the user the wrong way."""
    from vsrcli.cli import _run as run

    monkeypatch.setitem(COMMANDS, "none_of_that_name", "No module has it.")
    with pytest.raises(ModuleNotFoundError, match="none_of_that_name"):
        run(["none_of_that_name"])
