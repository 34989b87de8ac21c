"""The output of a run while it is made: written directly, or joined from finished segments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from vsrcli.encode.part_joining import joined
from vsrcli.errors import InputError, OutputError
from vsrcli.frame import Damage
from vsrcli.frame_io import FrameSink, FrameSource
from vsrcli.pipeline.origin import with_origin
from vsrcli.pipeline.run_context import RunContext
from vsrcli.preflight.opening import open_file_writer, open_reader, open_writer
from vsrcli.preflight.targets import is_folder_target
from vsrcli.preflight.upscale_job import UpscaleJob
from vsrcli.segments.executor import Engine, SegmentExecutor, SegmentStore
from vsrcli.segments.fingerprint import run_fingerprint
from vsrcli.segments.journal import Journal
from vsrcli.segments.segment import Segment
from vsrcli.segments.segment_span import SegmentSpan, open_part_span
from vsrcli.segments.segment_tagger import SegmentTagger
from vsrcli.segments.segment_writer import WholeOutputWriter
from vsrcli.segments.space import Space, check_space

# Called with the complete output under its temporary name; raises if it is not right.
Check = Callable[[Path], None]


class RunOutput(SegmentStore, Protocol):
    """Takes the segments of a run, and makes the output of them."""

    def begin(self) -> None:
        """Tell the user what an earlier run left; called once, before the work."""
        ...

    def missing(self) -> list[int]:
        """The numbers of the segments that are still to be made."""
        ...

    def drop_mismatched(self) -> list[int]:
        """Forget the segments that do not fit the others; their numbers are missing again."""
        ...

    def finish(self, check: Check | None) -> None:
        """Complete the output, check it, and give it its name.

        Raises:
            InputError: the source holds no frame in the range.
            OutputError: the output is not complete, or the disk is full.
        """
        ...


def open_output(run: RunContext, engine: Engine) -> AbstractContextManager[RunOutput]:
    """Open the output of a run: what refuses it refuses it here, before the work.

    Raises:
        InputError: the source cannot be read.
        OutputError: the output cannot be written, or another run is working on it.
    """
    if run.plan.is_one_go:
        return _open_direct_output(run, engine)
    return _open_segmented_output(run, engine)


def make_missing(run: RunContext, executor: SegmentExecutor, output: RunOutput) -> None:
    """Make all missing segments, until they fit together.

    Raises:
        OutputError: segments that were redone still do not fit.
        VsrError: whatever a stage raises.
    """
    for may_seek in (run.plan.is_seekable, False):
        numbers = output.missing()
        if numbers:
            executor.make(run, numbers, output, may_seek=may_seek)
        if not output.drop_mismatched():
            return
    raise OutputError(
        f"the segments of {run.job.target} do not fit together: "
        "--segment 0 makes the video in one go"
    )


class DirectOutput(RunOutput):
    """Written while the only segment is made; nothing is kept after an interruption."""

    def __init__(
        self,
        run: RunContext,
        job: UpscaleJob,
        source: FrameSource,
        writer: FrameSink,
    ) -> None:
        """Take what is open.

        Args:
            run: the run.
            job: its job, with the origin.
            source: the frames.
            writer: writes the output.
        """
        self._run = run
        self._job = job
        self._source = source
        self._writer = writer
        self._done: dict[int, Segment] = {}

    def begin(self) -> None:
        """An earlier run leaves nothing."""

    def missing(self) -> list[int]:
        """See ``RunOutput.missing``."""
        return [] if self._done else [0]

    @contextmanager
    def open_span(
        self, first: int, last: int, *, may_seek: bool
    ) -> Iterator[SegmentSpan]:
        """See ``SegmentStore.open_span``."""
        tagger = SegmentTagger(self._run.plan.segments, first, last)
        sink = WholeOutputWriter(self._writer, tagger, self._source.damage, self.add)
        yield SegmentSpan(self._job, self._source, tagger, sink)

    def add(self, segment: Segment) -> None:
        """See ``SegmentStore.add``."""
        self._done[segment.number] = segment

    def drop_mismatched(self) -> list[int]:
        """One segment fits itself."""
        return []

    def finish(self, check: Check | None) -> None:
        """See ``RunOutput.finish``."""
        _count_segments(self._run, self._done)
        _check_frames(self._run)
        self._writer.finish(self._run.report.frames_out, check)


class SegmentedOutput(RunOutput):
    """Joined from parts without encoding them again; they are kept after an interruption."""

    def __init__(self, run: RunContext, engine: Engine, journal: Journal) -> None:
        """Continue with what the journal holds."""
        self._run = run
        self._radius = engine.radius
        self._journal = journal
        self._resumed = set(journal.done)
        self._space: Space | None = None

    def begin(self) -> None:
        """See ``RunOutput.begin``; also look at the disk for the first time."""
        _count_segments(self._run, self._journal.done, self._resumed)
        if self._resumed:
            self._run.note(
                f"resuming from {self._journal.folder}: {len(self._resumed)} of "
                f"{len(self._journal.plan)} segments are there; --restart starts over"
            )
        self._space = Space(self._run, self._journal)

    def missing(self) -> list[int]:
        """See ``RunOutput.missing``."""
        return self._journal.missing()

    def open_span(
        self, first: int, last: int, *, may_seek: bool
    ) -> AbstractContextManager[SegmentSpan]:
        """See ``SegmentStore.open_span``."""
        return open_part_span(
            self._run,
            self._radius,
            first,
            last,
            may_seek=may_seek,
            folder=self._journal.folder,
            on_segment=self.add,
        )

    def add(self, segment: Segment) -> None:
        """See ``SegmentStore.add``."""
        self._journal.add(segment)
        if self._space is not None:
            self._space.check()

    def drop_mismatched(self) -> list[int]:
        """See ``RunOutput.drop_mismatched``."""
        numbers = self._journal.mismatched()
        for number in numbers:
            self._journal.drop(number)
        return numbers

    def finish(self, check: Check | None) -> None:
        """See ``RunOutput.finish``."""
        job = self._run.job
        journal = self._journal
        _count_segments(self._run, journal.done, self._resumed)
        _check_frames(self._run)
        segments = [journal.done[number] for number in range(len(journal.plan))]
        size = sum(segment.size for segment in segments)
        check_space(job, journal.folder, size, "the finished video")
        if is_folder_target(job.target):
            raise OutputError(
                f"{job.target} has become a folder: move it away, and the same command continues"
            )

        def check_and_record(part: Path) -> None:
            if check is not None:
                check(part)
            journal.record_output(part)

        parts = [journal.part(segment.number) for segment in segments if segment.frames]
        with open_file_writer(job, journal.folder) as writer:
            writer.splice(joined(parts, job.video.time_base))
            writer.finish(self._run.report.frames_out, check_and_record)

    def leave_unfinished(self) -> None:
        """Tell what is kept of an interrupted run; remove the folder if nothing is."""
        journal = self._journal
        if not journal.done:
            journal.remove()
            return
        self._run.note(
            f"{len(journal.done)} of {len(journal.plan)} segments are kept in "
            f"{journal.folder}: the same command continues from there"
        )


@contextmanager
def _open_direct_output(run: RunContext, engine: Engine) -> Iterator[RunOutput]:
    with open_reader(run.job, run.options, engine.radius) as source:
        job = with_origin(run.job, source)
        with open_writer(job, run.options) as writer:
            yield DirectOutput(run, job, source, writer)


@contextmanager
def _open_segmented_output(run: RunContext, engine: Engine) -> Iterator[RunOutput]:
    job = run.job
    with Journal(
        job.target,
        run.plan.segments,
        run_fingerprint(job, run.options, engine),
        restart=run.options.restart,
    ) as journal:
        output = SegmentedOutput(run, engine, journal)
        try:
            with open_file_writer(job, journal.folder):
                pass  # what the container refuses, it refuses before the work
            yield output
        except BaseException:
            output.leave_unfinished()
            raise
        journal.remove()


def _count_segments(
    run: RunContext,
    done: dict[int, Segment],
    resumed: set[int] | frozenset[int] = frozenset(),
) -> None:
    """Count into the report what all segments hold, those of an earlier run included."""
    report = run.report
    segments = list(done.values())
    report.segments = 0 if run.plan.is_one_go else len(run.plan.segments)
    report.frames_in = sum(segment.frames_in for segment in segments)
    report.frames_upscaled = sum(segment.frames_upscaled for segment in segments)
    report.frames_out = sum(segment.frames for segment in segments)
    report.frames_resumed = sum(
        segment.frames for segment in segments if segment.number in resumed
    )
    report.damage = {
        name: sum(segment.damage.get(name, 0) for segment in segments)
        for name in Damage().as_dict()
    }


def _check_frames(run: RunContext) -> None:
    if not run.report.frames_out:
        where = "" if run.options.range.is_whole else " in that range"
        raise InputError(f"{run.job.source}: no frame{where} could be decoded")
