"""What a source carries besides its pictures: carried, or named as lost before the work."""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, get_args

import av
import numpy as np
import pytest
from av.packet import PacketSideData, PktSideDataT
from av.sidedata.sidedata import Type
from boxes import box_of, edit_packets, element, scrambled, with_box, with_elements
from clips import write_clip
from fake import FakeBackend
from sources import make_source

from vsrcli.decode import metadata, sidedata
from vsrcli.decode.encryption import check_clear
from vsrcli.decode.probe import probe, probe_file
from vsrcli.decode.shape import needs_dolby_vision
from vsrcli.decode.stream_header import StreamHeader
from vsrcli.encode.hdr_options import hdr_settings, kept_hdr
from vsrcli.errors import InputError, OutputError
from vsrcli.frame import Hdr, MasteringDisplay, VideoInfo
from vsrcli.jobs.extract import extract
from vsrcli.jobs.upscale import upscale
from vsrcli.options import EncoderOptions, UpscaleOptions
from vsrcli.streams.stream_plan import plan_streams
from vsrcli.verification.verification_report import VerificationReport
from vsrcli.verification.verify import verify

OPTIONS = UpscaleOptions(
    fps="source",
    encoder=EncoderOptions(codec="libx264", preset="ultrafast", crf=10),
    verify=True,
    overwrite=True,
)
STRICT = replace(OPTIONS, strict=True)
_EXIF = b"Exif\0\0II*\0\x08\0\0\0\1\0\x0f\1\2\0\4\0\0\0Cam\0\0\0\0\0"
_OTHER_ENCODER = bytes(range(16))


class FakeFrame:
    """A decoded frame as far as the readers of side data look at it."""

    def __init__(self, **items: bytes) -> None:
        self.side_data = [_Item(name, content) for name, content in items.items()]
        self.width = 64
        self.height = 48
        self.pts = 5
        self.time_base = Fraction(1, 10)


class _Item(bytes):
    def __new__(cls, name: str, content: bytes) -> _Item:
        item: Any = super().__new__(cls, content)
        is_known = name in Type.__members__
        item.type = Type[name] if is_known else Type(int(name[1:]))
        return item  # type: ignore[no-any-return]


def lost(**items: bytes) -> list[str]:
    frame: Any = FakeFrame(**items)
    return list(metadata.uncarried_by(frame))


def texts(report: VerificationReport) -> dict[str, str]:
    return {check.name: check.text for check in report.checks}


def failed(source: Path, target: Path, options: UpscaleOptions = OPTIONS) -> list[str]:
    report = verify(source, target, replace(options, verify=False))
    return [check.name for check in report.failed]


@pytest.fixture(scope="module")
def with_sound(tmp_path_factory: pytest.TempPathFactory) -> VideoInfo:
    """64x48 with an audio track, in Matroska."""
    path = tmp_path_factory.mktemp("sound") / "in.mkv"
    return make_source(path, muxer="matroska", audio=("aac",), chapters=False)


# The closed list


def test_every_type_of_ffmpeg_is_in_the_list() -> None:
    """A new one in PyAV fails here: somebody has to decide what becomes of it."""
    by_content = {"STEREO3D", "AFD", "PANSCAN", "SEI_UNREGISTERED"}
    known = (
        metadata._CARRIED
        | metadata._HARMLESS
        | metadata._PHRASES.keys()
        | sidedata.DYNAMIC_HDR.keys()
        | by_content
    )
    assert {kind.name for kind in Type} <= known
    in_packets = (
        metadata._HARMLESS_IN_PACKETS
        | metadata._PACKET_PHRASES.keys()
        | {metadata._BLOCK_ADDITION}
    )
    of_sound = {
        "replay_gain",
        "audio_service_type",
        "jp_dual_mono",
        "iamf_mix_gain_param",
        "iamf_info_param",
        "iamf_recon_gain_info_param",
    }
    of_subtitles = {"subtitle_position", "webvtt_identifier", "webvtt_settings"}
    assert set(get_args(PktSideDataT)) == in_packets | of_sound | of_subtitles


