"""How long a network takes for a picture, timed on parts that are large enough to stand for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
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
# Of what a pixel costs in a part, at least so much is for the pixel itself.
_LEAST_SLOPE = 0.5
_LEAST_COST = 1e-12
_SHORT_SECONDS = 0.1
_SHORT_REPEATS = 3
_BITS = 8


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a picture that was timed.

    Attributes:
        pixels: that were fed, those of the mirrored edge included.
        seconds: a window took.
    """

    pixels: int
    seconds: float

    def costs_as_much_as(self, other: _Part) -> bool:
        """Whether a pixel costs about the same."""
        cost = other.seconds / other.pixels
        return abs(self.seconds / self.pixels - cost) <= _AGREEMENT * cost


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
        self._tiles = len(tiles)
        self._total = sum(tile.area for tile in tiles)
        self._random = np.random.default_rng(0)
        self._first: _Part | None = None

    def rough_seconds(self) -> float:
        """Seconds a picture, by a small part: rather too many."""
        first = self._first_part()
        return first.seconds / first.pixels * self._total

    def seconds(self, budget: float) -> float:
        """Seconds a picture, by parts of growing size until the cost of a pixel stays the same.

        Args:
            budget: seconds that the timing may take, more or less.
        """
        until = self._clock() + budget
        area = self._height * self._width
        part = self._first_part()
        before: _Part | None = None
        while part.pixels < (area if before is None else area * _ENOUGH):
            # a timing takes as long as some windows
            cost = part.seconds / part.pixels * (_FIRST_WINDOWS + 2)
            affordable = int((until - self._clock()) / max(cost, _LEAST_COST))
            larger = min(_GROWTH * part.pixels, area, affordable)
            if larger < min(2 * part.pixels, area):
                break
            before = part
            part = self._time_part(larger)
            if part.pixels >= _MIN_PIXELS and part.costs_as_much_as(before):
                break
        return self._extrapolated(part, before)

    def _extrapolated(self, part: _Part, before: _Part | None) -> float:
        """For whole pictures: a call costs something, and each pixel that is fed."""
        per_pixel = part.seconds / part.pixels
        if before is None or before.pixels >= part.pixels:
            return per_pixel * self._total
        slope = (part.seconds - before.seconds) / (part.pixels - before.pixels)
        slope = min(per_pixel, max(slope, per_pixel * _LEAST_SLOPE))
        per_call = part.seconds - slope * part.pixels
        return self._tiles * per_call + slope * self._total

    def _first_part(self) -> _Part:
        if self._first is None:
            self._first = self._time_part(_FIRST_PIXELS)
        return self._first

    def _time_part(self, pixels: int) -> _Part:
        """Time windows of about that many pixels."""
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
        return _Part(fed, median(timed[_FIRST_WINDOWS:]))

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
        if spec.group_frames != 1 or self._tiles > 1:
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
