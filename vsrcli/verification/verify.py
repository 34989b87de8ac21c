"""Verification: compares an output with its source. Prints nothing.

Both files are decoded side by side once. Only if the frames follow another rate than their packets
suggest, or are not complete, they are decoded a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from vsrcli.containers.table import container_of
from vsrcli.decode.changes import Change
from vsrcli.decode.probe import probe
from vsrcli.encode.output import OutputVideo
from vsrcli.frame import VideoInfo
from vsrcli.options import UpscaleOptions
from vsrcli.options.verify import DEFAULT_THRESHOLD_DB
from vsrcli.picture.orientation import Orientation
from vsrcli.preflight.output_video import output_video
from vsrcli.preflight.pictures import plan_conversion
from vsrcli.verification.frame_pass import FrameResults, Policy, compare_frames
from vsrcli.verification.frame_times import FrameTimes, best_policy, pair_frames
from vsrcli.verification.packet_inventory import NO_TIME, Track, TrimRange
from vsrcli.verification.packet_scan import scan_packets
from vsrcli.verification.source_checks import check_changes, check_reading
from vsrcli.verification.stream_checks import check_streams
from vsrcli.verification.verification_report import VerificationReport
from vsrcli.verification.verification_task import VerificationTask
from vsrcli.verification.video_checks import (
    check_captions,
    check_content,
    check_description,
    check_side_data,
    check_times,
)


def verify(
    source: str | Path,
    target: str | Path,
    options: UpscaleOptions | None = None,
    *,
    threshold_db: float = DEFAULT_THRESHOLD_DB,
    final_target: Path | None = None,
    promised: OutputVideo | None = None,
    source_info: VideoInfo | None = None,
    named_changes: Sequence[Change] = (),
    on_progress: Callable[[float | None, int], None] | None = None,
) -> VerificationReport:
    """Compare an output of ``upscale`` with its source.

    Args:
        source: the input file.
        target: the output file.
        options: of the run; rate, range of time, audio, deinterlacing and rotation matter. Without
            a rate, the source's own timestamps and the output's own constant rate are right as
            well as the default.
        threshold_db: PSNR of the halved output against the source that is always close enough.
        final_target: the name that the output will have, whose ending names the container; None:
            ``target``.
        promised: what the output should be, without what encoder and container cannot keep; None:
            everything that the source is.
        source_info: what ``probe`` says of the source, if it is known.
        named_changes: of the source in the middle, which the run has named as lost.
        on_progress: called in this thread after each frame of the source with the share that is
            done (None where unknown) and the number of frames compared.

    Returns:
        Every check with its result.

    Raises:
        InputError: one of the files cannot be read.
        OutputError: the target's name has no known ending.
    """
    options = options or UpscaleOptions()
    source = Path(source)
    target = Path(target)
    final_target = final_target or target
    container = container_of(final_target)
    info = source_info or probe(source, start=options.start)
    output_info = probe(target)
    orientation = _baked_orientation(info, options)
    if promised is None:
        conversion = plan_conversion(info, orientation, to_folder=False)
        promised = output_video(info, options, conversion)
    task = VerificationTask(
        source=info,
        output=output_info,
        container=container,
        options=options,
        expected=promised,
        orientation=orientation or Orientation(),
        threshold_db=threshold_db,
        source_packets=scan_packets(info, container),
        output_packets=scan_packets(output_info),
        on_progress=on_progress,
    )
    policies = _policies(task)
    policy, results = _find_policy(task, policies)
    expected = results.expected[policy]
    policy_note = ""
    if options.fps is None and policy != str(options.rate):
        policy_note = f", as with --fps {policy}"
    stream_checks, facts = check_streams(
        info,
        final_target,
        options.audio,
        task.source_packets,
        task.output_packets,
        _trim_range(task, expected, results),
        frame_seconds=1 / (output_info.rate or Fraction(25)),
    )
    checks = [
        *check_reading(task, results),
        *check_times(expected, results, policy_note),
        *check_description(task),
        *check_changes(task, named_changes),
        *check_side_data(task, results),
        *check_content(task, results.comparison),
        *check_captions(task, results),
        *stream_checks,
    ]
    facts |= _facts(policy, results)
    return VerificationReport(
        str(source),
        str(final_target),
        tuple(checks),
        facts,
    )


def _baked_orientation(info: VideoInfo, options: UpscaleOptions) -> Orientation | None:
    if options.bake_rotation and info.display_matrix is not None:
        return Orientation.of_matrix(info.display_matrix)
    return None


def _policies(task: VerificationTask) -> dict[str, Policy]:
    """The rates that are right, by name."""
    fps = task.options.rate
    policies: dict[str, Policy] = {str(fps): fps}
    if task.options.fps is None:
        policies["source"] = "source"
        output_rate = task.output.rate
        if output_rate:
            policies.setdefault(str(output_rate), output_rate)
    return policies


def _find_policy(
    task: VerificationTask,
    policies: dict[str, Policy],
) -> tuple[str, FrameResults]:
    """Which policy the output follows, and the results of comparing its frames by that policy."""
    guess = _guess_policy(task, policies)
    results = compare_frames(task, policies, guess)
    policy = best_policy(results.expected, results.actual)
    numbers, _ = pair_frames(results.expected[policy], results.actual)
    is_one_to_one = np.array_equal(numbers, np.arange(len(results.actual)))
    if policy != guess or not is_one_to_one:
        results = compare_frames(
            task,
            policies,
            policy,
            numbers,
        )
    return policy, results


def _guess_policy(task: VerificationTask, policies: dict[str, Policy]) -> str:
    """Which policy the output seems to follow, by its packets.

    A wrong guess costs a second pass over the pictures, nothing else.
    """
    source_video = task.source_packets.tracks[task.source.video.index]
    output_video = task.output_packets.tracks[task.output.video.index]
    source_times = _packet_times(source_video)
    output_times = _packet_times(output_video)
    if source_times is None or output_times is None:
        return next(iter(policies))
    candidates = {}
    for name, policy in policies.items():
        if policy == "source":
            candidates[name] = source_times
        else:
            ticks = np.arange(len(output_times), dtype=np.int64)
            candidates[name] = FrameTimes(ticks, 1 / Fraction(policy))
    return best_policy(candidates, output_times)


def _packet_times(track: Track) -> FrameTimes | None:
    if not len(track.times) or (track.times == NO_TIME).any():
        return None
    return FrameTimes(np.sort(track.times), track.unit)


def _trim_range(
    task: VerificationTask,
    expected: FrameTimes,
    results: FrameResults,
) -> TrimRange:
    """The part of the source that the output holds."""
    options = task.options
    actual = results.actual
    numbers, _ = pair_frames(expected, actual)
    source_time = results.origin
    if len(expected) and len(numbers):
        source_time += int(expected.ticks[numbers[0]]) * expected.unit
    # without timestamps FFmpeg cannot tell the first frame's either: it adds the decoder's delay
    output_time = Fraction(0)
    if len(actual) and task.container.keeps_timestamps:
        output_time = int(actual.ticks[0]) * actual.unit
    return TrimRange(
        start=results.origin if options.start else None,
        end=options.end,
        shift=source_time - output_time,
    )


def _facts(policy: str, results: FrameResults) -> dict[str, Any]:
    worst = results.comparison.worst
    psnr_db = worst.psnr if np.isfinite(worst.psnr) else None
    return {
        "fps": policy,
        "frames": len(results.actual),
        "worst_frame": {
            "number": worst.frame,
            "seconds": worst.seconds,
            "psnr_db": psnr_db,
        },
        "source_damage": results.source_damage.as_dict(),
    }
