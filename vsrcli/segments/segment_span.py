"""A pass over the source that makes some consecutive segments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from vsrcli.backends import Backend
from vsrcli.frame_io import FrameSource
from vsrcli.pipeline.luma_keeper import KeepsNothing, LumaKeeper
from vsrcli.pipeline.onlooker import Onlooker
from vsrcli.pipeline.run_context import RunContext
from vsrcli.pipeline.stages import SegmentSink, run_stages
from vsrcli.preflight.opening import open_reader
from vsrcli.preflight.upscale_job import UpscaleJob
from vsrcli.segments.frame_keeper import FrameKeeper
from vsrcli.segments.latest_picture import open_latest_picture
from vsrcli.segments.segment import Segment
from vsrcli.segments.segment_tagger import SegmentTagger
from vsrcli.segments.segment_writer import SegmentSpanWriter
from vsrcli.timing import TimeRange


@dataclass(frozen=True, slots=True)
class SegmentSpan:
    """What one pass reads and writes.

    Attributes:
        job: with the output's origin.
        source: the frames of the segments, and some around them.
        tagger: tells which of them belong to the segments.
        sink: takes their upscaled frames.
        keeper: knows the doubled luma of some.
        onlooker: sees the upscaled frames; None: nobody does.
    """

    job: UpscaleJob
    source: FrameSource
    tagger: SegmentTagger
    sink: SegmentSink
    keeper: LumaKeeper = field(default_factory=KeepsNothing)
    onlooker: Onlooker | None = None

    def make(self, run: RunContext, backend: Backend) -> None:
        """Bring the frames through the network.

        Raises:
            VsrError: whatever a stage raises.
        """
        run = replace(run, job=self.job)
        run_stages(
            run,
            backend,
            self.source,
            self.sink,
            self.tagger,
            self.keeper,
            self.onlooker,
        )
        self.sink.finish()


@contextmanager
def open_part_span(
    run: RunContext,
    radius: int,
    first: int,
    last: int,
    *,
    may_seek: bool,
    folder: Path,
    on_segment: Callable[[Segment], None],
    is_kept: bool = True,
) -> Iterator[SegmentSpan]:
    """Open the pass that writes each segment to a part.

    Args:
        run: the run.
        radius: frames that the network needs before and after each frame.
        first: number of the first segment.
        last: number of the last one.
        may_seek: whether the source may be read from the middle, or only from where the run begins.
        folder: where the parts go.
        on_segment: called with each segment that is safe on the disk.
        is_kept: whether the folder outlives the run: then frames of segments that take long are
            kept in it as well, and the latest one is shown there.

    Raises:
        InputError: the source cannot be opened any more.
    """
    segments = run.plan.segments
    starts_in_the_middle = first > 0 and may_seek
    time_range = TimeRange(
        segments.begin(first) if starts_in_the_middle else run.options.start,
        segments.end(last) or run.options.end,
    )
    tagger = SegmentTagger(segments, first, last)
    # the frame before a segment is needed to tell whether it fits the one before
    context = max(1, radius)
    keeper = None
    onlooker = None
    if is_kept:
        time_base = run.job.video.time_base
        keeper = FrameKeeper(folder, segments, run.options.segment, time_base)
        onlooker = open_latest_picture(run, folder)
    with open_reader(run.job, run.options, context, within=time_range) as source:
        sink = SegmentSpanWriter(
            run.job, folder, first, last, tagger, source.damage, on_segment, keeper
        )
        with sink:
            yield SegmentSpan(
                run.job,
                source,
                tagger,
                sink,
                keeper or KeepsNothing(),
                onlooker,
            )
