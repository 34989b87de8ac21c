"""What an earlier run on the same output has left, without touching it."""

from __future__ import annotations

from pathlib import Path

from vsrcli.options import UpscaleOptions
from vsrcli.preflight.run_plan import RunPlan
from vsrcli.preflight.targets import is_file_target
from vsrcli.preflight.upscale_job import UpscaleJob
from vsrcli.segments.executor import Engine
from vsrcli.segments.fingerprint import run_fingerprint
from vsrcli.segments.journal_head import check_head, journal_head
from vsrcli.segments.journal_lines import read_lines
from vsrcli.segments.segment import Segment
from vsrcli.segments.segment_folder import JOURNAL_NAME, folder_of, part_path


def kept_segments(
    job: UpscaleJob,
    options: UpscaleOptions,
    plan: RunPlan,
    engine: Engine,
) -> list[Segment]:
    """The finished segments that a run would continue with.

    Raises:
        OutputError: they belong to a run that differs from this one.
        InputError: the source cannot be read.
    """
    if plan.is_one_go or options.restart or not is_file_target(job.target):
        return []
    folder = folder_of(job.target)
    lines = read_lines(folder / JOURNAL_NAME)
    if not lines:
        return []
    fingerprint = run_fingerprint(job, options, engine)
    check_head(lines[0], journal_head(plan.segments, fingerprint), folder)
    segments = {}
    for line in lines[1:]:
        segment = Segment.from_json(line)
        if segment is not None and _is_there(segment, folder):
            segments[segment.number] = segment
    return list(segments.values())


def _is_there(segment: Segment, folder: Path) -> bool:
    if not segment.frames:
        return True
    try:
        return part_path(folder, segment.number).stat().st_size == segment.size
    except OSError:
        return False
