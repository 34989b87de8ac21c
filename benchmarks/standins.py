"""Ground truth made from nothing: python benchmarks/standins.py OUT_DIR [--frames N] [--only NAME].

Stand-ins for the two data sets of the report, which are not available:

``gem``: a brilliant-cut stone in a dark studio with softboxes, and a camera that goes round it at
constant angular velocity. ``field``: a smooth scalar field like a climate simulation's temperature.
Both are computed, each frame by itself, from fixed seeds; they resemble the report's data in kind
only. Written are OUT_DIR/gem/0000.png (8 bits) and OUT_DIR/field/0000.tiff (float) and so on.

Scenes whose motion is known exactly, to see what a network makes of its neighbours:

``pan``, ``zoom``, ``turn``: fine detail that moves by 0.2 to 1.5 pixels a frame. ``fast``: the same
at 15 pixels a frame. Each pixel is the mean of the detail over its area; nothing is interpolated
from another picture. Written are OUT_DIR/pan/0000.png (8 bits, limited range) and so on. For the
temporal gain: vsr bench OUT_DIR/pan OUT_DIR/zoom OUT_DIR/turn OUT_DIR/fast --degrade clean -m lite
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vsrcli.picture.color import rgb_to_luma
from vsrcli.picture.drawing import (
    INK,
    PAPER,
    draw_text,
    gradient,
    lattice,
    mosaic,
    noise,
)

Array = NDArray[np.float64]
Float = NDArray[np.float32]

GEM_SIZE = (300, 450)  # rows, columns
GEM_FRAMES = 300
FIELD_SIZE = (318, 640)
FIELD_FRAMES = 300
MOTION_SIZE = (240, 320)
MOTION_FRAMES = 36

_SUPERSAMPLING = 3
_RADIUS = 165.0  # of the girdle, in pixels of the picture
_ELEVATION = np.radians(33)  # of the camera above the girdle's plane
_CENTRE = (225.0, 138.0)  # middle of the girdle's plane: column, row
# of the camera, in radii, for the directions of light; shapes are drawn in parallel projection
_DISTANCE = 4.0
# a sapphire's; at a diamond's 1 / 2.42 the patches are smaller than what the blur leaves
_REFRACTION = 1 / 1.76
_MIRRORED = 0.22  # share of the light that the surface reflects head on
_BACKDROP = (62.0, 96.0)  # luma at the top and at the bottom


def gem(
    frames: int = GEM_FRAMES,
    only: Iterable[int] | None = None,
) -> Iterator[NDArray[np.uint8]]:
    """One revolution of the camera in ``frames`` frames, or those numbered in ``only``.

    Yields:
        (300, 450) uint8, full-range luma 0..255. No two frames of a revolution are alike: the stone
        is symmetric, its surroundings are not.
    """
    for number in range(frames) if only is None else only:
        yield _render(2 * np.pi * number / frames)


def _facets() -> tuple[Array, Array]:
    """Outward normals (N, 3) and distances (N,) of a round brilliant.

    Its girdle has radius 1 and is around z = 0; its axis is z.
    """
    planes: list[tuple[float, float, float, float]] = []

    def add_ring(
        count: int,
        phase: float,
        slope: float,
        radius: float,
        z: float,
    ) -> None:
        """Add ``count`` facets inclined by ``slope`` degrees (negative: below the girdle).

        Each contains a point (radius, z), straight out from its middle.
        """
        elevation = np.radians(np.copysign(90 - abs(slope), slope))
        outward = np.cos(elevation)
        upward = np.sin(elevation)
        distance = radius * outward + z * upward
        for number in range(count):
            azimuth = 2 * np.pi * (number + phase) / count
            x = np.cos(azimuth) * outward
            y = np.sin(azimuth) * outward
            planes.append((x, y, upward, distance))

    edge = 0.03
    table = 0.33
    planes.append((0, 0, 1, table))
    add_ring(8, 0.5, 22.0, 0.52, table)  # star facets
    add_ring(8, 0.0, 34.5, 1.0, edge)  # crown mains
    add_ring(16, 0.5, 40.5, 1.0, edge)  # upper girdle facets
    add_ring(32, 0.5, 90.0, 0.995, 0.0)  # girdle
    add_ring(16, 0.5, -42.2, 1.0, -edge)  # lower girdle facets
    add_ring(8, 0.0, -40.75, 0.99, -edge)  # pavilion mains
    found = np.array(planes)
    return found[:, :3], found[:, 3]


@cache
def _stone() -> tuple[Array, Array, list[Array]]:
    """Normals, distances and corners (M, 3) of every facet, in order around it.

    A facet is a large square in its plane, cut by all the other planes.
    """
    normals, distances = _facets()
    polygons = []
    for number in range(len(normals)):
        polygon = _square_in_plane(normals[number], distances[number])
        for other in range(len(normals)):
            if other != number and len(polygon):
                polygon = _cut(polygon, normals[other], distances[other])
        polygons.append(polygon)
    return normals, distances, polygons


def _square_in_plane(normal: Array, distance: float) -> Array:
    is_steep = abs(normal[2]) < 0.9
    first = np.cross(normal, (0.0, 0.0, 1.0) if is_steep else (1.0, 0.0, 0.0))
    first /= np.linalg.norm(first)
    second = np.cross(normal, first)
    corners = []
    for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        corners.append(normal * distance + 9 * (a * first + b * second))
    return np.array(corners)


def _cut(polygon: Array, normal: Array, distance: float) -> Array:
    """The part of a convex polygon where normal.x <= distance."""
    beyond = polygon @ normal - distance
    kept = []
    for number, point in enumerate(polygon):
        after = (number + 1) % len(polygon)
        is_inside = beyond[number] <= 0
        if is_inside:
            kept.append(point)
        if is_inside != (beyond[after] <= 0):
            share = beyond[number] / (beyond[number] - beyond[after])
            kept.append(point + (polygon[after] - point) * share)
    return np.array(kept).reshape(-1, 3)


def _camera(angle: float) -> Array:
    """Rows: right, up and towards the camera, in the stone's coordinates."""
    low = np.cos(_ELEVATION)
    high = np.sin(_ELEVATION)
    cosine = np.cos(angle)
    sine = np.sin(angle)
    right = [cosine, sine, 0]
    up = [-sine * high, cosine * high, low]
    towards = [sine * low, -cosine * low, high]
    return np.array([right, up, towards])


