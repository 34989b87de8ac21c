"""The main job: wires reader, schedule, windows, network and writer together. Prints nothing.

Three things run at once: decoding (a thread), the network with luma and chroma around it (a thread), encoding (the caller's thread).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from vsrcli.backends import Backend, Float, open_backend
from vsrcli.errors import BackendError, InputError, OutputError
from vsrcli.frame import ColorTags, Frame, Plane
from vsrcli.media.folder_writer import FolderWriter
from vsrcli.media.pipe import is_standard_input, standard_input
from vsrcli.media.timing import Scheduled
from vsrcli.media.writer import VideoWriter
from vsrcli.models import ModelSpec
from vsrcli.options import UpscaleOptions
from vsrcli.picture.chroma import upscale_alpha, upscale_chroma
from vsrcli.picture.color import from_model, to_model
from vsrcli.picture.reuse import Reuse
from vsrcli.picture.tiles import EDGE_PX
from vsrcli.picture.windows import windows
from vsrcli.run.clock import Clock
from vsrcli.run.prefetch import Prefetch
from vsrcli.run.preflight import Job, open_reader, open_writer, prepare
from vsrcli.run.verify import verify

log = logging.getLogger(__name__)

_DECODED_AHEAD = 8
_UPSCALED_AHEAD = 4


@dataclass(frozen=True, slots=True)
class UpscaleProgress:
    """Where a run stands: share of the time range that is done (0..1, None where its length is unknown), frames upscaled and frames written."""

    share: float | None
    frames_upscaled: int
    frames_out: int


@dataclass(slots=True)
class UpscaleReport:
    """What a run did.

    Attributes:
        source, target: files.
        model, domain: the network, and what its weights were trained to undo (None: unknown).
        width, height: of the output, pixels.
        device, backend, precision: what ran the network.
        frames_in: source frames in the range.
        frames_upscaled: frames that went through the network; those that the output's rate drops do not.
        frames_out: frames written.
        seconds: wall time of everything.
        network_seconds: time in the network alone.
        stages: seconds that each stage was at work, side by side with the others: ``decode``, ``network``, ``pictures`` (luma and chroma around the
            network), ``encode``; and how long the encoder was ``waiting`` for the others.
        reused: share of the rows that did not have to be computed, since nothing that they depend on had changed.
        damage: counts of what was wrong with the source (``frame.Damage.as_dict``).
        notes: lines for the user: what was dropped, converted or decided.
        verify_seconds: time that holding the output against the source took.
        checks: the certificate, with ``verify``.
    """

    source: str
    target: str
    model: str
    domain: str | None
    width: int
    height: int
    device: str
    backend: str
    precision: str
    frames_in: int = 0
    frames_upscaled: int = 0
    frames_out: int = 0
    seconds: float = 0.0
    network_seconds: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)
    reused: float = 0.0
    damage: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    verify_seconds: float = 0.0
    checks: dict[str, Any] | None = None


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
        for line in job.notes:
            note(line)
        _work(job, options, backend, reader, writer, report, on_progress)
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


def upscale_frame(window: tuple[Frame, ...], reuse: Reuse, backend: Backend, tags: ColorTags, siting: str | None = None) -> Frame:
    """Double one frame.

    Args:
        window: the frame in the middle of its neighbours, all of one size and format.
        reuse: around the backend's ``run``.
        backend: the network's description.
        tags: for range and chroma siting of the result.
        siting: where the chroma of the window's frames lies, if not where ``tags`` say.

    Returns:
        A frame of twice the size, with the middle frame's format, time and duration; luma by the network, chroma and alpha interpolated.

    Raises:
        BackendError: the network failed, or gave something that is no number.
    """
    frame = window[len(window) // 2]
    layout, full = frame.format, tags.is_full_range
    lumas: Plane = np.stack([each.luma for each in window])  # type: ignore[assignment]  # all of one type
    values = reuse.upscale(lumas, lambda codes: to_model(codes, layout.bits, full, backend.luma_scale))
    if not np.isfinite(values).all():
        raise BackendError(f"the network gave values that are no numbers at {float(frame.time):.3f} s in {backend.precision}: try --fp32")
    luma = from_model(values, layout.bits, full, backend.luma_scale)
    width, height = layout.chroma_size(2 * frame.width, 2 * frame.height)
    location = tags.chroma_location
    chroma = [
        upscale_chroma(plane, format=layout, location=siting or location, out_location=location, out_size=(height, width)) for plane in frame.chroma
    ]
    alpha = [] if frame.alpha is None else [upscale_alpha(frame.alpha, layout.peak)]
    return Frame((luma, *chroma, *alpha), layout, frame.time, frame.duration, frame.scene_cut)


def _work(
    job: Job,
    options: UpscaleOptions,
    backend: Backend,
    reader: Iterable[Frame],
    writer: VideoWriter | FolderWriter,
    report: UpscaleReport,
    on_progress: Callable[[UpscaleProgress], None] | None,
) -> None:
    clocks = {name: Clock() for name in ("decode", "network", "pictures", "encode", "waiting")}

    def timed(batch: Float) -> Float:
        with clocks["network"]:
            return backend.run(batch)

    reuse = Reuse(timed, backend.spec, max_pixels=backend.max_pixels, edge_px=EDGE_PX, exact_bands=backend.exact_bands, enabled=options.reuse)

    def counted(items: Iterable[Scheduled]) -> Iterator[Scheduled]:
        for item in items:
            report.frames_in += _in_range(item.frame, options)
            yield item

    def upscaled(items: Iterable[Scheduled], spec: ModelSpec) -> Iterator[Scheduled]:
        for window in windows(items, spec.radius, lambda item: item.frame.scene_cut):
            middle = window[spec.radius]
            if middle.ticks:
                with clocks["pictures"]:
                    frame = upscale_frame(tuple(item.frame for item in window), reuse, backend, job.conversion.tags, job.conversion.siting)
                    frame = job.conversion.outgoing(frame)
                yield Scheduled(frame, middle.ticks, middle.duration)

    begin = options.start or Fraction(0)
    end = min((value for value in (options.end, job.info.duration) if value is not None), default=None)
    with (
        Prefetch(clocks["decode"].each(map(job.conversion.incoming, reader)), _DECODED_AHEAD, "decode") as decoded,
        Prefetch(upscaled(counted(job.schedule.run(decoded)), backend.spec), _UPSCALED_AHEAD, "network") as results,
    ):
        for item in clocks["waiting"].each(results):
            if is_standard_input(job.source) and not report.frames_upscaled:
                standard_input().seal()  # by now all who read it have begun
            if job.schedule.origin is not None:
                writer.origin = job.schedule.origin
            with clocks["encode"]:
                for tick in item.ticks:
                    writer.write(item.frame, tick, item.duration)
            report.frames_upscaled += 1
            report.frames_out += len(item.ticks)
            if on_progress is not None:
                share = None if end is None or end <= begin else float(min(Fraction(1), max(Fraction(0), (item.frame.time - begin) / (end - begin))))
                on_progress(UpscaleProgress(share, report.frames_upscaled, report.frames_out))
    report.network_seconds = clocks["network"].seconds
    report.stages = {name: clock.seconds for name, clock in clocks.items()}
    report.stages["pictures"] -= report.network_seconds
    report.reused = 1 - reuse.rows_computed / reuse.rows if reuse.rows else 0.0


def _in_range(frame: Frame, options: UpscaleOptions) -> bool:
    return (options.start is None or frame.time >= options.start) and (options.end is None or frame.time < options.end)
