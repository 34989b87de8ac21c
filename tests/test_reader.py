"""Reading: every frame at its time from every container, odd pixel formats, trims, cuts, and damage noticed."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from vsrcli.errors import InputError
from vsrcli.frame import Frame
from vsrcli.media.probe import completeness, delivered_format, probe
from vsrcli.media.reader import VideoReader
from vsrcli.media.scenes import CutDetector


def _texture(number: int, size: tuple[int, int]) -> Any:
    rows, columns = np.mgrid[: size[1], : size[0]]
    return (110 + 50 * np.sin((rows + number) / 5) + 40 * np.sin((columns + 2 * number) / 7)).astype(np.uint8)


def _clip(
    path: Path,
    *,
    frames: int = 30,
    size: tuple[int, int] = (64, 48),
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    times: list[int] | None = None,
    muxer: str | None = None,
    scenes: int = 1,
    gop: int = 8,
) -> Path:
    """A moving pattern at 25 frames a second (or at ``times``, in milliseconds), its picture replaced at each new scene."""
    with av.open(str(path), "w", format=muxer, options={"movflags": "+faststart"} if path.suffix in (".mp4", ".mov") else {}) as container:
        stream: Any = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        stream.codec_context.gop_size = gop
        base = Fraction(1, 1000) if times else Fraction(1, 25)
        stream.codec_context.time_base = base
        for number in range(frames):
            luma = _texture(number, size)
            if scenes > 1 and number * scenes // frames % 2:
                luma = 255 - np.roll(luma[:, ::-1] // 2, 9, axis=0)
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(luma), format="gray").reformat(format=pix_fmt)
            picture.pts, picture.time_base = (times[number] if times else number), base
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def _plain(path: Path) -> list[Fraction]:
    """Frame times by PyAV alone."""
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0) if frame.pts is not None and frame.time_base is not None]


def _frames(path: Path, **options: Any) -> list[Frame]:
    with VideoReader(path, **options) as reader:
        return list(reader)


CONTAINERS = [(".mp4", "libx264"), (".mov", "libx264"), (".mkv", "libx264"), (".ts", "libx264"), (".webm", "libvpx-vp9"), (".avi", "mpeg4")]


@pytest.mark.parametrize(("suffix", "codec"), CONTAINERS)
def test_every_frame_at_its_time_and_nothing_missing(tmp_path: Path, suffix: str, codec: str) -> None:
    path = _clip(tmp_path / f"a{suffix}", codec=codec)
    with VideoReader(path) as reader:
        frames = list(reader)
        info, damage = reader.info, reader.damage
    assert len(frames) == 30
    assert [frame.time + info.start for frame in frames] == _plain(path)
    assert all((frame.time / info.time_base).denominator == 1 for frame in frames)
    assert not damage
    assert completeness(info).missing == 0
    # views stay what they were although decoding has gone on
    for number in (0, 15, 29):
        assert np.abs(frames[number].luma.astype(float) - (_texture(number, (64, 48)).astype(float) * 219 / 255 + 16)).mean() < 12


def test_wild_clips(shared: Path) -> None:
    for path in sorted((shared / "data" / "wild").iterdir()):
        with VideoReader(path) as reader:
            times = [frame.time + reader.info.start for frame in reader]
            assert times == _plain(path), path.name
            assert not reader.damage, path.name
            assert completeness(reader.info).missing == 0, path.name


def test_what_probe_sees_in_wild_clips(shared: Path) -> None:
    wild = shared / "data" / "wild"
    phone = probe(wild / "01_portrait_rot90_iphone.mov")
    assert (phone.width, phone.height, phone.rotation, phone.tags.range, phone.tags.matrix) == (568, 320, -90, "limited", 1)
    assert probe(wild / "03_roadtrip_vp9_10bit.webm").format.name == "yuv420p10le"
    assert probe(wild / "12_anamorphic_sar64_51.mp4").sample_aspect == Fraction(64, 51)
    tape = probe(wild / "14_bt601-525_480_interlaced_tff.mkv")
    assert tape.interlaced
    assert [stream.kind for stream in tape.streams] == ["video", "audio"]


def test_deinterlacing_keeps_every_frame_and_removes_combs(shared: Path) -> None:
    path = shared / "data" / "wild" / "14_bt601-525_480_interlaced_tff.mkv"
    woven, whole = _frames(path, end=Fraction(1), deinterlace=False), _frames(path, end=Fraction(1))
    assert [frame.time for frame in woven] == [frame.time for frame in whole]

    def combing(frames: list[Frame]) -> float:
        luma = np.stack([frame.luma for frame in frames]).astype(float)
        return float(np.abs(luma[:, 1:-1] - (luma[:, :-2] + luma[:, 2:]) / 2).mean())

    assert combing(whole) < 0.8 * combing(woven)


def test_variable_rate_is_exact(tmp_path: Path) -> None:
    times = [0, 33, 40, 100, 250, 251, 400, 433]
    frames = _frames(_clip(tmp_path / "a.mkv", frames=8, times=times))
    assert [frame.time * 1000 for frame in frames] == times


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize(("start", "end"), [(0, 10), (1, 2), (60, 75), (99, 400), (130, None), (None, 7)])
def test_ranges_are_exact_with_their_context(tmp_path: Path, suffix: str, start: int | None, end: int | None) -> None:
    path = _clip(tmp_path / f"a{suffix}", frames=150, size=(32, 32), gop=40)
    begin, stop = (None if value is None else Fraction(value, 25) for value in (start, end))
    everything = [frame.time for frame in _frames(path)]
    inside = [number for number, time in enumerate(everything) if (begin is None or time >= begin) and (stop is None or time < stop)]
    wanted = everything[max(0, inside[0] - 2) : inside[-1] + 3]
    assert [frame.time for frame in _frames(path, start=begin, end=stop, context=2)] == wanted
    assert [frame.time for frame in _frames(path, start=begin, end=stop)] == everything[inside[0] : inside[-1] + 1]


@pytest.mark.parametrize(
    ("stored", "delivered"),
    [
        ("nv12", "yuv420p"), ("nv16", "yuv422p"), ("p010le", "yuv420p10le"), ("yuyv422", "yuv422p"), ("rgb24", "yuv444p"), ("bgr0", "yuv444p"),
        ("pal8", "yuv444p"), ("gbrp10le", "yuv444p10le"), ("yuva420p", "yuv420p"), ("gray16le", "gray16le"), ("gray10be", "gray10le"),
        ("yuvj422p", "yuv422p"), ("yuv411p", "yuv411p"), ("monob", "gray"), ("yuv420p10be", "yuv420p10le"), ("rgba64le", "yuv444p16le"),
    ],
)  # fmt: skip
def test_delivered_formats(stored: str, delivered: str) -> None:
    assert delivered_format(stored).name == delivered


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "delivered"),
    [
        ("ffv1", "yuv420p10le", "yuv420p10le"), ("ffv1", "bgr0", "yuv444p"), ("rawvideo", "nv12", "yuv420p"),
        ("mjpeg", "yuvj420p", "yuv420p"), ("ffv1", "gray", "gray"),
    ],
)
def test_pixel_formats_arrive_with_their_values(tmp_path: Path, codec: str, pix_fmt: str, delivered: str) -> None:
    path = _clip(tmp_path / "a.mkv", frames=3, size=(37, 21) if codec == "ffv1" else (38, 22), codec=codec, pix_fmt=pix_fmt)
    with VideoReader(path) as reader:
        frame = next(iter(reader))
        assert frame.format.name == delivered
        assert reader.info.tags.range == ("full" if pix_fmt == "yuvj420p" else reader.info.tags.range)
    assert frame.luma.dtype == frame.format.dtype
    assert [plane.shape[::-1] for plane in frame.planes[1:]] == 2 * frame.format.has_chroma * [frame.format.chroma_size(frame.width, frame.height)]
    grey = _texture(0, (frame.width, frame.height)).astype(float)
    full = pix_fmt in ("yuvj420p", "gray")
    expected = (grey if full else grey * 219 / 255 + 16) * (4 if frame.format.bits == 10 else 1)
    assert np.abs(frame.luma.astype(float) - expected).mean() < 3 * (4 if frame.format.bits == 10 else 1)


def _tone(path: Path, cover: bool) -> Path:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libmp3lame" if path.suffix == ".mp3" else "aac", rate=44100)
        stream.layout = "mono"
        art: Any = None
        if cover:
            art = container.add_stream("png", rate=1)
            art.width, art.height, art.pix_fmt, art.disposition = 32, 32, "rgb24", av.stream.Disposition.attached_pic
        container.start_encoding()
        if cover:
            picture = av.VideoFrame(32, 32, "rgb24")
            picture.pts = 0
            container.mux(art.encode(picture))
            container.mux(art.encode(None))
        for number in range(20):
            frame = av.AudioFrame(format=stream.codec_context.format.name, layout="mono", samples=stream.codec_context.frame_size)
            frame.planes[0].update(bytes(frame.planes[0].buffer_size))
            frame.sample_rate, frame.pts = 44100, number * frame.samples
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
        path.write_bytes({"empty": b"", "text": b"hello " * 99, "random": np.random.default_rng(0).bytes(5000)}[kind])
    with pytest.raises(InputError) as caught:
        probe(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_colon_in_the_name_is_no_protocol(tmp_path: Path) -> None:
    assert len(_frames(_clip(tmp_path / "a:b.mkv", frames=3))) == 3


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_a_missing_end_is_seen_before_decoding(tmp_path: Path, suffix: str) -> None:
    path = _clip(tmp_path / f"a{suffix}", frames=75)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    found = completeness(probe(path))
    assert 0 < found.present < 2.5
    assert found.present + found.missing == pytest.approx(3, abs=0.1)
    with VideoReader(path) as reader:
        last = list(reader)[-1]
        assert last.time < 2.5
        # a Matroska stream promises nothing itself: only the check above sees it there
        assert reader.damage or suffix == ".mkv"


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_corrupt_packets_are_survived_and_counted(tmp_path: Path, suffix: str) -> None:
    path = _clip(tmp_path / f"a{suffix}", frames=60, gop=10)
    with av.open(str(path)) as container:
        spots = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size and packet.pos is not None]
    content = bytearray(path.read_bytes())
    for place, size in spots[20:30]:
        content[place + size // 3 : place + size] = np.random.default_rng(place).bytes(size - size // 3)
    path.write_bytes(content)
    with VideoReader(path) as reader:
        frames = list(reader)
        assert reader.damage.corrupt_packets + reader.damage.corrupt_frames > 0
        assert "corrupt" in str(reader.damage)
    assert len(frames) > 40
    with pytest.raises(InputError, match=r"damaged.*--strict"):
        _frames(path, strict=True)


@pytest.mark.parametrize("change", [{"size": (96, 48)}, {"pix_fmt": "yuv444p"}])
def test_a_change_in_mid_stream_is_an_error_that_says_when(tmp_path: Path, change: dict[str, Any]) -> None:
    parts = [_clip(tmp_path / "a.h264", frames=10, muxer="h264"), _clip(tmp_path / "b.h264", frames=10, muxer="h264", **change)]
    joined = tmp_path / "joined.h264"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    with pytest.raises(InputError, match=r"changes from 64x48 yuv420p to .* --end") as caught:
        _frames(joined)
    assert "x".join(map(str, change.get("size", (64, 48)))) in str(caught.value)


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le", "gray"])
@pytest.mark.parametrize("size", [(64, 48), (35, 9), (8, 8)])
def test_cuts_are_found_where_they_are(tmp_path: Path, pix_fmt: str, size: tuple[int, int]) -> None:
    path = _clip(tmp_path / "a.mkv", codec="ffv1", pix_fmt=pix_fmt, size=size, frames=40, scenes=4)
    found = [number for number, frame in enumerate(_frames(path)) if frame.scene_cut]
    if size == (8, 8):  # there the moving pattern itself changes every pixel at once
        assert {10, 20, 30} <= set(found)
    else:
        assert found == [10, 20, 30]


def test_cuts_between_real_scenes(shared: Path) -> None:
    """Sequences of seven frames joined: nearly every boundary found, nearly nothing else (exact figures: benchmarks/cuts.py)."""
    found = []
    with av.open(str(shared / "data" / "val.mp4")) as container:
        detector = None
        for frame in container.decode(video=0):
            detector = detector or CutDetector(frame)
            found.append(detector.is_cut(frame))
    cuts = np.arange(len(found)) % 7 == 0
    flags = np.array(found)
    assert flags[cuts][1:].mean() > 0.9  # some neighbours are of one source and look alike
    assert flags[~cuts].mean() < 0.03
