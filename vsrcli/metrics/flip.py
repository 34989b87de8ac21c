"""FLIP: how much of a difference a viewer sees who flips between two pictures.

P. Andersson, J. Nilsson, T. Akenine-Möller, M. Oskarsson, K. Åström and M. D. Fairchild, "FLIP: A Difference Evaluator for Alternating Images",
Proceedings of the ACM on Computer Graphics and Interactive Techniques 3(2), 2020; computed by the authors' package flip-evaluator.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vsrcli.errors import BackendError
from vsrcli.metrics.info import MetricInfo
from vsrcli.metrics.sequence import Luma, SequenceScores, check_frame, mean_of

INFO = MetricInfo(
    "flip",
    "FLIP",
    False,
    4,
    "luma shown as gray (16 black, 235 white), 67 pixels per degree, mean over the picture, 0..1",
)


class Flip:
    """FLIP of one clip, frame by frame; keeps the :class:`~vsrcli.metrics.sequence.SequenceMetric` protocol.

    Args:
        width: of the pictures, pixels.
        height: of the pictures, pixels.

    Raises:
        BackendError: flip-evaluator is not installed.
    """

    infos: tuple[MetricInfo, ...] = (INFO,)

    def __init__(self, width: int, height: int) -> None:
        try:
            from flip_evaluator import evaluate
        except ImportError as error:
            raise BackendError(
                "FLIP needs the package flip-evaluator: pip install 'vsrcli[flip]'"
            ) from error
        self._evaluate = evaluate
        self._width, self._height = width, height
        self._values: list[float] = []

    def add(self, truth: Luma, picture: Luma) -> None:
        """Take the next frame; see :class:`~vsrcli.metrics.sequence.SequenceMetric`."""
        check_frame(truth, picture, self._width, self._height)
        _, error, _ = self._evaluate(
            _shown(truth), _shown(picture), "LDR", applyMagma=False
        )
        self._values.append(float(error))

    def finish(self) -> SequenceScores:
        """Mean over the frames, 0 (no difference) to 1, and each frame's."""
        return {INFO.name: (mean_of(self._values), list(self._values))}

    def close(self) -> None:
        """Nothing is held."""


def _shown(luma: Luma) -> NDArray[np.float32]:
    """Gray sRGB of 0..1, shape (H, W, 3)."""
    gray = np.clip((luma - 16) / 219, 0, 1).astype(np.float32)
    return np.ascontiguousarray(np.repeat(gray[..., None], 3, axis=2))
