"""The pictures and the sound of the demonstration clip: no file, no download, the same every time.

Two scenes with what makes upscaling hard: fine texture that turns and grows, lattices close to the
resolution limit, hard edges, and text that moves. A hard cut separates them, and each has its own
note. ``jobs/demo.py`` encodes the clip.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from vsrcli.picture.drawing import (
    INK,
    PAPER,
    Colour,
    Rgb,
    draw_text,
    gradient,
    lattice,
    mosaic,
)

# Everything is drawn this many times larger and averaged down, for fine detail without aliasing.
SUPERSAMPLING = 3
# The drawing's own coordinates: a picture is this many units high.
UNITS = 180.0

_NOTES_HZ = (440.0, 659.25)
_FADE_SECONDS = 0.03

_WHITE: Colour = (255, 255, 255)
_SKY: tuple[Colour, ...] = (
    (10, 12, 34),
    (44, 26, 84),
    (150, 52, 110),
    (250, 146, 96),
)
_STAR: Colour = (240, 236, 250)
_MOON: Colour = (255, 214, 130)
_STRIPE: Colour = (150, 52, 110)
_HOUSE: Colour = (20, 16, 42)
_LIT_WINDOW: Colour = (255, 224, 150)
_SMALL_PRINT: Colour = (250, 226, 190)


def frame_count(seconds: float, rate: float) -> int:
    """Frames in a clip; at least 2, one for each scene."""
    return max(2, round(seconds * rate))


def cut_index(count: int) -> int:
    """Index of the first frame of the second scene in a clip of ``count`` frames."""
    return count // 2


def demo_frames(
    seconds: float = 3.0,
    size: tuple[int, int] = (256, 144),
    rate: float = 30.0,
) -> Iterator[Rgb]:
    """Draw the clip's pictures.

    Args:
        seconds: length of the clip; the cut is in the middle, at frame
            ``cut_index(frame_count(seconds, rate))``.
        size: (width, height), pixels.
        rate: frames a second.

    Yields:
        Shape (height, width, 3), uint8, full-range R'G'B' (meant as BT.709), new arrays.
    """
    width, height = size
    count = frame_count(seconds, rate)
    cut = cut_index(count)
    for scene, first, last in (
        (_MosaicScene, 0, cut),
        (_NightScene, cut, count),
    ):
        draw = scene(width * SUPERSAMPLING, height * SUPERSAMPLING).draw
        for index in range(first, last):
            canvas = draw((index - first) / rate)
            small = cv2.resize(canvas, size, interpolation=cv2.INTER_AREA)
            yield np.asarray(small, np.uint8)


def demo_tone(
    seconds: float,
    cut_seconds: float,
    sample_rate: int = 48_000,
) -> NDArray[np.float32]:
    """Make the clip's sound: one note up to the cut, a higher one after it; both fade in and out.

    Args:
        seconds: length.
        cut_seconds: when the second note begins.
        sample_rate: samples a second.

    Returns:
        Shape (samples,), float32, -0.2..0.2.
    """
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    sound = np.zeros(len(time))
    starts = (0.0, cut_seconds)
    ends = (cut_seconds, seconds)
    for frequency, start, end in zip(_NOTES_HZ, starts, ends, strict=True):
        is_on = (time >= start) & (time < end)
        distance = np.minimum(time - start, end - time)
        fade = np.clip(distance / _FADE_SECONDS, 0, 1)
        wave = np.sin(2 * np.pi * frequency * time)
        sound += np.where(is_on, 0.2 * fade * wave, 0)
    return sound.astype(np.float32)


class _MosaicScene:
    """Scene one: the mosaic turns and grows under a spoked wheel, a caption runs past."""

    _WALL_SIDE = 1440
    _SPOKES = 36

    def __init__(self, width: int, height: int) -> None:
        self._width = width
        self._height = height
        self._scale = height / UNITS
        self._wall = mosaic(self._WALL_SIDE, 96, np.random.default_rng(7))

    def draw(self, seconds: float) -> Rgb:
        """The picture at a time of the scene."""
        canvas = self._turned_wall(seconds)
        self._draw_wheel(canvas, seconds)
        self._draw_captions(canvas, seconds)
        return canvas

    def _turned_wall(self, seconds: float) -> Rgb:
        middle = self._WALL_SIDE // 2
        zoom = self._scale * (0.36 + 0.03 * seconds)
        angle = 7 + 9 * seconds
        turn = cv2.getRotationMatrix2D((middle, middle), angle, zoom)
        shift_x = self._width / 2 - middle + 7 * self._scale * seconds
        shift_y = self._height / 2 - middle
        turn[:, 2] += np.array([shift_x, shift_y])
        turned = cv2.warpAffine(
            self._wall,
            turn,
            (self._width, self._height),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT,
        )
        return cast("Rgb", turned)

    def _draw_wheel(self, canvas: Rgb, seconds: float) -> None:
        scale = self._scale
        x = round(self._width - 58 * scale)
        y = round(60 * scale)
        _disc(canvas, (x, y), round(44 * scale), PAPER)
        radius = 41 * scale
        for spoke in range(self._SPOKES):
            start = 2 * math.pi * spoke / self._SPOKES + 0.5 * seconds
            points: list[tuple[float, float]] = [(x, y)]
            for part in (0, 0.5, 1):
                angle = start + math.pi / self._SPOKES * part
                point_x = x + radius * math.cos(angle)
                point_y = y + radius * math.sin(angle)
                points.append((point_x, point_y))
            corners = np.rint(np.array(points)).astype(np.int32)
            cv2.fillPoly(canvas, [corners], INK, cv2.LINE_AA)

    def _draw_captions(self, canvas: Rgb, seconds: float) -> None:
        scale = self._scale
        top = round(138 * scale)
        bottom = round(168 * scale)
        _box(canvas, (0, top), (self._width, bottom), PAPER)
        draw_text(
            canvas,
            "Every letter counts: 0123456789 & Quartz",
            left=26 - 34 * seconds,
            base=158,
            height=11,
            scale=scale,
            colour=INK,
        )
        draw_text(
            canvas,
            "vsr demo",
            left=16,
            base=26,
            height=12,
            scale=scale,
            colour=_WHITE,
            plate=True,
        )


class _NightScene:
    """Scene two: a lattice floor runs towards the viewer under a striped moon and a skyline."""

    _FLOOR_SIDE = 1280
    _FLOOR_STEP = 160
    _HORIZON = 104.0

    def __init__(self, width: int, height: int) -> None:
        self._width = width
        self._height = height
        self._scale = height / UNITS
        width_units = UNITS * (width / height)
        rng = np.random.default_rng(11)
        self._floor = lattice(self._FLOOR_SIDE, self._FLOOR_STEP, rng)
        self._sky_rows = round(self._HORIZON * self._scale)
        heights = np.linspace(0, 1, self._sky_rows, dtype=np.float32)
        self._sky = gradient(np.repeat(heights[:, None], width, axis=1), _SKY)
        self._stars = rng.random((60, 2)) * (width_units, 62)
        self._lefts = np.arange(-20.0, width_units + 60, 15.0)
        self._roofs = rng.uniform(14, 44, len(self._lefts))
        self._lights = rng.random((len(self._lefts), 12, 3)) < 0.45

    def draw(self, seconds: float) -> Rgb:
        """The picture at a time of the scene."""
        canvas: Rgb = np.empty((self._height, self._width, 3), np.uint8)
        canvas[: self._sky_rows] = self._sky
        self._draw_stars(canvas)
        self._draw_moon(canvas, seconds)
        self._draw_skyline(canvas, seconds)
        self._draw_floor(canvas, seconds)
        self._draw_titles(canvas, seconds)
        return canvas

    def _draw_stars(self, canvas: Rgb) -> None:
        radius = max(1, round(0.5 * self._scale))
        for x, y in self._stars:
            centre = (round(x * self._scale), round(y * self._scale))
            _disc(canvas, centre, radius, _STAR)

    def _draw_moon(self, canvas: Rgb, seconds: float) -> None:
        scale = self._scale
        x = round(self._width * 0.26)
        y = round((64 - 5 * seconds) * scale)
        _disc(canvas, (x, y), round(34 * scale), _MOON)
        for stripe in range(7):
            below = 4 + 4.4 * stripe
            half_width = round(math.sqrt(34**2 - below**2) * scale)
            top = y + round(below * scale)
            bottom = top + round((0.6 + 0.3 * stripe) * scale)
            _box(canvas, (x - half_width, top), (x + half_width, bottom), _STRIPE)

    def _draw_skyline(self, canvas: Rgb, seconds: float) -> None:
        scale = self._scale
        lefts = self._lefts - 9 * seconds
        for left, roof, lights in zip(lefts, self._roofs, self._lights, strict=True):
            x = round(left * scale)
            y = round((self._HORIZON - roof) * scale)
            right = x + round(13 * scale)
            _box(canvas, (x, y), (right, self._sky_rows), _HOUSE)
            floors = int(roof / 4)
            for row, column in np.argwhere(lights[:floors]):
                window_x = x + round((2 + 3.6 * column) * scale)
                window_y = y + round((2 + 4 * row) * scale)
                window_right = window_x + round(1.6 * scale)
                window_bottom = window_y + round(2 * scale)
                _box(
                    canvas,
                    (window_x, window_y),
                    (window_right, window_bottom),
                    _LIT_WINDOW,
                )

    def _draw_floor(self, canvas: Rgb, seconds: float) -> None:
        near = self._FLOOR_STEP * (1.3 * seconds % 1)
        far = 960 + near
        source = _corners(
            (0, near),
            (self._FLOOR_SIDE, near),
            (self._FLOOR_SIDE, far),
            (0, far),
        )
        width = self._width
        depth = self._height - self._sky_rows
        target = _corners(
            (-1.7 * width, depth),
            (2.7 * width, depth),
            (width, 0),
            (0, 0),
        )
        canvas[self._sky_rows :] = cv2.warpPerspective(
            self._floor,
            cv2.getPerspectiveTransform(source, target),
            (width, depth),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT,
        )

    def _draw_titles(self, canvas: Rgb, seconds: float) -> None:
        draw_text(
            canvas,
            "SCENE TWO",
            left=186 - 16 * seconds,
            base=34,
            height=16,
            scale=self._scale,
            colour=_WHITE,
        )
        draw_text(
            canvas,
            "small print 3.14159",
            left=150 - 11 * seconds,
            base=52,
            height=8,
            scale=self._scale,
            colour=_SMALL_PRINT,
        )


_Point = tuple[int, int]


def _disc(canvas: Rgb, centre: _Point, radius: int, colour: Colour) -> None:
    cv2.circle(
        canvas,
        centre,
        radius,
        colour,
        thickness=cv2.FILLED,
        lineType=cv2.LINE_AA,
    )


def _box(canvas: Rgb, first: _Point, last: _Point, colour: Colour) -> None:
    cv2.rectangle(canvas, first, last, colour, cv2.FILLED)


def _corners(*points: tuple[float, float]) -> NDArray[np.float32]:
    return np.array(points, np.float32)
