"""Metrics over whole sequences: order, counts, parity with FFmpeg's own program, its failures."""

from __future__ import annotations

import json
import math
import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from vsrcli.errors import BackendError, OptionError
from vsrcli.metrics.registry import sequence_metrics
from vsrcli.metrics.sequence import SEQUENCE_METRICS, SequenceScores
from vsrcli.metrics.vmaf import Vmaf
from vsrcli.metrics.warping import WarpingError

Clip = list[NDArray[np.float64]]
# odd on purpose: chroma is half of it
WIDTH = 131
HEIGHT = 97
FRAMES = 4
BOTH = ("vmaf", "vmaf_neg")


def texture(width: int, height: int, seed: int = 0) -> NDArray[np.float64]:
    noise = np.asarray(
        cv2.GaussianBlur(
            np.random.default_rng(seed).normal(size=(height, width)), (0, 0), 2
        ),
        np.float64,
    )
    codes: NDArray[np.float64] = np.clip(noise / noise.std() * 35 + 125, 16, 235)
    return codes


def moving(width: int = WIDTH, height: int = HEIGHT, frames: int = FRAMES) -> Clip:
    """A texture that moves by whole pixels, (3, 2) a frame."""
    whole = texture(width + 3 * frames, height + 2 * frames)
    return [whole[2 * i : 2 * i + height, 3 * i : 3 * i + width] for i in range(frames)]


def noisy(clip: Clip, strength: float) -> Clip:
    rng = np.random.default_rng(1)
    return [picture + strength * rng.normal(size=picture.shape) for picture in clip]


def blurred(clip: Clip, sigma: float) -> Clip:
    return [
        np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.float64)
        for picture in clip
    ]


def scores(
    names: Sequence[str], truth: Clip, pictures: Clip, rate: float = 25.0
) -> SequenceScores:
    found: SequenceScores = {}
    with ExitStack() as stack:
        metrics = sequence_metrics(names, truth[0].shape[1], truth[0].shape[0], rate)
        for metric in metrics:
            stack.enter_context(closing(metric))
        for pair in zip(truth, pictures, strict=True):
            for metric in metrics:
                metric.add(*pair)
        for metric in metrics:
            found |= metric.finish()
    return found


def ffmpeg() -> str:
    return str(pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe())