def test_what_nobody_knows_counts_as_lost() -> None:
    assert lost(T31=_EXIF) == ["the EXIF metadata"]
    assert lost(T29=b"\1\0\0\0") == ["the other view (MV-HEVC)"]
    assert lost(T99=b"x") == ["side data that vsr does not know (TYPE_99)"]
    assert lost(ICC_PROFILE=b"x", T28=b"x") == [
        "the ICC profile",
        "the enhancement layer (LCEVC)",
    ]


@pytest.mark.parametrize(
    ("name", "content", "is_lost"),
    [
        ("AFD", b"\x08", False),
        ("AFD", b"\x0a", True),
        ("PANSCAN", bytes(24), False),
        ("PANSCAN", struct.pack("=3i6h", 1, 64 * 16, 48 * 16, *[0] * 6), False),
        ("PANSCAN", struct.pack("=3i6h", 1, 40 * 16, 48 * 16, *[0] * 6), True),
        ("SEI_UNREGISTERED", bytes.fromhex("dc45e9bde6d948b7962cd820d923eeef"), False),
        ("SEI_UNREGISTERED", _OTHER_ENCODER, True),
        ("STEREO3D", struct.pack("=9i", *[0] * 9), False),
        ("STEREO3D", struct.pack("=9i", 1, *[0] * 8), False),
        ("STEREO3D", struct.pack("=9i", 8, *[0] * 8), True),
        ("FILM_GRAIN_PARAMS", b"x", False),
        ("DYNAMIC_HDR_PLUS", b"x", True),
    ],
)
def test_the_content_decides(name: str, content: bytes, is_lost: bool) -> None:
    assert bool(lost(**{name: content})) == is_lost


def test_a_new_type_hides_nothing_else() -> None:
    light = struct.pack("=2I", 1000, 400)
    frame: Any = FakeFrame(T77=b"x", CONTENT_LIGHT_LEVEL=light)
    assert sidedata.hdr_metadata(frame).content_light == (1000, 400)


def exif_clip(path: Path) -> Path:
    """Motion JPEG with EXIF metadata in each frame."""
    plain = write_clip(
        path.with_name("plain.avi"), frames=3, codec="mjpeg", pix_fmt="yuvj420p"
    )
    size = struct.pack(">H", len(_EXIF) + 2)

    def add(number: int, packet: bytes) -> bytes:
        return packet[:2] + b"\xff\xe1" + size + _EXIF + packet[2:]

    return edit_packets(plain, path, add)


def test_exif_metadata_is_named(tmp_path: Path, fake: FakeBackend) -> None:
    source = exif_clip(tmp_path / "in.avi")
    assert probe(source).uncarried == ("the EXIF metadata",)
    report = upscale(source, tmp_path / "out.mkv", OPTIONS)
    assert any("the EXIF metadata is lost" in line for line in report.notes)
    with pytest.raises(OutputError, match="the EXIF metadata is lost"):
        upscale(source, tmp_path / "strict.mkv", STRICT)
    certificate = verify(source, tmp_path / "out.mkv", replace(OPTIONS, verify=False))
    assert not certificate.failed
    assert "EXIF" in texts(certificate)["side data"]


def test_what_begins_late_is_named_when_it_begins(
    tmp_path: Path, fake: FakeBackend, caplog: pytest.LogCaptureFixture
) -> None:
    plain = write_clip(tmp_path / "plain.ts", frames=6, options={"preset": "ultrafast"})
    message = b"\x06\x05\x18" + _OTHER_ENCODER + b"someone\1\x80"

    def add(number: int, packet: bytes) -> bytes:
        return packet if number < 4 else b"\0\0\1" + message + packet

    source = edit_packets(plain, tmp_path / "in.ts", add)
    assert probe(source).uncarried == ()
    with caplog.at_level(logging.WARNING):
        upscale(source, tmp_path / "out.mkv", OPTIONS)
    assert "s on, the user data in its bitstream is lost" in caplog.text
    certificate = verify(source, tmp_path / "out.mkv", replace(OPTIONS, verify=False))
    assert not certificate.failed
    assert "the user data in its bitstream" in texts(certificate)["side data"]
    assert failed(source, tmp_path / "out.mkv", STRICT) == ["side data"]
    with pytest.raises(InputError, match="the user data in its bitstream is lost"):
        upscale(source, tmp_path / "strict.mkv", STRICT)


