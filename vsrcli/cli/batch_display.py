"""What a batch shows: which file it is at, and the time that is left for it and for all."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from vsrcli.cli.console import is_recording, note, record
from vsrcli.cli.meter import BatchMeter, Meter
from vsrcli.cli.progress import ShowProgress, progress_bar, show_frames, shown
from vsrcli.cli.run_log import facts
from vsrcli.cli.ticker import Pace
from vsrcli.jobs.batch import BatchItem, BatchObserver, BatchPlan
from vsrcli.pipeline.upscale_report import UpscaleProgress, UpscaleReport
from vsrcli.wording import duration_text, plural, printable


class BatchDisplay(BatchObserver):
    """Shows a batch; a context manager around it.

    Args:
        summarize: describes the result of one file in a line.
        quiet: only errors are printed.
        progress: whether progress is shown.
    """

    def __init__(
        self,
        summarize: Callable[[UpscaleReport], str],
        *,
        quiet: bool,
        progress: bool,
    ) -> None:
        self._summarize = summarize
        self._progress = progress
        self._is_quiet = quiet
        self._say = record if quiet else note
        self._began = time.monotonic()
        self._pace = Pace()
        self._plans: Sequence[BatchPlan] = ()
        self._batch = BatchMeter([])
        self._meter: Meter | None = None
        self._show_checks: ShowProgress | None = None
        # what is on the terminal now
        self._shown = ExitStack()

    def __enter__(self) -> BatchDisplay:
        return self

    def __exit__(self, *error: object) -> None:
        self._shown.close()

    @property
    def is_silent(self) -> bool:
        """See ``BatchObserver``."""
        return self._is_quiet and not is_recording()

    def note(self, line: str) -> None:
        """See ``BatchObserver``."""
        self._say(line)

    def checked(self, count: int, total: int) -> None:
        """See ``BatchObserver``."""
        if count == 1:
            bar = progress_bar("checking", "files", enabled=self._progress)
            self._show_checks = self._shown.enter_context(bar)
        if self._show_checks is not None:
            self._show_checks(count / total, count, total=total)

    def planned(self, plans: Sequence[BatchPlan]) -> None:
        """See ``BatchObserver``."""
        self._shown.close()
        self._plans = plans
        self._batch = BatchMeter([plan.weight for plan in plans])
        wrong = [plan for plan in plans if plan.error is not None]
        for plan in wrong:
            note(f"error: {plan.error}")
        if wrong and len(wrong) < len(plans):
            rest = sum(plan.checked is not None for plan in plans)
            verb = "is" if rest == 1 else "are"
            self.note(
                f"{len(wrong)} of {plural(len(plans), 'file')} cannot be upscaled; "
                f"{rest} {verb} upscaled now"
            )

    def begin(self, index: int) -> None:
        """See ``BatchObserver``."""
        self._batch.begin(index)
        plan = self._plans[index]
        if plan.checked is None:
            return
        name = printable(plan.source.name)
        place = index + 1, len(self._plans)
        batch = self._batch if len(self._plans) > 1 else None
        self._meter = Meter(name, "frames", place=place, batch=batch)
        self._shown.enter_context(
            shown(self._meter, self._pace, enabled=self._progress)
        )

    def progress(self, progress: UpscaleProgress) -> None:
        """See ``BatchObserver``."""
        if self._meter is not None:
            show_frames(self._meter.update, progress)

    def end(self, item: BatchItem) -> None:
        """See ``BatchObserver``."""
        self._shown.close()
        self._batch.end(self._meter)
        if item.error is not None:
            if self._meter is not None:  # else it was said before
                note(f"error: {item.error}")
        elif item.report is None:
            self.note(f"{item.target}: skipped, it already exists")
        else:
            record(facts(item.report))
            self.note(f"{item.target}: {self._summarize(item.report)}")
        self._meter = None

    def sum_up(self, items: Sequence[BatchItem]) -> None:
        """Say how it went."""
        failed = [item for item in items if item.error is not None]
        skipped = sum(item.is_skipped for item in items)
        done = len(items) - len(failed) - skipped
        seconds = time.monotonic() - self._began
        line = (
            f"{done} done, {skipped} skipped, {len(failed)} failed, "
            f"in {duration_text(seconds)}"
        )
        names = ", ".join(str(item.source) for item in failed)
        self.note(f"{line}: {names}" if failed else line)
