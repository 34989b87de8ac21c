"""``--strength``: network and interpolation mixed, exact at both ends, however it is made."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from clips import texture, write_clip
from fake import FakeBackend
from lossless import LOSSLESS, content

from vsrcli.backends import open_backend
from vsrcli.cli import _run
from vsrcli.decode.probe import probe
from vsrcli.decode.reader import VideoReader
from vsrcli.errors import OptionError, OutputError
from vsrcli.jobs.upscale import upscale
from vsrcli.models import MODELS
from vsrcli.options import BenchOptions, UpscaleOptions
from vsrcli.picture.color import affine
from vsrcli.picture.resize import double
from vsrcli.picture.tiles import MIN_CORE_PX
from vsrcli.pipeline.network import LumaNetwork

HALF = replace(LOSSLESS, strength=0.5, fps="source")


class _Sharpening(FakeBackend):
    """Doubles the contrast around middle gray: far from interpolation, and within one pixel."""

    def run(self, windows: Any) -> Any:
        return 2 * super().run(windows) - np.float32(125.5)


class _OfCodes(_Sharpening):
    """As a GPU does, it rounds by itself."""

    def run_codes(self, windows: Any, gain: float, offset: float, peak: int) -> Any:
        codes = (self.run(windows * np.float32(gain) + offset) - offset) / gain
        return np.clip(np.rint(codes), 0, peak).astype(windows.dtype)


def _window(bits: int = 8, size: tuple[int, int] = (60, 44)) -> Any:
    peak = (1 << bits) - 1
    height, width = size
    codes = np.random.default_rng(bits).integers(0, peak + 1, (5, height, width))
    return codes.astype(np.uint8 if bits == 8 else np.uint16)


def _upscaled(backend: FakeBackend, window: Any, bits: int, **options: Any) -> Any:
    return LumaNetwork(backend, **options).upscale(window, bits, is_full_range=False)


@pytest.mark.parametrize("bits", [8, 10, 16])
@pytest.mark.parametrize("is_full_range", [False, True])
@pytest.mark.parametrize("scale", ["limited", "full"])
@pytest.mark.parametrize("kind", [_Sharpening, _OfCodes])
def test_the_mixture_by_hand(
    kind: type[FakeBackend], scale: Any, is_full_range: bool, bits: int
) -> None:
    backend = kind(spec=replace(MODELS["delta"], trim=0))
    backend.luma_scale = scale
    window = _window(bits)
    network = LumaNetwork(backend, strength=0.3)
    result = network.upscale(window, bits, is_full_range)
    gain, offset = affine(bits, is_full_range, scale)
    values = window.astype(np.float64) * gain + offset
    padded = np.pad(values[2], 4, mode="reflect").astype(np.float32)
    sharpened = 2 * double(padded, "bilinear")[8:-8, 8:-8] - 125.5
    codes = (sharpened.astype(np.float64) - offset) / gain
    mixture = 0.3 * codes + 0.7 * double(window[2].astype(np.float32))
    peak = (1 << bits) - 1
    # float32 may round a tie, or a value close to one, the other way
    difference = result - np.clip(mixture, 0, peak)
    assert np.abs(difference).max() < (0.51 if bits <= 10 else 0.6)
    assert result.dtype == window.dtype
    assert result.min() == 0
    assert result.max() == peak


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_the_ends_are_exact(bits: int) -> None:
    backend = _Sharpening()
    window = _window(bits)
    network_alone = _upscaled(backend, window, bits)
    assert np.array_equal(_upscaled(backend, window, bits, strength=1), network_alone)
    backend.windows.clear()
    at_zero = _upscaled(backend, window, bits, strength=0)
    assert np.array_equal(at_zero, np.minimum(double(window[2]), (1 << bits) - 1))
    assert not np.array_equal(at_zero, network_alone)
    assert not backend.windows, "the network ran for nothing"


def test_nothing_is_rounded_before_the_mixture() -> None:
    """A network half a code above a flat frame, mixed with it by halves, stays below the tie."""

    class _Above(FakeBackend):
        def run(self, windows: Any) -> Any:
            return super().run(windows) + np.float32(0.9)

    flat = np.full((5, 40, 40), 90, np.uint8)
    assert (_upscaled(_Above(), flat, 8) == 91).all()
    assert (_upscaled(_Above(), flat, 8, strength=0.5) == 90).all()
    assert (_upscaled(_Above(), flat, 8, strength=0.6) == 91).all()


@pytest.mark.parametrize("strength", [0, 0.25, 0.9])
def test_reuse_and_tiles_change_nothing(strength: float) -> None:
    """A pixel that moves over a still picture: parts of it are computed, and the same comes out."""
    backend = _Sharpening()
    parts = LumaNetwork(backend, strength=strength)
    tiles = LumaNetwork(backend, strength=strength, tile=MIN_CORE_PX, reuse=False)
    whole = LumaNetwork(backend, strength=strength, reuse=False)
    window = _window(size=(300, 310))
    results = []
    for step in (0, 10, 20, 20, 20):
        window = window.copy()
        window[2, 150 + step, 150] ^= 255
        results.append(parts.upscale(window, 8, False))
        assert np.array_equal(results[-1], whole.upscale(window, 8, False)), step
        assert np.array_equal(results[-1], tiles.upscale(window, 8, False)), step
        repeated = parts.upscale(window.copy(), 8, False)
        assert np.array_equal(repeated, results[-1])
    assert (parts.reused > 0.3) == (strength > 0)
    assert not np.array_equal(results[0], results[1])


def test_a_real_network(tmp_path: Path) -> None:
    """Lite takes neighbours along their motion; at 0 none is sought."""
    backend = open_backend("torch", "lite", "video", device="cpu", precision=None)
    lumas = [texture(number, (48, 40)) for number in range(5)]

    def made(strength: float) -> Any:
        network = LumaNetwork(backend, strength=strength)
        planes, _ = network.inputs.plan(lumas, 8, is_full_range=False)()
        assert network.inputs.is_costly == (strength > 0)
        return network.upscale(planes, 8, is_full_range=False).astype(int)

    plain = double(lumas[2]).astype(int)
    full = made(1)
    assert np.array_equal(made(0), plain)
    for strength in (0.25, 0.5):
        expected = plain + strength * (full - plain)
        assert np.abs(made(strength) - expected).max() <= 1
    assert np.abs(full - plain).max() > 4


def _luma(path: Path) -> list[Any]:
    with VideoReader(probe(path)) as reader:
        return [frame.luma.copy() for frame in reader]


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le", "yuva420p"])
def test_a_run_of_plain_interpolation(
    pix_fmt: str, tmp_path: Path, fake: FakeBackend
) -> None:
    source = write_clip(tmp_path / "in.mkv", frames=6, codec="ffv1", pix_fmt=pix_fmt)
    options = replace(HALF, strength=0)
    report = upscale(source, tmp_path / "out.mkv", options)
    assert report.frames_out == 6
    assert not fake.windows
    peak = 1023 if pix_fmt.endswith("10le") else 255
    pairs = zip(_luma(tmp_path / "out.mkv"), _luma(source), strict=True)
    for large, small in pairs:
        assert np.array_equal(large, np.clip(double(small), 0, peak))


def test_full_range(tmp_path: Path, fake: FakeBackend) -> None:
    source = write_clip(
        tmp_path / "in.mkv", frames=4, codec="mjpeg", pix_fmt="yuvj420p"
    )
    assert probe(source).tags.is_full_range
    upscale(source, tmp_path / "out.mkv", replace(HALF, strength=0))
    for large, small in zip(_luma(tmp_path / "out.mkv"), _luma(source), strict=True):
        assert np.array_equal(large, double(small))


def test_a_folder_of_pictures(tmp_path: Path, fake: FakeBackend) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    for number in range(4):
        gray = texture(number, (64, 48))
        alpha = np.full_like(gray, 200)
        picture = np.dstack([gray, gray, gray, alpha])
        cv2.imwrite(str(frames / f"{number:03}.png"), picture)
    made: dict[float, Any] = {}
    for strength in (0.0, 0.5, 1.0):
        target = tmp_path / f"out{len(made)}"
        target.mkdir()
        upscale(frames, target, UpscaleOptions(strength=strength, fps="source"))
        files = sorted(target.iterdir())
        pictures: list[Any] = [cv2.imread(str(file), -1) for file in files]
        assert len(pictures) == 4
        made[strength] = np.stack(pictures).astype(int)
    middle = (made[0.0] + made[1.0]) / 2
    assert np.abs(made[0.5] - middle)[..., :3].max() <= 2
    assert np.array_equal(made[0.5][..., 3], made[1.0][..., 3])
    assert not np.array_equal(made[0.0], made[1.0])


class TestResume:
    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        return write_clip(tmp_path / "in.mkv", frames=24, gop=6)

    def _interrupted(self, source: Path, target: Path, options: UpscaleOptions) -> None:
        count = 0

        def on_progress(progress: object) -> None:
            nonlocal count
            count += 1
            if count == 14:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            upscale(source, target, options, on_progress=on_progress)

    def test_gives_the_same(
        self, source: Path, tmp_path: Path, fake: FakeBackend
    ) -> None:
        target = tmp_path / "out.mkv"
        self._interrupted(source, target, HALF)
        report = upscale(source, target, HALF)
        assert any("of 4 segments are there" in note for note in report.notes)
        upscale(source, tmp_path / "whole.mkv", replace(HALF, segment=0))
        assert content(target) == content(tmp_path / "whole.mkv")

    def test_of_another_strength_is_refused(
        self, source: Path, tmp_path: Path, fake: FakeBackend
    ) -> None:
        target = tmp_path / "out.mkv"
        self._interrupted(source, target, HALF)
        with pytest.raises(OutputError, match=r"--strength"):
            upscale(source, target, replace(HALF, strength=0.75))


def test_parallel_workers_give_the_same(moving_clip: Path, tmp_path: Path) -> None:
    options = replace(
        HALF, model="lite", domain="video", segment=0.4, end=Fraction(4, 5)
    )
    upscale(moving_clip, tmp_path / "one.mkv", options)
    upscale(moving_clip, tmp_path / "two.mkv", replace(options, devices="cpu*2"))
    assert content(tmp_path / "one.mkv") == content(tmp_path / "two.mkv")


def test_verification_passes(
    moving_clip: Path, tmp_path: Path, fake: FakeBackend
) -> None:
    for strength in (0, 0.5):
        options = replace(HALF, strength=strength, verify=True, strict=True)
        upscale(moving_clip, tmp_path / f"{strength}.mkv", options)


@pytest.mark.parametrize("strength", [-0.1, 1.01, float("nan"), float("inf")])
def test_other_strengths_are_refused(
    strength: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for options in (UpscaleOptions, BenchOptions):
        with pytest.raises(OptionError, match="plain interpolation"):
            options(strength=strength)
    assert _run(["upscale", "a.mp4", "b.mp4", "--strength", str(strength)]) == 2
    assert "--strength" in capsys.readouterr().err
