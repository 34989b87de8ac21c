"""The main job, from the preflight to the file under its name. Prints nothing."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from vsrcli.backends import Backend, open_backend
from vsrcli.errors import InputError, OutputError
from vsrcli.frame import Damage
from vsrcli.media.timeline import Timeline
from vsrcli.options import AUTO, UpscaleOptions
from vsrcli.run.choose import choose
from vsrcli.run.journal import Journal, Segment, begun_with
from vsrcli.run.pipeline import UpscaleProgress, UpscaleReport, run_stages
from vsrcli.run.plan import Plan
from vsrcli.run.preflight import Job, open_reader, open_writer, prepare
from vsrcli.run.segments import Space, cut_up, facts_of, join, make_stretch, total, work_through
from vsrcli.run.verify import verify

log = logging.getLogger(__name__)

_OnProgress = Callable[[UpscaleProgress], None] | None
_Check = Callable[[Path], None] | None


def upscale(
    source: str | Path,
    target: str | Path,
    options: UpscaleOptions | None = None,
    *,
    on_progress: Callable[[UpscaleProgress], None] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> UpscaleReport:
    """Double the resolution of a video file.

    Args:
        source: a video file.
        target: the output; its ending names the container.
        options: see ``UpscaleOptions``.
        on_progress: called in this thread after each frame.
        on_note: called with each line that the user should read, before the work starts where possible.

    Returns:
        What was done.

    Raises:
        InputError: the source is missing, no video, damaged beyond use, or (``strict``) damaged at all.
        OutputError: the target cannot be written.
        ModelError: no such model, or a bad checkpoint.
        BackendError: the device is missing, or the network failed.
        OptionError: the range lies outside the source.
    """
    source, target, options = Path(source), Path(target), options or UpscaleOptions()
    began = time.monotonic()
    job = prepare(source, target, options)
    choice = None
    if options.model == AUTO:
        begun = None if options.restart else begun_with(job.target)
        model, choice = choose(job.info, options) if begun is None else (begun, None)
        options = replace(options, model=model, budget=None)
    backend = open_backend(options.backend, options.model, options.domain, device=options.device, precision=options.precision)
    report = UpscaleReport(
        source=str(source), target=str(target), model=backend.spec.name, domain=backend.domain, width=job.video.width, height=job.video.height,
        device=backend.device, backend=backend.name, precision=backend.precision,
    )

    def note(line: str) -> None:
        report.notes.append(line)
        if on_note is not None:
            on_note(line)

    if choice:
        job = replace(job, notes=(choice, *job.notes))
    check = (lambda part: _certify(part, job, options, report)) if options.verify else None
    found = cut_up(job, options)
    if found is None:
        damage = _in_one_go(job, options, backend, report, on_progress, note, check)
    else:
        damage = _in_segments(job, options, *found, backend, report, on_progress, note, check)
    if damage:
        note(f"{source} is damaged, the rest was upscaled: {damage}")
    report.seconds = time.monotonic() - began
    log.info("%s", where_time_went(report))
    return report


def _in_one_go(
    job: Job, options: UpscaleOptions, backend: Backend, report: UpscaleReport, on_progress: _OnProgress, note: Callable[[str], None], check: _Check
) -> Damage:
    with open_writer(job, options) as writer, open_reader(job, options, backend.spec.radius) as reader:
        for line in job.notes:
            note(line)
        run_stages(job, options, backend, reader, writer, report, on_progress, note)
        report.damage = reader.damage.as_dict()
        if not report.frames_out:
            raise InputError(f"{job.source}: no frame of it could be decoded{' in that range' if options.start or options.end else ''}")
        writer.finish(report.frames_out, check)
    return reader.damage


def _in_segments(
    job: Job, options: UpscaleOptions, plan: Plan, source: Timeline, backend: Backend, report: UpscaleReport, on_progress: _OnProgress,
    note: Callable[[str], None], check: _Check,
) -> Damage:  # fmt: skip
    with Journal(job.target, plan, facts_of(job, options, backend), restart=options.restart) as journal:
        resumed = set(journal.done)
        try:
            with open_writer(job, options, journal.folder):
                pass  # what the container refuses, it refuses before the work
            for line in job.notes:
                note(line)
            total(report, journal, resumed)
            if resumed:
                note(f"going on with {journal.folder}: {len(resumed)} of {len(plan)} segments are there; --restart would begin anew")
            space = Space(job, options, journal, note)

            def finished(segment: Segment) -> None:
                journal.add(segment)
                space.check()

            def make(first: int, last: int, may_seek: bool) -> None:
                make_stretch(
                    job, options, backend, plan, first, last, is_seekable=may_seek, folder=journal.folder, report=report, on_segment=finished,
                    on_progress=on_progress, on_note=note,
                )  # fmt: skip

            work_through(journal, make, source.is_seekable)
            total(report, journal, resumed)
            join(job, options, journal, check)
        except BaseException:
            if journal.done:
                note(f"{len(journal.done)} of {len(plan)} segments are kept in {journal.folder}: the same command goes on from there")
            else:
                journal.remove()
            raise
        journal.remove()
    return Damage(**report.damage)


def where_time_went(report: UpscaleReport) -> str:
    """One line for the user: how long each stage worked, which is the bottleneck, and what would help."""
    busy = {name: seconds for name, seconds in report.stages.items() if name != "waiting"}
    slowest = max(busy, key=lambda name: busy[name], default="network")
    ways_out = {
        "network": "a GPU or a smaller network would help" if report.device == "cpu" else "a faster GPU or a smaller network would help",
        "encode": "a faster --preset, or a hardware encoder, would help",
        "decode": "--hwaccel auto may help",
        "pictures": "more processor cores would help",
    }
    shares = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in busy.items())
    reused = f"; {100 * report.reused:.0f} % of the rows were reused" if report.reused else ""
    return f"of {report.seconds:.1f} s: {shares}, side by side{reused}; the bottleneck is {slowest}: {ways_out[slowest]}"


def _certify(part: Path, job: Job, options: UpscaleOptions, report: UpscaleReport) -> None:
    """Hold the finished file against the source; where it fails, keep it under another name than the one that was asked for.

    Raises:
        OutputError: a check failed.
    """
    began = time.monotonic()
    certificate = verify(job.source, part, replace(options, fps=job.fps), shown=job.target, promised=job.promised)
    report.verify_seconds = time.monotonic() - began
    report.checks = certificate.as_dict()
    if certificate.ok:
        return
    failed = [f"{check.name}: {check.text}" for check in certificate.checks if not check.passed]
    aside = job.target.with_name(f"{job.target.stem}.unverified{job.target.suffix}")
    part.replace(aside)
    raise OutputError(f"{job.target} is not what it should be ({'; '.join(failed)}): the file is kept as {aside}")
