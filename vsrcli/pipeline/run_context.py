"""One run: what was decided, what is counted, and who is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vsrcli.options import UpscaleOptions
from vsrcli.pipeline.upscale_report import UpscaleProgress, UpscaleReport
from vsrcli.preflight.run_plan import RunPlan
from vsrcli.preflight.upscale_job import UpscaleJob


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
    """

    job: UpscaleJob
    options: UpscaleOptions
    plan: RunPlan
    report: UpscaleReport
    on_progress: Callable[[UpscaleProgress], None] | None = None
    on_note: Callable[[str], None] | None = None

    def note(self, line: str) -> None:
        """Tell the user something, now and in the report."""
        self.report.notes.append(line)
        if self.on_note is not None:
            self.on_note(line)

    def show_progress(self, share: float | None) -> None:
        """Tell how far the run is: the share of its time range that is done, 0..1."""
        if self.on_progress is not None:
            self.on_progress(
                UpscaleProgress(
                    share,
                    self.report.frames_upscaled,
                    self.report.frames_out,
                )
            )
