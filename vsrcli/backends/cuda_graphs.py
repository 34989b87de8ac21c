"""CUDA graphs: launch the hundreds of small kernels of a network at once, through pinned memory."""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vsrcli.backends import Codes

log = logging.getLogger(__name__)

# Graphs that are kept, one a shape. The parts of a picture have two or three heights.
_MAX_GRAPHS = 4
# A shape is captured when it comes for the second time: capturing takes as long as a few runs.
_RUNS_BEFORE_CAPTURE = 2
# PyTorch requires that kernels, workspaces and allocations are settled before a capture.
_WARM_UPS = 3

_Shape = tuple[object, ...]
_Work = Callable[[Tensor], Tensor]


@dataclass(slots=True)
class _Captured:
    """A graph, and the memory that it reads and writes."""

    graph: torch.cuda.CUDAGraph
    input: Tensor
    result: Tensor
    pinned_input: Tensor
    pinned_result: Tensor


class CudaGraphs:
    """Runs functions of one tensor on a GPU; captures a shape that recurs, and replays its graph.

    Args:
        device: the GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._captured: OrderedDict[_Shape, _Captured] = OrderedDict()
        self._runs: Counter[_Shape] = Counter()
        self._may_capture = True
        # All graphs share a pool and a stream. A graph may overwrite what another left in the pool:
        # they never run at the same time, and a result is read before another graph runs.
        self._pool: Any = torch.cuda.graph_pool_handle()
        self._stream: torch.cuda.Stream | None = None

    def run(
        self,
        key: str,
        work: _Work,
        values: Codes,
    ) -> Codes:
        """Apply ``work``, on the GPU, to an array on the host.

        Args:
            key: identifies the function: the same key means the same function.
            work: without side effects, and without decisions that depend on values.
            values: any shape and type that PyTorch knows.

        Returns:
            The result on the host, a new array.

        Raises:
            torch.OutOfMemoryError: not enough memory even without a graph.
        """
        shape = (key, values.shape, values.dtype)
        captured = self._captured.get(shape)
        if captured is None:
            self._runs[shape] += 1
            is_due = self._runs[shape] >= _RUNS_BEFORE_CAPTURE
            if not self._may_capture or not is_due:
                return self._run_without_graph(work, values)
            if len(self._captured) >= _MAX_GRAPHS:
                # before the capture, which can then use its memory
                self._drop_oldest()
            captured = self._try_to_capture(work, values)
            if captured is None:
                # Graphs keep their memory to themselves. Without them there may be enough.
                self._stop_capturing()
                return self._run_without_graph(work, values)
            self._captured[shape] = captured
        self._captured.move_to_end(shape)
        return self._replay(captured, values)

    def _run_without_graph(self, work: _Work, values: Codes) -> Codes:
        # The GPU is the current device for ``work``, as in a capture.
        with torch.cuda.device(self._device):
            on_device = torch.from_numpy(values).to(self._device)
            result: Codes = work(on_device).cpu().numpy()
        return result

    def _drop_oldest(self) -> None:
        oldest = next(iter(self._captured))
        del self._captured[oldest]
        del self._runs[oldest]

    def _try_to_capture(
        self,
        work: _Work,
        values: Codes,
    ) -> _Captured | None:
        try:
            with (
                torch.cuda.device(self._device),
                # After a failed capture PyTorch leaves its stream current; this resets it.
                torch.cuda.stream(torch.cuda.current_stream()),
            ):
                return self._capture(work, values)
        except RuntimeError as error:
            # out of memory, or an operation that cannot be captured
            log.info("no CUDA graph: %s", error.__context__ or error)
            return None

    def _stop_capturing(self) -> None:
        """Free all graphs and capture no more, once the failed graph is gone with its error."""
        self._captured.clear()
        self._may_capture = False
        end_broken_capture(self._device, self._pool)

    def _capture(self, work: _Work, values: Codes) -> _Captured:
        """Capture ``work``; the device is the current one."""
        if self._stream is None:
            # PyTorch's default stream for graphs belongs to the first GPU that captured one.
            self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream = self._stream
        pinned_input = torch.from_numpy(values).pin_memory()
        static_input = pinned_input.to(self._device)
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                work(static_input)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # Other threads, which decode or encode on the GPU, may keep allocating there.
        with torch.cuda.graph(
            graph, pool=self._pool, stream=stream, capture_error_mode="thread_local"
        ):
            result = work(static_input)
        on_host = torch.empty(result.shape, dtype=result.dtype)
        return _Captured(
            graph=graph,
            input=static_input,
            result=result,
            pinned_input=pinned_input,
            pinned_result=on_host.pin_memory(),
        )

    def _replay(self, captured: _Captured, values: Codes) -> Codes:
        captured.pinned_input.numpy()[...] = values
        with torch.cuda.device(self._device):
            captured.input.copy_(captured.pinned_input, non_blocking=True)
            captured.graph.replay()
            captured.pinned_result.copy_(captured.result, non_blocking=True)
            torch.cuda.current_stream().synchronize()
        # a copy: the next replay overwrites the pinned memory
        result: Codes = np.array(captured.pinned_result.numpy())
        return result


def end_broken_capture(device: torch.device, pool: Any) -> None:
    """Restore ``device`` after a capture into ``pool`` that failed.

    Call it once the failed graph is gone with its error.
    """
    with torch.cuda.device(device):
        # PyTorch before 2.12 takes a failed capture for one that still runs, and would free no
        # memory from here on. In later versions these calls raise and change nothing.
        with suppress(RuntimeError, AttributeError):
            number = torch.cuda.current_device()
            torch._C._cuda_endAllocateToPool(number, pool)
            torch._C._cuda_releasePool(number, pool)
        with suppress(RuntimeError):
            torch.cuda.empty_cache()
