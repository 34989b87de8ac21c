"""What a run is judged by: PSNR gain over bicubic on clips it never trains on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrcli.errors import InputError
from vsrcli.models import ModelSpec
from vsrcli.picture.resize import double
from vsrcli.picture.tiles import EDGE_PX
from vsrcli.quality.metrics import psnr
from vsrcli.training.data import Sequences, validation_pairs

Floats = NDArray[np.float32]
Pair = tuple[Floats, Floats]
# Windows (B, 5, h, w) to pictures (B, 2h - 2 trim, 2w - 2 trim), codes.
Infer = Callable[[Floats], Floats]

_SIZE = 128  # pixels; side of the middle part of each sequence that is scored
_CROP = 8  # high-resolution pixels left out at each border when scoring, as everywhere


class Validation:
    """A fixed set of validation pairs for each degradation, and what bicubic makes of them.

    Args:
        sequences: clips that are never trained on.
        domains: keys in ``DEGRADATIONS``.
        count: how many sequences, at most.

    Raises:
        InputError: all of them are pictures that bicubic restores exactly (black, say): no gain
            can be measured.
    """

    def __init__(self, sequences: Sequences, domains: Iterable[str], count: int) -> None:
        self.pairs: dict[str, list[Pair]] = {}
        self.bicubic: dict[str, list[float]] = {}
        for domain in domains:
            pairs = validation_pairs(sequences, domain, count=count, size=_SIZE)
            scored = [(pair, _score(double(pair[0][2]), pair[1])) for pair in pairs]
            # a black picture, at the end of a film say, is restored by anything: one of them would
            # make every mean infinite
            usable = [(pair, score) for pair, score in scored if math.isfinite(score)]
            if not usable:
                raise InputError(
                    "the clips to validate on show single colours only, so no gain could be "
                    "measured: give others with --val"
                )
            self.pairs[domain] = [pair for pair, _ in usable]
            self.bicubic[domain] = [score for _, score in usable]

    def gains(self, infer: Infer, spec: ModelSpec, batch: int = 1) -> dict[str, float]:
        """Mean PSNR gain over bicubic by degradation, dB: the figures of ``upscale_plane``.

        Args:
            infer: the network.
            spec: the network's description.
            batch: most windows a call.
        """
        result = {}
        for domain, pairs in self.pairs.items():
            scores = np.empty(len(pairs))
            for places in _alike(pairs, batch):
                windows = np.stack([pairs[place][0] for place in places])
                pictures = _upscale(windows, infer, spec)
                for place, picture in zip(places, pictures, strict=True):
                    scores[place] = _score(picture, pairs[place][1])
            result[domain] = float(np.mean(scores - self.bicubic[domain]))
        return result


def _alike(pairs: list[Pair], batch: int) -> list[list[int]]:
    """Places of pairs of one size, at most ``batch`` together."""
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for place, (window, _) in enumerate(pairs):
        by_shape.setdefault(window.shape, []).append(place)
    return [
        places[start : start + batch]
        for places in by_shape.values()
        for start in range(0, len(places), batch)
    ]


def _upscale(windows: Floats, infer: Infer, spec: ModelSpec) -> Floats:
    """(B, 5, h, w) to (B, 2h, 2w): the edges reflected and taken off again."""
    edges = [(0, 0), (0, 0), (EDGE_PX, EDGE_PX), (EDGE_PX, EDGE_PX)]
    pictures = infer(np.pad(windows, edges, mode="reflect"))
    start = spec.scale * EDGE_PX - spec.trim
    height = spec.scale * windows.shape[-2]
    width = spec.scale * windows.shape[-1]
    return pictures[:, start : start + height, start : start + width]


def _score(picture: NDArray[Any], truth: NDArray[Any]) -> float:
    return psnr(truth, np.clip(np.rint(picture), 0, 255), crop=_CROP)
