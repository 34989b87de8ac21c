"""`vsr` killed with SIGKILL at every system call that changes names or waits for the disk.

python benchmarks/kill_points.py [--only CASE ...] [--model lite] [-v]

strace counts the calls of an undisturbed run on files in its folder: fsync, rename, link, unlink,
mkdir and the like. Then the run is repeated once for each of them and killed there. After each kill
the same command must end well: the output complete and as undisturbed, nothing left beside it, and
no process of the killed run alive. Needs strace and Linux. Without ``--model``, a network that only
interpolates is in the place of all: the kills concern files.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kill import content, packets
from script_parts import VSR, print_header, print_row

from vsrcli.jobs.demo import write_demo

CALLS = (
    "fsync",
    "fdatasync",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "rmdir",
    "mkdir",
    "mkdirat",
)
# process, call, the rest of the line
_LINE = re.compile(r"(\d+) +(\w+)\((.*)")
_KILLED = re.compile(r"(\d+) +\+\+\+ killed by SIGKILL")
_FAILED = re.compile(r" = -1 E")
_SECONDS_TO_END = 5.0
_LIMIT_S = 300
_PICTURES = (".png", ".tiff")

_FAKE_VSR = [
    sys.executable,
    str(Path(__file__).resolve().parent.parent / "tests" / "fake_vsr.py"),
]

Command = list[str]


@dataclass(frozen=True)
class Case:
    """A command that is killed.

    Attributes:
        command: with names relative to the folder.
        outputs: what it leaves.
        prepare: makes what it needs in a new folder, besides `in.mp4`.
        says_exists: whether the command may say that its output exists, where it was killed after
            its last step: it keeps no record of what it was.
    """

    command: Command
    outputs: tuple[str, ...] = ("out.mkv",)
    prepare: Callable[[Path], None] = lambda folder: None
    says_exists: bool = False


@dataclass(frozen=True)
class Point:
    """A system call: the N-th of its name in one of the processes."""

    call: str
    number: int


@dataclass(frozen=True)
class Outcome:
    """What came after a kill; each text is empty if all is well.

    Attributes:
        point: where.
        where: the call as strace printed it.
        was_killed: whether the run was killed at all, or reached its end first.
        problem: what is wrong.
        note: what the repeated command said, if it had nothing to do.
    """

    point: Point
    where: str
    was_killed: bool
    problem: str
    note: str


def cases(model: str | None) -> dict[str, Case]:
    """The commands, by names for `--only`.

    Args:
        model: the network; None for the one that only interpolates.
    """
    vsr = _FAKE_VSR if model is None else VSR
    options = ["--codec", "ffv1", "--model", model or "lite"]
    upscale = [*vsr, "upscale", "in.mp4", "out.mkv", *options]
    one_go = [*upscale, "--segment", "0"]
    segments = [*upscale, "--segment", "0.5"]
    many = [*vsr, "upscale", "in.mp4", "second.mp4", "--out-dir", "big", *options]
    extract = [*VSR, "extract", "in.mp4", "pictures", "--end", "0.1"]

    def prepare_pictures(folder: Path) -> None:
        run(extract, folder)

    def prepare_parts(folder: Path) -> None:
        traced(segments, folder, Point("link", 1))

    return {
        "segments": Case(segments),
        "one go": Case(one_go),
        "one go, -y": Case([*one_go, "-y"]),
        "join": Case(segments, prepare=prepare_parts),
        "join, -y": Case([*segments, "-y"], prepare=prepare_parts),
        "devices": Case([*segments, "--devices", "cpu*2"]),
        "verify": Case([*segments, "--verify"]),
        "batch": Case(
            [*many, "--segment", "0.5", "--skip-existing"],
            outputs=("big/in.mp4", "big/second.mp4"),
            prepare=lambda folder: write_source(folder / "second.mp4"),
        ),
        "extract": Case(extract, outputs=("pictures",), says_exists=True),
        "assemble": Case(
            [*VSR, "assemble", "pictures", "out.mkv", "--codec", "ffv1"],
            prepare=prepare_pictures,
            says_exists=True,
        ),
        "export": Case(
            [*VSR, "export", "out.onnx", "--model", model or "lite"],
            outputs=("out.onnx",),
            says_exists=True,
        ),
    }


def write_source(path: Path) -> None:
    """A second of 64x48."""
    write_demo(path, seconds=1, size=(64, 48))


def run(command: Command, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder."""
    return subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
    )


def traced(command: Command, folder: Path, point: Point | None) -> list[str]:
    """Run a command under strace, and kill it at a point.

    Returns:
        The lines of the trace.
    """
    log = folder.with_suffix(".trace")
    tracer = ["strace", "-f", "-y", "-o", str(log)]
    tracer += ["-e", f"trace={','.join(CALLS)}"]
    if point is not None:
        injection = f"inject={point.call}:signal=SIGKILL:when={point.number}"
        tracer += ["-e", injection]
    run([*tracer, *command], folder)
    return log.read_text(errors="replace").splitlines()


