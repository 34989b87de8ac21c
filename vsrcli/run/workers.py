"""Segments side by side: a worker process for each device. A worker that dies has its segments made by the others."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import Any

import vsrcli.errors
from vsrcli.backends import Backend
from vsrcli.errors import BackendError, VsrError
from vsrcli.options import UpscaleOptions
from vsrcli.run.journal import Segment
from vsrcli.run.pipeline import UpscaleProgress, UpscaleReport
from vsrcli.run.plan import Plan, stretches
from vsrcli.run.segments import Engine, Hooks, make_stretch
from vsrcli.run.upscale_job import UpscaleJob

Opener = Callable[..., Backend]

# Chunks a worker gets in all, about: reading begins anew with each, and what is left at the end is done by one alone.
_CHUNKS = 8
_MOST_DEATHS = 3
_PR_SET_PDEATHSIG = 1
_CHILD = "import sys; sys.path[:] = sys.argv[2:]; from vsrcli.run.workers import serve; serve(int(sys.argv[1]))"
_END_SECONDS = 5


@dataclass
class _Worker:
    """One process, what it makes now, and how far it is (share of the whole video)."""

    process: subprocess.Popen[bytes]
    connection: Connection
    device: str
    chunk: list[int] = field(default_factory=list)
    share: float | None = None
    engine: Engine | None = None
    code: int | None = None


class Crew:
    """Worker processes, as a ``Maker``.

    Attributes:
        engine: what they run, of the first.
    """

    def __init__(
        self,
        job: UpscaleJob,
        options: UpscaleOptions,
        plan: Plan,
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
        self._job, self._options, self._plan, self._opener = job, options, plan, opener
        self._count = len(devices)
        self._workers: list[_Worker] = []
        self._deaths = 0
        try:
            for place, device in enumerate(devices):
                self._start(place, device)
            first = self._workers[0]
            while first.engine is None:
                self._take(first, _ignore_segment, UpscaleReport.empty(), Hooks())
            self.engine = replace(first.engine, device=",".join(devices))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def make(
        self,
        numbers: Sequence[int],
        may_seek: bool,
        folder: Path,
        report: UpscaleReport,
        hooks: Hooks,
    ) -> None:
        """Make segments; see ``Maker.make``."""
        waiting = _chunks(numbers, 1 if not may_seek else self._count * _CHUNKS)
        left = set(numbers)
        done = sum(
            self._span(number)
            for number in range(len(self._plan))
            if number not in left
        )

        def on_segment(segment: Segment) -> None:
            nonlocal done
            hooks.on_segment(segment)
            left.discard(segment.number)
            done += self._span(segment.number)

        try:
            while left:
                self._step(waiting, left, may_seek, folder, on_segment, report, hooks)
                if hooks.on_progress is not None:
                    hooks.on_progress(
                        UpscaleProgress(
                            min(1.0, done + self._under_way(left)),
                            report.frames_upscaled,
                            report.frames_out,
                        )
                    )
        except BaseException:
            self.close()  # at once: nobody writes in the folder any more when it is let go of
            raise

    def close(self) -> None:
        """End all workers, whatever they do."""
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.wait()
            worker.connection.close()
        self._workers = []

    def _step(
        self,
        waiting: list[list[int]],
        left: set[int],
        may_seek: bool,
        folder: Path,
        on_segment: Callable[[Segment], None],
        report: UpscaleReport,
        hooks: Hooks,
    ) -> None:
        """Give work to whoever has none, and wait until somebody has something to say."""
        for worker in self._workers:
            if not worker.chunk and waiting:
                worker.chunk = waiting.pop(0)
                worker.share = None
                with contextlib.suppress(OSError):  # it is dead, which is seen below
                    worker.connection.send(
                        (worker.chunk[0], worker.chunk[-1], may_seek, folder)
                    )
        ready = wait([worker.connection for worker in self._workers])
        for worker in [
            worker for worker in self._workers if worker.connection in ready
        ]:
            if not self._take(worker, on_segment, report, hooks):
                again = [number for number in worker.chunk if number in left]
                waiting[:0] = [again] if again else []
                self._replace(worker, hooks)

    def _start(self, place: int, device: str) -> None:
        ours, theirs = socket.socketpair()
        options = replace(self._options, device=device, devices=None)
        cores = _cores(place, self._count) if device == "cpu" else None
        with theirs:
            # not by multiprocessing's own spawning, which runs the caller's script again in the child
            process = subprocess.Popen(
                [sys.executable, "-c", _CHILD, str(theirs.fileno()), *sys.path],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        connection = Connection(ours.detach())
        self._workers.append(_Worker(process, connection, device))
        with contextlib.suppress(
            OSError
        ):  # it is dead, which is seen when it is waited for
            connection.send(
                (self._job, options, self._plan, self._opener, cores, os.getpid())
            )

    def _replace(self, worker: _Worker, hooks: Hooks) -> None:
        place = self._workers.index(worker)
        self._workers.remove(worker)
        worker.process.kill()
        worker.process.wait()
        worker.connection.close()
        self._deaths += 1
        code = worker.code if worker.code is not None else worker.process.returncode
        reason = f"signal {-code}" if code < 0 else f"status {code}"
        if self._deaths > _MOST_DEATHS:
            raise BackendError(
                f"{self._deaths} workers died, the last one on {worker.device} ({reason}): give fewer --devices, or look at the system's log"
            )
        hooks.on_note(
            f"the worker on {worker.device} died ({reason}): its segments are made again"
        )
        self._start(place, worker.device)

    def _take(
        self,
        worker: _Worker,
        on_segment: Callable[[Segment], None],
        report: UpscaleReport,
        hooks: Hooks,
    ) -> bool:
        """Read what a worker has to say, waiting for the first of it; False when it is dead."""
        while True:
            try:
                kind, value = worker.connection.recv()
            except (EOFError, OSError):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    worker.code = worker.process.wait(_END_SECONDS)
                if not self._workers[0].engine:
                    raise BackendError(
                        f"the worker on {worker.device} died before it had loaded the network"
                    ) from None
                return False
            self._heed(worker, kind, value, on_segment, report, hooks)
            if not worker.connection.poll():
                return True

    def _heed(
        self,
        worker: _Worker,
        kind: str,
        value: Any,
        on_segment: Callable[[Segment], None],
        report: UpscaleReport,
        hooks: Hooks,
    ) -> None:
        if kind == "ready":
            worker.engine = value
        elif kind == "note":
            hooks.on_note(value)
        elif kind == "segment":
            on_segment(value)
        elif kind == "progress":
            worker.share, frames, written = value
            report.frames_upscaled += frames
            report.frames_out += written
        elif kind == "done":
            worker.chunk, worker.share = [], None
            report.add(value.stages, value.reused, value.frames_computed)
        else:
            raise error_of(kind, value)

    def _span(self, number: int) -> float:
        return self._share(number + 1) - self._share(number)

    def _share(self, number: int) -> float:
        """How much of the video lies before a segment."""
        if number >= len(self._plan):
            return 1.0
        begin = self._plan.begin(number)
        if begin is None:
            return 0.0
        return self._options.range.share(begin, self._job.info.duration) or 0.0

    def _under_way(self, left: set[int]) -> float:
        """How much of the video is done in segments that are not whole yet."""
        return sum(
            max(0.0, each.share - self._share_before(each.chunk, left))
            for each in self._workers
            if each.share is not None and each.chunk
        )

    def _share_before(self, chunk: list[int], left: set[int]) -> float:
        return self._share(
            next((number for number in chunk if number in left), chunk[-1] + 1)
        )


def _chunks(numbers: Sequence[int], count: int) -> list[list[int]]:
    """Consecutive numbers, in about so many chunks."""
    size = max(1, len(numbers) // count)
    found = []
    for first, last in stretches(numbers):
        found += [
            list(range(begin, min(begin + size, last + 1)))
            for begin in range(first, last + 1, size)
        ]
    return found


def _cores(place: int, count: int) -> set[int] | None:
    """The processor cores of one of several workers; None where there are not enough to share out."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    cores = sorted(os.sched_getaffinity(0))
    return (
        set(cores[place * len(cores) // count : (place + 1) * len(cores) // count])
        or None
    )


def _ignore_segment(segment: Segment) -> None:
    raise ValueError(f"segment {segment.number} was not asked for")


def error_of(kind: str, text: str) -> Exception:
    """An error that another process met, by the name of its class and its message."""
    found = getattr(vsrcli.errors, kind, None)
    return (
        found(text)
        if isinstance(found, type) and issubclass(found, VsrError)
        else RuntimeError(text)
    )


def serve(descriptor: int) -> None:
    """A worker's life: load the network, make what is asked for, end with the parent.

    Args:
        descriptor: of the socket to the parent.
    """
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches all; the parent decides
    connection = Connection(descriptor)
    job, options, plan, opener, cores, parent = connection.recv()
    _die_with(parent)
    if cores is not None:
        os.sched_setaffinity(0, cores)
    try:
        backend = opener(
            options.backend,
            options.model,
            options.domain,
            device=options.device,
            precision=options.precision,
        )
        connection.send(("ready", Engine.of(backend)))
        while True:
            first, last, may_seek, folder = connection.recv()
            report, told = UpscaleReport.empty(), [0, 0]

            def on_progress(progress: UpscaleProgress, told: list[int] = told) -> None:
                connection.send(
                    (
                        "progress",
                        (
                            progress.share,
                            progress.frames_upscaled - told[0],
                            progress.frames_out - told[1],
                        ),
                    )
                )
                told[:] = [progress.frames_upscaled, progress.frames_out]

            make_stretch(
                job, options, backend, plan, first, last, is_seekable=may_seek, folder=folder, report=report,
                hooks=Hooks(lambda segment: connection.send(("segment", segment)), on_progress, lambda line: connection.send(("note", line))),
            )  # fmt: skip
            connection.send(("done", report))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent has gone, or closed
    except VsrError as error:
        with contextlib.suppress(OSError):
            connection.send((type(error).__name__, str(error)))
    except Exception as error:
        with contextlib.suppress(OSError):
            connection.send(("", f"{type(error).__name__} in a worker: {error}"))
        raise


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