def test_what_is_otherwise_later_is_named(
    with_sound: VideoInfo, caplog: pytest.LogCaptureFixture
) -> None:
    light = struct.pack("=2I", 1000, 400)
    views = struct.pack("=9i", 1, *[0] * 8)
    frame: Any = FakeFrame(CONTENT_LIGHT_LEVEL=light, STEREO3D=views)
    watch = metadata.MetadataWatch(with_sound, strict=False)
    with caplog.at_level(logging.WARNING):
        watch.check(frame)
        watch.check(frame)
    assert watch.late == [
        "that its pictures hold two views (left right)",
        "a content light level that differs from that of the first frames",
    ]
    assert len(caplog.records) == 2
    assert "from 0.500 s on, that its pictures hold two views" in caplog.text
    same = replace(with_sound, hdr=Hdr(None, (1000, 400)), stereo_mode="left_right")
    watch = metadata.MetadataWatch(same, strict=True)
    watch.check(frame)
    assert watch.late == []


# HDR and Dolby Vision

_ZERO = (Fraction(0), Fraction(0))
_DISPLAY = MasteringDisplay(
    red=(Fraction(17, 25), Fraction(8, 25)),
    green=(Fraction(53, 200), Fraction(69, 100)),
    blue=(Fraction(3, 20), Fraction(3, 50)),
    white=(Fraction(3127, 10_000), Fraction(329, 1000)),
    max_luminance=Fraction(1000),
    min_luminance=Fraction(1, 200),
)
_DARK = replace(_DISPLAY, max_luminance=Fraction(0), min_luminance=Fraction(0))
_WITHOUT_PRIMARIES = replace(_DISPLAY, red=_ZERO, green=_ZERO, blue=_ZERO, white=_ZERO)


@pytest.mark.parametrize("display", [_DARK, _WITHOUT_PRIMARIES])
def test_half_a_mastering_display_is_carried(
    tmp_path: Path, fake: FakeBackend, display: MasteringDisplay
) -> None:
    options = hdr_settings(Hdr(display), "libx264") | {"preset": "ultrafast"}
    source = write_clip(tmp_path / "in.mkv", frames=2, options=options)
    assert probe(source).hdr.mastering == display
    upscale(source, tmp_path / "out.mkv", STRICT)
    assert probe(tmp_path / "out.mkv").hdr.mastering == display
    plain = write_clip(tmp_path / "plain.mkv", frames=2)
    upscale(plain, tmp_path / "lost.mkv", OPTIONS)
    assert failed(source, tmp_path / "lost.mkv") == ["hdr"]
    assert failed(plain, tmp_path / "out.mkv") == ["hdr"]


def test_where_half_a_mastering_display_is_lost() -> None:
    hdr = Hdr(_DARK, (1000, 400))
    assert kept_hdr(hdr, "libsvtav1") == Hdr(None, (1000, 400))
    assert kept_hdr(hdr, "libx265") == hdr
    assert "mastering" not in hdr_settings(hdr, "libsvtav1")["svtav1-params"]
    assert kept_hdr(hdr, "ffv1") == Hdr()


def dovi_metadata(profile: int, full_range: int) -> bytes:
    """The beginning of FFmpeg's AVDOVIMetadata."""
    header = bytes([2, 0, 18, 0, profile, 0, 0, 0, 23, 1, full_range, 10, 10, 12])
    return struct.pack("=6Q", 48, 72, 80, 90, 10, 0) + header


