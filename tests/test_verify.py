"""Verification: an honest output passes; one broken in one way fails just that check."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damage import HDR10, Other, Parts, Shown, rebuild, rich_source
from fake import FakeBackend

from vsrcli.cli import main
from vsrcli.jobs.upscale import upscale
from vsrcli.options import EncoderOptions, UpscaleOptions
from vsrcli.verification.verification_report import VerificationReport
from vsrcli.verification.verify import verify

OPTIONS = UpscaleOptions(fps="source", encoder=EncoderOptions(preset="ultrafast"))


def _failed(report: VerificationReport) -> list[str]:
    return [check.name for check in report.failed]


def _said(report: VerificationReport) -> str:
    return "\n".join(f"{check.name}: {check.text}" for check in report.failed)


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A rich source and its output."""
    return _make(tmp_path_factory, hdr=False)


@pytest.fixture(scope="module")
def honest_hdr(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same with 10 bits and HDR10 metadata."""
    return _make(tmp_path_factory, hdr=True)


def _make(factory: pytest.TempPathFactory, *, hdr: bool) -> tuple[Path, Path]:
    folder = factory.mktemp("honest")
    source = rich_source(folder / "in.mkv", hdr=hdr)
    target = folder / "out.mkv"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "vsrcli.jobs.upscale.open_backend",
            lambda *arguments, **options: FakeBackend(),
        )
        upscale(source, target, OPTIONS)
    return source, target


NAMES = [
    "frames",
    "timestamps",
    "end",
    "decoding",
    "size",
    "aspect",
    "rotation",
    "colour",
    "depth",
    "content",
    "levels",
    "chroma",
    "streams",
    "packets",
    "offset",
    "chapters",
    "tags",
    "metadata",
]


def test_honest_output_passes_everything(
    honest: tuple[Path, Path], tmp_path: Path
) -> None:
    report = verify(*honest, OPTIONS)
    assert report.ok, _said(report)
    assert [check.name for check in report.checks] == NAMES
    again = verify(
        honest[0],
        rebuild(honest[1], tmp_path / "again.mkv", lambda parts: None),
        OPTIONS,
    )
    assert again.ok, _said(again)
    assert again.facts["frames"] == 30
    assert [
        (stream["kind"], stream["action"]) for stream in again.facts["streams"]
    ] == [("audio", "copy"), ("audio", "copy"), ("subtitle", "copy")]
    assert again.facts["streams"] == report.facts["streams"]


def test_honest_hdr_output_passes_everything(
    honest_hdr: tuple[Path, Path], tmp_path: Path
) -> None:
    for target in (
        honest_hdr[1],
        rebuild(honest_hdr[1], tmp_path / "again.mkv", lambda parts: None),
    ):
        report = verify(honest_hdr[0], target, OPTIONS)
        assert report.ok, _said(report)
        assert {"hdr", *NAMES} == {check.name for check in report.checks}


def _packets(parts: Parts, kind: str = "audio", track: int = 0) -> list[Other]:
    return [
        packet
        for packet in parts.packets
        if (packet.kind, packet.track) == (kind, track)
    ]


def _drop_audio_packet(parts: Parts) -> None:
    parts.packets.remove(_packets(parts)[20])


def _drop_last_audio_packet(parts: Parts) -> None:
    parts.packets.remove(_packets(parts, track=1)[-1])


def _alter_audio_packet(parts: Parts) -> None:
    packet = _packets(parts, track=1)[7]
    packet.payload = packet.payload[:-1] + bytes([packet.payload[-1] ^ 1])


def _swap_audio_packets(parts: Parts) -> None:
    first, second = _packets(parts)[3:5]
    first.payload, second.payload = second.payload, first.payload


def _shift_audio(parts: Parts) -> None:
    for packet in _packets(parts):
        packet.pts += 20


def _shift_one_packet(parts: Parts) -> None:
    _packets(parts)[12].pts += 4


def _shift_video(parts: Parts) -> None:
    for picture in parts.pictures:
        picture.time += 20


def _lose_track(parts: Parts) -> None:
    del parts.stream_tags["audio", 0]


def _change_subtitle(parts: Parts) -> None:
    _packets(parts, "subtitle")[1].payload = b"another line"


def _late_subtitle(parts: Parts) -> None:
    _packets(parts, "subtitle")[1].pts += 5


def _lose_subtitles(parts: Parts) -> None:
    del parts.stream_tags["subtitle", 0]


def _lose_frame(parts: Parts) -> None:
    del parts.pictures[12]


def _lose_first_frame(parts: Parts) -> None:
    del parts.pictures[0]


def _lose_last_frame(parts: Parts) -> None:
    del parts.pictures[-1]


def _double_frame(parts: Parts) -> None:
    parts.pictures.insert(
        13, Shown(parts.pictures[12].planes, parts.pictures[12].time + 20, 20)
    )


def _stretch(parts: Parts) -> None:
    for picture in parts.pictures:
        picture.time = picture.time * 11 // 10
        picture.duration = picture.duration * 11 // 10


def _late_frame(parts: Parts) -> None:
    parts.pictures[17].time += 10


def _short_last_frame(parts: Parts) -> None:
    parts.pictures[-1].duration = 10


def _enlarge(parts: Parts) -> None:
    for picture in parts.pictures:
        picture.planes = [
            np.pad(plane, ((0, 4), (0, 0)), mode="edge") for plane in picture.planes[:1]
        ] + [
            np.pad(plane, ((0, 2), (0, 0)), mode="edge") for plane in picture.planes[1:]
        ]


def _square_pixels(parts: Parts) -> None:
    parts.aspect = Fraction(1)


def _lose_rotation(parts: Parts) -> None:
    parts.matrix = None


def _mirror(parts: Parts) -> None:
    parts.matrix = (0, 65536, 0, 65536, 0, 0, 0, 0, 1 << 30)


def _change_colour(place: int, value: int) -> Callable[[Parts], None]:
    def change(parts: Parts) -> None:
        parts.colours[place] = value

    return change


def _lose_chapter(parts: Parts) -> None:
    del parts.chapters[0]


def _rename_chapter(parts: Parts) -> None:
    parts.chapters[1]["metadata"] = {"title": "Chapter One"}


def _move_chapter(parts: Parts) -> None:
    parts.chapters[1]["start"] += 5 * (parts.chapters[1]["time_base"] ** -1) / 1000


def _lose_title(parts: Parts) -> None:
    del parts.tags["title"]


def _lose_track_title(parts: Parts) -> None:
    del parts.stream_tags["audio", 1]["title"]


def _change_language(parts: Parts) -> None:
    parts.stream_tags["audio", 1]["language"] = "ger"


def _lose_flag(parts: Parts) -> None:
    parts.flags["audio", 0] = 0


def _swap_frames(first: int, second: int) -> Callable[[Parts], None]:
    def swap(parts: Parts) -> None:
        one = parts.pictures[first]
        other = parts.pictures[second]
        one.planes, other.planes = other.planes, one.planes

    return swap


def _repeat_frame(parts: Parts) -> None:
    parts.pictures[13].planes = parts.pictures[12].planes


def _all_one_late(parts: Parts) -> None:
    planes = [picture.planes for picture in parts.pictures]
    for picture, earlier in zip(parts.pictures, [planes[0], *planes[:-1]], strict=True):
        picture.planes = earlier


def _gray_frame(parts: Parts) -> None:
    parts.pictures[9].planes = [
        np.full_like(plane, 128) for plane in parts.pictures[9].planes
    ]


def _squeeze(parts: Parts) -> None:
    for picture in parts.pictures:
        picture.planes[0] = np.rint(16 + picture.planes[0] * (219 / 255)).astype(
            picture.planes[0].dtype
        )


def _gray_colours(parts: Parts) -> None:
    for picture in parts.pictures:
        picture.planes[1:] = [np.full_like(plane, 128) for plane in picture.planes[1:]]


def _swap_colours(parts: Parts) -> None:
    for picture in parts.pictures:
        picture.planes[1], picture.planes[2] = picture.planes[2], picture.planes[1]


DAMAGES: list[tuple[Callable[[Parts], None], list[str], str]] = [
    (
        _drop_audio_packet,
        ["packets"],
        r"packets of \d+, the first that differs is number 20 \(0\.4\d\d s",
    ),
    (_drop_last_audio_packet, ["packets"], "audio stream 2"),
    (_alter_audio_packet, ["packets"], "audio stream 2 .* number 7 "),
    (_swap_audio_packets, ["packets"], "number 3 "),
    (_shift_audio, ["offset"], r"\+20\.0 ms"),
    (_shift_one_packet, ["offset"], r"\+4\.0 ms at packet 12"),
    (_shift_video, ["offset", "chapters"], r"-20\.0 ms at packet 0"),
    (_lose_track, ["streams"], r"audio stream 1 \(aac\) of the source is missing"),
    (_lose_subtitles, ["streams"], "subtitle stream 3"),
    (_change_subtitle, ["packets"], "subtitle stream 3 .* number 1 "),
    (_late_subtitle, ["offset"], r"\+5\.0 ms at packet 1"),
    (
        _lose_frame,
        ["frames"],
        r"29 frames, 30 expected: number 12 \(0\.480 s\) is missing",
    ),
    (_lose_first_frame, ["frames"], r"number 0 .* is missing"),
    (_lose_last_frame, ["frames", "end"], r"number 29 \(1\.160 s\) is missing"),
    (
        _double_frame,
        ["frames"],
        r"31 frames, 30 expected: number 13 \(0\.500 s\) is too many",
    ),
    (_stretch, ["timestamps", "end"], r"number 1 by \+4\.000 ms"),
    (
        _late_frame,
        ["timestamps"],
        r"1 of 30 frames are at the wrong time: number 17 by \+10\.000 ms",
    ),
    (_short_last_frame, ["end"], r"ends 1\.170 s after .* 1\.200 s"),
    (_enlarge, ["size"], "192x132, it should be 192x128"),
    (_square_pixels, ["aspect"], "they should be 4/3"),
    (_lose_rotation, ["rotation"], "none, it should be"),
    (_mirror, ["rotation"], "mirrored"),
    (_change_colour(1, 1), ["colour"], "matrix 1, the source's is 6"),
    (_change_colour(2, 9), ["colour"], "primaries 9"),
    (_change_colour(3, 2), ["colour"], "transfer not said, the source's is 6"),
    (_lose_chapter, ["chapters"], "1 of 2"),
    (_rename_chapter, ["chapters"], "'Chapter One', not 'Chapter 1'"),
    (_move_chapter, ["chapters"], "number 2 lasts 0.505"),
    (_lose_title, ["metadata"], "title is lost"),
    (_lose_track_title, ["tags"], "'Sound eng'"),
    (_change_language, ["tags"], "is in ger, the source's in eng"),
    (_lose_flag, ["tags"], "flags 0"),
    (_swap_frames(10, 11), ["content"], "number 10 .* frame after it"),
    (_swap_frames(5, 20), ["content"], "2 of 30 frames are wrong: number 5 "),
    (
        _repeat_frame,
        ["content"],
        "1 of 30 frames are wrong: number 13 .* frame before it",
    ),
    (
        _all_one_late,
        ["content"],
        "29 of 30 frames are wrong: number 1 .* frame before it",
    ),
    (
        _gray_frame,
        ["content"],
        r"1 of 30 frames are wrong: number 9 .* worst frame: number 9 \(0\.360 s\)",
    ),
    (_squeeze, ["levels"], "brightness"),
    (_gray_colours, ["chroma"], "colours"),
    (_swap_colours, ["chroma"], "colours"),
]


@pytest.mark.parametrize(
    ("damage", "names", "says"),
    DAMAGES,
    ids=[
        f"{number}-{damage.__name__.strip('_')}"
        for number, (damage, _, _) in enumerate(DAMAGES)
    ],
)
def test_damage_fails_the_check_that_is_about_it(
    honest: tuple[Path, Path],
    tmp_path: Path,
    damage: Callable[[Parts], None],
    names: list[str],
    says: str,
) -> None:
    report = verify(
        honest[0], rebuild(honest[1], tmp_path / "broken.mkv", damage), OPTIONS
    )
    assert _failed(report) == names, _said(report)
    assert re.search(says, _said(report)), _said(report)


def test_lost_hdr_metadata_fails(honest_hdr: tuple[Path, Path], tmp_path: Path) -> None:
    def change(settings: str) -> Callable[[Parts], None]:
        def damage(parts: Parts) -> None:
            parts.options["x265-params"] = settings

        return damage

    report = verify(
        honest_hdr[0],
        rebuild(honest_hdr[1], tmp_path / "lost.mkv", change("log-level=none")),
        OPTIONS,
    )
    assert _failed(report) == ["hdr"]
    assert "mastering display lost; content light level lost" in _said(report)
    report = verify(
        honest_hdr[0],
        rebuild(
            honest_hdr[1],
            tmp_path / "changed.mkv",
            change(HDR10.replace("1000,400", "1000,300")),
        ),
        OPTIONS,
    )
    assert _failed(report) == ["hdr"]
    assert "content light level (1000, 300), not (1000, 400)" in _said(report)


def test_lost_depth_fails(honest_hdr: tuple[Path, Path], tmp_path: Path) -> None:
    def damage(parts: Parts) -> None:
        parts.pix_fmt = "yuv420p"
        for picture in parts.pictures:
            picture.planes = [
                np.rint(plane / 4).astype(np.uint8) for plane in picture.planes
            ]

    report = verify(
        honest_hdr[0], rebuild(honest_hdr[1], tmp_path / "flat.mkv", damage), OPTIONS
    )
    assert _failed(report) == ["depth"], _said(report)
    assert "8 bits, the source has 10" in _said(report)


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv", "ts", "avi"])
@pytest.mark.parametrize("fps", ["source", Fraction(30), Fraction(24000, 1001)])
def test_every_container_at_every_rate(
    tmp_path: Path, fake: FakeBackend, ending: str, fps: Any
) -> None:
    source = rich_source(tmp_path / "in.mkv", subtitles=ending == "mkv")
    target = tmp_path / f"out.{ending}"
    options = UpscaleOptions(
        fps=fps,
        encoder=EncoderOptions(preset="ultrafast"),
        bake_rotation=ending in ("ts", "avi"),
    )
    upscale(source, target, options)
    report = verify(source, target, options)
    assert report.ok, _said(report)
    other = verify(
        source,
        target,
        UpscaleOptions(fps=Fraction(15), bake_rotation=options.bake_rotation),
    )
    assert "frames" in _failed(other)
    # the rate is not given: any of these passes
    assert verify(
        source,
        target,
        UpscaleOptions(bake_rotation=options.bake_rotation),
    ).ok


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize(
    ("start", "end"), [("0.3", None), (None, "0.9"), ("0.333", "0.777")]
)
def test_cut_outputs(
    tmp_path: Path, fake: FakeBackend, ending: str, start: str | None, end: str | None
) -> None:
    source = rich_source(tmp_path / "in.mkv", subtitles=ending == "mkv")
    target = tmp_path / f"out.{ending}"
    cut: dict[str, Any] = {
        "start": None if start is None else Fraction(start),
        "end": None if end is None else Fraction(end),
        "bake_rotation": ending == "ts",
    }
    for fps in ("source", Fraction(30)):
        options = UpscaleOptions(
            fps=fps, encoder=EncoderOptions(preset="ultrafast"), overwrite=True, **cut
        )
        upscale(source, target, options)
        report = verify(source, target, options)
        assert report.ok, _said(report)
        moved = verify(
            source, target, UpscaleOptions(fps=fps, bake_rotation=ending == "ts")
        )
        assert {"frames", "packets"} <= set(_failed(moved))


@pytest.mark.parametrize(
    ("damage", "status"),
    [(lambda parts: None, 0), (_lose_track, 1)],
    ids=["whole", "damaged"],
)
@pytest.mark.parametrize("flags", [(), ("--json",), ("--quiet",)])
def test_exit_codes(
    honest: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    flags: tuple[str, ...],
    damage: Callable[[Parts], None],
    status: int,
) -> None:
    source, target = honest
    with pytest.raises(SystemExit) as stop:
        main(
            [
                "verify",
                str(source),
                str(rebuild(target, tmp_path / "o.mkv", damage)),
                "--fps",
                "source",
                "--no-progress",
                *flags,
            ]
        )
    assert (stop.value.code or 0) == status
    written = capsys.readouterr()
    assert ("streams:" in written.err) == bool(status)
    if flags == ("--json",):
        assert json.loads(written.out)["ok"] == (not status)
