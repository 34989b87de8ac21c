"""Short videos that take long: what is done of them is kept like that of long ones."""

from __future__ import annotations

from dataclasses import replace

from vsrcli.estimate.run_timing import guess_seconds
from vsrcli.options import UpscaleOptions
from vsrcli.preflight.run_plan import RunPlan
from vsrcli.preflight.upscale_job import UpscaleJob
from vsrcli.preflight.workload import measure_workload
from vsrcli.segments.executor import Engine
from vsrcli.segments.segment_folder import JOURNAL_NAME, folder_of

# At most this much work may be lost.
_MAX_LOST_SECONDS = 60.0


def with_slowness(
    plan: RunPlan, job: UpscaleJob, options: UpscaleOptions, engine: Engine
) -> RunPlan:
    """Say whether a run is slow, by a guess that is the same whenever it is made.

    A run that has begun to keep its work goes on with it, whatever the guess is.
    """
    if not plan.is_short:
        return plan
    has_begun = (folder_of(job.target) / JOURNAL_NAME).exists()
    return replace(plan, is_slow=has_begun or _is_slow(job, options, engine))


def _is_slow(job: UpscaleJob, options: UpscaleOptions, engine: Engine) -> bool:
    workload = measure_workload(job.info, options)
    if workload is None:
        return False
    seconds = guess_seconds(job, engine, workload.frames)
    return seconds is not None and seconds > _MAX_LOST_SECONDS
