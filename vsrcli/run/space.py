"""Room on the disk while a run keeps its segments there: estimated before the work, looked after as it goes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from vsrcli.errors import OutputError
from vsrcli.media.encoders import encoder_of
from vsrcli.options import EncoderOptions, UpscaleOptions
from vsrcli.run.journal import Journal, Segment
from vsrcli.run.plan import Plan
from vsrcli.run.upscale_job import UpscaleJob

# Bits for a pixel: of x264 at its default quality (measured: 0.05 to 0.3), and of lossless encoders for each bit of a sample.
_LOSSY_BITS, _LOSSLESS_BITS = 0.15, 0.7


class Space:
    """Looks after the room on the disk: says before the work and during it when it will not do, and stops while there is still room to stop in."""

    def __init__(
        self,
        job: UpscaleJob,
        options: UpscaleOptions,
        journal: Journal,
        note: Callable[[str], None],
    ) -> None:
        """Look at it for the first time.

        Args:
            job: of the run.
            options: of the run.
            journal: where its parts are.
            note: called with a line for the user, once.
        """
        self._job, self._journal, self._note = job, journal, note
        self._warned = False
        if not journal.done:
            self._warn(estimated_bytes(job, options))
        self.check()

    def check(self) -> None:
        """Look again.

        Raises:
            OutputError: not even the next segment would find room.
        """
        done = self._journal.done
        self._warn(expected_bytes(self._journal.plan, done))
        if len(done) < len(self._journal.plan):
            check_space(
                self._job,
                self._journal.folder,
                max((segment.size for segment in done.values()), default=0),
                "the next segment",
            )

    def _warn(self, needed: int) -> None:
        free = _free(self._journal.folder)
        if not self._warned and free is not None and free < needed:
            self._warned = True
            self._note(
                f"about {megabytes(needed)} will be needed on the disk of {self._job.target}, {megabytes(free)} are free: make room as it goes"
            )


def check_space(job: UpscaleJob, folder: Path, needed: int, what: str) -> None:
    """Stop while there is still room to stop in.

    Raises:
        OutputError: less than ``needed`` bytes are free.
    """
    free = _free(folder)
    if free is not None and free < needed:
        raise OutputError(
            f"no space left on the disk of {job.target}: {what} needs {megabytes(needed)}, {megabytes(free)} are free: make room, and the same command goes on"
        )


def _free(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def megabytes(size: int) -> str:
    """Bytes as the user reads them."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def estimated_bytes(job: UpscaleJob, options: UpscaleOptions) -> int:
    """About what a run needs on the disk, parts and finished video together, before anything of it is there."""
    video, seconds = (
        job.video,
        float((options.range.end_within(job.info.duration) or 0) - options.range.begin),
    )
    crf = encoder_of(job.encoder.codec).crf
    bits = (
        _LOSSY_BITS * 2 ** ((EncoderOptions().crf - job.encoder.crf) / 6)
        if crf is not None
        else _LOSSLESS_BITS * video.format.bits
    )
    return round(
        2 * seconds * float(video.rate or 25) * video.width * video.height * bits / 8
    )


def expected_bytes(plan: Plan, done: dict[int, Segment]) -> int:
    """What is still needed on the disk, the finished video included, judged by the segments that are there."""
    size, count = sum(segment.size for segment in done.values()), len(done)
    return round(size / count * (2 * len(plan) - count)) if count else 0
