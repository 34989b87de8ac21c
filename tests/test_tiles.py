from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from vsrcli.errors import BackendError
from vsrcli.models import ModelSpec
from vsrcli.picture.tiles import MIN_CORE_PX, merge, plan, split, upscale_plane

Float = NDArray[np.float32]
sides = st.integers(1, 130)


def spec(halo: int, trim: int = 2, radius: int = 1) -> ModelSpec:
    return ModelSpec("fake", "none:None", 0, halo, (), "", radius=radius, trim=trim)


def local_operator(
    reach: int, trim: int = 2, frames: int = 3
) -> Callable[[Float], Float]:
    """A network in miniature, 2x: two zero-padded layers with a bias and a ReLU.

    All numbers are small integers, so that float32 sums are exact in any order and equality can be
    demanded. One output pixel depends on source pixels up to ``reach`` away, not all with the same
    weight. ``trim`` output pixels are left off per side.
    """
    first = reach // 2
    second = reach - reach // 2
    rng = np.random.default_rng(reach)

    def convolve(x: Float, radius: int) -> Float:
        """Cross-shaped, zero-padded; the arms' ends always count."""
        padded = np.pad(x, [(0, 0), (0, 0), (radius, radius), (radius, radius)])
        height, width = x.shape[-2:]
        result = 2 * x
        for weight, (dy, dx) in zip(
            (1, -2, 3, -1),
            ((0, radius), (radius, 0), (radius, 2 * radius), (2 * radius, radius)),
            strict=True,
        ):
            result = result + weight * padded[..., dy : dy + height, dx : dx + width]
        return np.asarray(result, np.float32)

    per_frame = rng.integers(-2, 3, frames).astype(np.float32) + 0.0
    per_frame[frames // 2] = 3
    phases = rng.integers(1, 4, (2, 2)).astype(np.float32)

    def run(x: Float) -> Float:
        assert x.dtype == np.float32
        assert x.shape[1] == frames
        assert x.flags.c_contiguous
        hidden = np.maximum(convolve(x, first) + 7, 0)
        mixed = (convolve(hidden, second) * per_frame[None, :, None, None]).sum(axis=1)
        doubled = np.kron(mixed, phases)
        return doubled[
            :, trim : doubled.shape[1] - trim, trim : doubled.shape[2] - trim
        ].astype(np.float32)

    return run


def picture(height: int, width: int, frames: int = 3) -> Float:
    return (
        np.random.default_rng(height * 1000 + width)
        .integers(0, 256, (frames, height, width))
        .astype(np.float32)
    )


@settings(deadline=None, max_examples=200)
@given(
    sides,
    sides,
    st.integers(0, 9),
    st.integers(0, 4),
    st.integers(0, 3),
    st.integers(1, 6000),
    st.integers(1, 9),
)
def test_tiled_equals_untiled(
    height: int,
    width: int,
    reach: int,
    spare: int,
    trim: int,
    max_pixels: int,
    edge: int,
) -> None:
    window = picture(height, width)
    run = local_operator(reach, trim)
    edge = max(edge, (trim + 1) // 2)
    whole = upscale_plane(
        window, run, spec(reach + spare, trim), max_pixels=None, edge_px=edge
    )
    tiled = upscale_plane(
        window, run, spec(reach + spare, trim), max_pixels=max_pixels, edge_px=edge
    )
    assert whole.shape == (2 * height, 2 * width)
    assert whole.dtype == tiled.dtype == np.float32
    assert np.array_equal(whole, tiled)


def test_a_halo_too_small_shows() -> None:
    """The oracle above is worth something only if it notices a lying spec."""
    window = picture(120, 100)
    run = local_operator(8)
    whole = upscale_plane(window, run, spec(8), max_pixels=None, edge_px=2)
    assert not np.array_equal(
        whole, upscale_plane(window, run, spec(7), max_pixels=4000, edge_px=2)
    )


def test_the_interior_is_the_networks_own_output() -> None:
    window = picture(20, 31)
    run = local_operator(3)
    result = upscale_plane(window, run, spec(3), max_pixels=None, edge_px=4)
    assert np.array_equal(result[6:-6, 6:-6], run(window[None])[0][4:-4, 4:-4])


def test_the_border_sees_the_reflected_picture_instead_of_zeros() -> None:
    window = np.full((3, 8, 9), 100, np.float32)
    result = upscale_plane(
        window, local_operator(3), spec(3), max_pixels=None, edge_px=4
    )
    assert all(
        (result[y::2, x::2] == result[y, x]).all() for y in (0, 1) for x in (0, 1)
    )


@settings(deadline=None)
@given(
    st.integers(1, 2000),
    st.integers(1, 2000),
    st.integers(1, 500_000),
    st.integers(0, 48),
    st.integers(0, 20),
)
def test_plans(height: int, width: int, max_pixels: int, halo: int, edge: int) -> None:
    tiles = plan(height, width, max_pixels, halo, edge)
    covered = 0
    for tile in tiles:
        fed = 1
        for source, core, length in zip(
            tile.source, tile.core, (height, width), strict=True
        ):
            assert 0 <= core.start < core.stop <= length
            assert source.start == max(core.start - halo, -edge) + edge
            assert source.stop == min(core.stop + halo, length + edge) + edge
            fed *= source.stop - source.start
        covered += (tile.core[0].stop - tile.core[0].start) * (
            tile.core[1].stop - tile.core[1].start
        )
        smallest = min(2 * MIN_CORE_PX + 2 * halo, height + 2 * edge) * min(
            2 * MIN_CORE_PX + 2 * halo, width + 2 * edge
        )
        assert len(tiles) == 1 or fed <= max(max_pixels, smallest)
    assert covered == height * width
    assert (len(tiles) == 1) == (
        (height + 2 * edge) * (width + 2 * edge) <= max_pixels
    ) or min(height, width) < 4 * MIN_CORE_PX
    if len(tiles) > 1 and max_pixels // (width + 2 * edge) >= 6 * halo + MIN_CORE_PX:
        assert all(tile.core[1] == slice(0, width) for tile in tiles)


def test_plans_by_hand() -> None:
    assert len(plan(720, 1280, None, 40)) == 1
    assert len(plan(720, 1280, 720 * 1280, 40)) == 1
    strips = plan(720, 1280, 1280 * 260, 40)
    assert [tile.core for tile in strips] == [
        (slice(180 * i, 180 * i + 180), slice(0, 1280)) for i in range(4)
    ]
    assert strips[1].source == (slice(140, 400), slice(0, 1280))
    assert any(tile.core[1].stop < 1280 for tile in plan(720, 1280, 200_000, 40))


def test_split_gives_views() -> None:
    padded = picture(200, 90)
    parts = list(split(padded, plan(200, 90, 9000, 8)))
    assert len(parts) > 1
    assert all(np.shares_memory(part, padded) for part in parts)


def test_refusals() -> None:
    window = picture(8, 8)
    with pytest.raises(ValueError, match="edge 0"):
        upscale_plane(window, local_operator(1), spec(1), max_pixels=None, edge_px=0)
    with pytest.raises(BackendError, match=r"\(20, 20\), not \(16, 16\)"):
        upscale_plane(
            window, local_operator(1, trim=0), spec(1), max_pixels=None, edge_px=1
        )
    with pytest.raises(ValueError, match="0x8"):
        plan(0, 8, None, 1)
    with pytest.raises(ValueError, match="argument"):
        merge([], plan(8, 8, None, 1), 8, 8, spec(1, trim=0))