def points_of(lines: list[str], folder: Path) -> list[Point]:
    """The calls of a trace on files in a folder, each point once."""
    counts: Counter[tuple[str, str]] = Counter()
    points: dict[Point, None] = {}
    for line in lines:
        match = _LINE.match(line)
        if match is None:
            continue
        process, call, rest = match.groups()
        counts[process, call] += 1
        if not _FAILED.search(rest) and _is_in(rest, folder):
            points[Point(call, counts[process, call])] = None
    return list(points)


def _is_in(arguments: str, folder: Path) -> bool:
    """Whether a call names a file in a folder: by its whole path, or from there."""
    names = re.findall(r'"([^"]*)"', arguments)
    is_relative = any(not name.startswith("/") for name in names)
    return str(folder) in arguments or is_relative


def digest_of(output: Path) -> object:
    """What has to be the same: frames and packets of a video, bytes of anything else."""
    if output.suffix in (".mkv", ".mp4"):
        return content(output), packets(output)
    files = sorted(output.iterdir()) if output.is_dir() else [output]
    return [
        (file.name, hashlib.sha256(file.read_bytes()).hexdigest()) for file in files
    ]


def left_alive(lines: list[str]) -> list[str]:
    """Processes of a trace that are still there after a moment."""
    processes = {line.split()[0] for line in lines if line[:1].isdigit()}
    until = time.monotonic() + _SECONDS_TO_END
    alive = list(processes)
    while alive and time.monotonic() < until:
        alive = [number for number in alive if _is_alive(number)]
        time.sleep(0.02)
    return alive


def _is_alive(process: str) -> bool:
    try:
        text = Path("/proc", process, "stat").read_text()
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] not in "ZX"


class Trial:
    """Kills one command at all its points, in folders of its own."""

    def __init__(self, case: Case, folder: Path) -> None:
        """Run it undisturbed."""
        self._case = case
        self._template = folder / "template"
        self._template.mkdir()
        write_source(self._template / "in.mp4")
        case.prepare(self._template)
        self._folder = folder / "run"
        self._restore()
        lines = traced(case.command, self._folder, None)
        self._names = self._present()
        self._expected = self._digests()
        self.points = points_of(lines, self._folder)

    def kill_at(self, point: Point) -> Outcome:
        """Kill it there, repeat it, and look at what it leaves."""
        self._restore()
        lines = traced(self._case.command, self._folder, point)
        was_killed = any(map(_KILLED.match, lines))
        problems = [f"process {number} is alive" for number in left_alive(lines)]
        before = self._digests_if_there()
        repeated = run(self._case.command, self._folder)
        said = repeated.stderr.strip().splitlines()
        note = ""
        if "is finished already" in repeated.stderr:
            note = "finished already"
        if repeated.returncode:
            is_complete = before == self._expected and "exists" in repeated.stderr
            if is_complete and self._case.says_exists:
                note = "exists"
            else:
                problems.append(f"exit {repeated.returncode}: {said[-1:]}")
        if self._digests_if_there() != self._expected:
            problems.append("the output differs")
        extra = sorted(self._present() ^ self._names)
        if extra:
            problems.append(f"left or missing: {' '.join(extra)}")
        return Outcome(point, _unfinished(lines), was_killed, "; ".join(problems), note)

    def _restore(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        shutil.copytree(self._template, self._folder)

    def _present(self) -> set[str]:
        """All names below the folder, but those of pictures."""
        return {
            str(path.relative_to(self._folder))
            for path in self._folder.rglob("*")
            if path.suffix not in _PICTURES
        }

    def _digests(self) -> list[object]:
        return [digest_of(self._folder / name) for name in self._case.outputs]

    def _digests_if_there(self) -> list[object] | None:
        try:
            return self._digests()
        except Exception:
            return None


def _unfinished(lines: list[str]) -> str:
    """The files of the call that did not return."""
    line = next((line for line in lines if line.endswith("= ?")), "")
    names = re.findall(r'"([^"]*)"|<([^>]*)>', line)
    return " -> ".join(Path(first or second).name for first, second in names)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", help="a real network")
    parser.add_argument("--only", nargs="+", choices=list(cases(None)))
    parser.add_argument("-v", action="store_true", help="a row for each point")
    arguments = parser.parse_args()
    if shutil.which("strace") is None:
        print("skipped: strace is not installed")
        return
    chosen = cases(arguments.model)
    failed = 0
    rows = []
    for name in arguments.only or chosen:
        with tempfile.TemporaryDirectory() as folder:
            trial = Trial(chosen[name], Path(folder).resolve())
            outcomes = []
            for point in trial.points:
                outcome = trial.kill_at(point)
                outcomes.append(outcome)
                if arguments.v or outcome.problem:
                    place = f"{name}: {point.call} {point.number} ({outcome.where})"
                    print(
                        f"{place}: {outcome.problem or outcome.note or 'ok'}",
                        flush=True,
                    )
        problems = sum(bool(outcome.problem) for outcome in outcomes)
        failed += problems
        killed = [outcome for outcome in outcomes if outcome.was_killed]
        notes = Counter(outcome.note for outcome in killed if outcome.note)
        said = ", ".join(f"{count} {note}" for note, count in notes.items())
        rows.append((name, len(outcomes), len(killed), len(outcomes) - problems, said))
    print_header("command", "points", "kills", "as undisturbed", "had nothing to do")
    for row in rows:
        print_row(*row)
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
