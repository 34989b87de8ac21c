"""The main job, from the checks beforehand to the output under its name. Prints nothing."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from vsrcli.backends import Backend, open_backend
from vsrcli.containers.pipe import is_standard_input
from vsrcli.encode.atomic_file import keep_aside
from vsrcli.encode.output import check_target
from vsrcli.errors import BackendError, OutputError
from vsrcli.estimate.bottleneck import where_time_went
from vsrcli.estimate.model_choice import settle_model
from vsrcli.estimate.opening_lines import tell_outlook
from vsrcli.estimate.slow_runs import with_slowness
from vsrcli.frame import Damage
from vsrcli.images.folders import leftover_note
from vsrcli.jobs.checked_run import CheckedRun, check_run
from vsrcli.options import UpscaleOptions, parse_devices
from vsrcli.paths import output_name
from vsrcli.pipeline.origin import with_first_time
from vsrcli.pipeline.run_context import RunContext
from vsrcli.pipeline.upscale_report import UpscaleProgress, UpscaleReport
from vsrcli.preflight.assemble_hint import assemble_hint
from vsrcli.preflight.rate_check import refuse_dropped
from vsrcli.preflight.run_plan import RunPlan, plan_run
from vsrcli.preflight.targets import is_folder_target
from vsrcli.preflight.upscale_job import UpscaleJob
from vsrcli.segments.executor import (
    Engine,
    LocalExecutor,
    SegmentExecutor,
    open_network,
)
from vsrcli.segments.leftovers import clear_leftovers
from vsrcli.segments.run_output import (
    count_segments,
    is_finished,
    make_missing,
    open_output,
)
from vsrcli.timing import round_half_away
from vsrcli.verification.verify import verify

log = logging.getLogger(__name__)


def upscale(
    source: str | Path,
    target: str | Path,
    options: UpscaleOptions | None = None,
    *,
    on_progress: Callable[[UpscaleProgress], None] | None = None,
    on_note: Callable[[str], None] | None = None,
    checked: CheckedRun | None = None,
) -> UpscaleReport:
    """Double the resolution of a video file.

    Args:
        source: a video file, a folder of pictures, or ``-``.
        target: the output; its ending names the container.
        options: see ``UpscaleOptions``.
        on_progress: called in this thread after each frame.
        on_note: called with each line that the user should read, before the work if possible.
        checked: what ``check_run`` said of the same; it is asked again if the files have changed.

    Returns:
        What was done.

    Raises:
        InputError: the source is missing, not a video, damaged beyond use, or (``strict``) damaged
            at all.
        OutputError: the target cannot be written.
        ModelError: no such checkpoint file, or a bad checkpoint.
        BackendError: the device is missing, or the network failed.
        OptionError: the range is outside the source.
    """
    began = time.monotonic()
    source = Path(source)
    target = Path(target)
    options = options or UpscaleOptions()
    if checked is None or not checked.still_holds():
        checked = check_run(source, target, options)
    target = output_name(target)
    finished = checked.finished
    job = checked.job
    plan = plan_run(job, options)
    settled = settle_model(job, options, plan)
    options = settled.options
    if settled.line is not None:
        job = replace(job, notes=(settled.line, *job.notes))
    needs_first_time = plan.is_seekable or options.start is not None
    makes_pictures = is_folder_target(job.target)
    is_readable_twice = not is_standard_input(job.source)
    needs_first_time = needs_first_time and (plan.is_short or not plan.is_one_go)
    if needs_first_time or (makes_pictures and is_readable_twice):
        job = with_first_time(job, options)
    with _open_executor(job, options, plan, settled.backend) as executor:
        plan = with_slowness(plan, job, options, executor.engine)
        report = _new_report(source, target, job, executor.engine)
        run = RunContext(job, options, plan, report, on_progress, on_note)
        if finished is not None:
            is_done = is_finished(run, executor.engine, finished)
            clear_leftovers(target)
            if is_done:
                count_segments(run, finished.done, finished.done)
                run.note(
                    f"{target} is finished already: the run that made it was killed in its last "
                    "step, and what it left is removed"
                )
                report.seconds = time.monotonic() - began
                return report
            check_target(source, target, options.overwrite)
        is_parallel = options.devices is not None or options.ray is not None
        if is_parallel and plan.reason is not None:
            run.note(f"one device does all the work: {plan.reason}")
        with open_output(run, executor.engine) as output:
            for line in job.notes:
                run.note(line)
            output.begin()
            tell_outlook(run, executor, settled.speed)
            make_missing(run, executor, output)
            output.finish(partial(_check_output, run=run))
        if makes_pictures:
            _note_pictures(run)
    damage = Damage(**report.damage)
    if damage:
        run.note(f"{source} is damaged, the rest was upscaled: {damage}")
    report.seconds = time.monotonic() - began
    log.info("%s", where_time_went(report))
    return report


def _open_executor(
    job: UpscaleJob,
    options: UpscaleOptions,
    plan: RunPlan,
    backend: Backend | None,
) -> SegmentExecutor:
    """Load the network where it will run; `backend` is one that is loaded already.

    Raises:
        ModelError: no such checkpoint file, or a bad checkpoint.
        BackendError: a device is missing, or there is no such cluster.
    """
    devices = None if options.devices is None else parse_devices(options.devices)
    can_be_shared = plan.reason is None
    if devices is not None and can_be_shared:
        from vsrcli.segments.process_executor import ProcessExecutor

        return ProcessExecutor(job, options, plan, devices, open_backend)
    if options.ray is not None and can_be_shared:
        if find_spec("ray") is None:
            raise BackendError(
                "--ray needs Ray: pip install 'vsrcli[ray]'; "
                "for the devices of this machine --devices is enough"
            )
        from vsrcli.segments.ray_executor import RayExecutor

        return RayExecutor(job, options, plan, open_backend)
    device = options.device if devices is None else devices[0]
    local_options = replace(options, device=device, devices=None)
    if backend is not None and devices is None:
        return LocalExecutor(backend)
    return LocalExecutor(open_network(open_backend, local_options))


def _new_report(
    source: Path, target: Path, job: UpscaleJob, engine: Engine
) -> UpscaleReport:
    return UpscaleReport(
        source=str(source),
        target=str(target),
        model=engine.model,
        domain=engine.domain,
        width=job.video.width,
        height=job.video.height,
        device=engine.device,
        backend=engine.backend,
        precision=engine.precision,
    )


def _note_pictures(run: RunContext) -> None:
    """Tell what belongs to a folder of pictures: how it becomes a video, and what is not new."""
    job = run.job
    first = job.pictures.first
    written = range(first, first + run.report.frames_out)
    leftovers = leftover_note(job.target, job.pictures.pattern, written)
    if leftovers is not None:
        run.note(leftovers)
    hint = None if job.is_folder else _hint(job, run.options)
    if hint is not None:
        run.note(hint)


def _hint(job: UpscaleJob, options: UpscaleOptions) -> str | None:
    """How to make a video of the pictures."""
    first_time = job.first_time or Fraction(0)
    if job.fps != "source":
        # the place of the first picture, at a constant rate
        place = round_half_away((first_time - job.origin) * job.fps)
        first_time = job.origin + place / job.fps
    return assemble_hint(
        job.info,
        job.target,
        rate=job.video.rate,
        first_time=first_time,
        is_cut=options.range.end is not None,
        aspect=job.video.sample_aspect,
    )


def _check_output(part: Path, run: RunContext) -> None:
    """Check the complete output before it gets its name.

    Raises:
        OutputError: frames are missing that ``strict`` keeps, or the verification failed.
    """
    report = run.report
    refuse_dropped(
        report.frames_in - report.frames_upscaled, run.options, run.job.target
    )
    if run.options.verify:
        _certify(part, run)


def _certify(part: Path, run: RunContext) -> None:
    """Verify the complete output; if it fails, keep it under another name.

    Raises:
        OutputError: a check failed.
    """
    began = time.monotonic()
    job = run.job
    verification = verify(
        job.source,
        part,
        replace(run.options, fps=job.fps),
        final_target=job.target,
        promised=job.promised,
        source_info=job.info,
        named_changes=job.changes,
        on_progress=lambda share, frames: run.show_verification(share),
    )
    run.report.verify_seconds = time.monotonic() - began
    run.report.checks = verification.as_dict()
    if verification.ok:
        return
    failed = [f"{check.name}: {check.text}" for check in verification.failed]
    # on the disk of the part, where the output may be a link to another one
    resolved = job.target.resolve()
    name = f"{resolved.stem}.unverified{resolved.suffix}"
    aside = keep_aside(part, resolved.with_name(name))
    raise OutputError(
        f"{job.target} is not what it should be ({'; '.join(failed)}): "
        f"the file is kept as {aside}"
    )
