"""Ten fixed commands write what they always wrote; `golden.py` says what is compared, and how."""

from __future__ import annotations

import json
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


@pytest.mark.parametrize("name", NAMES)
def test_commands_write_what_they_wrote(recordings: Path, name: str) -> None:
    expected = json.loads((RECORDED / f"{name}.json").read_text())
    actual = json.loads((recordings / f"{name}.json").read_text())
    assert golden.first_difference(expected, actual) is None


def test_every_recording_belongs_to_a_command() -> None:
    assert sorted(path.stem for path in RECORDED.iterdir()) == sorted(NAMES)
    assert sum(path.stat().st_size for path in RECORDED.iterdir()) < 60_000


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ({"a": [1, 2]}, {"a": [1, 2]}, None),
        ({"a": [1, 2]}, {"a": [1, 3]}, "/a[1]: 2, 3"),
        ({"a": [1, 2]}, {"a": [1]}, "/a: 2 entries, 1 entries"),
        ({"a": 1, "b": 2}, {"a": 1}, "/b: only in the first"),
        ({"a": 1}, {"a": 1, "b": 2}, "/b: only in the second"),
        ({"a": 1}, {"a": True}, "/a: 1, True"),
        ({"a": {}}, {"a": []}, "/a: {}, []"),
        ({"a": None}, {"a": 0}, "/a: None, 0"),
        ([30.12345], [30.12348], None),
        ([30.12345], [30.124], "[0]: 30.12345, 30.124"),
        ([float("nan")], [float("nan")], None),
    ],
)
def test_first_difference(left: object, right: object, expected: str | None) -> None:
    assert golden.first_difference(left, right) == expected


def test_keys_are_left_out_at_any_depth() -> None:
    record = {"seconds": 1, "rows": [{"name": "delta", "Encoder": "x", "seconds": 2}]}
    expected = {"rows": [{"name": "delta"}]}
    assert without(record, ("seconds", "encoder")) == expected


def test_comparing_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, status in (("one", 0), ("two", 1)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "same.json").write_text("{}")
        (tmp_path / name / "other.json").write_text(f'{{"status": {status}}}')
    (tmp_path / "one" / "more.json").write_text("{}")
    assert not golden.compare(tmp_path / "one", tmp_path / "two")
    assert capsys.readouterr().out.splitlines() == [
        f"more: not in {tmp_path / 'two'}",
        "other: /status: 0, 1",
        "same: equal",
    ]
    assert golden.compare(tmp_path / "one", tmp_path / "one")
    assert not golden.compare(tmp_path / "none", tmp_path / "none")
