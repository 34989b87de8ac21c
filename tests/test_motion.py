"""Motion compensation: right to a small part of a pixel, exact at rest, the same on any path."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from vsrcli.errors import BackendError
from vsrcli.frame import Plane
from vsrcli.models import MODELS, NEIGHBOUR_PLANES, PHASES
from vsrcli.picture import motion as motion_module
from vsrcli.picture.motion import MAX_SIDE_PX, Motion
from vsrcli.picture.resize import double, double_phase
from vsrcli.pipeline import network
from vsrcli.pipeline.network import WindowPlanes, Work

RADIUS = 2
MIDDLE = NEIGHBOUR_PLANES * RADIUS


def texture(height: int, width: int, seed: int = 0) -> NDArray[np.float64]:
    """A smooth random picture, 40..215."""
    noise = np.random.default_rng(seed).normal(size=(height, width))
    smooth = cv2.GaussianBlur(noise, (0, 0), 1.4)
    return np.asarray(
        40 + 175 * (smooth - smooth.min()) / (smooth.max() - smooth.min())
    )


def moved(
    picture: NDArray[np.float64], right: float, down: float
) -> NDArray[np.float64]:
    """The picture moved by any part of a pixel, exactly: it wraps around."""
    rows = np.fft.fftfreq(picture.shape[0])[:, None]
    columns = np.fft.fftfreq(picture.shape[1])[None]
    turn = np.exp(-2j * np.pi * (rows * down + columns * right))
    return np.asarray(np.fft.ifft2(np.fft.fft2(picture) * turn).real)


def codes(picture: NDArray[np.float64], bits: int = 8) -> Plane:
    scaled = np.rint(picture * (1 << (bits - 8)))
    return scaled.astype(np.uint8) if bits == 8 else scaled.astype(np.uint16)


def film(
    count: int, right: float, down: float, size: tuple[int, int] = (72, 96)
) -> list[Plane]:
    picture = texture(*size)
    return [codes(moved(picture, right * t, down * t)) for t in range(count)]


def planes_of(window: Sequence[Plane], bits: int = 8) -> Plane:
    motion = Motion(bits)
    return motion.planes(motion.window(window))


def joined(phases: Plane) -> Plane:
    """(4, H, W) phases as the picture of twice the size that they are samples of."""
    _, height, width = phases.shape
    picture = np.empty((2 * height, 2 * width), phases.dtype)
    for phase in range(PHASES):
        picture[phase // 2 :: 2, phase % 2 :: 2] = phases[phase]
    return picture


def neighbours(planes: Plane) -> list[Plane]:
    """The four neighbours' phases, joined."""
    starts = (0, NEIGHBOUR_PLANES, MIDDLE + 1, MIDDLE + 1 + NEIGHBOUR_PLANES)
    return [joined(planes[start : start + PHASES]) for start in starts]


@pytest.mark.parametrize("speed", [(0.3, -0.45), (1.6, 0.7), (-5.3, 2.8)])
def test_neighbours_are_sampled_where_the_finer_pixels_are(
    speed: tuple[float, float],
) -> None:
    window = film(5, *speed)
    inside = (slice(40, -40), slice(40, -40))
    expected = double(window[RADIUS])[inside].astype(float)
    for picture in neighbours(planes_of(window)):
        error = picture[inside] - expected
        assert np.sqrt(np.square(error).mean()) < 1.5
    at_rest = double(window[RADIUS + 1])[inside] - expected
    assert np.sqrt(np.square(at_rest).mean()) > 4, "the test moves too little to tell"


def distances(planes: Plane) -> Plane:
    """How far each neighbour is from frame t, (4, H, W)."""
    first = PHASES
    starts = [first, first + NEIGHBOUR_PLANES, MIDDLE + 1 + first]
    return planes[[*starts, MIDDLE + 1 + NEIGHBOUR_PLANES + first]]


@pytest.mark.parametrize(
    ("bits", "is_full_range", "black"), [(8, False, 16), (10, False, 64), (8, True, 0)]
)
def test_the_distance_from_frame_t_stands_above_black(
    bits: int, is_full_range: bool, black: int
) -> None:
    """Black at rest, in any codes; where the neighbour shows something else, that much more."""
    still = np.full((40, 40), 100 << (bits - 8), np.uint8 if bits == 8 else np.uint16)
    other = still + still.dtype.type(30 << (bits - 8))
    motion = Motion(bits, is_full_range=is_full_range)
    planes = distances(
        motion.planes(motion.window([still, still, still, other, still]))
    )
    assert (planes[[0, 1, 3]] == black).all()
    assert (planes[2] == black + (30 << (bits - 8))).all()


def test_a_large_distance_stays_a_code() -> None:
    black = np.full((40, 40), 0, np.uint16)
    white = np.full((40, 40), 1023, np.uint16)
    motion = Motion(10)
    planes = distances(
        motion.planes(motion.window([white, white, black, white, white]))
    )
    assert (planes == 1023).all()


def test_frame_t_comes_as_it_is() -> None:
    window = film(5, 0.7, 0.2)
    assert np.array_equal(planes_of(window)[MIDDLE], window[RADIUS])


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_a_picture_at_rest_is_doubled_exactly(bits: int) -> None:
    picture = codes(texture(40, 56), bits)
    peak = (1 << bits) - 1
    expected = double_phase(picture, 0.25, 0.25, peak=peak)
    copies = [picture, picture.copy(), picture, picture.copy(), picture.copy()]
    for result in neighbours(planes_of(copies, bits)):
        assert np.array_equal(result, expected)


