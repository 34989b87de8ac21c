"""``vsr preview``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsrcli.cli.command import Command
from vsrcli.cli.console import (
    log_to_stderr,
    note,
    print_json,
    print_table,
)
from vsrcli.cli.flags import (
    FileName,
    json_summary_flag,
    no_progress_flag,
    option_flags,
    quiet_flag,
    verbose_flag,
)
from vsrcli.cli.progress import progress_bar
from vsrcli.options import PreviewOptions
from vsrcli.wording import plural

if TYPE_CHECKING:
    from vsrcli.preview.preview import PreviewProgress, PreviewReport


@click.command("preview", cls=Command)
@click.argument("source", metavar="IN", type=FileName())
@option_flags(PreviewOptions)
@quiet_flag
@no_progress_flag
@json_summary_flag
@verbose_flag
def command(
    source: Path,
    quiet: bool,
    no_progress: bool,
    as_json: bool,
    verbose: int,
    **values: Any,
) -> None:
    """Show some frames of the video IN, doubled by interpolation and by networks.

    Each is exactly what `vsr upscale` makes of it. The page compares any two of them with a slider,
    and says how long a frame and the whole video would take here.

    \b
    vsr preview in.mp4
    vsr preview in.mp4 -m delta -m lite:clean --frames 6 -o page.html
    vsr preview in.mp4 --at 1:30 --at 12:05 --crop all --png pictures/
    """
    log_to_stderr(0 if quiet else verbose)
    options = PreviewOptions(**values)

    from vsrcli.preview.preview import preview

    with progress_bar(
        source.name,
        "pictures",
        enabled=not (quiet or no_progress),
    ) as show:

        def on_progress(progress: PreviewProgress) -> None:
            show(progress.share, progress.pictures, progress.text)

        report = preview(
            source,
            options,
            on_progress=on_progress,
            on_note=None if quiet else note,
        )
    if as_json:
        print_json(report.as_dict())
    elif not quiet:
        _print(report)


def _print(report: PreviewReport) -> None:
    frames = plural(len(report.times), "frame")
    rows = [[method.name, method.cost, method.film] for method in report.methods]
    print_table(
        f"{report.source}: {frames} at {report.width}x{report.height}",
        ["method", "a frame takes", "the whole video"],
        rows,
    )
    if report.folder is not None:
        note(f"wrote PNG files into {report.folder}")
    note(f"wrote {report.page} in {report.seconds:.1f} s: open it in a browser")
