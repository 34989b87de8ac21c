"""``vsr assemble``."""

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
    with_encoder,
)
from vsrcli.cli.progress import progress_bar
from vsrcli.errors import OptionError
from vsrcli.options import AssembleOptions, EncoderOptions
from vsrcli.wording import plural


@click.command("assemble", cls=Command)
@click.argument("source", metavar="DIR", type=FileName())
@click.argument("target", metavar="OUT", type=FileName())
@option_flags(AssembleOptions, EncoderOptions)
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
    """Make the video OUT from the numbered pictures (PNG, TIFF, ...) in DIR.

    A gap in the numbering is an error.

    \b
    vsr assemble frames out.mp4
    vsr assemble frames out.mkv --fps 24000/1001 --audio-from in.mp4 --codec ffv1
    """
    log_to_stderr(0)
    options = with_encoder(AssembleOptions, values)
    if str(target) == "-" and as_json:
        raise OptionError(
            "the video goes to standard output: --json needs an output that is a file"
        )

    from vsrcli.jobs.assemble import assemble

    with progress_bar(
        source.name,
        "pictures",
        enabled=not (quiet or no_progress),
    ) as show:
        report = assemble(
            source,
            target,
            options,
            on_progress=show,
            on_note=None if quiet else note,
        )
    if as_json:
        print_json(asdict(report))
    elif not quiet:
        frames = plural(report.frames, "frame")
        note(
            f"{target}: {frames} of {report.width}x{report.height}, "
            f"{report.codec} {report.pixel_format}, in {report.seconds:.1f} s"
        )
