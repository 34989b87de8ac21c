"""Metrics of whole sequences: what all of them do, their names, and what they share.

A figure of a single picture needs no more than that picture; these look at motion, or feed another program, so they take the frames of one
clip one after the other and give their figures at its end.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vsrcli.errors import OptionError
from vsrcli.metrics.info import MetricInfo

SEQUENCE_METRICS = ("warp", "vmaf", "vmaf_neg", "xpsnr", "flip")

Luma = NDArray[np.floating[Any]]
SequenceScores = dict[str, tuple[float, list[float]]]


class SequenceMetric(Protocol):
    """One or several figures over the consecutive frames of one clip; memory does not grow with the clip but for the figures themselves."""

    @property
    def infos(self) -> tuple[MetricInfo, ...]:
        """How each figure is shown, in the order asked for."""

    def add(self, truth: Luma, picture: Luma) -> None:
        """Take the next frame.

        Args:
            truth: luma of the ground truth, shape (H, W), float32 or float64, 8-bit codes of either range (0..255), already cropped.
            picture: luma of the method, same shape and scale.

        Raises:
            ValueError: a shape is not the one the metric was made for.
            BackendError: the library or program at work failed.
        """

    def finish(self) -> SequenceScores:
        """Figures of all frames added; nothing can be added afterwards.

        Returns:
            Metric -> (figure of the clip, one value a frame). NaN where a frame has no value, and for a clip without any.

        Raises:
            BackendError: the library or program at work failed.
        """

    def close(self) -> None:
        """Release processes and files; safe at any time, more than once, and after errors."""


def check_frame(truth: Luma, picture: Luma, width: int, height: int) -> None:
    """Refuse luma of another shape than (height, width), pixels.

    Raises:
        ValueError: as said.
    """
    if truth.shape != (height, width) or picture.shape != (height, width):
        raise ValueError(
            f"pictures of {truth.shape} and {picture.shape}: this metric was made for {(height, width)}"
        )


def check_size(title: str, width: int, height: int, least: int) -> None:
    """Refuse pictures that a metric cannot work on; ``least`` is its shortest side, pixels.

    Raises:
        OptionError: as said.
    """
    if min(width, height) < least:
        raise OptionError(
            f"{title} needs at least {least} pixels a side, {width}x{height} are left: use larger pictures or leave it out of --metrics"
        )


def as_codes(luma: Luma) -> NDArray[np.uint8]:
    """The nearest 8-bit codes of luma on the scale 0..255, same shape; what lies outside is clipped, as in a file."""
    return np.clip(np.rint(luma), 0, 255).astype(np.uint8, order="C")


def mean_of(values: list[float]) -> float:
    """Arithmetic mean of the values that are there; NaN where there is none."""
    known = [value for value in values if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else math.nan
