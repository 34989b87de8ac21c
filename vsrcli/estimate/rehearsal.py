"""Some frames of a film through the whole pipeline, into nothing, with a stopwatch."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np

from vsrcli.backends import Backend, Float
from vsrcli.encode.trial_encoder import TrialEncoder
from vsrcli.frame import Frame
from vsrcli.images.folder_writer import FolderWriter
from vsrcli.options import UpscaleOptions
from vsrcli.picture.resize import double
from vsrcli.pipeline.luma_keeper import KeepsNothing
from vsrcli.pipeline.run_context import RunContext
from vsrcli.pipeline.stages import run_stages
from vsrcli.pipeline.upscale_report import UpscaleProgress, UpscaleReport
from vsrcli.preflight.opening import open_reader
from vsrcli.preflight.run_plan import RunPlan
from vsrcli.preflight.targets import is_folder_target
from vsrcli.preflight.upscale_job import UpscaleJob
from vsrcli.timing import Scheduled, TimeRange

Clock = Callable[[], float]

# Where in the film: the beginning is often black, and the end is credits.
_PLACE = Fraction(2, 5)
# The first frames are longer: libraries prepare themselves, and no features are kept yet.
_FIRST_FRAMES = 4
_MIN_FRAMES = 4
# Encoders hold frames back, and have to encode them at the end: not more than these pixels.
_MAX_PIXELS = 100_000_000
_MIN_ENCODED = 12
# Encoders put a keyframe at least so often, frames.
_LONGEST_GROUP = 250


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a part of the film cost.

    Attributes:
        seconds: wall time for each frame that goes through the network, as if it went on for long.
        processor_seconds: time of all processor cores for each of them.
        bytes: of the output, for each frame of it; None if none came out of the encoder.
    """

    seconds: float
    processor_seconds: float
    bytes: float | None


def rehearse(
    job: UpscaleJob,
    options: UpscaleOptions,
    plan: RunPlan,
    backend: Backend,
    budget: float,
    clock: Clock = time.perf_counter,
) -> Rehearsal | None:
    """Run the pipeline on frames from the middle of the film, and throw away what it makes.

    Args:
        job: what will be done.
        options: the run's.
        plan: says whether the source can be read from the middle.
        backend: the network; what it prepares for this size serves the run as well.
        budget: seconds to go on for after the first frame, and twice that at the very most.
        clock: gives seconds.

    Returns:
        The cost; None if there were too few frames.

    Raises:
        InputError: the source cannot be read there.
        OutputError: the encoder refuses, or failed.
        BackendError: the network failed.
    """
    time_range = _sample_range(job, plan)
    # neither a loss nor a frame before the range is this run's to deal with
    part = replace(job, time_range=time_range, fill=False, caption_loss=None)
    options = replace(options, strict=False)
    with _open_trial(job) as trial:
        watch = _Stopwatch(trial, budget, _max_encoded(job), clock)
        report = UpscaleReport.empty()
        run = RunContext(part, options, plan, report, on_progress=watch.tick)
        context = max(1, backend.spec.radius)
        source = open_reader(part, options, context, within=time_range)
        with suppress(_EnoughError), source:
            run_stages(
                run, backend, source, _TrialSink(trial), _Tagger(), KeepsNothing()
            )
        return watch.result(_group(job, options), is_shared=backend.device == "cpu")


class StandIn:
    """In the place of a network: costs nearly nothing, so that only the other stages are timed."""

    name = "stand-in"
    precision = "fp32"
    domain = None
    bytes_per_pixel = 1
    max_pixels = 1 << 40
    exact_parts = False

    def __init__(self, backend: Backend) -> None:
        self.spec = backend.spec
        self.device = backend.device
        self.luma_scale = backend.luma_scale

    def run(self, windows: Float) -> Float:
        """See ``Backend.run``: interpolates."""
        doubled = double(windows[:, self.spec.middle], "bicubic")
        trim = self.spec.trim
        _, height, width = doubled.shape
        inner = doubled[:, trim : height - trim, trim : width - trim]
        return np.ascontiguousarray(inner, np.float32)


class _EnoughError(Exception):
    """Ends a rehearsal."""


class _Trial(Protocol):
    """Takes the frames of a rehearsal."""

    frames: int

    @property
    def packets(self) -> int:
        """How many frames came out."""
        ...

    def write(self, frame: Frame, tick: int, duration: int) -> None:
        """See ``FrameSink.write``."""
        ...

    def finish(self) -> None:
        """Encode what is held back."""
        ...

    def bytes_per_frame(self, group: int) -> float | None:
        """See ``TrialEncoder.bytes_per_frame``."""
        ...


class _TrialSink:
    """A trial as the pipeline's last stage."""

    def __init__(self, trial: _Trial) -> None:
        self._trial = trial

    def begin_segment(self, number: int) -> None:
        """Has no effect."""

    def write(self, frame: Frame, tick: int, duration: int) -> None:
        """See ``SegmentSink.write``."""
        self._trial.write(frame, tick, duration)

    def finish(self) -> None:
        """Never called."""


