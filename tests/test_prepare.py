"""Prepared packs: what ``vsr train --prepare`` writes, and how it is read without PyAV."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import write_clip

from vsrcli.cli import _run
from vsrcli.clips import roundtrip
from vsrcli.clips.data import load
from vsrcli.clips.degradation import DEGRADATIONS, video
from vsrcli.clips.packs import copy_sequences, encode_sequence, write_sequences
from vsrcli.clips.prepare import _publishing_order, prepare
from vsrcli.clips.sequences import (
    SEQUENCE,
    Sequences,
    split_held_out,
    validation_pairs,
)
from vsrcli.errors import InputError, OptionError, OutputError
from vsrcli.options import TrainOptions
from vsrcli.training.job import train

FILES = {
    "manifest.csv",
    "train.mp4",
    "train.video.h264",
    "train.video.json",
    "val.mp4",
    "val.video.h264",
    "val.video.json",
}


@pytest.fixture(autouse=True)
def _reproducible_x264(monkeypatch: pytest.MonkeyPatch) -> None:
    """Macroblock trees off, here and there: with them x264 itself makes other bytes of the same
    pictures now and then (measured on a processor with AVX-512), so nothing could be compared."""
    plain = roundtrip.gray_encoder

    def encoder(height: int, width: int, options: dict[str, str]) -> Any:
        return plain(height, width, options | {"x264-params": "mbtree=0"})

    monkeypatch.setattr(roundtrip, "gray_encoder", encoder)


def _clips(count: int, size: tuple[int, int] = (64, 48)) -> list[Any]:
    """Moving blocks, each (SEQUENCE, H, W) uint8; ``size`` is (W, H)."""
    rng = np.random.default_rng(7)
    clips = []
    for _ in range(count):
        blocks = np.kron(rng.integers(20, 230, (40, 40)), np.ones((5, 5))).astype(
            np.uint8
        )
        frames = [
            blocks[2 * n : 2 * n + size[1], n : n + size[0]] for n in range(SEQUENCE)
        ]
        clips.append(np.stack(frames))
    return clips


def _write_pack(folder: Path, count: int = 8, size: tuple[int, int] = (64, 48)) -> Path:
    """A training pack of ``count`` sequences, of which every fourth may not be shipped."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "train.mp4"
    packets = [encode_sequence(clip) for clip in _clips(count, size)]
    write_sequences(file, size[1], size[0], packets)
    rows = "".join(f"train,{int(k % 4 != 3)},scene{k // 2}\n" for k in range(count))
    (folder / "manifest.csv").write_text("split,shippable,content_group\n" + rows)
    return file


def _prepare(out: Path, *data: Path, **changes: Any) -> list[str]:
    """Prepare ``data``, and return the notes."""
    notes: list[str] = []
    options: dict[str, Any] = {
        "prepare": str(out),
        "data": tuple(map(str, data)),
        "threads": 1,
    }
    prepare(TrainOptions(**options | changes), on_note=notes.append)
    return notes


def _packets(file: Path) -> list[bytes]:
    """The coded slices of each packet: without headers, which may be repeated."""
    slices = []
    with av.open(str(file)) as container:
        for packet in container.demux(video=0):
            units = bytes(packet)
            place = 0
            while place < len(units):
                end = place + 4 + int.from_bytes(units[place : place + 4], "big")
                if units[place + 4] & 31 in (1, 5):
                    slices.append(units[place + 4 : end])
                place = end
    return slices


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared pack of six sequences to train on and two to validate on; not to be changed."""
    folder = tmp_path_factory.mktemp("prepared")
    _prepare(folder / "out", _write_pack(folder / "in"))
    return folder / "out"


def _copy(pack: Path, folder: Path) -> Path:
    """A copy that may be damaged."""
    folder.mkdir()
    for file in pack.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def _sequences(prepared: list[int]) -> Sequences:
    """Clips of which each has so many prepared versions for `video`; a version's codes name it."""
    versions = []
    for index, count in enumerate(prepared):
        lows = [
            np.full((SEQUENCE, 24, 32), 10 * index + n, np.uint8) for n in range(count)
        ]
        versions.append({"video": tuple(lows)})
    names = tuple(f"film.mp4#{index}" for index in range(len(prepared)))
    return Sequences(tuple(_clips(len(prepared))), names, tuple(versions))


