"""One run: what was decided, what is counted, and who is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from vsrcli.options import UpscaleOptions
from vsrcli.pipeline.upscale_report import UpscaleProgress, UpscaleReport
from vsrcli.preflight.run_plan import RunPlan
from vsrcli.preflight.upscale_job import UpscaleJob
from vsrcli.preflight.workload import measure_workload


@dataclass(slots=True)
class WorkDone:
    """What the network had to compute.

    Attributes:
        frames: see ``UpscaleProgress.work``.
    """

    frames: float = 0.0


@dataclass(frozen=True, slots=True)
class RunContext:
    """What all stages of a run share.

    Attributes:
        job: what was decided before the work.
        options: as the user gave them, with the model that was chosen.
        plan: the segments.
        report: times and counts are added to it, and lines for the user.
        on_progress: called in the caller's thread after each frame.
        on_note: called with each line for the user.
        work: what the network had to compute is added to it.
        share_at: the share of the run that is done, by the place in its time range that a pass has
            come to, both 0..1; None: the same.
    """

    job: UpscaleJob
    options: UpscaleOptions
    plan: RunPlan
    report: UpscaleReport
    on_progress: Callable[[UpscaleProgress], None] | None = None
    on_note: Callable[[str], None] | None = None
    work: WorkDone = field(default_factory=WorkDone)
    share_at: Callable[[float], float] | None = None

    def note(self, line: str) -> None:
        """Tell the user something, now and in the report."""
        self.report.notes.append(line)
        if self.on_note is not None:
            self.on_note(line)

    def show_progress(self, share: float | None) -> None:
        """Tell how far the run is: the place in its time range that it has come to, 0..1."""
        self._tell(share, None)

    def show_verification(self, share: float | None) -> None:
        """Tell how far the verification of the complete output is, 0..1."""
        self._tell(1.0, share)

    def _tell(self, share: float | None, verified: float | None) -> None:
        if self.on_progress is None:
            return
        if share is not None and self.share_at is not None:
            share = self.share_at(share)
        report = self.report
        expected = None
        info = self.job.info
        workload = measure_workload(info, self.options) if info.rate else None
        if workload is not None and share is not None:
            rest = round((1 - share) * workload.frames)
            expected = report.frames_upscaled + rest
        progress = UpscaleProgress(
            share=share,
            frames_upscaled=report.frames_upscaled,
            frames_out=report.frames_out,
            frames_expected=expected,
            work=self.work.frames,
            verified=verified,
        )
        self.on_progress(progress)
