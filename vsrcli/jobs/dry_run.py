"""What ``vsr upscale`` would do, found out without writing anything. Prints nothing."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from vsrcli.backends import open_backend
from vsrcli.encode.formats import choose_format
from vsrcli.estimate.model_choice import settle_model
from vsrcli.estimate.opening_lines import comparison_line
from vsrcli.estimate.outlook import Outlook, make_outlook
from vsrcli.estimate.run_timing import RunTimer
from vsrcli.estimate.slow_runs import with_slowness
from vsrcli.jobs.checked_run import CheckedRun, check_run
from vsrcli.options import UpscaleOptions, parse_devices
from vsrcli.preflight.run_plan import RunPlan, plan_run
from vsrcli.preflight.targets import is_file_target, is_folder_target
from vsrcli.preflight.upscale_job import UpscaleJob
from vsrcli.preflight.workload import Workload, measure_workload
from vsrcli.segments.executor import Engine, open_network
from vsrcli.segments.kept_segments import kept_segments
from vsrcli.streams.stream_plan import StreamPlan


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a run would do.

    Attributes:
        job: what was decided.
        options: with the network that was chosen.
        plan: the segments.
        engine: what would run the network.
        workload: how much there is to do; None for a source of unknown length.
        outlook: time, size and disk.
        segments_done: what an earlier run has left.
        pixel_format: of the output, by FFmpeg's name; None for pictures.
        disk_free_bytes: where the output goes; None if that is no disk.
        comparison: a faster network, in a line; None if there is none, or no need.
        notes: lines for the user.
        ends: when the run would be done; None where it is unknown.
    """

    job: UpscaleJob
    options: UpscaleOptions
    plan: RunPlan
    engine: Engine
    workload: Workload | None
    outlook: Outlook
    segments_done: int
    pixel_format: str | None
    disk_free_bytes: int | None
    comparison: str | None
    notes: tuple[str, ...]
    ends: datetime | None

    @property
    def segments(self) -> int:
        """How many the run would have; 0: it would write the output directly."""
        return 0 if self.plan.is_one_go else len(self.plan.segments)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: names as the command line shows them, sizes in bytes, times in seconds."""
        info = self.job.info
        outlook = self.outlook
        workload = self.workload
        return {
            "source": str(self.job.source),
            "target": str(self.job.target),
            "input": {
                "container": info.container,
                "codec": info.video.codec,
                "width": outlook.input_width,
                "height": outlook.input_height,
                "frame_rate": None if info.rate is None else str(info.rate),
                "seconds": None if workload is None else workload.seconds,
            },
            "output": {
                "codec": None if self.pixel_format is None else self.job.encoder.codec,
                "crf": self.job.encoder.crf,
                "preset": self.job.encoder.preset,
                "pixel_format": self.pixel_format,
                "width": outlook.output_width,
                "height": outlook.output_height,
                "frame_rate": str(self.job.fps),
            },
            "streams": [_stream_as_dict(plan) for plan in self.job.streams],
            "frames_in": outlook.frames_in,
            "frames_left_out": None if workload is None else workload.left_out,
            "frames_to_compute": outlook.frames_to_compute,
            "frames_repeated": None if workload is None else workload.repeated,
            "frames_out": outlook.frames_out,
            "frames_done": outlook.frames_done,
            "segments": self.segments,
            "segments_done": self.segments_done,
            "model": self.engine.model,
            "domain": self.engine.domain,
            "backend": self.engine.backend,
            "device": self.engine.device,
            "precision": self.engine.precision,
            "workers": outlook.workers,
            "seconds_per_frame": outlook.seconds_per_frame,
            "seconds": outlook.seconds,
            "ends": None if self.ends is None else self.ends.isoformat("T", "seconds"),
            "output_bytes": outlook.output_bytes,
            "output_is_sampled": outlook.output_is_sampled,
            "disk_bytes": outlook.disk_bytes,
            "disk_free_bytes": self.disk_free_bytes,
            "comparison": self.comparison,
            "notes": list(self.notes),
        }


def dry_run(
    source: str | Path,
    target: str | Path,
    options: UpscaleOptions | None = None,
    *,
    checked: CheckedRun | None = None,
) -> DryRun:
    """Find out what ``upscale`` would do, and how long that would take here.

    Nothing is written or removed.

    Args:
        source: as for ``upscale``.
        target: the same.
        options: the same.
        checked: what ``check_run`` said of the same, if it was asked.

    Raises:
        VsrError: what ``upscale`` refuses before its work.
    """
    options = options or UpscaleOptions()
    if checked is None:
        checked = check_run(Path(source), Path(target), options, is_dry=True)
    job = checked.job
    plan = plan_run(job, options)
    workers, options = _first_worker(options)
    settled = settle_model(job, options, plan)
    named = settled.options
    line = settled.line
    backend = settled.backend or open_network(open_backend, named)
    engine = Engine.of(backend)
    plan = with_slowness(plan, job, named, engine)
    done = kept_segments(job, named, plan, engine)
    speed = settled.speed or RunTimer(job, named, plan, backend).speed()
    workload = measure_workload(job.info, named)
    outlook = make_outlook(
        job,
        plan,
        workload,
        backend,
        speed,
        workers=workers,
        frames_done=sum(segment.frames_upscaled for segment in done),
    )
    comparison = comparison_line(job, named, plan, outlook, engine.domain)
    return DryRun(
        job=job,
        options=named,
        plan=plan,
        engine=engine,
        workload=workload,
        outlook=outlook,
        segments_done=len(done),
        pixel_format=_pixel_format(job),
        disk_free_bytes=_free_bytes(job.target),
        comparison=comparison,
        notes=job.notes if line is None else (line, *job.notes),
        ends=outlook.ends(datetime.now()),
    )


def _first_worker(options: UpscaleOptions) -> tuple[int, UpscaleOptions]:
    """How many would work side by side, and the options of one of them."""
    if options.devices is None:
        return 1, replace(options, ray=None)
    devices = parse_devices(options.devices)
    # processes on one processor share its cores
    workers = len(set(devices))
    return workers, replace(options, devices=None, device=devices[0])


def _pixel_format(job: UpscaleJob) -> str | None:
    if is_folder_target(job.target):
        return None
    return choose_format(job.encoder, job.video.format)[0].name


def _free_bytes(target: Path) -> int | None:
    if not (is_file_target(target) or is_folder_target(target)):
        return None
    folder = target.resolve().parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def _stream_as_dict(plan: StreamPlan) -> dict[str, Any]:
    stream = plan.stream
    return {
        "index": stream.index,
        "kind": stream.kind,
        "codec": stream.codec,
        "language": stream.language,
        "detail": stream.detail,
        "action": plan.action,
        "becomes": plan.codec,
        "reason": plan.reason,
        "loses": plan.loses,
    }
