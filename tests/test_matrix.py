"""Pixel formats times containers and encoders, all through `upscale` with verification.

Another program looks at the files where one is installed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import texture
from fake import FakeBackend

from vsrcli.containers.table import container_of
from vsrcli.frame import PixelFormat
from vsrcli.jobs.upscale import upscale
from vsrcli.options import EncoderOptions, UpscaleOptions

FORMATS = [
    "yuv420p",
    "yuvj420p",
    "yuv422p",
    "yuv444p",
    "yuv440p",
    "yuv411p",
    "gray",
    "yuv420p10le",
    "yuv422p10le",
    "yuv444p12le",
    "gray16le",
    "yuva420p",
    "bgr0",
]
# ending, encoder, and the formats it keeps as they are
OUTPUTS: list[tuple[str, str, str]] = [
    ("mp4", "libx264", "yuv420p yuvj420p yuv422p yuv444p gray yuv420p10le yuv422p10le"),
    ("mov", "libx264", "yuv420p yuv422p yuv420p10le"),
    ("mkv", "libx264", "yuv420p yuvj420p yuv422p yuv444p"),
    ("ts", "libx264", "yuv420p yuv420p10le"),
    ("avi", "libx264", "yuv420p yuv444p"),
    ("mp4", "libx265", "yuv420p yuv422p yuv444p yuv420p10le yuv422p10le yuv444p12le"),
    ("mkv", "libx265", "yuv420p yuv420p10le yuv444p12le"),
    ("mp4", "libsvtav1", "yuv420p yuv420p10le"),
    ("webm", "libvpx-vp9", "yuv420p yuv422p yuv444p yuv440p yuva420p"),
    (
        "mkv",
        "ffv1",
        "yuv420p yuv422p yuv444p yuv440p yuv411p gray "
        "yuv420p10le yuv422p10le yuv444p12le gray16le yuva420p",
    ),
    ("mov", "prores_ks", "yuv422p10le"),
    ("nut", "rawvideo", "yuv420p yuv422p yuv444p yuv411p gray"),
]
ENDINGS = sorted({ending for ending, _, _ in OUTPUTS})
TIMES = (0, 40, 80, 120, 170, 240, 280, 300, 340, 400)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("matrix")
    return {pix_fmt: _source(folder / f"{pix_fmt}.mp4", pix_fmt) for pix_fmt in FORMATS}


def _source(path: Path, pix_fmt: str) -> Path:
    """Ten frames at uneven times with sound: BT.709, pixels of 4:3."""
    codec = "mjpeg" if pix_fmt == "yuvj420p" else "ffv1"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(
            codec,
            rate=25,
            options={"flags": "+qscale", "global_quality": "236"}
            if codec == "mjpeg"
            else {},
        )
        stream.width = 64
        stream.height = 48
        stream.pix_fmt = pix_fmt
        context = stream.codec_context
        context.time_base = Fraction(1, 1000)
        context.sample_aspect_ratio = Fraction(4, 3)
        is_yuv = not pix_fmt.startswith("bgr")
        if is_yuv:
            context.color_range = 2 if pix_fmt == "yuvj420p" else 1
            context.colorspace = 1
            context.color_primaries = 1
            context.color_trc = 1
        sound: Any = container.add_stream("aac", rate=48000)
        sound.layout = "mono"
        sent = 0
        for number, time in enumerate(TIMES):
            picture = (
                av.VideoFrame.from_ndarray(texture(3 * number, (64, 48)), format="gray")
                .reformat(format="yuv444p")
                .reformat(format=pix_fmt)
            )
            picture.pts = time
            picture.time_base = Fraction(1, 1000)
            container.mux(stream.encode(picture))
            while sent < (time + 40) * 48:
                tone = (0.1 * np.sin(np.arange(sent, sent + 1024) / 20)).astype(
                    np.float32
                )
                samples = av.AudioFrame.from_ndarray(
                    tone[None], format="fltp", layout="mono"
                )
                samples.sample_rate = 48000
                samples.pts = sent
                samples.time_base = Fraction(1, 48000)
                container.mux(sound.encode(samples))
                sent += 1024
        container.mux(stream.encode(None))
        container.mux(sound.encode(None))
    return path


@pytest.mark.parametrize("pix_fmt", FORMATS)
@pytest.mark.parametrize(
    ("ending", "codec", "kept"),
    OUTPUTS,
    ids=[f"{ending}-{codec}" for ending, codec, _ in OUTPUTS],
)
def test_verification(
    tmp_path: Path,
    fake: FakeBackend,
    sources: dict[str, Path],
    ending: str,
    codec: str,
    kept: str,
    pix_fmt: str,
) -> None:
    """What is announced is what happens; nothing else is lost."""
    target = tmp_path / f"o.{ending}"
    settings: dict[str, Any] = {"codec": codec}
    if codec.startswith("lib"):
        settings |= {"crf": 10.0, "preset": "ultrafast"}
    report = upscale(
        sources[pix_fmt],
        target,
        UpscaleOptions(fps="source", verify=True, encoder=EncoderOptions(**settings)),
    )
    assert report.checks is not None
    assert report.checks["ok"]
    lost = [
        line
        for line in report.notes
        if ("loses" in line or "RGB becomes" in line)
        and not ("aspect" in line or "colour tags" in line)
    ]
    if ending == "nut":
        assert any(
            "rawvideo in nut loses the colour tags" in line for line in report.notes
        )
    if pix_fmt in kept.split():
        assert lost == []
    layout = PixelFormat.parse(pix_fmt.replace("yuvj", "yuv"))
    _look(target, codec, pix_fmt, layout, kept=pix_fmt in kept.split())


def _look(
    target: Path, codec: str, pix_fmt: str, layout: PixelFormat | None, *, kept: bool
) -> None:
    """The same by FFmpeg's own program."""
    if shutil.which("ffprobe") is None:
        return
    command = [
        "ffprobe",
        "-v",
        "error",
        "-of",
        "json",
        "-count_packets",
        "-show_streams",
        str(target),
    ]
    streams = json.loads(
        subprocess.run(command, capture_output=True, check=True).stdout
    )["streams"]
    video, sound = (
        next(stream for stream in streams if stream["codec_type"] == kind)
        for kind in ("video", "audio")
    )
    assert (video["width"], video["height"]) == (128, 96)
    assert sound["codec_name"] in ("aac", "opus", "mp3", "ac3")
    container = container_of(target)
    if container.keeps_timestamps:
        assert int(video["nb_read_packets"]) == len(TIMES)
    if layout is not None and kept and "a" not in pix_fmt.removeprefix("gray"):
        found = PixelFormat.parse(video["pix_fmt"].replace("yuvj", "yuv"))
        assert found is not None
        assert (found.bits, found.log2_chroma_w, found.log2_chroma_h) == (
            layout.bits,
            layout.log2_chroma_w,
            layout.log2_chroma_h,
        ) or not layout.has_chroma
    if video["codec_name"] in (
        "h264",
        "hevc",
        "ffv1",
        "prores",
    ) and not pix_fmt.startswith("gray"):
        assert video["color_space"] == ("bt470bg" if pix_fmt == "yuvj420p" else "bt709")
        assert video.get("color_range", "tv") == (
            "pc" if pix_fmt == "yuvj420p" and codec != "prores_ks" else "tv"
        )
    if video["codec_name"] in ("h264", "hevc") or container.keeps_aspect:
        assert video["sample_aspect_ratio"] == "4:3"
