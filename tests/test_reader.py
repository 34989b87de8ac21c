"""Reading: every frame at its time from every container, odd formats, trims, cuts, damage."""

from __future__ import annotations

import io
import sys
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import texture, write_clip

from vsrcli.containers.pipe import standard_input
from vsrcli.decode.completeness import completeness
from vsrcli.decode.delivered import delivered_format
from vsrcli.decode.input_file import open_input
from vsrcli.decode.probe import probe
from vsrcli.decode.reader import VideoReader
from vsrcli.errors import InputError
from vsrcli.frame import Frame
from vsrcli.timing import TimeRange


def _plain(path: Path) -> list[Fraction]:
    """Frame times by PyAV alone."""
    with av.open(str(path)) as container:
        return [
            frame.pts * frame.time_base
            for frame in container.decode(video=0)
            if frame.pts is not None and frame.time_base is not None
        ]


def _frames(
    path: Path,
    *,
    start: Fraction | None = None,
    end: Fraction | None = None,
    **options: Any,
) -> list[Frame]:
    with VideoReader(
        probe(path), time_range=TimeRange(start, end), **options
    ) as reader:
        return list(reader)


CONTAINERS = [
    (".mp4", "libx264"),
    (".mov", "libx264"),
    (".mkv", "libx264"),
    (".ts", "libx264"),
    (".webm", "libvpx-vp9"),
    (".avi", "mpeg4"),
]


@pytest.mark.parametrize(("suffix", "codec"), CONTAINERS)
def test_every_frame_at_its_time_and_nothing_missing(
    tmp_path: Path, suffix: str, codec: str
) -> None:
    path = write_clip(tmp_path / f"a{suffix}", codec=codec)
    with VideoReader(probe(path)) as reader:
        frames = list(reader)
        info = reader.info
        damage = reader.damage
    assert len(frames) == 30
    assert [frame.time + info.start for frame in frames] == _plain(path)
    assert all((frame.time / info.time_base).denominator == 1 for frame in frames)
    assert not damage
    assert completeness(info).missing == 0
    # views stay what they were although decoding has gone on
    for number in (0, 15, 29):
        assert (
            np.abs(
                frames[number].luma.astype(float)
                - (texture(number, (64, 48)).astype(float) * 219 / 255 + 16)
            ).mean()
            < 12
        )


def test_wild_clips(shared: Path) -> None:
    for path in sorted((shared / "data" / "wild").iterdir()):
        with VideoReader(probe(path)) as reader:
            times = [frame.time + reader.info.start for frame in reader]
            assert times == _plain(path), path.name
            assert not reader.damage, path.name
            assert completeness(reader.info).missing == 0, path.name


def test_what_probe_sees_in_wild_clips(shared: Path) -> None:
    wild = shared / "data" / "wild"
    phone = probe(wild / "01_portrait_rot90_iphone.mov")
    assert (
        phone.width,
        phone.height,
        phone.rotation,
        phone.tags.range,
        phone.tags.matrix,
    ) == (568, 320, -90, "limited", 1)
    assert probe(wild / "03_roadtrip_vp9_10bit.webm").format.name == "yuv420p10le"
    assert probe(wild / "12_anamorphic_sar64_51.mp4").sample_aspect == Fraction(64, 51)
    tape = probe(wild / "14_bt601-525_480_interlaced_tff.mkv")
    assert tape.interlaced
    assert [stream.kind for stream in tape.streams] == ["video", "audio"]


def test_deinterlacing_keeps_every_frame_and_removes_combs(shared: Path) -> None:
    path = shared / "data" / "wild" / "14_bt601-525_480_interlaced_tff.mkv"
    woven = _frames(path, end=Fraction(1), deinterlace="off")
    whole = _frames(path, end=Fraction(1))
    assert [frame.time for frame in woven] == [frame.time for frame in whole]

    def combing(frames: list[Frame]) -> float:
        luma = np.stack([frame.luma for frame in frames]).astype(float)
        neighbours = (luma[:, :-2] + luma[:, 2:]) / 2
        return float(np.abs(luma[:, 1:-1] - neighbours).mean())

    assert combing(whole) < 0.8 * combing(woven)


