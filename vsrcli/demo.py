"""The pictures and the sound of the demonstration clip, made from nothing: no file, no download, the same every time.

Two scenes with what makes upscaling hard: fine texture that turns and grows, lattices close to the resolution limit, hard
edges, and text that moves. A hard cut parts them, and each has its own note. Encoding is in ``media/demo.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

Rgb = NDArray[np.uint8]

# Everything is drawn this many times larger and averaged down, so that fine detail is there without aliasing.
SUPERSAMPLING = 3
# The drawing's own coordinates: a picture of this many units in height.
UNITS = 180.0

_NOTES_HZ = (440.0, 659.25)
_PAPER, _INK = (246, 240, 226), (24, 26, 38)


def frame_count(seconds: float, rate: float) -> int:
    """Frames in a clip; at least 2, one for each scene."""
    return max(2, round(seconds * rate))


def cut_index(count: int) -> int:
    """Index of the first frame of the second scene in a clip of ``count`` frames."""
    return count // 2


def _noise(
    side: int, cells: int, octaves: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Smooth noise of several octaves: shape (side, side), roughly -1..1."""
    total = np.zeros((side, side), np.float32)
    for octave in range(octaves):
        grid = rng.uniform(-1, 1, (cells << octave, cells << octave)).astype(np.float32)
        total += np.asarray(
            cv2.resize(grid, (side, side), interpolation=cv2.INTER_CUBIC), np.float32
        ) * np.float32(0.62**octave)
    return total


def _to_rgb(
    values: NDArray[np.float32], colours: tuple[tuple[int, int, int], ...]
) -> Rgb:
    """Map 0..1 to a run of colours by linear interpolation: shape (..., 3), uint8."""
    table = np.empty((256, 3), np.uint8)
    for channel in range(3):
        stops = [colour[channel] for colour in colours]
        table[:, channel] = np.rint(
            np.interp(np.linspace(0, len(stops) - 1, 256), range(len(stops)), stops)
        )
    picked: Rgb = table[np.clip(values * 255, 0, 255).astype(np.uint8)]
    return picked


