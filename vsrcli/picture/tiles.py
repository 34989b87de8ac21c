"""From a window to a doubled luma plane: reflected edges, tiles with a halo, and the trim restored.

A network crops ``trim`` output pixels on each side, and pads its input with zeros. Reflecting a few
pixels around the picture keeps both away from its edges, and the halo keeps them away from the
seams between tiles.
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

# Codes (uint8, uint16) or values on a checkpoint's scale (float32).
Samples = NDArray[Any]

# A tile's core is at least this large, however little memory there is: below, nearly all work
# would be halo.
MIN_CORE_PX = 32
# Low-resolution pixels mirrored around every picture, so that the networks' own zero padding
# stays off it.
EDGE_PX = 4


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of a picture.

    Attributes:
        source: (rows, columns) to feed to the network, halo included, in the padded picture.
        core: (rows, columns) of the picture that the result is valid for. The cores of a plan
            cover the picture exactly once.
    """

    source: tuple[slice, slice]
    core: tuple[slice, slice]

    @property
    def area(self) -> int:
        """Pixels fed to the network."""
        rows, columns = self.source
        return _length(rows) * _length(columns)


def _length(side: slice) -> int:
    return int(side.stop - side.start)


def _cut(length: int, parts: int, halo: int, edge: int) -> list[tuple[slice, slice]]:
    """Cut an axis into nearly equal parts: (source in the padded axis, core) of each."""
    bounds = [length * part // parts for part in range(parts + 1)]
    sides = []
    for start, stop in pairwise(bounds):
        source_start = max(start - halo, -edge)
        source_stop = min(stop + halo, length + edge)
        source = slice(source_start + edge, source_stop + edge)
        core = slice(start, stop)
        sides.append((source, core))
    return sides


def _grid(
    height: int,
    width: int,
    max_pixels: int,
    halo: int,
    edge: int,
) -> tuple[int, int]:
    """Return how many rows and columns of tiles to make."""
    strip_rows = max_pixels // (width + 2 * edge) - 2 * halo
    # the halo then adds at most half of the work
    if strip_rows >= max(4 * halo, MIN_CORE_PX):
        return _ceil_div(height, strip_rows), 1
    max_columns = width // MIN_CORE_PX
    best = (1, 1)
    least_work: int | None = None
    for columns in range(1, max(1, max_columns) + 1):
        core_width = _ceil_div(width, columns)
        tile_width = min(core_width + 2 * halo, width + 2 * edge)
        core_rows = max_pixels // tile_width - 2 * halo
        if core_rows < MIN_CORE_PX and columns < max_columns:
            continue
        rows = _ceil_div(height, max(core_rows, MIN_CORE_PX))
        computed_height = height + 2 * halo * (rows - 1)
        computed_width = width + 2 * halo * (columns - 1)
        work = computed_height * computed_width
        if least_work is None or work < least_work:
            least_work = work
            best = (rows, columns)
    return best


def _ceil_div(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)


def plan(
    height: int,
    width: int,
    max_pixels: int | None,
    halo: int,
    edge: int = 0,
) -> list[Tile]:
    """Decide how to cut a picture: not at all if it fits, else into strips, else into a grid.

    Strips have the full width and are as high as fits. Where they would be lower than four halos,
    the picture is cut into the grid of least work.

    Args:
        height: rows of the picture.
        width: columns of the picture.
        max_pixels: largest area fed to the network at once, padding and halo included; None for no
            limit. It is exceeded only where a tile with a core of ``MIN_CORE_PX`` is larger.
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
    rows = 1
    columns = 1
    padded_pixels = (height + 2 * edge) * (width + 2 * edge)
    if max_pixels is not None and padded_pixels > max_pixels:
        rows, columns = _grid(height, width, max_pixels, halo, edge)
    down = _cut(height, rows, halo, edge)
    across = _cut(width, columns, halo, edge)
    tiles = []
    for source_rows, core_rows in down:
        for source_columns, core_columns in across:
            source = (source_rows, source_columns)
            core = (core_rows, core_columns)
            tiles.append(Tile(source, core))
    return tiles


def split(padded: Samples, tiles: Iterable[Tile]) -> Iterator[Samples]:
    """Cut a padded picture into its tiles.

    Args:
        padded: shape (..., H + 2*edge, W + 2*edge).
        tiles: of the plan.

    Yields:
        A view of ``padded`` for every tile: shape (..., h, w).
    """
    for tile in tiles:
        rows, columns = tile.source
        yield padded[..., rows, columns]


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
        results: for every tile, in the plan's order, shape (scale*h - 2*trim, scale*w - 2*trim),
            all of one type.
        tiles: the plan.
        height: rows of the low-resolution picture.
        width: columns of the low-resolution picture.
        spec: gives scale and trim.
        edge: as in the plan; ``scale * edge`` is at least ``trim``.

    Returns:
        Shape (scale*height, scale*width), of the results' type.

    Raises:
        ValueError: the edge is too narrow.
        BackendError: a result of another shape.
    """
    scale = spec.scale
    trim = spec.trim
    if scale * edge < trim:
        raise ValueError(
            f"edge {edge}: {spec.name} leaves {trim} pixels off at scale {scale}, "
            f"so it is at least {_ceil_div(trim, scale)}"
        )
    picture: Samples | None = None
    for tile, result in zip(tiles, results, strict=True):
        expected = tuple(scale * _length(side) - 2 * trim for side in tile.source)
        if result.shape != expected:
            raise BackendError(
                f"{spec.name} returned a tile of {result.shape}, not {expected}: "
                "the checkpoint is of another network"
            )
        if picture is None:
            picture = np.empty((scale * height, scale * width), result.dtype)
        target = []
        inside = []
        for source, core in zip(tile.source, tile.core, strict=True):
            # pixels of the result's first row or column, and of the core, in the large picture
            origin = scale * (source.start - edge) + trim
            start = scale * core.start
            stop = scale * core.stop
            target.append(slice(start, stop))
            inside.append(slice(start - origin, stop - origin))
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
        window: shape (planes, H, W), luma, either codes or float32 on the checkpoint's scale,
            whichever ``run`` takes; any size from 1x1.
        run: (B, planes, h, w) to (B, scale*h - 2*trim, scale*w - 2*trim); gets contiguous input.
        spec: the network.
        max_pixels: largest area fed to the network at once; None for no limit. See ``plan``.
        edge_px: low-resolution pixels reflected around the picture; ``scale * edge_px`` is at least
            ``trim``.

    Returns:
        Shape (scale*H, scale*W), of the type that ``run`` gives.

    Raises:
        ValueError: an edge too narrow for the network's trim.
        BackendError: from ``run``, or a result of another shape.
    """
    *leading, height, width = window.shape
    tiles = plan(height, width, max_pixels, halo_of(spec), edge_px)
    no_padding = [(0, 0)] * len(leading)
    padding = [*no_padding, (edge_px, edge_px), (edge_px, edge_px)]
    # where a side is one pixel long, "reflect" repeats it
    padded = np.pad(window, padding, mode="reflect")
    results = _run_each(run, split(padded, tiles))
    return merge(results, tiles, height, width, spec, edge_px)


def _run_each(
    run: Callable[[Samples], Samples],
    parts: Iterable[Samples],
) -> Iterator[Samples]:
    """Upscale parts one at a time, each as a batch of one."""
    for part in parts:
        yield run(np.ascontiguousarray(part[None]))[0]


def halo_of(spec: ModelSpec) -> int:
    """Pixels that a tile needs around its core: the network's halo, or its trim if that is more."""
    return max(spec.halo_px, _ceil_div(spec.trim, spec.scale))


class Tiler:
    """Upscales planes in as few parts as memory allows, and in smaller ones once memory ran out.

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
        """Start with parts of ``max_pixels``.

        Args:
            run: as in ``upscale_plane``.
            spec: the network.
            max_pixels: as in ``upscale_plane``.
            edge_px: as in ``upscale_plane``.
            on_shrink: called with a line for the user when memory ran out and the parts shrink.
        """
        self._run = run
        self._spec = spec
        self._edge_px = edge_px
        self._on_shrink = on_shrink
        self.max_pixels = max_pixels

    def upscale(self, window: Samples) -> Samples:
        """Upscale a plane as ``upscale_plane`` does.

        Out of memory halves the area of a part and starts the plane over.

        Raises:
            OutOfMemory: not even the smallest part fits.
            BackendError: as in ``upscale_plane``.
        """
        height, width = window.shape[-2:]
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
                largest = self._largest_area(height, width)
                self.max_pixels = largest // 2
                if self._largest_area(height, width) >= largest:
                    raise
                self._on_shrink(
                    f"{error}: continuing in parts of "
                    f"{self.max_pixels / 1e6:.2f} megapixels, which take longer"
                )

    def parts(self, height: int, width: int) -> tuple[int, int]:
        """(rows, columns) of parts that a picture is cut into."""
        tiles = self._plan(height, width)
        lefts = {tile.core[1].start for tile in tiles}
        columns = len(lefts)
        return len(tiles) // columns, columns

    def _plan(self, height: int, width: int) -> list[Tile]:
        halo = halo_of(self._spec)
        return plan(height, width, self.max_pixels, halo, self._edge_px)

    def _largest_area(self, height: int, width: int) -> int:
        return max(tile.area for tile in self._plan(height, width))
