"""Decodes a source and its output side by side, and compares every frame of the output.

Each file is decoded in a thread of its own.
"""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np

from vsrcli.decode.reader import VideoReader
from vsrcli.frame import Damage, Frame
from vsrcli.pipeline.prefetch import Prefetch
from vsrcli.preflight.output_video import time_base
from vsrcli.timing import Schedule, Scheduled
from vsrcli.verification.caption_comparison import CaptionComparison
from vsrcli.verification.frame_comparer import FrameComparer
from vsrcli.verification.frame_comparison import FrameComparison
from vsrcli.verification.frame_times import FrameTimes, Integers
from vsrcli.verification.verification_task import VerificationTask

Policy = Fraction | Literal["source"]
# One frame of the source, as each policy schedules it.
_Step = tuple[Scheduled, ...]

_DECODED_AHEAD = 4
_CONTEXT_FRAMES = 2


@dataclass(frozen=True, slots=True)
class FrameResults:
    """What decoding both files gave.

    Attributes:
        expected: when frames should be presented, by the name of each policy.
        actual: when the output's are.
        comparison: of the frames.
        captions: comparison of their closed captions.
        origin: source time that is output time 0, seconds.
        source_damage, output_damage: of the files.
        source_times: of the frames of the source in the range, seconds.
        late_metadata: phrases for metadata of the source that begins after its first frames, and
            that no output holds.
    """

    expected: dict[str, FrameTimes]
    actual: FrameTimes
    comparison: FrameComparison
    captions: CaptionComparison
    origin: Fraction
    source_damage: Damage
    output_damage: Damage
    source_times: tuple[Fraction, ...]
    late_metadata: tuple[str, ...] = ()


def compare_frames(
    task: VerificationTask,
    policies: dict[str, Policy],
    policy: str,
    numbers: Integers | None = None,
) -> FrameResults:
    """Decode both files and compare every frame of the output.

    Args:
        task: the files.
        policies: rates for which the expected times are computed, by name.
        policy: the one that decides which frame each frame of the output should show.
        numbers: for each frame of the output the number of the expected one; None: its own.

    Raises:
        InputError: a file cannot be decoded.
    """
    options = task.options
    with (
        VideoReader(
            task.source,
            time_range=options.range,
            context=_CONTEXT_FRAMES,
            deinterlace=options.deinterlace,
        ) as source,
        VideoReader(task.output, deinterlace="off") as output,
    ):
        source.metadata.is_silent = True
        output.metadata.is_silent = True
        origin = Fraction(0)
        if options.start is not None:
            origin = source.first_time()
        frame_pass = _FramePass(
            task,
            policies,
            policy,
            numbers,
            origin,
        )
        with (
            Prefetch(source, _DECODED_AHEAD, "source") as source_frames,
            Prefetch(output, _DECODED_AHEAD, "output") as output_frames,
        ):
            frame_pass.run(source_frames, output_frames)
        return FrameResults(
            expected=frame_pass.expected_times(),
            actual=frame_pass.actual_times(),
            comparison=frame_pass.comparer.comparison,
            captions=frame_pass.captions,
            origin=origin,
            source_damage=source.damage,
            output_damage=output.damage,
            source_times=tuple(frame_pass.source_times),
            late_metadata=tuple(source.metadata.late),
        )


class _FramePass:
    """One pass over both files."""

    def __init__(
        self,
        task: VerificationTask,
        policies: dict[str, Policy],
        policy: str,
        numbers: Integers | None,
        origin: Fraction,
    ) -> None:
        self.comparer = FrameComparer(task)
        self.captions = CaptionComparison()
        self.source_times: list[Fraction] = []
        self._task = task
        self._policy = policy
        self._numbers = numbers
        options = task.options
        self._schedules = {
            name: Schedule(
                rate,
                time_base=time_base(task.source, options),
                time_range=options.range,
                origin=origin,
                fill=not task.container.keeps_timestamps,
            )
            for name, rate in policies.items()
        }
        self._ticks: dict[str, array[int]] = {name: array("q") for name in policies}
        self._ends: dict[str, int] = {}
        self._actual_ticks: array[int] = array("q")

    def run(
        self,
        source_frames: Iterable[Frame],
        output_frames: Iterable[Frame],
    ) -> None:
        """Compare each frame of the output with the frame of the source at its time."""
        output = iter(output_frames)
        actual = next(output, None)
        steps = self._schedule(source_frames)
        for previous, current, following in _with_neighbours(steps):
            self._add_expected(current)
            expected = current[0].frame
            if self._task.options.range.contains(expected.time):
                self.captions.add_expected(expected)
                self.source_times.append(expected.time)
            neighbours = (_frame_of(previous), _frame_of(following))
            while actual is not None and self._is_due():
                number = len(self._actual_ticks)
                self.comparer.add(
                    number,
                    actual,
                    expected,
                    neighbours,
                )
                self._add_actual(actual)
                actual = next(output, None)
            self._report_progress(expected)
        while actual is not None:
            self._add_actual(actual)
            actual = next(output, None)

    def expected_times(self) -> dict[str, FrameTimes]:
        """When frames should be presented, by the name of each policy."""
        times = {}
        for name, schedule in self._schedules.items():
            ticks = np.array(self._ticks[name], np.int64)
            times[name] = FrameTimes(ticks, schedule.time_base, self._ends.get(name))
        return times

    def actual_times(self) -> FrameTimes:
        """When the output's frames are presented."""
        ticks = np.array(self._actual_ticks, np.int64)
        return FrameTimes(ticks, self._task.output.time_base, self._task.output_end)

    def _schedule(self, frames: Iterable[Frame]) -> Iterator[_Step]:
        copies = itertools.tee(frames, len(self._schedules))
        runs = [
            schedule.run(copy)
            for schedule, copy in zip(self._schedules.values(), copies, strict=True)
        ]
        return zip(*runs, strict=True)

    def _add_expected(self, step: _Step) -> None:
        for name, scheduled in zip(self._schedules, step, strict=True):
            self._ticks[name].extend(scheduled.ticks)
            if scheduled.ticks:
                self._ends[name] = scheduled.ticks[-1] + scheduled.duration

    def _is_due(self) -> bool:
        """Whether the source has arrived at the frame that the output's next one should show."""
        number = len(self._actual_ticks)
        if self._numbers is not None:
            number = int(self._numbers[number])
        return number < len(self._ticks[self._policy])

    def _add_actual(self, frame: Frame) -> None:
        self.captions.add_actual(frame)
        self._actual_ticks.append(round(frame.time / self._task.output.time_base))

    def _report_progress(self, source_frame: Frame) -> None:
        if self._task.on_progress is None:
            return
        share = None
        duration = self._task.source.duration
        if duration:
            share = min(1.0, max(0.0, float(source_frame.time / duration)))
        self._task.on_progress(share, len(self._actual_ticks))


def _with_neighbours(
    steps: Iterator[_Step],
) -> Iterator[tuple[_Step | None, _Step, _Step | None]]:
    previous: _Step | None = None
    current = next(steps, None)
    while current is not None:
        following = next(steps, None)
        yield previous, current, following
        previous = current
        current = following


def _frame_of(step: _Step | None) -> Frame | None:
    return None if step is None else step[0].frame
