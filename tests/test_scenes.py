"""Scene cuts: found in any format, size, light and motion; not in motion, noise or fades."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import write_clip
from hypothesis import given, settings
from hypothesis import strategies as st

from vsrcli.decode.probe import probe
from vsrcli.decode.reader import VideoReader
from vsrcli.picture.scenes import CutDetector

SIZE = (96, 128)


def _scene(seed: int, frames: int, *, speed: int = 1) -> Any:
    """A soft random texture that moves, shape (frames, 96, 128), float, around 110."""
    noise = np.random.default_rng(seed).normal(size=(160, 160 + speed * frames))
    spectrum = np.fft.rfft2(noise) * np.exp(
        -300
        * (
            np.fft.fftfreq(noise.shape[0])[:, None] ** 2
            + np.fft.rfftfreq(noise.shape[1]) ** 2
        )
    )
    soft = np.fft.irfft2(spectrum, noise.shape)
    soft = 110 + 45 * soft / soft.std()
    height, width = SIZE
    pictures = []
    for number in range(frames):
        left = speed * number
        pictures.append(soft[number : number + height, left : left + width])
    return np.stack(pictures)


def _cuts(clip: Any, bits: int = 8) -> list[int]:
    detector = CutDetector()
    peak = (1 << bits) - 1
    dtype = np.uint8 if bits == 8 else np.uint16
    codes = np.rint(np.clip(clip, 0, 255) * peak / 255).astype(dtype)
    return [number for number, luma in enumerate(codes) if detector.is_cut(luma, bits)]


TWO_SCENES = np.concatenate([_scene(1, 10), _scene(2, 10)])
NOISE = np.random.default_rng(9).normal(0, 1, (20, *SIZE))


@pytest.mark.parametrize("bits", [8, 9, 10, 12, 14, 16])
def test_a_cut_between_scenes_of_one_brightness(bits: int) -> None:
    assert _cuts(TWO_SCENES, bits) == [10]


@pytest.mark.parametrize("gain", [0.5, 0.3, 0.15])
def test_a_cut_in_the_dark(gain: float) -> None:
    assert _cuts(16 + (TWO_SCENES - 16) * gain) == [10]


def test_a_cut_from_dark_to_bright_and_between_flat_pictures() -> None:
    assert _cuts(np.concatenate([TWO_SCENES[:10] * 0.3, TWO_SCENES[10:]])) == [10]
    assert _cuts(
        np.concatenate([np.full((5, *SIZE), 20.0), np.full((5, *SIZE), 120.0)])
    ) == [5]


def test_a_cut_amid_noise() -> None:
    assert _cuts(TWO_SCENES + 20 * NOISE) == [10]


def test_a_cut_amid_fast_motion_and_right_after_another() -> None:
    assert 10 in _cuts(
        np.concatenate([_scene(1, 10, speed=12), _scene(2, 10, speed=12)])
    )
    assert _cuts(np.concatenate([_scene(1, 10), _scene(2, 1), _scene(3, 9)])) == [
        10,
        11,
    ]


@pytest.mark.parametrize(
    "clip",
    [
        _scene(1, 20, speed=2),
        _scene(1, 20) + 20 * NOISE,
        np.full((20, *SIZE), 20) + 4 * NOISE,
        _scene(1, 25) * np.linspace(1, 0, 25)[:, None, None],
        _scene(1, 25) * np.linspace(1, 0, 25)[:, None, None]
        + _scene(2, 25) * np.linspace(0, 1, 25)[:, None, None],
        np.linspace(200, 10, 38)[:, None, None] + np.linspace(-3, 3, SIZE[1]),
    ],
    ids=[
        "pan",
        "noise",
        "dark noise",
        "fade to black",
        "cross-fade",
        "fade of a flat picture",
    ],
)
def test_no_cut_where_there_is_none(clip: Any) -> None:
    assert _cuts(clip) == []


def test_a_flash_separates_itself_only() -> None:
    clip = _scene(1, 20)
    clip[10] = 200 + clip[10] * 0.2
    assert _cuts(clip) == [10, 11]


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    bits=st.sampled_from([8, 10, 16]),
    seed=st.integers(0, 9),
)
def test_every_size_and_depth(height: int, width: int, bits: int, seed: int) -> None:
    kind: Any = np.uint8 if bits == 8 else np.uint16
    luma: Any = (
        np.random.default_rng(seed).integers(0, 1 << bits, (height, width)).astype(kind)
    )
    detector = CutDetector()
    assert detector.score(luma, bits) == 0
    assert detector.score(luma, bits) == 0
    assert detector.is_cut(
        luma // 4
        if luma.mean() > (1 << bits) / 2
        else (luma // 4 + ((3 << bits) >> 2)).astype(kind),
        bits,
    )
    # the same codes however they lie in memory
    assert CutDetector().score(np.asfortranarray(luma), bits) == 0


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le", "gray"])
@pytest.mark.parametrize("size", [(64, 48), (35, 9), (8, 8)])
def test_cuts_are_found_in_files(
    tmp_path: Path, pix_fmt: str, size: tuple[int, int]
) -> None:
    path = write_clip(
        tmp_path / "a.mkv",
        codec="ffv1",
        pix_fmt=pix_fmt,
        size=size,
        frames=40,
        scenes=4,
    )
    with VideoReader(probe(path)) as reader:
        assert [number for number, frame in enumerate(reader) if frame.scene_cut] == [
            10,
            20,
            30,
        ]


@pytest.mark.parametrize("gain", [1, 0.3])
def test_cuts_between_real_scenes(shared: Path, gain: float) -> None:
    """Sequences of seven frames joined: all boundaries found, also dark ones, and little else.

    Exact figures: benchmarks/cuts.py.
    """
    with av.open(str(shared / "data" / "val.mp4")) as container:
        clip = np.stack(
            [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
        )
    flags = np.zeros(len(clip), bool)
    flags[_cuts(16 + (clip.astype(np.float32) - 16) * gain)] = True
    cuts = np.arange(len(flags)) % 7 == 0
    assert (
        flags[cuts][1:].mean() > 0.97
    )  # some neighbours are of one source and look alike
    assert flags[~cuts].mean() < 0.005


def test_no_cut_in_wild_single_shots(shared: Path) -> None:
    clip = shared / "data" / "wild" / "06_stream_of_water_vp8_2997.webm"
    with VideoReader(probe(clip)) as reader:
        assert not [frame.time for frame in reader if frame.scene_cut]
