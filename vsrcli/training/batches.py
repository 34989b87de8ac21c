"""Batches of training patches: chosen from (seed, step) alone, cut by gathers out of clips that
live as bytes on the training device.

What a step trains on is a table of integers, a few kilobytes: only that crosses the bus to a card,
and cutting has no branch and no allocation that depends on values, so that a CUDA graph can hold
it. Degraded versions of the clips are made by a pool of threads (x264 and OpenCV release Python's
lock) in the order in which the steps will ask for them.
"""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import torch
from torch import Tensor

from vsrcli.errors import BackendError, InputError
from vsrcli.models import ModelSpec
from vsrcli.training.data import SEQUENCE, Sequences
from vsrcli.training.degradation import SEEDED, Clip
from vsrcli.training.planes import ClipPlanes, Flags, Integers, clip_planes

_WINDOW = 5
_RADIUS = _WINDOW // 2

# Columns of a table: where a patch lies, how it is turned, which frame is its truth, and which of
# the planes kept of its clip the network is shown. Offsets, widths (pixels a row) and
# planes (pixels a frame) are those of its clip in the flat buffers.
_LOW_OFFSET = 0
_LOW_WIDTH = 1
_LOW_PLANE = 2
_HIGH_OFFSET = 3
_HIGH_WIDTH = 4
_HIGH_PLANE = 5
_TOP = 6
_LEFT = 7
_MIRRORED = 8
_UPSIDE_DOWN = 9
_TRANSPOSED = 10
_TRUTH = 11
_FIRST_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Choices:
    """The patches of a batch, one in each row of every array.

    Attributes:
        clip, variant: (B,) int64, which clip, in which of its degraded versions.
        frames: (B, 5) int64, the frames of the window, the middle one upscaled; repeated as at the
            ends of a clip and at cuts; running backwards where time is reversed.
        top, left: (B,) int64, low-resolution corner of the patch.
        mirrored, upside_down, transposed: (B,) bool, flips of window and truth, in this order.
    """

    clip: Integers
    variant: Integers
    frames: Integers
    top: Integers
    left: Integers
    mirrored: Flags
    upside_down: Flags
    transposed: Flags


