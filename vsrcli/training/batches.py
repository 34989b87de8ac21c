"""Batches of training patches, chosen from (seed, step) alone.

The clips are kept as bytes on the training device. What a step trains on is a table of integers, a
few kilobytes: only that is copied to a GPU. Patches are cut out by gathers, without branches or
allocations that depend on values, so that a CUDA graph can hold them. Degraded versions of the
clips are made by a pool of threads (x264 and OpenCV release Python's lock), in the order in which
the steps will ask for them.
"""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache, partial

import numpy as np
import torch
from torch import Tensor

from vsrcli.clips.degradation import SEEDED, Clip
from vsrcli.clips.sequences import SEQUENCE, Sequences
from vsrcli.errors import BackendError, InputError
from vsrcli.models import ModelSpec
from vsrcli.training.patches import Choices, PatchTable, choose_patches, patch_indices
from vsrcli.training.planes import ClipPlanes, Integers, clip_planes


class Batches:
    """Batches of (low-resolution window, high-resolution frame) patches.

    Use it as a context manager, or ``close`` it.

    Args:
        sequences: the clips to cut them from.
        spec: the network that is trained.
        domain: key in ``DEGRADATIONS``.
        patch: side of the low-resolution patch, pixels; None for whole pictures, of as many rows
            and columns as every clip has.
        batch: patches a step.
        seed: of all random choices.
        device: where the clips are kept.
        variants: how many differently degraded versions of a clip are made, if the domain's
            degradation is random at all; of prepared clips, at most as many as were prepared.
        augment: whether patches are flipped, transposed and reversed in time, and windows have
            edges.
        edge_share: share of windows whose first or last frames replace missing neighbours, as at
            the ends of a clip and at cuts.
        workers: threads that degrade clips; None for one a core.

    Raises:
        InputError: the clips are smaller than a patch.
        BackendError: the device has no memory for the clips.
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
        self._clip_planes = clip_planes(spec)
        self.table_columns = PatchTable.FIRST_PLANE_NUMBER + spec.planes
        shapes = [clip.shape[1:] for clip in sequences.clips]
        self._shapes = np.array(shapes, np.int64)
        self.sequences = sequences
        self.domain = domain
        self.batch = batch
        self.seed = seed
        self.patch = self._patch_shape(patch)
        self.variants = _count_variants(sequences, domain, variants)
        self.augment = augment
        self.edge_share = edge_share
        self.device = torch.device(device)
        self._pool = ThreadPoolExecutor(
            workers or os.cpu_count() or 1,
            thread_name_prefix="vsr-degrade",
        )
        # not a method: a reference cycle would keep the pool's threads and the clips alive
        shuffled = partial(_shuffled, seed, len(sequences))
        self._order = lru_cache(self.variants + 1)(shuffled)
        self._pending: dict[tuple[int, int], Future[Clip]] = {}
        versions = (len(sequences), self.variants)
        self._is_resident = np.zeros(versions, bool)
        # where each clip begins in ``high``, and each version in ``low``
        pixels = self._shapes.prod(axis=1)
        high_sizes = SEQUENCE * pixels
        self._high_offsets = np.cumsum(high_sizes) - high_sizes
        low_sizes = self._clip_planes.count * pixels // 4
        low_sizes = np.repeat(low_sizes, self.variants)
        low_offsets = np.cumsum(low_sizes) - low_sizes
        self._low_offsets = low_offsets.reshape(versions)
        high = [clip.ravel() for clip in sequences.clips]
        self.high = torch.from_numpy(np.concatenate(high))
        self.high = self.high.to(self.device)
        self.low = self._allocate(int(low_sizes.sum()))

    def __enter__(self) -> Batches:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop degrading."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def prepare(
        self,
        step: int,
        batch: int | None = None,
    ) -> None:
        """Begin to degrade in the background what the steps from ``step`` on will ask for.

        Args:
            step: counted from 0.
            batch: patches a step, if not the usual number.
        """
        patches_before = step * (batch or self.batch)
        first = patches_before // len(self.sequences)
        for epoch in range(first, first + self.variants):
            variant = epoch % self.variants
            for index in self._order(epoch):
                if not self._is_resident[index, variant]:
                    self._request(int(index), variant)

    def planes_of(self, index: int, variant: int) -> Clip:
        """What is kept of clip ``index`` after its domain's degradation, (N, H/2, W/2) uint8."""
        return self._request(index, variant).result()

    def choose(
        self,
        step: int,
        batch: int | None = None,
    ) -> Choices:
        """The patches of ``step``; they depend on the seed, ``step`` and ``batch`` alone.

        Args:
            step: counted from 0.
            batch: number of patches, if not the usual one.
        """
        count = batch or self.batch
        position = step * count + np.arange(count)
        epochs, places = np.divmod(position, len(self.sequences))
        clips = []
        for epoch, place in zip(epochs, places, strict=True):
            order = self._order(int(epoch))
            clips.append(order[place])
        clip = np.array(clips, np.int64)
        generator = np.random.default_rng((self.seed, 1, step))
        return choose_patches(
            generator,
            clip=clip,
            variant=epochs % self.variants,
            shapes=self._shapes[clip] // 2,
            patch=self.patch,
            augment=self.augment,
            edge_share=self.edge_share,
        )

    def tables(
        self,
        step: int,
        count: int,
        batch: int | None = None,
    ) -> Tensor:
        """What ``count`` steps from ``step`` on train on, as ``crop`` takes it.

        The clips are degraded and copied to the device before this returns.

        Returns:
            (count, batch, table_columns) int64 on the CPU, in pinned memory for a GPU.
        """
        tables = []
        for number in range(step, step + count):
            choices = self.choose(number, batch)
            tables.append(self._table(choices))
        stacked = torch.from_numpy(np.stack(tables))
        if self.device.type == "cuda":
            stacked = stacked.pin_memory()
        return stacked

    def crop(self, table: Tensor) -> tuple[Tensor, Tensor]:
        """Cut out the patches of one step.

        Args:
            table: (B, table_columns) int64, on the device.

        Returns:
            Windows (B, 1, planes, h, w) of the patch's size and frames (B, 1, 2h, 2w), float32,
            limited-range codes, on the device.
        """
        plane_numbers = table[:, PatchTable.FIRST_PLANE_NUMBER :]
        plane_size = table[:, PatchTable.LOW_PLANE, None]
        plane_offsets = (plane_numbers * plane_size)[:, :, None, None]
        low_indices = patch_indices(
            table,
            self.patch,
            scale=1,
            offset_column=PatchTable.LOW_OFFSET,
            width_column=PatchTable.LOW_WIDTH,
        )
        window = self.low.take(low_indices[:, None] + plane_offsets)
        frame_number = table[:, PatchTable.TRUTH]
        frame_size = table[:, PatchTable.HIGH_PLANE]
        frame_offsets = (frame_number * frame_size)[:, None, None]
        high_indices = patch_indices(
            table,
            self.patch,
            scale=2,
            offset_column=PatchTable.HIGH_OFFSET,
            width_column=PatchTable.HIGH_WIDTH,
        )
        truth = self.high.take(high_indices + frame_offsets)
        return (
            window[:, None].float(),
            truth[:, None].float(),
        )

    def at(
        self,
        step: int,
        batch: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The batch of ``step``, as ``crop`` returns it."""
        table = self.tables(step, 1, batch)[0]
        return self.crop(table.to(self.device))

    def _patch_shape(self, side: int | None) -> tuple[int, int]:
        """Rows and columns of a low-resolution patch."""
        rows, columns = self._shapes.min(axis=0).tolist()
        rows = rows // 2
        columns = columns // 2
        if not side:
            return (rows, columns)
        smallest = min(rows, columns)
        if smallest < side:
            raise InputError(
                f"the clips are too small ({2 * smallest} pixels) for training patches of "
                f"{2 * side}: use larger ones, or --patch {smallest}"
            )
        return (side, side)

    def _allocate(self, size: int) -> Tensor:
        try:
            return torch.empty(size, dtype=torch.uint8, device=self.device)
        except RuntimeError as error:  # PyTorch reports all lack of memory as one
            raise BackendError(
                f"{self.device} has no memory for {size / 1e9:.1f} GB of low-resolution clips: "
                f"give fewer than {len(self.sequences)} with --clips"
            ) from error

    def _table(self, choices: Choices) -> Integers:
        """The table of one step, (batch, table_columns); its clips are put on the device."""
        is_missing = ~self._is_resident[choices.clip, choices.variant]
        for row in np.flatnonzero(is_missing):
            index = int(choices.clip[row])
            variant = int(choices.variant[row])
            self._make_resident(index, variant)
        height, width = self._shapes[choices.clip].T
        plane_numbers = self._clip_planes.plane_numbers(
            choices.frames,
            choices.mirrored,
            choices.upside_down,
            choices.transposed,
        )
        low_height = height // 2
        low_width = width // 2
        columns = {
            PatchTable.LOW_OFFSET: self._low_offsets[choices.clip, choices.variant],
            PatchTable.LOW_WIDTH: low_width,
            PatchTable.LOW_PLANE: low_height * low_width,
            PatchTable.HIGH_OFFSET: self._high_offsets[choices.clip],
            PatchTable.HIGH_WIDTH: width,
            PatchTable.HIGH_PLANE: height * width,
            PatchTable.TOP: choices.top,
            PatchTable.LEFT: choices.left,
            PatchTable.MIRRORED: choices.mirrored,
            PatchTable.UPSIDE_DOWN: choices.upside_down,
            PatchTable.TRANSPOSED: choices.transposed,
            PatchTable.TRUTH: choices.truth,
        }
        shape = (len(choices.clip), self.table_columns)
        table = np.empty(shape, np.int64)
        for column, values in columns.items():
            table[:, column] = values
        table[:, PatchTable.FIRST_PLANE_NUMBER :] = plane_numbers
        return table

    def _make_resident(self, index: int, variant: int) -> None:
        """Put a degraded clip on the device, unless it is there."""
        if self._is_resident[index, variant]:
            return
        clip = self.planes_of(index, variant)
        start = int(self._low_offsets[index, variant])
        target = self.low[start : start + clip.size]
        values = torch.from_numpy(clip.reshape(-1))
        target.copy_(values)
        self._is_resident[index, variant] = True
        del self._pending[index, variant]

    def _request(self, index: int, variant: int) -> Future[Clip]:
        key = (index, variant)
        if key not in self._pending:
            seed = (self.seed * 1_000_003 + index) * 101 + variant
            self._pending[key] = self._pool.submit(
                _degrade,
                self._clip_planes,
                self.sequences,
                self.domain,
                index,
                variant,
                seed,
            )
        return self._pending[key]


def _degrade(
    planes: ClipPlanes,
    sequences: Sequences,
    domain: str,
    index: int,
    variant: int,
    seed: int,
) -> Clip:
    low = sequences.low_resolution(domain, index, variant, seed)
    return planes.compute(low)


def _shuffled(
    seed: int,
    count: int,
    epoch: int,
) -> Integers:
    """The order of ``count`` clips in an epoch."""
    generator = np.random.default_rng((seed, 2, epoch))
    return generator.permutation(count)


def _count_variants(
    sequences: Sequences,
    domain: str,
    requested: int,
) -> int:
    if domain not in SEEDED:
        return 1
    prepared = sequences.variants(domain)
    return requested if prepared is None else min(requested, prepared)
