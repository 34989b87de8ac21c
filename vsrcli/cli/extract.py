"""``vsr extract``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from vsrcli.cli.command import Command
from vsrcli.cli.console import (
    log_to_stderr,
    note,
    print_json,
)
from vsrcli.cli.flags import (
    FileName,
    json_summary_flag,
    no_progress_flag,
    option_flags,
    quiet_flag,
)
from vsrcli.cli.progress import progress_bar
from vsrcli.options import ExtractOptions
from vsrcli.wording import plural


@click.command("extract", cls=Command)
@click.argument("source", metavar="IN", type=FileName())
@click.argument("target", metavar="DIR", type=FileName())
@option_flags(ExtractOptions)
@quiet_flag
@no_progress_flag
@json_summary_flag
def command(
    source: Path,
    target: Path,
    quiet: bool,
    no_progress: bool,
    as_json: bool,
    **values: Any,
) -> None:
    """Write every frame of the video IN as a picture in DIR, numbered from 1.

    Colours are converted to RGB by the matrix and range that IN is tagged with, or that players
    assume; `vsr assemble` converts them back. All pictures appear in DIR, or none.

    \b
    vsr extract in.mp4 frames
    vsr extract in.mp4 frames --pattern shot_%04d.tif --start 1:30 --end 1:40
    """
    log_to_stderr(0)
    options = ExtractOptions(**values)

    from vsrcli.jobs.extract import extract

    with progress_bar(
        source.name,
        "frames",
        enabled=not (quiet or no_progress),
    ) as show:
        report = extract(
            source,
            target,
            options,
            on_progress=show,
            on_note=None if quiet else note,
        )
    if as_json:
        print_json(asdict(report))
    elif not quiet:
        pictures = plural(report.frames, "picture")
        note(
            f"{target}: {pictures} of {report.width}x{report.height}, "
            f"{report.bits} bits, in {report.seconds:.1f} s"
        )
