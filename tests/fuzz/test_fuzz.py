"""The short form of the fuzzer: some cases of every kind; all: python tests/fuzz/run.py."""

from __future__ import annotations

from fuzz.cases import KINDS
from fuzz.run import fuzz


def test_damaged_files_end_in_success_or_one_clear_error() -> None:
    cases = 5 * len(KINDS)
    result = fuzz(cases)
    assert result.problems == []
    assert sum(result.outcomes.values()) == cases
    assert {kind for kind, outcome in result.outcomes if outcome == "done"} >= {
        "ts",
        "avi",
        "part",
        "journal",
    }
    assert {outcome for _, outcome in result.outcomes} >= {
        "done",
        "InputError",
        "ModelError",
        "OutputError",
    }
