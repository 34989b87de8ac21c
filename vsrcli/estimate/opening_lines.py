"""What a run says before it begins its work, if that takes longer than a minute. Prints nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from vsrcli.backends import Backend, open_backend
from vsrcli.errors import VsrError
from vsrcli.estimate.bottleneck import FASTEST_MODEL, has_faster_model
from vsrcli.estimate.outlook import Outlook, make_outlook, opening_lines
from vsrcli.estimate.run_timing import RunTimer, Speed, guess_seconds
from vsrcli.options import UpscaleOptions, parse_devices
from vsrcli.pipeline.run_context import RunContext
from vsrcli.preflight.run_plan import RunPlan
from vsrcli.preflight.upscale_job import UpscaleJob
from vsrcli.preflight.workload import measure_workload
from vsrcli.segments.executor import Engine, SegmentExecutor, open_network
from vsrcli.wording import duration_text

log = logging.getLogger(__name__)

# A shorter run needs no words.
_WORTH_SECONDS = 60.0
# A run that would be as short as this by a guess, or by a glance at the network, is not timed.
_SHORT_BY_GUESS = 20.0
_SHORT_AT_A_GLANCE = 15.0
# So many times the time that a film plays, the faster network is named.
_SLOW = 10


def tell_outlook(
    run: RunContext,
    executor: SegmentExecutor,
    speed: Speed | None = None,
) -> None:
    """Tell how long the run will take, how large the output will be, and what would be faster.

    Nothing is told of a short run, and nobody is kept waiting for it. What goes wrong here goes
    wrong again in the run, which says what it is.

    Args:
        run: about to begin; its report counts what an earlier run has left.
        executor: will do the work.
        speed: of its network, if it was timed already.
    """
    if run.on_note is None:
        return
    try:
        for line in _lines(run, executor, speed):
            run.note(line)
    except VsrError as error:
        log.info("the run could not be timed: %s", error)


def comparison_line(
    job: UpscaleJob,
    options: UpscaleOptions,
    plan: RunPlan,
    outlook: Outlook,
    domain: str | None,
) -> str | None:
    """How long the fastest network would take, if the chosen one is slow; else None.

    Args:
        job: what is done.
        options: the run's.
        plan: its segments.
        outlook: with the chosen network.
        domain: of its weights.

    Raises:
        BackendError: the network cannot be opened, or failed.
    """
    workload = measure_workload(job.info, options)
    if workload is None or outlook.seconds is None or outlook.frames_done:
        return None
    is_slow = outlook.seconds > _SLOW * workload.seconds
    if outlook.device != "cpu" or not is_slow:
        return None
    size = (outlook.output_width, outlook.output_height)
    if not has_faster_model(outlook.model, domain, *size):
        return None
    backend = open_backend(
        options.backend,
        FASTEST_MODEL,
        domain,
        device=options.device,
        precision=options.precision,
    )
    faster = replace(options, model=FASTEST_MODEL)
    speed = RunTimer(job, faster, plan, backend).speed()
    seconds = speed.seconds * workload.frames
    return (
        f"{outlook.model}: about {duration_text(outlook.seconds)} here; "
        f"--model {FASTEST_MODEL}: about {duration_text(seconds)}"
    )


def _lines(
    run: RunContext, executor: SegmentExecutor, speed: Speed | None
) -> Iterator[str]:
    job = run.job
    plan = run.plan
    workload = measure_workload(job.info, run.options)
    if workload is None:
        return
    frames_done = run.report.frames_upscaled
    left = workload.frames - frames_done
    guess = guess_seconds(job, executor.engine, left)
    if speed is None and guess is not None and guess < _SHORT_BY_GUESS:
        return
    backend = executor.backend or _open_here(run.options, executor.engine)
    if backend is None:
        return
    if speed is None:
        timer = RunTimer(job, run.options, plan, backend)
        at_a_glance = timer.rough_seconds()
        if at_a_glance is not None and at_a_glance * left < _SHORT_AT_A_GLANCE:
            return
        speed = timer.speed()
    outlook = make_outlook(
        job,
        plan,
        workload,
        backend,
        speed,
        workers=executor.workers,
        frames_done=frames_done,
    )
    if outlook.seconds is None or outlook.seconds < _WORTH_SECONDS:
        return
    yield from opening_lines(outlook, datetime.now())
    domain = executor.engine.domain
    line = comparison_line(job, run.options, plan, outlook, domain)
    if line is not None:
        yield line


def _open_here(options: UpscaleOptions, engine: Engine) -> Backend | None:
    """The network of workers, in this process; None if this machine has no such device."""
    if options.devices is not None:
        options = replace(
            options, device=parse_devices(options.devices)[0], devices=None
        )
    backend = open_network(open_backend, options)
    kind = engine.device.partition(",")[0].partition(":")[0]
    return backend if backend.device.partition(":")[0] == kind else None
