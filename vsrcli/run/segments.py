"""A video in segments: each is made on its own and kept, so that a run can be interrupted at any time; in the end they are joined without encoding anew."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from vsrcli.backends import Backend
from vsrcli.errors import InputError, OutputError
from vsrcli.frame import Damage, Frame
from vsrcli.frame_io import FrameSink
from vsrcli.media.parts import PartWriter, joined
from vsrcli.media.pipe import is_standard_input, piped_container
from vsrcli.media.timeline import Timeline, timeline
from vsrcli.models.weights import locate
from vsrcli.options import EncoderOptions, UpscaleOptions
from vsrcli.run.journal import Journal, Mark, Segment, fingerprint, mark_of, part_path
from vsrcli.run.opening import open_file_writer, open_reader
from vsrcli.run.pipeline import UpscaleProgress, UpscaleReport, run_stages
from vsrcli.run.plan import Plan, plan_segments, stretches
from vsrcli.run.space import check_space
from vsrcli.run.targets import is_folder_target
from vsrcli.run.upscale_job import UpscaleJob
from vsrcli.timing import Scheduled, TimeRange

# Options that change nothing of what is written.
_FREE = {
    "overwrite",
    "verify",
    "reuse",
    "hwaccel",
    "segment",
    "restart",
    "device",
    "backend",
    "precision",
    "encoder",
    "format",
    "strict",
    "devices",
    "ray",
}
# Encoders whose packets are no bytes, or so many that nobody wants them twice on the disk.
_NOT_IN_PARTS = ("wrapped_avframe", "rawvideo")
# Encoder options that ration bits over the whole of the video: segments would each have a ration of their own.
_RATIONED = {"b", "minrate", "maxrate", "bufsize", "rc", "pass", "bitrate"}
_RATIONED_WITHIN = ("bitrate", "vbv-", "pass=", "stats=")


def cut_up(job: UpscaleJob, options: UpscaleOptions) -> tuple[Plan, Timeline] | None:
    """The segments of a run, and what is known of the source's packets; None where it is short, or has to be made in one go.

    Raises:
        InputError: the source cannot be opened any more.
    """
    if not options.segment or one_go(job) is not None:
        return None
    begin = options.range.begin
    end = options.range.end_within(job.info.duration) or begin
    length = Fraction(options.segment).limit_denominator(1000)
    if len(plan_segments(begin, end, length)) == 1:
        return None
    found = timeline(job.info)
    plan = plan_segments(begin, end, length, found.keyframes)
    return (plan, found) if len(plan) > 1 else None


def one_go(job: UpscaleJob) -> str | None:
    """Why a run cannot be made in segments; None where it can."""
    if is_folder_target(job.target) or piped_container(job.target) is not None:
        return "the output is no file"
    if job.is_folder or is_standard_input(job.source):
        return "the source is no file"
    if job.encoder.codec in _NOT_IN_PARTS:
        return f"{job.encoder.codec} gives uncompressed pictures"
    if _is_rationed(job.encoder):
        return "the encoder rations bits over the whole video"
    return None if job.info.duration else "how long the source lasts is not known"


def _is_rationed(encoder: EncoderOptions) -> bool:
    return any(
        key.split(":")[0] in _RATIONED
        or any(word in value for word in _RATIONED_WITHIN)
        for key, value in encoder.extra
    )


def facts_of(
    job: UpscaleJob, options: UpscaleOptions, engine: Engine
) -> dict[str, str]:
    """What decides about the result of a run, by names that the user knows.

    Raises:
        InputError: the source cannot be read.
    """
    chosen = {
        f"--{name.replace('_', '-')}": str(getattr(options, name))
        for name in options.__dataclass_fields__
        if name not in _FREE
    }
    encoder = {
        f"--{name.replace('_', '-')}": str(getattr(job.encoder, name))
        for name in job.encoder.__dataclass_fields__
    }
    network = {
        "--backend": engine.backend,
        "--device": engine.device.partition(",")[0].partition(":")[0],
        "precision": engine.precision,
    }
    try:
        files = {
            "source": fingerprint(job.source),
            "weights": fingerprint(locate(options.model, options.domain)),
        }
    except OSError as error:
        raise InputError(f"{job.source}: cannot be read ({error.strerror})") from error
    return {**chosen, **encoder, **network, **files}


@dataclass(frozen=True, slots=True)
class Engine:
    """What runs the network: names as in ``UpscaleReport``."""

    backend: str
    device: str
    precision: str
    model: str
    domain: str | None

    @classmethod
    def of(cls, backend: Backend) -> Engine:
        """Describe a backend."""
        return cls(
            backend.name,
            backend.device,
            backend.precision,
            backend.spec.name,
            backend.domain,
        )


@dataclass(frozen=True, slots=True)
class Hooks:
    """Whom to tell what happens: of each segment that is whole and safe on the disk, of progress, and lines for the user."""

    on_segment: Callable[[Segment], None] = lambda segment: None
    on_progress: Callable[[UpscaleProgress], None] | None = None
    on_note: Callable[[str], None] = lambda line: None


class Maker(Protocol):
    """Who makes segments.

    Attributes:
        engine: what runs the network.
    """

    engine: Engine

    def make(
        self,
        numbers: Sequence[int],
        may_seek: bool,
        folder: Path,
        report: UpscaleReport,
        hooks: Hooks,
    ) -> None:
        """Make segments.

        Args:
            numbers: which, rising.
            may_seek: whether the source may be read from the middle.
            folder: where their parts go.
            report: times and counts are added to it.
            hooks: whom to tell.

        Raises:
            VsrError: whatever a stage raises.
        """
        ...


class Here:
    """A ``Maker`` in this process, with one backend."""

    def __init__(
        self, job: UpscaleJob, options: UpscaleOptions, plan: Plan, backend: Backend
    ) -> None:
        """Take note of what to make.

        Args:
            job: of the run.
            options: of the run.
            plan: its cuts.
            backend: the network.
        """
        self.engine = Engine.of(backend)
        self._job, self._options, self._plan, self._backend = (
            job,
            options,
            plan,
            backend,
        )

    def make(
        self,
        numbers: Sequence[int],
        may_seek: bool,
        folder: Path,
        report: UpscaleReport,
        hooks: Hooks,
    ) -> None:
        """Make segments; see ``Maker.make``."""
        for first, last in stretches(numbers):
            make_stretch(
                self._job,
                self._options,
                self._backend,
                self._plan,
                first,
                last,
                is_seekable=may_seek,
                folder=folder,
                report=report,
                hooks=hooks,
            )


class Stretch(FrameSink):
    """Takes the frames of some consecutive segments, and writes each segment's to a part of its own. It is a ``SegmentSink``.

    ``finish`` ends the last one; leaving the ``with`` block before throws away the one that is not whole.

    Attributes:
        damage: what was wrong with the source so far.
    """

    def __init__(
        self,
        job: UpscaleJob,
        plan: Plan,
        first: int,
        last: int,
        folder: Path,
        on_segment: Callable[[Segment], None],
    ) -> None:
        """Begin.

        Args:
            job: of the run.
            plan: its cuts.
            first: of the segments to take.
            last: the same.
            folder: where the parts go.
            on_segment: called with each segment that is safe on the disk.
        """
        self.damage, self._counted = Damage(), Damage()
        self._job, self._plan, self._last, self._folder, self._on_segment = (
            job,
            plan,
            last,
            folder,
            on_segment,
        )
        self._segments = {number: Segment(number) for number in range(first, last + 1)}
        self._seen: Frame | None = None  # the frame before, within the range of time
        self._seen_in = -1
        self._current = first
        self._part: PartWriter | None = None
        self._shown: Frame | None = None

    def abort(self) -> None:
        """Throw away the segment that is not whole."""
        if self._part is not None:
            self._part.abort()

    def see(self, item: Scheduled, in_range: bool) -> Scheduled:
        """Give a frame its segment; those of other segments are context only, and have no place in the output."""
        if not in_range:
            return replace(item, ticks=())
        number = max(self._seen_in, self._plan.segment_at(item.frame.time))
        if number != self._seen_in and self._seen is not None:
            mark = self._mark(self._seen)
            if self._seen_in in self._segments:
                self._segments[self._seen_in].last = mark
            if number in self._segments:
                self._segments[number].before = mark
        self._seen, self._seen_in = item.frame, number
        if number not in self._segments:
            return replace(item, ticks=())
        self._segments[number].frames_in += 1
        return replace(item, segment=number)

    def enter(self, segment: int) -> None:
        """Frames of that segment come next: those before it are whole."""
        while self._current < segment:
            self._close()

    def write(self, frame: Frame, tick: int, duration: int) -> None:
        """Encode a frame; as ``VideoWriter.write``."""
        if self._part is None:
            self._part = PartWriter(
                part_path(self._folder, self._current),
                self._job.target,
                self._job.video,
                self._job.encoder,
            )
        self._part.write(frame, tick, duration)
        segment = self._segments[self._current]
        segment.frames += 1
        segment.frames_upscaled += frame is not self._shown
        self._shown = frame

    def finish(
        self, expected_frames: int, check: Callable[[Path], None] | None = None
    ) -> None:
        """No frame comes any more; see ``FrameSink.finish``."""
        if self._seen is not None and self._seen_in in self._segments:
            self._segments[self._seen_in].last = self._mark(self._seen)
        while self._current <= self._last:
            self._close()

    def _close(self) -> None:
        segment, part = self._segments[self._current], self._part
        if part is not None:
            facts = part.finish()
            if facts.frames != segment.frames:
                raise OutputError(
                    f"{self._job.target}: {facts.frames} of {segment.frames} frames came out of {self._job.encoder.codec}: --segment 0 may help"
                )
            segment.size, segment.sha256 = facts.size, facts.sha256
        now = replace(self.damage)
        segment.damage = now.since(self._counted).as_dict()
        self._counted, self._part = now, None
        self._current += 1
        self._on_segment(segment)

    def _mark(self, frame: Frame) -> Mark:
        return mark_of(frame.time, zlib.crc32(frame.luma.tobytes()))


def make_stretch(
    job: UpscaleJob,
    options: UpscaleOptions,
    backend: Backend,
    plan: Plan,
    first: int,
    last: int,
    *,
    is_seekable: bool,
    folder: Path,
    report: UpscaleReport,
    hooks: Hooks,
) -> None:
    """Make some consecutive segments.

    Args:
        job: of the run.
        options: of the run.
        backend: of the run.
        plan: its cuts.
        first: of the segments to make.
        last: the same.
        is_seekable: whether the source may be read from the middle; else it is read from where the run begins.
        folder: where the parts go.
        report: times and counts are added to it.
        hooks: whom to tell.

    Raises:
        VsrError: whatever a stage raises.
    """
    is_late = first > 0 and is_seekable
    within = TimeRange(
        plan.begin(first) if is_late else options.start, plan.end(last) or options.end
    )
    frames_before = report.frames_out
    with (
        Stretch(job, plan, first, last, folder, hooks.on_segment) as stretch,
        open_reader(
            job,
            options,
            max(1, backend.spec.radius),
            within=within,
        ) as reader,
    ):
        stretch.damage = reader.damage
        run_stages(
            job,
            options,
            backend,
            reader,
            stretch,
            report,
            hooks.on_progress,
            hooks.on_note,
            segments=stretch,
        )
        stretch.finish(report.frames_out - frames_before)


def work_through(
    journal: Journal, make: Callable[[list[int], bool], None], is_seekable: bool
) -> None:
    """Have all missing segments made, until they fit together.

    Args:
        journal: of the run.
        make: makes segments, reading from the middle of the source or (False) from where the run begins.
        is_seekable: whether that may be.

    Raises:
        OutputError: segments made twice still do not fit.
    """
    for may_seek in (is_seekable, False):
        missing = journal.missing()
        if missing:
            make(missing, may_seek)
        unfit = journal.unfit()
        if not unfit:
            return
        for number in unfit:
            journal.drop(number)
    raise OutputError(
        f"{journal.folder}: the segments do not fit together: --segment 0 makes the video in one go"
    )


def join(
    job: UpscaleJob,
    options: UpscaleOptions,
    journal: Journal,
    check: Callable[[Path], None],
) -> None:
    """Make the output of the finished segments and the streams that are carried along.

    Raises:
        OutputError: the disk is full, or the file is not whole.
        InputError: no frame was there at all.
    """
    segments = [journal.done[number] for number in range(len(journal.plan))]
    frames = sum(segment.frames for segment in segments)
    if not frames:
        raise InputError(
            f"{job.source}: no frame of it could be decoded{'' if options.range.is_whole else ' in that range'}"
        )
    check_space(
        job,
        journal.folder,
        sum(segment.size for segment in segments),
        "the finished video",
    )
    if is_folder_target(job.target):
        raise OutputError(
            f"{job.target} has become a folder: move it away, and the same command goes on"
        )
    with open_file_writer(job, journal.folder) as writer:
        writer.splice(
            joined(
                [
                    journal.part(segment.number)
                    for segment in segments
                    if segment.frames
                ],
                job.video.time_base,
            )
        )
        writer.finish(frames, check)


def total(report: UpscaleReport, journal: Journal, resumed: set[int]) -> None:
    """Count into the report what all segments hold, those of an earlier run included."""
    segments = journal.done.values()
    report.segments = len(journal.plan)
    report.frames_in = sum(segment.frames_in for segment in segments)
    report.frames_upscaled = sum(segment.frames_upscaled for segment in segments)
    report.frames_out = sum(segment.frames for segment in segments)
    report.frames_resumed = sum(
        segment.frames for number, segment in journal.done.items() if number in resumed
    )
    names = report.damage or Damage().as_dict()
    report.damage = {
        name: sum(segment.damage.get(name, 0) for segment in segments) for name in names
    }
