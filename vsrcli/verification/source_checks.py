"""The checks of how the source was read: every frame of it, and every change in the middle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vsrcli.decode.changes import Change, find_changes
from vsrcli.verification.frame_pass import FrameResults
from vsrcli.verification.second_reading import find_loss
from vsrcli.verification.verification_report import Check
from vsrcli.verification.verification_task import VerificationTask


def check_reading(task: VerificationTask, results: FrameResults) -> Iterator[Check]:
    """Whether the reader, whose frames the output is compared with, gave all of the source's.

    Nothing if it did.

    Args:
        task: the files.
        results: of decoding both.
    """
    options = task.options
    video = task.source_packets.tracks[task.source.video.index]
    problem = find_loss(
        task.source,
        options.range,
        video,
        results.source_times,
        has_fields=options.deinterlace == "field",
        is_damaged=bool(results.source_damage),
    )
    if problem is not None:
        yield Check("reading", False, problem)


def check_changes(
    task: VerificationTask, named_changes: Sequence[Change]
) -> Iterator[Check]:
    """Whether shape, rotation and colours change where the source's do; nothing if none does.

    Args:
        task: the files.
        named_changes: of the source, which the run has named as lost.
    """
    source = find_changes(task.source, task.options.range, every_keyframe=True)
    in_source = [change for change in source if change.loses]
    in_output = list(find_changes(task.output))
    if not in_source and not in_output:
        return
    yield _compare(in_source, in_output, named_changes)


def _compare(
    in_source: Sequence[Change],
    in_output: Sequence[Change],
    named_changes: Sequence[Change],
) -> Check:
    expected = [change.difference for change in in_source]
    if expected == [change.difference for change in in_output]:
        return Check(
            "changes", True, f"the output changes {in_output[0]}, as it should"
        )
    if in_output:
        text = f"the output changes {in_output[0]}, which the source does not"
        return Check("changes", False, text)
    unnamed = [change for change in in_source if change not in named_changes]
    if unnamed:
        text = f"the source changes {unnamed[0]}, which the output does not"
        return Check("changes", False, text)
    return Check("changes", True, f"lost, as announced: {in_source[0]}")