def test_variable_rate_is_exact(tmp_path: Path) -> None:
    times = [0, 33, 40, 100, 250, 251, 400, 433]
    frames = _frames(write_clip(tmp_path / "a.mkv", frames=8, times=times))
    assert [frame.time * 1000 for frame in frames] == times


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize(
    ("start", "end"), [(0, 10), (1, 2), (60, 75), (99, 400), (130, None), (None, 7)]
)
def test_ranges_are_exact_with_their_context(
    tmp_path: Path, suffix: str, start: int | None, end: int | None
) -> None:
    path = write_clip(tmp_path / f"a{suffix}", frames=150, size=(32, 32), gop=40)
    begin, stop = (
        None if value is None else Fraction(value, 25) for value in (start, end)
    )
    everything = [frame.time for frame in _frames(path)]
    inside = [
        number
        for number, time in enumerate(everything)
        if (begin is None or time >= begin) and (stop is None or time < stop)
    ]
    wanted = everything[max(0, inside[0] - 2) : inside[-1] + 3]
    assert [
        frame.time for frame in _frames(path, start=begin, end=stop, context=2)
    ] == wanted
    assert [frame.time for frame in _frames(path, start=begin, end=stop)] == everything[
        inside[0] : inside[-1] + 1
    ]


@pytest.mark.parametrize("start", [None, Fraction(1, 2), Fraction(31, 10)])
def test_first_time_keeps_every_frame(tmp_path: Path, start: Fraction | None) -> None:
    path = write_clip(tmp_path / "a.mp4", frames=100, size=(32, 32), gop=40)
    time_range = TimeRange(start=start)
    expected = [frame.time for frame in _frames(path, start=start, context=2)]
    with VideoReader(probe(path), time_range=time_range, context=2) as reader:
        first = reader.first_time()
        assert reader.first_time() == first
        actual = [frame.time for frame in reader]
    assert actual == expected
    assert first == next(time for time in actual if time_range.contains(time))


