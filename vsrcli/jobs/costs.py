"""What each shipped network would cost for a video on this machine. Prints nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from vsrcli.backends import open_backend
from vsrcli.errors import VsrError
from vsrcli.estimate.run_timing import RunTimer
from vsrcli.jobs.checked_run import check_run
from vsrcli.models import DEFAULT_DOMAIN, MODELS
from vsrcli.options import UpscaleOptions
from vsrcli.preflight.run_plan import plan_run
from vsrcli.preflight.workload import measure_workload
from vsrcli.segments.executor import open_network


@dataclass(frozen=True, slots=True)
class Cost:
    """What a network would cost.

    Attributes:
        model: its name.
        engine: what runs it; empty if it cannot.
        seconds_per_frame: wall time of the whole pipeline; None if it was not timed.
        seconds: for the whole video; None if that, or its length, is unknown.
        error: why it cannot run, one line.
    """

    model: str
    engine: str = ""
    seconds_per_frame: float | None = None
    seconds: float | None = None
    error: str | None = None


def costs(source: Path, target: Path) -> Iterator[Cost]:
    """Time ``vsr upscale`` with its defaults and each network that ships; nothing is written.

    Args:
        source: a video.
        target: what it would be upscaled to; whether it exists does not matter.

    Raises:
        VsrError: the source cannot be upscaled at all.
    """
    options = UpscaleOptions(overwrite=True)
    checked = check_run(source, target, options, is_dry=True)
    plan = plan_run(checked.job, options)
    workload = measure_workload(checked.job.info, options)
    for name, spec in MODELS.items():
        if DEFAULT_DOMAIN not in spec.domains:
            continue
        named = replace(options, model=name)
        try:
            backend = open_network(open_backend, named)
            speed = RunTimer(checked.job, named, plan, backend).speed()
        except VsrError as error:
            yield Cost(name, error=str(error))
            continue
        seconds = None if workload is None else workload.frames * speed.seconds
        engine = f"{backend.name} on {backend.device}"
        yield Cost(name, engine, speed.seconds, seconds)
