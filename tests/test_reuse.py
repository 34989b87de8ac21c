"""What did not change is not computed again, and nobody can tell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import texture, write_clip
from fake import FakeBackend
from hypothesis import given, settings
from hypothesis import strategies as st

from vsrcli.backends import BACKENDS, CUDA_ONLY, open_backend
from vsrcli.media.reader import VideoReader
from vsrcli.models import MODELS
from vsrcli.options import EncoderOptions, UpscaleOptions
from vsrcli.picture.resize import double
from vsrcli.picture.reuse import Reuse
from vsrcli.picture.tiles import Tiler
from vsrcli.run.pipeline import UpscaleReport
from vsrcli.run.upscale import upscale, where_time_went

SPEC = replace(MODELS["delta"], halo_px=3)


def run(windows: Any) -> Any:
    """A local operator that sees one row above and below, and every frame."""
    run.rows += windows.shape[2]  # type: ignore[attr-defined]
    windows = windows.astype(np.float32)
    return double(windows.mean(axis=1) + windows[:, 0] / 3, "bilinear")[:, 2:-2, 2:-2].astype(np.float32)


def made(*, enabled: bool = True, max_pixels: int | None = None) -> Reuse:
    run.rows = 0  # type: ignore[attr-defined]
    return Reuse(Tiler(run, SPEC, max_pixels=max_pixels, edge_px=4), SPEC, exact_bands=True, enabled=enabled)


@settings(deadline=None, max_examples=60)
@given(
    changes=st.lists(st.one_of(st.none(), st.tuples(st.integers(0, 59), st.integers(1, 12), st.integers(0, 4))), min_size=1, max_size=8),
    max_pixels=st.sampled_from([None, 40 * 60]),
    seed=st.integers(0, 9),
)
def test_the_result_is_the_same_bit_for_bit(changes: list[tuple[int, int, int] | None], max_pixels: int | None, seed: int) -> None:
    random = np.random.default_rng(seed)
    window = random.integers(0, 255, (5, 60, 24)).astype(np.uint8)
    with_reuse, without = made(max_pixels=max_pixels), made(enabled=False, max_pixels=max_pixels)
    for change in changes:
        window = window.copy()
        if change is not None:
            row, rows, frame = change
            window[frame, row : row + rows] = random.integers(0, 255, window[frame, row : row + rows].shape)
        assert np.array_equal(with_reuse.upscale(window), without.upscale(window))
    assert with_reuse.rows_computed <= without.rows_computed == without.rows


def test_only_what_changed_is_computed() -> None:
    reuse = made()
    window = np.zeros((5, 200, 32), np.uint8)
    first = reuse.upscale(window)
    assert reuse.upscale(window.copy()) is first
    assert reuse.rows_computed == 200
    window = window.copy()
    window[3, 100] = 9
    second = reuse.upscale(window)
    # one row, and on both sides the halo twice
    assert reuse.rows_computed == 200 + 1 + 4 * SPEC.halo_px
    assert np.array_equal(second[:150], first[:150])
    assert not np.array_equal(second, first)
    window = window.copy()
    window[:, ::40] += 1
    reuse.upscale(window)
    assert reuse.rows_computed == 2 * 200 + 1 + 4 * SPEC.halo_px
    wider = made()
    wider.upscale(window)
    assert wider.upscale(np.zeros((5, 100, 40), np.uint8)).shape == (200, 80)


@pytest.mark.parametrize("name", [name for name in BACKENDS if name not in CUDA_ONLY])
@pytest.mark.parametrize("model", ["delta", "previous"])
def test_bands_of_a_picture_are_the_pictures_bits(model: str, name: str) -> None:
    """What the promise stands on: full-width bands come out of every backend as the whole picture does."""
    if name == "openvino":
        pytest.importorskip("openvino")
    backend = open_backend(name, model, "clean", device="cpu", precision=None)
    window = np.random.default_rng(1).integers(16, 235, (5, 300, 40)).astype(np.uint8)
    tiler = Tiler(lambda codes: backend.run(codes.astype(np.float32)), backend.spec, max_pixels=None)
    reuse, whole = (Reuse(tiler, backend.spec, exact_bands=backend.exact_bands, enabled=enabled) for enabled in (True, False))
    changes = ((0, 0), (0, 0), (0, 3), (131, 7), (290, 10), (160, 1))
    for row, rows in changes if backend.exact_bands else changes[:2]:
        window = window.copy()
        window[2, row : row + rows] ^= 8
        assert np.array_equal(reuse.upscale(window), whole.upscale(window)), (row, rows)
    assert reuse.rows_computed < 0.85 * whole.rows_computed or not backend.exact_bands


def test_a_screencast_costs_little(tmp_path: Path, fake: FakeBackend) -> None:
    """A blinking cursor on a still picture: most of the work is not done, the file is the same."""
    page = texture(0, (96, 400))
    pictures = []
    for number in range(30):
        picture = page.copy()
        picture[100:108, 40:44] = 250 if number // 10 % 2 else 20
        pictures.append(picture)
    source = write_clip(tmp_path / "in.mkv", pictures=pictures, codec="ffv1", pix_fmt="gray")
    reports = {}
    for reuse in (True, False):
        options = UpscaleOptions(fps="source", reuse=reuse, encoder=EncoderOptions(codec="ffv1"))
        reports[reuse] = upscale(source, tmp_path / f"{reuse}.mkv", options)
    assert reports[True].reused > 0.8
    assert reports[False].reused == 0
    for one, other in zip(*(VideoReader(tmp_path / f"{reuse}.mkv") for reuse in (True, False)), strict=True):
        assert np.array_equal(one.luma, other.luma)


def test_where_the_time_went(moving_clip: Path, tmp_path: Path, fake: FakeBackend) -> None:
    report = upscale(moving_clip, tmp_path / "o.mp4")
    assert set(report.stages) == {"decode", "network", "pictures", "encode", "waiting"}
    assert all(0 <= seconds < report.seconds for seconds in report.stages.values())
    assert report.stages["network"] == report.network_seconds > 0
    for slowest, says in (("network", "GPU"), ("encode", "--preset"), ("decode", "--hwaccel"), ("pictures", "cores")):
        shown = UpscaleReport("a", "b", "delta", None, 2, 2, "cpu", "torch", "fp32", seconds=9, stages={"network": 1, "encode": 1, "decode": 1, "pictures": 1})
        shown.stages[slowest] = 5
        assert f"the bottleneck is {slowest}" in where_time_went(shown)
        assert says in where_time_went(shown)