def test_prepared_versions_are_used_and_others_made() -> None:
    sequences = _sequences([2, 3])
    assert sequences.variants("video") == 2
    assert sequences.variants("clean") is None
    assert sequences.low_resolution("video", 1, 2, seed=5)[0, 0, 0] == 12
    assert sequences.low_resolution("video", 1, 4, seed=5)[0, 0, 0] == 11
    expected = DEGRADATIONS["blur3"](sequences.clips[1], 5)
    assert np.array_equal(sequences.low_resolution("blur3", 1, 0, seed=5), expected)

    partly = _sequences([2, 0])
    assert partly.variants("video") is None
    assert np.array_equal(
        partly.low_resolution("video", 1, 0, seed=5), video(partly.clips[1], 5)
    )
    assert Sequences(partly.clips, partly.names).variants("video") is None


def test_prepared_versions_stay_with_their_clips() -> None:
    kept, held = split_held_out(_sequences([1] * 20))
    assert len(held) == 2
    assert kept.low_resolution("video", 3, 0, seed=0)[0, 0, 0] == 30
    assert held.low_resolution("video", 0, 0, seed=0)[0, 0, 0] == 180
    low, _ = validation_pairs(held, "video", count=2, size=32)[1]
    assert low[0, 0, 0] == 190


def test_without_pyav_an_unprepared_clip_says_what_to_do() -> None:
    code = (
        "import sys; sys.modules['av'] = None\n"
        "import numpy as np\n"
        "from vsrcli.errors import InputError\n"
        "from vsrcli.clips.sequences import Sequences\n"
        "sequences = Sequences((np.zeros((7, 32, 32), np.uint8),), ('a',))\n"
        "try:\n"
        "    [sequences.low_resolution('video', 0, 0, seed) for seed in range(9)]\n"
        "except InputError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert "no PyAV" in done.stdout
    assert "vsr train --prepare" in done.stdout


@pytest.mark.parametrize("size", [(64, 48), (50, 46)])  # the second halves to odd sides
def test_prepared_versions_are_what_the_degradation_makes(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    source = _write_pack(tmp_path / "in", 12, size)
    _prepare(tmp_path / "out", source, val=(str(source),), variants=3, val_count=4)
    assert {file.name for file in (tmp_path / "out").iterdir()} == FILES

    training = load([tmp_path / "out" / "train.mp4"], domain="video")
    assert training.variants("video") == 3
    untouched = 0
    for index, clip in enumerate(training.clips):
        for variant in range(3):
            expected = video(clip, index * 101 + variant)
            found = training.low_resolution("video", index, variant, seed=-1)
            assert np.array_equal(found, expected)
            untouched += np.array_equal(found, DEGRADATIONS["clean"](clip, 0))
    assert 0 < untouched < 3 * len(training), "both kinds of version have to be there"

    validation = load([tmp_path / "out" / "val.mp4"], domain="video")
    assert validation.variants("video") == 1
    unprepared = Sequences(validation.clips, validation.names)
    pairs = (
        validation_pairs(part, "video", count=4, size=32)
        for part in (validation, unprepared)
    )
    for (low, high), (expected_low, expected_high) in zip(*pairs, strict=True):
        assert np.array_equal(low, expected_low)
        assert np.array_equal(high, expected_high)


def test_packets_of_a_pack_are_copied(tmp_path: Path) -> None:
    source = _write_pack(tmp_path / "in", 8)
    _prepare(tmp_path / "out", source, val=(str(source),), val_count=3)
    original = load([source])
    assert np.array_equal(load([tmp_path / "out" / "train.mp4"]).clips, original.clips)
    assert _packets(tmp_path / "out" / "train.mp4") == _packets(source)
    chosen = load([tmp_path / "out" / "val.mp4"])
    assert np.array_equal(chosen.clips, [original.clips[index] for index in (0, 2, 5)])


def test_shippable_leaves_the_other_rows_out(tmp_path: Path) -> None:
    source = _write_pack(tmp_path / "in", 8)
    _prepare(tmp_path / "out", source, val=(str(source),), shippable=True)
    expected = load([source], shippable_only=True)
    assert len(expected) == 6
    found = load([tmp_path / "out" / "train.mp4"], domain="video")
    assert np.array_equal(found.clips, expected.clips)
    assert found.names == expected.names
    # of a prepared pack that holds all rows, the versions of the others are left out with them
    everything = load(
        [tmp_path / "out" / "val.mp4"], shippable_only=True, domain="video"
    )
    assert np.array_equal(everything.clips, expected.clips)
    assert np.array_equal(
        everything.low_resolution("video", 5, 0, seed=-1),
        video(expected.clips[5], 1006),
    )


def test_own_footage_is_encoded_and_its_last_tenth_held_out(tmp_path: Path) -> None:
    film = write_clip(tmp_path / "film.mp4", frames=SEQUENCE * 20)
    small = write_clip(tmp_path / "small.mp4", frames=SEQUENCE * 2, size=(48, 48))
    notes = _prepare(tmp_path / "out", film, small)
    assert any("held out" in note for note in notes)
    assert any(
        "1 of 19 training clips are left out" in note and "64x48" in note
        for note in notes
    )

    expected, held = split_held_out(load([film]))
    training = load([tmp_path / "out" / "train.mp4"], domain="video")
    assert training.names == expected.names
    validation = load([tmp_path / "out" / "val.mp4"], domain="video")
    assert len(validation) == len(held) == 2
    for found, source in zip(training.clips, expected.clips, strict=True):
        assert np.abs(found.astype(int) - source).mean() < 1
        assert abs(float(found.mean()) - float(source.mean())) < 0.2, (
            "codes are not stretched"
        )
    assert np.array_equal(
        training.low_resolution("video", 4, 1, -1), video(training.clips[4], 405)
    )
    # the pack is split again as its files were
    assert split_held_out(training)[1].names == expected.names[-2:]
    assert len(load([tmp_path / "out" / "train.mp4"], shippable_only=True)) == len(
        training
    )


def test_a_pack_and_footage_go_into_one_pack(tmp_path: Path) -> None:
    film = write_clip(tmp_path / "film.mp4", frames=SEQUENCE * 3)
    source = _write_pack(tmp_path / "in", 4)
    _prepare(tmp_path / "out", source, film, source, val=(str(film),))
    found = load([tmp_path / "out" / "train.mp4"], domain="video")
    original = load([source]).clips
    assert len(found) == 11
    assert np.array_equal(found.clips[:4], original)
    assert np.array_equal(found.clips[7:], original)
    with (tmp_path / "out" / "manifest.csv").open(newline="") as text:
        groups = [row["content_group"] for row in csv.DictReader(text)]
    assert groups[3:5] == ["scene1", f"{film}#0"]


def test_training_needs_no_pyav_with_a_prepared_pack(
    tmp_path: Path, pack: Path
) -> None:
    code = (
        "import json, sys\n"
        "sys.modules['av'] = None\n"
        "from vsrcli.cli import _run\n"
        "for arguments in json.loads(sys.argv[1]):\n"
        "    status = _run(arguments)\n"
        "    sys.stderr.flush()\n"
        "    print(status, file=sys.stderr)\n"
    )
    settings = ["--model", "previous", "--steps", "1", "--batch", "1", "--patch", "8"]
    machine = ["--device", "cpu", "--threads", "1"]
    files = ["--data", str(pack / "train.mp4"), "--val", str(pack / "val.mp4")]
    plain = _write_pack(tmp_path / "plain", 4)
    lines = [
        ["train", *settings, *machine, *files, "--out", str(tmp_path / "run")],
        [
            *("train", *settings, *machine, "--data", str(plain)),
            *("--out", str(tmp_path / "refused")),
        ],
    ]
    command = [sys.executable, "-c", code, json.dumps(lines)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    first, second = re.split(r"^0$", done.stderr, flags=re.MULTILINE)
    assert "dB on video" in first
    assert (tmp_path / "run" / "last.safetensors").is_file()

    errors = [line for line in second.splitlines() if "error" in line]
    assert second.splitlines()[-1] == "1"
    assert len(errors) == 1, second
    assert "no PyAV" in errors[0]
    assert "vsr train --prepare" in errors[0]


def _change(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0x55
    file.write_bytes(content)


def _shorten(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3])


def _lengthen(file: Path) -> None:
    file.write_bytes(file.read_bytes() * 2)


def _forget_a_clip(file: Path) -> None:
    index = json.loads(file.read_text())
    del index["clips"][-1]
    file.write_text(json.dumps(index))


def _swap_versions(file: Path) -> None:
    index = json.loads(file.read_text())
    index["versions"][0], index["versions"][1] = (
        index["versions"][1],
        index["versions"][0],
    )
    file.write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("train.video.h264", _shorten, "train.video.h264"),
        ("train.video.h264", _change, "train.video.h264"),
        ("train.video.h264", _lengthen, "more frames"),
        ("train.video.h264", Path.unlink, "train.video.h264"),
        ("train.video.json", _shorten, "not an index"),
        ("train.video.json", lambda file: file.write_text("[]"), "not an index"),
        ("train.video.json", _forget_a_clip, "train.video.json"),
        ("train.video.json", _swap_versions, "not an index"),
        (
            "train.video.json",
            lambda file: file.write_text('{"format":2}'),
            "another version",
        ),
        ("train.mp4", _change, "train.mp4: clip"),
        ("manifest.csv", Path.unlink, "not prepared to the end"),
    ],
)
def test_damage_is_found(
    tmp_path: Path, pack: Path, name: str, damage: Any, message: str
) -> None:
    folder = _copy(pack, tmp_path / "pack")
    damage(folder / name)
    with pytest.raises(InputError, match=message) as caught:
        load([folder / "train.mp4"], domain="video")
    assert "vsr train --prepare" in str(caught.value)


def test_a_pack_serves_the_other_domains_too(pack: Path) -> None:
    for domain in ("clean", "blur3", None):
        assert load([pack / "train.mp4"], domain=domain).variants("video") is None
    found = load([pack / "train.mp4"], domain="clean")
    expected = DEGRADATIONS["clean"](found.clips[0], 0)
    assert np.array_equal(found.low_resolution("clean", 0, 1, seed=3), expected)


@pytest.mark.parametrize("step", ["write_index", "_write_manifest", "sync"])
@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), OSError(28, "No space left on device")]
)
def test_what_was_not_prepared_to_the_end_is_not_loaded(
    tmp_path: Path,
    pack: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    error: BaseException,
) -> None:
    def fail(*arguments: object) -> None:
        raise error

    source = _write_pack(tmp_path / "in", 4)
    monkeypatch.setattr(f"vsrcli.clips.prepare.{step}", fail)
    expected = (
        KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else OutputError
    )
    with pytest.raises(expected):
        _prepare(tmp_path / "new", source)
    assert not (tmp_path / "new").exists()

    # an old pack stays until its successor is whole, and then lacks its manifest for a while
    old = _copy(pack, tmp_path / "old")
    with pytest.raises(expected):
        _prepare(old, source)
    gone = {"manifest.csv"} if step == "sync" else set()
    assert {file.name for file in old.iterdir()} == FILES - gone
    monkeypatch.undo()
    if step == "sync":
        with pytest.raises(InputError, match="not prepared to the end"):
            load([old / "train.mp4"])
    _prepare(old, source, val=(str(source),))
    assert len(load([old / "train.mp4"], domain="video")) == 4


