"""Segments in parallel, in one worker process per device; if one dies, others redo its segments."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from typing import Any

from vsrcli.errors import BackendError
from vsrcli.options import UpscaleOptions
from vsrcli.pipeline.run_context import RunContext
from vsrcli.preflight.run_plan import RunPlan
from vsrcli.preflight.segment_plan import consecutive
from vsrcli.preflight.upscale_job import UpscaleJob
from vsrcli.segments.executor import Engine, Opener, SegmentExecutor, SegmentStore
from vsrcli.segments.segment import Segment
from vsrcli.segments.shares import SegmentShares
from vsrcli.segments.worker_process import SpanOrder, WorkerSetup, error_of

# About how many orders each worker gets: decoding starts over with each, and what is left at the
# end is done by one worker alone.
_ORDERS_PER_WORKER = 8
_MAX_DEATHS = 3
_END_SECONDS = 5
_CHILD = (
    "import sys; sys.path[:] = sys.argv[3:]; "
    "parent, connection = map(int, sys.argv[1:3]); "
    "from vsrcli.segments.lifetime import end_with_parent; "
    "end_with_parent(parent, connection); "
    "from vsrcli.segments.worker_process import serve; serve(connection)"
)


@dataclass
class _Worker:
    """One process.

    Attributes:
        process: running Python.
        connection: to it.
        device: that it uses.
        numbers: segments that it is making; none while it is idle.
        share: of the whole video, how far it is; None before its first frame.
        engine: what it runs; None until it is ready.
        status: exit status, once it is dead.
    """

    process: subprocess.Popen[bytes]
    connection: Connection
    device: str
    numbers: list[int] = field(default_factory=list)
    share: float | None = None
    engine: Engine | None = None
    status: int | None = None

    def order(self, numbers: list[int], *, may_seek: bool) -> None:
        """Ask for segments."""
        self.numbers = numbers
        self.share = None
        order = SpanOrder(numbers[0], numbers[-1], may_seek)
        with contextlib.suppress(OSError):  # dead: noticed when it is waited for
            self.connection.send(order)

    def kill(self) -> None:
        """End it, whatever it is doing."""
        self.process.kill()
        self.process.wait()
        self.connection.close()


class ProcessExecutor(SegmentExecutor):
    """Makes segments in worker processes.

    Attributes:
        engine: what the first of them runs, with the devices of all.
    """

    def __init__(
        self,
        job: UpscaleJob,
        options: UpscaleOptions,
        plan: RunPlan,
        devices: Sequence[str],
        opener: Opener,
    ) -> None:
        """Start them and wait until the first is ready.

        Args:
            job: of the run.
            options: of the run.
            plan: its cuts.
            devices: one for each worker.
            opener: ``backends.open_backend``.

        Raises:
            VsrError: the first one could not load the network.
        """
        self._job = job
        self._shares = SegmentShares(plan.segments, job)
        self._options = options
        self._plan = plan
        self._opener = opener
        self._count = len(devices)
        self._workers: list[_Worker] = []
        self._deaths = 0
        try:
            for place, device in enumerate(devices):
                self._start(place, device)
            engine = self._wait_until_ready(self._workers[0])
        except BaseException:
            self.close()
            raise
        self.engine = replace(engine, device=",".join(devices))
        # processes on one processor share its cores
        self.workers = len(set(devices))

    def make(
        self,
        run: RunContext,
        numbers: Sequence[int],
        store: SegmentStore,
        *,
        may_seek: bool,
    ) -> None:
        """See ``SegmentExecutor.make``."""
        count = self._count * _ORDERS_PER_WORKER if may_seek else 1
        task = _Task(run, store, may_seek, _divide(numbers, count), set(numbers))
        try:
            while task.missing or any(worker.numbers for worker in self._workers):
                self._give_orders(task)
                self._handle_messages(task)
                run.show_progress(self._share_done(task.missing))
        except BaseException:
            self.close()  # at once: nobody may write in the folder after it is released
            raise

    def close(self) -> None:
        """End all workers, whatever they are doing."""
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.kill()
        self._workers = []

    def _start(self, place: int, device: str) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            # not by multiprocessing's own spawning, which runs the caller's script again
            numbers = [str(os.getpid()), str(theirs.fileno())]
            with _without_interrupts():
                process = subprocess.Popen(
                    [sys.executable, "-c", _CHILD, *numbers, *sys.path],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                )
        worker = _Worker(process, Connection(ours.detach()), device)
        self._workers.insert(place, worker)
        setup = WorkerSetup(
            job=self._job,
            options=replace(self._options, device=device, devices=None),
            plan=self._plan,
            opener=self._opener,
            cores=_cores(place, self._count) if device == "cpu" else None,
        )
        with contextlib.suppress(OSError):  # dead: noticed when it is waited for
            worker.connection.send(setup)

    def _wait_until_ready(self, worker: _Worker) -> Engine:
        while worker.engine is None:
            message = _receive(worker)
            if message is None:
                raise BackendError(
                    f"the worker on {worker.device} died before it had loaded the network"
                )
            kind, value = message
            if kind != "ready":
                raise error_of(kind, value)
            worker.engine = value
        return worker.engine

    def _give_orders(self, task: _Task) -> None:
        for worker in self._workers:
            if not worker.numbers and task.waiting:
                worker.order(task.waiting.pop(0), may_seek=task.may_seek)

    def _handle_messages(self, task: _Task) -> None:
        """Wait for messages of any worker, and act on them."""
        ready = wait([worker.connection for worker in self._workers])
        senders = [worker for worker in self._workers if worker.connection in ready]
        for worker in senders:
            if not _handle_all(worker, task):
                self._replace(worker, task)

    def _replace(self, worker: _Worker, task: _Task) -> None:
        """Start a new worker instead of a dead one, and have its segments redone."""
        place = self._workers.index(worker)
        self._workers.remove(worker)
        worker.kill()
        self._deaths += 1
        status = worker.status
        if status is None:
            status = worker.process.returncode
        reason = f"signal {-status}" if status < 0 else f"status {status}"
        if self._deaths > _MAX_DEATHS:
            raise BackendError(
                f"{self._deaths} workers died, the last one on {worker.device} ({reason}): "
                "name fewer --devices, or look at the system's log"
            )
        unfinished = [number for number in worker.numbers if number in task.missing]
        if unfinished:
            task.waiting.insert(0, unfinished)
        task.run.note(
            f"the worker on {worker.device} died ({reason}): its segments are redone"
        )
        self._start(place, worker.device)

    def _share_done(self, missing: set[int]) -> float:
        """How much of the video is done, segments that are not complete included."""
        share = self._shares.done(missing)
        for worker in self._workers:
            if worker.share is None or not worker.numbers:
                continue
            unfinished = [number for number in worker.numbers if number in missing]
            current = unfinished[0] if unfinished else worker.numbers[-1] + 1
            share += max(0.0, worker.share - self._shares.before(current))
        return min(1.0, share)


@dataclass
class _Task:
    """One call of ``make``.

    Attributes:
        run: who is told, and what is counted.
        store: where segments go.
        may_seek: whether the source may be read from the middle.
        waiting: segments that nobody makes yet, in orders.
        missing: segments that are not complete.
    """

    run: RunContext
    store: SegmentStore
    may_seek: bool
    waiting: list[list[int]]
    missing: set[int]

    def add(self, segment: Segment) -> None:
        """Take a complete segment."""
        self.store.add(segment)
        self.missing.discard(segment.number)


def _handle_all(worker: _Worker, task: _Task) -> bool:
    """Act on a worker's messages, waiting for the first; False if it is dead."""
    while True:
        message = _receive(worker)
        if message is None:
            return False
        _handle(worker, *message, task)
        if not worker.connection.poll():
            return True


