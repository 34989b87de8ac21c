"""Stand-ins for the two data sets of the report, which are not available: python benchmarks/standins.py OUT_DIR [--frames N].

``gem``: a brilliant-cut stone before a camera that goes round it at constant angular velocity; 300 frames of 300 x 450, luma, sharp facets that reflect windows and lamps.
``field``: a smooth simulated scalar field of values 0..1, 318 x 640. Both are made here, frame by frame, from fixed seeds; they resemble the report's data in kind only.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

GEM_SIZE = (300, 450)  # rows, columns
GEM_FRAMES = 300
FIELD_SIZE = (318, 640)
FIELD_FRAMES = 300
_SUPERSAMPLING = 3
_REFRACTION = 1 / 1.9  # of the stone's glass; diamond's 2.42 breaks up into even smaller patches

Array = NDArray[np.float64]


def gem(frames: int = GEM_FRAMES, only: NDArray[np.intp] | None = None) -> Iterator[NDArray[np.uint8]]:
    """One revolution in ``frames`` frames; those numbered in ``only``, where given. Luma codes 16..235, (300, 450)."""
    normals, offsets = _brilliant()
    for number in range(frames) if only is None else only:
        yield _render(normals, offsets, 2 * np.pi * int(number) / frames)


def _brilliant() -> tuple[Array, Array]:
    """The stone as half-spaces n.x <= d: table, star, main and girdle facets above, a pavilion below."""
    planes: list[tuple[float, float, float, float]] = [(0, 0, 1, 0.42)]

    def ring(count: int, phase: float, elevation: float, distance: float) -> None:
        for k in range(count):
            azimuth = 2 * np.pi * (k + phase) / count
            planes.append((np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation), distance))

    ring(8, 0.5, np.radians(68), 0.56)  # star facets
    ring(8, 0.0, np.radians(56), 0.725)  # crown mains
    ring(16, 0.5, np.radians(48), 0.80)  # upper girdle facets
    ring(32, 0.5, 0.0, 1.0)  # girdle
    ring(8, 0.0, np.radians(-49), 0.70)  # pavilion mains
    ring(16, 0.5, np.radians(-47.5), 0.727)  # lower girdle facets
    table = np.array(planes)
    return table[:, :3], table[:, 3]


def _render(normals: Array, offsets: Array, angle: float) -> NDArray[np.uint8]:
    rows, columns = GEM_SIZE
    scale = _SUPERSAMPLING
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    tilt = np.radians(38)
    lean = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    n = normals @ (lean @ turn).T  # in camera space: x right, y up, z towards the camera
    y, x = np.mgrid[: rows * scale, : columns * scale].astype(np.float32)
    unit = 0.42 * rows * scale
    px, py = (x - columns * scale / 2 + 0.5) / unit, -(y - rows * scale / 2 + 0.5) / unit - 0.05
    picture = _background(px, py)
    # rays go along -z: they enter through the lowest plane that faces the camera and leave through the highest of the others
    enters, leaves = np.full_like(px, np.inf), np.full_like(px, -np.inf)
    facet = np.zeros(px.shape, np.intp)
    for k, (normal, offset) in enumerate(zip(n, offsets, strict=True)):
        if abs(normal[2]) < 1e-6:
            continue
        reach = (np.float32(offset / normal[2]) - np.float32(normal[0] / normal[2]) * px) - np.float32(normal[1] / normal[2]) * py
        if normal[2] < 0:
            np.maximum(leaves, reach, out=leaves)
            continue
        nearer = reach < enters
        enters[nearer] = reach[nearer]
        facet[nearer] = k
    facet[enters <= leaves] = -1
    view = np.array([0.0, 0.0, -1.0])
    for k in np.unique(facet[facet >= 0]):
        where = facet == k
        start = np.stack([px[where], py[where], enters[where]], axis=1)
        # one flat facet: one mirrored direction, and one bent direction, which the facets behind mirror once more
        mirrored = view - 2 * (n[k] @ view) * n[k]
        cosine = -(n[k] @ view)
        bent = _REFRACTION * view + (_REFRACTION * cosine - np.sqrt(1 - _REFRACTION**2 * (1 - cosine**2))) * n[k]
        along = n @ bent
        ahead = np.flatnonzero(along > 1e-6)
        behind = ahead[((offsets[ahead] - start @ n[ahead].T) / along[ahead]).argmin(1)]
        again = bent - 2 * (n @ bent)[:, None] * n
        picture[where] = 0.3 * _light(mirrored[None])[0] + 0.85 * _light(again)[behind]
    small = cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA)
    return np.clip(np.rint(16 + small * (219 / 255)), 16, 235).astype(np.uint8)


def _light(direction: Array) -> Array:
    """What comes from directions (N, 3), 0..255: a dim room, a bright window with bars, two lamps, a pale ceiling."""
    x, y, z = direction.T
    room = 25 + 45 * (0.5 + 0.5 * y) + 30 * (0.5 + 0.5 * np.sin(5 * np.arctan2(y, x) + 4 * z))
    ceiling = 70 * _step(y - 0.72, 0.05)
    u, v = x / np.maximum(z, 0.05), y / np.maximum(z, 0.05)
    window = (np.abs(u - 0.55) < 0.5) & (np.abs(v - 0.5) < 0.42) & (z > 0.05)
    bars = (np.abs((u * 4) % 1 - 0.5) < 0.06) | (np.abs((v * 3) % 1 - 0.5) < 0.06)
    lamps = 170 * _step(direction @ _unit(-0.8, 0.35, 0.5) - 0.93, 0.02) + 120 * _step(direction @ _unit(0.2, -0.7, -0.7) - 0.86, 0.03)
    back = 95 * _step(-z - 0.35, 0.03) * (0.5 + 0.5 * np.sign(np.sin(9 * np.arctan2(y, x))))
    light: Array = np.clip(room + ceiling + np.where(window & ~bars, 190, 0) + lamps + back, 0, 255)
    return light


def _background(px: Array, py: Array) -> Array:
    """A plain backdrop, lighter in the middle, and the soft shadow below the stone."""
    vignette = 120 - 38 * (px**2 + py**2)
    shadow = 50 * np.exp(-((px / 0.9) ** 2) - ((py + 0.95) / 0.16) ** 2)
    picture: Array = np.clip(vignette - shadow, 20, 255)
    return picture


def _step(value: Array, width: float) -> Array:
    result: Array = np.clip(value / width + 0.5, 0, 1)
    return result


def _unit(*parts: float) -> Array:
    vector = np.array(parts)
    unit: Array = vector / np.linalg.norm(vector)
    return unit


def field(frames: int = FIELD_FRAMES, only: NDArray[np.intp] | None = None) -> Iterator[NDArray[np.float32]]:
    """A temperature-like field: warm middle latitudes, waves of many sizes that drift with the zonal wind; float32 0..1, (318, 640).

    A sum of 160 waves whose power falls with the third power of the wave number, each drifting at its own speed (Rossby waves: long ones slower, against the flow).
    """
    rows, columns = FIELD_SIZE
    rng = np.random.default_rng(7)
    count = 160
    across = rng.integers(1, 22, count)
    down = rng.integers(0, 24, count)
    size = np.hypot(across, down)
    height = 2.5 * size**-1.5 * rng.uniform(0.5, 1, count)
    phase, shift = rng.uniform(0, 2 * np.pi, (2, count))
    speed = across * (0.030 - 0.18 / (size**2 + 6))
    latitude = (np.arange(rows) + 0.5) / rows
    longitude = 2 * np.pi * np.arange(columns) / columns
    mean = 0.18 + 0.62 * np.sin(np.pi * latitude) ** 1.3
    for number in range(frames) if only is None else only:
        waves = np.zeros((rows, columns))
        for k in range(count):
            column = np.cos(np.pi * down[k] * latitude + shift[k])
            waves += height[k] * np.outer(column, np.cos(across[k] * longitude - speed[k] * int(number) + phase[k]))
        bend = 0.05 * np.tanh(2.2 * waves)  # fronts: gradients steepen where warm meets cold
        yield np.clip(mean[:, None] + 0.06 * waves + bend, 0, 1).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, metavar="OUT_DIR")
    parser.add_argument("--frames", type=int, default=GEM_FRAMES)
    arguments = parser.parse_args()
    for name, frames, suffix in (("gem", gem, "png"), ("field", field, "tiff")):
        folder = arguments.out / name
        folder.mkdir(parents=True)
        for number, picture in enumerate(frames(arguments.frames)):
            cv2.imwrite(str(folder / f"{number:04d}.{suffix}"), picture)
        print(f"wrote {arguments.frames} frames to {folder}")


if __name__ == "__main__":
    main()
