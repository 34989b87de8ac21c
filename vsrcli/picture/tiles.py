"""From a window to a doubled luma plane: edges reflected, large pictures in tiles with a halo, the network's trim made good.

A network leaves ``trim`` output pixels off on each side and takes what lies outside its input for zero. Both are kept away
from the picture by reflecting a few pixels around it first, and from tile seams by the halo.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrcli.errors import BackendError, OutOfMemory
from vsrcli.models import ModelSpec

# codes (uint8, uint16) or values on a checkpoint's scale (float32): cutting and joining is the same for both
Samples = NDArray[Any]

# A tile's core is at least this large, however little memory is granted: below, nearly all work would be halo.
MIN_CORE_PX = 32
# Low-resolution pixels mirrored around every picture, so that the networks' own zero padding stays off it.
EDGE_PX = 4


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of a picture.

    Attributes:
        source: (rows, columns) to feed to the network, halo included, in the padded picture.
        core: (rows, columns) that the result is good for, in the picture itself. The cores of a plan cover it exactly once.
    """

    source: tuple[slice, slice]
    core: tuple[slice, slice]

    @property
    def area(self) -> int:
        """Pixels fed to the network."""
        rows, columns = self.source
        return int((rows.stop - rows.start) * (columns.stop - columns.start))


def _cut(length: int, parts: int, halo: int, edge: int) -> list[tuple[slice, slice]]:
    """Cut an axis into nearly equal parts; (source, core) of each, the source clamped to the padded axis."""
    bounds = [length * i // parts for i in range(parts + 1)]
    return [
        (
            slice(
                max(start - halo, -edge) + edge, min(stop + halo, length + edge) + edge
            ),
            slice(start, stop),
        )
        for start, stop in pairwise(bounds)
    ]


def _grid(
    height: int, width: int, max_pixels: int, halo: int, edge: int
) -> tuple[int, int]:
    """Return how many rows and columns of tiles to make."""
    strip_rows = max_pixels // (width + 2 * edge) - 2 * halo
    if strip_rows >= max(
        4 * halo, MIN_CORE_PX
    ):  # at most half of the work again goes into the halo
        return -(-height // strip_rows), 1
    best = None
    for columns in range(1, max(1, width // MIN_CORE_PX) + 1):
        tile_width = min(-(-width // columns) + 2 * halo, width + 2 * edge)
        core_rows = max_pixels // tile_width - 2 * halo
        if core_rows < MIN_CORE_PX and columns < width // MIN_CORE_PX:
            continue
        rows = -(-height // max(core_rows, MIN_CORE_PX))
        work = (height + 2 * halo * (rows - 1)) * (width + 2 * halo * (columns - 1))
        if best is None or work < best[0]:
            best = work, rows, columns
    return (1, 1) if best is None else best[1:]


def plan(
    height: int, width: int, max_pixels: int | None, halo: int, edge: int = 0
) -> list[Tile]:
    """Decide how a picture is cut: not at all where it fits, else into full-width strips, else into the grid of least work.

    Strips are as high as fits; where they would be lower than four halos, columns are cut too.

    Args:
        height: rows of the picture.
        width: columns of the picture.
        max_pixels: largest area fed to the network at once, padding and halo included; None for no limit. It is exceeded
            only where a tile with a core of ``MIN_CORE_PX`` is larger.
        halo: pixels around a core beyond which nothing influences it.
        edge: pixels by which the picture is padded on each side.

    Returns:
        Tiles, row by row; nearly equal in size.

    Raises:
        ValueError: an empty picture or a negative halo or edge.
    """
    if min(height, width) < 1 or min(halo, edge) < 0:
        raise ValueError(
            f"cannot tile {height}x{width} pixels with halo {halo} and edge {edge}"
        )
    rows = columns = 1
    if max_pixels is not None and (height + 2 * edge) * (width + 2 * edge) > max_pixels:
        rows, columns = _grid(height, width, max_pixels, halo, edge)
    across = _cut(width, columns, halo, edge)
    return [
        Tile((source_y, source_x), (core_y, core_x))
        for source_y, core_y in _cut(height, rows, halo, edge)
        for source_x, core_x in across
    ]


def split(padded: Samples, tiles: Iterable[Tile]) -> Iterator[Samples]:
    """Yield a view of ``padded``, shape (..., H + 2*edge, W + 2*edge), for every tile: shape (..., h, w)."""
    for tile in tiles:
        yield padded[..., tile.source[0], tile.source[1]]


def merge(
    results: Iterable[Samples],
    tiles: list[Tile],
    height: int,
    width: int,
    spec: ModelSpec,
    edge: int = 0,
) -> Samples:
    """Put the tiles' cores together.

    Args:
        results: for every tile, in the plan's order, shape (scale*h - 2*trim, scale*w - 2*trim), all of one type.
        tiles: the plan.
        height: rows of the low-resolution picture.
        width: columns of it.
        spec: gives scale and trim.
        edge: as in the plan; ``scale * edge`` is at least ``trim``.

    Returns:
        Shape (scale*height, scale*width), of the results' type.

    Raises:
        ValueError: the edge is too narrow.
        BackendError: a result of another shape.
    """
    scale, trim = spec.scale, spec.trim
    if scale * edge < trim:
        raise ValueError(
            f"edge {edge}: {spec.name} leaves {trim} pixels off at scale {scale}, so it is at least {-(-trim // scale)}"
        )
    picture: Samples | None = None
    for tile, result in zip(tiles, results, strict=True):
        expected = tuple(
            scale * (part.stop - part.start) - 2 * trim for part in tile.source
        )
        if result.shape != expected:
            raise BackendError(
                f"{spec.name} returned a tile of {result.shape}, not {expected}: the checkpoint is of another network"
            )
        target, inside = [], []
        for source, core in zip(tile.source, tile.core, strict=True):
            origin = scale * (source.start - edge) + trim
            target.append(slice(scale * core.start, scale * core.stop))
            inside.append(
                slice(scale * core.start - origin, scale * core.stop - origin)
            )
        if picture is None:
            picture = np.empty((scale * height, scale * width), result.dtype)
        picture[tuple(target)] = result[tuple(inside)]
    if picture is None:
        raise ValueError("a plan of no tiles")
    return picture


def upscale_plane(
    window: Samples,
    run: Callable[[Samples], Samples],
    spec: ModelSpec,
    *,
    max_pixels: int | None,
    edge_px: int = EDGE_PX,
) -> Samples:
    """Upscale the middle frame of a window to its full size.

    Args:
        window: shape (planes, H, W), luma, either codes or float32 on the checkpoint's scale, as ``run`` takes it; any size from 1x1.
        run: (B, planes, h, w) to (B, scale*h - 2*trim, scale*w - 2*trim); gets its input contiguous.
        spec: the network.
        max_pixels: largest area fed to the network at once; None for no limit. See ``plan``.
        edge_px: low-resolution pixels reflected around the picture; ``scale * edge_px`` is at least ``trim``.

    Returns:
        Shape (scale*H, scale*W), of the type that ``run`` gives.

    Raises:
        ValueError: an edge too narrow for the network's trim.
        BackendError: from ``run``, or a result of another shape.
    """
    height, width = window.shape[-2:]
    tiles = plan(height, width, max_pixels, halo_of(spec), edge_px)
    padded = np.pad(
        window, [(0, 0)] * (window.ndim - 2) + [(edge_px, edge_px)] * 2, mode="reflect"
    )  # a side of one pixel is repeated
    results = (
        run(np.ascontiguousarray(part[None]))[0] for part in split(padded, tiles)
    )
    return merge(results, tiles, height, width, spec, edge_px)


def halo_of(spec: ModelSpec) -> int:
    """Pixels that a tile needs around its core: the network's halo, or what its trim takes off where that is more."""
    return max(spec.halo_px, -(-spec.trim // spec.scale))


class Tiler:
    """Upscales planes in as few parts as memory allows, and in smaller ones once it was found to be short.

    Attributes:
        max_pixels: largest area fed to the network at once; None for no limit.
    """

    def __init__(
        self,
        run: Callable[[Samples], Samples],
        spec: ModelSpec,
        *,
        max_pixels: int | None,
        edge_px: int = EDGE_PX,
        on_shrink: Callable[[str], None] = lambda line: None,
    ) -> None:
        """Begin with ``max_pixels``.

        Args:
            run: as in ``upscale_plane``.
            spec: the network.
            max_pixels: as in ``upscale_plane``.
            edge_px: as in ``upscale_plane``.
            on_shrink: called with a line for the user when memory was short and the parts become smaller.
        """
        self._run, self._spec, self._edge_px, self._on_shrink = (
            run,
            spec,
            edge_px,
            on_shrink,
        )
        self.max_pixels = max_pixels

    def upscale(self, window: Samples) -> Samples:
        """Upscale a plane as ``upscale_plane`` does; out of memory halves the area and begins the plane anew.

        Raises:
            OutOfMemory: not even the smallest part fits.
            BackendError: as in ``upscale_plane``.
        """
        while True:
            try:
                return upscale_plane(
                    window,
                    self._run,
                    self._spec,
                    max_pixels=self.max_pixels,
                    edge_px=self._edge_px,
                )
            except OutOfMemory as error:
                largest = self._largest(*window.shape[-2:])
                self.max_pixels = largest // 2
                if self._largest(*window.shape[-2:]) >= largest:
                    raise
                self._on_shrink(
                    f"{error}: going on in parts of {self.max_pixels / 1e6:.2f} megapixels, which take longer"
                )

    def parts(self, height: int, width: int) -> tuple[int, int]:
        """(rows, columns) of parts that a picture is cut into."""
        tiles = self._plan(height, width)
        columns = len({tile.core[1].start for tile in tiles})
        return len(tiles) // columns, columns

    def _plan(self, height: int, width: int) -> list[Tile]:
        return plan(height, width, self.max_pixels, halo_of(self._spec), self._edge_px)

    def _largest(self, height: int, width: int) -> int:
        return max(tile.area for tile in self._plan(height, width))
