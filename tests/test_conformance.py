"""What every network keeps on every backend: shape, tiles, halo, radius.

A new network or backend is covered once it is registered.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vsrcli.backends import BACKENDS, Backend, Float, open_backend
from vsrcli.models import MODELS, ModelSpec
from vsrcli.models.checkpoint import build, count_parameters, save
from vsrcli.models.weights import CheckpointInfo
from vsrcli.picture.tiles import upscale_plane

CASES = [(spec, name) for spec in MODELS.values() for name in BACKENDS]


@pytest.fixture(
    scope="module", params=CASES, ids=lambda case: f"{case[0].name}-{case[1]}"
)
def backend(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Backend:
    """A backend with a network of random weights that keep its values alive through all passes."""
    spec, name = request.param
    if name == "openvino":
        pytest.importorskip("openvino")
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    torch.manual_seed(7)
    network = build(spec)
    network.initialise()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.02)
    save(path, network, CheckpointInfo(spec.name, parameters=count_parameters(network)))
    return open_backend(name, str(path), None, device="cpu", precision="fp32")


def _window(spec: ModelSpec, height: int, width: int) -> Float:
    return (
        np.random.default_rng(height)
        .uniform(16, 235, (spec.planes, height, width))
        .astype(np.float32)
    )


@pytest.mark.parametrize("size", [(8, 8), (11, 9)])
def test_shape(backend: Backend, size: tuple[int, int]) -> None:
    spec = backend.spec
    result = backend.run(np.stack([_window(spec, *size)] * 2))
    assert result.shape == (2, *(spec.scale * side - 2 * spec.trim for side in size))
    assert result.dtype == np.float32
    np.testing.assert_allclose(result[0], result[1], atol=1e-3)


def test_tiled_equals_untiled(backend: Backend) -> None:
    window = _window(backend.spec, 2 * backend.spec.halo_px + 70, 10)
    whole = upscale_plane(window, backend.run, backend.spec, max_pixels=None, edge_px=4)
    areas: list[int] = []

    def counted(batch: Float) -> Float:
        areas.append(batch.shape[-1] * batch.shape[-2])
        return backend.run(batch)

    tiled = upscale_plane(
        window,
        counted,
        backend.spec,
        max_pixels=window[0].size * 2 // 3 + 2 * backend.spec.halo_px * 18,
        edge_px=4,
    )
    assert len(areas) > 1
    assert whole.std() > 1
    np.testing.assert_allclose(
        tiled, whole, atol=0 if backend.exact_parts else 1e-3, rtol=0
    )


def test_nothing_beyond_the_halo_matters_and_every_frame_does(backend: Backend) -> None:
    spec = backend.spec
    height = 2 * spec.halo_px + 12
    window = _window(spec, height, 12)
    middle = slice(
        spec.scale * (spec.halo_px + 1) - spec.trim,
        -(spec.scale * (spec.halo_px + 1) - spec.trim),
    )
    before = backend.run(window[None])[0, middle]
    beyond = window.copy()
    beyond[:, 0] = 0
    beyond[:, -1] = 255
    np.testing.assert_allclose(backend.run(beyond[None])[0, middle], before, atol=1e-3)
    for frame in range(spec.planes):
        changed = window.copy()
        changed[frame] = 255 - changed[frame]
        assert np.abs(backend.run(changed[None])[0, middle] - before).max() > 1e-2, (
            f"plane {frame} has no influence"
        )
