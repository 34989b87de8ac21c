"""The fuzzer: python tests/fuzz/run.py [--cases 2000] [--first 0] [--kinds mp4,onnx].

Every case has to end in success or one clear error. Cases run in a process of their own. It is
restarted when it hangs, dies, or takes too much memory, and each of these fails the case.
"""

from __future__ import annotations

import argparse
import json
import select
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from fuzz.cases import KINDS, make_seeds

# A decoder that hangs is waited for a minute.
_MOST_SECONDS = 100
_MOST_BYTES = 2 << 30


@dataclass
class Result:
    """Outcomes by kind of file, and what must not be: (kind, number, what)."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    problems: list[tuple[str, int, str]] = field(default_factory=list)


class _Runner:
    """The process that the cases run in."""

    def __init__(self, seeds: Path, folder: Path) -> None:
        self._command = [
            sys.executable,
            str(HERE / "cases.py"),
            str(seeds),
            str(folder),
            str(_MOST_BYTES),
        ]
        self._process: subprocess.Popen[str] | None = None

    def run(self, kind: str, number: int) -> tuple[str, str]:
        """Outcome and problem of a case."""
        if self._process is not None and self._process.poll() is not None:
            self.close()
        if self._process is None:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{kind} {number}\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], _MOST_SECONDS)
        if not ready:
            self.close()
            return "", f"no answer after {_MOST_SECONDS} s"
        line = process.stdout.readline()
        if not line:
            return "", f"the process died with status {process.wait()}"
        try:
            answer = json.loads(line)
        except ValueError:
            self.close()
            return "", f"something was printed on standard output: {line[:200]!r}"
        return answer["outcome"], answer["problem"]

    def close(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def fuzz(cases: int, first: int = 0, kinds: tuple[str, ...] = KINDS) -> Result:
    """Run so many cases, dealt out to the kinds in turn."""
    result = Result()
    with tempfile.TemporaryDirectory(prefix="vsr-fuzz-") as name:
        seeds = Path(name) / "seeds"
        folder = Path(name) / "work"
        seeds.mkdir()
        folder.mkdir()
        make_seeds(seeds)
        runner = _Runner(seeds, folder)
        try:
            for number in range(first, first + cases):
                kind = kinds[number % len(kinds)]
                outcome, problem = runner.run(kind, number)
                result.outcomes[kind, outcome or "problem"] += 1
                if problem:
                    result.problems.append((kind, number, problem))
        finally:
            runner.close()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--kinds", default=",".join(KINDS))
    arguments = parser.parse_args()
    result = fuzz(arguments.cases, arguments.first, tuple(arguments.kinds.split(",")))
    outcomes = sorted({outcome for _, outcome in result.outcomes})
    print(f"| file | {' | '.join(outcomes)} |\n|---|{'---|' * len(outcomes)}")
    kinds = {kind for kind, _ in result.outcomes}
    for kind in KINDS:
        if kind in kinds:
            counts = [str(result.outcomes[kind, outcome]) for outcome in outcomes]
            print(f"| {kind} | {' | '.join(counts)} |")
    for kind, number, problem in result.problems:
        print(f"{kind} {number}: {problem}")
    print(f"\n{len(result.problems)} problems in {arguments.cases} cases")
    sys.exit(bool(result.problems))


if __name__ == "__main__":
    main()
