"""The progress bar: a line for the work, and one for all of a batch, within any width."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vsrcli.cli.meter import Meter

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

_MIN_BAR = 6
_MAX_BAR = 40
_MIN_TITLE = 8
_GAP = "  "
# What changes its width from moment to moment has room to do so.
_RATE_COLUMNS = 12
_LEFT_COLUMNS = 13
_DOTS = "..."
_REFRESHES_PER_SECOND = 4


@contextmanager
def live_bar(meter: Meter, stderr: Console) -> Iterator[None]:
    """Show a meter at the bottom of a terminal; what else is printed there goes above it."""
    from rich.live import Live

    with Live(
        _Bars(meter),
        console=stderr,
        transient=True,
        redirect_stdout=False,
        refresh_per_second=_REFRESHES_PER_SECOND,
    ):
        yield


@dataclass(frozen=True, slots=True)
class Layout:
    """The parts of a line.

    Attributes:
        title: at its beginning, as wide as it is to be.
        bar: width of the bar, columns; 0 for none.
        text: after it.
    """

    title: str
    bar: int
    text: str


def lay_out(meter: Meter, width: int) -> list[Layout]:
    """Lay out the lines of a meter; what has no place is left out, the time that is left last.

    Args:
        meter: tells how far the work is.
        width: of a line at most, columns.

    Returns:
        The line of the work and, of one in a batch, that of all.
    """
    phrases = [_percent(meter.share)]
    if meter.has_begun:
        phrases += [meter.counts(), meter.rate().ljust(_RATE_COLUMNS)]
    left = meter.left().ljust(_LEFT_COLUMNS)
    room = width - _MIN_TITLE - _MIN_BAR - 3
    text = _fitting(phrases, left, "" if meter.is_finishing else meter.text, room)
    room = width - len(text) - 3
    bar = min(_MAX_BAR, max(_MIN_BAR, room - _cells(meter.title)))
    title = _clipped(meter.title, room - bar)
    lines = [Layout(title, bar, text)]
    batch = meter.batch
    if batch is not None:
        phrases = [_percent(batch.share(meter))]
        room = width - _cells(title) - bar - 3
        of_all = _fitting(phrases, batch.left(meter), batch.unknown_text(), room)
        lines.append(Layout(_padded("all", _cells(title)), bar, of_all))
    return lines


class _Bars:
    """The lines, as rich draws them."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def __rich_console__(
        self, stderr: Console, options: ConsoleOptions
    ) -> RenderResult:
        from rich.progress_bar import ProgressBar
        from rich.segment import Segment

        meter = self._meter
        # the last column stays free: some terminals go to the next line after it
        lines = lay_out(meter, options.max_width - 1)
        shares = [meter.share]
        if meter.batch is not None:
            shares.append(meter.batch.share(meter))
        for line, share in zip(lines, shares, strict=True):
            bar = ProgressBar(
                total=None if share is None else 1.0,
                completed=share or 0.0,
                width=line.bar,
                pulse=share is None,
            )
            yield Segment(line.title + " ")
            yield bar
            yield Segment(_GAP + line.text)
            yield Segment.line()


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:5.1f}%"


def _fitting(phrases: list[str], left: str, more: str, width: int) -> str:
    """As many phrases as there is room for, how much time is left, and at last more."""
    kept = [phrase for phrase in phrases if phrase]
    while True:
        text = _GAP.join([*kept, left])
        if len(text) <= width or len(kept) < 2:
            break
        kept.pop()
    longer = _GAP.join([text, more])
    return longer if more and len(longer) <= width else text


def _clipped(title: str, width: int) -> str:
    width = max(_MIN_TITLE, width)
    if _cells(title) <= width:
        return title
    from rich.cells import set_cell_size

    return set_cell_size(title, width - len(_DOTS)) + _DOTS


def _padded(title: str, width: int) -> str:
    return title.ljust(width)[: max(width, len(title))]


def _cells(text: str) -> int:
    """Columns of a text: letters of some scripts take two."""
    from rich.cells import cell_len

    return cell_len(text)
