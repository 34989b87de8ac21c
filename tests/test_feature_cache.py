"""Features of a group of frames serve every window that contains it, exact to the bit."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from vsrcli.backends import Float, open_backend
from vsrcli.backends.feature_cache import FeatureCache, _Entry
from vsrcli.decode.probe import probe
from vsrcli.decode.reader import VideoReader
from vsrcli.jobs.upscale import upscale
from vsrcli.models import MODELS, ModelSpec
from vsrcli.models.checkpoint import build, load
from vsrcli.models.layers import GroupedNetwork
from vsrcli.models.weights import locate
from vsrcli.options import EncoderOptions, UpscaleOptions

SPECS = [spec for spec in MODELS.values() if spec.group_frames]


def _film(count: int, height: int = 26, width: int = 34) -> Float:
    return (
        np.random.default_rng(2)
        .uniform(16, 235, (count, height, width))
        .astype(np.float32)
    )


def _windows(film: Float) -> list[Float]:
    """Five frames around each, the ends repeated, as `picture.windows` gives them."""
    return [
        film[np.clip(np.arange(at - 2, at + 3), 0, len(film) - 1)][None]
        for at in range(len(film))
    ]


@pytest.mark.parametrize("spec", MODELS.values(), ids=lambda spec: spec.name)
def test_the_spec_says_which_networks_see_groups(spec: ModelSpec) -> None:
    assert isinstance(build(spec), GroupedNetwork) == bool(spec.group_frames)
    assert len(spec.group_roles) == (
        spec.frames - spec.group_frames + 1 if spec.group_frames else 0
    )


@pytest.mark.parametrize("name", ["torch", "onnx", "openvino"])
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_a_film_has_the_bits_of_its_windows(spec: ModelSpec, name: str) -> None:
    if name == "openvino":
        pytest.importorskip("openvino")
    film = _film(8)
    film[4] = film[3]
    running = open_backend(
        name, spec.name, spec.domains[0], device="cpu", precision="fp32"
    )
    fresh = open_backend(
        name, spec.name, spec.domains[0], device="cpu", precision="fp32"
    )
    for window in _windows(film):
        found = running.run(window)
        # Nothing is known: everything is computed.
        fresh._feature_cache._entries.clear()  # type: ignore[attr-defined]
        assert np.array_equal(found, fresh.run(window))
    cache = running._feature_cache  # type: ignore[attr-defined]
    roles = spec.group_roles
    assert cache.requested == 8 * len(roles)
    # one a frame in each role, and those of the repeated ends
    assert cache.computed <= len(set(roles)) * (8 + 3)
    assert fresh._feature_cache.computed > 1.3 * cache.computed  # type: ignore[attr-defined]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_groups_make_the_picture_of_the_whole_network(spec: ModelSpec) -> None:
    path = locate(spec.name, spec.domains[0])
    network, _ = load(path)
    backend = open_backend("torch", str(path), None, device="cpu", precision="fp32")
    for window in _windows(_film(4)):
        with torch.inference_mode():
            whole = network(torch.from_numpy(window)[:, None])[:, 0].numpy()
        # several frames at once are added up in another order than one
        assert np.abs(backend.run(window) - whole).max() < 1e-3


def test_only_equal_groups_are_taken_for_equal() -> None:
    """Another sample, size, batch or role is another group; what is kept is a copy."""
    made: list[Float] = []

    def encode_group(role: int, frames: Float) -> float:
        made.append(frames.copy())
        return float(frames.sum())

    spec = replace(MODELS["delta"], group_frames=3, group_roles=(0,) * 3)
    cache = FeatureCache(
        spec, encode_group, lambda groups, middle: middle + np.float32(sum(groups))
    )
    window = np.zeros((1, 5, 4, 6), np.float32)
    cache.run(window)
    assert len(made) == 1
    window[0, 4, 3, 5] = 1
    assert cache.run(window).max() == 1
    assert len(made) == 2
    cache.run(window[:, :, :3])
    assert len(made) == 3
    cache.run(np.concatenate([window[:, :, :3]] * 2))
    assert len(made) == 4
    assert (cache.requested, cache.computed) == (12, 4)
    by_role = FeatureCache(
        MODELS["delta"],
        encode_group,
        lambda groups, middle: middle + np.float32(sum(groups)),
    )
    by_role.run(np.zeros((1, 5, 4, 6), np.float32))
    assert (by_role.requested, by_role.computed) == (5, 3)


def test_every_frame_is_seen_once_in_each_role() -> None:
    """Delta's t-2 was computed when it entered as t+2, and t-1 when it was t+1."""
    cache = FeatureCache(
        MODELS["delta"],
        lambda role, frames: frames.sum() + role,
        lambda groups, middle: middle + np.float32(sum(groups)),
    )
    windows = _windows(_film(40))[2:-2]
    for window in windows[:20]:
        cache.run(window)
    before = cache.computed
    for window in windows[20:]:
        cache.run(window)
    assert cache.computed - before == 3 * len(windows[20:])


def test_parts_of_a_picture_find_what_was_made_of_theirs() -> None:
    """As reuse asks: now the whole picture, now a few parts of it, two of one size."""
    cache = FeatureCache(
        MODELS["delta"],
        lambda role, frames: frames.sum() + role,
        lambda groups, middle: middle + np.float32(sum(groups)),
    )
    windows = _windows(_film(20))[2:-2]
    cache.run(windows[0])
    counts = []
    for window in windows:
        before = cache.computed
        for part in (
            (slice(0, 8), slice(0, 8)),
            (slice(9, 17), slice(20, 28)),
            (slice(18, 26), slice(0, 30)),
        ):
            cache.run(window[:, :, *part])
        counts.append(cache.computed - before)
    assert counts[0] == 3 * 5
    assert set(counts[5:]) == {3 * 3}
    assert (
        sum(entry.frames.size for entry in cache._entries) <= 15 * windows[0][0, 0].size
    )


@pytest.mark.parametrize("model", ["delta", "previous"])
def test_a_clip_comes_out_the_same(
    model: str, moving_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = UpscaleOptions(
        model=model,
        domain="clean",
        device="cpu",
        fps="source",
        end=Fraction(1, 3),
        encoder=EncoderOptions(codec="ffv1"),
    )
    upscale(moving_clip, tmp_path / "kept.mkv", options)
    monkeypatch.setattr(_Entry, "matches", lambda self, frames, role: False)
    upscale(moving_clip, tmp_path / "fresh.mkv", options)
    for kept, fresh in zip(
        *(VideoReader(probe(tmp_path / name)) for name in ("kept.mkv", "fresh.mkv")),
        strict=True,
    ):
        assert np.array_equal(kept.luma, fresh.luma)
