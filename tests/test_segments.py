"""Segments: the same frames whatever the cuts and interruptions.

The journal survives crashes, strangers and other processes.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import partialmethod
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import frames_at, write_clip
from fake import FakeBackend
from hypothesis import given
from hypothesis import strategies as st
from lossless import LOSSLESS, content, packets

from vsrcli.decode.packet_timeline import packet_timeline
from vsrcli.decode.probe import probe
from vsrcli.decode.reader import VideoReader
from vsrcli.encode.part_joining import decoding_times, times_of
from vsrcli.encode.parts import PartWriter
from vsrcli.errors import BackendError, OutputError
from vsrcli.jobs.batch import upscale_all
from vsrcli.jobs.upscale import upscale
from vsrcli.metrics.frames import psnr
from vsrcli.options import BatchOptions, EncoderOptions, UpscaleOptions
from vsrcli.picture.resize import double
from vsrcli.picture.scenes import CutDetector
from vsrcli.preflight.segment_plan import SegmentPlan, consecutive, plan_segments
from vsrcli.preflight.upscale_job import prepare
from vsrcli.segments import space as module
from vsrcli.segments.folder_lock import FolderLock
from vsrcli.segments.journal import Journal
from vsrcli.segments.leftovers import clear_leftovers
from vsrcli.timing import Schedule, TimeRange

FAST = EncoderOptions(preset="ultrafast")


def interrupt_at(frame: int) -> Callable[[object], None]:
    count = 0

    def on_progress(progress: object) -> None:
        nonlocal count
        count += 1
        if count == frame:
            raise KeyboardInterrupt

    return on_progress


def interrupted(
    source: Path, target: Path, options: UpscaleOptions, frame: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        upscale(source, target, options, on_progress=interrupt_at(frame))


def journal_lines(target: Path) -> list[Any]:
    return [
        json.loads(line)
        for line in (target.with_name(target.name + ".vsr") / "journal.jsonl")
        .read_text()
        .splitlines()
    ]


# -- the same result, however it came about


UNEVEN_TIMES = [
    *(0, 40, 100, 120, 400, 410, 480, 500, 610, 700, 740, 780, 860, 900, 930),
    *(1000, 1100, 1130, 1200, 1290, 1300, 1340, 1350, 1400, 1440, 1500, 1570),
    *(1600, 1640, 1700),
]
CLIPS: dict[str, dict[str, Any]] = {
    "plain.mp4": {"frames": 45, "scenes": 4},
    "uneven.mkv": {"frames": 30, "times": UNEVEN_TIMES},
    "without_times.h264": {"frames": 40, "scenes": 3, "muxer": "h264"},
    "long_gop.mkv": {"frames": 40, "gop": 100},
}


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("fps", [Fraction(30), "source"])
def test_frames_do_not_depend_on_segments_or_interruptions(
    name: str, fps: Any, tmp_path: Path, fake: FakeBackend
) -> None:
    source = write_clip(tmp_path / name, **CLIPS[name])
    one = tmp_path / "one.mkv"
    cut = tmp_path / "cut.mkv"
    resumed = tmp_path / "resumed.mkv"
    options = replace(LOSSLESS, fps=fps)
    assert upscale(source, one, replace(options, segment=0)).segments == 0
    report = upscale(source, cut, options)
    assert content(cut) == content(one)
    assert packets(cut) == packets(one)
    if report.segments:
        for frame in (12, 13):
            interrupted(source, resumed, options, frame)
        again = upscale(source, resumed, options)
        assert 0 < again.frames_resumed < again.frames_out == report.frames_out
        assert (again.frames_in, again.frames_upscaled) == (
            report.frames_in,
            report.frames_upscaled,
        )
        assert content(resumed) == content(one)
    assert not list(tmp_path.glob("*.vsr")) + list(tmp_path.glob(".*"))


def test_killed_between_the_last_two_steps(
    demo_clip: Path, tmp_path: Path, fake: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The output has its name but its folder is still there: the next command removes the folder.

    The same command is content with it, another one is refused. Where the output is another file,
    the folder is left alone.
    """
    target = tmp_path / "o.mkv"
    folder = tmp_path / "o.mkv.vsr"

    def killed(journal: Journal) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Journal, "remove", killed)
        upscale(demo_clip, target, LOSSLESS)
    shutil.copytree(folder, tmp_path / "kept")
    with pytest.raises(OutputError, match="exists; -y replaces it"):
        upscale(demo_clip, target, replace(LOSSLESS, fps=Fraction(25)))
    assert not folder.exists()
    shutil.copytree(tmp_path / "kept", folder)
    notes: list[str] = []
    report = upscale(demo_clip, target, LOSSLESS, on_note=notes.append)
    assert any("is finished already" in line for line in notes)
    assert (report.frames_out, report.frames_resumed, report.segments) == (30, 30, 3)
    assert not folder.exists()
    shutil.copytree(tmp_path / "kept", folder)
    batch = BatchOptions(out_dir=str(tmp_path), skip_existing=True)
    source = tmp_path / "in" / "o.mkv"
    assert upscale_all([source], batch, LOSSLESS)[0].is_skipped
    assert not folder.exists()
    shutil.copytree(tmp_path / "kept", folder)
    shutil.copy(target, tmp_path / "copy.mkv")
    (tmp_path / "copy.mkv").replace(target)
    with pytest.raises(OutputError, match="exists; -y replaces it"):
        upscale(demo_clip, target, LOSSLESS)
    assert folder.exists()
    assert (
        upscale(demo_clip, target, replace(LOSSLESS, overwrite=True)).frames_resumed > 0
    )


