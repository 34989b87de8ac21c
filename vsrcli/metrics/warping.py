"""Warping error: how much a video flickers.

W.-S. Lai, J.-B. Huang, O. Wang, E. Shechtman, E. Yumer and M.-H. Yang, "Learning Blind Video
Temporal Consistency", ECCV 2018: the previous picture, moved along the motion of the scene, should
look like the current one. The error is the mean squared difference between the two over the pixels
visible in both. Visibility follows M. Ruder, A. Dosovitskiy and T. Brox, "Artistic Style Transfer
for Videos", GCPR 2016: the flow to the previous frame and the flow back must cancel, and motion
boundaries are left out.

Two things differ from the paper. Motion comes from OpenCV's DIS flow (T. Kroeger, R. Timofte,
D. Dai and L. Van Gool, "Fast Optical Flow using Dense Inverse Search", ECCV 2016; preset medium)
instead of FlowNet2, a network that would have to be shipped. And only luma counts. Motion and masks
come from the ground truth alone, so all methods are judged on the same pixels.

The truth itself does not score 0 where it has noise or grain, and a blurred picture can score below
it: read this figure together with one for sharpness.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vsrcli.metrics.info import MetricInfo
from vsrcli.metrics.sequence import (
    Codes,
    FloatLuma,
    SequenceScores,
    as_codes,
    check_frame,
    check_size,
    mean_of,
)

INFO = MetricInfo(
    name="warp",
    title="warping error x1000",
    higher_is_better=False,
    digits=3,
    note=(
        "luma of 0..1, mean squared difference to the previous picture moved along the "
        "truth's motion (DIS flow), pixels hidden in either left out, times 1000"
    ),
)

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

# OpenCV's DIS reads outside its memory, and may crash, from about 12 pixels downwards.
_MIN_SIDE = 32
# At a cut some pixels agree by chance, which says nothing about flicker.
_MIN_VISIBLE_SHARE = 1 / 3


class WarpingError:
    """Warping error of one clip; implements :class:`~vsrcli.metrics.sequence.SequenceMetric`.

    The first frame has no value, nor has a frame of which less than a third is visible in the
    previous one (a cut).

    Args:
        width: of the pictures, pixels.
        height: of the pictures, pixels.

    Raises:
        OptionError: the pictures are too small for optical flow.
    """

    infos: tuple[MetricInfo, ...] = (INFO,)

    def __init__(self, width: int, height: int) -> None:
        check_size("the warping error", width, height, _MIN_SIDE)
        self._width = width
        self._height = height
        preset = cv2.DISOPTICAL_FLOW_PRESET_MEDIUM
        self._dis: Any = cv2.DISOpticalFlow.create(preset)
        x = np.arange(width, dtype=np.float32)
        y = np.arange(height, dtype=np.float32)
        self._grid: Floats = np.stack(np.meshgrid(x, y), axis=-1)
        self._previous: tuple[Codes, Floats] | None = None
        self._values: list[float] = []

    def add(self, truth: FloatLuma, picture: FloatLuma) -> None:
        """Take the next frame; see :class:`~vsrcli.metrics.sequence.SequenceMetric`."""
        check_frame(truth, picture, self._width, self._height)
        codes = as_codes(truth)
        current = np.array(picture, dtype=np.float32, order="C")
        value = math.nan
        if self._previous is not None:
            value = self._error(codes, current, *self._previous)
        self._values.append(value)
        self._previous = codes, current

    def finish(self) -> SequenceScores:
        """Mean and each frame's value, on the squared scale 0..1, times 1000."""
        values = list(self._values)
        return {INFO.name: (mean_of(values), values)}

    def close(self) -> None:
        """Release the previous frame."""
        self._previous = None

    def _error(
        self,
        codes: Codes,
        current: Floats,
        previous_codes: Codes,
        previous: Floats,
    ) -> float:
        """Error between two frames, or NaN where too little is visible in both."""
        backward: Floats = self._dis.calc(codes, previous_codes, None)
        forward: Floats = self._dis.calc(previous_codes, codes, None)
        source = self._grid + backward
        visible = self._visible(backward, forward, source)
        visible_pixels = np.count_nonzero(visible)
        if visible_pixels < _MIN_VISIBLE_SHARE * visible.size:
            return math.nan
        difference = current - _sampled(previous, source)
        error = difference[visible].astype(np.float64) / 255
        mean_square = float(np.mean(np.square(error)))
        return mean_square * 1000

    def _visible(
        self,
        backward: Floats,
        forward: Floats,
        source: Floats,
    ) -> Mask:
        """Which pixels of the current frame are visible in the previous one; shape (H, W)."""
        last = (self._width - 1, self._height - 1)
        is_inside = (source >= 0) & (source <= last)
        is_inside = np.all(is_inside, axis=-1)

        returned = _sampled(forward, source)
        length = _squared_lengths(backward)
        lengths = length + _squared_lengths(returned)
        mismatch = _squared_lengths(backward + returned)
        is_consistent = mismatch <= 0.01 * lengths + 0.5

        step_right = np.diff(backward, axis=1)
        step_down = np.diff(backward, axis=0)
        slope = np.zeros_like(length)
        slope[:, :-1] += _squared_lengths(step_right)
        slope[:-1] += _squared_lengths(step_down)
        is_smooth = slope <= 0.01 * length + 0.002

        visible: Mask = is_inside & is_consistent & is_smooth
        return visible


def _sampled(values: Floats, source: Floats) -> Floats:
    """Values, (H, W) or (H, W, C), at the places (x, y) in ``source``: bilinear, edge repeated."""
    samples = cv2.remap(
        values,
        source[..., 0],
        source[..., 1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(samples, np.float32)


def _squared_lengths(vectors: Floats) -> Floats:
    """Squared lengths of vectors along the last axis."""
    lengths: Floats = np.einsum("...i,...i->...", vectors, vectors)
    return lengths
