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
_CENTRE = (225.0, 138.0)  # where the middle of the girdle's plane lies: column, row
_DISTANCE = 4.0  # of the camera, in radii, for the directions of light; shapes are drawn in parallel projection
_REFRACTION = (
    1 / 1.76
)  # a sapphire's; at a diamond's 1 / 2.42 the patches become smaller than what the blur leaves
_MIRRORED = 0.22  # share of the light that the surface throws back head on
_BACKDROP = (62.0, 96.0)  # luma at the top and at the bottom


def gem(
    frames: int = GEM_FRAMES, only: Iterable[int] | None = None
) -> Iterator[NDArray[np.uint8]]:
    """One revolution of the camera in ``frames`` frames; of them those numbered in ``only``, where given.

    Yields:
        (300, 450) uint8, full-range luma 0..255. No two frames of a revolution are alike: the stone is symmetric, its surroundings are not.
    """
    for number in range(frames) if only is None else only:
        yield _render(2 * np.pi * number / frames)


def _facets() -> tuple[Array, Array]:
    """Outward normals (N, 3) and distances (N,) of a round brilliant of girdle radius 1, its axis z, the girdle about z = 0."""
    planes: list[tuple[float, float, float, float]] = []

    def ring(
        count: int, phase: float, slope: float, through: tuple[float, float]
    ) -> None:
        """``count`` facets inclined by ``slope`` degrees (negative: below the girdle), each through a point (radius, z) straight out from its middle."""
        up = np.radians(np.copysign(90 - abs(slope), slope))
        for k in range(count):
            azimuth = 2 * np.pi * (k + phase) / count
            planes.append(
                (
                    np.cos(azimuth) * np.cos(up),
                    np.sin(azimuth) * np.cos(up),
                    np.sin(up),
                    through[0] * np.cos(up) + through[1] * np.sin(up),
                )
            )

    edge = 0.03
    table = 0.33
    planes.append((0, 0, 1, table))
    ring(8, 0.5, 22.0, (0.52, table))  # star facets
    ring(8, 0.0, 34.5, (1.0, edge))  # crown mains
    ring(16, 0.5, 40.5, (1.0, edge))  # upper girdle facets
    ring(32, 0.5, 90.0, (0.995, 0.0))  # girdle
    ring(16, 0.5, -42.2, (1.0, -edge))  # lower girdle facets
    ring(8, 0.0, -40.75, (0.99, -edge))  # pavilion mains
    found = np.array(planes)
    return found[:, :3], found[:, 3]


@cache
def _stone() -> tuple[Array, Array, list[Array]]:
    """Normals, distances and corners (M, 3) of every facet, in order around it: a large square in its plane, cut by all the others."""
    normals, distances = _facets()
    polygons = []
    for k, (normal, distance) in enumerate(zip(normals, distances, strict=True)):
        first = np.cross(
            normal, (0.0, 0.0, 1.0) if abs(normal[2]) < 0.9 else (1.0, 0.0, 0.0)
        )
        first /= np.linalg.norm(first)
        second = np.cross(normal, first)
        polygon = np.array(
            [
                normal * distance + 9 * (a * first + b * second)
                for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))
            ]
        )
        for other in range(len(normals)):
            if other != k and len(polygon):
                polygon = _cut(polygon, normals[other], distances[other])
        polygons.append(polygon)
    return normals, distances, polygons


def _cut(polygon: Array, normal: Array, distance: float) -> Array:
    """The part of a convex polygon where normal.x <= distance."""
    beyond = polygon @ normal - distance
    kept = []
    for k, point in enumerate(polygon):
        after = (k + 1) % len(polygon)
        if beyond[k] <= 0:
            kept.append(point)
        if (beyond[k] <= 0) != (beyond[after] <= 0):
            kept.append(
                point
                + (polygon[after] - point) * (beyond[k] / (beyond[k] - beyond[after]))
            )
    return np.array(kept).reshape(-1, 3)


def _camera(angle: float) -> Array:
    """Rows: right, up and towards the camera, in the stone's coordinates."""
    low = np.cos(_ELEVATION)
    high = np.sin(_ELEVATION)
    c = np.cos(angle)
    s = np.sin(angle)
    return np.array([[c, s, 0], [-s * high, c * high, low], [s * low, -c * low, high]])


