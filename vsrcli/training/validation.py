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
from vsrcli.picture.tiles import EDGE_PX, upscale_plane
from vsrcli.quality.metrics import psnr
from vsrcli.training.data import Sequences, validation_pairs

Infer = Callable[[NDArray[np.float32]], NDArray[np.float32]]

_SIZE = 128  # pixels; side of the middle part of each sequence that is scored
_CROP = 8  # high-resolution pixels left out at each border when scoring, as everywhere in the project


class Validation:
    """A fixed set of validation pairs for each degradation, and what bicubic makes of them.

    Args:
        sequences: clips that are never trained on.
        domains: keys in ``DEGRADATIONS``.
        count: how many sequences, at most.

    Raises:
        InputError: all of them are pictures that bicubic restores exactly (black, say): no gain can be measured.
    """

    def __init__(self, sequences: Sequences, domains: Iterable[str], count: int) -> None:
        self.pairs: dict[str, list[tuple[NDArray[np.float32], NDArray[np.float32]]]] = {}
        self.bicubic: dict[str, list[float]] = {}
        for domain in domains:
            pairs = validation_pairs(sequences, domain, count=count, size=_SIZE)
            scored = [(pair, _score(double(pair[0][2]), pair[1])) for pair in pairs]
            # a black picture, at the end of a film say, is restored by anything: one of them would make every mean infinite
            usable = [(pair, score) for pair, score in scored if math.isfinite(score)]
            if not usable:
                raise InputError("the clips to validate on show single colours only, so no gain could be measured: give others with --val")
            self.pairs[domain], self.bicubic[domain] = [pair for pair, _ in usable], [score for _, score in usable]

    def gains(self, infer: Infer, spec: ModelSpec) -> dict[str, float]:
        """Mean PSNR gain over bicubic by degradation, dB.

        Args:
            infer: the network, as in ``upscale_plane``.
            spec: the network's description.
        """
        result = {}
        for domain, pairs in self.pairs.items():
            scores = [_score(upscale_plane(low, infer, spec, max_pixels=None, edge_px=EDGE_PX), high) for low, high in pairs]
            result[domain] = float(np.mean(np.subtract(scores, self.bicubic[domain])))
        return result


def _score(picture: NDArray[Any], truth: NDArray[Any]) -> float:
    return psnr(truth, np.clip(np.rint(picture), 0, 255), crop=_CROP)
