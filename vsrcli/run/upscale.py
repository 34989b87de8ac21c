"""The main job, from the preflight to the file under its name. Prints nothing."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from vsrcli.backends import Backend, open_backend
from vsrcli.errors import BackendError, InputError, OutputError
from vsrcli.frame import Damage
from vsrcli.media.timeline import Timeline
from vsrcli.options import AUTO, UpscaleOptions, parse_devices
from vsrcli.run.choose import choose
from vsrcli.run.journal import Journal, Segment, begun_with, clear_finished
from vsrcli.run.opening import open_file_writer, open_reader, open_writer
from vsrcli.run.origin import with_first_time, with_origin
from vsrcli.run.pipeline import UpscaleProgress, UpscaleReport, run_stages
from vsrcli.run.plan import Plan
from vsrcli.run.segments import (
    Here,
    Hooks,
    Maker,
    cut_up,
    facts_of,
    join,
    one_go,
    total,
    work_through,
)
from vsrcli.run.space import Space
from vsrcli.run.upscale_job import UpscaleJob, prepare
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
    clear_finished(target)
    job = prepare(source, target, options)
    choice = None
    if options.model == AUTO:
        begun = None if options.restart else begun_with(job.target)
        model, choice = choose(job.info, options) if begun is None else (begun, None)
        options = replace(options, model=model, budget=None)
    if choice:
        job = replace(job, notes=(choice, *job.notes))
    found = cut_up(job, options)
    if found is not None and (found[1].is_seekable or options.start is not None):
        job = with_first_time(job, options)
    with _network(job, options, found) as (maker, backend):
        engine = maker.engine
        report = UpscaleReport(
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

        def note(line: str) -> None:
            report.notes.append(line)
            if on_note is not None:
                on_note(line)

        if backend is not None and (
            options.devices is not None or options.ray is not None
        ):
            note(
                f"one device does it all: {one_go(job) or 'the video is short, or its packets do not say when they are shown'}"
            )
        check = (
            (lambda part: _certify(part, job, options, report))
            if options.verify
            else None
        )
        if found is None and backend is not None:
            damage = _in_one_go(job, options, backend, report, on_progress, note, check)
        elif found is not None:
            damage = _in_segments(
                job, options, *found, maker, report, on_progress, note, check
            )
    if damage:
        note(f"{source} is damaged, the rest was upscaled: {damage}")
    report.seconds = time.monotonic() - began
    log.info("%s", where_time_went(report))
    return report


@contextmanager
def _network(
    job: UpscaleJob, options: UpscaleOptions, found: tuple[Plan, Timeline] | None
) -> Iterator[tuple[Maker, Backend | None]]:
    """What makes the segments; and, where it is here, the network itself."""
    is_spread = found is not None and found[1].is_seekable
    if found is not None and is_spread and options.devices is not None:
        from vsrcli.run.workers import Crew

        with Crew(
            job, options, found[0], parse_devices(options.devices), open_backend
        ) as crew:
            yield crew, None
    elif found is not None and is_spread and options.ray is not None:
        if find_spec("ray") is None:
            raise BackendError(
                "--ray needs Ray: pip install 'vsrcli[ray]'; for the devices of this machine --devices is enough"
            )
        from vsrcli.run.cluster import Cluster

        with Cluster(job, options, found[0], open_backend) as cluster:
            yield cluster, None
    else:
        device = (
            options.device
            if options.devices is None
            else parse_devices(options.devices)[0]
        )
        backend = open_backend(
            options.backend,
            options.model,
            options.domain,
            device=device,
            precision=options.precision,
        )
        yield Here(job, options, found[0] if found else Plan(()), backend), backend


def _in_one_go(
    job: UpscaleJob,
    options: UpscaleOptions,
    backend: Backend,
    report: UpscaleReport,
    on_progress: _OnProgress,
    note: Callable[[str], None],
    check: _Check,
) -> Damage:
    with open_reader(job, options, backend.spec.radius) as reader:
        job = with_origin(job, reader)
        with open_writer(job, options) as writer:
            for line in job.notes:
                note(line)
            run_stages(job, options, backend, reader, writer, report, on_progress, note)
            report.damage = reader.damage.as_dict()
            if not report.frames_out:
                raise InputError(
                    f"{job.source}: no frame of it could be decoded{'' if options.range.is_whole else ' in that range'}"
                )
            writer.finish(report.frames_out, check)
    return reader.damage


def _in_segments(
    job: UpscaleJob, options: UpscaleOptions, plan: Plan, source: Timeline, maker: Maker, report: UpscaleReport, on_progress: _OnProgress,
    note: Callable[[str], None], check: _Check,
) -> Damage:  # fmt: skip
    with Journal(
        job.target, plan, facts_of(job, options, maker.engine), restart=options.restart
    ) as journal:
        resumed = set(journal.done)
        try:
            with open_file_writer(job, journal.folder):
                pass  # what the container refuses, it refuses before the work
            for line in job.notes:
                note(line)
            total(report, journal, resumed)
            if resumed:
                note(
                    f"going on with {journal.folder}: {len(resumed)} of {len(plan)} segments are there; --restart would begin anew"
                )
            space = Space(job, options, journal, note)

            def finished(segment: Segment) -> None:
                journal.add(segment)
                space.check()

            def make(numbers: list[int], may_seek: bool) -> None:
                maker.make(
                    numbers,
                    may_seek,
                    journal.folder,
                    report,
                    Hooks(finished, on_progress, note),
                )

            work_through(journal, make, source.is_seekable)
            total(report, journal, resumed)

            def ready(part: Path) -> None:
                if check is not None:
                    check(part)
                journal.becomes(part)

            join(job, options, journal, ready)
        except BaseException:
            if journal.done:
                note(
                    f"{len(journal.done)} of {len(plan)} segments are kept in {journal.folder}: the same command goes on from there"
                )
            else:
                journal.remove()
            raise
        journal.remove()
    return Damage(**report.damage)


def where_time_went(report: UpscaleReport) -> str:
    """One line for the user: how long each stage worked, which is the bottleneck, and what would help."""
    busy = {
        name: seconds for name, seconds in report.stages.items() if name != "waiting"
    }
    slowest = max(busy, key=lambda name: busy[name], default="network")
    ways_out = {
        "network": "a GPU or a smaller network would help"
        if report.device == "cpu"
        else "a faster GPU or a smaller network would help",
        "encode": "a faster --preset, or a hardware encoder, would help",
        "decode": "--hwaccel auto may help",
        "pictures": "more processor cores would help",
        "motion": "more processor cores, or a network without motion, would help",
    }
    shares = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in busy.items())
    reused = (
        f"; {100 * report.reused:.0f} % of the pixels were reused"
        if report.reused
        else ""
    )
    return f"of {report.seconds:.1f} s: {shares}, side by side{reused}; the bottleneck is {slowest}: {ways_out[slowest]}"


def _certify(
    part: Path, job: UpscaleJob, options: UpscaleOptions, report: UpscaleReport
) -> None:
    """Hold the finished file against the source; where it fails, keep it under another name than the one that was asked for.

    Raises:
        OutputError: a check failed.
    """
    began = time.monotonic()
    verification = verify(
        job.source,
        part,
        replace(options, fps=job.fps),
        final_target=job.target,
        promised=job.promised,
        source_info=job.info,
    )
    report.verify_seconds = time.monotonic() - began
    report.checks = verification.as_dict()
    if verification.ok:
        return
    failed = [
        f"{check.name}: {check.text}"
        for check in verification.checks
        if not check.passed
    ]
    aside = job.target.with_name(f"{job.target.stem}.unverified{job.target.suffix}")
    part.replace(aside)
    raise OutputError(
        f"{job.target} is not what it should be ({'; '.join(failed)}): the file is kept as {aside}"
    )
