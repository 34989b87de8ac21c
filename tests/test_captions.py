"""Closed captions: every byte arrives, in order and once, or is named as lost."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from captioned import (
    PADDING,
    captions_in,
    channels,
    numbered,
    write_caption_track,
    write_captioned,
)
from fake import FakeBackend
from hypothesis import given, settings
from hypothesis import strategies as st
from sources import packets_of

from vsrcli.captions import CaptionQueue, pairs_of
from vsrcli.cli import main
from vsrcli.decode.caption_reader import captions_of
from vsrcli.errors import OutputError
from vsrcli.jobs.extract import extract
from vsrcli.jobs.upscale import upscale
from vsrcli.options import EncoderOptions, ExtractOptions, UpscaleOptions
from vsrcli.verification.verify import verify

FAST = EncoderOptions(preset="ultrafast")
OPTIONS = UpscaleOptions(encoder=FAST)
LOST = "holds no closed captions"

pytestmark = pytest.mark.usefixtures("fake")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 frames at 30 a second with B-frames, each with captions that tell its number."""
    path = tmp_path_factory.mktemp("captions") / "in.mp4"
    return write_captioned(path, [numbered(number) for number in range(20)])


# -- carried


@pytest.mark.parametrize(
    ("codec", "name"),
    [
        ("libx264", "o.mp4"),
        ("libx264", "o.mkv"),
        ("libx264", "o.mov"),
        ("libx264", "o.ts"),
        ("libx264", "o.avi"),
        ("libx265", "o.mp4"),
        ("libx265", "o.ts"),
        ("mpeg2video", "o.ts"),
        ("libsvtav1", "o.mp4"),
        ("libsvtav1", "o.webm"),
    ],
)
def test_each_frame_keeps_its_captions(
    codec: str, name: str, source: Path, tmp_path: Path
) -> None:
    encoder = EncoderOptions(codec=codec)
    if codec in ("libx264", "libx265"):
        encoder = replace(encoder, preset="ultrafast", extra=(("bf", "2"),))
    upscale(source, tmp_path / name, UpscaleOptions(encoder=encoder, strict=True))
    assert captions_in(tmp_path / name) == captions_in(source)


@pytest.mark.parametrize("codec", ["libx265", "mpeg2video"])
def test_sources_of_other_codecs(codec: str, tmp_path: Path) -> None:
    captions = [numbered(number) for number in range(6)]
    options = {"preset": "ultrafast"} if codec == "libx265" else {}
    path = write_captioned(tmp_path / "in.ts", captions, codec=codec, options=options)
    upscale(path, tmp_path / "o.mp4", OPTIONS)
    assert captions_in(tmp_path / "o.mp4") == captions


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_zeros_do_not_look_like_start_codes(codec: str, tmp_path: Path) -> None:
    captions = [
        b"\xfc\x00\x00\xfd\x00\x01\xfe\x00\x00\xfe\x00\x03",
        b"\x04\0\0\4\0\1\0\0\0",
    ]
    path = write_captioned(tmp_path / "in.mp4", captions)
    encoder = replace(FAST, codec=codec)
    upscale(path, tmp_path / "o.mp4", replace(OPTIONS, encoder=encoder))
    assert captions_in(tmp_path / "o.mp4") == captions


@pytest.mark.parametrize(
    "extra",
    [
        ("libx264", "x264-params", "annexb=0"),
        ("libx264", "x264-params", "aud=1:slices=3"),
        ("libx265", "x265-params", "aud=1:temporal-layers=3:bframes=4"),
    ],
)
def test_packets_of_other_forms(
    extra: tuple[str, str, str], source: Path, tmp_path: Path
) -> None:
    codec, key, value = extra
    encoder = EncoderOptions(codec=codec, preset="ultrafast", extra=((key, value),))
    upscale(source, tmp_path / "o.mp4", UpscaleOptions(encoder=encoder))
    assert captions_in(tmp_path / "o.mp4") == captions_in(source)