@pytest.mark.parametrize("step", ["read_pack", "write_index", "_write_manifest"])
def test_what_a_killed_run_leaves_is_refused_and_cleared_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*arguments: object) -> None:
        raise KeyboardInterrupt

    source = _write_pack(tmp_path / "in", 4)
    monkeypatch.setattr("vsrcli.clips.prepare.shutil.rmtree", lambda *_, **__: None)
    monkeypatch.setattr(f"vsrcli.clips.prepare.{step}", fail)
    with pytest.raises(KeyboardInterrupt):
        _prepare(tmp_path / "out", source)
    assert (tmp_path / "out" / ".unfinished" / "train.mp4").is_file()
    with pytest.raises(InputError, match="not prepared to the end"):
        load([tmp_path / "out"])
    monkeypatch.undo()
    _prepare(tmp_path / "out", source)
    assert {file.name for file in (tmp_path / "out").iterdir()} == FILES


def test_footage_that_cannot_be_read_is_named_and_not_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load_nothing(*arguments: object, **named: object) -> Sequences:
        raise PermissionError(13, "Permission denied", "film.mp4")

    monkeypatch.setattr("vsrcli.clips.prepare.load_clips", load_nothing)
    with pytest.raises(
        InputError, match=r"film.mp4: cannot be read \(Permission denied\)"
    ):
        _prepare(tmp_path / "out", tmp_path / "film.mp4")
    assert not (tmp_path / "out").exists()