def test_what_is_at_rest_beside_motion_is_doubled_exactly() -> None:
    background = codes(texture(120, 160))
    window = []
    for t in range(5):
        frame = background.copy()
        frame[50:70, 60 + 3 * t : 80 + 3 * t] = codes(texture(20, 20, seed=1))
        window.append(frame)
    expected = double(background)
    is_far = np.ones(expected.shape, bool)
    is_far[80:160, 100:200] = False
    for picture in neighbours(planes_of(window)):
        assert np.array_equal(picture[is_far], expected[is_far])


def test_ten_bits_keep_their_finer_steps() -> None:
    picture = texture(64, 64)
    speeds = [moved(picture, 0.4 * t, 0.1 * t) for t in range(5)]
    coarse = planes_of([codes(each) for each in speeds]).astype(float)
    fine = planes_of([codes(each, 10) for each in speeds], 10)
    assert fine.dtype == np.uint16
    difference = fine / 4 - coarse
    assert np.abs(difference[:, 10:-10, 10:-10]).mean() < 0.6
    assert (fine % 4 != 0).any()


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 300), (300, 1), (2, 3), (7, 9), (16, 300), (33, 31)]
)
def test_sizes_of_any_kind(size: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    window = [random.integers(0, 256, size, dtype=np.uint8) for _ in range(5)]
    planes = planes_of(window)
    assert planes.shape == (1 + 4 * NEIGHBOUR_PLANES, *size)
    assert planes.dtype == np.uint8


def test_at_cuts_the_nearest_frame_stands_in() -> None:
    window = film(5, 0.6, 0.3)
    first, second, third, fourth, fifth = window
    whole = neighbours(planes_of(window))
    at_start = neighbours(planes_of([third, third, third, fourth, fifth]))
    assert np.array_equal(at_start[0], double(third))
    assert np.array_equal(at_start[1], double(third))
    assert np.array_equal(at_start[2], whole[2])
    assert np.array_equal(at_start[3], whole[3])
    one_left = neighbours(planes_of([second, second, third, third, third]))
    assert np.array_equal(one_left[0], whole[1])
    assert np.array_equal(one_left[1], whole[1])
    assert np.array_equal(one_left[3], double(third))
    assert not np.array_equal(whole[0], whole[1])
    assert first is window[0]


def test_the_result_depends_on_the_window_alone() -> None:
    frames = film(9, 0.8, -0.3)
    starts = range(5)
    alone = [planes_of(frames[start : start + 5]) for start in starts]
    motion = Motion(8)
    for start in reversed(starts):
        planes = motion.planes(motion.window(frames[start : start + 5]))
        assert np.array_equal(planes, alone[start])
    motion = Motion(8)
    windows = [motion.window(frames[start : start + 5]) for start in starts]
    with ThreadPoolExecutor(4) as pool:
        for planes, expected in zip(
            pool.map(motion.planes, windows), alone, strict=True
        ):
            assert np.array_equal(planes, expected)


def test_rows_padded_by_a_decoder_change_nothing() -> None:
    window = film(5, 0.5, 0.5)
    padded = [
        cast("Plane", np.pad(frame, ((0, 0), (0, 13)))[:, :-13]) for frame in window
    ]
    assert not padded[0].flags.c_contiguous
    assert np.array_equal(planes_of(padded), planes_of(window))
    upside_down: list[Plane] = [frame[::-1] for frame in window]
    copies = [cast("Plane", np.ascontiguousarray(frame)) for frame in upside_down]
    assert np.array_equal(planes_of(upside_down), planes_of(copies))


def test_pictures_too_large_for_it_are_refused_in_a_line() -> None:
    large = np.broadcast_to(np.uint8(90), (2, MAX_SIDE_PX + 1))
    with pytest.raises(
        BackendError, match=r"lite takes .* 16383 pixels .* 16384x2: use --model"
    ):
        WindowPlanes(MODELS["lite"]).plan([large] * 5, 8, False)
    largest = np.full((1, MAX_SIDE_PX), 90, np.uint8)
    window = [largest, largest.copy(), largest + np.uint8(9), largest, largest]
    assert planes_of(window).shape == (21, 1, MAX_SIDE_PX)


def test_a_long_film_is_not_remembered() -> None:
    motion = Motion(8)
    frames = film(60, 0.5, 0.2, (32, 32))
    for start in range(len(frames) - 4):
        motion.planes(motion.window(frames[start : start + 5]))
    assert len(motion._views) < 10


def test_the_flow_does_not_depend_on_threads() -> None:
    assert cv2.getNumThreads() == 1


def test_threads_are_no_more_than_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    window = film(5, 0.5, 0.2)
    for memory, expected in ((1 << 40, 5), (4 * 250 * window[0].nbytes, 2), (1000, 1)):
        monkeypatch.setattr(network, "motion_threads", lambda device: 5)
        monkeypatch.setattr(network, "machine_bytes", lambda memory=memory: memory)
        inputs = WindowPlanes(MODELS["lite"])
        works = ((number, inputs.plan(window, 8, False)) for number in range(3))
        assert [number for number, _ in inputs.make(works)] == [0, 1, 2]
        assert inputs.threads == expected


def test_no_window_is_no_work() -> None:
    def nothing() -> Generator[tuple[int, Work]]:
        yield from ()

    assert list(WindowPlanes(MODELS["lite"]).make(nothing())) == []


def test_what_opencv_cannot_do_is_said_in_a_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*given: object) -> None:
        raise cv2.error("Insufficient memory")

    monkeypatch.setattr(motion_module, "_search", fail)
    with pytest.raises(
        BackendError, match=r"failed at a 96x72 picture: Insufficient memory"
    ):
        planes_of(film(5, 0.5, 0.2))