def test_every_bit_of_the_packets_besides_stays(source: Path, tmp_path: Path) -> None:
    plain = write_captioned(tmp_path / "plain.mp4", 20 * [b""])
    upscale(plain, tmp_path / "plain.ts", OPTIONS)
    upscale(source, tmp_path / "o.ts", OPTIONS)
    assert _pictures(tmp_path / "o.ts") == _pictures(tmp_path / "plain.ts")


def _pictures(path: Path) -> list[Any]:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        return [(frame.pts, frame.to_ndarray().tobytes()) for frame in frames]


@pytest.mark.parametrize(
    "changes",
    [
        {"pix_fmt": "rgb24", "codec": "libx264rgb"},
        {"rotation": 90},
        {"is_still": True},
    ],
    ids=["RGB", "turned", "reused"],
)
def test_frames_that_are_changed_on_the_way(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    captions = [numbered(number) for number in range(6)]
    path = write_captioned(tmp_path / "in.mp4", captions, **changes)
    upscale(path, tmp_path / "o.mp4", replace(OPTIONS, bake_rotation=True))
    assert captions_in(tmp_path / "o.mp4") == captions


def test_only_those_of_the_range(source: Path, tmp_path: Path) -> None:
    options = replace(OPTIONS, start=Fraction(7, 30), end=Fraction(13, 30))
    upscale(source, tmp_path / "o.mp4", replace(options, verify=True))
    assert captions_in(tmp_path / "o.mp4") == captions_in(source)[7:13]


# -- other rates


@pytest.mark.parametrize(
    ("rate", "fps", "count"),
    [
        (60, Fraction(30), 3),
        (50, Fraction(30), 20),
        (24, Fraction(30), 3),
        (60, Fraction(15), 30),
    ],
)
@pytest.mark.parametrize("segment", [0, 0.1], ids=["one_go", "segments"])
def test_other_rates_lose_and_repeat_nothing(
    rate: int, fps: Fraction, count: int, segment: float, tmp_path: Path
) -> None:
    captions = [numbered(number, count) for number in range(15)]
    path = write_captioned(tmp_path / "in.mkv", captions, rate=rate)
    target = tmp_path / "o.mkv"
    report = upscale(path, target, replace(OPTIONS, fps=fps, segment=segment))
    result = captions_in(target)
    assert bool(report.segments) == bool(segment)
    assert len(result) == report.frames_out
    assert channels(result) == channels(captions)
    assert verify(path, target, replace(OPTIONS, fps=fps)).ok
    if not segment:
        # only the last frame may have more than the standard gives one
        assert max(len(each) for each in result[:-1]) <= 31 * 3


def test_captions_stay_near_their_frame(tmp_path: Path) -> None:
    captions = [numbered(number) for number in range(20)]
    path = write_captioned(tmp_path / "in.mp4", captions, rate=60)
    upscale(path, tmp_path / "o.mp4", OPTIONS)
    for number, found in enumerate(captions_in(tmp_path / "o.mp4")):
        frames = {triplet[2] for _, triplet in pairs_of(found)}
        assert frames <= {2 * number - 1, 2 * number, 2 * number + 1}


def test_segments_that_are_made_on_their_own(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "o.mkv"
    options = replace(OPTIONS, fps=Fraction(20), segment=0.2)
    shown = 0

    def interrupt(progress: object) -> None:
        nonlocal shown
        shown += 1
        if shown == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        upscale(source, target, options, on_progress=interrupt)
    report = upscale(source, target, options)
    assert 0 < report.frames_resumed < report.frames_out
    assert channels(captions_in(target)) == channels(captions_in(source))


def test_a_segment_that_shows_no_frame(source: Path, tmp_path: Path) -> None:
    options = replace(OPTIONS, fps=Fraction(2), segment=0.2)
    with pytest.raises(OutputError, match="have no place: --segment 0 carries them"):
        upscale(source, tmp_path / "o.mkv", options)
    report = upscale(source, tmp_path / "whole.mkv", replace(options, segment=0))
    assert report.frames_out == 1
    assert channels(captions_in(tmp_path / "whole.mkv")) == channels(
        captions_in(source)
    )


@pytest.mark.parametrize("deinterlace", ["auto", "off", "field"])
@pytest.mark.parametrize("fps", [Fraction(30), "source"])
def test_interlaced(deinterlace: Any, fps: Any, tmp_path: Path) -> None:
    captions = [numbered(number) for number in range(8)]
    interlaced = {"x264-params": "interlaced=1:tff=1"}
    path = write_captioned(tmp_path / "in.mp4", captions, options=interlaced)
    options = replace(OPTIONS, deinterlace=deinterlace, fps=fps, verify=True)
    report = upscale(path, tmp_path / "o.mkv", options)
    assert report.frames_out == 8 * (1 + (deinterlace == "field" and fps == "source"))
    assert channels(captions_in(tmp_path / "o.mkv")) == channels(captions)


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(0, 7), max_size=40).map(
                lambda firsts: b"".join(
                    bytes([0xF8 | first, number, first])
                    for number, first in enumerate(firsts)
                )
            ),
            st.booleans(),
        ),
        max_size=30,
    )
)
def test_a_queue_keeps_the_order_of_each_channel(
    frames: list[tuple[bytes, bool]],
) -> None:
    queue = CaptionQueue()
    shown = []
    for captions, is_shown in frames:
        if is_shown:
            shown.append(queue.next(captions))
        else:
            queue.add(captions)
    assert all(len(each) <= 31 * 3 for each in shown)
    result = [*shown, queue.rest()]
    assert channels(result) == channels([captions for captions, _ in frames])
    assert not queue.rest()