@pytest.mark.parametrize(
    ("content", "needed"),
    [
        (dovi_metadata(0, 1), True),
        (dovi_metadata(0, 0), False),
        (dovi_metadata(1, 0), False),
        (dovi_metadata(0, 1)[:50], False),
        (b"", False),
        (struct.pack("=Q", 1 << 60), False),
    ],
)
def test_profile_5_is_known_by_its_frames(content: bytes, needed: bool) -> None:
    frame: Any = FakeFrame(DOVI_METADATA=content)
    assert sidedata.needs_dolby_vision(frame) == needed


@pytest.mark.parametrize(
    ("profile", "compatibility", "needed"),
    [(5, 0, True), (7, 6, False), (8, 1, False), (10, 0, True), (10, 1, False)],
)
def test_profile_5_is_known_by_its_container(
    profile: int, compatibility: int, needed: bool
) -> None:
    record = bytes([1, 0, profile << 1, 0x35, compatibility << 4]) + bytes(19)
    assert needs_dolby_vision(StreamHeader(((0x41ED, record),)), []) == needed
    assert not needs_dolby_vision(StreamHeader(((0x41ED, record[:3]),)), [])


def test_profile_5_in_mp4(tmp_path: Path) -> None:
    plain = tmp_path / "plain.mp4"
    with av.open(str(plain), "w") as container:
        stream: Any = container.add_stream("libx265", rate=25)
        stream.width = 64
        stream.height = 64
        stream.pix_fmt = "yuv420p10le"
        stream.codec_context.codec_tag = "hvc1"
        stream.options = {"x265-params": "log-level=none"}
        picture = av.VideoFrame(64, 64, "yuv420p10le")
        for packet in [*stream.encode(picture), *stream.encode(None)]:
            # of a single frame, libx265 says no decoding time
            packet.dts = packet.pts
            container.mux(packet)
    record = bytes([1, 0, 5 << 1, 0x35, 0]) + bytes(19)
    source = with_box(plain, tmp_path / "in.mp4", b"hvc1", box_of(b"dvcC", record))
    assert not probe(plain).needs_dolby_vision
    assert probe(source).needs_dolby_vision


def test_profile_5_is_warned_of(shared: Path, tmp_path: Path) -> None:
    source = shared / "data" / "faults" / "17_dolby_vision_profile5.hevc"
    if not source.is_file():
        pytest.skip("no file of Dolby Vision")
    with pytest.raises(OutputError, match=r"Dolby Vision alone \(profile 5\)"):
        upscale(source, tmp_path / "out.mp4", STRICT)
    with pytest.raises(InputError, match=r"Dolby Vision alone \(profile 5\)"):
        extract(source, tmp_path / "pictures")


def test_colours_of_dolby_vision_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake: FakeBackend
) -> None:
    source = write_clip(tmp_path / "in.mkv", frames=2)
    monkeypatch.setattr(
        "vsrcli.decode.probe.needs_dolby_vision", lambda header, frames: True
    )
    report = upscale(source, tmp_path / "out.mkv", replace(OPTIONS, verify=False))
    assert any("Dolby Vision alone (profile 5)" in line for line in report.notes)
    with pytest.raises(InputError, match="--luma extracts its luma"):
        extract(source, tmp_path / "pictures")
    with pytest.raises(InputError, match="name a video file as the output"):
        upscale(source, tmp_path / "folder", replace(OPTIONS, verify=False))


# Encryption

_KEY = "76a6c65c5ea762046bd749a2e632ccbb"
_ENCRYPTED = element(
    0x6D80,
    element(
        0x6240,
        element(0x5031, 0)
        + element(0x5032, 1)
        + element(0x5033, 1)
        + element(0x5035, element(0x47E1, 5)),
    ),
)


