"""FLIP: how visible a difference is to a viewer who flips between two pictures.

P. Andersson, J. Nilsson, T. Akenine-Möller, M. Oskarsson, K. Åström and M. D. Fairchild, "FLIP: A
Difference Evaluator for Alternating Images", Proceedings of the ACM on Computer Graphics and
Interactive Techniques 3(2), 2020; computed by the authors' package flip-evaluator.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vsrcli.errors import BackendError
from vsrcli.metrics.info import MetricInfo
from vsrcli.metrics.sequence import FloatLuma, SequenceScores, check_frame, mean_of

INFO = MetricInfo(
    name="flip",
    title="FLIP",
    higher_is_better=False,
    digits=4,
    note=(
        "luma displayed as gray (16 black, 235 white), 67 pixels per degree, "
        "mean over the picture, 0..1"
    ),
)


class Flip:
    """FLIP of one clip; implements :class:`~vsrcli.metrics.sequence.SequenceMetric`.

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
        self._width = width
        self._height = height
        self._values: list[float] = []

    def add(self, truth: FloatLuma, picture: FloatLuma) -> None:
        """Take the next frame; see :class:`~vsrcli.metrics.sequence.SequenceMetric`."""
        check_frame(truth, picture, self._width, self._height)
        _, error, _ = self._evaluate(
            _as_srgb(truth),
            _as_srgb(picture),
            "LDR",
            applyMagma=False,
        )
        self._values.append(float(error))

    def finish(self) -> SequenceScores:
        """Mean over the frames, 0 (no difference) to 1, and the value of each frame."""
        values = list(self._values)
        return {INFO.name: (mean_of(values), values)}

    def close(self) -> None:
        """Do nothing: there is nothing to release."""


def _as_srgb(luma: FloatLuma) -> NDArray[np.float32]:
    """Limited-range luma as gray sRGB of 0..1, shape (H, W, 3)."""
    gray = np.clip((luma - 16) / 219, 0, 1).astype(np.float32)
    rgb = np.repeat(gray[..., None], 3, axis=2)
    return np.ascontiguousarray(rgb)