class Batches:
    """Batches of (low-resolution window, high-resolution frame) patches.

    Use it as a context manager, or ``close`` it.

    Args:
        sequences: where they come from.
        spec: the network that is trained.
        domain: key in ``DEGRADATIONS``.
        patch: side of the low-resolution patch, pixels; None for whole pictures, of as many rows
            and columns as every clip has.
        batch: patches a step.
        seed: of everything random.
        device: where the clips live.
        variants: how many differently degraded versions of a clip are made, where the domain's
            degradation is random at all; of prepared clips, at most as many as were prepared.
        augment: whether patches are turned and mirrored and run backwards in time, and windows
            have edges.
        edge_share: share of windows whose first or last frames stand in for missing neighbours, as
            at the ends of a clip and at cuts.
        workers: threads that degrade clips; None for one a core.

    Raises:
        InputError: the clips are smaller than a patch.
    """

    def __init__(
        self,
        sequences: Sequences,
        spec: ModelSpec,
        domain: str,
        patch: int | None,
        batch: int,
        seed: int = 0,
        *,
        device: torch.device | str = "cpu",
        variants: int = 4,
        augment: bool = True,
        edge_share: float = 0.1,
        workers: int | None = None,
    ) -> None:
        self._kept = clip_planes(spec)
        self.table_columns = _FIRST_SHOWN + spec.planes
        self._shapes = np.array([clip.shape[1:] for clip in sequences.clips], np.int64)
        rows, columns = (int(side) for side in self._shapes.min(axis=0) // 2)
        smallest = min(rows, columns)
        if patch and smallest < patch:
            raise InputError(
                f"the clips are too small ({2 * smallest} pixels) for training patches of "
                f"{2 * patch}: use larger ones, or --patch {smallest}"
            )
        self.sequences = sequences
        self.domain = domain
        self.batch = batch
        self.seed = seed
        self.patch = (patch, patch) if patch else (rows, columns)
        self.variants = _count_variants(sequences, domain, variants)
        self.augment = augment
        self.edge_share = edge_share
        self.device = torch.device(device)
        self._pool = ThreadPoolExecutor(
            workers or os.cpu_count() or 1, thread_name_prefix="vsr-degrade"
        )
        # no method of its own: a circle would keep the pool's threads and the clips alive
        shuffled = partial(_shuffled, seed, len(sequences))
        self._order = lru_cache(self.variants + 1)(shuffled)
        high_sizes = SEQUENCE * self._shapes.prod(axis=1)
        low_sizes = self._kept.count * self._shapes.prod(axis=1) // 4
        low_sizes = np.repeat(low_sizes, self.variants)
        self._high_offsets = np.cumsum(high_sizes) - high_sizes
        self._low_offsets = (np.cumsum(low_sizes) - low_sizes).reshape(
            -1, self.variants
        )
        self._pending: dict[tuple[int, int], Future[Clip]] = {}
        self._is_resident = np.zeros(self._low_offsets.shape, bool)
        self.high = torch.from_numpy(
            np.concatenate([clip.ravel() for clip in sequences.clips])
        )
        self.high = self.high.to(self.device)
        self.low = self._room_for(int(low_sizes.sum()))

    def __enter__(self) -> Batches:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop degrading."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def prepare(self, step: int, batch: int | None = None) -> None:
        """Begin to degrade in the background what the steps from ``step`` on will ask for.

        Args:
            step: counted from 0.
            batch: patches a step, where that is not the usual number.
        """
        first = step * (batch or self.batch) // len(self.sequences)
        for epoch in range(first, first + self.variants):
            variant = epoch % self.variants
            for index in self._order(epoch):
                if not self._is_resident[index, variant]:
                    self._request(int(index), variant)

    def planes_of(self, index: int, variant: int) -> Clip:
        """What is kept of clip ``index`` after its domain's degradation, (N, H/2, W/2) uint8."""
        return self._request(index, variant).result()

    def choose(self, step: int, batch: int | None = None) -> Choices:
        """What the batch of ``step`` consists of, by the seed, ``step`` and ``batch`` alone.

        Args:
            step: counted from 0.
            batch: patches, where that is not the usual number.
        """
        count = batch or self.batch
        position = step * count + np.arange(count)
        epoch, place = np.divmod(position, len(self.sequences))
        clip = np.array(
            [self._order(int(e))[p] for e, p in zip(epoch, place, strict=True)],
            np.int64,
        )
        # a row for everything drawn, whether it is used or not: a draw never shifts another
        draws = np.random.default_rng((self.seed, 1, step)).random((10, count))

        def below(row: int, limit: Integers | int) -> Integers:
            drawn: Integers = (draws[row] * limit).astype(np.int64)
            return drawn

        rows, columns = self._shapes[clip].T // 2
        top = below(0, rows - self.patch[0] + 1)
        left = below(1, columns - self.patch[1] + 1)
        centre = _RADIUS + below(2, SEQUENCE - 2 * _RADIUS)
        first = centre - _RADIUS
        last = centre + _RADIUS
        flips = np.zeros((4, count), bool)
        if self.augment:
            has_edge = draws[3] < self.edge_share
            first = np.where(has_edge, first + below(4, _RADIUS + 1), first)
            last = np.where(has_edge, centre + below(5, _RADIUS + 1), last)
            flips = draws[6:10] < 0.5
            flips[2] &= self.patch[0] == self.patch[1]
        frames = centre[:, None] + np.arange(-_RADIUS, _RADIUS + 1)
        frames = frames.clip(first[:, None], last[:, None])
        mirrored, upside_down, transposed, is_reversed = flips
        frames = np.where(is_reversed[:, None], frames[:, ::-1], frames)
        return Choices(
            clip,
            epoch % self.variants,
            frames,
            top,
            left,
            mirrored,
            upside_down,
            transposed,
        )

    def tables(self, step: int, count: int, batch: int | None = None) -> Tensor:
        """What ``count`` steps from ``step`` on train on, as ``cut`` takes it.

        Their clips are made, and put on the device, before this returns.

        Returns:
            (count, batch, table_columns) int64 on the CPU, in pinned memory where a card will ask.
        """
        tables = [
            self._table(self.choose(number, batch))
            for number in range(step, step + count)
        ]
        table = torch.from_numpy(np.stack(tables))
        return table.pin_memory() if self.device.type == "cuda" else table

    def cut(self, table: Tensor) -> tuple[Tensor, Tensor]:
        """Cut the patches of one step.

        Args:
            table: (B, table_columns) int64, on the device.

        Returns:
            Windows (B, 1, planes, h, w) of the patch's size and frames (B, 1, 2h, 2w), float32,
            limited-range codes, on the device.
        """
        shown = table[:, _FIRST_SHOWN:]
        place = _places(table, self.patch, 1, _LOW_OFFSET, _LOW_WIDTH)
        planes = (shown * table[:, _LOW_PLANE, None])[:, :, None, None]
        window = self.low.take(place[:, None] + planes)
        place = _places(table, self.patch, 2, _HIGH_OFFSET, _HIGH_WIDTH)
        plane = (table[:, _TRUTH] * table[:, _HIGH_PLANE])[:, None, None]
        truth = self.high.take(place + plane)
        return window[:, None].float(), truth[:, None].float()

    def at(self, step: int, batch: int | None = None) -> tuple[Tensor, Tensor]:
        """The batch of ``step``, as ``cut`` gives it."""
        return self.cut(self.tables(step, 1, batch)[0].to(self.device))

    def _room_for(self, size: int) -> Tensor:
        try:
            return torch.empty(size, dtype=torch.uint8, device=self.device)
        except RuntimeError as error:  # what PyTorch says of any memory is one
            raise BackendError(
                f"{self.device} has no memory for {size / 1e9:.1f} GB of low-resolution clips: "
                f"give fewer than {len(self.sequences)} with --clips"
            ) from error

    def _table(self, choices: Choices) -> Integers:
        is_missing = ~self._is_resident[choices.clip, choices.variant]
        for place in np.flatnonzero(is_missing):
            self._make_resident(int(choices.clip[place]), int(choices.variant[place]))
        height, width = self._shapes[choices.clip].T
        shown = self._kept.numbers(
            choices.frames, choices.mirrored, choices.upside_down, choices.transposed
        )
        columns = [
            self._low_offsets[choices.clip, choices.variant],
            width // 2,
            (height // 2) * (width // 2),
            self._high_offsets[choices.clip],
            width,
            height * width,
            choices.top,
            choices.left,
            choices.mirrored,
            choices.upside_down,
            choices.transposed,
            choices.frames[:, _RADIUS],
            *shown.T,
        ]
        return np.stack(columns, axis=1).astype(np.int64)

    def _make_resident(self, index: int, variant: int) -> None:
        if self._is_resident[index, variant]:
            return
        clip = self.planes_of(index, variant)
        start = int(self._low_offsets[index, variant])
        self.low[start : start + clip.size].copy_(torch.from_numpy(clip.reshape(-1)))
        self._is_resident[index, variant] = True
        del self._pending[index, variant]

    def _request(self, index: int, variant: int) -> Future[Clip]:
        key = (index, variant)
        if key not in self._pending:
            seed = (self.seed * 1_000_003 + index) * 101 + variant
            self._pending[key] = self._pool.submit(
                _planes_of,
                self._kept,
                self.sequences,
                self.domain,
                index,
                variant,
                seed,
            )
        return self._pending[key]


def _planes_of(
    kept: ClipPlanes,
    sequences: Sequences,
    domain: str,
    index: int,
    variant: int,
    seed: int,
) -> Clip:
    return kept.of_clip(sequences.low_resolution(domain, index, variant, seed))


def _shuffled(seed: int, count: int, epoch: int) -> Integers:
    """The order in which ``count`` clips are seen in an epoch."""
    return np.random.default_rng((seed, 2, epoch)).permutation(count)


def _count_variants(sequences: Sequences, domain: str, wanted: int) -> int:
    if domain not in SEEDED:
        return 1
    prepared = sequences.variants(domain)
    return wanted if prepared is None else min(wanted, prepared)


def _places(
    table: Tensor, patch: tuple[int, int], scale: int, offset: int, width: int
) -> Tensor:
    """Index of every pixel of a patch in the flat buffer, for its clip's frame 0: (B, h, w).

    A patch is turned over first and transposed last; from the result back to the clip it is
    transposed first.
    """

    def column(number: int) -> Tensor:
        return table[:, number, None, None]

    height, width_px = (scale * side for side in patch)
    rows = torch.arange(height, device=table.device)[None, :, None]
    columns = torch.arange(width_px, device=table.device)[None, None, :]
    if height == width_px:  # only squares are transposed
        is_transposed = column(_TRANSPOSED).bool()
        rows, columns = (
            torch.where(is_transposed, columns, rows),
            torch.where(is_transposed, rows, columns),
        )
    y = torch.where(
        column(_UPSIDE_DOWN).bool(), height - 1 - rows, rows
    ) + scale * column(_TOP)
    x = torch.where(column(_MIRRORED).bool(), width_px - 1 - columns, columns)
    x = x + scale * column(_LEFT)
    return column(offset) + y * column(width) + x
