"""``vsr demo``."""

from __future__ import annotations

from pathlib import Path

import click

from vsrcli.cli.command import Command
from vsrcli.cli.console import note
from vsrcli.cli.flags import FileName, quiet_flag


@click.command("demo", cls=Command)
@click.argument("target", metavar="OUT.mp4", type=FileName())
@click.option(
    "-y",
    "--overwrite",
    is_flag=True,
    help="Replace OUT.mp4 if it exists.",
)
@quiet_flag
def command(target: Path, overwrite: bool, quiet: bool) -> None:
    """Make a clip of a few seconds to try vsr on: moving texture, text, a cut, and a tone.

    Nothing is downloaded.

    \b
    vsr demo clip.mp4
    """
    from vsrcli.jobs.demo import write_demo

    write_demo(target, overwrite=overwrite)
    if not quiet:
        note(f"{target} is ready; now try: vsr upscale {target} big.mp4 --model lite")
