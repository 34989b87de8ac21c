"""The stages of the main job wired together: reader, schedule, windows, network, writer. Prints nothing.

Four things run at once: decoding, the network, chroma (a thread each), and encoding (the caller's
thread); for some networks motion compensation as well, on threads of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Protocol

from vsrcli.backends import Backend
from vsrcli.frame import ColorTags, Frame, Plane
from vsrcli.frame_io import FrameSink, FrameSource
from vsrcli.options import UpscaleOptions
from vsrcli.picture.chroma import upscale_alpha, upscale_chroma
from vsrcli.picture.windows import windows
from vsrcli.run.clock import Clock
from vsrcli.run.network import LumaNetwork, Work
from vsrcli.run.prefetch import Prefetch
from vsrcli.run.upscale_job import UpscaleJob
from vsrcli.timing import Scheduled, TimeRange

_DECODED_AHEAD = 8
_LUMA_AHEAD = 2
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
            network), ``motion`` (compensation, shared by its threads), ``encode``; and how long the encoder was ``waiting`` for the others.
        reused: share of the pixels that did not have to be computed, since nothing that they depend on had changed.
        frames_computed: frames that went through the network in this run.
        segments: how many the video was cut into; 0: it was written in one go.
        frames_resumed: frames of ``frames_out`` that an earlier run had written.
        damage: counts of what was wrong with the source (``frame.Damage.as_dict``).
        notes: lines for the user: what was dropped, converted or decided.
        verify_seconds: time that holding the output against the source took.
        checks: the verification report, with ``verify``.
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
    frames_computed: int = 0
    segments: int = 0
    frames_resumed: int = 0
    damage: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    verify_seconds: float = 0.0
    checks: dict[str, Any] | None = None

    @classmethod
    def empty(cls) -> UpscaleReport:
        """One to count in, of nothing in particular."""
        return cls("", "", "", None, 0, 0, "", "", "")

    def add(self, stages: dict[str, float], reused: float, frames: int) -> None:
        """Count in what one pass over so many frames took, and what share of their pixels was reused."""
        self.stages = {
            name: self.stages.get(name, 0.0) + seconds
            for name, seconds in stages.items()
        }
        self.network_seconds = self.stages["network"]
        everything = self.frames_computed + frames
        self.reused = (
            (self.reused * self.frames_computed + reused * frames) / everything
            if everything
            else 0.0
        )
        self.frames_computed = everything


def finish_frame(
    frame: Frame, luma: Plane, tags: ColorTags, siting: str | None = None
) -> Frame:
    """Put doubled luma and interpolated chroma and alpha together.

    Args:
        frame: the source's.
        luma: its doubled luma, (2H, 2W).
        tags: for the chroma siting of the result.
        siting: where the frame's chroma lies, if not where ``tags`` say.

    Returns:
        A frame of twice the size, with the source frame's format, time and duration.
    """
    layout, location = frame.format, tags.chroma_location
    width, height = layout.chroma_size(2 * frame.width, 2 * frame.height)
    chroma = [
        upscale_chroma(
            plane,
            format=layout,
            location=siting or location,
            out_location=location,
            out_size=(height, width),
        )
        for plane in frame.chroma
    ]
    alpha = [] if frame.alpha is None else [upscale_alpha(frame.alpha, layout.peak)]
    return Frame(
        (luma, *chroma, *alpha), layout, frame.time, frame.duration, frame.scene_cut
    )


class SegmentSink(FrameSink, Protocol):
    """A sink for a stretch of segments, to which frames around them belong as well."""

    def see(self, item: Scheduled, in_range: bool) -> Scheduled:
        """Called with every frame before the network, in its thread: says what of it belongs to the stretch."""
        ...

    def enter(self, segment: int) -> None:
        """Called before the frames of a segment are written."""
        ...


def run_stages(
    job: UpscaleJob,
    options: UpscaleOptions,
    backend: Backend,
    reader: FrameSource,
    writer: FrameSink,
    report: UpscaleReport,
    on_progress: Callable[[UpscaleProgress], None] | None,
    on_note: Callable[[str], None],
    *,
    segments: SegmentSink | None = None,
) -> None:
    """Bring every frame from the reader through the network to the writer, and count what was done into the report.

    Args:
        job: what to do.
        options: the run's.
        backend: the network.
        reader: the source.
        writer: where the frames go.
        report: times and counts are added to it.
        on_progress: called after each frame.
        on_note: called with lines for the user.
        segments: the writer, where it takes only a stretch of the frames.

    Raises:
        VsrError: whatever a stage raises; no thread is left behind.
    """
    clocks = {
        name: Clock()
        for name in ("decode", "motion", "luma", "chroma", "encode", "waiting")
    }
    network = LumaNetwork(
        backend,
        tile=None if options.tile == "auto" else options.tile,
        reuse=options.reuse,
        on_note=on_note,
    )

    schedule = job.schedule()
    frames_before = report.frames_upscaled
    with (
        Prefetch(
            clocks["decode"].each(map(job.conversion.incoming, reader)),
            _DECODED_AHEAD,
            "decode",
            stalled=reader.stalled,
        ) as decoded,
        Prefetch(
            _with_luma(
                _counted(schedule.run(decoded), job.time_range, report, segments),
                network,
                job,
                clocks,
            ),
            _LUMA_AHEAD,
            "network",
        ) as lumas,
        Prefetch(
            _finished(lumas, job, clocks["chroma"]), _UPSCALED_AHEAD, "chroma"
        ) as results,
    ):
        for item in clocks["waiting"].each(results):
            with clocks["encode"]:
                _write(item, writer, segments)
            report.frames_upscaled += 1
            report.frames_out += len(item.ticks)
            if on_progress is not None:
                on_progress(
                    UpscaleProgress(
                        job.time_range.share(item.frame.time, job.info.duration),
                        report.frames_upscaled,
                        report.frames_out,
                    )
                )
    pictures = clocks["luma"].seconds - network.clock.seconds + clocks["chroma"].seconds
    stages = {
        "decode": clocks["decode"].seconds,
        "network": network.clock.seconds,
        "pictures": pictures,
    }
    if network.inputs.is_costly:
        stages["motion"] = clocks["motion"].seconds / network.inputs.threads
    stages |= {name: clocks[name].seconds for name in ("encode", "waiting")}
    report.add(stages, network.reused, report.frames_upscaled - frames_before)


def _counted(
    items: Iterable[Scheduled],
    time_range: TimeRange,
    report: UpscaleReport,
    segments: SegmentSink | None,
) -> Iterator[Scheduled]:
    for item in items:
        in_range = time_range.contains(item.frame.time)
        report.frames_in += in_range
        yield item if segments is None else segments.see(item, in_range)


def _write(item: Scheduled, writer: FrameSink, segments: SegmentSink | None) -> None:
    if segments is not None:
        segments.enter(item.segment)
    for tick in item.ticks:
        writer.write(item.frame, tick, item.duration)


def _with_luma(
    items: Iterable[Scheduled],
    network: LumaNetwork,
    job: UpscaleJob,
    clocks: dict[str, Clock],
) -> Iterator[tuple[Scheduled, Plane]]:
    """Each frame that is shown, and its doubled luma."""
    is_full_range = job.conversion.tags.is_full_range
    with closing(network.inputs.make(_planned(items, network, is_full_range))) as made:
        for item, (planes, seconds) in made:
            clocks["motion"].seconds += seconds
            with clocks["luma"]:
                luma = network.upscale(planes, item.frame.format.bits, is_full_range)
            yield item, luma


def _planned(
    items: Iterable[Scheduled], network: LumaNetwork, is_full_range: bool
) -> Generator[tuple[Scheduled, Work]]:
    """Each frame that is shown, and what makes the network's planes of the window around it."""
    radius = network.spec.radius
    for window in windows(items, radius, lambda item: item.frame.scene_cut):
        middle = window[radius]
        if middle.ticks:
            lumas = [item.frame.luma for item in window]
            yield (
                middle,
                network.inputs.plan(lumas, middle.frame.format.bits, is_full_range),
            )


def _finished(
    items: Iterable[tuple[Scheduled, Plane]], job: UpscaleJob, clock: Clock
) -> Iterator[Scheduled]:
    """The frames of the output."""
    for item, luma in items:
        with clock:
            frame = job.conversion.outgoing(
                finish_frame(
                    item.frame, luma, job.conversion.tags, job.conversion.siting
                )
            )
        yield Scheduled(frame, item.ticks, item.duration, item.segment)
