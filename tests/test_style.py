"""Code stays readable, by numbers; ``python tests/style.py -v`` names the places."""

from __future__ import annotations

from pathlib import Path

import pytest
import style

ROOT = Path(__file__).resolve().parent.parent
MAX_TOKENS_PER_LINE = 7.0


@pytest.mark.parametrize("folder", ["vsrcli", "tests", "benchmarks", "docs"])
def test_code_has_short_lines_and_one_statement_in_each(folder: str) -> None:
    measured = style.measure(list(style.python_files([ROOT / folder])))
    assert measured.lines, f"no code in {folder}"
    assert not measured.wide
    assert not measured.tuple_assignments
    assert not measured.nested_conditionals


def test_the_package_can_be_read_aloud() -> None:
    measured = style.measure(list(style.python_files([ROOT / "vsrcli"])))
    assert measured.tokens_per_line <= MAX_TOKENS_PER_LINE


def test_dense_code_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "dense.py"
    long_comment = "# " + 100 * "x"
    file.write_text(
        f"a, b = 1, 2\na, b = b, a\n{long_comment}\nc = 1 if a else 2 if b else 3\n"
    )
    measured = style.measure([file])
    assert measured.tuple_assignments == [f"{file}:1"]
    assert measured.wide == [f"{file}:3"]
    assert measured.nested_conditionals == [f"{file}:4"]
    assert measured.lines == 3
    assert measured.tokens_per_line == pytest.approx((7 + 7 + 11) / 3)
