"""Opens the metrics of whole sequences by name."""

from __future__ import annotations

from collections.abc import Sequence

from vsrcli.errors import OptionError
from vsrcli.metrics.flip import Flip
from vsrcli.metrics.sequence import (
    SEQUENCE_METRICS,
    SequenceMetric,
    SequenceScores,
    mean_of,
)
from vsrcli.metrics.vmaf import Vmaf
from vsrcli.metrics.warping import WarpingError


def sequence_metrics(
    names: Sequence[str],
    width: int,
    height: int,
    frames_per_second: float,
) -> list[SequenceMetric]:
    """New metrics for one clip of one method; the caller closes each.

    Args:
        names: out of :data:`~vsrcli.metrics.sequence.SEQUENCE_METRICS`, each once; ``vmaf`` and
            ``vmaf_neg`` share one object.
        width: of the cropped pictures, pixels.
        height: of the cropped pictures, pixels.
        frames_per_second: of the clip, above 0; only XPSNR needs it.

    Returns:
        Metrics in the order of the names.

    Raises:
        OptionError: an unknown name, or pictures too small for a metric.
        BackendError: a package or filter is missing.
        ValueError: the frame rate is not above 0.
    """
    unknown = [name for name in names if name not in SEQUENCE_METRICS]
    if unknown:
        choices = ", ".join(SEQUENCE_METRICS)
        raise OptionError(f"unknown metric {unknown[0]!r}: choose from {choices}")
    vmaf_names = [name for name in names if name in ("vmaf", "vmaf_neg")]
    metrics: list[SequenceMetric] = []
    try:
        for name in names:
            if name == "warp":
                metrics.append(WarpingError(width, height))
            elif name == "xpsnr":
                # Imported here: it needs PyAV, which the other metrics do not.
                from vsrcli.metrics.xpsnr import Xpsnr

                metrics.append(Xpsnr(width, height, frames_per_second))
            elif name == "flip":
                metrics.append(Flip(width, height))
            elif name == vmaf_names[0]:
                metrics.append(Vmaf(vmaf_names, width, height))
    except BaseException:
        for metric in metrics:
            metric.close()
        raise
    return metrics


def joined(runs: Sequence[SequenceScores]) -> SequenceScores:
    """Scores of several runs of consecutive frames as those of one clip.

    Args:
        runs: at least one, each with the same metrics, in the order of their frames.
    """
    if len(runs) == 1:
        return runs[0]
    scores: SequenceScores = {}
    for name in runs[0]:
        values: list[float] = []
        for run in runs:
            values += run[name][1]
        scores[name] = (_figure_of(name, values), values)
    return scores


def _figure_of(name: str, values: list[float]) -> float:
    """The figure of a clip by the values of its frames."""
    if name != "xpsnr":
        return mean_of(values)
    from vsrcli.metrics.xpsnr import clip_xpsnr

    return clip_xpsnr(values)