def remuxed(source: Path, target: Path, **options: str) -> Path:
    """Copy all streams into another container."""
    with (
        av.open(str(source)) as file,
        av.open(str(target), "w", options=options) as output,
    ):
        copies = {
            stream.index: output.add_stream_from_template(stream)
            for stream in file.streams
        }
        for packet in file.demux():
            if packet.size:
                packet.stream = copies[packet.stream_index]
                output.mux(packet)
    return target


def encrypted_mp4(source: Path, folder: Path) -> Path:
    return remuxed(
        source,
        folder / "in.mp4",
        encryption_scheme="cenc-aes-ctr",
        encryption_key=_KEY,
        encryption_kid=_KEY,
    )


def encrypted_mkv(source: Path, folder: Path) -> Path:
    return with_elements(source, folder / "in.mkv", tracks=(_ENCRYPTED,))


def scrambled_ts(source: Path, folder: Path) -> Path:
    return scrambled_stream(folder, 256)


def scrambled_stream(folder: Path, pid: int) -> Path:
    """MPEG-TS with one stream scrambled: 256 is its video, 257 its sound."""
    clear = folder / "clear.ts"
    make_source(clear, muxer="mpegts", audio=("aac",), chapters=False)
    target = folder / "in.ts"
    target.write_bytes(scrambled(clear.read_bytes(), {pid}))
    return target


@pytest.mark.parametrize("make", [encrypted_mp4, encrypted_mkv, scrambled_ts])
def test_encrypted_video_is_refused(
    with_sound: VideoInfo, tmp_path: Path, make: Callable[[Path, Path], Path]
) -> None:
    source = make(with_sound.path, tmp_path)
    with pytest.raises(InputError, match="its video is encrypted"):
        probe(source)


def test_encrypted_video_that_ffmpeg_cannot_open_is_no_damage(tmp_path: Path) -> None:
    source = tmp_path / "in.mp4"
    source.write_bytes(box_of(b"encv", box_of(b"sinf", bytes(8))))
    with pytest.raises(InputError, match="its video is encrypted"):
        probe(source)


def test_a_header_without_its_pieces_is_no_damage(tmp_path: Path) -> None:
    whole = tmp_path / "whole.mp4"
    flags = {"movflags": "frag_keyframe+empty_moov"}
    with av.open(str(whole), "w", options=flags) as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width = 32
        stream.height = 32
        picture = av.VideoFrame.from_ndarray(np.zeros((48, 32), np.uint8), "yuv420p")
        out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
    content = whole.read_bytes()
    source = tmp_path / "init.mp4"
    source.write_bytes(content[: content.index(b"moof") - 4])
    with pytest.raises(InputError, match=r"put the pieces of a stream together"):
        probe(source)


def test_encrypted_sound_is_left_out_and_named(
    with_sound: VideoInfo, tmp_path: Path, fake: FakeBackend
) -> None:
    mkv = with_elements(with_sound.path, tmp_path / "in.mkv", tracks=(b"", _ENCRYPTED))
    ts = scrambled_stream(tmp_path, 257)
    for source in (mkv, ts):
        info = probe(source)
        assert [stream.is_encrypted for stream in info.streams] == [False, True]
        plan = plan_streams(info, "out.mkv", "copy")[1]
        assert plan.loses
        assert plan.action == "drop"
        assert "encrypted" in plan.reason
    report = upscale(mkv, tmp_path / "out.mkv", OPTIONS)
    assert any("it is encrypted" in line for line in report.notes)
    mp4 = encrypted_mp4(with_sound.path, tmp_path)
    assert probe_file(mp4).streams[1].is_encrypted


def test_video_that_is_encrypted_later_on(with_sound: VideoInfo) -> None:
    packet: Any = av.Packet(b"x")
    packet.pts = 512
    check_clear(packet, with_sound)
    kind = get_args(PktSideDataT).index("encryption_info")
    information: Any = PacketSideData(kind, 8)  # type: ignore[call-arg]
    packet.set_sidedata(information)
    with pytest.raises(InputError, match=r"from \d+\.\d{3} s on: --end"):
        check_clear(packet, with_sound)