def _receive(worker: _Worker) -> tuple[str, Any] | None:
    """The next message of a worker; None if it is dead."""
    try:
        message: tuple[str, Any] = worker.connection.recv()
    except (EOFError, OSError):
        with contextlib.suppress(subprocess.TimeoutExpired):
            worker.status = worker.process.wait(_END_SECONDS)
        return None
    return message


def _handle(worker: _Worker, kind: str, value: Any, task: _Task) -> None:
    """Act on one message; see ``worker_process.serve``."""
    report = task.run.report
    if kind == "ready":
        worker.engine = value
    elif kind == "note":
        if value not in report.notes:  # each worker says it
            task.run.note(value)
    elif kind == "segment":
        task.add(value)
    elif kind == "progress":
        worker.share = value.share
        report.frames_upscaled += value.frames_upscaled
        report.frames_out += value.frames_out
        task.run.work.frames += value.work
    elif kind == "done":
        worker.numbers = []
        worker.share = None
        report.add(value.stages, value.reused, value.frames_computed)
        report.frames_recalled += value.frames_recalled
    else:
        raise error_of(kind, value)


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Start processes that Ctrl-C does not reach, from their first instruction on.

    It goes to all processes of a terminal; this one decides.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _divide(numbers: Sequence[int], count: int) -> list[list[int]]:
    """Spans of consecutive numbers, about so many."""
    size = max(1, len(numbers) // count)
    orders = []
    for first, last in consecutive(numbers):
        for begin in range(first, last + 1, size):
            end = min(begin + size, last + 1)
            orders.append(list(range(begin, end)))
    return orders


def _cores(place: int, count: int) -> set[int] | None:
    """The processor cores of one of several workers; None if there are not enough to share."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    cores = sorted(os.sched_getaffinity(0))
    begin = place * len(cores) // count
    end = (place + 1) * len(cores) // count
    return set(cores[begin:end]) or None
