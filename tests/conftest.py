"""Fixtures: real data where available, small generated clips, and the ``gpu`` marker."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fake import FakeBackend

from vsrcli.cli import signals

# Some tests load the libraries by themselves, where vsr cannot keep them from reporting.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch

    # A machine with a GPU sets VSR_FAIL_WITHOUT_CUDA, so that these tests cannot be
    # skipped unnoticed.
    if torch.cuda.is_available() or os.environ.get("VSR_FAIL_WITHOUT_CUDA"):
        return
    for item in marked:
        item.add_marker(pytest.mark.skip(reason="no CUDA GPU here"))


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Graphs made by the tests are kept for the tests alone, those in other processes included.

    Nor do the defaults of whoever runs the tests count.
    """
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["VSR_CONFIG"] = os.devnull


@pytest.fixture(autouse=True)
def _own_signal_handlers() -> Iterator[None]:
    """``main`` is the end of a process: it leaves its own handlers of signals behind."""
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
    signals._interrupts = 0  # nor does an interruption of one test count in the next


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real clips and published checkpoints (``data``, ``checkpoints``)."""
    folder = os.environ.get("VSR_TEST_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("VSR_TEST_DATA names no folder of real clips")
    return Path(folder)


@pytest.fixture(scope="session")
def moving_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """96x64, 20 frames at 25 frames a second, a pattern that moves, H.264, no audio."""
    av = pytest.importorskip("av")
    path = tmp_path_factory.mktemp("clips") / "moving.mp4"
    random = np.random.default_rng(1).integers(30, 220, (200, 200)).astype(np.uint8)
    texture = np.kron(random[:40, :40], np.ones((5, 5), np.uint8))
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx264", rate=25, options={"crf": "4", "preset": "ultrafast"}
        )
        stream.width = 96
        stream.height = 64
        stream.pix_fmt = "yuv420p"
        for number in range(20):
            luma = texture[number : number + 64, 2 * number : 2 * number + 96]
            chroma = np.full(48 * 32 * 2, 128, np.uint8)
            planes = np.concatenate([luma.ravel(), chroma]).reshape(96, 96)
            picture = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="session")
def demo_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's own demonstration clip, small: 1 s of 96x64 at 30 frames a second.

    It has a cut at half a second, and a tone.
    """
    pytest.importorskip("av")
    from vsrcli.jobs.demo import write_demo

    path = tmp_path_factory.mktemp("clips") / "demo.mp4"
    write_demo(path, seconds=1.0, size=(96, 64))
    return path


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeBackend:
    """A network that only interpolates, in place of any that ``upscale`` would open."""
    backend = FakeBackend()
    monkeypatch.setattr(
        "vsrcli.jobs.upscale.open_backend", lambda *arguments, **options: backend
    )
    return backend
