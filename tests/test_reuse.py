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

from vsrcli.backends import BACKENDS, open_backend
from vsrcli.decode.probe import probe
from vsrcli.decode.reader import VideoReader
from vsrcli.estimate.bottleneck import where_time_went
from vsrcli.jobs.upscale import upscale
from vsrcli.models import MODELS
from vsrcli.options import EncoderOptions, UpscaleOptions
from vsrcli.picture.reuse import CELL_PX, Part, Reuse, changed_parts
from vsrcli.picture.tiles import Tiler
from vsrcli.pipeline.network import LumaNetwork
from vsrcli.pipeline.upscale_report import UpscaleReport

SPEC = replace(MODELS["delta"], halo_px=3)


def run(windows: Any) -> Any:
    """An operator that sees as far as the halo, and every frame."""
    rows, columns = windows.shape[2:]
    mixed = np.pad(
        (
            windows.astype(np.float32)
            * np.arange(3, 8, dtype=np.float32)[:, None, None]
        ).sum(axis=1),
        ((0, 0), (3, 3), (3, 3)),
    )
    near = np.sqrt(
        sum(
            mixed[:, y : y + rows, x : x + columns] * np.float32(1 + y + 7 * x)
            for y in range(7)
            for x in range(7)
        )
    )
    return near.repeat(2, axis=1).repeat(2, axis=2)[:, 2:-2, 2:-2]


def made(
    *, enabled: bool = True, max_pixels: int | None = None, **settings: Any
) -> Reuse:
    return Reuse(
        Tiler(run, SPEC, max_pixels=max_pixels, edge_px=4),
        SPEC,
        **{"exact_parts": True, "enabled": enabled, **settings},
    )


@settings(deadline=None, max_examples=60)
@given(
    changes=st.lists(
        st.lists(
            st.tuples(
                st.integers(0, 119),
                st.integers(1, 12),
                st.integers(0, 149),
                st.integers(1, 20),
                st.integers(0, 4),
            ),
            max_size=3,
        ),
        min_size=1,
        max_size=6,
    ),
    max_pixels=st.sampled_from([None, 80 * 160, 60 * 60]),
    size=st.one_of(
        st.just((120, 150)), st.tuples(st.integers(1, 130), st.integers(1, 130))
    ),
    kind=st.sampled_from([np.uint8, np.uint16]),
    seed=st.integers(0, 9),
)
def test_the_result_is_the_same_bit_for_bit(
    changes: list[list[tuple[int, int, int, int, int]]],
    max_pixels: int | None,
    size: tuple[int, int],
    kind: type[np.uint8],
    seed: int,
) -> None:
    random = np.random.default_rng(seed)
    window = random.integers(0, 255, (5, *size)).astype(kind)
    with_reuse = made(max_pixels=max_pixels)
    without = made(enabled=False, max_pixels=max_pixels)
    for change in changes:
        window = window.copy()
        for row, rows, column, columns, frame in change:
            place = window[frame, row : row + rows, column : column + columns]
            place[...] = random.integers(0, 255, place.shape)
        assert np.array_equal(with_reuse.upscale(window), without.upscale(window))
    assert with_reuse.pixels_computed <= without.pixels_computed == without.pixels


def test_only_what_changed_is_computed() -> None:
    reuse = made()
    window = np.zeros((5, 200, 160), np.uint8)
    first = reuse.upscale(window)
    assert reuse.upscale(window.copy()) is first
    assert reuse.pixels_computed == window[0].size
    window = window.copy()
    window[3, 100, 3] = 9
    second = reuse.upscale(window)
    # one cell at the left edge, and around it the halo twice, in whole cells
    part = (CELL_PX + 2 * CELL_PX) * (CELL_PX + CELL_PX)
    assert reuse.pixels_computed == window[0].size + part
    assert np.array_equal(second[:150], first[:150])
    assert np.array_equal(second[:, 60:], first[:, 60:])
    assert not np.array_equal(second, first)
    window = window.copy()
    window[:, ::40] += 1
    reuse.upscale(window)
    assert reuse.pixels_computed == 2 * window[0].size + part
    wider = made()
    wider.upscale(window)
    assert wider.upscale(np.zeros((5, 100, 40), np.uint8)).shape == (200, 80)