def _render(angle: float) -> NDArray[np.uint8]:
    rows, columns = GEM_SIZE
    camera = _camera(angle)
    # the stone is inside
    top = 32
    bottom = 270
    left = 54
    right = 396
    height = bottom - top
    width = right - left
    shape = (height * _SUPERSAMPLING, width * _SUPERSAMPLING)
    facet = _visible(camera, (top, left), shape)
    lit = _shade(facet, camera, (top, left))

    backdrop = np.linspace(*_BACKDROP, rows, dtype=np.float32)
    picture = np.repeat(backdrop[:, None], columns, axis=1)
    inside = picture[top:bottom, left:right]
    is_stone = (facet >= 0).astype(np.float32)
    covered = cv2.resize(is_stone, (width, height), interpolation=cv2.INTER_AREA)
    inside *= 1 - covered
    inside += cv2.resize(lit, (width, height), interpolation=cv2.INTER_AREA)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _visible(
    camera: Array,
    corner: tuple[int, int],
    shape: tuple[int, int],
) -> NDArray[np.int16]:
    """Number of the facet that each subpixel shows, or -1.

    On a convex body, facets that face the camera do not hide each other.
    """
    top, left = corner
    centre_x, centre_y = _CENTRE
    normals, _, polygons = _stone()
    facet = np.full(shape, -1, np.int16)
    for number in np.flatnonzero(normals @ camera[2] > 1e-6):
        if len(polygons[number]) < 3:
            continue
        projected = polygons[number] @ camera[:2].T * _RADIUS
        x = projected[:, 0] + centre_x - left
        y = centre_y - top - projected[:, 1]
        corners = np.stack([x, y], axis=1) * _SUPERSAMPLING - 0.5
        fixed_point = np.rint(corners * 256).astype(np.int32)
        cv2.fillConvexPoly(facet, fixed_point, int(number), shift=8)
    return facet


