"""The stages of the main job wired together: reader, schedule, windows, network, writer. Prints nothing.

Three things run at once: decoding (a thread), the network with luma and chroma around it (a thread), encoding (the caller's thread).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from vsrcli.backends import Backend, Float
from vsrcli.errors import BackendError
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
from vsrcli.run.preflight import Job

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


def run_stages(
    job: Job,
    options: UpscaleOptions,
    backend: Backend,
    reader: Iterable[Frame],
    writer: VideoWriter | FolderWriter,
    report: UpscaleReport,
    on_progress: Callable[[UpscaleProgress], None] | None,
) -> None:
    """Bring every frame from the reader through the network to the writer, and count what was done into the report.

    Raises:
        VsrError: whatever a stage raises; no thread is left behind.
    """
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
