"""What a run is judged by: PSNR gain over bicubic on clips it never trains on, and what of it the
neighbours bring.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrcli.errors import InputError
from vsrcli.metrics.frames import psnr
from vsrcli.models import ModelSpec
from vsrcli.picture.motion import Motion
from vsrcli.picture.resize import double
from vsrcli.picture.tiles import EDGE_PX
from vsrcli.training.data import Sequences, validation_pairs

Floats = NDArray[np.float32]
Pair = tuple[Floats, Floats]
# Planes (B, planes, h, w) to pictures (B, 2h - 2 trim, 2w - 2 trim), codes.
Infer = Callable[[Floats], Floats]

_SIZE = 128  # pixels; side of the middle part of each sequence that is scored
_BITS = 8
_RADIUS = 2
_CROP = 8  # high-resolution pixels left out at each border when scoring, as everywhere


class Validation:
    """A fixed set of validation pairs for each degradation, and what bicubic makes of them.

    Args:
        sequences: clips that are never trained on.
        spec: the network.
        domains: keys in ``DEGRADATIONS``.
        count: how many sequences, at most.
        size: side of the middle part of each that is scored, pixels.

    Raises:
        InputError: all of them are pictures that bicubic restores exactly (black, say): no gain
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
        self.pairs: dict[str, list[Pair]] = {}
        self._still: dict[str, list[Pair]] = {}
        self.bicubic: dict[str, list[float]] = {}
        for domain in domains:
            pairs = validation_pairs(sequences, domain, count=count, size=size)
            scored = [
                (pair, _score(double(pair[0][_RADIUS]), pair[1])) for pair in pairs
            ]
            # a black picture, at the end of a film say, is restored by anything: one of them would
            # make every mean infinite
            usable = [(pair, score) for pair, score in scored if math.isfinite(score)]
            if not usable:
                raise InputError(
                    "the clips to validate on show single colours only, so no gain could be "
                    "measured: give others with --val"
                )
            self.pairs[domain] = [
                (_planes(low, spec), high) for (low, high), _ in usable
            ]
            self._still[domain] = [
                (_planes(low[[_RADIUS] * len(low)], spec), high)
                for (low, high), _ in usable
            ]
            self.bicubic[domain] = [score for _, score in usable]

    def gains(self, infer: Infer, batch: int = 1) -> dict[str, float]:
        """Mean PSNR gain over bicubic by degradation, dB: the figures of ``upscale_plane``.

        Args:
            infer: the network.
            batch: most windows a call.
        """
        return self._gains(self.pairs, infer, batch)

    def still_gains(self, infer: Infer, batch: int = 1) -> dict[str, float]:
        """``gains`` where the network is shown frame t five times.

        What is missing to ``gains`` is the temporal gain: what the neighbours bring.
        """
        return self._gains(self._still, infer, batch)

    def _gains(
        self, pairs_of: dict[str, list[Pair]], infer: Infer, batch: int
    ) -> dict[str, float]:
        result = {}
        for domain, pairs in pairs_of.items():
            scores = np.empty(len(pairs))
            for places in _alike(pairs, batch):
                windows = np.stack([pairs[place][0] for place in places])
                pictures = _upscale(windows, infer, self._spec)
                for place, picture in zip(places, pictures, strict=True):
                    scores[place] = _score(picture, pairs[place][1])
            result[domain] = float(np.mean(scores - self.bicubic[domain]))
        return result


def _planes(window: Floats, spec: ModelSpec) -> Floats:
    """What the network takes of a window (5, h, w) of whole codes."""
    if not spec.is_motion_compensated:
        return window
    motion = Motion(_BITS)
    return motion.planes(motion.window(list(window.astype(np.uint8)))).astype(
        np.float32
    )


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
    """(B, planes, h, w) to (B, 2h, 2w): the edges reflected and taken off again."""
    edges = [(0, 0), (0, 0), (EDGE_PX, EDGE_PX), (EDGE_PX, EDGE_PX)]
    pictures = infer(np.pad(windows, edges, mode="reflect"))
    start = spec.scale * EDGE_PX - spec.trim
    height = spec.scale * windows.shape[-2]
    width = spec.scale * windows.shape[-1]
    return pictures[:, start : start + height, start : start + width]


def _score(picture: NDArray[Any], truth: NDArray[Any]) -> float:
    return psnr(truth, np.clip(np.rint(picture), 0, 255), crop=_CROP)