def test_a_pack_killed_while_it_was_moved_may_be_made_again(
    tmp_path: Path, pack: Path
) -> None:
    """After any number of files: the folder is still known as one of a prepared pack."""
    source = _write_pack(tmp_path / "source")
    for moved in range(1, len(FILES)):
        out = tmp_path / f"out{moved}"
        for file in sorted(pack.iterdir(), key=_publishing_order)[:moved]:
            out.mkdir(exist_ok=True)
            (out / file.name).write_bytes(file.read_bytes())
        _prepare(out, source)
        assert {file.name for file in out.iterdir()} == FILES


def test_folders_that_are_in_the_way_are_refused(tmp_path: Path) -> None:
    source = _write_pack(tmp_path / "in", 4)
    before = {file.name: file.read_bytes() for file in source.parent.iterdir()}
    with pytest.raises(OutputError, match="other things"):
        _prepare(source.parent, source)
    assert {file.name: file.read_bytes() for file in source.parent.iterdir()} == before
    with pytest.raises(OptionError, match="outside the footage"):
        _prepare(source.parent / "out", source.parent)
    with pytest.raises(OutputError, match="is a file"):
        _prepare(source, source)
    with pytest.raises(OutputError, match="no pack can be written"):
        _prepare(source / "inside", source)
    with pytest.raises(InputError):
        _prepare(tmp_path / "out", tmp_path / "missing.mp4")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": ()}, "--data"),
        ({"out": "run"}, "omit --out"),
        ({"steps": 5, "init": "video"}, "omit --init, --steps"),
        ({"time": 5.0}, "omit --time"),
        ({"resume": "run"}, "omit --resume"),
        ({"domain": "clean"}, "omit --domain"),
        ({"learning_rate": 0.1}, "omit --learning-rate"),
        ({"variants": 0}, "--variants 0 is too small"),
        ({"val_count": 0}, "--val-count 0 is too small"),
        ({"clips": 1}, "--clips 1 is too small"),
        (
            {"prepare": None, "out": "run", "steps": 1, "variants": 3},
            "go with --prepare",
        ),
        (
            {"prepare": None, "out": "run", "steps": 1, "val_count": 3},
            "go with --prepare",
        ),
    ],
)
def test_options_that_make_no_sense(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        TrainOptions(**({"prepare": "out", "data": ("x",)} | changes))


def test_preparing_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="trains nothing"):
        train(TrainOptions(prepare=str(tmp_path / "out"), data=("x",)))