def write_y4m(path: Path, clip: Clip) -> Path:
    height, width = clip[0].shape
    chroma = bytes([128]) * (2 * ((width + 1) // 2) * ((height + 1) // 2))
    frames = (
        b"FRAME\n" + np.rint(picture).clip(0, 255).astype(np.uint8).tobytes() + chroma
        for picture in clip
    )
    path.write_bytes(
        f"YUV4MPEG2 W{width} H{height} F25:1 Ip A1:1 C420jpeg\n".encode()
        + b"".join(frames)
    )
    return path


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!{sys.executable}\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_every_name_gives_one_value_a_frame_in_the_order_asked_for() -> None:
    ffmpeg()
    pytest.importorskip("flip_evaluator")
    names = ("vmaf_neg", "xpsnr", "flip", "warp", "vmaf")
    metrics = sequence_metrics(names, WIDTH, HEIGHT, 25.0)
    assert [info.name for metric in metrics for info in metric.infos] == [
        "vmaf_neg",
        "vmaf",
        "xpsnr",
        "flip",
        "warp",
    ]
    for metric in metrics:
        metric.close()
    found = scores(names, moving(), noisy(moving(), 3))
    assert found.keys() == set(SEQUENCE_METRICS)
    assert {name: len(values) for name, (_, values) in found.items()} == dict.fromkeys(
        SEQUENCE_METRICS, FRAMES
    )
    for name, (mean, values) in found.items():
        assert math.isnan(values[0]) == (name == "warp")
        assert mean == pytest.approx(np.nanmean(values), rel=0.05)


def test_unknown_names_and_small_pictures_are_refused() -> None:
    ffmpeg()
    with pytest.raises(OptionError, match=r"'lpips'.*warp, vmaf"):
        sequence_metrics(("warp", "lpips"), 64, 64, 25.0)
    with pytest.raises(
        OptionError, match="VMAF needs at least 64 pixels a side, 80x63"
    ):
        sequence_metrics(("warp", "vmaf"), 80, 63, 25.0)
    with pytest.raises(OptionError, match="warping error needs at least 32"):
        sequence_metrics(("warp",), 31, 64, 25.0)
    with pytest.raises(
        OptionError, match="XPSNR needs at least 64 pixels a side, 63x64"
    ):
        sequence_metrics(("xpsnr",), 63, 64, 25.0)
    with pytest.raises(ValueError, match="0 frames a second"):
        sequence_metrics(("xpsnr",), 64, 64, 0)


@pytest.mark.parametrize("name", SEQUENCE_METRICS)
def test_other_shapes_and_empty_clips(name: str) -> None:
    if name in BOTH:
        ffmpeg()
    if name == "flip":
        pytest.importorskip("flip_evaluator")
    (metric,) = sequence_metrics((name,), WIDTH, HEIGHT, 25.0)
    with closing(metric):
        with pytest.raises(ValueError, match=r"made for \(97, 131\)"):
            metric.add(np.zeros((97, 131), np.float32), np.zeros((97, 130), np.float32))
        ((mean, values),) = metric.finish().values()
        assert math.isnan(mean)
        assert values == []
    metric.close()


def test_warping_error_of_a_moving_texture() -> None:
    truth = moving(200, 150)
    assert scores(("warp",), truth, truth)["warp"][0] < 0.005
    noise = [
        scores(("warp",), truth, noisy(truth, strength))["warp"][0]
        for strength in (2, 4, 8)
    ]
    # Both pictures bring noise of their own: twice its variance, on the squared scale 0..1,
    # times 1000.
    assert noise == pytest.approx(
        [2 * strength**2 / 255**2 * 1000 for strength in (2, 4, 8)], rel=0.05
    )
    flicker = [
        scores(
            ("warp",),
            truth,
            [picture + strength * (i % 2) for i, picture in enumerate(truth)],
        )["warp"][0]
        for strength in (1, 2, 4)
    ]
    assert flicker == pytest.approx(
        [strength**2 / 255**2 * 1000 for strength in (1, 2, 4)], rel=0.1
    )


def test_warping_error_of_a_constant_offset_is_that_of_the_truth() -> None:
    truth = moving(200, 150)
    assert scores(("warp",), truth, [picture + 7 for picture in truth])["warp"][
        0
    ] == pytest.approx(scores(("warp",), truth, truth)["warp"][0], abs=1e-4)


def test_warping_error_of_a_still_is_nought_and_a_cut_has_none() -> None:
    still = [texture(100, 80)] * 3
    mean, values = scores(("warp",), still, blurred(still, 1))["warp"]
    assert (mean, values[1:]) == (0.0, [0.0, 0.0])
    cut = [*still, texture(100, 80, seed=5), texture(100, 80, seed=5)]
    values = scores(("warp",), cut, cut)["warp"][1]
    assert [math.isnan(value) for value in values] == [True, False, False, True, False]


def test_warping_error_leaves_out_what_was_hidden() -> None:
    # A square that moves over a still ground uncovers a strip at each step. What a method paints
    # there is new, not flicker.
    ground = texture(200, 160)
    square = texture(60, 60, seed=3)
    truth = []
    pictures = []
    for number in range(3):
        left = 40 + 12 * number
        truth.append(ground.copy())
        truth[-1][50:110, left : left + 60] = square
        pictures.append(truth[-1].copy())
        if number:
            pictures[-1][54:106, left - 10 : left - 3] += 30
    values = scores(("warp",), truth[:2], pictures[:2])["warp"][1]
    painted = 52 * 7 * (30 / 255) ** 2 / (200 * 160) * 1000
    assert (
        values[1] < painted / 3 + scores(("warp",), truth[:2], truth[:2])["warp"][1][1]
    )


@pytest.mark.parametrize("size", [(WIDTH, HEIGHT), (128, 96)])
def test_vmaf_is_that_of_the_same_ffmpeg_from_files(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    program = ffmpeg()
    truth = moving(*size)
    pictures = noisy(blurred(truth, 1), 5)
    files = [
        write_y4m(tmp_path / "picture.y4m", pictures),
        write_y4m(tmp_path / "truth.y4m", truth),
    ]
    models = r"version=vmaf_v0.6.1\:name=vmaf|version=vmaf_v0.6.1neg\:name=vmaf_neg"
    command = [program, "-v", "error", "-i", files[0].name, "-i", files[1].name]
    command += [
        "-lavfi",
        f"[0:v][1:v]libvmaf=model='{models}':log_fmt=json:log_path=log.json",
        "-f",
        "null",
        "-",
    ]
    subprocess.run(command, check=True, cwd=tmp_path, stdin=subprocess.DEVNULL)
    log = json.loads((tmp_path / "log.json").read_text())
    found = scores(BOTH, truth, pictures)
    for name in BOTH:
        assert found[name][1] == pytest.approx(
            [frame["metrics"][name] for frame in log["frames"]], abs=2e-6
        )
        assert found[name][0] == pytest.approx(
            log["pooled_metrics"][name]["mean"], abs=2e-6
        )


def test_vmaf_falls_with_blur_and_neg_rewards_no_sharpening() -> None:
    ffmpeg()
    truth = moving()
    steps = [
        scores(BOTH, truth, pictures)
        for pictures in (
            truth,
            blurred(truth, 1),
            blurred(truth, 1.5),
            blurred(truth, 2),
        )
    ]
    for name in BOTH:
        means = [step[name][0] for step in steps]
        assert means[0] > 95
        assert means == sorted(means, reverse=True)
    soft = blurred(truth, 1.5)
    sharpened = [
        picture + 1.5 * (picture - again)
        for picture, again in zip(soft, blurred(soft, 1.5), strict=True)
    ]
    found = scores(BOTH, truth, sharpened)
    assert found["vmaf_neg"][0] < found["vmaf"][0] - 0.2


def test_a_long_clip_fits_through_the_pipe() -> None:
    ffmpeg()
    truth = moving() * 15
    assert len(scores(("vmaf",), truth, noisy(truth, 4))["vmaf"][1]) == 15 * FRAMES


def test_vmaf_without_its_package_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(BackendError, match=r"pip install 'vsrcli\[vmaf\]'"):
        sequence_metrics(("warp", "vmaf"), 64, 64, 25.0)


def test_ffmpeg_killed_midway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ffmpeg()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    metric = Vmaf(BOTH, WIDTH, HEIGHT)
    (truth, *_) = moving()
    metric.add(truth, truth)
    assert metric._process is not None
    assert list(tmp_path.iterdir())
    os.kill(metric._process.pid, signal.SIGKILL)
    with pytest.raises(BackendError, match=r"killed by signal 9 after \d+ frames"):
        for _ in range(50):
            metric.add(truth, truth)
    metric.close()
    metric.close()
    assert metric._process.returncode == -9
    assert not list(tmp_path.iterdir())


def test_closing_early_ends_ffmpeg(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ffmpeg()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    metric = Vmaf(BOTH, WIDTH, HEIGHT)
    (truth, *_) = moving()
    metric.add(truth, truth)
    metric.close()
    assert metric._process is not None
    assert metric._process.returncode is not None
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "import sys; sys.exit('No such filter: libvmaf')",
            "status 1 after .* frames: No such filter: libvmaf; it must be",
        ),
        ("import sys; sys.stdin.buffer.read()", "log cannot be read"),
        (
            "import sys; sys.stdin.buffer.read(); open('vmaf.json', 'w').write('{\"frames\": []}')",
            "VMAF scored 0 frames instead of 4",
        ),
    ],
    ids=["refuses", "no log", "loses frames"],
)
def test_an_ffmpeg_that_cannot_do_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    ffmpeg()
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(script(tmp_path / "ffmpeg", text)))
    with pytest.raises(BackendError, match=message):
        scores(("vmaf",), moving(), moving())


