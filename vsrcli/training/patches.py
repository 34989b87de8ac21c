"""Where training patches are: chosen at random, as table columns, as indices of their pixels."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import torch
from torch import Tensor

from vsrcli.clips.sequences import SEQUENCE
from vsrcli.training.planes import Flags, Integers

_WINDOW = 5
_RADIUS = _WINDOW // 2


class PatchTable(IntEnum):
    """Columns of a table of patches.

    Offsets, widths (pixels a row) and planes (pixels a frame) are those of the patch's clip in the
    flat buffers of all clips.
    """

    LOW_OFFSET = 0
    LOW_WIDTH = 1
    LOW_PLANE = 2
    HIGH_OFFSET = 3
    HIGH_WIDTH = 4
    HIGH_PLANE = 5
    TOP = 6
    LEFT = 7
    MIRRORED = 8
    UPSIDE_DOWN = 9
    TRANSPOSED = 10
    # The number of the true frame in the clip.
    TRUTH = 11
    # From here on: which of the planes kept of the clip the network takes.
    FIRST_PLANE_NUMBER = 12


@dataclass(frozen=True, slots=True)
class Choices:
    """The patches of a batch, one in each row of every array.

    Attributes:
        clip: (B,) int64, index of the clip.
        variant: (B,) int64, which of its degraded versions.
        frames: (B, 5) int64, the frames of the window; the middle one is upscaled. They repeat as
            at the ends of a clip and at cuts, and run backwards where time is reversed.
        top: (B,) int64, first row of the low-resolution patch.
        left: (B,) int64, first column of the low-resolution patch.
        mirrored: (B,) bool, window and truth are flipped left to right, first.
        upside_down: (B,) bool, they are flipped top to bottom, next.
        transposed: (B,) bool, their rows and columns are swapped, last.
    """

    clip: Integers
    variant: Integers
    frames: Integers
    top: Integers
    left: Integers
    mirrored: Flags
    upside_down: Flags
    transposed: Flags

    @property
    def truth(self) -> Integers:
        """(B,) int64, the frame that is upscaled."""
        truth: Integers = self.frames[:, _RADIUS]
        return truth


def choose_patches(
    generator: np.random.Generator,
    *,
    clip: Integers,
    variant: Integers,
    shapes: Integers,
    patch: tuple[int, int],
    augment: bool,
    edge_share: float,
) -> Choices:
    """Choose a patch in each of some clips.

    Args:
        generator: source of all random numbers; their number does not depend on the options.
        clip: (B,) int64, the clips.
        variant: (B,) int64, which of their degraded versions.
        shapes: (B, 2) int64, rows and columns of these versions.
        patch: rows and columns of a patch.
        augment: as in ``Batches``.
        edge_share: as in ``Batches``.
    """
    count = len(clip)
    # one row for each choice, used or not, so that no draw ever shifts another
    draws = generator.random((10, count))

    def below(row: int, limit: Integers | int) -> Integers:
        scaled = draws[row] * limit
        drawn: Integers = scaled.astype(np.int64)
        return drawn

    rows, columns = shapes.T
    patch_rows, patch_columns = patch
    top = below(0, rows - patch_rows + 1)
    left = below(1, columns - patch_columns + 1)
    centre = _RADIUS + below(2, SEQUENCE - 2 * _RADIUS)
    first = centre - _RADIUS
    last = centre + _RADIUS
    flips = np.zeros((4, count), bool)
    if augment:
        has_edge = draws[3] < edge_share
        first_at_edge = first + below(4, _RADIUS + 1)
        last_at_edge = centre + below(5, _RADIUS + 1)
        first = np.where(has_edge, first_at_edge, first)
        last = np.where(has_edge, last_at_edge, last)
        flips = draws[6:10] < 0.5
    mirrored, upside_down, transposed, is_reversed = flips
    if patch_rows != patch_columns:
        transposed = np.zeros(count, bool)
    offsets = np.arange(-_RADIUS, _RADIUS + 1)
    frames = centre[:, None] + offsets
    frames = frames.clip(first[:, None], last[:, None])
    backwards = frames[:, ::-1]
    frames = np.where(is_reversed[:, None], backwards, frames)
    return Choices(
        clip=clip,
        variant=variant,
        frames=frames,
        top=top,
        left=left,
        mirrored=mirrored,
        upside_down=upside_down,
        transposed=transposed,
    )


def patch_indices(
    table: Tensor,
    patch: tuple[int, int],
    *,
    scale: int,
    offset_column: PatchTable,
    width_column: PatchTable,
) -> Tensor:
    """Index of every pixel of each patch in a flat buffer, in frame 0 of its clip: (B, h, w) int64.

    A patch is flipped first and transposed last, so the way from its pixels back to those of the
    clip transposes first.

    Args:
        table: (B, columns) int64, columns as in ``PatchTable``.
        patch: rows and columns of a low-resolution patch.
        scale: 1 for the low-resolution buffer, 2 for the high-resolution one.
        offset_column: where the clip begins in this buffer.
        width_column: width of the clip's frames in this buffer.
    """

    def column(number: PatchTable) -> Tensor:
        return table[:, number, None, None]

    height, width = (scale * side for side in patch)
    rows = torch.arange(height, device=table.device)
    columns = torch.arange(width, device=table.device)
    rows = rows[None, :, None]
    columns = columns[None, None, :]
    x = columns
    y = rows
    if height == width:  # only squares are transposed
        is_transposed = column(PatchTable.TRANSPOSED).bool()
        x = torch.where(is_transposed, rows, columns)
        y = torch.where(is_transposed, columns, rows)
    is_upside_down = column(PatchTable.UPSIDE_DOWN).bool()
    is_mirrored = column(PatchTable.MIRRORED).bool()
    y = torch.where(is_upside_down, height - 1 - y, y)
    x = torch.where(is_mirrored, width - 1 - x, x)
    y = y + scale * column(PatchTable.TOP)
    x = x + scale * column(PatchTable.LEFT)
    return column(offset_column) + y * column(width_column) + x
