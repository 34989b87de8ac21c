"""The stages of the main job, connected: reader, schedule, windows, network, writer.

Prints nothing.

Four things run at once: decoding, the network, chroma (a thread each), and encoding (the caller's
thread); for some networks motion compensation as well, on threads of its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from vsrcli.backends import Backend
from vsrcli.errors import OutputError
from vsrcli.frame import Frame, Plane
from vsrcli.frame_io import FrameSource
from vsrcli.picture.finish import finish_frame
from vsrcli.picture.windows import windows
from vsrcli.pipeline.clock import Clock
from vsrcli.pipeline.luma_keeper import LumaKeeper
from vsrcli.pipeline.network import LumaNetwork, Work
from vsrcli.pipeline.onlooker import Onlooker
from vsrcli.pipeline.prefetch import Prefetch
from vsrcli.pipeline.run_context import RunContext
from vsrcli.preflight.upscale_job import UpscaleJob
from vsrcli.timing import Scheduled

_DECODED_AHEAD = 8
_LUMA_AHEAD = 2
_UPSCALED_AHEAD = 4


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


class SegmentSink(Protocol):
    """Takes the frames of segments, in the encoder's thread."""

    def begin_segment(self, number: int) -> None:
        """Called before each frame is written, with its segment."""
        ...

    def write(self, frame: Frame, tick: int, duration: int) -> None:
        """Take one frame of that segment; see ``FrameSink.write``."""
        ...

    def finish(self) -> None:
        """Complete all segments: no frame comes any more, and the other threads have ended."""
        ...


def run_stages(
    run: RunContext,
    backend: Backend,
    source: FrameSource,
    sink: SegmentSink,
    tagger: FrameTagger,
    keeper: LumaKeeper,
    onlooker: Onlooker | None = None,
) -> None:
    """Bring every frame from the source through the network to the sink.

    Args:
        run: what to do, and who is told; times and counts are added to its report.
        backend: the network.
        source: the frames.
        sink: where they go.
        tagger: tells which of them go there.
        keeper: knows the doubled luma of some, and may keep that of others.
        onlooker: sees the frames as they are finished; None: nobody does.

    Raises:
        VsrError: whatever a stage raises; no thread is left behind.
    """
    job = run.job
    report = run.report
    clocks = _Clocks()
    tile = run.options.tile
    network = LumaNetwork(
        backend,
        tile=None if tile == "auto" else tile,
        reuse=run.options.reuse,
        strength=run.options.strength,
        on_note=run.note,
    )
    frames_before = report.frames_upscaled
    recalled_before = report.frames_recalled
    # each stage takes from the one before, on a thread of its own
    incoming = clocks.decode.each(map(job.conversion.incoming, source))
    with ExitStack() as stack:
        decoded = stack.enter_context(
            Prefetch(
                incoming,
                _DECODED_AHEAD,
                "decode",
                stalled=source.stalled,
            )
        )
        tagged = _tagged(job.schedule().run(decoded), run, tagger)
        # appending to a deque and taking from it are thread-safe
        works: deque[float | None] = deque()
        with_luma = _with_luma(tagged, network, keeper, job, clocks, works)
        lumas = stack.enter_context(Prefetch(with_luma, _LUMA_AHEAD, "network"))
        finished = _finished(lumas, job, clocks.chroma, onlooker)
        results = stack.enter_context(Prefetch(finished, _UPSCALED_AHEAD, "chroma"))
        for item in clocks.waiting.each(results):
            with clocks.encode:
                _write(item, sink)
            report.frames_upscaled += 1
            report.frames_out += len(item.ticks)
            work = works.popleft()
            if work is None:
                report.frames_recalled += 1
                continue  # how fast these come tells nothing
            run.work.frames += work
            end = item.frame.time + item.frame.duration
            share = job.time_range.share(end, job.info.duration)
            run.show_progress(share)
    frames_computed = report.frames_upscaled - frames_before
    frames_computed -= report.frames_recalled - recalled_before
    stages = clocks.stage_seconds(network)
    report.add(stages, network.reused, frames_computed)


class _Clocks:
    """How long each stage works."""

    def __init__(self) -> None:
        self.decode = Clock()
        self.motion = Clock()
        self.luma = Clock()
        self.chroma = Clock()
        self.encode = Clock()
        self.waiting = Clock()

    def stage_seconds(self, network: LumaNetwork) -> dict[str, float]:
        """See ``UpscaleReport.stages``."""
        around_network = self.luma.seconds - network.clock.seconds
        stages = {
            "decode": self.decode.seconds,
            "network": network.clock.seconds,
            "pictures": around_network + self.chroma.seconds,
        }
        if network.inputs.is_costly:
            stages["motion"] = self.motion.seconds / network.inputs.threads
        stages["encode"] = self.encode.seconds
        stages["waiting"] = self.waiting.seconds
        return stages