def test_clear_files_are_not_encrypted(with_sound: VideoInfo, tmp_path: Path) -> None:
    infos = [
        with_sound,
        probe(remuxed(with_sound.path, tmp_path / "out.mp4")),
        make_source(tmp_path / "out.ts", muxer="mpegts", chapters=False),
    ]
    for info in infos:
        assert not any(stream.is_encrypted for stream in info.streams), info.path


# No frame at all


def test_animated_webp_is_not_called_damaged(tmp_path: Path) -> None:
    path = tmp_path / "in.webp"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libwebp_anim", rate=25)
        stream.width = 64
        stream.height = 48
        stream.pix_fmt = "yuv420p"
        for number in range(3):
            content = np.full((48, 64, 3), 60 * number, np.uint8)
            picture = av.VideoFrame.from_ndarray(content, format="rgb24")
            container.mux(stream.encode(picture.reformat(format="yuv420p")))
        container.mux(stream.encode(None))
    with pytest.raises(InputError, match="does not decode this kind of webp") as caught:
        probe(path)
    assert "ANIM" in str(caught.value)
    assert "damaged" not in str(caught.value)


def test_damage_is_still_called_damage(tmp_path: Path) -> None:
    plain = write_clip(tmp_path / "plain.mkv", frames=2)
    broken = edit_packets(
        plain, tmp_path / "in.mkv", lambda number, packet: bytes(len(packet))
    )
    with pytest.raises(InputError, match="the file is damaged"):
        probe(broken)


# Alpha that means nothing


def animation(path: Path, codec: str, pix_fmt: str, alpha: int) -> Path:
    """Three pictures with alpha, opaque up to a corner of the last."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=25)
        stream.width = 64
        stream.height = 48
        stream.pix_fmt = pix_fmt
        for number in range(3):
            content = np.full((48, 64, 4), 255, np.uint8)
            content[:, :, :3] = 60 * number + np.arange(64)[None, :, None]
            if number == 2:
                content[:8, :8, 3] = alpha
            picture = av.VideoFrame.from_ndarray(content, format="rgba")
            container.mux(stream.encode(picture.reformat(format=pix_fmt)))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("in.gif", "gif", "bgr8"),
        ("in.apng", "apng", "rgba"),
        ("in.mov", "png", "rgba"),
        ("gray.mov", "png", "ya8"),
    ],
)
def test_opaque_alpha_is_none(
    tmp_path: Path,
    fake: FakeBackend,
    name: str,
    codec: str,
    pix_fmt: str,
) -> None:
    source = animation(tmp_path / name, codec, pix_fmt, alpha=255)
    info = probe(source)
    assert not info.format.has_alpha
    assert info.format.has_chroma == (pix_fmt != "ya8")
    report = upscale(source, tmp_path / "out.mkv", OPTIONS)
    assert not any("alpha" in line for line in report.notes)
    assert failed(source, tmp_path / "out.mkv") == []


def test_alpha_that_is_seen_in_the_last_picture_stays(tmp_path: Path) -> None:
    source = animation(tmp_path / "in.apng", "apng", "rgba", alpha=100)
    assert probe(source).format.has_alpha


def test_verify_looks_at_alpha_itself(tmp_path: Path, fake: FakeBackend) -> None:
    """A codec of which nobody looks at all pictures beforehand."""
    opaque = animation(tmp_path / "opaque.mov", "qtrle", "argb", alpha=255)
    assert probe(opaque).format.has_alpha
    unverified = replace(OPTIONS, verify=False)
    upscale(opaque, tmp_path / "opaque.mkv", unverified)
    assert failed(opaque, tmp_path / "opaque.mkv") == []
    holed = animation(tmp_path / "holed.mov", "qtrle", "argb", alpha=0)
    upscale(holed, tmp_path / "holed.mkv", unverified)
    assert failed(holed, tmp_path / "holed.mkv") == ["alpha"]
