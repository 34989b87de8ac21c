"""Ten fixed commands write what they always wrote; `golden.py` says what is compared, and how."""

from __future__ import annotations

import json
import math
from pathlib import Path

import golden
import pytest
from golden_files import without

RECORDED = golden.TESTS / "golden"
NAMES = [command.name for command in golden.COMMANDS]


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of all commands as they are now."""
    folder = tmp_path_factory.mktemp("golden")
    for _ in golden.record_all(folder, is_portable=True):
        pass
    return folder


def _read(folder: Path, name: str) -> object:
    text = (folder / f"{name}.json").read_text()
    return json.loads(text)


@pytest.mark.parametrize("name", NAMES)
def test_commands_write_what_they_wrote(recordings: Path, name: str) -> None:
    expected = _read(RECORDED, name)
    actual = _read(recordings, name)
    assert golden.first_difference(expected, actual) is None


def test_every_recording_belongs_to_a_command() -> None:
    recordings = sorted(RECORDED.iterdir())
    assert [path.stem for path in recordings] == sorted(NAMES)
    assert sum(path.stat().st_size for path in recordings) < 60_000


def test_equal_recordings_have_no_difference() -> None:
    record = {"packets": ["0 0 40 K"], "rate": None}
    assert golden.first_difference(record, dict(record)) is None


def test_first_difference_names_the_path_and_both_values() -> None:
    left = {"streams": [{"size": "64x48"}, {"size": "8x8"}]}
    right = {"streams": [{"size": "64x48"}, {"size": "9x9"}]}
    difference = golden.first_difference(left, right)
    assert difference == "/streams[1]/size: '8x8', '9x9'"


def test_missing_values_are_differences() -> None:
    assert golden.first_difference([1, 2], [1]) == ": 2 entries, 1 entries"
    assert golden.first_difference({"a": 1}, {}) == "/a: only in the first"
    assert golden.first_difference({}, {"a": 1}) == "/a: only in the second"


@pytest.mark.parametrize("other", [True, 1.0, "1", None, [], {}])
def test_values_of_another_type_are_differences(other: object) -> None:
    assert golden.first_difference(1, other) == f": 1, {other!r}"


def test_only_numbers_with_a_fraction_may_differ_a_little() -> None:
    assert golden.first_difference(30.12345, 30.12348) is None
    assert golden.first_difference(30.12345, 30.124) is not None
    assert golden.first_difference(1_000_000, 1_000_001) is not None
    assert golden.first_difference(math.nan, math.nan) is None
    assert golden.first_difference(math.nan, 1.0) is not None


def test_keys_are_left_out_at_any_depth() -> None:
    row = {"name": "delta", "Encoder": "x", "seconds": 2}
    record = {"seconds": 1, "rows": [row]}
    expected = {"rows": [{"name": "delta"}]}
    assert without(record, ("seconds", "encoder")) == expected


def test_comparing_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = tmp_path / "before"
    after = tmp_path / "after"
    for folder in (before, after):
        folder.mkdir()
        (folder / "same.json").write_text("{}")
    (before / "other.json").write_text('{"status": 0}')
    (after / "other.json").write_text('{"status": 1}')
    (before / "more.json").write_text("{}")
    assert not golden.compare(before, after)
    assert capsys.readouterr().out.splitlines() == [
        f"more: not in {after}",
        "other: /status: 0, 1",
        "same: equal",
    ]
    assert golden.compare(before, before)
    assert not golden.compare(tmp_path, tmp_path)
