"""Frames that a slow network has doubled outlive a kill in the middle of their segment."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import frames_at
from fake import FakeBackend, SlowBackend, open_fake
from hypothesis import given, settings
from hypothesis import strategies as st
from killed import KilledRun, kill
from lossless import LOSSLESS, content, packets

from vsrcli.backends import Float
from vsrcli.errors import BackendError
from vsrcli.estimate import slow_runs
from vsrcli.frame import Plane
from vsrcli.jobs.upscale import upscale
from vsrcli.models import MODELS
from vsrcli.options import EncoderOptions, UpscaleOptions
from vsrcli.pipeline.upscale_report import UpscaleReport
from vsrcli.preflight.segment_plan import SegmentPlan
from vsrcli.segments import frame_keeper
from vsrcli.segments.frame_keeper import FrameKeeper
from vsrcli.segments.kept_file import KeptFile, append, digest_of, packed
from vsrcli.timing import Scheduled

# Segments of about 9 frames at 30 frames a second.
X264 = UpscaleOptions(segment=0.3, encoder=EncoderOptions(preset="ultrafast"))


@pytest.fixture
def minutes_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each frame is worth keeping, and kept at once."""
    monkeypatch.setattr(frame_keeper, "_WORTH_SECONDS", 0.0)
    monkeypatch.setattr(frame_keeper, "_SAVE_SECONDS", 0.0)


def use(monkeypatch: pytest.MonkeyPatch, backend: FakeBackend) -> FakeBackend:
    monkeypatch.setattr(
        "vsrcli.jobs.upscale.open_backend", lambda *arguments, **options: backend
    )
    return backend


def fail_at(
    frame: int,
    source: Path,
    target: Path,
    options: UpscaleOptions,
    monkeypatch: pytest.MonkeyPatch,
) -> list[str]:
    """A run whose network fails after so many frames; what it said."""
    use(monkeypatch, FakeBackend(fail_at=frame))
    notes: list[str] = []
    with pytest.raises(BackendError, match="out of memory"):
        upscale(source, target, options, on_note=notes.append)
    return notes


def kept(target: Path) -> dict[str, int]:
    """Frames in each file beside the parts."""
    folder = target.with_name(f"{target.name}.vsr")
    return {path.name: len(KeptFile(path)) for path in folder.glob("*.frames")}


def resumed(
    source: Path, target: Path, options: UpscaleOptions
) -> tuple[UpscaleReport, list[str]]:
    notes: list[str] = []
    report = upscale(source, target, options, on_note=notes.append)
    return report, notes


def packet_bytes(path: Path) -> list[bytes]:
    """Matroska gives each file another number, so whole files differ."""
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


@pytest.fixture(scope="module")
def whole(demo_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a run that nobody disturbed, lossless."""
    target = tmp_path_factory.mktemp("whole") / "o.mkv"
    with pytest.MonkeyPatch.context() as patch:
        use(patch, FakeBackend())
        upscale(demo_clip, target, LOSSLESS)
    return target


@pytest.fixture(scope="module")
def failed(demo_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that failed after five frames."""
    target = tmp_path_factory.mktemp("failed") / "o.mkv"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frame_keeper, "_WORTH_SECONDS", 0.0)
        options = replace(LOSSLESS, reuse=False)
        notes = fail_at(5, demo_clip, target, options, patch)
    folder = target.with_name("o.mkv.vsr")
    kept = f"0 of 3 segments and 5 frames of the next are kept in {folder}"
    assert notes[-1].startswith(kept)
    return folder


# -- short videos


def test_a_short_video_that_takes_long_is_kept_too(
    demo_clip: Path,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    minutes_a_frame: None,
) -> None:
    target = tmp_path / "o.mkv"
    options = replace(LOSSLESS, segment=60.0, reuse=False)
    monkeypatch.setattr(slow_runs, "_MAX_LOST_SECONDS", 0.0)
    notes = fail_at(5, demo_clip, target, options, monkeypatch)
    assert notes[-1].startswith("0 of 1 segments and 5 frames of the next are kept in")
    # what has begun is continued, even where it would not have begun so
    monkeypatch.setattr(slow_runs, "_MAX_LOST_SECONDS", 1e9)
    use(monkeypatch, FakeBackend())
    report, _ = resumed(demo_clip, target, options)
    assert report.frames_recalled == 5
    assert report.frames_computed == report.frames_upscaled - 5
    assert content(target) == content(whole)
    assert list(tmp_path.iterdir()) == [target]