def test_standard_input_is_kept_until_the_last_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Benchmarks and verification read a source more than once."""
    content = write_clip(tmp_path / "a.mkv", frames=5).read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    standard_input.cache_clear()
    try:
        for is_last in (False, False, True):
            frames = _frames(Path("-"), is_last_reader=is_last)
            assert len(frames) == 5
        with pytest.raises(InputError, match="from its beginning again"):
            probe(Path("-"))
    finally:
        standard_input.cache_clear()


def test_first_time_of_an_empty_range(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4")
    with (
        VideoReader(probe(path), time_range=TimeRange(start=Fraction(20))) as reader,
        pytest.raises(InputError, match=r"no frame from 20 s"),
    ):
        reader.first_time()


@pytest.mark.parametrize(
    ("stored", "delivered"),
    [
        ("nv12", "yuv420p"),
        ("nv16", "yuv422p"),
        ("p010le", "yuv420p10le"),
        ("yuyv422", "yuv422p"),
        ("rgb24", "yuv444p"),
        ("bgr0", "yuv444p"),
        ("pal8", "yuv444p"),
        ("gbrp10le", "yuv444p10le"),
        ("yuva420p", "yuva420p"),
        ("nv24", "yuv444p"),
        ("ya8", "yuva444p"),
        ("gray16le", "gray16le"),
        ("gray10be", "gray10le"),
        ("yuvj422p", "yuv422p"),
        ("yuv411p", "yuv411p"),
        ("monob", "gray"),
        ("yuv420p10be", "yuv420p10le"),
        ("rgba64le", "yuva444p16le"),
    ],
)
def test_delivered_formats(stored: str, delivered: str) -> None:
    assert delivered_format(stored).name == delivered


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "delivered"),
    [
        ("ffv1", "yuv420p10le", "yuv420p10le"),
        ("ffv1", "bgr0", "yuv444p"),
        ("rawvideo", "nv12", "yuv420p"),
        ("mjpeg", "yuvj420p", "yuv420p"),
        ("ffv1", "gray", "gray"),
    ],
)
def test_pixel_formats_arrive_with_their_values(
    tmp_path: Path, codec: str, pix_fmt: str, delivered: str
) -> None:
    path = write_clip(
        tmp_path / "a.mkv",
        frames=3,
        size=(37, 21) if codec == "ffv1" else (38, 22),
        codec=codec,
        pix_fmt=pix_fmt,
    )
    with VideoReader(probe(path)) as reader:
        frame = next(iter(reader))
        assert frame.format.name == delivered
        assert reader.info.tags.range == (
            "full" if pix_fmt == "yuvj420p" else reader.info.tags.range
        )
    assert frame.luma.dtype == frame.format.dtype
    assert [
        plane.shape[::-1] for plane in frame.planes[1:]
    ] == 2 * frame.format.has_chroma * [
        frame.format.chroma_size(frame.width, frame.height)
    ]
    grey = texture(0, (frame.width, frame.height)).astype(float)
    full = pix_fmt in ("yuvj420p", "gray")
    expected = (grey if full else grey * 219 / 255 + 16) * (
        4 if frame.format.bits == 10 else 1
    )
    assert np.abs(frame.luma.astype(float) - expected).mean() < 3 * (
        4 if frame.format.bits == 10 else 1
    )


def _tone(path: Path, cover: bool) -> Path:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(
            "libmp3lame" if path.suffix == ".mp3" else "aac", rate=44100
        )
        stream.layout = "mono"
        art: Any = None
        if cover:
            art = container.add_stream("png", rate=1)
            art.width = 32
            art.height = 32
            art.pix_fmt = "rgb24"
            art.disposition = av.stream.Disposition.attached_pic
        container.start_encoding()
        if cover:
            picture = av.VideoFrame(32, 32, "rgb24")
            picture.pts = 0
            container.mux(art.encode(picture))
            container.mux(art.encode(None))
        for number in range(20):
            frame = av.AudioFrame(
                format=stream.codec_context.format.name,
                layout="mono",
                samples=stream.codec_context.frame_size,
            )
            frame.planes[0].update(bytes(frame.planes[0].buffer_size))
            frame.sample_rate = 44100
            frame.pts = number * frame.samples
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_audio_only_and_cover_art(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no video: it holds audio only"):
        probe(_tone(tmp_path / "a.m4a", cover=False))
    with pytest.raises(InputError, match="audio and cover art only"):
        probe(_tone(tmp_path / "a.mp3", cover=True))


@pytest.mark.parametrize("kind", ["missing", "folder", "empty", "text", "random"])
def test_no_video_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a:b.mp4"
    if kind == "folder":
        path.mkdir()
    elif kind != "missing":
        path.write_bytes(
            {
                "empty": b"",
                "text": b"hello " * 99,
                "random": np.random.default_rng(0).bytes(5000),
            }[kind]
        )
    with pytest.raises(InputError) as caught:
        probe(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_colon_in_the_name_is_no_protocol(tmp_path: Path) -> None:
    assert len(_frames(write_clip(tmp_path / "a:b.mkv", frames=3))) == 3


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_a_missing_end_is_seen_before_decoding(tmp_path: Path, suffix: str) -> None:
    path = write_clip(tmp_path / f"a{suffix}", frames=75)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    found = completeness(probe(path))
    assert 0 < found.present < 2.5
    assert found.present + found.missing == pytest.approx(3, abs=0.1)
    with VideoReader(probe(path)) as reader:
        last = list(reader)[-1]
        assert last.time < 2.5
        # a Matroska stream promises nothing itself: only the check above sees it there
        assert reader.damage or suffix == ".mkv"


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_corrupt_packets_are_survived_and_counted(tmp_path: Path, suffix: str) -> None:
    path = write_clip(tmp_path / f"a{suffix}", frames=60, gop=10)
    with av.open(str(path)) as container:
        spots = [
            (packet.pos, packet.size)
            for packet in container.demux(video=0)
            if packet.size and packet.pos is not None
        ]
    content = bytearray(path.read_bytes())
    for place, size in spots[20:30]:
        content[place + size // 3 : place + size] = np.random.default_rng(place).bytes(
            size - size // 3
        )
    path.write_bytes(content)
    with VideoReader(probe(path)) as reader:
        frames = list(reader)
        assert reader.damage.corrupt_packets + reader.damage.corrupt_frames > 0
        assert "corrupt" in str(reader.damage)
    assert len(frames) > 40
    with pytest.raises(InputError, match=r"damaged.*--strict"):
        _frames(path, strict=True)


@pytest.mark.parametrize("change", [{"size": (96, 48)}, {"pix_fmt": "yuv444p"}])
def test_a_change_in_mid_stream_is_an_error_that_says_when(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    parts = [
        write_clip(tmp_path / "a.h264", frames=10, muxer="h264"),
        write_clip(tmp_path / "b.h264", frames=10, muxer="h264", **change),
    ]
    joined = tmp_path / "joined.h264"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    with pytest.raises(
        InputError, match=r"changes from 64x48 yuv420p to .* --end"
    ) as caught:
        _frames(joined)
    assert "x".join(map(str, change.get("size", (64, 48)))) in str(caught.value)


def _same(some: list[Frame], others: list[Frame]) -> bool:
    return [frame.time for frame in some] == [frame.time for frame in others] and all(
        np.array_equal(one, other)
        for a, b in zip(some, others, strict=True)
        for one, other in zip(a.planes, b.planes, strict=True)
    )


@pytest.mark.parametrize(
    ("suffix", "codec", "options"),
    [
        (".mp4", "libx264", {}),
        (".mkv", "libx265", {"x265-params": "log-level=none"}),
        (".ts", "libx264", {}),
        (".ts", "mpeg2video", {"bf": "2"}),
        (".mpg", "mpeg2video", {}),
        (".avi", "mpeg4", {}),
        (".mkv", "mpeg2video", {"flags": "+ildct+ilme", "top": "1"}),
    ],
)
def test_a_range_is_what_a_full_decode_gives(
    tmp_path: Path, suffix: str, codec: str, options: dict[str, str]
) -> None:
    """Pixels, cuts and times: no broken references, deinterlacing and cut detection warmed up."""
    path = write_clip(
        tmp_path / f"a{suffix}",
        frames=160,
        codec=codec,
        options=options,
        gop=12,
        scenes=20,
    )
    everything = _frames(path)
    begin = Fraction(121, 25)
    stop = Fraction(133, 25)
    part = _frames(path, start=begin, end=stop, context=2)
    first = (
        next(number for number, frame in enumerate(everything) if frame.time >= begin)
        - 2
    )
    assert len(part) == 16
    assert _same(part, everything[first : first + 16])
    assert [frame.scene_cut for frame in part] == [
        frame.scene_cut for frame in everything[first : first + 16]
    ]


def test_context_reaches_back_over_slow_frames(tmp_path: Path) -> None:
    path = write_clip(
        tmp_path / "a.mkv", frames=30, times=[3000 * number for number in range(30)]
    )
    assert [
        frame.time
        for frame in _frames(path, start=Fraction(60), end=Fraction(62), context=3)
    ] == [51, 54, 57, 60, 63, 66, 69]


def test_raw_streams_are_trimmed_without_seeking(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.h264", frames=100, muxer="h264")
    assert [
        frame.time * 25 for frame in _frames(path, start=Fraction(3), context=1)
    ] == list(range(74, 100))


def test_a_range_without_frames_is_an_error(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4")
    with pytest.raises(
        InputError, match=r"no frame from 20 s: the video lasts 1\.200 s"
    ):
        _frames(path, start=Fraction(20))
    with pytest.raises(InputError, match=r"no frame from 0\.41 s before 0\.43 s"):
        _frames(path, start=Fraction(41, 100), end=Fraction(43, 100), context=2)


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [(".mkv", "libx264"), (".webm", "libvpx"), (".mp4", "libx264"), (".ts", "libx264")],
)
def test_a_clip_that_begins_late_is_complete(
    tmp_path: Path, suffix: str, codec: str
) -> None:
    path = write_clip(
        tmp_path / f"a{suffix}",
        frames=25,
        codec=codec,
        times=[5000 + 40 * number for number in range(25)],
    )
    info = probe(path)
    assert info.start == 5
    assert info.duration == 1
    with VideoReader(probe(path)) as reader:
        assert [frame.time for frame in reader] == [
            Fraction(number, 25) for number in range(25)
        ]
        assert not reader.damage
    assert completeness(info).missing == 0
    assert completeness(info).present == pytest.approx(1, abs=0.05)


def test_a_clock_that_restarts_goes_on(tmp_path: Path) -> None:
    parts = [
        write_clip(tmp_path / f"{number}.ts", frames=50).read_bytes()
        for number in range(2)
    ]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(parts))
    assert [frame.time * 25 for frame in _frames(joined)] == list(range(100))


def test_damage_outside_the_range_does_not_count(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", frames=150, gop=10)
    with av.open(str(path)) as container:
        spots = [
            (packet.pos, packet.size)
            for packet in container.demux(video=0)
            if packet.size and packet.pos is not None
        ]
    content = bytearray(path.read_bytes())
    for place, size in spots[20:30]:
        content[place + size // 3 : place + size] = np.random.default_rng(place).bytes(
            size - size // 3
        )
    path.write_bytes(content)
    assert len(_frames(path, start=Fraction(4), strict=True)) == 50
    with VideoReader(probe(path), time_range=TimeRange(start=Fraction(4))) as reader:
        assert list(reader)
        assert not reader.damage


def test_what_the_decoder_holds_comes_out_where_reading_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_clip(tmp_path / "a.mp4")
    monkeypatch.setattr(
        "vsrcli.decode.reader.open_input",
        lambda path, **options: _Failing(open_input(path), 20),
    )
    with VideoReader(probe(path)) as reader:
        assert len(list(reader)) >= 19  # one may still wait for a reference
        assert reader.damage.corrupt_packets == 1


class _Failing:
    """A container whose demuxer gives up after some packets."""

    def __init__(self, container: Any, packets: int) -> None:
        self._container = container
        self._packets = packets

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *error: object) -> None:
        self._container.close()

    def demux(self, *streams: Any) -> Any:
        yield from islice(self._container.demux(*streams), self._packets)
        raise av.InvalidDataError(1, "gone")


def test_interlaced_pictures_later_on_are_deinterlaced(tmp_path: Path) -> None:
    """A progressive beginning hides them from probing; every frame stays."""
    plain = write_clip(tmp_path / "a.ts", frames=10, codec="mpeg2video")
    woven = write_clip(
        tmp_path / "b.ts",
        frames=40,
        codec="mpeg2video",
        options={"flags": "+ildct+ilme"},
        pictures=[_comb(number) for number in range(40)],
    )
    joined = tmp_path / "joined.ts"
    joined.write_bytes(plain.read_bytes() + woven.read_bytes())
    whole = _frames(joined)
    raw = _frames(joined, deinterlace="off")
    assert [frame.time for frame in whole] == [frame.time for frame in raw]
    assert len(whole) == len(_plain(joined)) >= 49
    combing = [
        [
            float(np.abs(np.diff(frame.luma.astype(float), axis=0)).mean())
            for frame in frames[15:]
        ]
        for frames in (whole, raw)
    ]
    assert np.mean(combing[0]) < 0.7 * np.mean(combing[1])
    assert _same(whole[:9], raw[:9])


def _comb(number: int) -> Any:
    """A bright bar that moves between the two fields of a frame."""
    picture = np.full((48, 64), 40, np.uint8)
    for row in range(48):
        picture[row, (2 * number + row % 2 * 12) % 40 :][:20] = 200
    return picture


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "options", "location"),
    [
        ("a.mp4", "libx264", "yuv420p", {}, "left"),
        ("a.mp4", "libx264", "yuv420p", {"chroma_sample_location": "center"}, "center"),
        (
            "a.mov",
            "libx264",
            "yuv420p10le",
            {"chroma_sample_location": "topleft"},
            "topleft",
        ),
        ("a.mkv", "mjpeg", "yuvj420p", {}, "center"),
        ("a.mpg", "mpeg2video", "yuv420p", {}, "left"),
        ("a.mpg", "mpeg1video", "yuv420p", {}, "center"),
        ("a.webm", "libvpx-vp9", "yuv420p", {}, None),
        (
            "a.mp4",
            "libsvtav1",
            "yuv420p",
            {"chroma_sample_location": "topleft", "svtav1-params": "tile-columns=0"},
            "topleft",
        ),
        ("a.mkv", "ffv1", "gray", {}, None),
        ("a.mp4", "libx264", "yuv444p", {}, None),
    ],
)
def test_chroma_siting_is_seen(
    tmp_path: Path,
    name: str,
    codec: str,
    pix_fmt: str,
    options: dict[str, str],
    location: str | None,
) -> None:
    assert (
        probe(
            write_clip(
                tmp_path / name, frames=3, codec=codec, pix_fmt=pix_fmt, options=options
            )
        ).tags.chroma_location
        == location
    )


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "name"),
    [
        ("ffv1", "bgr0", "a.mkv"),
        ("rawvideo", "bgr24", "a.avi"),
        ("png", "rgba", "a.mov"),
        ("ffv1", "gbrp10le", "a.mkv"),
    ],
)
def test_rgb_becomes_bt709_and_says_so(
    tmp_path: Path, codec: str, pix_fmt: str, name: str
) -> None:
    """Red above blue, so that a picture upside down shows as well."""
    picture = np.zeros((22, 38, 3), np.uint8)
    picture[:11, :, 0] = picture[11:, :, 2] = 255
    path = write_clip(tmp_path / name, codec=codec, pix_fmt=pix_fmt, pictures=[picture])
    with VideoReader(probe(path)) as reader:
        frame = next(iter(reader))
        assert (reader.info.tags.range, reader.info.tags.matrix) == ("limited", 1)
    scale = 1 << (frame.format.bits - 8)
    for row, expected in ((3, (62.6, 102.3, 240.0)), (18, (31.8, 240.0, 117.7))):
        for plane, value in zip(frame.planes, expected, strict=False):
            assert abs(float(plane[row, 5]) / scale - value) < 1.2
    assert frame.alpha is None or (frame.alpha == frame.format.peak).all()


def test_packed_samples_are_unpacked_exactly(tmp_path: Path) -> None:
    source = av.VideoFrame(38, 22, "nv12")
    random = np.random.default_rng(0)
    content = [
        random.integers(0, 256, (plane.height, plane.line_size), np.uint8)
        for plane in source.planes
    ]
    for plane, values in zip(source.planes, content, strict=True):
        plane.update(values.tobytes())
    source.pts = 0
    source.time_base = Fraction(1, 25)
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream(
            "rawvideo", rate=25, options={"color_range": "pc"}
        )
        stream.width = 38
        stream.height = 22
        stream.pix_fmt = "nv12"
        container.mux(stream.encode(source))
    (frame,) = _frames(tmp_path / "a.mkv")
    luma = content[0][:, :38]
    chroma = content[1][:, :38]
    for found, expected in zip(
        frame.planes, (luma, chroma[:, ::2], chroma[:, 1::2]), strict=True
    ):
        assert np.array_equal(found, expected)


def test_rotation_is_seen(tmp_path: Path) -> None:
    assert probe(write_clip(tmp_path / "a.mp4", frames=3, rotation=90)).rotation == 90


def test_a_cut_video_beside_whole_audio_is_seen(tmp_path: Path) -> None:
    """All audio precedes the video in this file: its last packet of any kind is in time."""
    path = write_clip(tmp_path / "v.mp4", frames=75)
    both = tmp_path / "a.mp4"
    with (
        av.open(str(path)) as source,
        av.open(
            str(both),
            "w",
            options={"movflags": "+faststart", "max_interleave_delta": "1"},
        ) as out,
    ):
        video = out.add_stream_from_template(source.streams.video[0])
        sound: Any = out.add_stream("aac", rate=44100)
        sound.layout = "mono"
        for number in range(130):
            frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
            frame.planes[0].update(bytes(frame.planes[0].buffer_size))
            frame.sample_rate = 44100
            frame.pts = number * 1024
            out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = video
                out.mux(packet)
    assert completeness(probe(both)).missing == 0
    both.write_bytes(both.read_bytes()[: both.stat().st_size * 2 // 3])
    assert completeness(probe(both)).missing > 0.6


@pytest.mark.parametrize("suffix", [".mkv", ".webm", ".mp4"])
def test_a_still_picture_beside_long_sound_is_whole(
    tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"still{suffix}"
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream(
            "libvpx-vp9" if suffix == ".webm" else "libx264", rate=25
        )
        video.width = 64
        video.height = 48
        video.pix_fmt = "yuv420p"
        sound: Any = container.add_stream("libopus", rate=48000)
        sound.layout = "mono"
        container.mux(
            video.encode(
                av.VideoFrame.from_ndarray(
                    np.full((72, 64), 128, np.uint8), format="yuv420p"
                )
            )
        )
        container.mux(video.encode(None))
        for number in range(150):
            samples = av.AudioFrame.from_ndarray(
                np.zeros((1, 960), np.float32), format="flt", layout="mono"
            )
            samples.sample_rate = 48000
            samples.pts = 960 * number
            samples.time_base = Fraction(1, 48000)
            container.mux(sound.encode(samples))
        container.mux(sound.encode(None))
    assert completeness(probe(path)).missing == 0
    assert len(list(VideoReader(probe(path)))) == 1


def test_raw_dv_runs_at_its_own_rate(tmp_path: Path) -> None:
    path = tmp_path / "tape.dv"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("dvvideo", rate=25)
        stream.width = 720
        stream.height = 576
        stream.pix_fmt = "yuv420p"
        for number in range(4):
            picture = av.VideoFrame.from_ndarray(
                np.full((864, 720), 100 + number, np.uint8), format="yuv420p"
            )
            picture.pts = number
            picture.time_base = Fraction(1, 25)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    assert probe(path).rate == 25


def test_reordered_frames_in_avi_stand_evenly(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "c.avi", options={"bf": "2"})
    times = [frame.time for frame in _frames(path)]
    assert len(times) == 30
    assert {after - before for before, after in pairwise(times)} == {Fraction(1, 25)}
    cut = [frame.time for frame in _frames(path, start=Fraction(1, 2))]
    assert cut == [time for time in times if time >= Fraction(1, 2)]
