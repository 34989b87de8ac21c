"""The output of a run while it is made: written directly, or joined from finished segments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from vsrcli.encode.part_joining import joined
from vsrcli.errors import InputError, OutputError
from vsrcli.frame import Damage
from vsrcli.frame_io import FrameSink, FrameSource
from vsrcli.pipeline.origin import with_origin
from vsrcli.pipeline.run_context import RunContext
from vsrcli.preflight.opening import open_file_writer, open_reader, open_writer
from vsrcli.preflight.targets import is_file_target, is_folder_target
from vsrcli.preflight.upscale_job import UpscaleJob
from vsrcli.segments.executor import Engine, SegmentExecutor, SegmentStore
from vsrcli.segments.fingerprint import run_fingerprint
from vsrcli.segments.journal import Journal, write_record
from vsrcli.segments.journal_head import journal_head
from vsrcli.segments.kept_file import count_kept
from vsrcli.segments.latest_picture import open_latest_picture
from vsrcli.segments.leftovers import FinishedRun
from vsrcli.segments.segment import Segment
from vsrcli.segments.segment_folder import record_of
from vsrcli.segments.segment_span import SegmentSpan, open_part_span
from vsrcli.segments.segment_tagger import SegmentTagger
from vsrcli.segments.segment_writer import WholeOutputWriter
from vsrcli.segments.space import Space, check_space
from vsrcli.wording import plural

# How often segments are made until all parts are there and fit together.
_MAX_ROUNDS = 3

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

    def drop_lost(self) -> list[int]:
        """Forget the segments whose part is gone; their numbers are missing again."""
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
    may_seek = run.plan.is_seekable
    for _ in range(_MAX_ROUNDS):
        numbers = output.missing()
        if numbers:
            executor.make(run, numbers, output, may_seek=may_seek)
        lost = output.drop_lost()
        mismatched = output.drop_mismatched()
        if not lost and not mismatched:
            return
        may_seek = may_seek and not mismatched
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
        head: dict[str, Any] | None,
    ) -> None:
        """Take what is open.

        Args:
            run: the run.
            job: its job, with the origin.
            source: the frames.
            writer: writes the output.
            head: what the run is, for a record of the output; None to keep none.
        """
        self._run = run
        self._head = head
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
        onlooker = open_latest_picture(self._run, None)
        yield SegmentSpan(self._job, self._source, tagger, sink, onlooker=onlooker)

    def add(self, segment: Segment) -> None:
        """See ``SegmentStore.add``."""
        self._done[segment.number] = segment

    def drop_lost(self) -> list[int]:
        """There are no parts."""
        return []

    def drop_mismatched(self) -> list[int]:
        """One segment fits itself."""
        return []

    def finish(self, check: Check | None) -> None:
        """See ``RunOutput.finish``."""
        count_segments(self._run, self._done)
        _check_frames(self._run)
        target = self._job.target

        def check_and_record(part: Path) -> None:
            if check is not None:
                check(part)
            if self._head is not None:
                with suppress(OSError):  # only the advice after a kill depends on it
                    write_record(target, self._head, self._done.values(), part)

        try:
            self._writer.finish(self._run.report.frames_out, check_and_record)
        finally:
            if self._head is not None:
                with suppress(OSError):
                    record_of(target).unlink(missing_ok=True)


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
        count_segments(self._run, self._journal.done, self._resumed)
        kept_frames = count_kept(self._journal.folder)
        if self._resumed or kept_frames:
            self._run.note(
                f"resuming from {self._journal.folder}: {self._amount(kept_frames)} "
                "are there; --restart starts over"
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

    def drop_lost(self) -> list[int]:
        """See ``RunOutput.drop_lost``."""
        return self._drop(self._journal.lost())

    def drop_mismatched(self) -> list[int]:
        """See ``RunOutput.drop_mismatched``."""
        return self._drop(self._journal.mismatched())

    def finish(self, check: Check | None) -> None:
        """See ``RunOutput.finish``."""
        job = self._run.job
        journal = self._journal
        count_segments(self._run, journal.done, self._resumed)
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

        parts = [
            (journal.part(segment.number), segment.sha256)
            for segment in segments
            if segment.frames
        ]
        with open_file_writer(job, self._run.options, journal.folder) as writer:
            writer.splice(joined(parts, job.video.time_base))
            writer.finish(self._run.report.frames_out, check_and_record)

    def _drop(self, numbers: list[int]) -> list[int]:
        for number in numbers:
            self._journal.drop(number)
        return numbers

    def leave_unfinished(self) -> None:
        """Tell what is kept of an interrupted run; remove the folder if nothing is."""
        journal = self._journal
        kept_frames = count_kept(journal.folder)
        if not journal.done and not kept_frames:
            journal.remove()
            return
        self._run.note(
            f"{self._amount(kept_frames)} are kept in "
            f"{journal.folder}: the same command continues from there"
        )

    def _amount(self, kept_frames: int) -> str:
        """What is there, as the user reads it."""
        segments = f"{len(self._journal.done)} of {len(self._journal.plan)} segments"
        if not kept_frames:
            return segments
        return f"{segments} and {plural(kept_frames, 'frame')} of the next"


@contextmanager
def _open_direct_output(run: RunContext, engine: Engine) -> Iterator[RunOutput]:
    with open_reader(run.job, run.options, engine.radius) as source:
        job = with_origin(run.job, source)
        with open_writer(job, run.options) as writer:
            head = _record_head(run, engine)
            yield DirectOutput(run, job, source, writer, head)


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
            with open_file_writer(job, run.options, journal.folder):
                pass  # what the container refuses, it refuses before the work
            yield output
        except BaseException:
            output.leave_unfinished()
            raise
        journal.remove()


def is_finished(run: RunContext, engine: Engine, finished: FinishedRun) -> bool:
    """Whether an earlier run did what this one is to do.

    Raises:
        InputError: the source cannot be read.
    """
    fingerprint = run_fingerprint(run.job, run.options, engine)
    return finished.head == journal_head(run.plan.segments, fingerprint)


def _record_head(run: RunContext, engine: Engine) -> dict[str, Any] | None:
    """What a run in one go is; None if it does not go from a file to a file."""
    job = run.job
    if not is_file_target(job.target) or not job.source.is_file():
        return None
    return journal_head(run.plan.segments, run_fingerprint(job, run.options, engine))


def count_segments(
    run: RunContext,
    done: dict[int, Segment],
    resumed: Iterable[int] = (),
) -> None:
    """Count into the report what all segments hold, those of an earlier run included."""
    report = run.report
    segments = list(done.values())
    report.segments = 0 if run.plan.is_one_go else len(run.plan.segments)
    report.frames_in = sum(segment.frames_in for segment in segments)
    report.frames_upscaled = sum(segment.frames_upscaled for segment in segments)
    report.frames_out = sum(segment.frames for segment in segments)
    report.frames_resumed = sum(
        done[number].frames for number in resumed if number in done
    )
    report.damage = {
        name: sum(segment.damage.get(name, 0) for segment in segments)
        for name in Damage().as_dict()
    }


def _check_frames(run: RunContext) -> None:
    if not run.report.frames_out:
        where = "" if run.options.range.is_whole else " in that range"
        raise InputError(f"{run.job.source}: no frame{where} could be decoded")