# -- named as lost


@pytest.mark.parametrize("codec", ["ffv1", "mpeg4", "libvpx-vp9"])
def test_a_codec_without_captions_is_named(
    codec: str, source: Path, tmp_path: Path
) -> None:
    options = UpscaleOptions(
        encoder=EncoderOptions(codec=codec), verify=codec == "ffv1"
    )
    with pytest.raises(OutputError, match=f"--strict allows no loss: {codec} {LOST}"):
        upscale(source, tmp_path / "o.mkv", replace(options, strict=True))
    if codec == "ffv1":
        report = upscale(source, tmp_path / "o.mkv", options)
        assert [LOST in line for line in report.notes].count(True) == 1
        assert report.checks is not None
        assert report.checks["ok"]


def test_pictures_have_none(source: Path, tmp_path: Path) -> None:
    lost = "pictures hold no closed captions"
    with pytest.raises(OutputError, match=lost):
        upscale(source, tmp_path / "strict", UpscaleOptions(strict=True))
    for report in (
        upscale(source, tmp_path / "upscaled", UpscaleOptions()),
        extract(source, tmp_path / "extracted", ExtractOptions()),
    ):
        assert [lost in line for line in report.notes].count(True) == 1


def test_captions_that_begin_late(tmp_path: Path) -> None:
    late = [*21 * [b""], numbered(9), numbered(10), b""]
    path = write_captioned(tmp_path / "in.mkv", late, rate=1, options={"bf": "0"})
    ffv1 = UpscaleOptions(encoder=EncoderOptions(codec="ffv1"), fps="source")
    report = upscale(path, tmp_path / "o.mkv", replace(ffv1, segment=4, overwrite=True))
    assert [LOST in line for line in report.notes].count(True) == 1
    with pytest.raises(OutputError, match=r"captions begin at 21\.000 s, and ffv1"):
        upscale(path, tmp_path / "strict.mkv", replace(ffv1, strict=True))
    before = replace(ffv1, strict=True, end=Fraction(21))
    upscale(path, tmp_path / "before.mkv", before)
    upscale(path, tmp_path / "kept.mkv", replace(OPTIONS, fps="source", verify=True))
    assert captions_in(tmp_path / "kept.mkv") == late
    within = replace(ffv1, strict=True, start=Fraction(15))
    with pytest.raises(OutputError, match=f"--strict allows no loss: ffv1 {LOST}"):
        upscale(path, tmp_path / "strict.mkv", within)


