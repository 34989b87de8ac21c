"""Records what ten fixed commands write, so that two versions of the code can be compared.

    python tests/golden.py record DIR [--tree PATH] [--portable] [--only NAME]
    python tests/golden.py compare DIR_A DIR_B

`record` makes its own sources, runs every command of `COMMANDS` with the package in PATH (default:
this checkout) and writes DIR/NAME.json: exit status, the JSON that the command prints, and every
file that it leaves (streams, packets, digests of the decoded frames). `compare` prints a line for
each command, and exits with 1 if one differs.

Frames from a real network are the same only on one machine with the same libraries. `--portable`
runs a network that interpolates instead, whose results are exact everywhere, and leaves out what
depends on the version of a library; `tests/golden/` holds such a recording:

    python tests/golden.py record tests/golden --portable
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from golden_files import describe_graph, describe_media, describe_picture, without
from golden_sources import write_sources

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent

# Keys of the commands' JSON that are left out, and why.
VARYING_KEYS = {
    "seconds": "wall time",
    "network_seconds": "wall time",
    "verify_seconds": "wall time",
    "stages": "wall time",
    "frames_per_second": "speed",
    "peak_memory_mb": "memory of the process",
    "max_difference": "rounding by the processor",
    "bytes": "size of an ONNX file, which names the version of its exporter",
    "notes": "wording",
    "note": "wording",
    "text": "wording",
    "title": "wording",
    "degradation": "wording",
}
# Keys that depend on the moment at which a run is killed.
RESUMED_KEYS = ("frames_computed", "frames_resumed", "frames_recalled", "reused")
# Floating-point numbers differ in the last digits from one processor to another.
RELATIVE_TOLERANCE = 1e-5
ABSOLUTE_TOLERANCE = 1e-4

_TIMEOUT_SECONDS = 300
_MAX_KILLS = 5
_PAUSE_VARIABLE = "VSR_GOLDEN_SECONDS_A_FRAME"
_RUN_WITH_INTERPOLATION = "import golden; golden.run_with_interpolation()"


@dataclass(frozen=True)
class Command:
    """One of the fixed commands. It runs in the working folder and writes into the folder NAME.

    Attributes:
        name: of the command, its output folder and its recording.
        arguments: after `vsr`; sources are in `sources/`.
        stdin: file that is piped in.
        stdout: file that takes standard output; it is JSON where there is none.
        cores: processor cores that it may use.
        is_killed: whether it is killed after its first finished segment, and then run again.
        varying_keys: further keys of its JSON that are left out.
    """

    name: str
    arguments: str
    stdin: str | None = None
    stdout: str | None = None
    cores: int = 1
    is_killed: bool = False
    varying_keys: tuple[str, ...] = ()


COMMANDS = (
    Command(
        "upscale",
        "upscale sources/clip.mp4 upscale/out.mkv --model lite --domain video "
        "--codec ffv1 --verify --json",
    ),
    Command(
        "folder",
        "upscale sources/frames folder/frames --model lite --domain clean --tile 32 --json",
    ),
    Command(
        "pipe",
        "upscale - - --format matroska --model delta --domain video --fps source --codec ffv1",
        stdin="sources/deep.mkv",
        stdout="pipe/out.mkv",
    ),
    Command(
        "devices",
        "upscale sources/clip.mp4 devices/out.mkv --model lite --domain clean --devices cpu*2 "
        "--segment 0.2 --start 0.08 --fps source --codec ffv1 --json",
        cores=2,
    ),
    Command(
        "resume",
        "upscale sources/clip.mp4 resume/out.mp4 --model previous --domain clean --segment 0.2 "
        "--codec libx264 --crf 0 --preset ultrafast --json",
        is_killed=True,
        varying_keys=RESUMED_KEYS,
    ),
    Command(
        "extract",
        "extract sources/clip.mp4 extract/frames --start 0.2 --end 0.6 --json",
    ),
    Command(
        "assemble",
        "assemble sources/frames assemble/out.mkv --fps 24000/1001 "
        "--audio-from sources/clip.mp4 --codec ffv1 --json",
    ),
    Command(
        "verify",
        "verify sources/clip.mp4 sources/doubled.mkv --fps source --json",
    ),
    Command(
        "bench",
        "bench sources/clip.mp4 --model lite --model previous --frames 6 --json - --quiet",
    ),
    Command(
        "export",
        "export export/out.onnx --model lite --domain clean --json",
    ),
)


class Recorder:
    """Runs commands in a working folder and describes what they leave there."""

    def __init__(self, folder: Path, tree: Path, *, is_portable: bool) -> None:
        """Make the sources.

        Args:
            folder: empty working folder.
            tree: checkout whose package runs.
            is_portable: whether the interpolating network runs, and only what does not depend on
                processor and library versions is recorded.

        Raises:
            RuntimeError: Python does not find the package in that checkout.
        """
        self._folder = folder
        self._is_portable = is_portable
        self._environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(
                str(path) for path in (tree, tree / "tests", TESTS)
            ),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "CUDA_VISIBLE_DEVICES": "-1",
            "OMP_NUM_THREADS": "1",
        }
        self._check_package(tree)
        write_sources(folder / "sources")

    def record(self, command: Command) -> dict[str, Any]:
        """Run a command.

        Returns:
            Its status, the JSON that it printed, and its files by their path within its folder.
        """
        output = self._folder / command.name
        output.mkdir()
        if command.is_killed:
            self._run_and_kill(command)
        result = self._run(command)
        if result.returncode:
            print(result.stderr.decode(errors="replace"), end="", file=sys.stderr)
        record: dict[str, Any] = {"status": result.returncode}
        if command.stdout is None:
            printed = json.loads(result.stdout) if result.stdout else None
            record["json"] = without(printed, {*VARYING_KEYS, *command.varying_keys})
        else:
            (self._folder / command.stdout).write_bytes(result.stdout)
        record["files"] = {
            str(path.relative_to(output)): self._describe(path)
            for path in sorted(output.rglob("*"))
            if path.is_file()
        }
        return record

    def _check_package(self, tree: Path) -> None:
        """Make sure that the commands run the code that they should."""
        code = "import vsrcli; print(vsrcli.__file__)"
        found = subprocess.run(
            [sys.executable, "-c", code],
            env=self._environment,
            cwd=self._folder,
            check=True,
            capture_output=True,
            text=True,
        )
        package = Path(found.stdout.strip()).parent
        if package != tree / "vsrcli":
            raise RuntimeError(f"Python finds {package}, not {tree / 'vsrcli'}")

    def _run(self, command: Command) -> subprocess.CompletedProcess[bytes]:
        source = self._folder / command.stdin if command.stdin else Path(os.devnull)
        with source.open("rb") as stdin:
            return subprocess.run(
                self._command_line(command),
                stdin=stdin,
                capture_output=True,
                env=self._environment,
                cwd=self._folder,
                preexec_fn=_limit_to(command.cores),
                timeout=_TIMEOUT_SECONDS,
                check=False,
            )

    def _run_and_kill(self, command: Command) -> None:
        """Start a command, and kill it when its first segment is there but not yet its output.

        Raises:
            RuntimeError: it always ended before it could be killed.
        """
        output = self._folder / command.name
        for _ in range(_MAX_KILLS):
            process = subprocess.Popen(
                self._command_line(command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**self._environment, _PAUSE_VARIABLE: "0.05"},
                cwd=self._folder,
                preexec_fn=_limit_to(command.cores),
            )
            while process.poll() is None and not any(output.rglob("*.packets")):
                time.sleep(0.005)
            process.kill()
            process.wait()
            if any(output.rglob("*.packets")):
                return
            for path in output.iterdir():
                path.unlink()
        raise RuntimeError(f"{command.name}: no run could be killed halfway")

    def _command_line(self, command: Command) -> list[str]:
        program = ["-m", "vsrcli"]
        if self._is_portable:
            program = ["-c", _RUN_WITH_INTERPOLATION]
        return [sys.executable, *program, *command.arguments.split()]

    def _describe(self, path: Path) -> dict[str, Any]:
        if path.suffix == ".onnx":
            return describe_graph(path, is_portable=self._is_portable)
        if path.suffix == ".png":
            return describe_picture(path, is_portable=self._is_portable)
        return describe_media(path, is_portable=self._is_portable)


def run_with_interpolation() -> None:
    """Run `vsr` with the process's arguments and the interpolating network in all places.

    What the package imports later from `vsrcli.backends` is the replaced function.
    """
    import vsrcli.backends

    vsrcli.backends.open_backend = open_interpolation
    from vsrcli.cli import main

    main()


def open_interpolation(*_: Any, **__: Any) -> Any:
    """Open the interpolating network; takes the arguments of `open_backend`."""
    from fake import FakeBackend

    pause = float(os.environ.get(_PAUSE_VARIABLE, "0"))

    class Interpolation(FakeBackend):
        def run(self, windows: Any) -> Any:
            time.sleep(pause)
            return super().run(windows)

    return Interpolation()


def first_difference(left: Any, right: Any, path: str = "") -> str | None:
    """Where two recordings differ first: the path and both values; None where they are equal.

    Numbers with a fraction may differ by the tolerances above.
    """
    if isinstance(left, dict) and isinstance(right, dict):
        for key in [*left, *(key for key in right if key not in left)]:
            place = f"{path}/{key}"
            if key not in left or key not in right:
                side = "first" if key in left else "second"
                return f"{place}: only in the {side}"
            if difference := first_difference(left[key], right[key], place):
                return difference
        return None
    if isinstance(left, list) and isinstance(right, list):
        for number, pair in enumerate(zip(left, right, strict=False)):
            if difference := first_difference(*pair, f"{path}[{number}]"):
                return difference
        if len(left) != len(right):
            return f"{path}: {len(left)} entries, {len(right)} entries"
        return None
    if _are_equal(left, right):
        return None
    return f"{path}: {left!r}, {right!r}"


def _are_equal(left: Any, right: Any) -> bool:
    if isinstance(left, float) and isinstance(right, float):
        if math.isnan(left) and math.isnan(right):
            return True
        return math.isclose(
            left,
            right,
            rel_tol=RELATIVE_TOLERANCE,
            abs_tol=ABSOLUTE_TOLERANCE,
        )
    return bool(left == right) and type(left) is type(right)


def _limit_to(cores: int) -> Any:
    """What a child process calls to use only the first of the available cores."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    available = sorted(os.sched_getaffinity(0))
    return partial(os.sched_setaffinity, 0, available[:cores])