def _shade(facet: NDArray[np.int16], camera: Array, corner: tuple[int, int]) -> Float:
    """Luma of every subpixel of the stone, 0 elsewhere.

    It is what the surface mirrors, and what comes out after one reflection at the far side.
    """
    normals = _stone()[0].astype(np.float32)
    # the pixels of each facet, one facet after the other
    pixels = np.argsort(facet, axis=None, kind="stable")
    starts = np.searchsorted(facet.reshape(-1)[pixels], np.arange(len(normals) + 1))
    x, y = _places_in_radii(pixels, facet.shape[1], corner)
    # places in the picture of the room
    mirrored = np.zeros((2, pixels.size), np.float32)
    inner = np.zeros((2, pixels.size), np.float32)
    shine = np.zeros(pixels.size, np.float32)
    matte = np.zeros(pixels.size, np.float32)
    right, up, towards = camera.astype(np.float32)[:, :, None]
    for number, normal in enumerate(normals[:, :, None]):
        part = slice(starts[number], starts[number + 1])
        if part.start == part.stop:
            continue
        view = right * x[part] + up * y[part] - np.float32(_DISTANCE) * towards
        view /= np.sqrt(_dot(view, view))
        # Shapes are drawn as from afar: on a facet that is seen edge on, a ray from the near
        # camera may come from behind.
        cosine = np.maximum(-_dot(normal, view), 0.02)
        bent = _refracted(view, normal, cosine)
        far = normals.T[:, _far_side(number, camera, x[part], y[part])]
        mirrored[:, part] = _place(view + 2 * cosine * normal)
        inner[:, part] = _place(bent - 2 * _dot(far, bent) * far)
        shine[part] = _MIRRORED + (1 - _MIRRORED) * (1 - cosine) ** 5
        matte[part] = _matte(normals[number])
    stone = slice(starts[0], None)
    outside = _look(mirrored[:, stone])
    inside = _look(inner[:, stone])
    reflected = shine[stone] * outside
    light = matte[stone] + reflected + 0.9 * (1 - shine[stone]) * inside
    lit = np.zeros(facet.size, np.float32)
    lit[pixels[stone]] = np.minimum(light, 255)
    return lit.reshape(facet.shape)


def _places_in_radii(
    pixels: NDArray[np.intp],
    width: int,
    corner: tuple[int, int],
) -> tuple[Float, Float]:
    """Subpixels as right and up from the middle of the stone, in radii."""
    top, left = corner
    centre_x, centre_y = _CENTRE
    rows, columns = np.divmod(pixels, width)
    across = (columns.astype(np.float32) + 0.5) / _SUPERSAMPLING
    down = (rows.astype(np.float32) + 0.5) / -_SUPERSAMPLING
    radius = np.float32(_RADIUS)
    x: Float = (across + (left - centre_x)) / radius
    y: Float = (down + (centre_y - top)) / radius
    return x, y


def _refracted(view: Any, normal: Any, cosine: Any) -> Any:
    """The direction of light behind a surface (Snell's law)."""
    depth = np.sqrt(1 - _REFRACTION**2 * (1 - cosine**2))
    return _REFRACTION * view + (_REFRACTION * cosine - depth) * normal


def _matte(normal: Float) -> float:
    """Light that a facet scatters from two lamps, and a little from everywhere."""
    key = max(0.0, float(normal @ _unit(-0.5, -0.6, 0.5)))
    fill = max(0.0, float(normal @ _unit(0.8, 0.3, -0.4)))
    return 3 + 24 * key + 14 * fill


def _dot(first: Float, second: Float) -> Float:
    """Scalar products of vectors (3, N).

    Plain sums: NumPy's reductions over so short an axis are slow.
    """
    product: Float = first[0] * second[0] + first[1] * second[1] + first[2] * second[2]
    return product


def _look(places: Float) -> Float:
    """The room's luma at places (2, N)."""
    width = 1024  # OpenCV takes pictures of fewer than 32768 columns only
    count = places.shape[1]
    padded = np.pad(places, ((0, 0), (0, -count % width)))
    columns, rows = padded.reshape(2, -1, width)
    luma: Float = cv2.remap(_room(), columns, rows, cv2.INTER_LINEAR)
    return luma.reshape(-1)[:count]


