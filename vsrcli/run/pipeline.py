"""The stages of the main job wired together: reader, schedule, windows, network, writer. Prints nothing.

Four things run at once: decoding, the network, chroma (a thread each), and encoding (the caller's
thread); for some networks motion compensation as well, on threads of its own.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from typing import Protocol

from vsrcli.backends import Backend
from vsrcli.frame import ColorTags, Frame, Plane
from vsrcli.frame_io import FrameSink, FrameSource
from vsrcli.picture.chroma import upscale_alpha, upscale_chroma
from vsrcli.picture.windows import windows
from vsrcli.run.clock import Clock
from vsrcli.run.network import LumaNetwork, Work
from vsrcli.run.prefetch import Prefetch
from vsrcli.run.run_context import RunContext
from vsrcli.run.upscale_job import UpscaleJob
from vsrcli.timing import Scheduled

_DECODED_AHEAD = 8
_LUMA_AHEAD = 2
_UPSCALED_AHEAD = 4


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


class FrameTagger(Protocol):
    """Tells which source frames belong to the segments that a pass makes."""

    def assign_segment(self, item: Scheduled, in_range: bool) -> Scheduled:
        """Give a frame its segment; called with every frame, in the network's thread.

        Args:
            item: the next frame.
            in_range: whether it is in the time range of the run.

        Returns:
            The frame with its segment. One that is only context has no place in the output.
        """
        ...


class SegmentSink(FrameSink, Protocol):
    """Takes the frames of segments."""

    def begin_segment(self, number: int) -> None:
        """Called before each frame is written, with its segment."""
        ...


def run_stages(
    run: RunContext,
    backend: Backend,
    source: FrameSource,
    sink: SegmentSink,
    tagger: FrameTagger,
) -> None:
    """Bring every frame from the source through the network to the sink.

    Args:
        run: what to do, and who is told; times and counts are added to its report.
        backend: the network.
        source: the frames.
        sink: where they go.
        tagger: tells which of them go there.

    Raises:
        VsrError: whatever a stage raises; no thread is left behind.
    """
    job = run.job
    report = run.report
    clocks = {
        name: Clock()
        for name in ("decode", "motion", "luma", "chroma", "encode", "waiting")
    }
    network = LumaNetwork(
        backend,
        tile=None if run.options.tile == "auto" else run.options.tile,
        reuse=run.options.reuse,
        on_note=run.note,
    )
    schedule = job.schedule()
    frames_before = report.frames_upscaled
    incoming = clocks["decode"].each(map(job.conversion.incoming, source))
    with (
        Prefetch(incoming, _DECODED_AHEAD, "decode", stalled=source.stalled) as decoded,
        Prefetch(
            _with_luma(
                _tagged(schedule.run(decoded), run, tagger),
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
                _write(item, sink)
            report.frames_upscaled += 1
            report.frames_out += len(item.ticks)
            share = job.time_range.share(item.frame.time, job.info.duration)
            run.show_progress(share)
    frames_computed = report.frames_upscaled - frames_before
    report.add(_stage_seconds(clocks, network), network.reused, frames_computed)


def _stage_seconds(clocks: dict[str, Clock], network: LumaNetwork) -> dict[str, float]:
    """See ``UpscaleReport.stages``."""
    pictures = clocks["luma"].seconds - network.clock.seconds + clocks["chroma"].seconds
    stages = {
        "decode": clocks["decode"].seconds,
        "network": network.clock.seconds,
        "pictures": pictures,
    }
    if network.inputs.is_costly:
        stages["motion"] = clocks["motion"].seconds / network.inputs.threads
    for name in ("encode", "waiting"):
        stages[name] = clocks[name].seconds
    return stages


def _tagged(
    items: Iterable[Scheduled], run: RunContext, tagger: FrameTagger
) -> Iterator[Scheduled]:
    """Every frame with its segment; those in the range are counted."""
    for item in items:
        in_range = run.job.time_range.contains(item.frame.time)
        run.report.frames_in += in_range
        yield tagger.assign_segment(item, in_range)


def _write(item: Scheduled, sink: SegmentSink) -> None:
    sink.begin_segment(item.segment)
    for tick in item.ticks:
        sink.write(item.frame, tick, item.duration)


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