def test_a_track_of_captions(tmp_path: Path) -> None:
    path = write_caption_track(tmp_path / "in.mov", 10)
    options = replace(OPTIONS, strict=True, verify=True)
    upscale(path, tmp_path / "o.mov", options)
    track = packets_of(tmp_path / "o.mov")[1]
    assert track.codec == "eia_608"
    assert track.payloads == [numbered(number)[:3] for number in range(10)]
    lost = "mkv does not take eia_608 subtitles: name the output .mov to keep it"
    with pytest.raises(OutputError, match=lost):
        upscale(path, tmp_path / "o.mkv", options)


def test_info_shows_them(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["info", str(source), "--json"])
    assert json.loads(capsys.readouterr().out)["video"]["closed_captions"] is True


# -- compared


@pytest.fixture(scope="module")
def honest(source: Path) -> Path:
    """An output of the source."""
    target = source.with_name("honest.mkv")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "vsrcli.jobs.upscale.open_backend",
            lambda *arguments, **options: FakeBackend(),
        )
        upscale(source, target, OPTIONS)
    return target


def _problem(source: Path, target: Path) -> str:
    report = verify(source, target, OPTIONS)
    assert [check.name for check in report.failed] in ([], ["captions"])
    return "".join(check.text for check in report.failed)


def test_an_honest_output_passes(source: Path, honest: Path) -> None:
    report = verify(source, honest, OPTIONS)
    assert report.ok
    texts = [check.text for check in report.checks if check.name == "captions"]
    assert texts == ["60 pairs of bytes, all as in the source"]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (b"GA94", b"GA93", "lost: the source has 60 pairs of bytes, from 0.000 s on"),
        (numbered(7), numbered(8), "CEA-608 field 1: pair 7 of 20 is different"),
        (numbered(7), 4 * PADDING, "CEA-608 field 1: pair 7 of 20 is different"),
        (numbered(19), 4 * PADDING, "the last 1 of 20 pairs are missing, from 0.633 s"),
        (b"\xff\x00\x07\xfa", b"\xfe\x00\x07\xfa", "CEA-708: pair 7 of 20"),
        (PADDING + b"\xff", b"\xfe\x01\x01\xff", "CEA-708: pair 1 of 20"),
    ],
)
def test_damage_is_found(
    old: bytes, new: bytes, problem: str, source: Path, honest: Path, tmp_path: Path
) -> None:
    content = honest.read_bytes()
    assert old in content
    damaged = tmp_path / "damaged.mkv"
    damaged.write_bytes(content.replace(old, new))
    assert problem in _problem(source, damaged)


def test_captions_of_nobody_are_found(
    source: Path, honest: Path, tmp_path: Path
) -> None:
    plain = tmp_path / "plain.mp4"
    plain.write_bytes(source.read_bytes().replace(b"GA94", b"GA93"))
    assert "CEA-608 field 1: 20 pairs too many, from 0.000 s" in _problem(plain, honest)


def test_what_the_decoder_hides_is_found(
    source: Path, honest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vsrcli.decode.caption_reader.captions_of", lambda picture: b"")
    assert "packets of the source hold some" in _problem(source, honest)


def test_what_is_read_wrongly_is_found(
    source: Path, honest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Source and output are read by the same code: packets tell what it loses of both."""
    lost = numbered(7)
    monkeypatch.setattr(
        "vsrcli.decode.caption_reader.captions_of",
        lambda picture: captions if (captions := captions_of(picture)) != lost else b"",
    )
    assert "others than its packets hold: CEA-608 field 1: pair 7 of 20" in _problem(
        source, honest
    )
