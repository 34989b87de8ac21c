"""The same segments on a Ray cluster: placement, retries and the loss of machines are Ray's business.

The source is read at the same path on every machine (shared storage); what is made comes back through Ray's object store, so the machines need no
other place in common. One task has a whole machine's cores, or one GPU.
"""

from __future__ import annotations

import logging
import socket
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

import ray
import ray.exceptions

from vsrcli.backends import Backend
from vsrcli.errors import BackendError, InputError, VsrError
from vsrcli.media.atomic_file import AtomicFile
from vsrcli.options import UpscaleOptions
from vsrcli.run.journal import Segment, part_path
from vsrcli.run.pipeline import UpscaleProgress, UpscaleReport
from vsrcli.run.plan import Plan
from vsrcli.run.segments import Engine, Hooks, make_stretch
from vsrcli.run.upscale_job import UpscaleJob
from vsrcli.run.workers import error_of

LOCAL = "local"
_RETRIES = 5
_WAIT_SECONDS = 1.0

Opener = Callable[..., Backend]


class Cluster:
    """A Ray cluster, as a ``Maker``.

    Attributes:
        engine: what its machines run.
    """

    def __init__(
        self, job: UpscaleJob, options: UpscaleOptions, plan: Plan, opener: Opener
    ) -> None:
        """Join it, and have the network loaded once.

        Args:
            job: of the run.
            options: of the run; ``ray`` is the address, or ``local`` for a cluster on this machine alone.
            plan: its cuts.
            opener: ``backends.open_backend``.

        Raises:
            BackendError: there is no such cluster.
            VsrError: the network cannot be loaded there.
        """
        source = job.source.resolve()
        self._plan = plan
        self._ours = not ray.is_initialized()
        if self._ours:
            address = None if options.ray == LOCAL else options.ray
            settings = {"include_dashboard": False} if address is None else {}
            try:
                ray.init(
                    address=address,
                    logging_level=logging.ERROR,
                    log_to_driver=False,
                    **settings,
                )
            except (ConnectionError, ValueError, RuntimeError, OSError) as error:
                raise BackendError(
                    f"--ray {options.ray}: no Ray cluster answers there: {str(error).splitlines()[0]}"
                ) from error
        try:
            self._needs = _needs(options)
            work = (
                replace(job, source=source, info=replace(job.info, path=source)),
                replace(options, ray=None),
                plan,
                opener,
            )
            self._work = ray.put(work)
            self.engine: Engine = _unpacked(
                self._get(self._task(_describe).remote(self._work))
            )
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Cluster:
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
        pending = [
            self._task(_make).remote(self._work, number, may_seek) for number in numbers
        ]
        done = len(self._plan) - len(numbers)
        try:
            while pending:
                ready, pending = ray.wait(pending, num_returns=1, timeout=_WAIT_SECONDS)
                for reference in ready:
                    segment, content, part = _unpacked(self._get(reference))
                    if segment.frames:
                        _store(part_path(folder, segment.number), content)
                    hooks.on_segment(segment)
                    done += 1
                    report.add(part.stages, part.reused, part.frames_computed)
                    report.frames_upscaled += segment.frames_upscaled
                    report.frames_out += segment.frames
                    if hooks.on_progress is not None:
                        hooks.on_progress(
                            UpscaleProgress(
                                done / len(self._plan),
                                report.frames_upscaled,
                                report.frames_out,
                            )
                        )
        finally:
            for reference in pending:
                ray.cancel(reference, force=True)

    def close(self) -> None:
        """Leave the cluster; one of this machine alone ends."""
        if self._ours:
            ray.shutdown()

    def _task(self, function: Callable[..., Any]) -> Any:
        return ray.remote(function).options(
            max_retries=_RETRIES, scheduling_strategy="SPREAD", **self._needs
        )

    def _get(self, reference: Any) -> Any:
        try:
            return ray.get(reference)
        except ray.exceptions.RayError as error:
            raise BackendError(
                f"Ray gave up on a segment after {_RETRIES} retries: {str(error).splitlines()[0]}"
            ) from error


def _needs(options: UpscaleOptions) -> dict[str, Any]:
    """What a task asks of a machine."""
    if options.device != "cpu" and ray.cluster_resources().get("GPU", 0) >= 1:
        return {"num_gpus": 1}
    cores = [node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]]
    return {
        "num_cpus": max(
            1, int(min((count for count in cores if count >= 1), default=1))
        )
    }


def _unpacked(answer: tuple[str, Any]) -> Any:
    """What a task gave; an error that it met is raised."""
    kind, value = answer
    if kind:
        raise error_of(kind, value)
    return value


def _store(path: Path, content: bytes) -> None:
    place = AtomicFile(path)
    try:
        Path(str(place.sink)).write_bytes(content)
        place.commit()
    finally:
        place.discard()


@cache
def _backend(
    opener: Opener,
    name: str,
    model: str,
    domain: str | None,
    device: str,
    precision: str | None,
) -> Backend:
    """Loaded once in each of Ray's processes."""
    return opener(name, model, domain, device=device, precision=precision)


def _loaded(opener: Opener, options: UpscaleOptions) -> Backend:
    return _backend(
        opener,
        options.backend,
        options.model,
        options.domain,
        options.device,
        options.precision,
    )


def _describe(work: tuple[UpscaleJob, UpscaleOptions, Plan, Opener]) -> tuple[str, Any]:
    _, options, _, opener = work
    try:
        return "", Engine.of(_loaded(opener, options))
    except VsrError as error:
        return type(error).__name__, str(error)


def _make(
    work: tuple[UpscaleJob, UpscaleOptions, Plan, Opener], number: int, may_seek: bool
) -> tuple[str, Any]:
    """Make one segment; the answer holds its part."""
    job, options, plan, opener = work
    report, found = UpscaleReport.empty(), list[Segment]()
    try:
        if not job.source.exists():
            raise InputError(
                f"{job.source} is not there on {socket.gethostname()}: with --ray the source needs the same path on every machine"
            )
        with tempfile.TemporaryDirectory(prefix="vsr-") as name:
            folder = Path(name)
            make_stretch(
                job,
                options,
                _loaded(opener, options),
                plan,
                number,
                number,
                is_seekable=may_seek,
                folder=folder,
                report=report,
                hooks=Hooks(found.append),
            )
            content = part_path(folder, number).read_bytes() if found[0].frames else b""
    except VsrError as error:
        return type(error).__name__, str(error)
    return "", (found[0], content, report)
