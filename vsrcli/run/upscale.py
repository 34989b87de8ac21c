"""The main job, from the preflight to the file under its name. Prints nothing."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from vsrcli.backends import open_backend
from vsrcli.errors import InputError, OutputError
from vsrcli.options import AUTO, UpscaleOptions
from vsrcli.run.choose import choose
from vsrcli.run.pipeline import UpscaleProgress, UpscaleReport, run_stages
from vsrcli.run.preflight import Job, open_reader, open_writer, prepare
from vsrcli.run.verify import verify

log = logging.getLogger(__name__)


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
        model, choice = choose(job.info, options)
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

    with open_writer(job, options) as writer, open_reader(job, options, backend.spec.radius) as reader:
        for line in (*([choice] if choice else []), *job.notes):
            note(line)
        run_stages(job, options, backend, reader, writer, report, on_progress, note)
        report.damage = reader.damage.as_dict()
        if not report.frames_out:
            raise InputError(f"{source}: no frame of it could be decoded{' in that range' if options.start or options.end else ''}")
        check = (lambda part: _certify(part, job, options, report)) if options.verify else None
        writer.finish(report.frames_out, check)
    if reader.damage:
        note(f"{source} is damaged, the rest was upscaled: {reader.damage}")
    report.seconds = time.monotonic() - began
    log.info("%s", where_time_went(report))
    return report


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