def _render(angle: float) -> NDArray[np.uint8]:
    rows, columns = GEM_SIZE
    camera = _camera(angle)
    # the stone lies inside
    top = 32
    bottom = 270
    left = 54
    right = 396
    shape = ((bottom - top) * _SUPERSAMPLING, (right - left) * _SUPERSAMPLING)
    facet = _visible(camera, (top, left), shape)
    lit = _shade(facet, camera, (top, left))

    picture = np.repeat(
        np.linspace(*_BACKDROP, rows, dtype=np.float32)[:, None], columns, axis=1
    )
    inside = picture[top:bottom, left:right]
    size = (right - left, bottom - top)
    covered = cv2.resize(
        (facet >= 0).astype(np.float32), size, interpolation=cv2.INTER_AREA
    )
    inside *= 1 - covered
    inside += cv2.resize(lit, size, interpolation=cv2.INTER_AREA)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _visible(
    camera: Array, corner: tuple[int, int], shape: tuple[int, int]
) -> NDArray[np.int16]:
    """Number of the facet that each subpixel shows, or -1: on a convex body those that face the camera hide nothing of each other."""
    normals, _, polygons = _stone()
    facet = np.full(shape, -1, np.int16)
    for k in np.flatnonzero(normals @ camera[2] > 1e-6):
        if len(polygons[k]) < 3:
            continue
        seen = polygons[k] @ camera[:2].T * _RADIUS
        place = (
            np.stack(
                [
                    seen[:, 0] + _CENTRE[0] - corner[1],
                    _CENTRE[1] - corner[0] - seen[:, 1],
                ],
                axis=1,
            )
            * _SUPERSAMPLING
            - 0.5
        )
        cv2.fillConvexPoly(
            facet, np.rint(place * 256).astype(np.int32), int(k), shift=8
        )
    return facet


def _shade(facet: NDArray[np.int16], camera: Array, corner: tuple[int, int]) -> Float:
    """Luma of every subpixel of the stone, 0 elsewhere: what its surface mirrors, and what comes out of it after one reflection at its far side."""
    normals = _stone()[0].astype(np.float32)
    pixels = np.argsort(
        facet, axis=None, kind="stable"
    )  # those of one facet side by side
    starts = np.searchsorted(facet.reshape(-1)[pixels], np.arange(len(normals) + 1))
    rows, columns = (
        part.astype(np.float32) for part in np.divmod(pixels, facet.shape[1])
    )
    x = ((columns + 0.5) / _SUPERSAMPLING + (corner[1] - _CENTRE[0])) / np.float32(
        _RADIUS
    )
    y = ((rows + 0.5) / -_SUPERSAMPLING + (_CENTRE[1] - corner[0])) / np.float32(
        _RADIUS
    )
    mirror, depth = np.zeros(
        (2, 2, pixels.size), np.float32
    )  # places in the picture of the room
    shine, matte = np.zeros((2, pixels.size), np.float32)
    right, up, towards = camera.astype(np.float32)[:, :, None]
    for k, normal in enumerate(normals[:, :, None]):
        part = slice(starts[k], starts[k + 1])
        if part.start == part.stop:
            continue
        view = right * x[part] + up * y[part] - np.float32(_DISTANCE) * towards
        view /= np.sqrt(_dot(view, view))
        # shapes are drawn as from afar: on a facet that is seen edge on, a ray from the near camera may come from behind
        cosine = np.maximum(-_dot(normal, view), 0.02)
        bent = (
            _REFRACTION * view
            + (_REFRACTION * cosine - np.sqrt(1 - _REFRACTION**2 * (1 - cosine**2)))
            * normal
        )
        far = normals.T[:, _far_side(k, camera, x[part], y[part])]
        mirror[:, part] = _place(view + 2 * cosine * normal)
        depth[:, part] = _place(bent - 2 * _dot(far, bent) * far)
        shine[part] = _MIRRORED + (1 - _MIRRORED) * (1 - cosine) ** 5
        matte[part] = (
            3
            + 24 * max(0.0, float(normals[k] @ _unit(-0.5, -0.6, 0.5)))
            + 14 * max(0.0, float(normals[k] @ _unit(0.8, 0.3, -0.4)))
        )
    stone = slice(starts[0], None)
    surface, inner = (_look(places[:, stone]) for places in (mirror, depth))
    light = matte[stone] + shine[stone] * surface + 0.9 * (1 - shine[stone]) * inner
    lit = np.zeros(facet.size, np.float32)
    lit[pixels[stone]] = np.minimum(light, 255)
    return lit.reshape(facet.shape)


