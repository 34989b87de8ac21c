"""Warping error: how much a video flickers.

W.-S. Lai, J.-B. Huang, O. Wang, E. Shechtman, E. Yumer and M.-H. Yang, "Learning Blind Video Temporal Consistency", ECCV 2018: the previous
picture, moved along the motion of the scene, should look like the present one. The error is the mean squared difference of the two over the
pixels seen in both. Which these are follows M. Ruder, A. Dosovitskiy and T. Brox, "Artistic Style Transfer for Videos", GCPR 2016: the flow
to the previous frame and the flow back must cancel, and motion boundaries are left out.

Two things differ from the paper: motion comes from OpenCV's DIS flow (T. Kroeger, R. Timofte, D. Dai and L. Van Gool, "Fast Optical Flow using
Dense Inverse Search", ECCV 2016; preset medium) between ground-truth frames instead of FlowNet2, which would be a network to ship, and only
luma counts. Motion and masks come from the truth alone, so all methods are judged on the same pixels.

The truth itself does not score 0 where it has noise or grain, and a blurred picture can score below it: the figure belongs beside one of
sharpness.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vsrcli.metrics.info import MetricInfo
from vsrcli.metrics.sequence import (
    Luma,
    SequenceScores,
    as_codes,
    check_frame,
    check_size,
    mean_of,
)

INFO = MetricInfo(
    "warp", "warping error x1000", False, 3,
    "luma of 0..1, mean squared difference to the previous picture moved along the truth's motion (DIS flow), pixels hidden in either left out, times 1000",
)  # fmt: skip

Flow = NDArray[np.float32]
_LEAST_SIDE = 32  # OpenCV's DIS reads outside its memory, and may crash, from about 12 pixels downwards
_LEAST_VISIBLE = (
    1 / 3
)  # of the pixels; at a cut some agree by chance, and say nothing about flicker


class WarpingError:
    """Warping error of one clip; keeps the :class:`~vsrcli.metrics.sequence.SequenceMetric` protocol.

    The first frame has no value, nor has one of which less than a third can be found in the frame before (a cut).

    Args:
        width: of the pictures, pixels.
        height: of the pictures, pixels.

    Raises:
        OptionError: pictures too small for optical flow.
    """

    infos: tuple[MetricInfo, ...] = (INFO,)

    def __init__(self, width: int, height: int) -> None:
        check_size("the warping error", width, height, _LEAST_SIDE)
        self._width, self._height = width, height
        self._dis: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        columns, rows = np.meshgrid(
            np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
        )
        self._grid: Flow = np.stack((columns, rows), axis=-1)
        self._previous: tuple[NDArray[np.uint8], NDArray[np.float32]] | None = None
        self._values: list[float] = []

    def add(self, truth: Luma, picture: Luma) -> None:
        """Take the next frame; see :class:`~vsrcli.metrics.sequence.SequenceMetric`."""
        check_frame(truth, picture, self._width, self._height)
        codes, shown = as_codes(truth), np.array(picture, dtype=np.float32, order="C")
        value = math.nan
        if self._previous is not None:
            codes_before, shown_before = self._previous
            back: Flow = self._dis.calc(codes, codes_before, None)
            forth: Flow = self._dis.calc(codes_before, codes, None)
            source = self._grid + back
            visible = self._visible(back, forth, source)
            if np.count_nonzero(visible) >= _LEAST_VISIBLE * visible.size:
                moved = _sampled(shown_before, source)
                error = (shown - moved)[visible].astype(np.float64) / 255
                value = float(np.mean(np.square(error))) * 1000
        self._values.append(value)
        self._previous = codes, shown

    def finish(self) -> SequenceScores:
        """Mean over the frames that have a value, times 1000 on the squared scale 0..1, and each frame's."""
        return {INFO.name: (mean_of(self._values), list(self._values))}

    def close(self) -> None:
        """Let go of the previous frame."""
        self._previous = None

    def _visible(self, back: Flow, forth: Flow, source: Flow) -> NDArray[np.bool_]:
        """Which pixels of the present frame the previous one shows too; shape (H, W)."""
        inside: NDArray[np.bool_] = np.all(
            (source >= 0) & (source <= (self._width - 1, self._height - 1)), axis=-1
        )
        returned = _sampled(forth, source)
        length = _squares(back)
        meets = _squares(back + returned) <= 0.01 * (length + _squares(returned)) + 0.5
        slope = np.zeros_like(length)
        slope[:, :-1] += _squares(np.diff(back, axis=1))
        slope[:-1] += _squares(np.diff(back, axis=0))
        smooth = slope <= 0.01 * length + 0.002
        visible: NDArray[np.bool_] = inside & meets & smooth
        return visible


def _sampled(values: NDArray[np.float32], source: Flow) -> NDArray[np.float32]:
    """Values of shape (H, W) or (H, W, C) at the places (x, y) that ``source`` names, bilinear; the edge goes on outside."""
    found = cv2.remap(
        values,
        source[..., 0],
        source[..., 1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(found, np.float32)


def _squares(vectors: NDArray[Any]) -> NDArray[Any]:
    """Squared lengths of vectors along the last axis."""
    lengths: NDArray[Any] = np.einsum("...i,...i->...", vectors, vectors)
    return lengths
