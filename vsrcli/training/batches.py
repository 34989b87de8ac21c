"""Batches of training patches: chosen from (seed, step) alone, cut out of clips that live as bytes on the training device.

A batch is a few hundred kilobytes of gathered bytes, so that a GPU is never kept waiting; degraded versions of the clips are made by a pool of
threads (x264 and OpenCV release Python's lock) in the order in which the steps will ask for them.
"""

from __future__ import annotations

import logging
import os
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vsrcli.errors import InputError
from vsrcli.training.data import SEQUENCE, Sequences
from vsrcli.training.degradation import DEGRADATIONS, SEEDED, Clip

log = logging.getLogger(__name__)

_WINDOW = 5


@dataclass(frozen=True, slots=True)
class Choice:
    """One patch of a batch.

    Attributes:
        clip, variant: which clip, in which of its degraded versions.
        frames: the five frames of the window, the middle one upscaled; repeated as at the ends of a clip and at cuts.
        top, left: low-resolution corner of the patch.
        mirrored, upside_down, transposed: flips of window and truth; time reversal is in ``frames``.
    """

    clip: int
    variant: int
    frames: tuple[int, ...]
    top: int
    left: int
    mirrored: bool
    upside_down: bool
    transposed: bool


class Batches:
    """Batches of (low-resolution window, high-resolution frame) patches; use as a context manager, or ``close``.

    Args:
        sequences: where they come from.
        domain: key in ``DEGRADATIONS``.
        patch: side of the low-resolution patch, pixels; None for whole pictures, of as many rows and columns as every clip has.
        batch: patches a step.
        seed: of everything random.
        device: where the clips live.
        variants: how many differently degraded versions of a clip are made, where the domain's degradation is random at all.
        augment: whether patches are turned and mirrored and run backwards in time, and windows have edges.
        edge_share: share of windows whose first or last frames stand in for missing neighbours, as at the ends of a clip and at cuts.
        workers: threads that degrade clips; None for one a core.

    Raises:
        InputError: the clips are smaller than a patch.
    """

    def __init__(
        self,
        sequences: Sequences,
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
        smallest = [min(clip.shape[axis] for clip in sequences.clips) // 2 for axis in (1, 2)]
        self.sequences, self.domain, self.batch, self.seed = sequences, domain, batch, seed
        self.patch = (patch, patch) if patch else (smallest[0], smallest[1])
        if patch and min(smallest) < patch:
            raise InputError(
                f"the clips are too small ({2 * min(smallest)} pixels) for training patches of {2 * patch}: use larger ones, or --patch {min(smallest)}"
            )
        self.variants = variants if domain in SEEDED else 1
        self.augment, self.edge_share = augment, edge_share
        self.device = torch.device(device)
        self._pool = ThreadPoolExecutor(workers or os.cpu_count() or 1, thread_name_prefix="vsr-degrade")
        self._degraded: dict[tuple[int, int], Future[Clip]] = {}
        self._on_device: dict[tuple[int, int], Tensor] = {}

    def __enter__(self) -> Batches:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop degrading."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def prepare(self, step: int) -> None:
        """Begin to degrade in the background what ``step`` and the steps after it will ask for."""
        first = step * self.batch // len(self.sequences)
        for epoch in range(first, first + self.variants):
            for index in self._order(epoch):
                self._request(int(index), epoch % self.variants)

    def low_resolution(self, index: int, variant: int) -> Clip:
        """Clip ``index`` after its domain's degradation, (SEQUENCE, H/2, W/2) uint8."""
        return self._request(index, variant).result()

    def choose(self, step: int, batch: int | None = None) -> list[Choice]:
        """What the batch of ``step`` consists of; a pure function of the seed, ``step`` and ``batch``, its size where it is not the usual one."""
        rng = np.random.default_rng((self.seed, 1, step))
        count = batch or self.batch
        return [self._choice(step * count + place, rng) for place in range(count)]

    def at(self, step: int, batch: int | None = None) -> tuple[Tensor, Tensor]:
        """The batch of ``step``, of ``batch`` patches where that is not the usual number.

        Returns:
            Windows (batch, 1, 5, h, w) of the patch's size and frames (batch, 1, 2h, 2w), float32, limited-range codes, on the device.
        """
        pairs = [self._cut(choice) for choice in self.choose(step, batch)]
        low, high = (torch.stack(parts).to(torch.float32) for parts in zip(*pairs, strict=True))
        return low[:, None], high[:, None]

    def _order(self, epoch: int) -> NDArray[np.intp]:
        return np.random.default_rng((self.seed, 2, epoch)).permutation(len(self.sequences))

    def _request(self, index: int, variant: int) -> Future[Clip]:
        key = (index, variant)
        if key not in self._degraded:
            seed = (self.seed * 1_000_003 + index) * 101 + variant
            self._degraded[key] = self._pool.submit(DEGRADATIONS[self.domain], self.sequences.clips[index], seed)
        return self._degraded[key]

    def _choice(self, position: int, rng: np.random.Generator) -> Choice:
        epoch, place = divmod(position, len(self.sequences))
        index = int(self._order(epoch)[place])
        top, left = (int(rng.integers(size // 2 - side + 1)) for size, side in zip(self.sequences.clips[index].shape[1:], self.patch, strict=True))
        reach = _WINDOW // 2
        centre = int(rng.integers(reach, SEQUENCE - reach))
        first, last = centre - reach, centre + reach
        if not self.augment:
            return Choice(index, epoch % self.variants, tuple(range(first, last + 1)), top, left, False, False, False)
        if rng.random() < self.edge_share:
            first, last = int(rng.integers(first, centre + 1)), int(rng.integers(centre, last + 1))
        frames = tuple(int(frame) for frame in np.clip(np.arange(centre - reach, centre + reach + 1), first, last))
        mirrored, upside_down, transposed, reversed_ = (bool(value) for value in rng.random(4) < 0.5)
        transposed &= self.patch[0] == self.patch[1]
        return Choice(index, epoch % self.variants, frames[::-1] if reversed_ else frames, top, left, mirrored, upside_down, transposed)

    def _cut(self, choice: Choice) -> tuple[Tensor, Tensor]:
        low, high = self._resident(choice.clip, choice.variant), self._resident(choice.clip, -1)
        top, left, (height, width) = choice.top, choice.left, self.patch
        area = low[:, top : top + height, left : left + width]
        window = torch.stack([area[frame] for frame in choice.frames])
        truth = high[choice.frames[_WINDOW // 2], 2 * top : 2 * (top + height), 2 * left : 2 * (left + width)]
        axes = [axis for axis, flip in ((-1, choice.mirrored), (-2, choice.upside_down)) if flip]
        if axes:
            window, truth = window.flip(axes), truth.flip(axes)
        return (window.transpose(-1, -2), truth.transpose(-1, -2)) if choice.transposed else (window, truth)

    def _resident(self, index: int, variant: int) -> Tensor:
        """A clip (``variant`` -1: as it is) as bytes on the device."""
        key = (index, variant)
        if key not in self._on_device:
            clip = self.sequences.clips[index] if variant < 0 else self.low_resolution(index, variant)
            self._on_device[key] = torch.from_numpy(clip).to(self.device)
        return self._on_device[key]