def _dot(first: Float, second: Float) -> Float:
    """Scalar products of vectors (3, N); plain sums, as NumPy's reductions over so short an axis are slow."""
    product: Float = first[0] * second[0] + first[1] * second[1] + first[2] * second[2]
    return product


def _look(places: Float) -> Float:
    """The room's luma at places (2, N)."""
    width = 1024  # OpenCV takes pictures of fewer than 32768 columns only
    padded = np.pad(places, ((0, 0), (0, -places.shape[1] % width))).reshape(
        2, -1, width
    )
    luma: Float = cv2.remap(_room(), padded[0], padded[1], cv2.INTER_LINEAR)
    return luma.reshape(-1)[: places.shape[1]]


def _far_side(k: int, camera: Array, x: Float, y: Float) -> NDArray[np.intp]:
    """Facet that the light entering facet ``k`` at (x, y), in radii from the middle of the picture, meets inside.

    The whole facet bends it in one direction, so that the distance to every other plane is linear in x and y.
    """
    normals, distances, _ = _stone()
    normal = normals[k]
    view = -camera[2]
    cosine = -(normal @ view)
    bent = (
        _REFRACTION * view
        + (_REFRACTION * cosine - np.sqrt(1 - _REFRACTION**2 * (1 - cosine**2)))
        * normal
    )
    # the point on the facet: x * right + y * up + z * towards, with z linear in x and y
    z = np.array([distances[k], -(normal @ camera[0]), -(normal @ camera[1])]) / (
        normal @ camera[2]
    )
    point = np.outer(camera[2], z)
    point[:, 1] += camera[0]
    point[:, 2] += camera[1]
    along = normals @ bent
    ahead = np.flatnonzero(along > 1e-3)
    reach = -(normals[ahead] @ point)
    reach[:, 0] += distances[ahead]
    reach /= along[ahead, None]
    nearest = np.full(x.shape, np.inf, np.float32)
    found = np.zeros(x.shape, np.intp)
    corners = np.array(
        [[1, a, b] for a in (x.min(), x.max()) for b in (y.min(), y.max())]
    )
    bounds = reach @ corners.T
    # a plane that is further away at every corner than another one is at its furthest cannot be met
    for j in np.flatnonzero(bounds.min(1) <= bounds.max(1).min()):
        distance = (
            np.float32(reach[j, 0])
            + np.float32(reach[j, 1]) * x
            + np.float32(reach[j, 2]) * y
        )
        nearer = distance < nearest
        nearest[nearer] = distance[nearer]
        found[nearer] = ahead[j]
    return found


_ROOM_SIDE = 768


