"""Frames that show what a film looks like, each with its neighbours. Prints nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, pairwise

import numpy as np
from numpy.typing import NDArray

from vsrcli.frame import Frame, Plane
from vsrcli.frame_io import FrameSource
from vsrcli.picture.windows import windows
from vsrcli.pipeline.prefetch import Prefetch
from vsrcli.timing import TimeRange

RADIUS = 2
# Frames to read before a time, so that those around a frame right before it are there as well.
CONTEXT = RADIUS + 1
_FRAMES_AHEAD = 4
# How far before a time the frame that is shown then is looked for, seconds.
_REACHES = (Fraction(1, 2), Fraction(10), Fraction(600))
# Where in its part of the film a frame is looked for, in this order.
_TRIES = (Fraction(1, 2), Fraction(1, 4), Fraction(3, 4))
# Mean step between neighbouring pixels, 8-bit codes: black, fog and titles on black have less.
_ENOUGH_DETAIL = 2.0
# A frame in whose window scenes meet is worth half.
_CUT_FACTOR = 0.5

Window = tuple[Frame, ...]
# Opens the source to read a range of time.
Opener = Callable[[TimeRange], FrameSource]


@dataclass(frozen=True, slots=True)
class Place:
    """A frame among its neighbours.

    Attributes:
        window: the frame, in the middle, with those before and after it.
        following: the next frame's window; None: it is the last.
    """

    window: Window
    following: Window | None

    @property
    def frame(self) -> Frame:
        """The frame itself."""
        return self.window[RADIUS]

    @property
    def is_within_scene(self) -> bool:
        """Whether all neighbours are of the same scene: none is replaced."""
        return len(set(map(id, self.window))) == len(self.window)


class PlaceFinder:
    """Finds frames of a film.

    Args:
        open_source: opens the film to read a range of time, with ``CONTEXT`` frames around it.
        incoming: what is done to every frame before anything else.
    """

    def __init__(self, open_source: Opener, incoming: Callable[[Frame], Frame]) -> None:
        self._open_source = open_source
        self._incoming = incoming

    def at(self, time: Fraction) -> Place | None:
        """Find the frame that is shown at a time; the first one, if none is shown yet.

        Returns:
            None: the film shows nothing in the ten minutes before.

        Raises:
            InputError: it cannot be read.
        """
        for reach in _REACHES:
            start = max(Fraction(0), time - reach)
            with (
                self._open_source(TimeRange(start or None, None)) as source,
                Prefetch(
                    map(self._incoming, source),
                    _FRAMES_AHEAD,
                    "decode",
                    stalled=source.stalled,
                ) as frames,
            ):
                place = _last_until(frames, time)
            if place is not None or not start:
                return place
        return None

    def spread(self, duration: Fraction, count: int) -> Iterator[Place]:
        """Find a frame in each of ``count`` equal parts of a film, where there is something to see.

        Args:
            duration: of the film, seconds.
            count: how many frames; a short film has fewer.

        Raises:
            InputError: it cannot be read.
        """
        times: set[Fraction] = set()
        for number in range(count):
            place = self._best_of_part(duration / count, number)
            if place is not None and place.frame.time not in times:
                times.add(place.frame.time)
                yield place

    def _best_of_part(self, length: Fraction, number: int) -> Place | None:
        best: Place | None = None
        most = -1.0
        for share in _TRIES:
            place = self.at((number + share) * length)
            if place is None:
                continue
            bits = place.frame.format.bits
            worth = float(detail_of(place.frame.luma, bits).mean())
            if worth >= _ENOUGH_DETAIL and place.is_within_scene:
                return place
            if not place.is_within_scene:
                worth *= _CUT_FACTOR
            if worth > most:
                best = place
                most = worth
        return best


def _last_until(frames: Iterable[Frame], time: Fraction) -> Place | None:
    place = None
    around = windows(frames, RADIUS, lambda frame: frame.scene_cut)
    ends: list[Window | None] = [None]
    for window, following in pairwise(chain(around, ends)):
        assert window is not None
        if place is not None and window[RADIUS].time > time:
            break
        place = Place(window, following)
    return place


def detail_of(luma: Plane, bits: int) -> NDArray[np.float32]:
    """How much each pixel differs from the next one across and down, 8-bit codes: (H, W)."""
    values = luma.astype(np.float32) / np.float32(1 << (bits - 8))
    detail = np.zeros_like(values)
    detail[:, 1:] += np.abs(np.diff(values, axis=1))
    detail[1:] += np.abs(np.diff(values, axis=0))
    return detail * np.float32(0.5)
