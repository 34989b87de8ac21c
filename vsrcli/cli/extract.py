"""``vsr extract``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from vsrcli.cli.console import log_to_stderr, note, print_json, progress_bar, stderr
from vsrcli.cli.flags import option_flags
from vsrcli.options import ExtractOptions


@click.command(
    "extract", short_help="Write the frames of a video as numbered pictures."
)
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("target", metavar="DIR", type=click.Path(path_type=Path))
@option_flags(ExtractOptions)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
@click.option("--no-progress", is_flag=True, help="Show no progress bar.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print a summary of the run as JSON on stdout.",
)
def command(
    source: Path,
    target: Path,
    quiet: bool,
    no_progress: bool,
    as_json: bool,
    **values: Any,
) -> None:
    """Write every frame of the video IN as a picture in DIR, numbered from 1.

    Colours become RGB by the matrix and range that IN says, or that players assume; `vsr assemble` brings them back. DIR holds all pictures or none.

    \b
    vsr extract in.mp4 frames
    vsr extract in.mp4 frames --pattern shot_%04d.tif --start 1:30 --end 1:40
    """
    log_to_stderr(0)
    options = ExtractOptions(**values)

    from vsrcli.run.extract import extract

    with progress_bar(
        source.name, "frames", enabled=not (quiet or no_progress)
    ) as show:
        report = extract(
            source,
            target,
            options,
            on_progress=lambda share, frames: show(share, frames, f"{frames} frames"),
            on_note=None if quiet else note,
        )
    if as_json:
        print_json(asdict(report))
    elif not quiet:
        stderr().print(
            f"vsr: {target}: {report.frames} pictures of {report.width}x{report.height}, {report.bits} bits, in {report.seconds:.1f} s",
            markup=False,
        )
