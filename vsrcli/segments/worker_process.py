"""A worker process: loads the network and makes segments, until its parent ends."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from multiprocessing.connection import Connection

import vsrcli.errors
from vsrcli.backends import Backend
from vsrcli.errors import VsrError
from vsrcli.options import UpscaleOptions
from vsrcli.pipeline.run_context import RunContext
from vsrcli.pipeline.upscale_report import UpscaleProgress, UpscaleReport
from vsrcli.preflight.run_plan import RunPlan
from vsrcli.preflight.upscale_job import UpscaleJob
from vsrcli.segments.executor import Engine, Opener, open_network
from vsrcli.segments.segment import Segment
from vsrcli.segments.segment_folder import folder_of
from vsrcli.segments.segment_span import open_part_span


@dataclass(frozen=True, slots=True)
class WorkerSetup:
    """What a worker gets first.

    Attributes:
        job, options, plan: of the run.
        opener: opens the network.
        cores: processor cores that the worker may use; None for all.
    """

    job: UpscaleJob
    options: UpscaleOptions
    plan: RunPlan
    opener: Opener
    cores: set[int] | None


@dataclass(frozen=True, slots=True)
class SpanOrder:
    """Segments that a worker is asked for: from ``first`` to ``last``."""

    first: int
    last: int
    may_seek: bool


@dataclass(frozen=True, slots=True)
class FrameCounts:
    """How far a worker is: share of the whole video; frames and work since it last said so."""

    share: float | None
    frames_upscaled: int
    frames_out: int
    work: float


def serve(descriptor: int) -> None:
    """Work until the parent closes the connection.

    Sends pairs of a kind and a value: ``ready`` (``Engine``), ``note`` (line), ``progress``
    (``FrameCounts``), ``segment`` (``Segment``), ``done`` (``UpscaleReport``: a whole order), or
    the name of an error's class and its message.

    Args:
        descriptor: of the socket to the parent.
    """
    connection = Connection(descriptor)
    try:
        setup: WorkerSetup = connection.recv()
        if setup.cores is not None:
            os.sched_setaffinity(0, setup.cores)
        backend = open_network(setup.opener, setup.options)
        connection.send(("ready", Engine.of(backend)))
        while True:
            order: SpanOrder = connection.recv()
            report = _make(order, setup, backend, connection)
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


def error_of(kind: str, text: str) -> Exception:
    """An error that another process met, from the name of its class and its message."""
    error_class = getattr(vsrcli.errors, kind, None)
    if isinstance(error_class, type) and issubclass(error_class, VsrError):
        return error_class(text)
    return RuntimeError(text)


def _make(
    order: SpanOrder, setup: WorkerSetup, backend: Backend, connection: Connection
) -> UpscaleReport:
    """Make some segments, and tell the parent of everything on the way."""
    frames_upscaled = 0
    frames_out = 0
    work = 0.0

    def on_progress(progress: UpscaleProgress) -> None:
        nonlocal frames_upscaled, frames_out, work
        counts = FrameCounts(
            share=progress.share,
            frames_upscaled=progress.frames_upscaled - frames_upscaled,
            frames_out=progress.frames_out - frames_out,
            work=progress.work - work,
        )
        connection.send(("progress", counts))
        frames_upscaled = progress.frames_upscaled
        frames_out = progress.frames_out
        work = progress.work

    def on_note(line: str) -> None:
        connection.send(("note", line))

    def on_segment(segment: Segment) -> None:
        connection.send(("segment", segment))

    report = UpscaleReport.empty()
    run = RunContext(setup.job, setup.options, setup.plan, report, on_progress, on_note)
    with open_part_span(
        run,
        backend.spec.radius,
        order.first,
        order.last,
        may_seek=order.may_seek,
        folder=folder_of(setup.job.target),
        on_segment=on_segment,
    ) as span:
        span.make(run, backend)
    return report
