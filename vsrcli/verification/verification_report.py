"""What a verification gives: one check for each property that was compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Check:
    """One property that was compared.

    Attributes:
        name: of the property; the same in every run.
        passed: whether the output is as it should be.
        text: one line: what the output has, and if it failed, what it should have.
    """

    name: str
    passed: bool
    text: str


@dataclass(frozen=True, slots=True)
class VerificationReport:
    """How an output compares with its source.

    Attributes:
        source, target: the files.
        checks: in the order of reading. A check with nothing to compare is left out.
        facts: figures for programs: rate policy, worst frame, packets and sums of each stream.
    """

    source: str
    target: str
    checks: tuple[Check, ...]
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """True when every check passes."""
        return all(check.passed for check in self.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that fail."""
        return tuple(check for check in self.checks if not check.passed)

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        checks = [
            {
                "name": check.name,
                "passed": check.passed,
                "text": check.text,
            }
            for check in self.checks
        ]
        return {
            "source": self.source,
            "target": self.target,
            "ok": self.ok,
            "checks": checks,
            **self.facts,
        }