def _far_side(
    number: int,
    camera: Array,
    x: Float,
    y: Float,
) -> NDArray[np.intp]:
    """Facet that the light entering facet ``number`` at (x, y) meets inside.

    ``x`` and ``y`` are in radii from the middle of the picture. The whole facet bends the light in
    one direction, so that the distance to every other plane is linear in x and y.
    """
    normals, distances, _ = _stone()
    normal = normals[number]
    view = -camera[2]
    bent = _refracted(view, normal, -(normal @ view))
    # the point on the facet: x * right + y * up + z * towards, with z linear in x and y
    offsets = [distances[number], -(normal @ camera[0]), -(normal @ camera[1])]
    point = np.outer(camera[2], np.array(offsets) / (normal @ camera[2]))
    point[:, 1] += camera[0]
    point[:, 2] += camera[1]
    along = normals @ bent
    ahead = np.flatnonzero(along > 1e-3)
    reach = -(normals[ahead] @ point)
    reach[:, 0] += distances[ahead]
    reach /= along[ahead, None]
    left = x.min()
    right = x.max()
    bottom = y.min()
    top = y.max()
    corners = [
        [1, left, bottom],
        [1, left, top],
        [1, right, bottom],
        [1, right, top],
    ]
    bounds = reach @ np.array(corners).T
    nearest = np.full(x.shape, np.inf, np.float32)
    found = np.zeros(x.shape, np.intp)
    # A plane that is further away at every corner than another one is at its furthest cannot be
    # met.
    for candidate in np.flatnonzero(bounds.min(1) <= bounds.max(1).min()):
        constant, by_x, by_y = reach[candidate].astype(np.float32)
        distance = constant + by_x * x + by_y * y
        is_nearer = distance < nearest
        nearest[is_nearer] = distance[is_nearer]
        found[is_nearer] = ahead[candidate]
    return found


_ROOM_SIDE = 768


@dataclass(frozen=True)
class _Lamp:
    """A lamp in the studio: angles in degrees, half its size as tangents, bars across it."""

    azimuth: float
    height: float
    half_width: float
    half_height: float
    luma: float
    bars: int = 0

    def light(self, directions: Array) -> Array:
        """Its luma in directions (3, H, W)."""
        azimuth, height = np.radians((self.azimuth, self.height))
        level = np.cos(height)
        forward = [np.cos(azimuth) * level, np.sin(azimuth) * level, np.sin(height)]
        right = np.array([-np.sin(azimuth), np.cos(azimuth), 0])
        above = np.cross(np.array(forward), right)
        ahead = np.einsum("i,ijk", np.array(forward), directions)
        depth = np.maximum(ahead, 0.05)
        across = np.einsum("i,ijk", right, directions) / depth
        upward = np.einsum("i,ijk", above, directions) / depth
        in_width = _step(self.half_width - np.abs(across), 0.05)
        in_height = _step(self.half_height - np.abs(upward), 0.05)
        shape = in_width * in_height * (ahead > 0.05)
        if self.bars:
            place = across / self.half_width * self.bars / 2 + 0.25
            shape *= _step(np.abs(place % 1 - 0.5) - 0.05, 0.08)
        light: Array = self.luma * shape
        return light


_LAMPS = (
    _Lamp(40, 36, 0.42, 0.34, 235, bars=3),
    _Lamp(112, 22, 0.10, 0.55, 190),
    _Lamp(165, 52, 0.24, 0.24, 250),
    _Lamp(214, 26, 0.40, 0.10, 160),
    _Lamp(262, 40, 0.16, 0.36, 225, bars=2),
    _Lamp(318, 18, 0.12, 0.40, 175),
    _Lamp(335, 62, 0.18, 0.18, 245),
    _Lamp(75, 74, 0.14, 0.14, 210),
    _Lamp(0, -4, 0.45, 0.09, 120),
    _Lamp(140, -8, 0.50, 0.08, 130),
    _Lamp(238, -12, 0.16, 0.16, 150),
    _Lamp(290, -30, 0.30, 0.12, 110),
    _Lamp(62, -35, 0.22, 0.14, 120),
)


@cache
def _room() -> Float:
    """The studio seen from the stone, as a square; luma, up to above 255.

    Softboxes, lamps and a window around a dark room with a pale table.
    """
    v, u = (np.indices((_ROOM_SIDE, _ROOM_SIDE)) + 0.5) / _ROOM_SIDE * 2 - 1
    z = 1 - np.abs(u) - np.abs(v)
    x = np.where(z < 0, (1 - np.abs(v)) * np.sign(u), u)
    y = np.where(z < 0, (1 - np.abs(u)) * np.sign(v), v)
    directions = np.stack([x, y, z]) / np.sqrt(x * x + y * y + z * z)
    height = directions[2]
    ceiling = 34 * _step(height + 0.1, 1.0)
    table = 34 * _step(-height - 0.25, 0.3)
    light = 26 + ceiling + table
    waves = np.sin(3 * np.arctan2(y, x) + 2.5 * height)
    light += 20 * waves * np.sqrt(1 - height**2)
    for lamp in _LAMPS:
        light += lamp.light(directions)
    return light.astype(np.float32)


