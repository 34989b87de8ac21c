"""Metrics of whole sequences: their protocol, their names, and what they share.

A metric of single pictures needs only one picture at a time. These metrics look at motion or feed
another program, so they take the frames of one clip in order and return their figures at its end.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vsrcli.errors import OptionError
from vsrcli.metrics.info import MetricInfo

SEQUENCE_METRICS = ("warp", "vmaf", "vmaf_neg", "xpsnr", "flip")

FloatLuma = NDArray[np.floating[Any]]
Codes = NDArray[np.uint8]
SequenceScores = dict[str, tuple[float, list[float]]]


class SequenceMetric(Protocol):
    """One or several figures over the consecutive frames of one clip.

    Memory does not grow with the clip, apart from the figures themselves.
    """

    @property
    def infos(self) -> tuple[MetricInfo, ...]:
        """How each figure is presented, in the order of the names requested."""

    def add(self, truth: FloatLuma, picture: FloatLuma) -> None:
        """Take the next frame.

        Args:
            truth: luma of the ground truth, already cropped: shape (H, W), float32 or float64,
                8-bit codes of either range (0..255).
            picture: luma of the method, same shape and scale.

        Raises:
            ValueError: a shape is not the one the metric was made for.
            BackendError: the library or program behind the metric failed.
        """

    def finish(self) -> SequenceScores:
        """Figures of all frames added; nothing can be added afterwards.

        Returns:
            Metric -> (figure of the clip, one value per frame). NaN where a frame has no value,
            and for a clip without any.

        Raises:
            BackendError: the library or program behind the metric failed.
        """

    def close(self) -> None:
        """Release processes and files; safe at any time, repeatedly, and after errors."""


def check_frame(
    truth: FloatLuma,
    picture: FloatLuma,
    width: int,
    height: int,
) -> None:
    """Refuse luma of any shape other than (height, width), pixels.

    Raises:
        ValueError: a shape differs.
    """
    expected = (height, width)
    if truth.shape != expected or picture.shape != expected:
        raise ValueError(
            f"pictures of {truth.shape} and {picture.shape}: "
            f"this metric was made for {expected}"
        )


def check_size(
    title: str,
    width: int,
    height: int,
    min_side: int,
) -> None:
    """Refuse pictures with a side below ``min_side`` pixels.

    Raises:
        OptionError: the pictures are too small.
    """
    if min(width, height) < min_side:
        raise OptionError(
            f"{title} needs at least {min_side} pixels a side, "
            f"{width}x{height} are left: use larger pictures or omit it from --metrics"
        )


def as_codes(luma: FloatLuma) -> Codes:
    """The nearest 8-bit codes of luma on the scale 0..255, clipped as in a file; same shape."""
    codes = np.clip(np.rint(luma), 0, 255)
    return codes.astype(np.uint8, order="C")


def mean_of(values: list[float]) -> float:
    """Arithmetic mean of the values that are not NaN; NaN if there is none."""
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return math.nan
    return math.fsum(known) / len(known)