def record_all(
    target: Path,
    tree: Path = ROOT,
    *,
    is_portable: bool,
    names: list[str] | None = None,
) -> Iterator[tuple[str, float]]:
    """Write the recordings of all commands, or of those named, into a folder.

    Yields:
        The name of each command when it is done, and the seconds that it took.
    """
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(Path(folder).resolve(), tree, is_portable=is_portable)
        for command in COMMANDS:
            if names and command.name not in names:
                continue
            began = time.monotonic()
            content = json.dumps(recorder.record(command), indent=1)
            (target / f"{command.name}.json").write_text(content + "\n")
            yield command.name, time.monotonic() - began


def compare(left: Path, right: Path) -> bool:
    """Print a line for each command that either folder holds, and return whether all are equal."""
    names = sorted(
        {path.name for folder in (left, right) for path in folder.glob("*.json")}
    )
    differences = 0
    for name in names:
        missing = [folder for folder in (left, right) if not (folder / name).exists()]
        if missing:
            difference: str | None = f"not in {missing[0]}"
        else:
            first = json.loads((left / name).read_text())
            second = json.loads((right / name).read_text())
            difference = first_difference(first, second)
        print(f"{Path(name).stem}: {difference or 'equal'}")
        differences += difference is not None
    return bool(names) and not differences


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", required=True)
    recording = actions.add_parser("record")
    recording.add_argument("target", type=Path)
    recording.add_argument("--tree", type=Path, default=ROOT)
    recording.add_argument("--portable", action="store_true")
    recording.add_argument(
        "--only",
        action="append",
        choices=[command.name for command in COMMANDS],
    )
    comparing = actions.add_parser("compare")
    comparing.add_argument("left", type=Path)
    comparing.add_argument("right", type=Path)
    arguments = parser.parse_args()
    if arguments.action == "compare":
        sys.exit(not compare(arguments.left, arguments.right))
    for name, seconds in record_all(
        arguments.target,
        arguments.tree.resolve(),
        is_portable=arguments.portable,
        names=arguments.only,
    ):
        print(f"{name}: {seconds:.1f} s")


if __name__ == "__main__":
    main()