def test_killed_at_any_moment_of_the_last_step(
    demo_clip: Path, tmp_path: Path, fake: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is left of the folder, the same command removes it and is content."""
    target = tmp_path / "o.mkv"
    folder = tmp_path / "o.mkv.vsr"
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "remove", lambda journal: None)
        upscale(demo_clip, target, LOSSLESS)
    files = len(list(folder.iterdir()))
    assert files > 3
    kept = tmp_path / "kept"
    shutil.copytree(folder, kept)
    # all files of the folder, the folder, and the journal under its other name
    for survived in range(files + 2):
        steps = 0

        def step(
            path: Path, call: Any, allowed: int, *arguments: Any, **options: Any
        ) -> None:
            nonlocal steps
            if steps == allowed:
                raise KeyboardInterrupt
            steps += 1
            call(path, *arguments, **options)

        with monkeypatch.context() as patch:
            for name in ("unlink", "rmdir", "rename"):
                call = getattr(Path, name)
                patch.setattr(Path, name, partialmethod(step, call, survived))
            with pytest.raises(KeyboardInterrupt):
                clear_leftovers(target)
        notes: list[str] = []
        upscale(demo_clip, target, LOSSLESS, on_note=notes.append)
        assert any("is finished already" in line for line in notes)
        assert sorted(tmp_path.iterdir()) == [kept, target]
        shutil.copytree(kept, folder)
    shutil.rmtree(folder)
    folder.mkdir()
    clear_leftovers(tmp_path / "other.mkv")
    (tmp_path / "other.mkv.vsr").mkdir()
    clear_leftovers(tmp_path / "other.mkv")
    assert (tmp_path / "other.mkv.vsr").exists(), "it belongs to no output"


def test_trimmed_and_resumed(
    demo_clip: Path, tmp_path: Path, fake: FakeBackend
) -> None:
    one = tmp_path / "one.mkv"
    cut = tmp_path / "cut.mkv"
    options = replace(LOSSLESS, start=Fraction(7, 60), end=Fraction(9, 10), segment=0.2)
    upscale(demo_clip, one, replace(options, segment=0))
    interrupted(demo_clip, cut, options, 10)
    upscale(demo_clip, cut, options)
    assert content(cut) == content(one)
    assert packets(cut) == packets(one)


def test_segments_in_the_middle_are_made_on_their_own(
    demo_clip: Path, tmp_path: Path, fake: FakeBackend
) -> None:
    """Read from the middle of the source, frames, cuts and ticks are those of the whole."""
    one = tmp_path / "one.mkv"
    cut = tmp_path / "cut.mkv"
    options = replace(LOSSLESS, segment=0.1)
    upscale(demo_clip, one, replace(options, segment=0))
    interrupted(demo_clip, cut, options, 29)
    for number in (1, 2, 5):
        (tmp_path / "cut.mkv.vsr" / f"{number:06d}.packets").write_bytes(b"damaged")
    fake.windows.clear()
    report = upscale(demo_clip, cut, options)
    assert report.segments == 10
    assert len(fake.windows) == 3 * 3 + 3
    assert content(cut) == content(one)


def test_a_wrong_mark_is_noticed_and_the_segment_made_again(
    demo_clip: Path, tmp_path: Path, fake: FakeBackend
) -> None:
    """Segments that were read apart from each other have to fit."""
    one = tmp_path / "one.mkv"
    cut = tmp_path / "cut.mkv"
    upscale(demo_clip, one, replace(LOSSLESS, segment=0))
    interrupted(demo_clip, cut, LOSSLESS, 28)
    path = tmp_path / "cut.mkv.vsr" / "journal.jsonl"
    lines = path.read_text().splitlines()
    second = json.loads(lines[2])
    second["before"][1] += 1
    path.write_text("\n".join([*lines[:2], json.dumps(second), *lines[3:]]) + "\n")
    upscale(demo_clip, cut, LOSSLESS)
    assert content(cut) == content(one)


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [
        ("libx264", ".mp4"),
        ("libx265", ".mp4"),
        ("libsvtav1", ".mkv"),
        ("libvpx-vp9", ".webm"),
        ("prores_ks", ".mov"),
    ],
)
def test_joined_files_decode_to_every_frame(
    codec: str, suffix: str, tmp_path: Path, demo_clip: Path, fake: FakeBackend
) -> None:
    """Every encoder's segments join; sound, times and lengths equal those of a run in one go."""
    one = tmp_path / f"one{suffix}"
    cut = tmp_path / f"cut{suffix}"
    options = UpscaleOptions(
        segment=0.3,
        encoder=EncoderOptions(
            codec=codec, preset=None if codec == "prores_ks" else "ultrafast"
        ),
        verify=True,
    )
    upscale(demo_clip, one, replace(options, segment=0))
    assert upscale(demo_clip, cut, options).segments == 3
    before = content(one)
    after = content(cut)
    assert [item[:2] for item in after] == [item[:2] for item in before]
    assert [item[1::2] for item in packets(cut) if item[0]] == [
        item[1::2] for item in packets(one) if item[0]
    ]
    with av.open(str(one)) as first, av.open(str(cut)) as second:
        assert (
            first.streams.video[0].codec_context.extradata
            == second.streams.video[0].codec_context.extradata
        )
        assert first.duration == second.duration


def test_alpha_beside_the_packets_is_kept(tmp_path: Path, fake: FakeBackend) -> None:
    source = write_clip(
        tmp_path / "in.mkv", codec="ffv1", pix_fmt="yuva420p", frames=15
    )
    options = UpscaleOptions(
        segment=0.2, encoder=EncoderOptions(codec="libvpx-vp9", preset="ultrafast")
    )
    assert upscale(source, tmp_path / "o.webm", options).segments == 3
    with VideoReader(probe(tmp_path / "o.webm")) as reader:
        assert reader.info.format.has_alpha
        assert all(
            frame.alpha is not None and (frame.alpha == 255).all() for frame in reader
        )


def test_quality_does_not_dip_at_the_seams(tmp_path: Path, fake: FakeBackend) -> None:
    """With a lossy codec, frames at a seam are no worse than the median around, to 0.1 dB."""
    random = np.random.default_rng(2)
    codes = random.integers(30, 220, (64, 120)).astype(np.float32)
    texture = double(codes).clip(0, 255).astype(np.uint8)
    source = write_clip(
        tmp_path / "in.mkv",
        pictures=[texture[20:116, number : number + 128] for number in range(75)],
        codec="ffv1",
        gop=1,
    )
    exact = tmp_path / "exact.mkv"
    lossy = tmp_path / "lossy.mp4"
    options = UpscaleOptions(fps="source", segment=1)
    upscale(source, exact, replace(options, encoder=EncoderOptions(codec="ffv1")))
    assert upscale(source, lossy, options).segments == 3
    with VideoReader(probe(exact)) as truth, VideoReader(probe(lossy)) as result:
        found = [
            psnr(a.luma.astype(np.float32), b.luma.astype(np.float32))
            for a, b in zip(truth, result, strict=True)
        ]
    for seam in (25, 50):
        neighbours = float(np.median(found[seam - 8 : seam + 8]))
        assert min(found[seam - 1], found[seam]) > neighbours - 0.1, (
            seam,
            found[seam - 8 : seam + 8],
        )


# -- interruptions, strangers, others


def test_interrupted_before_the_first_segment_leaves_nothing(
    demo_clip: Path, tmp_path: Path, fake: FakeBackend
) -> None:
    interrupted(demo_clip, tmp_path / "o.mkv", LOSSLESS, 3)
    assert list(tmp_path.iterdir()) == []


def test_interrupted_later_it_says_what_is_kept_and_goes_on(
    demo_clip: Path, tmp_path: Path, fake: FakeBackend
) -> None:
    notes: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        upscale(
            demo_clip,
            tmp_path / "o.mkv",
            LOSSLESS,
            on_progress=interrupt_at(20),
            on_note=notes.append,
        )
    assert (
        "1 of 3 segments are kept in" in notes[-1]
        or "2 of 3 segments are kept in" in notes[-1]
    )
    assert sorted(
        path.name
        for path in (tmp_path / "o.mkv.vsr").iterdir()
        if path.suffix != ".packets"
    ) == ["journal.jsonl", "lock"]
    notes.clear()
    upscale(demo_clip, tmp_path / "o.mkv", LOSSLESS, on_note=notes.append)
    assert any("resuming from" in line for line in notes)
    assert [path.name for path in tmp_path.iterdir()] == ["o.mkv"]


def test_a_failing_network_keeps_what_is_done(
    demo_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "vsrcli.jobs.upscale.open_backend",
        lambda *arguments, **options: FakeBackend(fail_at=15),
    )
    with pytest.raises(BackendError, match="out of memory"):
        upscale(demo_clip, tmp_path / "o.mkv", LOSSLESS)
    assert len(journal_lines(tmp_path / "o.mkv")) == 2
    monkeypatch.setattr(
        "vsrcli.jobs.upscale.open_backend", lambda *arguments, **options: FakeBackend()
    )
    assert upscale(demo_clip, tmp_path / "o.mkv", LOSSLESS).frames_out == 30


def test_other_options_or_another_source_are_refused(
    demo_clip: Path, moving_clip: Path, tmp_path: Path, fake: FakeBackend
) -> None:
    source = tmp_path / "in.mp4"
    target = tmp_path / "o.mkv"
    shutil.copy(demo_clip, source)
    interrupted(source, target, LOSSLESS, 20)
    for changed, says in [
        (replace(LOSSLESS, fps=Fraction(25)), "--fps was 30, now 25"),
        (
            replace(LOSSLESS, encoder=EncoderOptions(codec="libx264")),
            "--codec was ffv1, now libx264",
        ),
        (replace(LOSSLESS, segment=0.2), "--segment"),
    ]:
        with pytest.raises(OutputError, match=f"{says}.*--restart"):
            upscale(source, target, changed)
    shutil.copy(source, tmp_path / "kept.mp4")
    content_before = bytearray(source.read_bytes())
    content_before[-1] ^= 1
    source.write_bytes(content_before)
    with pytest.raises(OutputError, match=r"source.* changed.*--restart"):
        upscale(source, target, LOSSLESS)
    shutil.copy(tmp_path / "kept.mp4", source)
    assert (
        upscale(
            source, target, replace(LOSSLESS, reuse=False, verify=True)
        ).frames_resumed
        > 0
    )  # these change nothing of what is written


def test_restart_starts_over(
    demo_clip: Path, tmp_path: Path, fake: FakeBackend
) -> None:
    target = tmp_path / "o.mkv"
    interrupted(demo_clip, target, LOSSLESS, 20)
    report = upscale(
        demo_clip, target, replace(LOSSLESS, fps=Fraction(25), restart=True)
    )
    assert report.frames_resumed == 0
    assert report.frames_out == 25


@pytest.mark.parametrize(
    "tail",
    [
        b'{"number": 1, "fra',
        b"\xff\xfe\x00\n",
        b"[1, 2]\n",
        b'{"number": -1}\n',
        b'{"number": 99, "frames": 3}\n',
        b"[" * 100_000,
    ],
)
def test_a_torn_or_odd_line_is_left_out(
    tail: bytes, demo_clip: Path, tmp_path: Path, fake: FakeBackend
) -> None:
    target = tmp_path / "o.mkv"
    interrupted(demo_clip, target, LOSSLESS, 20)
    kept = sum(segment["frames"] for segment in journal_lines(target)[1:])
    with (tmp_path / "o.mkv.vsr" / "journal.jsonl").open("ab") as file:
        file.write(tail)
    report = upscale(demo_clip, target, LOSSLESS)
    assert report.frames_out == len(content(target)) == 30
    assert report.frames_resumed == kept > 0


def test_a_folder_of_someone_else_is_left_alone(
    demo_clip: Path, tmp_path: Path, fake: FakeBackend
) -> None:
    folder = tmp_path / "o.mkv.vsr"
    folder.mkdir()
    (folder / "thesis.txt").write_text("precious")
    for restart in (False, True):
        with pytest.raises(OutputError, match="in the way"):
            upscale(demo_clip, tmp_path / "o.mkv", replace(LOSSLESS, restart=restart))
    assert (folder / "thesis.txt").read_text() == "precious"
    shutil.rmtree(folder)
    folder.write_text("a file")
    with pytest.raises(OutputError, match="cannot be written"):
        upscale(demo_clip, tmp_path / "o.mkv", LOSSLESS)


def test_two_processes_on_one_output(
    demo_clip: Path, tmp_path: Path, fake: FakeBackend
) -> None:
    target = tmp_path / "o.mkv"
    interrupted(demo_clip, target, LOSSLESS, 20)
    code = (
        "import fcntl, sys, time\n"
        "f = open(sys.argv[1])\n"
        "fcntl.flock(f, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "o.mkv.vsr" / "lock")],
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(OutputError, match="another vsr is working on"):
            upscale(demo_clip, target, LOSSLESS)
        other.kill()
    assert (
        upscale(demo_clip, target, LOSSLESS).frames_resumed > 0
    )  # a dead process holds no lock


@pytest.mark.parametrize("function", ["fcntl.flock", "os.fstat"])
def test_a_lock_that_cannot_be_taken_leaves_no_file_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    before = open_files()
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(function, interrupt)
        FolderLock(tmp_path / "o.mkv.vsr")
    assert open_files() == before


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_the_container_refuses_before_the_work(
    demo_clip: Path, tmp_path: Path, fake: FakeBackend
) -> None:
    with pytest.raises(OutputError, match="does not support"):
        upscale(
            demo_clip,
            tmp_path / "o.mp4",
            replace(LOSSLESS, encoder=EncoderOptions(codec="libvpx")),
        )
    assert fake.windows == []
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_cut_runs_in_one_go(
    demo_clip: Path, tmp_path: Path, fake: FakeBackend
) -> None:
    for name, encoder in [
        ("o.y4m", EncoderOptions()),
        ("o.mp4", EncoderOptions(preset="ultrafast", extra=(("b", "1M"),))),
    ]:
        assert (
            upscale(
                demo_clip, tmp_path / name, UpscaleOptions(segment=0.3, encoder=encoder)
            ).segments
            == 0
        )
    assert (
        upscale(
            demo_clip, tmp_path / "short.mp4", UpscaleOptions(encoder=FAST)
        ).segments
        == 0
    )


# -- room on the disk


def test_a_full_disk_stops_before_it_is_full(
    demo_clip: Path, tmp_path: Path, fake: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "o.mkv"
    notes = list[str]()
    monkeypatch.setattr(module, "_free", lambda folder: 100)
    with pytest.raises(
        OutputError,
        match=r"no space left .* free some space, and the same command continues",
    ):
        upscale(demo_clip, target, LOSSLESS, on_note=notes.append)
    assert any("will be needed" in line for line in notes)
    assert len(journal_lines(target)) == 2
    monkeypatch.undo()
    monkeypatch.setattr(
        "vsrcli.jobs.upscale.open_backend", lambda *arguments, **options: fake
    )
    assert upscale(demo_clip, target, LOSSLESS).frames_resumed == 9


@pytest.fixture
def small_disk(tmp_path: Path) -> Any:
    """A disk of 1 MB; skips where none can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("no disk can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize(("taken", "segments"), [(450_000, 3), (800_000, 1)])
def test_a_disk_that_fills_up_in_the_middle(
    taken: int, segments: int, demo_clip: Path, small_disk: Path, fake: FakeBackend
) -> None:
    """Clear message, nothing under the final name; after room is made, the same command goes on."""
    filler = small_disk / "filler"
    target = small_disk / "o.mkv"
    filler.write_bytes(bytes(taken))
    with pytest.raises(OutputError, match="no space left"):
        upscale(demo_clip, target, LOSSLESS)
    assert not target.exists()
    assert not list(small_disk.glob("**/*.part"))
    kept = journal_lines(target)[1:]
    assert len(kept) == segments
    filler.unlink()
    assert upscale(demo_clip, target, LOSSLESS).frames_resumed == sum(
        segment["frames"] for segment in kept
    )
    assert len(content(target)) == 30


# -- the pure parts


@given(
    length=st.fractions(Fraction(1, 10), 20),
    end=st.fractions(0, 300),
    keyframes=st.lists(st.fractions(0, 300), max_size=40).map(
        lambda times: sorted(set(times))
    ),
)
def test_plans(length: Fraction, end: Fraction, keyframes: list[Fraction]) -> None:
    plan = plan_segments(Fraction(0), end, length, keyframes)
    ends = [Fraction(0), *plan.cuts, end]
    gaps = [b - a for a, b in pairwise(ends)]
    assert all(length / 2 <= gap for gap in gaps[:-1])
    assert len(plan) == 1 or (gaps[-1] >= length / 2 and max(gaps) <= 2 * length)
    for number in range(len(plan)):
        begin = plan.begin(number)
        stop = plan.end(number)
        just_inside = None if stop is None else stop - Fraction(1, 1000)
        for time in (begin, just_inside):
            assert (
                time is None or time < (begin or 0) or plan.segment_at(time) == number
            )
    assert plan == plan_segments(Fraction(0), end, length, keyframes)


def test_cuts_move_to_keyframes_that_are_near() -> None:
    assert plan_segments(
        Fraction(0),
        Fraction(20),
        Fraction(5),
        [Fraction(0), Fraction(4), Fraction(11), Fraction(18)],
    ) == SegmentPlan((Fraction(4), Fraction(9), Fraction(14)))
    assert consecutive([0, 1, 4, 6, 7, 8]) == [(0, 1), (4, 4), (6, 8)]
    assert consecutive([]) == []


@pytest.mark.parametrize(
    ("codec", "extra"),
    [
        ("libx264", ()),
        ("libx264", (("bf", "5"),)),
        ("libx264", (("bf", "0"),)),
        ("libx265", ()),
        ("libsvtav1", ()),
        ("libvpx-vp9", ()),
        ("mpeg4", (("bf", "2"),)),
    ],
)
@pytest.mark.parametrize(
    "ticks", [range(0, 40 * 512, 512), [n * n * 7 for n in range(40)]]
)
def test_decoding_times_are_the_encoders_own(
    codec: str,
    extra: tuple[tuple[str, str], ...],
    ticks: list[int],
    tmp_path: Path,
    moving_clip: Path,
) -> None:
    """Of a single part, so that a joined file is timed as one that was written in one go."""
    job = prepare(
        moving_clip,
        tmp_path / "o.mkv",
        UpscaleOptions(
            fps="source",
            encoder=EncoderOptions(codec=codec, extra=extra),
        ),
    )
    with VideoReader(probe(moving_clip)) as reader:
        frames = list(reader)
    video = replace(job.video, width=96, height=64)
    with PartWriter(tmp_path / "part", tmp_path / "o.mkv", video, job.encoder) as part:
        for number, tick in enumerate(ticks):
            part.write(frames[number % len(frames)], tick, 1)
        part.finish()
    found = times_of(tmp_path / "part")
    assert decoding_times([found]) == [dts for _, dts in found]


@given(
    st.lists(
        st.lists(st.integers(1, 50), min_size=1, max_size=12), min_size=1, max_size=5
    ),
    st.randoms(),
)
def test_decoding_times_rise_and_come_first(
    spacings: list[list[int]], random: Any
) -> None:
    parts: list[list[tuple[int, int]]] = []
    time = 0
    for spacing in spacings:
        times = [time := time + gap for gap in spacing]
        first = times[0]
        rest = times[1:]
        random.shuffle(rest)
        parts.append([(pts, min(times)) for pts in [first, *rest]])
    found = decoding_times(parts)
    shown = [pts for part in parts for pts, _ in part]
    assert all(a < b for a, b in pairwise(found))
    assert all(dts <= pts for dts, pts in zip(found, shown, strict=True))


@given(
    st.lists(st.integers(1, 200), min_size=2, max_size=60),
    st.sampled_from([Fraction(30), Fraction(1, 7), Fraction(24000, 1001), "source"]),
    st.data(),
)
def test_a_schedule_that_begins_later_gives_the_same_ticks(
    gaps: list[int], fps: Any, data: st.DataObject
) -> None:
    times = [Fraction(data.draw(st.sampled_from([0, 400, 9000])), 1000)]
    for gap in gaps:
        times.append(times[-1] + Fraction(gap, 1000))
    fill = data.draw(st.booleans())
    start = data.draw(st.sampled_from([None, times[len(times) // 3]]))
    first = next(time for time in times if start is None or time >= start)

    def schedule(first_time: Fraction | None = None) -> Schedule:
        return Schedule(
            fps,
            time_base=Fraction(1, 1000),
            time_range=TimeRange(start=start),
            origin=Fraction(0) if start is None else first,
            fill=fill,
            first_time=first_time,
        )

    whole = [
        (item.frame.time, item.ticks, item.duration)
        for item in schedule().run(frames_at(times))
    ]
    begin = data.draw(st.integers(times.index(first), len(times) - 1))
    later = [
        (item.frame.time, item.ticks, item.duration)
        for item in schedule(first).run(frames_at(times[max(0, begin - 2) :]))
    ]
    skipped = begin - max(0, begin - 2)
    assert later[skipped:] == whole[begin:]


def test_a_cut_detector_that_is_sure_agrees_with_one_that_saw_it_all() -> None:
    random = np.random.default_rng(5)
    pictures = [random.integers(0, 255, (16, 16)).astype(np.uint8) for _ in range(6)]
    lumas = [
        pictures[int(random.integers(6))] // 4 * int(random.integers(1, 5))
        for _ in range(400)
    ]
    whole = CutDetector()
    truth = [whole.is_cut(luma, 8) for luma in lumas]
    sure_of = 0
    for begin in range(1, 380, 3):
        late = CutDetector()
        for number in range(begin, 400):
            was_sure = late.is_sure
            found = late.is_cut(lumas[number], 8)
            if was_sure:
                sure_of += 1
                assert found == truth[number]
    assert sure_of > 1000


def test_timelines(tmp_path: Path) -> None:
    clean = packet_timeline(probe(write_clip(tmp_path / "clean.mkv", frames=20)))
    assert clean.is_seekable
    assert [float(time) for time in clean.keyframes] == [0.0, 0.32, 0.64]
    assert float(clean.end) == 0.76
    assert not packet_timeline(
        probe(write_clip(tmp_path / "raw.h264", muxer="h264"))
    ).is_seekable
