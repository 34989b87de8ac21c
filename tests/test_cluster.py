"""Segments on a real Ray cluster of two nodes on this machine; one is killed during the run."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import fake
import pytest
from fake import FakeBackend, open_slow
from lossless import LOSSLESS, content, packets

from vsrcli.backends import Backend
from vsrcli.errors import BackendError
from vsrcli.jobs.demo import write_demo
from vsrcli.jobs.upscale import upscale
from vsrcli.options import UpscaleOptions
from vsrcli.pipeline.upscale_report import UpscaleProgress
from vsrcli.preflight.run_plan import plan_run
from vsrcli.preflight.upscale_job import prepare
from vsrcli.segments import ray_cluster, ray_watcher

ray = pytest.importorskip(
    "ray", reason="Ray is not installed: pip install 'vsrcli[ray]'"
)
pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A head without processors, and two nodes of one each; all can import the test modules."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    made = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
    )
    made.nodes = [made.add_node(num_cpus=1) for _ in range(2)]
    yield made
    if ray.is_initialized():
        ray.shutdown()
    made.shutdown()


def test_a_node_killed_in_mid_run_costs_nothing(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "in.mp4"
    write_demo(source, seconds=3, size=(64, 48))
    monkeypatch.setattr("vsrcli.jobs.upscale.open_backend", fake.open_fake)
    upscale(source, tmp_path / "one.mkv", replace(LOSSLESS, segment=0))
    monkeypatch.setattr("vsrcli.jobs.upscale.open_backend", open_slow)
    killed: list[float | None] = []

    def kill_one(progress: UpscaleProgress) -> None:
        if not killed:
            killed.append(progress.share)
            cluster.remove_node(cluster.nodes[0], allow_graceful=False)

    report = upscale(
        source,
        tmp_path / "many.mkv",
        replace(LOSSLESS, segment=0.3, ray=cluster.address, reuse=False),
        on_progress=kill_one,
    )
    assert killed
    assert 0 < (killed[0] or 0) < 1
    assert (report.segments, report.frames_out) == (10, 90)
    assert content(tmp_path / "many.mkv") == content(tmp_path / "one.mkv")
    assert packets(tmp_path / "many.mkv") == packets(tmp_path / "one.mkv")
    assert not list(tmp_path.glob("*.vsr"))


def test_a_process_loads_a_network_once_whatever_the_run(demo_clip: Path) -> None:
    from vsrcli.segments.ray_executor import TaskSetup, load_network

    opened: list[str] = []

    def opener(
        name: str, model: str, domain: str | None, *, device: str, precision: str | None
    ) -> FakeBackend:
        opened.append(model)
        return FakeBackend()

    def load(options: UpscaleOptions) -> Backend:
        job = prepare(demo_clip, Path("o.mkv"), options)
        setup = TaskSetup(job, options, plan_run(job, options), opener)
        return load_network(setup)

    first = load(UpscaleOptions(model="lite"))
    assert load(UpscaleOptions(model="lite", start=Fraction(1, 10))) is first
    assert load(UpscaleOptions(model="delta")) is not first
    assert opened == ["lite", "delta"]


def test_where_no_cluster_answers(tmp_path: Path) -> None:
    source = tmp_path / "in.mp4"
    write_demo(source, seconds=1, size=(64, 48))
    with pytest.raises(BackendError, match="no Ray cluster answers"):
        upscale(source, tmp_path / "o.mkv", replace(LOSSLESS, ray="nonsense"))


def _alive(numbers: Iterable[int]) -> list[int]:
    """Those processes that hold files open."""
    return [number for number in numbers if Path(f"/proc/{number}/fd/0").exists()]


def _processes_in(folder: Path) -> set[int]:
    """Numbers of the processes that have a file open there."""
    return set(ray_watcher._users(folder))


def _listening(numbers: set[int]) -> set[str]:
    """Addresses, as in ``/proc/net/tcp``, at which the processes listen."""
    inodes = set()
    for number in numbers:
        with contextlib.suppress(OSError):
            for link in Path(f"/proc/{number}/fd").iterdir():
                inodes.add(str(link.readlink()).removeprefix("socket:[").rstrip("]"))
    found = set()
    for name in ("tcp", "tcp6"):
        for line in Path("/proc/net", name).read_text().splitlines()[1:]:
            words = line.split()
            is_listening = words[3] == "0A"
            if is_listening and words[9] in inodes:
                found.add(words[1].partition(":")[0])
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_cluster_of_its_own_is_closed_to_others_and_ends_with_the_run(
    tmp_path: Path,
) -> None:
    """One run: where its cluster listens, and what SIGTERM leaves."""
    base = Path("/tmp") / f"vsr-{os.getpid()}"  # short: sockets have short names
    base.mkdir()
    source = tmp_path / "in.mp4"
    write_demo(source, seconds=1, size=(64, 48))
    command = ["upscale", str(source), str(tmp_path / "o.mkv"), "--ray", "local"]
    command += ["--segment", "0.2", "--model", "lite", "--device", "cpu"]
    environment = os.environ | {"TMPDIR": str(base), "HOME": str(tmp_path)}
    run = subprocess.Popen(
        [sys.executable, "-m", "vsrcli", *command],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        seen: set[int] = set()
        listening: set[str] = set()
        end = time.monotonic() + 120
        # the agents of a node come last
        while len(seen) < 5 and run.poll() is None and time.monotonic() < end:
            time.sleep(0.2)
            for folder in base.glob("vsr-ray-*"):
                assert folder.stat().st_mode & 0o777 == 0o700
                seen |= _processes_in(folder)
                listening |= _listening(seen | {run.pid})
        assert len(seen) >= 5
        environments = [
            Path(f"/proc/{number}/environ").read_bytes().split(b"\0") for number in seen
        ]
        assert any(b"RAY_AUTH_MODE=token" in values for values in environments)
        assert listening
        # 127.0.0.1, and the same mapped to IPv6
        assert listening <= {"0100007F", "0000000000000000FFFF00000100007F"}
        run.send_signal(signal.SIGTERM)
        _, message = run.communicate(timeout=60)
        assert run.returncode == 143, message
        assert "Traceback" not in message
        assert not list(base.iterdir())
        end = time.monotonic() + 5  # the kernel takes a moment to clear up after one
        while _alive(seen) and time.monotonic() < end:
            time.sleep(0.1)
        assert not _alive(seen)
        assert not (tmp_path / ".ray").exists()
        assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]
    finally:
        run.kill()
        run.wait()
        shutil.rmtree(base, ignore_errors=True)


def test_what_uses_the_folder_of_a_cluster_ends_with_its_run(tmp_path: Path) -> None:
    """The watcher by itself, with a process that nobody else would end."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    holding = f"import time; file = open({str(folder / 'log')!r}, 'w'); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", holding])
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        watcher = subprocess.Popen(
            [sys.executable, "-m", "vsrcli.segments.ray_watcher", str(folder)],
            stdin=subprocess.PIPE,
        )
        while not (folder / "log").exists():
            time.sleep(0.01)
        assert watcher.poll() is None
        watcher.communicate(timeout=20)
        assert process.wait(timeout=10) == -signal.SIGKILL
        assert other.poll() is None
        assert not folder.exists()
    finally:
        process.kill()
        other.kill()
        process.wait()
        other.wait()


def test_the_environment_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    values = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "x"}
    with ray_cluster._environment(values):
        assert os.environ["RAY_AUTH_TOKEN"] == "x"
    assert os.environ["RAY_AUTH_MODE"] == "disabled"
    assert "RAY_AUTH_TOKEN" not in os.environ


def test_ray_that_does_not_start_is_one_clear_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = signal.getsignal(signal.SIGTERM)

    def fail(**options: Any) -> None:
        signal.signal(signal.SIGTERM, lambda number, frame: None)  # as Ray does
        raise Exception("The current node timed out during startup.\nMore")

    monkeypatch.setattr(ray, "init", fail)
    with pytest.raises(
        BackendError, match="Ray does not start on this machine"
    ) as caught:
        ray_cluster.RayCluster("local")
    assert "\n" not in str(caught.value)
    assert "RAY_AUTH_TOKEN" not in os.environ
    assert signal.getsignal(signal.SIGTERM) == before
