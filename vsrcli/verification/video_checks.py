"""The checks of the video stream: frames and their times, description, content."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from vsrcli.frame import ColorTags
from vsrcli.verification.frame_comparison import FrameComparison
from vsrcli.verification.frame_pass import FrameResults
from vsrcli.verification.frame_times import (
    FrameTimes,
    compare_count,
    compare_end,
    compare_times,
)
from vsrcli.verification.verification_report import Check
from vsrcli.verification.verification_task import VerificationTask
from vsrcli.verification.video_properties import (
    compare_colour,
    compare_depth,
    compare_hdr,
)
from vsrcli.wording import plural

# The unit of MP4's total duration, as a rule.
_HEADER_SECONDS = Fraction(1, 1000)
# FFmpeg's decoder of MPEG-2 gives those of a second field with the next frame.
_CAPTIONS_STAY_WITH_PACKETS = ("h264", "hevc")


def check_times(
    expected: FrameTimes,
    results: FrameResults,
    policy_note: str,
) -> Iterator[Check]:
    """Number and times of the frames, and damage of the output.

    Args:
        expected: when the frames should be presented.
        results: of decoding both files.
        policy_note: which rate was expected, if it was not given.
    """
    actual = results.actual
    problem = compare_count(expected, actual)
    yield _check("frames", problem, plural(len(actual), "frame") + policy_note)
    problem = compare_times(expected, actual)
    text = f"every frame is at its expected time{policy_note}"
    yield _check("timestamps", problem, text)
    if actual.end is not None and expected.end is not None:
        problem = compare_end(expected, actual, max(actual.unit, _HEADER_SECONDS))
        yield _check("end", problem, "the last frame ends at its expected time")
    damage = results.output_damage
    problem = f"damaged: {damage}" if damage else None
    yield _check("decoding", problem, "no damage")


def check_description(task: VerificationTask) -> Iterator[Check]:
    """How the video stream is described: size, shape, rotation, colours, HDR, bit depth."""
    expected = task.expected
    output = task.output
    yield _check_size(task)
    yield _check_aspect(task)
    yield _check_rotation(task)

    expected_tags = expected.tags
    if not task.source.format.has_chroma:
        # gray needs no matrix
        expected_tags = replace(expected_tags, matrix=output.tags.matrix)
    problems = compare_colour(expected_tags, output.tags, output.video.codec)
    yield _check("colour", "; ".join(problems), _describe_tags(output.tags))
    if expected.hdr or output.hdr.mastering or output.hdr.content_light:
        problems = compare_hdr(expected.hdr, output.hdr)
        text = "; ".join(problems) or "static metadata kept"
        if expected.hdr.dynamic:
            text += f"; {', '.join(expected.hdr.dynamic)} cannot be carried"
        yield Check("hdr", not problems, text)
    if expected.stereo_mode or output.stereo_mode:
        yield _check_stereo(task)
    if expected.projection or output.projection:
        yield _check_projection(task)
    problems = compare_depth(expected.format, output.format)
    text = f"{output.format.bits} bits ({output.pixel_format})"
    yield _check("depth", "; ".join(problems), text)


def check_side_data(task: VerificationTask, results: FrameResults) -> Iterator[Check]:
    """What the source carries that no output holds.

    What its first frames show was named before the work; the rest counts as a fault where no loss
    is allowed.
    """
    kept = {*task.output.uncarried, *task.output_packets.uncarried}
    named = [item for item in task.source.uncarried if item not in kept]
    later = dict.fromkeys((*results.late_metadata, *task.source_packets.uncarried))
    late = [item for item in later if item not in kept and item not in named]
    if named or late:
        text = f"lost, since no encoder here writes it: {', '.join(named + late)}"
        is_allowed = not (late and task.options.strict)
        yield Check("side data", is_allowed, text)


def check_content(
    task: VerificationTask,
    comparison: FrameComparison,
) -> Iterator[Check]:
    """What the frames show."""
    if task.expected.format.has_alpha:
        yield _check_alpha(task, comparison)
    if not comparison.frames:
        return
    worst = comparison.worst
    text = f"worst frame: number {worst.frame} ({worst.seconds:.3f} s), {worst.psnr:.1f} dB"
    problem = None
    if comparison.wrong:
        counts = f"{comparison.wrong_count} of {comparison.frames} frames are wrong"
        problem = f"{counts}: {comparison.wrong}; {text}"
    yield _check("content", problem, text)
    if comparison.wrong_count == comparison.frames:
        return
    difference, number = comparison.levels
    text = f"brightness differs by {difference:.1f} codes at most (frame {number})"
    yield Check("levels", comparison.is_close(difference), text)
    difference, number = comparison.chroma
    text = f"colours differ by {difference:.1f} codes at most (frame {number})"
    yield Check("chroma", comparison.is_close(difference), text)


def check_captions(task: VerificationTask, results: FrameResults) -> Iterator[Check]:
    """Whether the closed captions of the source are in the output."""
    comparison = results.captions
    expected = comparison.expected_count
    unread = _unread_captions(task, results)
    if not task.expected.keeps_captions:
        if expected:
            text = f"{plural(expected, 'pair')} of bytes cannot be carried"
            yield Check("captions", passed=True, text=text)
        return
    if unread is not None:
        yield Check("captions", passed=False, text=unread)
    elif expected or comparison.actual_count:
        text = f"{plural(expected, 'pair')} of bytes, all as in the source"
        yield _check("captions", comparison.problem(), text)


def _unread_captions(task: VerificationTask, results: FrameResults) -> str | None:
    time_range = task.options.range
    packets = [
        (time, captions)
        for time, captions in task.source_packets.captions
        if time is None or time_range.contains(time)
    ]
    times: frozenset[Fraction] = frozenset()
    if task.source.video.codec in _CAPTIONS_STAY_WITH_PACKETS:
        times = frozenset(results.source_times)
    return results.captions.unread(packets, times)


def _check_alpha(task: VerificationTask, comparison: FrameComparison) -> Check:
    if not task.output.format.has_alpha:
        if not comparison.loses_alpha and comparison.frames:
            return Check("alpha", True, "none, and the source's is opaque everywhere")
        return Check("alpha", False, f"lost: {task.output.pixel_format} has none")
    difference, number = comparison.alpha
    text = f"it differs by {difference:.1f} codes at most (frame {number})"
    return Check("alpha", comparison.is_close(difference), text)


def _check_size(task: VerificationTask) -> Check:
    is_same = task.output_size == task.expected_size
    text = _size(task.output_size)
    if not is_same:
        text += f", it should be {_size(task.expected_size)}"
    return Check("size", is_same, text)


def _check_aspect(task: VerificationTask) -> Check:
    expected = task.expected.sample_aspect or 1
    actual = task.output.sample_aspect or 1
    text = f"pixels {actual}"
    if actual != expected:
        text += f", they should be {expected}"
    return Check("aspect", actual == expected, text)


def _check_rotation(task: VerificationTask) -> Check:
    expected = task.expected
    output = task.output
    is_same = _turn_of(expected.display_matrix) == _turn_of(output.display_matrix)
    text = _describe_rotation(output.display_matrix, output.rotation)
    if not is_same:
        should = _describe_rotation(expected.display_matrix, expected.rotation)
        text += f", it should be {should}"
    return Check("rotation", is_same, text)


def _check_stereo(task: VerificationTask) -> Check:
    expected = task.expected.stereo_mode
    actual = task.output.stereo_mode
    text = _stereo_name(actual)
    if actual != expected:
        text += f", it should be {_stereo_name(expected)}"
    return Check("stereo", actual == expected, text)


def _stereo_name(mode: str | None) -> str:
    return "one view" if mode is None else f"two views ({mode.replace('_', ' ')})"


def _check_projection(task: VerificationTask) -> Check:
    expected = task.expected.projection
    actual = task.output.projection
    text = "flat" if actual is None else "spherical, as the source"
    if actual != expected:
        text = "lost" if actual is None else "different from the source's"
    return Check("projection", actual == expected, text)


def _check(
    name: str,
    problem: str | None,
    text: str,
) -> Check:
    """A check that passes if there is no problem."""
    return Check(name, not problem, problem or text)


def _size(size: tuple[int, int]) -> str:
    width, height = size
    return f"{width}x{height}"


def _turn_of(matrix: tuple[int, ...] | None) -> tuple[float, ...]:
    """The upper left four numbers of a display matrix, which turn and mirror."""
    if matrix is None:
        return 1.0, 0.0, 0.0, 1.0
    return tuple(round(matrix[place] / 65536, 3) for place in (0, 1, 3, 4))


def _describe_rotation(matrix: tuple[int, ...] | None, rotation: float) -> str:
    if matrix is None:
        return "none"
    a, b, c, d = _turn_of(matrix)
    text = f"{rotation:g} degrees"
    if a * d - b * c < 0:
        text += ", mirrored"
    return text


def _describe_tags(tags: ColorTags) -> str:
    return (
        f"range {tags.range or 'not said'}, matrix {tags.matrix}, "
        f"primaries {tags.primaries}, transfer {tags.transfer}"
    )