def _mosaic(side: int, tile: int, rng: np.random.Generator) -> Rgb:
    """Veined stone in hard-edged tiles with pale joints and fine hatching: shape (side, side, 3)."""
    grain, veins = _noise(side, 8, 6, rng), _noise(side, 5, 5, rng)
    cells = -(-side // tile)
    tone = np.kron(rng.uniform(-0.22, 0.22, (cells, cells)), np.ones((tile, tile)))[
        :side, :side
    ].astype(np.float32)
    stone = 0.5 + 0.2 * grain + tone - 0.3 * np.exp(-np.abs(veins) * 16)
    picture = _to_rgb(
        stone,
        ((22, 34, 52), (38, 92, 110), (176, 128, 84), (238, 214, 170), (252, 246, 232)),
    )
    y, x = np.mgrid[:side, :side]
    hatched = np.kron(rng.random((cells, cells)) < 0.22, np.ones((tile, tile), bool))[
        :side, :side
    ]
    lines = hatched & ((x + y) % 10 < 4)
    picture[lines] = (picture[lines] * 0.45).astype(np.uint8)
    joint = max(2, tile // 22)
    picture[(y % tile < joint) | (x % tile < joint)] = (226, 220, 206)
    return picture


def _lattice(side: int, step: int, rng: np.random.Generator) -> Rgb:
    """A dark floor with bright lines and finer ones between them: shape (side, side, 3)."""
    picture = _to_rgb(
        0.45 + 0.3 * _noise(side, 16, 5, rng),
        ((12, 10, 30), (30, 22, 66), (58, 34, 96)),
    )
    y, x = np.mgrid[:side, :side]
    fine, coarse = step // 4, max(3, step // 16)
    picture[(y % fine < coarse // 3) | (x % fine < coarse // 3)] = (110, 74, 150)
    picture[(y % step < coarse) | (x % step < coarse)] = (98, 226, 232)
    return picture


def _text(
    canvas: Rgb,
    text: str,
    left: float,
    base: float,
    height: float,
    scale: float,
    colour: tuple[int, int, int],
    *,
    plate: bool = False,
) -> None:
    """Write a line, on a dark plate if asked; position and cap height in drawing units, ``scale`` canvas pixels a unit."""
    size = height * scale / 22
    thickness = max(1, round(size * 1.1))
    x, y = round(left * scale), round(base * scale)
    if plate:
        # The width is asked for because OpenCV 4 and 5 draw the same font name with different letters.
        (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, size, thickness)
        rim = round(height * scale / 2)
        cv2.rectangle(
            canvas,
            (x - rim, y - round(height * scale) - rim),
            (x + width + rim, y + rim),
            _INK,
            -1,
        )
    cv2.putText(
        canvas,
        text,
        (x, y),
        cv2.FONT_HERSHEY_DUPLEX,
        size,
        colour,
        thickness,
        cv2.LINE_AA,
    )


def _mosaic_scene(width: int, height: int) -> Callable[[float], Rgb]:
    """Scene one: the mosaic turns and grows under a spoked wheel, a caption runs past."""
    scale = height / UNITS
    wall = _mosaic(1440, 96, np.random.default_rng(7))

    def draw(seconds: float) -> Rgb:
        zoom = scale * (0.36 + 0.03 * seconds)
        turn = np.asarray(
            cv2.getRotationMatrix2D((720, 720), 7 + 9 * seconds, zoom), np.float64
        )
        turn[:, 2] += np.array(
            [width / 2 - 720 + 7 * scale * seconds, height / 2 - 720]
        )
        turned = cv2.warpAffine(
            wall,
            turn,
            (width, height),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT,
        )
        canvas: Rgb = np.asarray(turned, np.uint8)
        centre = (round(width - 58 * scale), round(60 * scale))
        cv2.circle(canvas, centre, round(44 * scale), _PAPER, -1, cv2.LINE_AA)
        spokes, radius = 36, 41 * scale
        for spoke in range(spokes):
            first = 2 * math.pi * spoke / spokes + 0.5 * seconds
            arc = [first + math.pi / spokes * part for part in (0, 0.5, 1)]
            points = [
                centre,
                *(
                    (centre[0] + radius * math.cos(a), centre[1] + radius * math.sin(a))
                    for a in arc
                ),
            ]
            cv2.fillPoly(
                canvas, [np.rint(np.array(points)).astype(np.int32)], _INK, cv2.LINE_AA
            )
        top, bottom = round(138 * scale), round(168 * scale)
        cv2.rectangle(canvas, (0, top), (width, bottom), _PAPER, -1)
        _text(
            canvas,
            "Every letter counts: 0123456789 & Quartz",
            26 - 34 * seconds,
            158,
            11,
            scale,
            _INK,
        )
        _text(canvas, "vsr demo", 16, 26, 12, scale, (255, 255, 255), plate=True)
        return canvas

    return draw


def _night_scene(width: int, height: int) -> Callable[[float], Rgb]:
    """Scene two: a lattice floor runs towards the viewer under a striped moon and a skyline."""
    scale, aspect = height / UNITS, width / height
    side = 1280
    rng = np.random.default_rng(11)
    floor = _lattice(side, 160, rng)
    horizon = 104.0
    sky = _to_rgb(
        np.repeat(
            np.linspace(0, 1, round(horizon * scale), dtype=np.float32)[:, None],
            width,
            axis=1,
        ),
        ((10, 12, 34), (44, 26, 84), (150, 52, 110), (250, 146, 96)),
    )
    stars = rng.random((60, 2)) * (UNITS * aspect, 62)
    lefts = np.arange(-20.0, UNITS * aspect + 60, 15.0)
    roofs = rng.uniform(14, 44, len(lefts))
    lit = rng.random((len(lefts), 12, 3)) < 0.45

    def draw(seconds: float) -> Rgb:
        canvas: Rgb = np.empty((height, width, 3), np.uint8)
        canvas[: len(sky)] = sky
        for x, y in stars:
            cv2.circle(
                canvas,
                (round(x * scale), round(y * scale)),
                max(1, round(0.5 * scale)),
                (240, 236, 250),
                -1,
                cv2.LINE_AA,
            )
        moon = (round(width * 0.26), round((64 - 5 * seconds) * scale))
        cv2.circle(canvas, moon, round(34 * scale), (255, 214, 130), -1, cv2.LINE_AA)
        for stripe in range(7):
            below = 4 + 4.4 * stripe
            half, y = (
                round(math.sqrt(34**2 - below**2) * scale),
                moon[1] + round(below * scale),
            )
            cv2.rectangle(
                canvas,
                (moon[0] - half, y),
                (moon[0] + half, y + round((0.6 + 0.3 * stripe) * scale)),
                (150, 52, 110),
                -1,
            )
        for left, roof, lights in zip(lefts - 9 * seconds, roofs, lit, strict=True):
            x, y = round(left * scale), round((horizon - roof) * scale)
            cv2.rectangle(
                canvas, (x, y), (x + round(13 * scale), len(sky)), (20, 16, 42), -1
            )
            for row, column in np.argwhere(lights[: int(roof / 4)]):
                corner = (
                    x + round((2 + 3.6 * column) * scale),
                    y + round((2 + 4 * row) * scale),
                )
                cv2.rectangle(
                    canvas,
                    corner,
                    (corner[0] + round(1.6 * scale), corner[1] + round(2 * scale)),
                    (255, 224, 150),
                    -1,
                )
        ahead = 160 * (1.3 * seconds % 1)
        source = np.array(
            [[0, ahead], [side, ahead], [side, 960 + ahead], [0, 960 + ahead]],
            np.float32,
        )
        depth = height - len(sky)
        corners = np.array(
            [[-1.7 * width, depth], [2.7 * width, depth], [width, 0], [0, 0]],
            np.float32,
        )
        lay = cv2.getPerspectiveTransform(source, corners)
        canvas[len(sky) :] = cv2.warpPerspective(
            floor,
            lay,
            (width, depth),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT,
        )
        _text(canvas, "SCENE TWO", 186 - 16 * seconds, 34, 16, scale, (255, 255, 255))
        _text(
            canvas,
            "small print 3.14159",
            150 - 11 * seconds,
            52,
            8,
            scale,
            (250, 226, 190),
        )
        return canvas

    return draw


def demo_frames(
    seconds: float = 3.0, size: tuple[int, int] = (256, 144), rate: float = 30.0
) -> Iterator[Rgb]:
    """Draw the clip's pictures.

    Args:
        seconds: length of the clip; the cut is in the middle, at frame ``cut_index(frame_count(seconds, rate))``.
        size: (width, height), pixels.
        rate: frames a second.

    Yields:
        Shape (height, width, 3), uint8, full-range R'G'B' (meant as BT.709), new arrays.
    """
    width, height = size
    count = frame_count(seconds, rate)
    cut = cut_index(count)
    for scene, first, last in ((_mosaic_scene, 0, cut), (_night_scene, cut, count)):
        draw = scene(width * SUPERSAMPLING, height * SUPERSAMPLING)
        for index in range(first, last):
            canvas = draw((index - first) / rate)
            yield np.asarray(
                cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA),
                np.uint8,
            )


def demo_tone(
    seconds: float, cut_seconds: float, sample_rate: int = 48_000
) -> NDArray[np.float32]:
    """Make the clip's sound: one note up to the cut, a higher one after it, each fading in and out.

    Args:
        seconds: length.
        cut_seconds: when the second note begins.
        sample_rate: samples a second.

    Returns:
        Shape (samples,), float32, -0.2..0.2.
    """
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    sound = np.zeros(len(time))
    for note, first, last in zip(
        _NOTES_HZ, (0.0, cut_seconds), (cut_seconds, seconds), strict=True
    ):
        inside = (time >= first) & (time < last)
        fade = np.clip(np.minimum(time - first, last - time) / 0.03, 0, 1)
        sound += np.where(inside, 0.2 * fade * np.sin(2 * np.pi * note * time), 0)
    return sound.astype(np.float32)
