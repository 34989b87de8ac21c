"""CUDA graphs: the hundreds of small kernels of a network launched as one, input and output through pinned memory."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vsrcli.backends import Codes

log = logging.getLogger(__name__)

# Shapes that are kept: a picture's strips come in two or three heights.
_KEPT = 4
# A shape is captured when it comes again: capturing costs a few runs.
_SEEN_BEFORE_CAPTURE = 2
# PyTorch wants kernels, workspaces and allocations settled before it records them.
_WARM_UPS = 3


@dataclass(slots=True)
class _Captured:
    graph: torch.cuda.CUDAGraph
    given: Tensor
    result: Tensor
    pinned_in: Tensor
    pinned_out: Tensor


class Graphs:
    """Runs functions of one tensor on a card; what comes again with the same shape is recorded once and replayed.

    Args:
        device: the card.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._captured: OrderedDict[tuple[object, ...], _Captured] = OrderedDict()
        self._seen: dict[tuple[object, ...], int] = {}
        self._may_capture = True
        # Both are shared by all graphs. What a graph leaves in the pool may be overwritten by the
        # next one: they never run at the same time, and a result is read before another graph runs.
        self._pool: Any = torch.cuda.graph_pool_handle()
        self._stream: torch.cuda.Stream | None = None

    def run(self, key: str, work: Callable[[Tensor], Tensor], given: Codes) -> Codes:
        """Apply ``work``, on the card, to ``given`` from the host.

        Args:
            key: tells functions apart; the same key means the same function.
            work: free of side effects and of decisions that depend on values.
            given: any shape and type that PyTorch knows.

        Returns:
            The result on the host, a new array.

        Raises:
            torch.OutOfMemoryError: there is no memory for it even outside a graph.
        """
        shape = (key, given.shape, given.dtype)
        captured = self._captured.get(shape)
        if captured is None:
            self._seen[shape] = self._seen.get(shape, 0) + 1
            if not self._may_capture or self._seen[shape] < _SEEN_BEFORE_CAPTURE:
                return self._plain(work, given)
            if len(self._captured) >= _KEPT:
                # freed before the capture, which can then use its memory
                oldest = next(iter(self._captured))
                del self._captured[oldest]
                del self._seen[oldest]
            captured = self._try_to_capture(work, given)
            if captured is None:
                # a graph keeps its memory to itself: without, there may be enough
                self._give_up()
                return self._plain(work, given)
            self._captured[shape] = captured
        self._captured.move_to_end(shape)
        return self._replay(captured, given)

    def _plain(self, work: Callable[[Tensor], Tensor], given: Codes) -> Codes:
        # the work finds its card to be the current one, as when it is recorded
        with torch.cuda.device(self._device):
            result: Codes = work(torch.from_numpy(given).to(self._device)).cpu().numpy()
        return result

    def _try_to_capture(
        self, work: Callable[[Tensor], Tensor], given: Codes
    ) -> _Captured | None:
        try:
            with (
                torch.cuda.device(self._device),
                # PyTorch leaves the stream of a failed capture current; this sets it back
                torch.cuda.stream(torch.cuda.current_stream()),
            ):
                return self._capture(work, given)
        except (
            RuntimeError
        ) as error:  # out of memory, or an operation that no graph can hold
            log.info("no CUDA graph: %s", error.__context__ or error)
            return None

    def _give_up(self) -> None:
        """Free all graphs and record no more, once the failed one is gone with its error."""
        self._captured.clear()
        self._may_capture = False
        end_broken_capture(self._device, self._pool)

    def _capture(self, work: Callable[[Tensor], Tensor], given: Codes) -> _Captured:
        """Record ``work``; the device is the current one."""
        if self._stream is None:
            # PyTorch's default stream for graphs belongs to the first card that recorded one
            self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream = self._stream
        pinned_in = torch.from_numpy(given).pin_memory()
        static = pinned_in.to(self._device)
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                work(static)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # other threads, which decode or encode on the card, may go on allocating there
        with torch.cuda.graph(
            graph, pool=self._pool, stream=stream, capture_error_mode="thread_local"
        ):
            result = work(static)
        pinned_out = torch.empty(result.shape, dtype=result.dtype).pin_memory()
        return _Captured(graph, static, result, pinned_in, pinned_out)

    def _replay(self, captured: _Captured, given: Codes) -> Codes:
        captured.pinned_in.numpy()[...] = given
        with torch.cuda.device(self._device):
            captured.given.copy_(captured.pinned_in, non_blocking=True)
            captured.graph.replay()
            captured.pinned_out.copy_(captured.result, non_blocking=True)
            torch.cuda.current_stream().synchronize()
        result: Codes = np.array(
            captured.pinned_out.numpy()
        )  # the next replay writes there again
        return result


def end_broken_capture(device: torch.device, pool: Any) -> None:
    """Make ``device`` as it was before a capture into ``pool`` that broke off.

    Call it once the failed graph is gone with its error.
    """
    with torch.cuda.device(device):
        # PyTorch before 2.12 takes a capture that broke off for one still running, and would
        # free no memory from here on. Where it does not, this raises and changes nothing.
        with suppress(RuntimeError, AttributeError):
            torch._C._cuda_endAllocateToPool(torch.cuda.current_device(), pool)
            torch._C._cuda_releasePool(torch.cuda.current_device(), pool)
        with suppress(RuntimeError):
            torch.cuda.empty_cache()
