"""Sources that change in the middle or are damaged: every frame counts, every change is named."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import texture, write_clip
from fake import FakeBackend
from joined import Part, copied, join, packed_avi

from vsrcli.decode import picture_decoder, reader
from vsrcli.decode.changes import Change, Look, find_changes
from vsrcli.decode.picture_decoder import PictureDecoder
from vsrcli.decode.probe import probe
from vsrcli.decode.reader import VideoReader
from vsrcli.errors import InputError, OutputError, VsrError
from vsrcli.jobs.extract import extract
from vsrcli.jobs.upscale import upscale
from vsrcli.options import EncoderOptions, ExtractOptions, UpscaleOptions
from vsrcli.timing import TimeRange, cut_time, parse_time
from vsrcli.verification.verification_report import VerificationReport
from vsrcli.verification.verify import verify

FFV1 = EncoderOptions(codec="ffv1")
H264 = EncoderOptions(preset="ultrafast")
OPTIONS = UpscaleOptions(fps="source", encoder=FFV1)


def _times(path: Path, **options: Any) -> list[Fraction]:
    with VideoReader(probe(path), **options) as frames:
        return [frame.time for frame in frames]


def _failed(report: VerificationReport) -> list[str]:
    return [check.name for check in report.failed]


def _check(report: VerificationReport, name: str) -> Any:
    return next(check for check in report.checks if check.name == name)


# Packed frames


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packed_avi(tmp_path_factory.mktemp("packed") / "p.avi")


@pytest.mark.parametrize("suffix", [".avi", ".mkv", ".mp4", ".ts", ".asf", ".nut"])
def test_packed_b_frames_stand_evenly_in_every_container(
    packed: Path, tmp_path: Path, suffix: str
) -> None:
    path = packed
    if suffix != ".avi":
        path = copied(packed, tmp_path / f"p{suffix}")
    with VideoReader(probe(path)) as frames:
        read = [(frame.time, frame.luma.tobytes()) for frame in frames]
    assert len({content for _, content in read}) == len(read) == 21
    steps = {after - before for (before, _), (after, _) in pairwise(read)}
    assert steps == {Fraction(1, 25)}


@pytest.mark.parametrize("codec", ["mpeg1video", "mpeg2video", "mpeg4", "libx264"])
def test_reordered_frames_of_every_codec_stand_evenly_in_avi(
    tmp_path: Path, codec: str
) -> None:
    path = write_clip(tmp_path / "a.avi", codec=codec, options={"bf": "2"})
    steps = {after - before for before, after in pairwise(_times(path))}
    assert steps == {Fraction(1, 25)}


def test_verify_sees_a_reader_that_takes_packed_frames_for_others(
    packed: Path, tmp_path: Path, fake: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run and verification read alike: only other eyes see it."""
    target = tmp_path / "o.mkv"
    options = UpscaleOptions(encoder=FFV1)
    upscale(packed, target, options)
    assert verify(packed, target, options).ok
    monkeypatch.setattr(
        picture_decoder, "holds_decoding_times", lambda path, stream: False
    )
    target.unlink()
    upscale(packed, target, options)
    report = verify(packed, target, options)
    assert _failed(report) == ["reading"]
    assert "21 frames read, 21 in the source: number" in _check(report, "reading").text


# Damage


