"""No run looks up a name or opens a connection: films are private.

``benchmarks/no_network.py`` is the long form, for all commands; it also lists files.
"""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vsrcli.backends import openvino as openvino_backend
from vsrcli.backends.onnx_graphs import load_graph_pieces
from vsrcli.jobs.demo import write_demo

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
# Runs the command line with every way to the network that Python knows closed and noted.
WATCHED = """
import socket, sys
def refuse(*arguments, **keywords):
    with open("network.txt", "a") as file:
        print(arguments, file=file)
    raise OSError("no network here")
socket.getaddrinfo = refuse
socket.create_connection = refuse
socket.socket.connect = refuse
socket.socket.connect_ex = refuse
socket.socket.sendto = refuse
from vsrcli.cli import main
main()
"""


@pytest.fixture(scope="module")
def script() -> Any:
    """``benchmarks/no_network.py``."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield importlib.import_module("no_network")
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Has a clip; beside it is the home folder, where graphs are kept."""
    folder = tmp_path / "work"
    folder.mkdir()
    write_demo(folder / "in.mp4", seconds=0.2, size=(32, 32))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home" / ".cache"))
    return folder


@pytest.mark.parametrize(
    ("backend", "layout"), [("onnx", "sliced"), ("openvino", "conv3d")]
)
def test_no_backend_phones_home(
    folder: Path,
    script: ModuleType,
    backend: str,
    layout: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if backend == "openvino" and find_spec("openvino") is None:
        pytest.skip("OpenVINO is not installed")
    home = folder.parent / "home"
    load_graph_pieces("lite", None, layout)  # faster here than there
    if shutil.which("strace") is None:
        monkeypatch.setattr(script, "_STRACE", ("sh", "-c", 'touch "$0"; exec "$@"'))
    command = ["upscale", "in.mp4", "out.mkv", "--model", "lite", "--device", "cpu"]
    result = script.trace(
        [sys.executable, "-c", WATCHED, *command, "--backend", backend],
        folder,
        home,
    )
    assert result.status == 0, result.message
    assert not (folder / "network.txt").exists(), (folder / "network.txt").read_text()
    assert not result.network
    assert not result.files
    # neither a number for this machine, nor what is to be sent later
    assert [path.name for path in home.iterdir()] == [".cache"]
    assert [path.name for path in (home / ".cache").iterdir()] == ["vsr"]


def test_the_trace_sees_what_it_should(folder: Path, script: ModuleType) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    code = (
        "import socket, pathlib\n"
        "pathlib.Path.home().joinpath('number').write_text('1')\n"
        "open('/etc/hostname').close()\n"
        "open('../elsewhere', 'w').close()\n"
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('127.0.0.1', 9))\n"
    )
    home = folder.parent / "home"
    result = script.trace([sys.executable, "-c", code], folder, home)
    assert result.status == 0, result.message
    assert [Path(path).name for path in result.files] == ["number", "elsewhere"]
    assert any("connect" in line for line in result.network)


def test_openvino_loads_without_its_reporter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its module is there again for others afterwards."""
    monkeypatch.setitem(sys.modules, "openvino_telemetry", ModuleType("reporter"))
    with openvino_backend._without_telemetry(), pytest.raises(ImportError):
        importlib.import_module("openvino_telemetry")
    assert importlib.import_module("openvino_telemetry").__name__ == "reporter"


def test_onnx_runtime_is_told_before_it_loads() -> None:
    code = (
        "import os, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'onnxruntime':\n"
        "            print(os.environ.get('ORT_DISABLE_TELEMETRY'))\n"
        "sys.meta_path.insert(0, Finder())\n"
        "import vsrcli.backends.onnx\n"
    )
    environment = dict(os.environ)
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["1"]