@cache
def _room() -> Float:
    """The studio seen from the stone, as a square: softboxes, lamps and a window round a dark room with a pale table; luma, up to above 255."""
    u, v = (np.indices((_ROOM_SIDE, _ROOM_SIDE))[::-1] + 0.5) / _ROOM_SIDE * 2 - 1
    z = 1 - np.abs(u) - np.abs(v)
    x = np.where(z < 0, (1 - np.abs(v)) * np.sign(u), u)
    y = np.where(z < 0, (1 - np.abs(u)) * np.sign(v), v)
    directions = np.stack([x, y, z]) / np.sqrt(x * x + y * y + z * z)
    light = (
        26
        + 34 * _step(directions[2] + 0.1, 1.0)
        + 34 * _step(-directions[2] - 0.25, 0.3)
    )
    light += (
        20
        * np.sin(3 * np.arctan2(y, x) + 2.5 * directions[2])
        * np.sqrt(1 - directions[2] ** 2)
    )
    # azimuth, height in degrees; half width, half height as tangents; luma; bars across it
    lamps = [
        (40, 36, 0.42, 0.34, 235, 3), (112, 22, 0.10, 0.55, 190, 0), (165, 52, 0.24, 0.24, 250, 0), (214, 26, 0.40, 0.10, 160, 0),
        (262, 40, 0.16, 0.36, 225, 2), (318, 18, 0.12, 0.40, 175, 0), (335, 62, 0.18, 0.18, 245, 0), (75, 74, 0.14, 0.14, 210, 0),
        (0, -4, 0.45, 0.09, 120, 0), (140, -8, 0.50, 0.08, 130, 0), (238, -12, 0.16, 0.16, 150, 0),
        (290, -30, 0.30, 0.12, 110, 0), (62, -35, 0.22, 0.14, 120, 0),
    ]  # fmt: skip
    for azimuth, height, half_width, half_height, luma, bars in lamps:
        a, h = np.radians((azimuth, height))
        forward = np.array([np.cos(a) * np.cos(h), np.sin(a) * np.cos(h), np.sin(h)])
        right = np.array([-np.sin(a), np.cos(a), 0])
        above = np.cross(forward, right)
        ahead = np.einsum("i,ijk", forward, directions)
        across = np.einsum("i,ijk", right, directions) / np.maximum(ahead, 0.05)
        upward = np.einsum("i,ijk", above, directions) / np.maximum(ahead, 0.05)
        shape = (
            _step(half_width - np.abs(across), 0.05)
            * _step(half_height - np.abs(upward), 0.05)
            * (ahead > 0.05)
        )
        if bars:
            shape *= _step(
                np.abs((across / half_width * bars / 2 + 0.25) % 1 - 0.5) - 0.05, 0.08
            )
        light += luma * shape
    return light.astype(np.float32)


def _place(directions: Float) -> Float:
    """Where in ``_room`` directions (3, N), of any length, are: columns and rows (2, N); an octahedron unfolded."""
    x, y, z = directions / (
        np.abs(directions[0]) + np.abs(directions[1]) + np.abs(directions[2])
    )
    below = z < 0
    u = np.where(below, np.copysign(1 - np.abs(y), x), x)
    v = np.where(below, np.copysign(1 - np.abs(x), y), y)
    return np.clip((np.stack([u, v]) + 1) * (_ROOM_SIDE / 2) - 0.5, 0, _ROOM_SIDE - 1)


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
    """A periodic sum of waves with a red spectrum that drift eastwards, long ones more slowly: ``at(time)`` has mean 0 and standard deviation about 1."""

    def __init__(self, seed: int, longest: int, shortest: int, slope: float) -> None:
        """Draw 160 waves of ``longest``..``shortest`` periods a picture's width; their amplitude goes with that number to the power of ``slope``."""
        rows, columns = FIELD_SIZE
        rng = np.random.default_rng(seed)
        number = longest * (shortest / longest) ** rng.uniform(
            0, 1, 160
        )  # even in octaves
        heading = rng.uniform(0, 2 * np.pi, 160)
        around = np.rint(
            number * np.cos(heading)
        )  # whole, so that the picture closes round the globe
        self._rate = around * 0.011 * (1 - 5 / (number**2 + 8))  # radians a frame
        down = number * np.sin(heading)
        height = number**slope
        height *= np.sqrt(2 / np.square(height).sum())
        phase = rng.uniform(0, 2 * np.pi, 160)
        x, y = (2 * np.pi * np.arange(side) / columns for side in (columns, rows))
        self._down = height * np.exp(1j * np.outer(y, down))  # rows x waves
        self._around = np.exp(
            1j * (np.outer(around, x) + phase[:, None])
        )  # waves x columns

    def at(self, time: float) -> Array:
        """The sum at a time in frames: (318, 640)."""
        moved = self._down * np.exp(-1j * self._rate * time)
        values: Array = moved.real @ self._around.real - moved.imag @ self._around.imag
        return values