@settings(deadline=None, max_examples=100)
@given(
    spots=st.lists(
        st.tuples(st.integers(0, 179), st.integers(0, 319), st.integers(1, 40)),
        min_size=1,
        max_size=6,
    ),
    halo=st.sampled_from([0, 9, 37]),
)
def test_parts_hold_all_that_a_change_reaches(
    spots: list[tuple[int, int, int]], halo: int
) -> None:
    changed, reached, covered = np.zeros((3, 180, 320), np.bool_)
    for row, column, side in spots:
        changed[row : row + side, column : column + side] = True
        reached[
            max(0, row - halo) : row + side + halo,
            max(0, column - halo) : column + side + halo,
        ] = True
    parts = changed_parts(changed, halo)
    for part in parts:
        covered[part.core] = True
        for core, source, length in zip(
            part.core, part.source, changed.shape, strict=True
        ):
            assert source.start <= max(0, core.start - halo)
            assert source.stop >= min(length, core.stop + halo)
            assert (source.stop - source.start) % CELL_PX in (0, length % CELL_PX)
    assert covered[reached].all()


def test_changes_far_from_each_other_are_parts_of_their_own() -> None:
    changed = np.zeros((720, 1280), np.bool_)
    changed[10, 10] = changed[700, 1270] = changed[350, 600:700] = True
    parts = changed_parts(changed, 37)
    assert len(parts) == 3
    assert sum(part.area for part in parts) < 0.15 * changed.size
    changed[...] = True
    assert [part.source for part in changed_parts(changed, 37)] == [
        (slice(0, 720), slice(0, 1280))
    ]


def test_a_machine_on_which_parts_differ_computes_whole_pictures() -> None:
    asked = []

    def disprove(lumas: Any, part: Part) -> bool:
        asked.append(part)
        return False

    reuse = made(prove=disprove)
    window = np.zeros((5, 200, 160), np.uint8)
    for value in range(4):
        window = window.copy()
        window[2, 100, 100] = value
        reuse.upscale(window)
    assert len(asked) == 1
    assert reuse.pixels_computed == reuse.pixels


class _Uneven(FakeBackend):
    """Its values depend a little on the size of the picture, as those of some libraries do."""

    def run(self, windows: Any) -> Any:
        return super().run(windows) + np.float32(windows.shape[-1] % 7 * 1e-5)


@pytest.mark.parametrize(
    ("backend", "reused"), [(FakeBackend(), True), (_Uneven(), False)]
)
def test_parts_are_held_against_the_whole_before_anything_is_rounded(
    backend: FakeBackend, reused: bool
) -> None:
    network = LumaNetwork(backend)
    window = np.full((5, 300, 300), 90, np.uint8)
    for value in range(3):
        window = window.copy()
        window[2, 150, 150] = value
        network.upscale(window, 8, is_full_range=False)
    assert (network.reused > 0.2) == reused


