"""Training clips in memory, and how they are divided into training and validation clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vsrcli.clips.degradation import DEGRADATIONS, Clip, Degradation
from vsrcli.errors import InputError

# Frames in a clip, as in the training packs: two more than a window, so that a window can begin at
# three places.
SEQUENCE = 7
# Seed of the degradation of the first validation clip; each further clip adds 1.
VALIDATION_SEED = 1000

# The degraded versions of one clip, by domain, in the order of their variants.
Versions = Mapping[str, tuple[Clip, ...]]
# A low-resolution window (5, h, w) and its true high-resolution frame (2h, 2w).
ValidationPair = tuple[NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True)
class PackPlace:
    """Where a clip is stored in a training pack.

    Attributes:
        file: the pack's video file.
        sequence: index of the clip in it, from 0.
    """

    file: Path
    sequence: int


@dataclass(frozen=True)
class Sequences:
    """Clips of ``SEQUENCE`` luma frames.

    Attributes:
        clips: each (SEQUENCE, H, W), uint8, limited-range codes, H and W even.
        names: where each comes from: ``FILE#NUMBER``, or the name of its scene in a training pack.
        versions: for each clip its prepared degraded versions, each (SEQUENCE, H/2, W/2) uint8.
            Empty where nothing is prepared.
        places: for each clip its place in a training pack; None for other footage.
    """

    clips: tuple[Clip, ...]
    names: tuple[str, ...]
    versions: tuple[Versions, ...] = ()
    places: tuple[PackPlace | None, ...] = ()

    def __len__(self) -> int:
        return len(self.clips)

    def subset(self, indices: Sequence[int]) -> Sequences:
        """The clips at these indices, in this order, with everything known about them."""
        versions: tuple[Versions, ...] = ()
        places: tuple[PackPlace | None, ...] = ()
        if self.versions:
            versions = tuple(self.versions[index] for index in indices)
        if self.places:
            places = tuple(self.places[index] for index in indices)
        return Sequences(
            clips=tuple(self.clips[index] for index in indices),
            names=tuple(self.names[index] for index in indices),
            versions=versions,
            places=places,
        )

    def variants(self, domain: str) -> int | None:
        """How many prepared versions every clip has for ``domain``; None if any clip has none."""
        counts = []
        for versions in self.versions:
            prepared = versions.get(domain, ())
            counts.append(len(prepared))
        return min(counts, default=0) or None

    def low_resolution(
        self,
        domain: str,
        index: int,
        variant: int,
        seed: int,
    ) -> Clip:
        """The degraded version of a clip: a prepared one if there is one, else computed here.

        Args:
            domain: key in ``DEGRADATIONS``.
            index: which clip.
            variant: which of its prepared versions, modulo their number.
            seed: of the degradation, used where no version is prepared.

        Returns:
            (SEQUENCE, H/2, W/2) uint8, limited-range codes.

        Raises:
            InputError: no version is prepared, and the degradation needs PyAV, which is missing.
        """
        if self.versions:
            prepared = self.versions[index].get(domain, ())
            if prepared:
                return prepared[variant % len(prepared)]
        degrade = DEGRADATIONS[domain]
        try:
            return degrade(self.clips[index], seed)
        except ModuleNotFoundError as error:
            name = error.name or ""
            package = name.partition(".")[0]
            if package != "av":
                raise
            raise InputError(
                f"this machine has no PyAV, so the `{domain}` domain needs a prepared pack: "
                "make one on a machine that has it, with `vsr train --prepare`, and give it "
                "with --data and --val"
            ) from error


def validation_pairs(
    sequences: Sequences,
    domain: str | Degradation,
    *,
    count: int,
    size: int,
) -> list[ValidationPair]:
    """A fixed set of validation pairs, spread evenly over the sequences.

    Each pair is the middle window of a sequence and its true frame.

    Args:
        sequences: clips that are never trained on.
        domain: key in ``DEGRADATIONS``, or a degradation.
        count: maximum number of sequences to use.
        size: side of the central part to use, high-resolution pixels.

    Returns:
        Pairs of (5, h, w) and (2h, 2w), float32, limited-range codes.
    """
    count = min(count, len(sequences))
    step = Fraction(len(sequences), count)
    pairs = []
    for number in range(count):
        index = int(step * number)
        low = _degraded(sequences, domain, index)
        high = sequences.clips[index]
        pairs.append(_central_pair(low, high, size))
    return pairs


def _degraded(
    sequences: Sequences,
    domain: str | Degradation,
    index: int,
) -> Clip:
    """A validation clip after its degradation."""
    seed = VALIDATION_SEED + index
    if isinstance(domain, str):
        return sequences.low_resolution(domain, index, 0, seed)
    return domain(sequences.clips[index], seed)


def _central_pair(
    low: Clip,
    high: Clip,
    size: int,
) -> ValidationPair:
    """The central ``size`` pixels of the middle window of ``low``, and of its frame in ``high``."""
    height, width = high.shape[1:]
    top = max(0, (height - size) // 4)
    left = max(0, (width - size) // 4)
    bottom = top + size // 2
    right = left + size // 2
    window = low[1:6, top:bottom, left:right]
    # a clip smaller than ``size`` ends before ``bottom`` and ``right``
    bottom = top + window.shape[1]
    right = left + window.shape[2]
    truth = high[3, 2 * top : 2 * bottom, 2 * left : 2 * right]
    return (
        window.astype(np.float32),
        truth.astype(np.float32),
    )


def split_held_out(
    sequences: Sequences,
    share: float = 0.1,
) -> tuple[Sequences, Sequences]:
    """Hold the last ``share`` of each file's clips out for validation; of packs, the last scenes.

    Returns:
        The clips to train on, and those to validate on.

    Raises:
        InputError: too few clips to hold any out.
    """
    # all clips of packs, whose names are those of scenes, count as one file without a name
    files: dict[str, list[int]] = {}
    for index, name in enumerate(sequences.names):
        file, separator, _ = name.rpartition("#")
        key = file if separator else ""
        files.setdefault(key, []).append(index)
    held_out: set[int] = set()
    for file, indices in files.items():
        held_count = max(1, round(len(indices) * share))
        first = len(indices) - held_count
        if not file:
            # a scene of a pack goes to one side as a whole, unless it is the only one
            scenes = [sequences.names[index] for index in indices]
            first = scenes.index(scenes[first]) or first
        if first > 0:
            held_out.update(indices[first:])
    if not held_out:
        raise InputError(
            f"only {len(sequences)} training clip(s): too few to hold one out; "
            "give more footage or --val"
        )
    trained_on = set(range(len(sequences))) - held_out
    return (
        sequences.subset(sorted(trained_on)),
        sequences.subset(sorted(held_out)),
    )
