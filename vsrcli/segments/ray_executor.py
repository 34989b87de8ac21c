"""Segments on a Ray cluster: placement, retries and lost machines are Ray's business.

Every machine reads the source at the same path (shared storage). What is made comes back through
Ray's object store, so the machines need no other place in common. One task has all cores of a
machine, or one GPU.
"""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from vsrcli.backends import Backend
from vsrcli.encode.atomic_file import write_file
from vsrcli.errors import BackendError, InputError, VsrError
from vsrcli.options import UpscaleOptions
from vsrcli.pipeline.run_context import RunContext
from vsrcli.pipeline.upscale_report import UpscaleReport
from vsrcli.preflight.run_plan import RunPlan
from vsrcli.preflight.upscale_job import UpscaleJob
from vsrcli.segments.executor import (
    Engine,
    Opener,
    SegmentExecutor,
    SegmentStore,
    open_network,
)
from vsrcli.segments.ray_cluster import RayCluster
from vsrcli.segments.segment import Segment
from vsrcli.segments.segment_folder import folder_of, part_path
from vsrcli.segments.segment_span import open_part_span
from vsrcli.segments.shares import SegmentShares
from vsrcli.segments.worker_process import error_of

_RETRIES = 5
_WAIT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class TaskSetup:
    """What every task of a run gets."""

    job: UpscaleJob
    options: UpscaleOptions
    plan: RunPlan
    opener: Opener


@dataclass(frozen=True, slots=True)
class _MadeSegment:
    """What a task gives back: a segment, its part, and what the pass took."""

    segment: Segment
    part: bytes
    report: UpscaleReport


class RayExecutor(SegmentExecutor):
    """Makes segments on a Ray cluster.

    Attributes:
        engine: what its machines run.
    """

    def __init__(
        self,
        job: UpscaleJob,
        options: UpscaleOptions,
        plan: RunPlan,
        opener: Opener,
    ) -> None:
        """Join the cluster, and have one machine load the network.

        Args:
            job: of the run.
            options: of the run; ``ray`` is the address, or ``local`` for a cluster on this machine.
            plan: its cuts.
            opener: ``backends.open_backend``.

        Raises:
            BackendError: there is no such cluster.
            VsrError: the network cannot be loaded there.
        """
        source = job.source.resolve()
        setup = TaskSetup(
            job=replace(job, source=source, info=replace(job.info, path=source)),
            options=replace(options, ray=None),
            plan=plan,
            opener=opener,
        )
        self._cluster = RayCluster(options.ray)
        self._ray = self._cluster.ray
        try:
            self._resources = self._resources_of_a_task(options)
            self._setup = self._ray.put(setup)
            description = self._task(_describe).remote(self._setup)
            self.engine: Engine = self._result(description)
            self.workers = self._count_places()
        except BaseException:
            self.close()
            raise

    def make(
        self,
        run: RunContext,
        numbers: Sequence[int],
        store: SegmentStore,
        *,
        may_seek: bool,
    ) -> None:
        """See ``SegmentExecutor.make``."""
        shares = SegmentShares(run.plan.segments, run.job)
        missing = set(numbers)
        task = self._task(_make)
        pending = [task.remote(self._setup, number, may_seek) for number in numbers]
        try:
            while pending:
                ready, pending = self._ray.wait(
                    pending, num_returns=1, timeout=_WAIT_SECONDS
                )
                for reference in ready:
                    made = self._result(reference)
                    self._take(made, run, store)
                    missing.discard(made.segment.number)
                    run.show_progress(shares.done(missing))
        finally:
            for reference in pending:
                self._ray.cancel(reference, force=True)

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        self._cluster.close()

    def _resources_of_a_task(self, options: UpscaleOptions) -> dict[str, Any]:
        """What a task needs of a machine."""
        if options.device != "cpu" and self._ray.cluster_resources().get("GPU", 0) >= 1:
            return {"num_gpus": 1}
        cores = [
            node["Resources"].get("CPU", 0)
            for node in self._ray.nodes()
            if node["Alive"]
        ]
        smallest = min((count for count in cores if count >= 1), default=1)
        return {"num_cpus": max(1, int(smallest))}

    def _count_places(self) -> int:
        """How many tasks run side by side."""
        total = self._ray.cluster_resources()
        if "num_gpus" in self._resources:
            return max(1, int(total.get("GPU", 0)))
        return max(1, int(total.get("CPU", 0)) // int(self._resources["num_cpus"]))

    def _task(self, function: Callable[..., Any]) -> Any:
        return self._ray.remote(function).options(
            max_retries=_RETRIES,
            scheduling_strategy="SPREAD",
            **self._resources,
        )

    def _result(self, reference: Any) -> Any:
        """What a task gave; an error that it met is raised."""
        try:
            kind, value = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            first_line = str(error).splitlines()[0]
            raise BackendError(
                f"Ray gave up on a segment after {_RETRIES} retries: {first_line}"
            ) from error
        if kind:
            raise error_of(kind, value)
        return value

    def _take(self, made: _MadeSegment, run: RunContext, store: SegmentStore) -> None:
        segment = made.segment
        if segment.frames:
            folder = folder_of(run.job.target)
            path = part_path(folder, segment.number)
            write_file(path, made.part, overwrite=True)
        store.add(segment)
        for line in made.report.notes:
            if line not in run.report.notes:
                run.note(line)
        run.report.frames_upscaled += segment.frames_upscaled
        run.report.frames_out += segment.frames
        run.report.add(
            made.report.stages,
            made.report.reused,
            made.report.frames_computed,
        )
        computed = 1 - made.report.reused
        run.work.frames += made.report.frames_computed * computed


def load_network(setup: TaskSetup) -> Backend:
    """The network of a run; each process keeps those that it opened, whatever the run."""
    return open_network(_caching(setup.opener), setup.options)


@cache
def _caching(opener: Opener) -> Opener:
    """The opener, which opens each network only once in each of Ray's processes."""
    return cache(opener)


def _describe(setup: TaskSetup) -> tuple[str, Any]:
    """What a machine runs, or the name of an error's class and its message."""
    try:
        return "", Engine.of(load_network(setup))
    except VsrError as error:
        return type(error).__name__, str(error)


def _make(setup: TaskSetup, number: int, may_seek: bool) -> tuple[str, Any]:
    """One segment, or the name of an error's class and its message."""
    try:
        return "", _made_segment(setup, number, may_seek)
    except VsrError as error:
        return type(error).__name__, str(error)


def _made_segment(setup: TaskSetup, number: int, may_seek: bool) -> _MadeSegment:
    job = setup.job
    if not job.source.exists():
        raise InputError(
            f"{job.source} is not there on {socket.gethostname()}: "
            "with --ray, the source needs the same path on every machine"
        )
    backend = load_network(setup)
    report = UpscaleReport.empty()
    run = RunContext(job, setup.options, setup.plan, report)
    segments: list[Segment] = []
    with tempfile.TemporaryDirectory(prefix="vsr-") as name:
        folder = Path(name)
        with open_part_span(
            run,
            backend.spec.radius,
            number,
            number,
            may_seek=may_seek,
            folder=folder,
            on_segment=segments.append,
            is_kept=False,
        ) as span:
            span.make(run, backend)
        segment = segments[0]
        part = part_path(folder, number).read_bytes() if segment.frames else b""
    return _MadeSegment(segment, part, report)
