"""Who makes the segments of a run, and where they go: interfaces, and the local executor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Protocol, Self

from vsrcli.backends import Backend
from vsrcli.options import UpscaleOptions
from vsrcli.pipeline.run_context import RunContext
from vsrcli.preflight.segment_plan import consecutive
from vsrcli.segments.segment import Segment
from vsrcli.segments.segment_span import SegmentSpan
from vsrcli.segments.shares import SegmentShares, ShareOfPass

# Opens a network, like ``backends.open_backend``; worker processes and machines call it too.
Opener = Callable[..., Backend]


@dataclass(frozen=True, slots=True)
class Engine:
    """What runs the network.

    Attributes:
        backend, device, precision, model, domain: as in ``UpscaleReport``.
        radius: frames before and after the one that is upscaled.
    """

    backend: str
    device: str
    precision: str
    model: str
    domain: str | None
    radius: int

    @classmethod
    def of(cls, backend: Backend) -> Engine:
        """Describe a backend."""
        return cls(
            backend=backend.name,
            device=backend.device,
            precision=backend.precision,
            model=backend.spec.name,
            domain=backend.domain,
            radius=backend.spec.radius,
        )


def open_network(opener: Opener, options: UpscaleOptions) -> Backend:
    """Open the network that the options name.

    Raises:
        ModelError: no such checkpoint file, or a bad checkpoint.
        BackendError: the device is missing, or the network cannot be loaded.
    """
    return opener(
        options.backend,
        options.model,
        options.domain,
        device=options.device,
        precision=options.precision,
    )


class SegmentStore(Protocol):
    """Where finished segments go."""

    def open_span(
        self, first: int, last: int, *, may_seek: bool
    ) -> AbstractContextManager[SegmentSpan]:
        """Open the source and the output of some consecutive segments, to make them here.

        Args:
            first: number of the first segment.
            last: number of the last one.
            may_seek: whether the source may be read from the middle.
        """
        ...

    def add(self, segment: Segment) -> None:
        """Take a finished segment, whose part is safe on the disk.

        Raises:
            OutputError: the disk refuses, or is nearly full.
        """
        ...


class SegmentExecutor(Protocol):
    """Makes segments; a context manager that closes itself.

    Attributes:
        engine: what runs the network.
        backend: the network, if it runs in this process; else None.
        workers: how many make segments side by side, none of which slows the others down.
    """

    engine: Engine
    backend: Backend | None = None
    workers: int = 1

    def make(
        self,
        run: RunContext,
        numbers: Sequence[int],
        store: SegmentStore,
        *,
        may_seek: bool,
    ) -> None:
        """Make segments.

        Args:
            run: who is told, and what is counted.
            numbers: which segments, rising.
            store: where they go.
            may_seek: whether the source may be read from the middle.

        Raises:
            VsrError: whatever a stage raises.
        """
        ...

    def close(self) -> None:
        """Release what makes the segments; may be called more than once."""
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class LocalExecutor(SegmentExecutor):
    """Makes segments in this process, with one backend."""

    backend: Backend

    def __init__(self, backend: Backend) -> None:
        self.engine = Engine.of(backend)
        self.backend = backend

    def make(
        self,
        run: RunContext,
        numbers: Sequence[int],
        store: SegmentStore,
        *,
        may_seek: bool,
    ) -> None:
        """See ``SegmentExecutor.make``."""
        if not run.plan.is_one_go:
            shares = SegmentShares(run.plan.segments, run.job)
            run = replace(run, share_at=ShareOfPass(shares, numbers).at)
        for first, last in consecutive(numbers):
            with store.open_span(first, last, may_seek=may_seek) as span:
                span.make(run, self.backend)

    def close(self) -> None:
        """A backend holds nothing that has to be released."""
