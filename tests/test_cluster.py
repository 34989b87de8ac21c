"""Segments on a real Ray cluster of two nodes on this machine; one is killed during the run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import fake
import pytest
from fake import FakeBackend
from lossless import LOSSLESS, content, packets

from vsrcli.backends import Backend, Float
from vsrcli.errors import BackendError
from vsrcli.jobs.demo import write_demo
from vsrcli.jobs.upscale import upscale
from vsrcli.options import UpscaleOptions
from vsrcli.pipeline.upscale_report import UpscaleProgress
from vsrcli.preflight.run_plan import plan_run
from vsrcli.preflight.upscale_job import prepare

ray = pytest.importorskip(
    "ray", reason="Ray is not installed: pip install 'vsrcli[ray]'"
)
pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own


class _Slow(FakeBackend):
    def run(self, windows: Float) -> Float:
        time.sleep(0.05)
        return super().run(windows)


def open_slow(
    name: str, model: str, domain: str | None, *, device: str, precision: str | None
) -> FakeBackend:
    """A network that takes its time."""
    return _Slow()


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