def field(
    frames: int = FIELD_FRAMES, only: Iterable[int] | None = None
) -> Iterator[NDArray[np.float32]]:
    """A temperature-like field on a globe's latitudes and longitudes: warm in the middle, cold at the poles, stirred by drifting swirls.

    A climate model integrates its winds from step to step. This carries the air along a stream function for a fixed while instead, so that each frame stands by
    itself: it winds the gradient from equator to poles into fronts that never get finer than the sampling. Coasts and mountains, which stay, and weather, which
    drifts with the air, are added. How strong they are was chosen by bicubic's score alone: some 46 dB after `blur3`, of the order of the report's figures.

    Yields:
        (318, 640) float32, 0..1; of ``frames`` frames those numbered in ``only``, where given.
    """
    rows = FIELD_SIZE[0]
    grid_y, grid_x = np.indices(FIELD_SIZE, np.float32)
    calm = (
        np.cos(np.pi * (np.arange(rows) + 0.5) / rows - np.pi / 2)[:, None] ** 0.5
    )  # no wind across the poles
    swirls = _Waves(11, 3, 14, -1.7)
    weather = _Waves(13, 5, 30, -1.3)
    # coasts a few pixels wide, and mountains on one side of them
    land = 0.5 + 0.5 * np.tanh(5 * _Waves(14, 2, 36, -1.3).at(0.0))
    ground = (
        land
        * (0.09 - 0.08 * np.log1p(np.exp(2.5 * _Waves(15, 6, 60, -1.1).at(0.0))) / 2.5)
        - 0.015
    )
    for number in range(frames) if only is None else only:
        stream = 480.0 * calm * swirls.at(number)
        south = np.gradient(stream, axis=0).astype(np.float32)
        east = (np.roll(stream, -1, 1) - np.roll(stream, 1, 1)).astype(np.float32) / 2
        steps = 8
        x = grid_x
        y = grid_y
        for _ in range(steps):
            step_x = _sample(south, x, y) / steps
            step_y = -_sample(east, x, y) / steps
            x = x + step_x
            y = y + step_y
        latitude = np.pi * (np.clip((y + 0.5) / rows, 0, 1) - 0.5)
        warmth = 0.12 + 0.68 * np.maximum(np.cos(latitude), 0) ** 1.5
        yield np.clip(
            warmth
            + ground
            + 0.028 * _sample(weather.at(number).astype(np.float32), x, y),
            0,
            1,
        ).astype(np.float32)


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
    linear = np.exp(-camera.zoom * number) * np.array([[cosine, sine], [-sine, cosine]])
    pivot = np.array(camera.pivot)
    offset = (
        np.array(camera.start) + number * np.array(camera.pan) + pivot - linear @ pivot
    )
    return np.column_stack([linear, offset])


def motion(
    scene: str, frames: int = MOTION_FRAMES, only: Iterable[int] | None = None
) -> Iterator[NDArray[np.uint8]]:
    """A wall of fine detail, seen by a camera that moves as ``CAMERAS[scene]`` says.

    Samples lie as close as the texels of the wall and are taken between them linearly, so that
    their mean over a pixel is, in a pan, the wall's exact mean over the pixel's square.

    Yields:
        (240, 320) uint8, limited-range luma; of ``frames`` frames those numbered in ``only``, where
        given.
    """
    rows, columns = MOTION_SIZE
    for number in range(frames) if only is None else only:
        samples = view(scene, number)
        # from pixels to the numbers of samples and texels, whose middles are half of one away
        samples[:, 2] = samples[:, :2] @ (0.5, 0.5) + _TEXELS * samples[:, 2] - 0.5
        seen = cv2.warpAffine(
            _wall(),
            samples,
            (columns * _TEXELS, rows * _TEXELS),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT,
        )
        picture = cv2.resize(seen, (columns, rows), interpolation=cv2.INTER_AREA)
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
    _draw_wheel(wall, centre=(1140, 1008), radius=252, spokes=24)
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
    wall: NDArray[np.uint8], centre: tuple[int, int], radius: int, spokes: int
) -> None:
    cv2.circle(wall, centre, radius + 18, PAPER, -1, cv2.LINE_AA)
    for spoke in range(spokes):
        angles = (2 * spoke + np.array([0, 0.5, 1])) * np.pi / spokes
        arc = centre + radius * np.column_stack([np.cos(angles), np.sin(angles)])
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