class _Tagger:
    """Shows every frame of the range; see ``FrameTagger``."""

    def assign_segment(self, item: Scheduled, in_range: bool) -> Scheduled:
        """The frame itself, or without a place where it is only context."""
        return item if in_range else replace(item, ticks=())


@dataclass(frozen=True, slots=True)
class _Moment:
    """The state after a frame.

    Attributes:
        wall: seconds.
        processor: seconds of all cores.
        held: frames that the encoder has not given back yet.
    """

    wall: float
    processor: float
    held: int


class _Stopwatch:
    """Follows a rehearsal, and ends it."""

    def __init__(
        self,
        trial: _Trial,
        budget: float,
        max_encoded: int,
        clock: Clock,
    ) -> None:
        self._trial = trial
        self._budget = budget
        self._max_encoded = max_encoded
        self._clock = clock
        self._moments: list[_Moment] = []

    def tick(self, progress: UpscaleProgress) -> None:
        """Called after each frame; raises ``_EnoughError`` when the time is over."""
        trial = self._trial
        held = trial.frames - trial.packets
        moment = _Moment(self._clock(), time.process_time(), held)
        self._moments.append(moment)
        seconds = moment.wall - self._moments[0].wall
        has_some = len(self._moments) > _FIRST_FRAMES + _MIN_FRAMES
        is_over = seconds > (self._budget if has_some else 2 * self._budget)
        if is_over or trial.frames >= self._max_encoded:
            raise _EnoughError

    def result(self, group: int, *, is_shared: bool) -> Rehearsal | None:
        """The cost of a frame.

        Args:
            group: frames from one keyframe to the next.
            is_shared: whether network and encoder share the processor's cores.
        """
        moments = self._moments
        first = min(_FIRST_FRAMES, len(moments) // 2)
        count = len(moments) - 1 - first
        if count < 1:
            return None
        begin = moments[first]
        end = moments[-1]
        wall = (end.wall - begin.wall) / count
        processor = (end.processor - begin.processor) / count
        # frames that went into the encoder, but whose work is still to be done
        postponed = max(0, end.held - begin.held) / count
        flush_began = self._clock()
        processor_before = time.process_time()
        self._trial.finish()
        if end.held:
            share = postponed / end.held
            flushing = (self._clock() - flush_began) * share
            processor += (time.process_time() - processor_before) * share
            wall = wall + flushing if is_shared else max(wall, flushing)
        return Rehearsal(wall, processor, self._trial.bytes_per_frame(group))


class _FolderTrial:
    """Pictures, in a temporary folder."""

    def __init__(self, folder: Path, writer: FolderWriter) -> None:
        self.frames = 0
        self._folder = folder
        self._writer = writer

    @property
    def packets(self) -> int:
        """Pictures are not held back."""
        return self.frames

    def write(self, frame: Frame, tick: int, duration: int) -> None:
        """See ``FrameSink.write``."""
        self._writer.write(frame, tick, duration)
        self.frames += 1

    def finish(self) -> None:
        """Move the pictures out of the hidden folder."""
        if self.frames:
            self._writer.finish(self.frames)

    def bytes_per_frame(self, group: int) -> float | None:
        """The mean size of a picture."""
        sizes = [entry.stat().st_size for entry in os.scandir(self._folder)]
        return sum(sizes) / len(sizes) if sizes else None


@contextmanager
def _open_trial(job: UpscaleJob) -> Iterator[_Trial]:
    """Where the frames go; nothing is left of it."""
    if not is_folder_target(job.target):
        trial = TrialEncoder(job.target, job.video, job.encoder)
        try:
            yield trial
        finally:
            trial.close()
        return
    pictures = job.pictures
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "pictures"
        writer = FolderWriter(
            folder,
            job.video,
            pattern=pictures.pattern,
            first=pictures.first,
            value_range=pictures.value_range,
        )
        yield _FolderTrial(folder, stack.enter_context(writer))


def _sample_range(job: UpscaleJob, plan: RunPlan) -> TimeRange:
    """From well inside the film, if it can be read there, to its end."""
    whole = job.time_range
    end = whole.end_within(job.info.duration)
    if end is None or not (plan.is_seekable or job.is_folder):
        return whole
    return TimeRange(whole.begin + (end - whole.begin) * _PLACE, whole.end)


def _max_encoded(job: UpscaleJob) -> int:
    frames = _MAX_PIXELS // (job.video.width * job.video.height)
    return int(max(_MIN_ENCODED, min(frames, _LONGEST_GROUP)))


def _group(job: UpscaleJob, options: UpscaleOptions) -> int:
    """Frames from one keyframe to the next: segments begin with one."""
    if not options.segment or job.video.rate is None:
        return _LONGEST_GROUP
    frames = round(options.segment * float(job.video.rate))
    return max(1, min(_LONGEST_GROUP, frames))
