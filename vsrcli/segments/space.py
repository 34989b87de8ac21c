"""Room on the disk for the parts of a run: estimated before the work, then watched."""

from __future__ import annotations

import shutil
from pathlib import Path

from vsrcli.encode.encoder_table import encoder_of
from vsrcli.errors import OutputError
from vsrcli.options.encoder import DEFAULT_QUALITY
from vsrcli.pipeline.run_context import RunContext
from vsrcli.preflight.segment_plan import SegmentPlan
from vsrcli.preflight.upscale_job import UpscaleJob
from vsrcli.segments.journal import Journal
from vsrcli.segments.segment import Segment
from vsrcli.wording import bytes_text

# Bits for a pixel: of x264 at its default quality (measured: 0.05 to 0.3).
_LOSSY_BITS = 0.15
# The same of lossless encoders, for each bit of a sample.
_LOSSLESS_BITS = 0.7
# A step of so much in the CRF halves the bits.
_CRF_STEP = 6
_USUAL_RATE = 25


class Space:
    """Watches the disk: warns once when room may run out, and stops while there is still some."""

    def __init__(self, run: RunContext, journal: Journal) -> None:
        """Look at the disk for the first time.

        Raises:
            OutputError: there is no room for the next segment.
        """
        self._run = run
        self._journal = journal
        self._has_warned = False
        if not journal.done:
            self._warn(estimated_bytes(run.job))
        self.check()

    def check(self) -> None:
        """Look again.

        Raises:
            OutputError: there is no room for the next segment.
        """
        journal = self._journal
        self._warn(expected_bytes(journal.plan, journal.done) + journal.largest_kept)
        if len(journal.done) < len(journal.plan):
            sizes = [segment.size for segment in journal.done.values()]
            largest = max(sizes, default=0)
            check_space(self._run.job, journal.folder, largest, "the next segment")

    def _warn(self, needed: int) -> None:
        free = _free(self._journal.folder)
        if self._has_warned or free is None or free >= needed:
            return
        self._has_warned = True
        self._run.note(
            f"about {bytes_text(needed)} will be needed on the disk of {self._run.job.target}, "
            f"{bytes_text(free)} are free: free some space while vsr is working"
        )


def check_space(job: UpscaleJob, folder: Path, needed: int, what: str) -> None:
    """Stop while there is still some room.

    Args:
        job: what is written.
        folder: where.
        needed: bytes.
        what: what needs them, for the message.

    Raises:
        OutputError: fewer are free.
    """
    free = _free(folder)
    if free is not None and free < needed:
        raise OutputError(
            f"no space left on the disk of {job.target}: {what} needs {bytes_text(needed)}, "
            f"{bytes_text(free)} are free: free some space, and the same command continues"
        )


def estimated_bytes(job: UpscaleJob) -> int:
    """About what parts and finished video together need on the disk, before the work."""
    video = job.video
    end = job.time_range.end_within(job.info.duration) or 0
    seconds = float(end - job.time_range.begin)
    frames = seconds * float(video.rate or _USUAL_RATE)
    bits = _bits_per_pixel(job)
    return round(2 * frames * video.width * video.height * bits / 8)


def expected_bytes(plan: SegmentPlan, done: dict[int, Segment]) -> int:
    """What is still needed on the disk, judged by the finished segments; 0 if there are none."""
    count = len(done)
    if not count:
        return 0
    size = sum(segment.size for segment in done.values())
    # parts that are missing, and the finished video
    still_to_write = 2 * len(plan) - count
    return round(size / count * still_to_write)


def _bits_per_pixel(job: UpscaleJob) -> float:
    encoder = encoder_of(job.encoder.codec)
    crf = job.encoder.crf
    if not encoder.for_players or crf is None:
        return _LOSSLESS_BITS * job.video.format.bits
    steps = (encoder.levels[DEFAULT_QUALITY].crf - crf) / _CRF_STEP
    return float(_LOSSY_BITS * 2**steps)


def _free(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