def _place(directions: Float) -> Float:
    """Columns and rows (2, N) in ``_room`` of directions (3, N) of any length.

    The room is an unfolded octahedron.
    """
    sizes = np.abs(directions)
    x, y, z = directions / (sizes[0] + sizes[1] + sizes[2])
    below = z < 0
    u = np.where(below, np.copysign(1 - np.abs(y), x), x)
    v = np.where(below, np.copysign(1 - np.abs(x), y), y)
    places = (np.stack([u, v]) + 1) * (_ROOM_SIDE / 2) - 0.5
    return np.clip(places, 0, _ROOM_SIDE - 1)


def _step(value: Array, width: float) -> Array:
    """0 below zero, 1 above, with a smooth ramp of ``width`` around it."""
    ramp = np.clip(value / width + 0.5, 0, 1)
    smooth: Array = ramp * ramp * (3 - 2 * ramp)
    return smooth


def _unit(*parts: float) -> Array:
    vector = np.array(parts)
    unit: Array = vector / np.linalg.norm(vector)
    return unit


class _Waves:
    """A periodic sum of waves with a red spectrum that drift eastwards, long ones more slowly.

    ``at(time)`` has mean 0 and standard deviation about 1.
    """

    def __init__(
        self,
        seed: int,
        longest: int,
        shortest: int,
        slope: float,
    ) -> None:
        """Draw 160 waves of ``longest``..``shortest`` periods a picture's width.

        Their amplitude goes with that number to the power of ``slope``.
        """
        rows, columns = FIELD_SIZE
        rng = np.random.default_rng(seed)
        octaves = rng.uniform(0, 1, 160)
        number = longest * (shortest / longest) ** octaves
        heading = rng.uniform(0, 2 * np.pi, 160)
        # whole, so that the picture closes around the globe
        around = np.rint(number * np.cos(heading))
        self._rate = around * 0.011 * (1 - 5 / (number**2 + 8))  # radians a frame
        down = number * np.sin(heading)
        height = number**slope
        height *= np.sqrt(2 / np.square(height).sum())
        phase = rng.uniform(0, 2 * np.pi, 160)
        x = 2 * np.pi * np.arange(columns) / columns
        y = 2 * np.pi * np.arange(rows) / columns
        # rows x waves, waves x columns
        self._down = height * np.exp(1j * np.outer(y, down))
        self._around = np.exp(1j * (np.outer(around, x) + phase[:, None]))

    def at(self, time: float) -> Array:
        """The sum at a time in frames: (318, 640)."""
        moved = self._down * np.exp(-1j * self._rate * time)
        real = moved.real @ self._around.real
        values: Array = real - moved.imag @ self._around.imag
        return values


def field(
    frames: int = FIELD_FRAMES,
    only: Iterable[int] | None = None,
) -> Iterator[NDArray[np.float32]]:
    """A temperature-like field on a globe's latitudes and longitudes.

    It is warm in the middle and cold at the poles, stirred by drifting swirls. A climate model
    integrates its winds from step to step. This carries the air along a stream function for a fixed
    while instead, so that each frame is computed by itself: it winds the gradient from equator to
    poles into fronts that never get finer than the sampling. Coasts and mountains, which stay, and
    weather, which drifts with the air, are added. Their strength was chosen by bicubic's score
    alone: some 46 dB after `blur3`, of the order of the report's figures.

    Yields:
        (318, 640) float32, 0..1; of ``frames`` frames those numbered in ``only``, where given.
    """
    rows = FIELD_SIZE[0]
    angle = np.pi * (np.arange(rows) + 0.5) / rows - np.pi / 2
    calm = np.cos(angle)[:, None] ** 0.5  # no wind across the poles
    swirls = _Waves(11, 3, 14, -1.7)
    weather = _Waves(13, 5, 30, -1.3)
    ground = _ground()
    for number in range(frames) if only is None else only:
        x, y = _origins(480.0 * calm * swirls.at(number))
        latitude = np.pi * (np.clip((y + 0.5) / rows, 0, 1) - 0.5)
        warmth = 0.12 + 0.68 * np.maximum(np.cos(latitude), 0) ** 1.5
        clouds = 0.028 * _sample(weather.at(number).astype(np.float32), x, y)
        values = np.clip(warmth + ground + clouds, 0, 1)
        yield values.astype(np.float32)