def test_an_ffmpeg_that_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ffmpeg()
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "nothing"))
    with pytest.raises(BackendError, match="nothing cannot be run for VMAF"):
        scores(("vmaf",), moving(), moving())


def test_xpsnr_weighs_by_the_truth_alone() -> None:
    # so twice the error is 20 log10(2) dB, whatever the weights are
    truth = [np.rint(picture) for picture in moving()]
    errors = [
        np.rint(picture) for picture in noisy([np.zeros_like(truth[0])] * FRAMES, 4)
    ]
    once, twice = (
        scores(
            ("xpsnr",),
            truth,
            [t + gain * e for t, e in zip(truth, errors, strict=True)],
        )["xpsnr"]
        for gain in (1, 2)
    )
    assert np.subtract(once[1], twice[1]) == pytest.approx(
        [20 * math.log10(2)] * FRAMES, abs=1e-3
    )
    roots = [10 ** (-value / 20) for value in once[1]]
    assert once[0] == pytest.approx(-20 * math.log10(sum(roots) / len(roots)))


def test_xpsnr_of_odd_heights_is_near_that_of_even_ones() -> None:
    tall = np.rint(np.random.default_rng(0).uniform(16, 200, (100, 130)))
    values = [
        scores(("xpsnr",), [tall[:height]], [tall[:height] + 3])["xpsnr"][0]
        for height in (96, 97, 98, 99)
    ]
    assert max(values) - min(values) < 0.1


