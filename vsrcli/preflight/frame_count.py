"""How many frames a run is expected to compute."""

from __future__ import annotations

from fractions import Fraction

from vsrcli.options import UpscaleOptions
from vsrcli.preflight.rate_check import source_rate
from vsrcli.preflight.upscale_job import UpscaleJob


def expected_frames(job: UpscaleJob, options: UpscaleOptions) -> Fraction | None:
    """Source frames in the range that the output shows; None if the source does not say.

    It is exact for a constant rate. Frames of the range that are left out, since the output's rate
    is lower, do not count.
    """
    end = job.time_range.end_within(job.info.duration)
    rate = source_rate(job.info, options)
    if end is None or not rate:
        return None
    if job.fps != "source":
        rate = min(rate, job.fps)
    return max(Fraction(0), end - job.time_range.begin) * rate