def _with_threads(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    genuine = vars(picture_decoder)["decoder_of"]

    def decoder_of(stream: Any) -> Any:
        context = genuine(stream)
        context.thread_count = count
        return context

    monkeypatch.setattr(picture_decoder, "decoder_of", decoder_of)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    return write_clip(folder / "a.mkv", frames=24, options={"bf": "0"})


@pytest.mark.parametrize("threads", [1, 2, 8])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
@pytest.mark.parametrize("damaged", [-2, -1])
def test_damage_near_the_end_costs_one_frame(
    tmp_path: Path,
    suffix: str,
    damaged: int,
    threads: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever the number of threads: an error out of them takes their other frames along."""
    whole = write_clip(tmp_path / f"a{suffix}", frames=24, options={"bf": "0"})
    path = copied(whole, tmp_path / f"b{suffix}", damaged=damaged)
    info = probe(path)
    _with_threads(monkeypatch, threads)
    with VideoReader(info) as frames:
        times = [25 * frame.time for frame in frames]
    expected = list(range(24))
    del expected[damaged]
    assert [time - times[0] for time in times] == expected
    assert frames.damage.corrupt_packets == 1


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_damage_in_the_middle_costs_one_frame_wherever_it_is(
    tmp_path: Path, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The single thread hands over to several at the next keyframe, and nothing comes twice."""
    whole = write_clip(tmp_path / "a.mp4", frames=40, options={"bf": "2"})
    _with_threads(monkeypatch, threads)
    for damaged in (5, 17, 33):
        path = copied(whole, tmp_path / "b.mp4", damaged=damaged)
        times = _times(path)
        assert len(times) == 39
        assert times == sorted(set(times))


def test_a_whole_file_is_decoded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_clip(tmp_path / "a.mp4", frames=40, options={"bf": "2"})

    def never(decoder: PictureDecoder) -> Any:
        raise AssertionError("decoded again")

    monkeypatch.setattr(PictureDecoder, "_single_context", never)
    assert len(_times(path)) == 40


class _CarelessDecoder(PictureDecoder):
    """Loses what its threads hold at the end."""

    def decode(self, packet: Any) -> Iterator[av.VideoFrame]:
        pictures = list(super().decode(packet))
        return iter(pictures if packet.size else [])


class _Watched:
    """A decoder that says when its threads have been waited for."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self.is_idle = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def decode(self, packet: Any) -> Any:
        self.is_idle = False
        return self._context.decode(packet)

    def flush_buffers(self) -> None:
        self._context.flush_buffers()
        self.is_idle = True


@pytest.mark.parametrize("frames", [1, 7, None])
def test_no_decoder_is_freed_while_its_threads_work(
    clip: Path, monkeypatch: pytest.MonkeyPatch, frames: int | None
) -> None:
    """They would wait for Python's lock, and whoever frees it, with that lock, for them."""
    watched = []
    genuine = vars(picture_decoder)["_context_of"]

    def context_of(*arguments: Any) -> _Watched:
        watched.append(_Watched(genuine(*arguments)))
        return watched[-1]

    monkeypatch.setattr(picture_decoder, "_context_of", context_of)
    source = VideoReader(probe(clip))
    assert len(list(islice(source, frames))) > 0
    source.close()
    assert [context.is_idle for context in watched] == [True]


@pytest.mark.parametrize("suffix", [".mp4", ".ts"])
def test_verify_sees_a_reader_that_loses_the_end(
    tmp_path: Path, suffix: str, fake: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_clip(tmp_path / f"a{suffix}", options={"bf": "2"})
    monkeypatch.setattr(reader, "PictureDecoder", _CarelessDecoder)
    target = tmp_path / "o.mkv"
    upscale(source, target, OPTIONS)
    report = verify(source, target, OPTIONS)
    assert "reading" in _failed(report)
    text = r"\d+ frames read, 30 in the source: that at 1\.\d+ s is missing"
    assert re.fullmatch(text, _check(report, "reading").text)


@pytest.mark.parametrize("fields", ["auto", "field"])
def test_a_damaged_source_is_read_as_far_as_any_decoder_gets(
    tmp_path: Path, fake: FakeBackend, fields: Any
) -> None:
    whole = write_clip(
        tmp_path / "a.mkv",
        codec="mpeg2video",
        options={"flags": "+ildct+ilme", "bf": "2"},
    )
    source = copied(whole, tmp_path / "b.mkv", damaged=13)
    options = UpscaleOptions(fps="source", encoder=FFV1, deinterlace=fields)
    target = tmp_path / "o.mkv"
    upscale(source, target, options)
    assert "reading" not in _failed(verify(source, target, options))


# Changes of size and format


def _parts_of(message: str) -> list[TimeRange]:
    """The options that a message names for each part."""
    parts = []
    options = message.partition(" with ")[2]
    for part in re.split(r", | and ", options):
        limits = {
            name: parse_time(value)
            for name, value in re.findall(r"--(start|end) ([\d.]+)", part)
        }
        parts.append(TimeRange(limits.get("start"), limits.get("end")))
    return parts


THIRDS = [Part(20), Part(15, size=(96, 48)), Part(10)]


@pytest.mark.parametrize(
    ("start", "end"), [(None, None), (Fraction(1, 10), Fraction(5, 4))]
)
def test_the_parts_named_for_other_sizes_hold_every_frame_once(
    tmp_path: Path, fake: FakeBackend, start: Fraction | None, end: Fraction | None
) -> None:
    """The changes come at 2/3 s and 7/6 s, which no option of three digits hits."""
    source = join(tmp_path / "a.webm", THIRDS, codec="libvpx", rate=30)
    whole = UpscaleOptions(fps="source", encoder=FFV1, start=start, end=end)
    with pytest.raises(
        InputError, match=r"changes from 64x48 yuv420p to 96x48 yuv420p at 0\.66\d s"
    ) as caught:
        upscale(source, tmp_path / "o.mkv", whole)
    parts = _parts_of(str(caught.value))
    assert parts[0].start == start
    assert parts[-1].end == end
    frames = []
    widths = []
    for number, part in enumerate(parts):
        target = tmp_path / f"{number}.mkv"
        options = UpscaleOptions(
            fps="source", encoder=FFV1, start=part.start, end=part.end
        )
        report = upscale(source, target, options)
        frames.append(report.frames_out)
        widths.append(probe(target).width)
        assert verify(source, target, options).ok
    assert widths == [128, 192, 128]
    assert frames == ([20, 15, 10] if start is None else [17, 15, 3])


@pytest.mark.parametrize("context", [0, 3])
def test_frames_outside_the_range_may_have_any_size(
    tmp_path: Path, context: int
) -> None:
    """Those of mere context as well, on both sides, also of the same size farther away."""
    source = join(tmp_path / "a.webm", THIRDS, codec="libvpx", rate=30)
    cuts = (Fraction("0.666"), Fraction("1.166"))
    for start, end, count in ((None, cuts[0], 20), (*cuts, 15), (cuts[1], None, 10)):
        info = probe(source, start=start)
        with VideoReader(
            info, time_range=TimeRange(start, end), context=context
        ) as frames:
            shapes = [frame.luma.shape for frame in frames]
        assert shapes == count * [(info.height, info.width)]


def test_a_range_that_holds_two_sizes_is_refused_by_the_reader_too(
    tmp_path: Path,
) -> None:
    source = join(tmp_path / "a.webm", [Part(), Part(size=(96, 48))], codec="libvpx")
    with pytest.raises(InputError, match=r"at 0\.400 s.* --end 0\.400 and --start 0"):
        _times(source)


def test_extract_takes_the_parts_as_well(tmp_path: Path) -> None:
    source = join(tmp_path / "a.webm", [Part(), Part(size=(96, 48))], codec="libvpx")
    with pytest.raises(InputError, match=r"--end 0\.400 and --start 0\.400"):
        extract(source, tmp_path / "all")
    options = ExtractOptions(start=Fraction(2, 5))
    report = extract(source, tmp_path / "part", options)
    assert (report.frames, report.width) == (10, 96)


@pytest.mark.parametrize("time", [Fraction(2, 3), Fraction(1, 3), Fraction(7, 25)])
def test_a_cut_is_never_behind_its_frame(time: Fraction) -> None:
    cut = parse_time(cut_time(time))
    assert time - Fraction(1, 1000) < cut <= time


# Changes of shape and colours

WIDE = Fraction(4, 3)


def _changing(path: Path, what: str) -> Path:
    parts = {
        "aspect": [Part(), Part(aspect=WIDE)],
        "matrix": [Part(matrix=1), Part(matrix=6)],
        "range": [Part(), Part(pix_fmt="yuvj420p")],
    }[what]
    codec = "mpeg2video" if what == "aspect" else "libx264"
    return join(
        path, parts, codec=codec, pictures=lambda number, size: texture(0, size)
    )


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("aspect", "its pixel aspect ratio from 1 to 4/3 at 0.400 s"),
        ("matrix", "its colour tags from 1/2/2 to 6/2/2 at 0.400 s"),
    ],
)
def test_a_change_that_no_output_has_is_named_and_counts_as_a_loss(
    tmp_path: Path, fake: FakeBackend, what: str, line: str
) -> None:
    source = _changing(tmp_path / "a.ts", what)
    target = tmp_path / "o.mkv"
    strict = UpscaleOptions(fps="source", encoder=FFV1, strict=True)
    with pytest.raises(OutputError, match=r"--end 0\.400 and --start 0\.400") as caught:
        upscale(source, target, strict)
    assert f"--strict allows no loss: the source changes {line}" in str(caught.value)
    notes: list[str] = []
    verified = UpscaleOptions(fps="source", encoder=FFV1, verify=True)
    report = upscale(source, target, verified, on_note=notes.append)
    assert [line in note for note in notes].count(True) == 1
    assert report.checks is not None
    assert report.checks["ok"]
    # nobody has named it to somebody who verifies later
    later = verify(source, target, OPTIONS)
    assert _failed(later) == ["changes"]
    assert line in _check(later, "changes").text


def test_the_parts_of_a_changing_shape_have_theirs(
    tmp_path: Path, fake: FakeBackend
) -> None:
    source = _changing(tmp_path / "a.ts", "aspect")
    limits: list[tuple[dict[str, Any], Fraction]] = [
        ({"end": Fraction(2, 5)}, Fraction(1)),
        ({"start": Fraction(2, 5)}, WIDE),
        ({"start": Fraction(1, 2)}, WIDE),
    ]
    for number, (limit, aspect) in enumerate(limits):
        options = UpscaleOptions(
            fps="source", encoder=H264, strict=True, verify=True, **limit
        )
        target = tmp_path / f"{number}.mkv"
        upscale(source, target, options)
        assert (probe(target).sample_aspect or 1) == aspect


def test_another_range_is_converted(tmp_path: Path, fake: FakeBackend) -> None:
    """The same codes mean other light: the second half becomes limited like the first."""
    source = _changing(tmp_path / "a.ts", "range")
    target = tmp_path / "o.mkv"
    notes: list[str] = []
    options = UpscaleOptions(fps="source", encoder=FFV1, strict=True, verify=True)
    upscale(source, target, options, on_note=notes.append)
    assert any("its range from limited to full at 0.400 s" in note for note in notes)
    with VideoReader(probe(source)) as frames:
        planes = [(frame.luma.astype(float), frame.chroma[0]) for frame in frames]
    full = np.mean([luma.mean() for luma, _ in planes[10:]])
    limited = np.mean([luma.mean() for luma, _ in planes[:10]])
    assert full == pytest.approx(limited * 219 / 255 + 16, abs=2)
    assert {int(np.median(chroma)) for _, chroma in planes} == {128}


def test_verify_sees_an_output_that_changes(tmp_path: Path, fake: FakeBackend) -> None:
    source = join(tmp_path / "a.ts", [Part(20)], codec="mpeg2video")
    target = tmp_path / "o.ts"
    doubled = [Part(size=(128, 96)), Part(size=(128, 96), aspect=WIDE)]
    join(
        target,
        doubled,
        codec="mpeg2video",
        pictures=lambda number, size: np.kron(
            _luma_of(source)[number], np.ones((2, 2), np.uint8)
        ),
    )
    report = verify(source, target, OPTIONS)
    assert _failed(report) == ["changes"]
    assert "4/3 at 0.400 s, which the source does not" in _check(report, "changes").text


def _luma_of(path: Path) -> list[Any]:
    with VideoReader(probe(path)) as frames:
        return [frame.luma.copy() for frame in frames]


def test_a_change_between_frames_that_are_all_keyframes(tmp_path: Path) -> None:
    """One a second is looked at, then those between; a second look sees every one."""
    parts = [Part(30), Part(30, aspect=WIDE), Part(6), Part(3, aspect=WIDE)]
    source = join(tmp_path / "a.ts", parts, codec="mpeg2video", gop=0)
    info = probe(source)
    (change,) = find_changes(info, TimeRange(None, Fraction(2)))
    assert change.time == Fraction(6, 5)
    every = [change.time for change in find_changes(info, every_keyframe=True)]
    assert every == [Fraction(30, 25), Fraction(60, 25), Fraction(66, 25)]
    assert not find_changes(info, TimeRange(Fraction(6, 5), Fraction(12, 5)))


def test_a_rotation_lasts_until_another_is_said(clip: Path) -> None:
    """Many streams say it with their first keyframe alone."""
    with av.open(str(clip)) as file:
        plain = Look.of_picture(next(file.decode(video=0)), None)
    upright = plain.after(None)
    turned = replace(plain, rotation=90.0, matrix=(0, 65536, 0, -65536))
    assert (plain.rotation, upright.rotation) == (None, 0)
    assert plain.after(turned) == turned
    change = Change(Fraction(1), upright, turned)
    assert str(change) == "its rotation from 0 to 90 degrees at 1.000 s"
    assert change.loses
    assert not change.is_new_kind


def test_a_source_without_changes_has_none(clip: Path, packed: Path) -> None:
    for path in (clip, packed):
        assert not find_changes(probe(path), every_keyframe=True)


def test_real_faults(shared: Path) -> None:
    faults = shared / "data" / "faults"
    assert len(_times(faults / "00_packed_b_frames.avi")) == 50
    assert len(_times(faults / "04_damage_near_the_end.mp4")) == 49
    (change,) = find_changes(probe(faults / "10_aspect_changes.ts"))
    assert str(change) == "its pixel aspect ratio from 12/11 to 16/11 at 1.000 s"
    with pytest.raises(VsrError, match=r"--end 1\.000 and --start 1\.000"):
        _times(faults / "03_size_changes.webm")
    assert probe(faults / "03_size_changes.webm", start=Fraction(1)).width == 480
