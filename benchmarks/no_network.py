"""Whether vsr looks up a name, opens a connection, or reads and writes files of others.

python benchmarks/no_network.py [--only upscale]

Runs each command under strace, with each backend, in a home folder of its own. Prints every system
call that reaches for the network, and every file outside of the given ones, the installation and
the system. Exits with 1 if there is any. Needs strace.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import site
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from script_parts import VSR, print_header, print_row

from vsrcli.jobs.demo import write_demo

# strace writes the path of a descriptor after its number
_STRACE = ("strace", "-f", "-qq", "-e", "trace=network,%file", "-o")
_NETWORK = re.compile(r"\bAF_INET6?\b|\bAF_NETLINK\b|/etc/resolv\.conf")
_OPENED = re.compile(r'\bopen(?:at)?\((?:[^,"]+, )?"([^"]*)", ([A-Z_|]+)')
_MADE = re.compile(r'\b(?:mkdir|rename|link|symlink|mknod)(?:at)?\(.*?"([^"]*)"')
# Matplotlib keeps a list of the fonts of the system.
_MATPLOTLIB = (".cache/matplotlib", ".config/matplotlib")
_SYSTEM = (
    "/proc",
    "/sys",
    "/dev",
    "/usr",
    "/lib",
    "/lib64",
    "/etc",
    "/run",
    "/var/cache",
)
# Where these are set, libraries report nothing.
_HIDING = ("CI", "TF_BUILD", "JENKINS_URL", "GITHUB_ACTIONS", "ORT_DISABLE_TELEMETRY")


@dataclass
class Trace:
    """What a run did beyond the files that it was given.

    Attributes:
        status: its exit code.
        network: system calls for the network, without repetition.
        files: files and folders elsewhere that it opened or made, by their paths.
        message: what it wrote to stderr.
    """

    status: int
    network: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    message: str = ""

    @property
    def is_quiet(self) -> bool:
        """Whether it succeeded and there is nothing to report."""
        return self.status == 0 and not self.network and not self.files


def trace(command: Sequence[str], folder: Path, home: Path) -> Trace:
    """Run a command under strace.

    Args:
        command: to run.
        folder: where it runs; the given files are there, and its results go there.
        home: the home folder, which is not in ``folder``; the log is written beside it.
    """
    temporary = home.with_suffix(".tmp")
    for made in (home, temporary):
        made.mkdir(exist_ok=True)
    kept = {name: text for name, text in os.environ.items() if name not in _HIDING}
    environment = kept | {
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "XDG_CACHE_HOME": str(home / ".cache"),
    }
    environment.pop("XDG_CONFIG_HOME", None)
    log = home.with_suffix(".log")
    done = subprocess.run(
        [*_STRACE, str(log), *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    result = Trace(done.returncode, message=done.stderr)
    usual = [folder, temporary, *_installation(), home / ".cache" / "vsr"]
    usual += [home / place for place in _MATPLOTLIB]
    parents = {parent for path in usual for parent in path.parents}
    with log.open(errors="replace") as lines:
        for line in lines:
            line = line.strip()
            if _NETWORK.search(line) and line not in result.network:
                result.network.append(line)
            for name in _files(line):
                path = Path(os.path.normpath(folder / name))
                is_usual = path in parents or any(
                    path.is_relative_to(place) for place in usual
                )
                if not is_usual and str(path) not in result.files:
                    result.files.append(str(path))
    return result


def _files(line: str) -> Iterator[str]:
    """Names of the files that a line of the log opens or makes."""
    if " = -1 " in line:
        return
    opened = _OPENED.search(line)
    if opened is not None:
        yield opened[1]
    made = _MADE.search(line)
    if made is not None:
        yield made[1]


def _installation() -> list[Path]:
    """Where Python, the libraries and the system are."""
    places = [Path(sys.prefix), Path(sys.base_prefix), Path(site.getsitepackages()[0])]
    places.append(Path(__file__).resolve().parent.parent)
    return [*places, *(Path(name) for name in _SYSTEM)]


def commands(folder: Path) -> dict[str, list[str]]:
    """The commands by their labels; the clip is there already."""
    upscale = ["upscale", "in.mp4", "out.mkv", "--model", "lite", "-y"]
    made = {
        f"upscale {backend}": [*upscale, "--backend", backend, "--device", "cpu"]
        for backend in ("torch", "onnx", "openvino")
    }
    made["upscale segments"] = [*upscale, "--segment", "0.2", "--verify"]
    made["upscale devices"] = [*upscale, "--devices", "cpu*2", "--segment", "0.2"]
    made["upscale auto"] = ["upscale", "in.mp4", "auto.mp4", "--model", "auto"]
    made["verify"] = ["verify", "in.mp4", "out.mkv"]
    made["info"] = ["info", "in.mp4"]
    made["models"] = ["models"]
    made["extract"] = ["extract", "in.mp4", "pictures"]
    made["assemble"] = ["assemble", "pictures", "whole.mp4", "--fps", "30"]
    made["export"] = ["export", "net.onnx", "--model", "delta"]
    made["bench"] = ["bench", "in.mp4", "--model", "lite", "--html", "b.html"]
    made["preview"] = ["preview", "in.mp4", "--model", "lite", "--html", "p.html"]
    made["demo"] = ["demo", "demo.mp4"]
    train = ["train", "--data", "in.mp4", "--val", "in.mp4", "--out", "run"]
    made["train"] = [*train, "--model", "lite", "--steps", "2", "--patch", "16"]
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="commands whose label begins so")
    arguments = parser.parse_args()
    if shutil.which("strace") is None:
        sys.exit("strace is not installed")
    failed = False
    print_header("command", "exit code", "network", "other files")
    with tempfile.TemporaryDirectory(prefix="vsr-trace-") as name:
        folder = Path(name, "work")
        folder.mkdir()
        write_demo(folder / "in.mp4", seconds=0.5, size=(64, 48))
        for label, line in commands(folder).items():
            if not label.startswith(arguments.only):
                continue
            result = trace([*VSR, *line], folder, Path(name, "home"))
            network = str(len(result.network))
            files = ", ".join(result.files) or "none"
            print_row(label, str(result.status), network, files)
            failed |= not result.is_quiet
            for text in result.network[:5]:
                print("   ", text)
            if result.status:
                print(result.message)
    sys.exit(int(failed))


if __name__ == "__main__":
    main()
