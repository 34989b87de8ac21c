"""The metrics of whole sequences by name; the interface is in ``quality/sequence.py``."""

from __future__ import annotations

from collections.abc import Sequence

from vsrcli.errors import OptionError
from vsrcli.metrics.flip import Flip
from vsrcli.metrics.info import MetricInfo
from vsrcli.metrics.sequence import (
    SEQUENCE_METRICS,
    Luma,
    SequenceMetric,
    SequenceScores,
    as_codes,
    check_frame,
)
from vsrcli.metrics.vmaf import Vmaf
from vsrcli.metrics.warping import WarpingError

_VMAF = ("vmaf", "vmaf_neg")


def sequence_metrics(
    names: Sequence[str], width: int, height: int, frames_per_second: float
) -> list[SequenceMetric]:
    """Fresh metrics for one clip of one method; the caller closes each.

    Args:
        names: out of :data:`~vsrcli.metrics.sequence.SEQUENCE_METRICS`, each once; ``vmaf`` and ``vmaf_neg`` share one object.
        width: of the cropped pictures, pixels.
        height: of the cropped pictures, pixels.
        frames_per_second: of the clip, above 0; only XPSNR asks for it.

    Returns:
        Metrics in the order of the names.

    Raises:
        OptionError: an unknown name, or pictures too small for a metric.
        BackendError: a package or filter is missing.
        ValueError: no frame rate above 0.
    """
    unknown = [name for name in names if name not in SEQUENCE_METRICS]
    if unknown:
        raise OptionError(
            f"unknown metric {unknown[0]!r}: choose from {', '.join(SEQUENCE_METRICS)}"
        )
    vmaf = [name for name in names if name in _VMAF]
    metrics: list[SequenceMetric] = []
    try:
        for name in names:
            if name == "warp":
                metrics.append(WarpingError(width, height))
            elif name == "xpsnr":
                metrics.append(Xpsnr(width, height, frames_per_second))
            elif name == "flip":
                metrics.append(Flip(width, height))
            elif name == vmaf[0]:
                metrics.append(Vmaf(vmaf, width, height))
    except BaseException:
        for metric in metrics:
            metric.close()
        raise
    return metrics


class Xpsnr:
    """XPSNR of one clip, of 8-bit luma; keeps the :class:`~vsrcli.metrics.sequence.SequenceMetric` protocol.

    Args:
        width: of the pictures, pixels.
        height: of the pictures, pixels.
        frames_per_second: of the clip, above 0.

    Raises:
        OptionError: pictures too small for the filter.
        BackendError: this FFmpeg has no such filter.
        ValueError: no frame rate above 0.
    """

    infos: tuple[MetricInfo, ...] = (
        MetricInfo(
            "xpsnr",
            "XPSNR dB",
            True,
            2,
            "luma of 8 bits, FFmpeg's filter, by the clip's mean weighted root error (not the mean of the dB)",
        ),
    )

    def __init__(self, width: int, height: int, frames_per_second: float) -> None:
        # imported here: the filter is FFmpeg's, which other metrics do not need
        from vsrcli.metrics.xpsnr import XpsnrFilter

        self._width, self._height = width, height
        self._filter = XpsnrFilter(width, height, frames_per_second)

    def add(self, truth: Luma, picture: Luma) -> None:
        """Take the next frame; see :class:`~vsrcli.metrics.sequence.SequenceMetric`."""
        check_frame(truth, picture, self._width, self._height)
        self._filter.add(as_codes(truth), as_codes(picture))

    def finish(self) -> SequenceScores:
        """The clip's XPSNR and each frame's, dB; infinite where a frame is equal to its truth."""
        return {"xpsnr": self._filter.finish()}

    def close(self) -> None:
        """Release FFmpeg's filter and its file."""
        self._filter.close()
