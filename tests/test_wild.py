"""Odd real files, through `upscale` with verification.

Another program looks at the outputs where one is installed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from fake import FakeBackend

from vsrcli.jobs.upscale import upscale
from vsrcli.options import EncoderOptions, UpscaleOptions

WILD = [
    "01_portrait_rot90_iphone.mov",
    "03_roadtrip_vp9_10bit.webm",
    "04_mpeg4asp_vfr_audio.avi",
    "06_stream_of_water_vp8_2997.webm",
    "12_anamorphic_sar64_51.mp4",
    "14_bt601-525_480_interlaced_tff.mkv",
]
# where the last part begins of those that are long
LAST_PARTS = {"14_bt601-525_480_interlaced_tff.mkv": Fraction(8)}
FAST = EncoderOptions(preset="ultrafast", crf=18.0)


def look(path: Path) -> dict[str, Any]:
    command = [
        "ffprobe",
        "-v",
        "error",
        "-of",
        "json",
        "-count_frames",
        "-show_streams",
        str(path),
    ]
    streams = json.loads(
        subprocess.run(command, capture_output=True, check=True).stdout
    )["streams"]
    return {stream["codec_type"]: stream for stream in streams}


@pytest.mark.parametrize("ending", ["mp4", "mkv", "webm", "ts"])
@pytest.mark.parametrize("name", WILD)
def test_every_frame_at_its_time(
    tmp_path: Path, fake: FakeBackend, shared: Path, name: str, ending: str
) -> None:
    source = shared / "data" / "wild" / name
    target = tmp_path / f"o.{ending}"
    # all of it in every container would take minutes: the whole goes into one, of a long clip
    # the last seconds
    is_whole = ending == "mkv"
    start = LAST_PARTS.get(name) if is_whole else None
    span: dict[str, Any] = {"start": start, "end": None if is_whole else Fraction(1)}
    report = upscale(
        source, target, UpscaleOptions(fps="source", verify=True, encoder=FAST, **span)
    )
    assert report.checks is not None
    assert report.checks["ok"]
    assert report.checks["worst_frame"]["psnr_db"] > 25
    if shutil.which("ffprobe") is None:
        return
    before = look(source)
    after = look(target)
    assert (int(after["video"]["width"]), int(after["video"]["height"])) == (
        2 * int(before["video"]["width"]),
        2 * int(before["video"]["height"]),
    )
    assert ("audio" in before) == ("audio" in after)
    if ending in ("mp4", "mkv", "ts") and "sample_aspect_ratio" in before["video"]:
        assert (
            after["video"].get("sample_aspect_ratio", "1:1")
            == before["video"]["sample_aspect_ratio"]
        )
    if is_whole and start is None:
        assert int(after["video"]["nb_read_frames"]) == int(
            before["video"]["nb_read_frames"]
        )


@pytest.mark.parametrize("name", WILD)
def test_at_a_constant_rate_and_cut(
    tmp_path: Path, fake: FakeBackend, shared: Path, name: str
) -> None:
    source = shared / "data" / "wild" / name
    options = UpscaleOptions(
        start=Fraction(37, 100), end=Fraction(3, 2), verify=True, encoder=FAST
    )
    report = upscale(source, tmp_path / "o.mp4", options)
    assert report.checks is not None
    assert report.checks["ok"]
