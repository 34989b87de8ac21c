"""Progress on stderr: a bar on a terminal, a line a minute elsewhere; and lines in a log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Protocol

from vsrcli.cli import console
from vsrcli.cli.bar import live_bar
from vsrcli.cli.meter import Meter
from vsrcli.cli.ticker import Pace, Ticker
from vsrcli.wording import printable

if TYPE_CHECKING:
    from vsrcli.pipeline.upscale_report import UpscaleProgress


class ShowProgress(Protocol):
    """Takes reports of progress; see ``Meter.update``."""

    def __call__(
        self,
        share: float | None,
        count: int,
        text: str = "",
        *,
        total: int | None = None,
        work: float | None = None,
    ) -> None:
        """Take a report."""
        ...


@contextmanager
def progress_bar(
    title: str,
    unit: str,
    *,
    enabled: bool,
    place: tuple[int, int] | None = None,
) -> Iterator[ShowProgress]:
    """Show progress on stderr: a bar on a terminal, elsewhere a line a minute.

    Args:
        title: shown before the bar.
        unit: of what is counted, in the plural.
        enabled: whether to show anything; a log gets its lines either way.
        place: which this is of how many, from 1; None if there are no others.

    Yields:
        A function that takes reports.
    """
    meter = Meter(printable(title), unit, place=place)
    with shown(meter, Pace(), enabled=enabled):
        yield meter.update


@contextmanager
def shown(meter: Meter, pace: Pace, *, enabled: bool) -> Iterator[None]:
    """Show a meter while it runs.

    Args:
        meter: tells how far the work is.
        pace: when lines are due.
        enabled: whether to show anything on stderr; a log gets its lines either way.
    """
    stderr = console.stderr()
    has_bar = enabled and stderr.is_terminal and not stderr.is_dumb_terminal
    has_lines = enabled and not has_bar
    say = console.note if has_lines else console.record
    is_told_of_beginning = False

    def tell() -> bool:
        nonlocal is_told_of_beginning
        if meter.has_begun:
            say(meter.sentence())
            return True
        if not is_told_of_beginning:
            say(f"{meter.title}: preparing")
            is_told_of_beginning = True
        return False

    with ExitStack() as stack:
        if has_lines or console.is_recording():
            stack.enter_context(Ticker(pace, tell))
        if has_bar:
            stack.enter_context(live_bar(meter, stderr))
        yield


def show_frames(show: ShowProgress, progress: UpscaleProgress) -> None:
    """Report the progress of an upscaled video."""
    verified = progress.verified
    show(
        progress.share,
        progress.frames_upscaled,
        "" if verified is None else f"verifying {100 * verified:.0f}%",
        total=progress.frames_expected,
        work=progress.work,
    )