@pytest.mark.parametrize("rate", [25, 50])
def test_xpsnr_is_that_of_another_ffmpeg_from_files(tmp_path: Path, rate: int) -> None:
    program = ffmpeg()
    truth = moving(322, 182, 5)
    filters = subprocess.run(
        [program, "-hide_banner", "-filters"],
        check=True,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    ).stdout
    if " xpsnr " not in filters:
        pytest.skip("this ffmpeg is older than 7.1")
    pictures = noisy(blurred(truth, 0.6), 3)
    command = [program, "-hide_banner"]
    for name, clip in (("truth.y4m", truth), ("picture.y4m", pictures)):
        command += ["-r", str(rate), "-i", write_y4m(tmp_path / name, clip).name]
    command += ["-lavfi", "[0:v][1:v]xpsnr=stats_file=log.txt", "-f", "null", "-"]
    subprocess.run(
        command, check=True, cwd=tmp_path, capture_output=True, stdin=subprocess.DEVNULL
    )
    *each, average = [
        float(line.partition("y:")[2].split()[0])
        for line in (tmp_path / "log.txt").read_text().splitlines()
        if "y:" in line
    ]
    mean, values = scores(("xpsnr",), truth, pictures, rate)["xpsnr"]
    assert values == pytest.approx(each, abs=1e-3)
    assert mean == pytest.approx(average, abs=1e-3)


def test_xpsnr_falls_with_noise_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    truth = moving()
    means = [
        scores(("xpsnr",), truth, noisy(truth, strength))["xpsnr"][0]
        for strength in (0, 1, 2, 4, 8)
    ]
    means[0] = scores(("xpsnr",), truth, truth)["xpsnr"][0]
    assert means[0] == math.inf
    assert means == sorted(means, reverse=True)
    one_differs = scores(("xpsnr",), truth, [*truth[:-1], truth[-1] + 3])["xpsnr"]
    assert [math.isinf(value) for value in one_differs[1]] == [True, True, True, False]
    assert math.isfinite(one_differs[0])
    assert not list(tmp_path.iterdir())


def test_warping_error_takes_views_and_both_float_types() -> None:
    views = [picture[10:-10, 10:-10] for picture in moving(120, 90)]
    single = [picture.astype(np.float32)[10:-10, 10:-10] for picture in moving(120, 90)]
    results = []
    for clip in (views, single):
        with closing(WarpingError(100, 70)) as metric:
            for picture in clip:
                metric.add(picture, picture)
            results.append(metric.finish()["warp"][0])
    assert results[0] == pytest.approx(results[1], abs=1e-6)


def test_flip_by_hand_and_order() -> None:
    """Nothing between equal pictures, all between black and white; limited range is expanded."""
    pytest.importorskip("flip_evaluator")
    black = np.full((HEIGHT, WIDTH), 16.0)
    white = np.full((HEIGHT, WIDTH), 235.0)
    picture = texture(WIDTH, HEIGHT)
    noisy = picture + np.random.default_rng(1).normal(0, 6, picture.shape)
    with ExitStack() as stack:
        (metric,) = (
            stack.enter_context(closing(each))
            for each in sequence_metrics(["flip"], WIDTH, HEIGHT, 25)
        )
        for truth, other in (
            (picture, picture),
            (black, white),
            (black, black - 16),
            (picture, noisy),
        ):
            metric.add(truth, other)
        mean, values = metric.finish()["flip"]
    assert values[0] == values[2] == 0
    assert values[1] > 0.9
    assert 0.02 < values[3] < 0.3
    assert mean == pytest.approx(np.mean(values))


def test_flip_without_its_package_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "flip_evaluator", None)
    with pytest.raises(BackendError, match=r"vsrcli\[flip\]"):
        sequence_metrics(["flip"], WIDTH, HEIGHT, 25)