def _tagged(
    items: Iterable[Scheduled],
    run: RunContext,
    tagger: FrameTagger,
) -> Iterator[Scheduled]:
    """Every frame with its segment; those in the range are counted."""
    for item in items:
        in_range = run.job.time_range.contains(item.frame.time)
        run.report.frames_in += in_range
        if in_range and item.frame.captions:
            _tell_of_captions(run, item.frame)
        yield tagger.assign_segment(item, in_range)


def _tell_of_captions(run: RunContext, frame: Frame) -> None:
    """Name closed captions as lost, if nobody has; the first of them may come late.

    Raises:
        OutputError: (``strict``) they would be lost.
    """
    job = run.job
    loss = job.caption_loss
    if loss is None:
        return
    if run.options.strict:
        raise OutputError(
            f"{job.target}: --strict allows no loss: closed captions begin at "
            f"{float(frame.time):.3f} s, and {loss}"
        )
    if loss not in (*job.losses, *run.report.notes):
        run.note(loss)


def _write(item: Scheduled, sink: SegmentSink) -> None:
    sink.begin_segment(item.segment)
    all_captions = item.captions or (b"",) * len(item.ticks)
    for tick, captions in zip(item.ticks, all_captions, strict=True):
        frame = replace(item.frame, captions=captions) if captions else item.frame
        sink.write(frame, tick, item.duration)


@dataclass(frozen=True, slots=True)
class _Window:
    """A frame that is shown, its neighbourhood, and whether its doubled luma is known already."""

    item: Scheduled
    lumas: list[Plane]
    is_recalled: bool


def _with_luma(
    items: Iterable[Scheduled],
    network: LumaNetwork,
    keeper: LumaKeeper,
    job: UpscaleJob,
    clocks: _Clocks,
    works: deque[float | None],
) -> Iterator[tuple[Scheduled, Plane]]:
    """Each frame that is shown, and its doubled luma.

    Adds to ``works`` what it was of work; None if it was known already.
    """
    is_full_range = job.conversion.tags.is_full_range
    planned = _planned(items, network, keeper, is_full_range)
    with closing(network.inputs.make(planned)) as inputs:
        for window, (planes, seconds) in inputs:
            item = window.item
            if window.is_recalled:
                works.append(None)
                yield item, planes
                continue
            clocks.motion.seconds += seconds
            bits = item.frame.format.bits
            seconds_before = clocks.luma.seconds
            with clocks.luma:
                luma = network.upscale(planes, bits, is_full_range)
            seconds /= network.inputs.threads
            seconds += clocks.luma.seconds - seconds_before
            keeper.keep(item, window.lumas, luma, seconds)
            works.append(network.last_work)
            yield item, luma


def _planned(
    items: Iterable[Scheduled],
    network: LumaNetwork,
    keeper: LumaKeeper,
    is_full_range: bool,
) -> Generator[tuple[_Window, Work]]:
    """Each frame that is shown, and what makes the network's planes of the window around it.

    If the frame's doubled luma is known, that is what the work gives.
    """
    radius = network.spec.radius
    for window in windows(items, radius, lambda item: item.frame.scene_cut):
        middle = window[radius]
        if not middle.ticks:
            continue
        lumas = [item.frame.luma for item in window]
        bits = middle.frame.format.bits
        work = network.inputs.plan(lumas, bits, is_full_range)
        recall = keeper.recall(middle, lumas)
        if recall is not None:
            work = partial(_recalled, recall)
        yield _Window(middle, lumas, recall is not None), work


def _recalled(recall: Callable[[], Plane]) -> tuple[Plane, float]:
    """A plane that is known, as ``Work``: no time was spent on the network's input."""
    return recall(), 0.0


def _finished(
    items: Iterable[tuple[Scheduled, Plane]],
    job: UpscaleJob,
    clock: Clock,
    onlooker: Onlooker | None,
) -> Iterator[Scheduled]:
    """The frames of the output."""
    conversion = job.conversion
    for item, luma in items:
        with clock:
            frame = finish_frame(item.frame, luma, conversion.tags, conversion.siting)
            if onlooker is not None:
                onlooker.show(item.frame, frame)
            frame = conversion.outgoing(frame)
        yield replace(item, frame=frame)
