"""CUDA graphs without a card: ``torch.cuda`` is replaced by what of it the graphs use."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from vsrcli.backends import cuda_graphs
from vsrcli.backends.cuda_graphs import CudaGraphs

POOL = (0, 17)
HERE = torch.device("cpu")


class FakeStream:
    """A stream that only has an identity."""

    def wait_stream(self, other: FakeStream) -> None:
        """Nothing to wait for: all work is done at once."""

    def synchronize(self) -> None:
        """The same."""


class FakeGraph:
    """A recorded graph: the steps that ``FakeCuda.work`` left while it was captured."""

    def __init__(self) -> None:
        self.steps: list[Callable[[], object]] = []

    def replay(self) -> None:
        for step in self.steps:
            step()


class FakeCuda:
    """What stands in for ``torch.cuda``.

    Attributes:
        captures: of each capture begun, (pool, stream, error mode).
        graphs: all graphs ever made, weakly.
        left_alive: of each call of ``empty_cache``, how many graphs were alive.
        fails_at: where the capture fails: "warm-up", "record", "end" or nowhere.
        error: makes what is raised there; a new one each time, since an error keeps all that was
            on the stack alive.
        is_stuck: the allocator believes that a capture runs, as PyTorch 2.11's after a failed end.
        calls: how often each function of ``work`` really ran.
    """

    def __init__(self) -> None:
        self.default_stream = self.stream = FakeStream()
        self.device: object = None
        self.capturing: FakeGraph | None = None
        self.captures: list[tuple[object, object, object]] = []
        self.graphs: list[weakref.ref[FakeGraph]] = []
        self.left_alive: list[int] = []
        self.fails_at = "nowhere"
        self.error: Callable[[], Exception] = RuntimeError
        self.is_stuck = False
        self.released: list[object] = []
        self.calls = 0

    @contextmanager
    def on_device(self, device: object) -> Iterator[None]:
        before = self.device
        self.device = device
        yield
        self.device = before

    @contextmanager
    def on_stream(self, stream: FakeStream) -> Iterator[None]:
        before = self.stream
        self.stream = stream
        try:
            yield
        finally:
            self.stream = before

    def new_graph(self) -> FakeGraph:
        graph = FakeGraph()
        self.graphs.append(weakref.ref(graph))
        return graph

    def capture(
        self,
        graph: FakeGraph,
        *,
        pool: object,
        stream: FakeStream,
        capture_error_mode: str,
    ) -> AbstractContextManager[None]:
        self.captures.append((pool, stream, capture_error_mode))
        return _Capture(self, graph, stream)

    def end_allocate_to_pool(self, device: int, pool: object) -> None:
        if not self.is_stuck:
            raise RuntimeError("endAllocatePool: not currently recording to mempool_id")
        assert pool == POOL
        self.is_stuck = False

    def release_pool(self, device: int, pool: object) -> None:
        self.released.append(pool)

    def empty_cache(self) -> None:
        assert not self.is_stuck, "captures_underway.empty() INTERNAL ASSERT FAILED"
        gc.collect()
        self.left_alive.append(sum(graph() is not None for graph in self.graphs))

    def _step(
        self, result: Tensor, function: Callable[[Tensor], Tensor], x: Tensor
    ) -> None:
        assert self.device == HERE, "replayed on another card"
        result.copy_(function(x))

    def work(self, function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """``function`` as it behaves on a card: while recorded it computes nothing."""

        def run(x: Tensor) -> Tensor:
            assert self.device == HERE, "launched on another card"
            self.calls += 1
            if self.fails_at == "warm-up" and self.stream is not self.default_stream:
                raise self.error()
            graph = self.capturing
            if graph is None:
                return function(x)
            if self.fails_at == "record":
                raise self.error()
            result = torch.zeros_like(function(x))
            graph.steps.append(lambda: self._step(result, function, x))
            return result

        return run


class _Capture(AbstractContextManager[None]):
    """As ``torch.cuda.graph``: where the end fails, the stream of the capture stays current."""

    def __init__(self, cuda: FakeCuda, graph: FakeGraph, stream: FakeStream) -> None:
        self._cuda = cuda
        self._graph = graph
        self._stream = stream

    def __enter__(self) -> None:
        self._before = self._cuda.stream
        self._cuda.stream = self._stream
        self._cuda.capturing = self._graph

    def __exit__(self, *exception: object) -> None:
        self._cuda.capturing = None
        if self._cuda.fails_at == "end":
            self._cuda.is_stuck = True
            raise self._cuda.error()
        self._cuda.stream = self._before


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    fake = FakeCuda()
    replaced: dict[str, Any] = {
        "CUDAGraph": fake.new_graph,
        "Stream": FakeStream,
        "current_device": lambda: 0,
        "current_stream": lambda: fake.stream,
        "device": fake.on_device,
        "empty_cache": fake.empty_cache,
        "graph": fake.capture,
        "graph_pool_handle": lambda: POOL,
        "stream": fake.on_stream,
    }
    for name, replacement in replaced.items():
        monkeypatch.setattr(torch.cuda, name, replacement)
    monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", fake.end_allocate_to_pool)
    monkeypatch.setattr(torch._C, "_cuda_releasePool", fake.release_pool)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor.clone())
    return fake


def _doubled(x: Tensor) -> Tensor:
    return 2 * x


def _numbers(size: int, first: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.arange(first, first + size, dtype=np.float32)


def test_the_second_time_is_recorded_and_the_third_only_replayed(
    cuda: FakeCuda,
) -> None:
    graphs = CudaGraphs(HERE)
    work = cuda.work(_doubled)
    calls = []
    results = []
    for number in range(4):
        results.append(graphs.run("a", work, _numbers(5, number)))
        calls.append(cuda.calls)
    for number, result in enumerate(results):
        assert np.array_equal(result, 2 * _numbers(5, number)), (
            "a result was overwritten"
        )
    recorded = 1 + cuda_graphs._WARM_UPS + 1
    assert calls == [1, recorded, recorded, recorded]


def test_all_graphs_share_one_pool_and_one_stream_of_their_own(cuda: FakeCuda) -> None:
    """Shapes, types and functions in turn, each replayed with new values."""
    graphs = CudaGraphs(HERE)
    doubled = cuda.work(_doubled)
    squared = cuda.work(torch.square)
    for first in range(4):
        for size in (3, 7):
            given = _numbers(size, first)
            assert np.array_equal(graphs.run("doubled", doubled, given), 2 * given)
            assert np.array_equal(graphs.run("squared", squared, given), given**2)
    assert len(cuda.captures) == 4
    assert {pool for pool, _, _ in cuda.captures} == {POOL}
    (stream,) = {stream for _, stream, _ in cuda.captures}
    assert stream is not cuda.default_stream
    assert {mode for _, _, mode in cuda.captures} == {"thread_local"}
    assert cuda.stream is cuda.default_stream


def test_the_graph_that_was_used_least_recently_makes_room(cuda: FakeCuda) -> None:
    graphs = CudaGraphs(HERE)
    work = cuda.work(_doubled)

    def run(size: int) -> None:
        assert np.array_equal(graphs.run("a", work, _numbers(size)), 2 * _numbers(size))

    sizes = range(1, cuda_graphs._MAX_GRAPHS + 1)
    for size in sizes:
        run(size)
        run(size)
    run(1)  # so that 2 is the one to go
    run(100)
    run(100)
    gc.collect()
    alive = [graph() is not None for graph in cuda.graphs]
    assert alive == [size != 2 for size in sizes] + [True]
    recorded = len(cuda.captures)
    calls = cuda.calls
    run(1)
    assert cuda.calls == calls, "a graph that was kept is recorded again"
    run(2)
    assert len(cuda.captures) == recorded, (
        "shapes that come in turn are recorded each time"
    )
    run(2)
    assert len(cuda.captures) == recorded + 1


def test_room_is_made_before_the_next_graph_needs_it(cuda: FakeCuda) -> None:
    """The pool of ``_MAX_GRAPHS`` graphs serves the next one; a fifth set need not fit."""
    graphs = CudaGraphs(HERE)
    alive: list[int] = []

    def counted(x: Tensor) -> Tensor:
        if cuda.capturing is not None:
            gc.collect()
            alive.append(sum(graph() is not None for graph in cuda.graphs))
        return 2 * x

    work = cuda.work(counted)
    for size in range(1, cuda_graphs._MAX_GRAPHS + 3):
        graphs.run("a", work, _numbers(size))
        graphs.run("a", work, _numbers(size))
    assert max(alive) == cuda_graphs._MAX_GRAPHS


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (torch.OutOfMemoryError, "CUDA out of memory"),
        (RuntimeError, "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
        (RuntimeError, "operation not permitted when stream is capturing"),
    ],
)
@pytest.mark.parametrize("place", ["warm-up", "record", "end"])
def test_what_cannot_be_recorded_runs_plainly_from_then_on(
    cuda: FakeCuda, place: str, kind: type[Exception], message: str
) -> None:
    graphs = CudaGraphs(HERE)
    work = cuda.work(_doubled)
    for _ in range(3):
        graphs.run("a", work, _numbers(3))
    cuda.fails_at = place
    cuda.error = partial(kind, message)
    for _ in range(3):
        assert np.array_equal(graphs.run("a", work, _numbers(5)), 2 * _numbers(5))
    assert cuda.left_alive == [0], "the graphs keep memory that the plain way may need"
    assert cuda.released == ([POOL] if place == "end" else [])
    assert cuda.stream is cuda.default_stream
    cuda.fails_at = "nowhere"
    tried = len(cuda.captures)
    for _ in range(3):
        assert np.array_equal(graphs.run("a", work, _numbers(3)), 2 * _numbers(3))
    assert len(cuda.captures) == tried, "it is tried again"


def test_a_cache_that_cannot_be_emptied_does_not_stop_the_plain_way(
    cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyTorch before 2.8 has no ``_cuda_endAllocateToPool``."""

    def refuse() -> None:
        raise RuntimeError("captures_underway.empty() INTERNAL ASSERT FAILED")

    monkeypatch.delattr(torch._C, "_cuda_endAllocateToPool")
    monkeypatch.setattr(torch.cuda, "empty_cache", refuse)
    graphs = CudaGraphs(HERE)
    cuda.fails_at = "end"
    for _ in range(3):
        assert np.array_equal(
            graphs.run("a", cuda.work(_doubled), _numbers(3)), 2 * _numbers(3)
        )


def test_the_plain_way_still_reports_its_own_errors(cuda: FakeCuda) -> None:
    def refuse(x: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        CudaGraphs(HERE).run("a", cuda.work(refuse), _numbers(3))


def test_the_cause_of_a_failed_capture_is_logged(
    cuda: FakeCuda, caplog: pytest.LogCaptureFixture
) -> None:
    """Not only that the capture failed for an earlier error, which is what its end says."""

    def refuse(x: Tensor) -> Tensor:
        if cuda.capturing is not None:
            raise RuntimeError("the real cause")
        return 2 * x

    caplog.set_level("INFO", "vsrcli.backends.cuda_graphs")
    cuda.fails_at = "end"
    graphs = CudaGraphs(HERE)
    for _ in range(2):
        graphs.run("a", cuda.work(refuse), _numbers(3))
    assert "the real cause" in caplog.text