def test_the_command_says_what_it_wrote(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = _write_pack(tmp_path / "in", 4)
    out = tmp_path / "out"
    arguments = [
        "train",
        "--prepare",
        str(out),
        "--data",
        str(source),
        "--variants",
        "1",
    ]
    assert _run(arguments) == 0
    printed = capsys.readouterr()
    assert printed.out == ""
    assert all(name in printed.err for name in FILES)
    assert (
        "2 clips to train on, 1 degraded version of each; 2 to validate on"
        in printed.err
    )
    assert f"vsr train --data {out / 'train.mp4'}" in printed.err
    assert _run([*arguments, "--json", "--quiet"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    report = json.loads(printed.out)
    assert report["training_clips"] == 2
    assert report["files"] == {file.name: file.stat().st_size for file in out.iterdir()}


def test_a_real_pack_is_prepared(tmp_path: Path, shared: Path) -> None:
    source = shared / "data" / "val.mp4"
    small = tmp_path / "in" / "val.mp4"
    small.parent.mkdir()
    write_sequences(small, 256, 256, copy_sequences(source, range(6), SEQUENCE))
    lines = (shared / "data" / "manifest.csv").read_text().splitlines(keepends=True)
    rows = [line for line in lines if line.startswith("val,")][:6]
    (tmp_path / "in" / "manifest.csv").write_text("".join([lines[0], *rows]))
    _prepare(tmp_path / "out", small, val=(str(small),))
    found = load([tmp_path / "out" / "train.mp4"], domain="video")
    assert len(found) == 6
    for index, clip in enumerate(found.clips):
        expected = video(clip, index * 101 + 1)
        assert np.array_equal(
            found.low_resolution("video", index, 1, seed=-1), expected
        )
    header = (tmp_path / "out" / "manifest.csv").read_text().splitlines()[0]
    assert header == lines[0].strip()


def test_the_package_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "vsrcli", "--version"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.startswith("vsr")
    subprocess.run([sys.executable, "-c", "import vsrcli.__main__"], check=True)
