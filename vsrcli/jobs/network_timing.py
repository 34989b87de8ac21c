"""How long a network takes for a picture, timed on parts that are large enough to stand for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import sqrt
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrcli.backends import Backend
from vsrcli.models import ModelSpec
from vsrcli.picture.tiles import EDGE_PX, Tile, halo_of, plan
from vsrcli.pipeline.network import (
    LumaNetwork,
    WindowPlanes,
    available_cores,
    motion_threads,
)

Clock = Callable[[], float]

# A pixel of so small a part costs more than one of a picture: it only tells fast networks from slow
# ones.
_FIRST_PIXELS = 96 * 96
# Each part has so many times the pixels of the one before.
_GROWTH = 4
# Parts whose pixels cost the same within this share stand for the whole.
_AGREEMENT = 0.12
# A part is large enough for that from so many pixels on, or from this share of the picture on.
_MIN_PIXELS = 150 * 150
_ENOUGH = 0.25
# The first windows of a size are longer: libraries prepare themselves, and keep no features yet.
_FIRST_WINDOWS = 2
_SHORT_SECONDS = 0.1
_SHORT_REPEATS = 3
_BITS = 8


class NetworkTimer:
    """Times a network for pictures of one size, as they are fed to it: whole, or in tiles."""

    def __init__(
        self,
        backend: Backend,
        height: int,
        width: int,
        *,
        max_pixels: int | None = None,
        clock: Clock = time.perf_counter,
    ) -> None:
        """Time nothing yet.

        Args:
            backend: runs the network.
            height: of a picture, low-resolution pixels.
            width: the same.
            max_pixels: that are fed at once; None for what memory allows.
            clock: gives seconds.
        """
        self._backend = backend
        self._clock = clock
        self._halo = halo_of(backend.spec)
        limit = max_pixels or backend.max_pixels
        tiles = plan(height, width, limit, self._halo, EDGE_PX)
        self._height, self._width = _largest_size(tiles)
        self._is_whole = len(tiles) == 1
        self._total = sum(tile.area for tile in tiles)
        self._random = np.random.default_rng(0)
        self._first_cost: float | None = None

    def rough_seconds(self) -> float:
        """Seconds a picture, by a small part: rather too many."""
        return self._cost_of_first() * self._total

    def seconds(self, budget: float) -> float:
        """Seconds a picture, by parts of growing size until the cost of a pixel stays the same.

        Args:
            budget: seconds that the timing may take, more or less.
        """
        until = self._clock() + budget
        area = self._height * self._width
        pixels = min(_FIRST_PIXELS, area)
        cost = self._cost_of_first()
        while pixels < area * _ENOUGH:
            began = self._clock()
            larger = min(_GROWTH * pixels, area)
            # a timing takes as long as about four windows
            affordable = int((until - began) / (cost * (_FIRST_WINDOWS + 2)))
            larger = min(larger, max(affordable, pixels))
            if larger < 2 * pixels:
                break
            before = cost
            pixels = larger
            cost = self._cost(pixels)
            is_same = abs(cost - before) <= _AGREEMENT * before
            if is_same and pixels >= _MIN_PIXELS:
                break
        return cost * self._total

    def _cost_of_first(self) -> float:
        if self._first_cost is None:
            self._first_cost = self._cost(_FIRST_PIXELS)
        return self._first_cost

    def _cost(self, pixels: int) -> float:
        """Seconds for each pixel that is fed, by a part of about that many."""
        rows, columns = self._part_size(pixels)
        spec = self._backend.spec
        network = LumaNetwork(self._backend, reuse=False)
        window = self._noise(spec.planes, rows, columns)
        timed: list[float] = []
        repeats = 1
        while len(timed) < _FIRST_WINDOWS + repeats:
            began = self._clock()
            network.upscale(window, _BITS, False)
            timed.append(self._clock() - began)
            if timed[-1] < _SHORT_SECONDS:
                repeats = _SHORT_REPEATS
            window = self._next_window(window, spec)
        fed = plan(rows, columns, None, self._halo, EDGE_PX)[0].area
        return median(timed[_FIRST_WINDOWS:]) / fed

    def _part_size(self, pixels: int) -> tuple[int, int]:
        """(rows, columns) of a part, twice as wide as high where the picture is."""
        rows = min(self._height, max(1, round(sqrt(pixels / 2))))
        columns = min(self._width, max(1, round(pixels / rows)))
        rows = min(self._height, max(rows, round(pixels / columns)))
        return rows, columns

    def _next_window(self, window: NDArray[Any], spec: ModelSpec) -> NDArray[Any]:
        """A window with as many new frames as there are features to compute later in a film.

        A film moves on by a frame, which enters each role once. So each role gets one new frame;
        those of the others have been in the same place, and a backend that keeps features finds
        them. In tiles, nothing is kept.
        """
        following = self._noise(*window.shape)
        if spec.group_frames != 1 or not self._is_whole:
            return following
        last_of_role = {role: place for place, role in enumerate(spec.group_roles)}
        for place in range(len(spec.group_roles)):
            if place not in last_of_role.values():
                following[place] = window[place]
        return following

    def _noise(self, *shape: int) -> NDArray[Any]:
        return self._random.integers(16, 236, shape, dtype=np.uint8)


def motion_seconds(backend: Backend, height: int, width: int) -> float:
    """Seconds a picture for the motion that a network's planes need, beside everything else.

    Args:
        backend: runs the network.
        height: of a picture, low-resolution pixels.
        width: the same.
    """
    inputs = WindowPlanes(backend.spec, backend.device)
    if not inputs.is_costly:
        return 0.0
    shape = (backend.spec.frames + 1, height, width)
    film = list(np.random.default_rng(0).integers(16, 236, shape, dtype=np.uint8))
    # as in a film, what was computed of the other frames is kept
    inputs.plan(film[:-1], _BITS, False)()
    _, seconds = inputs.plan(film[1:], _BITS, False)()
    if backend.device == "cpu":
        return seconds / available_cores()
    return seconds / motion_threads(backend.device)


def _largest_size(tiles: list[Tile]) -> tuple[int, int]:
    """(rows, columns) of the largest tile, without the mirrored edge."""
    largest = max(tiles, key=lambda tile: tile.area)
    rows, columns = largest.source
    height = rows.stop - rows.start
    width = columns.stop - columns.start
    return max(1, height - 2 * EDGE_PX), max(1, width - 2 * EDGE_PX)