@pytest.mark.parametrize("name", ["onnx", "openvino"])
def test_a_real_backend_stands_the_proof(name: str) -> None:
    if name == "openvino":
        pytest.importorskip("openvino")
    network = LumaNetwork(
        open_backend(name, "lite", "clean", device="cpu", precision=None)
    )
    shape = (network.spec.planes, 150, 160)
    window = np.random.default_rng(2).integers(16, 235, shape).astype(np.uint8)
    for value in range(4):
        window = window.copy()
        window[network.spec.middle, 75, 75] = value
        network.upscale(window, 8, is_full_range=False)
    assert network.reused > 0.5


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("model", MODELS)
def test_parts_of_a_picture_are_the_pictures_bits(model: str, name: str) -> None:
    """What the promise stands on: any part comes out of a backend as the whole picture does."""
    if name == "openvino":
        pytest.importorskip("openvino")
    backend = open_backend(
        name, model, MODELS[model].domains[0], device="cpu", precision=None
    )
    size = (171, 190)
    spots = ((0, 3, 5, 9), (131, 7, 165, 8), (170, 1, 0, 60))
    if not backend.exact_parts:
        size = (40, 48)  # there are no parts: whole pictures alone come again
    elif model != "lite":
        # for the slow ones as little as keeps the corners parts of their own
        side = 3 * backend.spec.halo_px + 31
        size = (side, side + 3)
        spots = ((0, 3, 5, 9), (side - 9, 7, side - 10, 8), (side - 1, 1, 0, 12))
    shape = (backend.spec.planes, *size)
    window = np.random.default_rng(1).integers(16, 235, shape).astype(np.uint8)
    tiler = Tiler(
        lambda codes: backend.run(codes.astype(np.float32)),
        backend.spec,
        max_pixels=None,
    )
    reuse = Reuse(tiler, backend.spec, exact_parts=backend.exact_parts)
    assert reuse.upscale(window) is reuse.upscale(window.copy())
    if not backend.exact_parts:
        assert name == "torch" or (name, model) == ("openvino", "5-parallel")
        return
    for number, (row, rows, column, columns) in enumerate(spots, start=1):
        window = window.copy()
        window[backend.spec.middle, row : row + rows, column : column + columns] ^= 8
        found = reuse.upscale(window)
        # the corners do not overlap, so the last picture shows what was made of each
        if model == "lite" or number == len(spots):
            assert np.array_equal(found, tiler.upscale(window)), spots[:number]
    assert reuse.pixels_computed < 0.6 * reuse.pixels


def test_a_screencast_costs_little(tmp_path: Path, fake: FakeBackend) -> None:
    """A blinking cursor on a still picture: most of the work is not done, the file is the same."""
    page = texture(0, (96, 400))
    pictures = []
    for number in range(30):
        picture = page.copy()
        picture[100:108, 40:44] = 250 if number // 10 % 2 else 20
        pictures.append(picture)
    source = write_clip(
        tmp_path / "in.mkv", pictures=pictures, codec="ffv1", pix_fmt="gray"
    )
    reports = {}
    for reuse in (True, False):
        options = UpscaleOptions(
            fps="source", reuse=reuse, encoder=EncoderOptions(codec="ffv1")
        )
        reports[reuse] = upscale(source, tmp_path / f"{reuse}.mkv", options)
    assert reports[True].reused > 0.8
    assert reports[False].reused == 0
    for one, other in zip(
        *(VideoReader(probe(tmp_path / f"{reuse}.mkv")) for reuse in (True, False)),
        strict=True,
    ):
        assert np.array_equal(one.luma, other.luma)


@pytest.mark.parametrize("model", ["delta", "lite"])
def test_where_the_time_went(
    model: str, moving_clip: Path, tmp_path: Path, fake: FakeBackend
) -> None:
    """Motion compensation is a stage of the networks that have it, and of no other."""
    fake.spec = MODELS[model]
    report = upscale(moving_clip, tmp_path / "o.mp4")
    motion = {"lite": {"motion"}, "delta": set()}[model]
    assert (
        set(report.stages)
        == {"decode", "network", "pictures", "encode", "waiting"} | motion
    )
    for seconds in report.stages.values():
        assert 0 <= seconds < report.seconds
    assert all(report.stages[name] > 0 for name in motion)
    assert report.stages["network"] == report.network_seconds > 0
    ways_out = {
        "network": "--model lite",
        "encode": "--preset",
        "decode": "--hwaccel",
        "pictures": "cores",
        "motion": "without motion",
    }
    for slowest, says in ways_out.items():
        shown = UpscaleReport(
            "a", "b", "delta", None, 2, 2, "cpu", "torch", "fp32", seconds=9
        )
        shown.stages = dict.fromkeys(ways_out, 1.0)
        shown.stages[slowest] = 5
        assert f"the bottleneck is {slowest}" in where_time_went(shown)
        assert says in where_time_went(shown)
