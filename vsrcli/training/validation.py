"""How a run is judged: PSNR gain over bicubic on clips that it never trains on.

Also measured is the temporal gain: the part of it that the neighbouring frames contribute.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrcli.clips.sequences import Sequences, ValidationPair, validation_pairs
from vsrcli.errors import InputError
from vsrcli.metrics.frames import psnr
from vsrcli.models import ModelSpec
from vsrcli.picture.motion import Motion
from vsrcli.picture.resize import double
from vsrcli.picture.tiles import EDGE_PX
from vsrcli.training.plan import Gains

Floats = NDArray[np.float32]
# Planes (B, planes, h, w) to pictures (B, 2h - 2 trim, 2w - 2 trim), codes.
Infer = Callable[[Floats], Floats]

# Side of the central part of each sequence that is scored, pixels.
_SIZE = 128
_BITS = 8
_RADIUS = 2
# High-resolution pixels left out at each border when scoring, as everywhere.
_CROP = 8


@dataclass(frozen=True, slots=True)
class _Example:
    """One validation pair as the network takes it.

    Attributes:
        planes: the network's input, (planes, h, w).
        static_planes: the same where frame t takes the place of all its neighbours.
        truth: (2h, 2w).
        bicubic_db: PSNR of bicubic.
    """

    planes: Floats
    static_planes: Floats
    truth: Floats
    bicubic_db: float


class Validation:
    """A fixed set of validation pairs for each degradation, and the PSNR of bicubic on each.

    Args:
        sequences: clips that are never trained on.
        spec: the network.
        domains: keys in ``DEGRADATIONS``.
        count: maximum number of sequences to use.
        size: side of the central part of each that is scored, pixels.

    Raises:
        InputError: bicubic restores all of them exactly (black pictures, for instance), so no gain
            can be measured.
    """

    def __init__(
        self,
        sequences: Sequences,
        spec: ModelSpec,
        domains: Iterable[str],
        count: int,
        size: int = _SIZE,
    ) -> None:
        self._spec = spec
        self._examples: dict[str, list[_Example]] = {}
        for domain in domains:
            pairs = validation_pairs(
                sequences,
                domain,
                count=count,
                size=size,
            )
            examples = _usable_examples(pairs, spec)
            if not examples:
                raise InputError(
                    "the validation clips show only single colours, so no gain could be "
                    "measured: give others with --val"
                )
            self._examples[domain] = examples

    def gains(
        self,
        infer: Infer,
        batch: int = 1,
    ) -> Gains:
        """Mean PSNR gain over bicubic by degradation, dB: the figures of ``upscale_plane``.

        Args:
            infer: the network.
            batch: maximum number of windows a call.
        """
        gains = {}
        for domain, examples in self._examples.items():
            windows = [example.planes for example in examples]
            gains[domain] = self._gain(examples, windows, infer, batch)
        return gains

    def still_gains(
        self,
        infer: Infer,
        batch: int = 1,
    ) -> Gains:
        """``gains`` when the network gets frame t five times.

        The difference to ``gains`` is the temporal gain: what the neighbours contribute.
        """
        gains = {}
        for domain, examples in self._examples.items():
            windows = [example.static_planes for example in examples]
            gains[domain] = self._gain(examples, windows, infer, batch)
        return gains

    def _gain(
        self,
        examples: list[_Example],
        windows: list[Floats],
        infer: Infer,
        batch: int,
    ) -> float:
        """Mean PSNR gain over bicubic on the examples, dB."""
        scores = np.empty(len(examples))
        for indices in _groups_of_one_size(windows, batch):
            stacked = np.stack([windows[index] for index in indices])
            pictures = _upscale(stacked, infer, self._spec)
            for index, picture in zip(indices, pictures, strict=True):
                scores[index] = _score(picture, examples[index].truth)
        bicubic = [example.bicubic_db for example in examples]
        return float(np.mean(scores - bicubic))


def _usable_examples(
    pairs: list[ValidationPair],
    spec: ModelSpec,
) -> list[_Example]:
    """The pairs on which a gain can be measured."""
    examples = []
    for window, truth in pairs:
        middle = window[_RADIUS]
        bicubic_db = _score(double(middle), truth)
        # anything restores a black picture, as at the end of a film: one of them would make every
        # mean infinite
        if not math.isfinite(bicubic_db):
            continue
        static_window = np.stack([middle] * len(window))
        example = _Example(
            planes=_network_planes(window, spec),
            static_planes=_network_planes(static_window, spec),
            truth=truth,
            bicubic_db=bicubic_db,
        )
        examples.append(example)
    return examples


def _network_planes(window: Floats, spec: ModelSpec) -> Floats:
    """The planes that the network takes of a window (5, h, w) of whole codes."""
    if not spec.is_motion_compensated:
        return window
    motion = Motion(_BITS)
    frames = list(window.astype(np.uint8))
    moved = motion.window(frames)
    planes = motion.planes(moved)
    return planes.astype(np.float32)


def _groups_of_one_size(
    windows: list[Floats],
    batch: int,
) -> list[list[int]]:
    """Indices of windows of the same size, at most ``batch`` in a group."""
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for index, window in enumerate(windows):
        by_shape.setdefault(window.shape, []).append(index)
    groups = []
    for indices in by_shape.values():
        starts = range(0, len(indices), batch)
        groups += [indices[start : start + batch] for start in starts]
    return groups


def _upscale(
    windows: Floats,
    infer: Infer,
    spec: ModelSpec,
) -> Floats:
    """(B, planes, h, w) to (B, 2h, 2w), with reflected edges that are cut off again."""
    not_padded = (0, 0)
    edge = (EDGE_PX, EDGE_PX)
    padding = [not_padded, not_padded, edge, edge]
    padded = np.pad(windows, padding, mode="reflect")
    pictures = infer(padded)
    start = spec.scale * EDGE_PX - spec.trim
    height = spec.scale * windows.shape[-2]
    width = spec.scale * windows.shape[-1]
    rows = slice(start, start + height)
    columns = slice(start, start + width)
    return pictures[:, rows, columns]


def _score(picture: NDArray[Any], truth: NDArray[Any]) -> float:
    codes = np.clip(np.rint(picture), 0, 255)
    return psnr(truth, codes, crop=_CROP)