def _ground() -> Array:
    """Coasts a few pixels wide, and mountains on one side of them."""
    land = 0.5 + 0.5 * np.tanh(5 * _Waves(14, 2, 36, -1.3).at(0.0))
    relief = np.log1p(np.exp(2.5 * _Waves(15, 6, 60, -1.1).at(0.0)))
    ground: Array = land * (0.09 - 0.08 * relief / 2.5) - 0.015
    return ground


def _origins(stream: Array) -> tuple[Float, Float]:
    """Columns and rows that the air of each pixel comes from, by its stream function."""
    south = np.gradient(stream, axis=0).astype(np.float32)
    east = (np.roll(stream, -1, 1) - np.roll(stream, 1, 1)).astype(np.float32) / 2
    y, x = np.indices(FIELD_SIZE, np.float32)
    steps = 8
    for _ in range(steps):
        step_x = _sample(south, x, y) / steps
        step_y = _sample(east, x, y) / steps
        x = x + step_x
        y = y - step_y
    return x, y


def _sample(plane: Float, x: Float, y: Float) -> Float:
    """Values of a plane that closes from left to right, at fractional columns and rows."""
    margin = 8
    wrapped = cv2.copyMakeBorder(plane, 0, 0, margin, margin, cv2.BORDER_WRAP)
    sampled: Float = cv2.remap(
        wrapped,
        x % plane.shape[1] + margin,
        y,
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return sampled


@dataclass(frozen=True, slots=True)
class Camera:
    """How the picture of a wall changes from frame to frame; pixels are those of frame 0.

    Attributes:
        start: where on the wall the upper left corner of frame 0 lies: column, row, pixels.
        pan: what the camera moves by in each frame: columns, rows, pixels.
        zoom: by what the picture grows in each frame, as a natural logarithm.
        turn: by what the picture turns in each frame, radians.
        pivot: place in the picture about which it grows and turns: column, row, pixels.
    """

    start: tuple[float, float] = (76.0, 116.0)
    pan: tuple[float, float] = (0.0, 0.0)
    zoom: float = 0.0
    turn: float = 0.0
    pivot: tuple[float, float] = (160.0, 120.0)


# The pivot of the slow ones lies beside the picture, so that nothing in it stands still.
CAMERAS = {
    "pan": Camera(pan=(19 / 32, 7 / 32)),
    "zoom": Camera(zoom=0.0037, pivot=(-60.0, 120.0)),
    "turn": Camera(turn=0.0037, pivot=(-60.0, 120.0)),
    "fast": Camera(pan=(14.6, -3.3), turn=0.009),
}

_TEXELS = 6  # of the wall in a pixel's width, and samples
_CONTRAST = 0.65  # bicubic's PSNR is then that of ordinary footage


def view(scene: str, number: int) -> Array:
    """Where frame ``number`` looks: (2, 3), from (column, row, 1) in the picture to the wall.

    Both are in pixels from the upper left corner, where the first pixel's middle is (0.5, 0.5).
    """
    camera = CAMERAS[scene]
    angle = camera.turn * number
    cosine = np.cos(angle)
    sine = np.sin(angle)
    rotation = np.array([[cosine, sine], [-sine, cosine]])
    linear = np.exp(-camera.zoom * number) * rotation
    pivot = np.array(camera.pivot)
    start = np.array(camera.start) + number * np.array(camera.pan)
    offset = start + pivot - linear @ pivot
    return np.column_stack([linear, offset])


def motion(
    scene: str,
    frames: int = MOTION_FRAMES,
    only: Iterable[int] | None = None,
) -> Iterator[NDArray[np.uint8]]:
    """A wall of fine detail, seen by a camera that moves as ``CAMERAS[scene]`` says.

    Samples are as close as the texels of the wall and are taken between them linearly, so that
    their mean over a pixel is, in a pan, the wall's exact mean over the pixel's square.

    Yields:
        (240, 320) uint8, limited-range luma; of ``frames`` frames those numbered in ``only``, where
        given.
    """
    rows, columns = MOTION_SIZE
    for number in range(frames) if only is None else only:
        samples = view(scene, number)
        # From pixels to the numbers of samples and texels, whose middles are half of one away.
        samples[:, 2] = samples[:, :2] @ (0.5, 0.5) + _TEXELS * samples[:, 2] - 0.5
        sampled = cv2.warpAffine(
            _wall(),
            samples,
            (columns * _TEXELS, rows * _TEXELS),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT,
        )
        picture = cv2.resize(sampled, (columns, rows), interpolation=cv2.INTER_AREA)
        yield np.rint(picture).astype(np.uint8)


@cache
def _wall() -> Float:
    """Luma of 480 x 480 pixels of wall, (2880, 2880): the demonstration clip's textures, large.

    The finest hatching has a period of 2.4 pixels; towards the middle of the wheel the spokes are
    finer than pixels.
    """
    rng = np.random.default_rng(7)
    wall = _enlarged(mosaic(1440, 96, rng))
    wall[768:1344, 1728:2304] = _enlarged(lattice(288, 96, rng))
    terrazzo = 0.5 + 0.5 * np.tanh(3 * noise(768, 20, 4, rng))
    wall[1344:2112, 1536:2304] = gradient(
        terrazzo, ((70, 84, 92), (150, 140, 120), (214, 200, 170))
    )
    _draw_wheel(
        wall,
        centre=(1140, 1008),
        radius=252,
        spokes=24,
    )
    cv2.rectangle(wall, (540, 1332), (1392, 1908), PAPER, -1)
    lines = {
        14: "Every letter",
        11: "counts: 0123",
        9: "small print 3.14159",
        8: "& Quartz, the quick",
        7: "brown fox jumps over",
        6: "a lazy dog at 25 frames/s",
        5: "Lorem ipsum dolor sit amet",
    }
    base = 224.0
    for height, text in lines.items():
        base += 1.45 * height
        draw_text(wall, text, 97, base, height, _TEXELS, INK)
    return (126 + _CONTRAST * (rgb_to_luma(wall) - 126)).astype(np.float32)


def _enlarged(texture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Every texel as a square of four: (2H, 2W, 3)."""
    return texture.repeat(2, axis=0).repeat(2, axis=1)


def _draw_wheel(
    wall: NDArray[np.uint8],
    centre: tuple[int, int],
    radius: int,
    spokes: int,
) -> None:
    cv2.circle(wall, centre, radius + 18, PAPER, -1, cv2.LINE_AA)
    for spoke in range(spokes):
        angles = (2 * spoke + np.array([0, 0.5, 1])) * np.pi / spokes
        directions = np.column_stack([np.cos(angles), np.sin(angles)])
        arc = centre + radius * directions
        corners = np.rint(256 * np.vstack([centre, arc])).astype(np.int32)
        cv2.fillPoly(wall, [corners], INK, cv2.LINE_AA, shift=8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, metavar="OUT_DIR")
    counts = (
        f"{GEM_FRAMES} of gem, {FIELD_FRAMES} of field, {MOTION_FRAMES} of the others"
    )
    parser.add_argument(
        "--frames", type=int, help=f"the first so many of each; default: {counts}"
    )
    names = ("gem", "field", *CAMERAS)
    parser.add_argument(
        "--only",
        action="append",
        choices=names,
        help="only this one; can be given several times",
    )
    arguments = parser.parse_args()
    for name in arguments.only or names:
        folder = arguments.out / name
        if name == "gem":
            write(folder, "png", gem(only=range(arguments.frames or GEM_FRAMES)))
        elif name == "field":
            write(folder, "tiff", field(only=range(arguments.frames or FIELD_FRAMES)))
        else:
            write(folder, "png", motion(name, arguments.frames or MOTION_FRAMES))


def write(
    folder: Path,
    suffix: str,
    pictures: Iterator[NDArray[np.uint8]] | Iterator[NDArray[np.float32]],
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(pictures):
        if not cv2.imwrite(str(folder / f"{number:04d}.{suffix}"), picture):
            raise SystemExit(f"{folder}: cannot be written")


if __name__ == "__main__":
    main()