def test_a_short_video_that_is_fast_is_written_at_once(
    demo_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "o.mkv"
    options = replace(LOSSLESS, segment=60.0)
    fail_at(5, demo_clip, target, options, monkeypatch)
    assert list(tmp_path.iterdir()) == []


# -- the same result, and nothing twice


@pytest.mark.parametrize(
    ("model", "options"),
    [("delta", X264), ("lite", LOSSLESS)],
    ids=["motion compensation, x264", "windows, ffv1"],
)
def test_a_resumed_segment_is_the_same_and_nothing_is_computed_twice(
    model: str,
    options: UpscaleOptions,
    demo_clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    minutes_a_frame: None,
) -> None:
    spec = MODELS[model]
    whole = tmp_path / "whole.mkv"
    windows = use(monkeypatch, FakeBackend(spec=spec)).windows
    upscale(demo_clip, whole, replace(options, reuse=False))
    assert len(windows) == 30
    target = tmp_path / "o.mkv"
    options = replace(options, reuse=False)
    for failure in (3, 4, 6):
        use(monkeypatch, FakeBackend(failure, spec=spec))
        with pytest.raises(BackendError):
            upscale(demo_clip, target, options)
    windows = use(monkeypatch, FakeBackend(spec=spec)).windows
    report, notes = resumed(demo_clip, target, options)
    assert len(windows) == 30 - 3 - 4 - 6
    assert report.frames_computed == len(windows)
    assert report.frames_resumed + report.frames_recalled == 3 + 4 + 6
    assert report.frames_in == report.frames_upscaled == report.frames_out == 30
    assert "1 of 3 segments and 4 frames of the next are there" in " ".join(notes)
    assert packet_bytes(target) == packet_bytes(whole)
    assert sorted(tmp_path.iterdir()) == [target, whole]


def test_killed_while_it_writes(
    demo_clip: Path,
    tmp_path: Path,
    whole: Path,
    fake: FakeBackend,
    minutes_a_frame: None,
) -> None:
    target = tmp_path / "o.mkv"
    # the journal and the folder, the first frames and the folder, and the next ones
    kill(demo_clip, [KilledRun(target, "fsync", 5, {}, keeps_frames=True)])
    count = kept(target)["000000.frames"]
    assert count > 0
    report, _ = resumed(demo_clip, target, LOSSLESS)
    assert report.frames_recalled == count
    assert content(target) == content(whole)
    assert packets(target) == packets(whole)
    assert list(tmp_path.iterdir()) == [target]


def test_workers_take_over_what_is_kept(
    demo_clip: Path,
    failed: Path,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target = tmp_path / "o.mkv"
    shutil.copytree(failed, tmp_path / "o.mkv.vsr")
    monkeypatch.setattr("vsrcli.jobs.upscale.open_backend", open_fake)
    report, _ = resumed(demo_clip, target, replace(LOSSLESS, devices="cpu*2"))
    assert report.frames_recalled == 5
    assert report.frames_computed == 25
    assert content(target) == content(whole)


class _DiesOnce(FakeBackend):
    """Kills its process at its 8th window, unless a file says that it was done before."""

    def run(self, windows: Float) -> Float:
        mark = Path(os.environ["VSR_TEST_DEATHS"])
        if len(self.windows) == 8 and mark.exists():
            mark.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.02)
        return super().run(windows)


def open_keeping(
    name: str, model: str, domain: str | None, *, device: str, precision: str | None
) -> FakeBackend:
    """A network in a worker, which keeps each frame."""
    setattr(frame_keeper, "_WORTH_SECONDS", 0.0)  # noqa: B010
    setattr(frame_keeper, "_SAVE_SECONDS", 0.0)  # noqa: B010
    return _DiesOnce()


def test_a_worker_takes_over_from_a_dead_one(
    demo_clip: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "mark"
    mark.touch()
    monkeypatch.setenv("VSR_TEST_DEATHS", str(mark))
    monkeypatch.setattr("vsrcli.jobs.upscale.open_backend", open_keeping)
    target = tmp_path / "o.mkv"
    options = replace(LOSSLESS, devices="cpu", reuse=False)
    report, notes = resumed(demo_clip, target, options)
    assert any("died" in line for line in notes)
    assert report.frames_recalled > 0
    assert content(target) == content(whole)
    assert list(tmp_path.iterdir()) == [target]


# -- what is damaged or foreign is computed


def tear(file: Path) -> None:
    os.truncate(file, file.stat().st_size - 1)


def spoil_a_plane(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)


def spoil_a_line(file: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(b"}" + data[1:])


def say_it_is_larger(file: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(data.replace(b'"height": 128', b'"height": 256', 1))


def exchange_frames(file: Path) -> None:
    """The second frame is given the time of the first: it was made from other frames."""
    times = list(KeptFile(file)._places)
    data = file.read_bytes()
    for old, new in ((times[0], "7"), (times[1], times[0])):
        data = data.replace(f'"time": "{old}"'.encode(), f'"time": "{new}"'.encode())
    file.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "usable"),
    [
        (tear, 4),
        (spoil_a_plane, 4),
        (spoil_a_line, 0),
        (say_it_is_larger, 4),
        (exchange_frames, 3),
    ],
)
def test_damage_is_computed_again(
    damage: Callable[[Path], None],
    usable: int,
    demo_clip: Path,
    failed: Path,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    minutes_a_frame: None,
) -> None:
    options = replace(LOSSLESS, reuse=False)
    target = tmp_path / "o.mkv"
    shutil.copytree(failed, tmp_path / "o.mkv.vsr")
    damage(tmp_path / "o.mkv.vsr" / "000000.frames")
    windows = use(monkeypatch, FakeBackend()).windows
    report, _ = resumed(demo_clip, target, options)
    assert report.frames_recalled == usable
    assert len(windows) == 30 - usable
    assert content(target) == content(whole)


def test_what_no_segment_needs_goes(
    demo_clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    minutes_a_frame: None,
) -> None:
    target = tmp_path / "o.mkv"
    fail_at(14, demo_clip, target, LOSSLESS, monkeypatch)
    folder = tmp_path / "o.mkv.vsr"
    [file] = folder.glob("*.frames")
    assert file.name == "000001.frames", "the first segment has its part"
    for name in ("000000.frames", "000077.frames"):
        (folder / name).write_bytes(file.read_bytes())
    fail_at(1, demo_clip, target, LOSSLESS, monkeypatch)
    assert list(kept(target)) == ["000001.frames"]
    fail_at(2, demo_clip, target, replace(LOSSLESS, restart=True), monkeypatch)
    assert kept(target) == {"000000.frames": 2}


# -- what it costs


def test_fast_runs_keep_nothing(
    demo_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_at(5, demo_clip, tmp_path / "o.mkv", LOSSLESS, monkeypatch)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("seconds", "is_kept"), [(0.2, False), (0.4, True)])
def test_frames_are_kept_if_a_segment_of_them_takes_long(
    seconds: float, is_kept: bool, tmp_path: Path
) -> None:
    """At 30 frames a second, 5 seconds have 150 frames: 30 or 60 seconds of work."""
    plan = SegmentPlan((Fraction(5), Fraction(10)))
    keeper = FrameKeeper(tmp_path, plan, 5.0, Fraction(1, 30))
    [frame] = frames_at([Fraction(6)])
    item = Scheduled(frame, ticks=(180,), duration=1, segment=1)
    assert keeper.recall(item, [frame.luma]) is None
    keeper.keep(item, [frame.luma], np.zeros((4, 4), np.uint8), seconds)
    keeper.save_now_and_then()
    assert list(tmp_path.iterdir()) == [], "it waits for others"
    keeper.save()
    assert len(list(tmp_path.iterdir())) == is_kept


def test_frames_are_written_together(
    demo_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, SlowBackend())
    written: list[int] = []

    def count(path: Path, planes: bytes) -> None:
        append(path, planes)
        written.append(len(KeptFile(path)))

    monkeypatch.setattr(frame_keeper, "_WORTH_SECONDS", 0.0)
    monkeypatch.setattr(frame_keeper, "_SAVE_SECONDS", 0.15)
    monkeypatch.setattr(frame_keeper, "append", count)
    upscale(demo_clip, tmp_path / "o.mkv", replace(LOSSLESS, segment=0.5, reuse=False))
    assert 2 <= len(written) <= 12
    assert max(written) >= 3


@pytest.mark.parametrize("is_full", [False, True])
def test_a_disk_that_refuses_ends_only_the_keeping(
    is_full: bool,
    demo_clip: Path,
    tmp_path: Path,
    fake: FakeBackend,
    monkeypatch: pytest.MonkeyPatch,
    minutes_a_frame: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    if is_full:
        monkeypatch.setattr(frame_keeper, "_PART_OF_DISK", 10**15)
    else:
        monkeypatch.setattr(frame_keeper, "append", refuse)
    with caplog.at_level(logging.WARNING):
        upscale(demo_clip, tmp_path / "o.mkv", LOSSLESS)
    assert caplog.text.count("no more frames are kept") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["o.mkv"]


# -- the file


@st.composite
def planes(draw: st.DrawFn) -> Plane:
    kind = draw(st.sampled_from([np.uint8, np.uint16]))
    height = 2 * draw(st.integers(1, 5))
    width = 2 * draw(st.integers(1, 5))
    seed = draw(st.integers(0, 1000))
    numbers = np.random.default_rng(seed).integers(0, 1 << 16, (height, width))
    plane: Plane = numbers.astype(kind)
    return plane


@settings(max_examples=25)
@given(st.lists(planes(), min_size=1, max_size=3))
def test_planes_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, lumas: Sequence[Plane]
) -> None:
    path = tmp_path_factory.mktemp("kept") / "000000.frames"
    sources = [luma[::2, ::2] for luma in lumas]
    for number, luma in enumerate(lumas):
        append(path, packed(str(number), digest_of([sources[number]]), luma))
    file = KeptFile(path)
    assert len(file) == len(lumas)
    for number, luma in enumerate(lumas):
        recall = file.find(str(number), [sources[number]])
        assert recall is not None
        found = recall()
        assert found.dtype == luma.dtype
        assert np.array_equal(found, luma)
        assert file.find(str(number), [sources[number] + luma.dtype.type(1)]) is None
        assert file.find("-1", [sources[number]]) is None


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        "{}",
        '{"time": "0"}',
        json.dumps({"time": 0, "window": "", "height": 1, "width": 1, "size": 1}),
        json.dumps(
            {
                "time": "0",
                "window": "",
                "height": 2,
                "width": 2,
                "code_bytes": 3,
                "size": 1,
                "checksum": 1,
            }
        ),
        "x" * 5000,
    ],
)
def test_odd_lines_are_no_planes(line: str, tmp_path: Path) -> None:
    path = tmp_path / "000000.frames"
    path.write_text(f"{line}\n and more")
    file = KeptFile(path)
    assert len(file) == 0
    file.cut_torn_end()
    assert path.stat().st_size == 0


def test_planes_follow_where_a_torn_one_was(tmp_path: Path) -> None:
    path = tmp_path / "000000.frames"
    luma = np.zeros((2, 2), np.uint8)
    for number in range(3):
        append(path, packed(str(number), "", luma))
    os.truncate(path, path.stat().st_size - 1)
    file = KeptFile(path)
    assert len(file) == 2
    file.cut_torn_end()
    append(path, packed("2", "", luma))
    assert len(KeptFile(path)) == 3
