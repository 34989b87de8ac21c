"""Short names of encoders, the ranges of their options, and what ``--quality`` means."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import av
import numpy as np
import pytest
from clips import write_clip
from fake import FakeBackend

from vsrcli.cli import _run
from vsrcli.encode.encoder_table import ENCODERS, SHORT_NAMES
from vsrcli.encode.encoders import choose_encoder, encoder_settings, settled
from vsrcli.errors import OptionError
from vsrcli.jobs.assemble import AssembleReport, assemble
from vsrcli.jobs.extract import extract
from vsrcli.jobs.upscale import upscale
from vsrcli.options import AssembleOptions, EncoderOptions, UpscaleOptions
from vsrcli.options.encoder import Quality

_PICTURES = 4


def _is_here(codec: str) -> bool:
    try:
        return av.codec.Codec(codec, "w").is_encoder
    except ValueError:
        return False


def _chosen(**options: Any) -> EncoderOptions:
    encoder, _ = choose_encoder(
        EncoderOptions(**options), "out.mkv", bits=8, is_hdr=False
    )
    return encoder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoders")
    random = np.random.default_rng(5)
    noise = random.integers(0, 256, (200, 200), np.uint8)
    moving = [noise[n : n + 96, n : n + 128].copy() for n in range(_PICTURES)]
    write_clip(folder / "clip.mkv", codec="ffv1", pictures=moving)
    extract(folder / "clip.mkv", folder / "frames")
    return folder / "frames"


SOFTWARE = [codec for codec in ENCODERS if "nvenc" not in codec and "qsv" not in codec]


@pytest.mark.parametrize("codec", [name for name in SOFTWARE if _is_here(name)])
def test_every_encoder_follows_its_scale_in_silence(
    codec: str, pictures: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """From one end of the scale to the other the file shrinks, and nothing is printed."""
    scale = ENCODERS[codec].crf
    if scale is None:
        with pytest.raises(OptionError, match="no crf"):
            _chosen(codec=codec, crf=10)
        return
    sizes = []
    presets = ENCODERS[codec].preset
    for crf in (scale.low, (scale.low + scale.high) // 2, scale.high):
        target = tmp_path / f"{crf}.mkv"
        encoder = EncoderOptions(
            codec=codec, crf=crf, preset="ultrafast" if presets else None
        )
        assemble(pictures, target, AssembleOptions(encoder=encoder))
        with av.open(str(target)) as written:
            packets = [packet.size for packet in written.demux(video=0)]
        sizes.append(sum(packets))
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == len(sizes)
    for crf in (scale.low - 1, scale.high + 1):
        with pytest.raises(OptionError, match=f"--crf {crf:g} .* takes {scale.low:g} "):
            _chosen(codec=codec, crf=crf)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", [*SHORT_NAMES, "H.264", "svt-av1", "HEVC"])
def test_short_names_mean_the_tuned_encoders(name: str) -> None:
    if name == "aom" and not _is_here("libaom-av1"):
        with pytest.raises(
            OptionError, match=r"unknown video encoder 'aom'.*: mkv takes"
        ):
            _chosen(codec=name)
        return
    assert _chosen(codec=name).codec in ENCODERS


def test_crf_of_a_short_name_reaches_the_encoder(
    pictures: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("h264", "hevc", "vp9", "av1"):
        sizes = []
        for crf in (10, 40):
            target = tmp_path / f"{name}{crf}.mkv"
            encoder = EncoderOptions(codec=name, crf=crf, preset="ultrafast")
            assemble(pictures, target, AssembleOptions(encoder=encoder))
            sizes.append(target.stat().st_size)
        assert sizes[0] > 1.3 * sizes[1]
    assert capfd.readouterr() == ("", "")


def test_a_process_of_its_own_is_silent(pictures: Path, tmp_path: Path) -> None:
    """SVT-AV1 reads once in a process whether it may print, which other tests have said here."""
    environment = {
        name: value for name, value in os.environ.items() if name != "SVT_LOG"
    }
    arguments = ["assemble", str(pictures), str(tmp_path / "o.mkv"), "--codec", "av1"]
    ran = subprocess.run(
        [sys.executable, "-m", "vsrcli", *arguments, "-q"],
        env=environment,
        capture_output=True,
        check=True,
    )
    assert (ran.stdout, ran.stderr) == (b"", b"")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"crf": 99}, "libx264 takes 0 .best quality. to 51"),
        ({"codec": "av1", "crf": 0}, "libsvtav1 takes 1 "),
        ({"codec": "av1", "preset": "14"}, "a number from -2 to 13"),
        ({"codec": "vp9", "preset": "9"}, "a number from -8 to 8"),
        ({"preset": "--3"}, "no preset '--3'"),
        ({"extra": (("crf", "99"),)}, "-e crf=99 makes no sense"),
        ({"extra": (("crf", "low"),)}, "-e crf=low makes no sense"),
        ({"extra": (("preset", "warp"),)}, "-e preset=warp: libx264 has no preset"),
        ({"extra": (("profile", "warp"),)}, "libx264 has no profile 'warp'"),
        ({"codec": "ffv1", "crf": 9}, "omit --crf, it is lossless"),
        ({"codec": "prores", "crf": 9}, "-e profile=hq"),
        ({"codec": "libx264rgb", "crf": 9}, "ffmpeg -h encoder=libx264rgb"),
        ({"codec": "ffv1", "quality": "small"}, "for --quality small to set"),
        ({"codec": "mpeg4", "preset": "slow"}, "mpeg4 has no preset"),
        ({"codec": "libx256"}, "did you mean 'libx265'"),
    ],
)
def test_values_that_an_encoder_does_not_take(options: Any, says: str) -> None:
    with pytest.raises(OptionError, match=says) as caught:
        _chosen(**options)
    assert "\n" not in str(caught.value)


def test_a_bad_crf_is_refused_before_the_work(
    tmp_path: Path, fake: FakeBackend, moving_clip: Path
) -> None:
    options = UpscaleOptions(encoder=EncoderOptions(crf=52))
    with pytest.raises(OptionError, match="--crf 52"):
        upscale(moving_clip, tmp_path / "o.mp4", options)
    assert fake.windows == []
    assert list(tmp_path.iterdir()) == []


def test_quality_sets_what_is_not_given() -> None:
    assert encoder_settings(_chosen()) == {"crf": "16", "preset": "medium"}
    assert encoder_settings(_chosen(quality="balanced")) == encoder_settings(_chosen())
    assert encoder_settings(_chosen(quality="small", crf=30))["crf"] == "30"
    assert encoder_settings(_chosen(quality="high", preset="fast")) == {
        "crf": "12",
        "preset": "fast",
    }
    assert _chosen(codec="ffv1", quality="balanced").crf is None
    # what a run is known by
    assert _chosen(quality="small") == _chosen(crf=22, preset="slow")


@pytest.mark.parametrize("codec", [name for name in ENCODERS if ENCODERS[name].crf])
def test_levels_of_quality_are_in_order(codec: str) -> None:
    crfs = [
        settled(EncoderOptions(codec=codec, quality=quality)).crf
        for quality in get_args(Quality)
    ]
    assert None not in crfs
    assert crfs == sorted(set(crfs), key=float)  # type: ignore[arg-type]


def test_quality_makes_files_larger_and_smaller(pictures: Path, tmp_path: Path) -> None:
    sizes = []
    for quality in get_args(Quality):
        target = tmp_path / f"{quality}.mkv"
        encoder = EncoderOptions(quality=quality)
        assemble(pictures, target, AssembleOptions(encoder=encoder))
        sizes.append(target.stat().st_size)
    assert sizes[0] > 1.1 * sizes[1] > 1.2 * sizes[2]


def test_a_quality_that_is_asked_for_wins_over_a_crf_of_the_configuration(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[AssembleOptions] = []

    def take(*arguments: Any, **others: Any) -> AssembleReport:
        given.append(arguments[2])
        return AssembleReport("", "", 1, 1, "", "")

    monkeypatch.setattr("vsrcli.jobs.assemble.assemble", take)
    config = tmp_path / "vsr.toml"
    config.write_text("[assemble]\ncrf = 20\n")
    monkeypatch.setenv("VSR_CONFIG", str(config))
    arguments = ["assemble", str(pictures), str(tmp_path / "o.mkv"), "-q"]
    assert _run([*arguments, "--quality", "small"]) == 0
    assert _run(arguments) == 0
    assert _run([*arguments, "--quality", "small", "--crf", "30"]) == 0
    crfs = [options.encoder.crf for options in given]
    assert crfs == [None, 20, 30]


def test_the_page_of_containers_has_the_levels() -> None:
    page = Path(__file__).parent.parent / "docs" / "containers.md"
    row = next(line for line in page.read_text().splitlines() if "| libx264 |" in line)
    assert "| 12 slow / 16 medium / 22 slow |" in row
