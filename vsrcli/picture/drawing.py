"""Pictures drawn from nothing: textures, patterns and text; the same for the same seed."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Rgb = NDArray[np.uint8]
Colour = tuple[int, int, int]

PAPER: Colour = (246, 240, 226)
INK: Colour = (24, 26, 38)

_STONE: tuple[Colour, ...] = (
    (22, 34, 52),
    (38, 92, 110),
    (176, 128, 84),
    (238, 214, 170),
    (252, 246, 232),
)
_JOINT: Colour = (226, 220, 206)
_FLOOR: tuple[Colour, ...] = (
    (12, 10, 30),
    (30, 22, 66),
    (58, 34, 96),
)
_FINE_LINE: Colour = (110, 74, 150)
_BRIGHT_LINE: Colour = (98, 226, 232)


def noise(
    side: int,
    cells: int,
    octaves: int,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Smooth noise.

    Args:
        side: pixels.
        cells: along a side, of the coarsest octave.
        octaves: each with twice the cells of the one before.
        rng: where the values come from.

    Returns:
        Shape (side, side), float32, roughly -1..1.
    """
    total = np.zeros((side, side), np.float32)
    for octave in range(octaves):
        octave_cells = cells << octave
        grid = rng.uniform(-1, 1, (octave_cells, octave_cells)).astype(np.float32)
        smooth = cv2.resize(grid, (side, side), interpolation=cv2.INTER_CUBIC)
        weight = np.float32(0.62**octave)
        total += np.asarray(smooth, np.float32) * weight
    return total


def gradient(values: NDArray[np.float32], colours: tuple[Colour, ...]) -> Rgb:
    """Map 0..1 to a run of colours by linear interpolation: shape (..., 3), uint8."""
    table = np.empty((256, 3), np.uint8)
    places = np.linspace(0, len(colours) - 1, 256)
    for channel in range(3):
        stops = [colour[channel] for colour in colours]
        table[:, channel] = np.rint(np.interp(places, range(len(stops)), stops))
    indices = np.clip(values * 255, 0, 255).astype(np.uint8)
    picture: Rgb = table[indices]
    return picture


def mosaic(side: int, tile: int, rng: np.random.Generator) -> Rgb:
    """Veined stone in hard-edged tiles, with pale joints and fine hatching.

    Args:
        side: pixels of the picture.
        tile: pixels of a tile's side.
        rng: where the pattern comes from.

    Returns:
        Shape (side, side, 3), uint8.
    """
    grain = noise(side, 8, 6, rng)
    noise_of_veins = noise(side, 5, 5, rng)
    # a vein is where its noise changes sign
    veins = np.exp(-np.abs(noise_of_veins) * 16)
    tiles = -(-side // tile)
    tones = rng.uniform(-0.22, 0.22, (tiles, tiles))
    tone = _tiled(tones, side, tile).astype(np.float32)
    stone = 0.5 + 0.2 * grain + tone - 0.3 * veins
    picture = gradient(stone, _STONE)
    is_hatched = rng.random((tiles, tiles)) < 0.22
    y, x = np.mgrid[:side, :side]
    is_diagonal_line = (x + y) % 10 < 4
    hatching = _tiled(is_hatched, side, tile) & is_diagonal_line
    picture[hatching] = (picture[hatching] * 0.45).astype(np.uint8)
    joint = max(2, tile // 22)
    picture[_grid_lines(side, tile, joint)] = _JOINT
    return picture


def lattice(side: int, step: int, rng: np.random.Generator) -> Rgb:
    """A dark floor with bright lines and finer ones between them.

    Args:
        side: pixels of the picture.
        step: pixels from one bright line to the next.
        rng: where the floor's texture comes from.

    Returns:
        Shape (side, side, 3), uint8.
    """
    texture = noise(side, 16, 5, rng)
    picture = gradient(0.45 + 0.3 * texture, _FLOOR)
    thickness = max(3, step // 16)
    picture[_grid_lines(side, step // 4, thickness // 3)] = _FINE_LINE
    picture[_grid_lines(side, step, thickness)] = _BRIGHT_LINE
    return picture


def draw_text(
    canvas: Rgb,
    text: str,
    left: float,
    base: float,
    height: float,
    scale: float,
    colour: Colour,
    *,
    plate: bool = False,
) -> None:
    """Write a line of text.

    Args:
        canvas: shape (H, W, 3), uint8; drawn on.
        text: the line.
        left: where it begins, in drawing units.
        base: its base line, in drawing units.
        height: of a capital letter, in drawing units.
        scale: pixels of the canvas in a drawing unit.
        colour: of the letters.
        plate: whether to draw a dark plate behind the text.
    """
    x = round(left * scale)
    y = round(base * scale)
    size = height * scale / 22
    thickness = max(1, round(size * 1.1))
    font = cv2.FONT_HERSHEY_DUPLEX
    if plate:
        # OpenCV 4 and 5 draw the same font name with different letters: ask for the width.
        (width, _), _ = cv2.getTextSize(text, font, size, thickness)
        rim = round(height * scale / 2)
        top_left = (x - rim, y - round(height * scale) - rim)
        bottom_right = (x + width + rim, y + rim)
        cv2.rectangle(canvas, top_left, bottom_right, INK, cv2.FILLED)
    cv2.putText(
        canvas,
        text,
        org=(x, y),
        fontFace=font,
        fontScale=size,
        color=colour,
        thickness=thickness,
        lineType=cv2.LINE_AA,
    )


def _tiled(values: NDArray[np.generic], side: int, tile: int) -> NDArray[np.generic]:
    """Every value repeated over its tile, cut to (side, side)."""
    repeated = values.repeat(tile, axis=0).repeat(tile, axis=1)
    return repeated[:side, :side]


def _grid_lines(side: int, step: int, thickness: int) -> NDArray[np.bool_]:
    """True on a grid of horizontal and vertical lines: shape (side, side)."""
    is_line = np.arange(side) % step < thickness
    return is_line[:, None] | is_line
