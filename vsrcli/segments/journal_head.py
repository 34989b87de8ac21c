"""The first line of a journal: what the run is, so that another one does not continue it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vsrcli.errors import OutputError
from vsrcli.preflight.segment_plan import SegmentPlan
from vsrcli.segments.journal_lines import VERSION_KEY

_VERSION = 1
_MAX_CHANGES_SHOWN = 3
# What a refusal names without its values, which say nothing to the user.
_CHANGED_WITHOUT_VALUES = {
    "--segment": "--segment has changed",
    "source": "the source has changed",
    "weights": "the weights have changed",
}


def journal_head(plan: SegmentPlan, fingerprint: Mapping[str, str]) -> dict[str, Any]:
    """The first line of a journal: what the run is.

    Args:
        plan: the cuts.
        fingerprint: what decides the result, by names that the user knows.
    """
    return {
        VERSION_KEY: _VERSION,
        **fingerprint,
        "--segment": [str(cut) for cut in plan.cuts],
    }


def check_head(
    found: Mapping[str, Any],
    expected: Mapping[str, Any],
    folder: Path,
) -> None:
    """Refuse to continue a run that began with anything else that decides the result.

    Args:
        found: the head of its journal.
        expected: that of the run that is to continue it.
        folder: where the journal is.

    Raises:
        OutputError: they differ.
    """
    changed = [
        name
        for name in sorted({*found, *expected})
        if found.get(name) != expected.get(name)
    ]
    if not changed:
        return
    if VERSION_KEY in changed:
        raise OutputError(
            f"{folder} was written by another version of vsr: --restart starts over"
        )
    changes = [
        _describe_change(name, found, expected) for name in changed[:_MAX_CHANGES_SHOWN]
    ]
    if len(changed) > _MAX_CHANGES_SHOWN:
        changes.append(f"{len(changed) - _MAX_CHANGES_SHOWN} more")
    raise OutputError(
        f"{folder} holds an unfinished run that differs from this one "
        f"({', '.join(changes)}): repeat the command that began it, or --restart starts over"
    )


def _describe_change(
    name: str,
    found: Mapping[str, Any],
    expected: Mapping[str, Any],
) -> str:
    if name in _CHANGED_WITHOUT_VALUES:
        return _CHANGED_WITHOUT_VALUES[name]
    return f"{name} was {found.get(name)}, now {expected.get(name)}"
