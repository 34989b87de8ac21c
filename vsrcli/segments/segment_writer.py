"""Where the upscaled frames of segments go: to parts, or straight to the output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from vsrcli.encode.parts import PartWriter
from vsrcli.errors import OutputError
from vsrcli.frame import Damage, Frame
from vsrcli.frame_io import FrameSink
from vsrcli.pipeline.stages import SegmentSink
from vsrcli.preflight.upscale_job import UpscaleJob
from vsrcli.segments.frame_keeper import FrameKeeper
from vsrcli.segments.segment import Segment
from vsrcli.segments.segment_folder import part_path
from vsrcli.segments.segment_tagger import SegmentTagger

OnSegment = Callable[[Segment], None]


class SegmentSpanWriter(SegmentSink):
    """Writes some consecutive segments, each to a part of its own.

    ``finish`` completes the last one. Leaving the ``with`` block before that discards the one that
    is not complete.
    """

    def __init__(
        self,
        job: UpscaleJob,
        folder: Path,
        first: int,
        last: int,
        tagger: SegmentTagger,
        damage: Damage,
        on_segment: OnSegment,
        keeper: FrameKeeper | None = None,
    ) -> None:
        """Prepare to write.

        Args:
            job: what the output is to be.
            folder: where the parts go.
            first: number of the first segment.
            last: number of the last one.
            tagger: knows the source frames of complete segments.
            damage: what was wrong with the source so far; the reader counts in it.
            on_segment: called with each segment that is safe on the disk.
            keeper: keeps the doubled frames of those that are not; None: nobody does.
        """
        self._keeper = keeper
        self._job = job
        self._folder = folder
        self._last = last
        self._tagger = tagger
        self._damage = damage
        self._on_segment = on_segment
        self._damage_before = replace(damage)
        self._part: PartWriter | None = None
        self._segment = Segment(first)
        self._previous: Frame | None = None

    def begin_segment(self, number: int) -> None:
        """Expect frames of that segment: those before it are complete."""
        while self._segment.number < number:
            self._complete()
        if self._keeper is not None:
            self._keeper.save_now_and_then()

    def write(self, frame: Frame, tick: int, duration: int) -> None:
        """Encode a frame; see ``FrameSink.write``."""
        if self._part is None:
            self._part = PartWriter(
                part_path(self._folder, self._segment.number),
                self._job.target,
                self._job.video,
                self._job.encoder,
            )
        self._part.write(frame, tick, duration)
        self._segment.frames += 1
        self._segment.frames_upscaled += _is_other(frame, self._previous)
        self._previous = frame

    def finish(self) -> None:
        """See ``SegmentSink.finish``."""
        self._tagger.finish()
        while self._segment.number <= self._last:
            self._complete()

    def __enter__(self) -> SegmentSpanWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._part is not None:
            self._part.abort()
        if self._keeper is not None and error is not None:
            self._keeper.save()

    def _complete(self) -> None:
        segment = self._segment
        frames = self._tagger.take()
        if self._part is not None:
            self._finish_part(self._part, frames.captions)
        elif frames.captions:
            raise OutputError(
                f"{self._job.target}: closed captions of a segment without a frame of the output "
                "have no place: --segment 0 carries them"
            )
        segment.frames_in = frames.count
        segment.before = frames.before
        segment.last = frames.last
        damage_now = replace(self._damage)
        segment.damage = damage_now.since(self._damage_before).as_dict()
        self._damage_before = damage_now
        self._part = None
        if self._keeper is not None:
            self._keeper.forget(segment.number)
        self._segment = Segment(segment.number + 1)
        self._on_segment(segment)

    def _finish_part(self, part: PartWriter, captions: bytes) -> None:
        segment = self._segment
        facts = part.finish(captions)
        if facts.frames != segment.frames:
            raise OutputError(
                f"{self._job.target}: {facts.frames} of {segment.frames} frames came out of "
                f"{self._job.encoder.codec}: --segment 0 may help"
            )
        segment.size = facts.size
        segment.sha256 = facts.sha256


class WholeOutputWriter(SegmentSink):
    """Writes the only segment of a run straight to the output, which somebody else finishes."""

    def __init__(
        self,
        output: FrameSink,
        tagger: SegmentTagger,
        damage: Damage,
        on_segment: OnSegment,
    ) -> None:
        """Prepare to write.

        Args:
            output: takes the frames.
            tagger: knows the source frames.
            damage: what was wrong with the source so far; the reader counts in it.
            on_segment: called with the segment when its last frame is written.
        """
        self._output = output
        self._tagger = tagger
        self._damage = damage
        self._on_segment = on_segment
        self._segment = Segment(0)
        self._held: tuple[Frame, int, int] | None = None

    def begin_segment(self, number: int) -> None:
        """Has no effect: there is only one segment."""

    def write(self, frame: Frame, tick: int, duration: int) -> None:
        """Encode the frame before this one; see ``FrameSink.write``."""
        previous = None
        if self._held is not None:
            self._output.write(*self._held)
            previous = self._held[0]
        self._segment.frames += 1
        self._segment.frames_upscaled += _is_other(frame, previous)
        self._held = (frame, tick, duration)

    def finish(self) -> None:
        """Encode the last frame: complete the segment, not the output."""
        self._tagger.finish()
        frames = self._tagger.take()
        if self._held is not None:
            frame, tick, duration = self._held
            frame = replace(frame, captions=frame.captions + frames.captions)
            self._output.write(frame, tick, duration)
        self._segment.frames_in = frames.count
        self._segment.damage = self._damage.as_dict()
        self._on_segment(self._segment)


def _is_other(frame: Frame, previous: Frame | None) -> bool:
    """Whether a frame is another picture than the one before, which may be shown several times."""
    return previous is None or frame.planes is not previous.planes
