"""Which source time is output time 0: decided before anything is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from vsrcli.frame_io import FrameSource
from vsrcli.options import UpscaleOptions
from vsrcli.pipeline.prefetch import Prefetch
from vsrcli.preflight.opening import open_reader
from vsrcli.preflight.upscale_job import UpscaleJob


def with_origin(job: UpscaleJob, source: FrameSource) -> UpscaleJob:
    """The job with its origin: 0, or with ``--start`` the time of the first frame.

    Args:
        job: what to do.
        source: the job's source, before it is iterated; with ``--start``, it decodes ahead.

    Raises:
        InputError: the source cannot be read, or holds no frame in the range.
    """
    if job.time_range.start is None:
        return job
    first_time = _first_time(source)
    return replace(job, origin=first_time, first_time=first_time)


def with_first_time(job: UpscaleJob, options: UpscaleOptions) -> UpscaleJob:
    """The job with its origin and the time of its first frame, for passes that begin anywhere.

    Args:
        job: what to do; its source can be opened more than once.
        options: the run's.

    Raises:
        InputError: the source cannot be read, or holds no frame in the range.
    """
    with open_reader(job, options, context=0) as source:
        first_time = _first_time(source)
    origin = job.origin if job.time_range.start is None else first_time
    return replace(job, origin=origin, first_time=first_time)


def _first_time(source: FrameSource) -> Fraction:
    """``source.first_time()`` on a thread, so that a decoder that hangs is an error."""

    def ask() -> Iterator[Fraction]:
        yield source.first_time()

    with Prefetch(ask(), 1, "decode", stalled=source.stalled) as times:
        return next(iter(times))
