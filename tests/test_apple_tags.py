"""Tags of Apple's cameras in QuickTime and MP4, beside the common ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import write_clip
from fake import FakeBackend

from vsrcli.containers.table import container_of
from vsrcli.decode.probe import probe
from vsrcli.jobs.upscale import upscale
from vsrcli.options import EncoderOptions, UpscaleOptions
from vsrcli.streams.apple_tags import apple_tags
from vsrcli.streams.stream_plan import plan_streams
from vsrcli.streams.trial_mux import tags_that_fit
from vsrcli.verification.verify import verify

PHONE = {
    "com.apple.quicktime.creationdate": "2024-05-01T12:00:00+0200",
    "com.apple.quicktime.location.ISO6709": "+48.1371+011.5754+519.0/",
    "com.apple.quicktime.make": "Apple",
    "com.apple.quicktime.model": "iPhone 13",
}
COMMON = {"title": "A title", "artist": "Somebody", "comment": "said"}
OPTIONS = UpscaleOptions(
    fps="source",
    strict=True,
    verify=True,
    encoder=EncoderOptions(codec="libx264", preset="ultrafast"),
)


def _tagged(path: Path, tags: dict[str, str], *, movflags: str) -> Path:
    """A clip with tags."""
    plain = write_clip(path.with_name("plain.mkv"), frames=3)
    options = {"movflags": movflags} if movflags else {}
    with (
        av.open(str(plain)) as source,
        av.open(str(path), "w", options=options) as output,
    ):
        output.metadata.update(tags)
        copy = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = copy
                output.mux(packet)
    return path


@pytest.fixture
def phone(tmp_path: Path) -> Path:
    """A clip as a phone makes it, with common tags besides."""
    return _tagged(tmp_path / "phone.mov", PHONE | COMMON, movflags="use_metadata_tags")


@pytest.mark.parametrize("ending", ["mov", "mp4", "m4v"])
def test_apple_s_tags_are_kept(
    tmp_path: Path, fake: FakeBackend, phone: Path, ending: str
) -> None:
    """They "had no place" there; and --strict refused."""
    assert PHONE.items() <= probe(phone).metadata.items()
    target = tmp_path / f"out.{ending}"
    report = upscale(phone, target, OPTIONS)
    assert not [line for line in report.notes if "no place" in line]
    kept = probe(target).metadata
    assert (PHONE | COMMON).items() <= kept.items()
    # for programs that look for Apple's names only
    assert kept["com.apple.quicktime.title"] == COMMON["title"]
    assert verify(phone, target, OPTIONS).ok
    for name in ("com.apple.quicktime.make", "title"):
        lost = _without(target, tmp_path / f"lost.{ending}", name)
        checks = verify(phone, lost, OPTIONS).failed
        assert [check.name for check in checks] == ["metadata"]
        assert name in checks[0].text


def _without(path: Path, target: Path, name: str) -> Path:
    """The same file without a tag."""
    with (
        av.open(str(path)) as source,
        av.open(str(target), "w", options={"movflags": "use_metadata_tags"}) as output,
    ):
        tags = dict(source.metadata)
        del tags[name]
        output.metadata.update(tags)
        copy = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = copy
                output.mux(packet)
    return target


@pytest.mark.parametrize("ending", ["mov", "mp4"])
def test_common_tags_alone_are_written_as_ever(
    tmp_path: Path, fake: FakeBackend, ending: str
) -> None:
    """By four letters each, which every program reads."""
    source = _tagged(tmp_path / "in.mp4", COMMON, movflags="")
    target = tmp_path / f"out.{ending}"
    upscale(source, target, OPTIONS)
    assert COMMON.items() <= probe(target).metadata.items()
    content = target.read_bytes()
    assert b"\xa9nam" in content
    assert b"mdta" not in content


def test_through_matroska_and_back(
    tmp_path: Path, fake: FakeBackend, phone: Path
) -> None:
    """Matroska writes names in capitals; Apple does not know those."""
    upscale(phone, tmp_path / "between.mkv", OPTIONS)
    upscale(tmp_path / "between.mkv", tmp_path / "back.mov", OPTIONS)
    assert PHONE.items() <= probe(tmp_path / "back.mov").metadata.items()


def test_names_as_apple_spells_them() -> None:
    stored = apple_tags(
        {
            "COM.APPLE.QUICKTIME.LOCATION.ISO6709": "here",
            "COMMENT": "said",
            "location": "there",
            "Own": "x",
        }
    )
    assert stored == {
        "com.apple.quicktime.location.ISO6709": "here",
        "comment": "said",
        "location": "there",
        "Own": "x",
        "com.apple.quicktime.comment": "said",
    }


def test_which_tags_fit() -> None:
    tags = PHONE | {"own": "kept where names are"}
    assert tags_that_fit(container_of("o.mov"), tags) == tags
    assert tags_that_fit(container_of("o.mp4"), {"own": "lost"}) == {}
    assert tags_that_fit(container_of("o.avi"), tags) == {}


def test_a_cover_beside_apple_s_tags(tmp_path: Path, fake: FakeBackend) -> None:
    """FFmpeg's muxer writes a cover among tags of four letters, and these are not written."""
    picture = tmp_path / "cover.mkv"
    phone = _tagged(tmp_path / "in.mkv", PHONE, movflags="")
    with (
        av.open(str(phone)) as source,
        av.open(str(picture), "w") as output,
    ):
        output.metadata.update(source.metadata)
        copy = output.add_stream_from_template(source.streams.video[0])
        cover: Any = output.add_attachment("cover.png", "image/png", _png())
        assert cover is not None
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = copy
                output.mux(packet)
    info = probe(picture)
    fates = {
        suffix: next(
            plan
            for plan in plan_streams(info, f"o.{suffix}", "copy")
            if plan.stream.is_cover
        )
        for suffix in ("mp4", "mkv")
    }
    assert fates["mkv"].action == "attach"
    assert fates["mp4"].action == "drop"
    assert "beside Apple's tags: name the output .mkv" in fates["mp4"].reason


def _png() -> bytes:
    codec = av.CodecContext.create("png", "w")
    assert isinstance(codec, av.VideoCodecContext)
    codec.width = 16
    codec.height = 16
    codec.pix_fmt = "rgb24"
    frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), "rgb24")
    return b"".join(bytes(packet) for packet in codec.encode(frame))
