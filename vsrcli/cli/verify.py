"""``vsr verify``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from vsrcli.cli.console import (
    log_to_stderr,
    note,
    print_facts,
    print_json,
    progress_bar,
)
from vsrcli.cli.flags import option_flags
from vsrcli.options import UpscaleOptions
from vsrcli.quality.agreement import DEFAULT_THRESHOLD_DB

_NAMES = ("fps", "start", "end", "audio", "deinterlace", "bake_rotation")


def _some_flags(command: Any) -> Any:
    """The flags of ``vsr upscale`` that say what the output should be."""
    command = option_flags(UpscaleOptions)(command)
    command.__click_params__ = [
        parameter
        for parameter in command.__click_params__
        if parameter.name in _NAMES or parameter.name not in _ALL
    ]
    return command


_ALL = set(UpscaleOptions.__dataclass_fields__)


@click.command("verify", short_help="Check an upscaled video against its source.")
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
@_some_flags
@click.option(
    "--threshold", type=float, default=DEFAULT_THRESHOLD_DB, show_default=True, metavar="DB",
    help="PSNR of the halved OUT against IN that is always close enough.",
)  # fmt: skip
@click.option(
    "--json", "as_json", is_flag=True, help="Print everything as JSON on stdout."
)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but what fails.")
@click.option("--no-progress", is_flag=True, help="Show no progress bar.")
def command(
    source: Path,
    target: Path,
    threshold: float,
    as_json: bool,
    quiet: bool,
    no_progress: bool,
    **values: Any,
) -> None:
    """Check that OUT holds everything of IN, at twice the size: every frame at its time and showing the right picture, every copied packet, the offset
    between sound and picture, colours, HDR metadata, rotation, chapters, tags, attachments.

    Give the options that OUT was made with. Without --fps, `--fps source` and OUT's own constant rate pass as well. The exit code is 0 only when all holds;
    each check that does not is one line on stderr.

    \b
    vsr verify in.mp4 out.mp4
    vsr verify in.mkv out.mkv --fps source --json
    vsr verify in.mp4 out.mp4 --start 1:30 --end 1:40
    """
    log_to_stderr(0)
    options = UpscaleOptions(**values)
    fps_given = (
        click.get_current_context().get_parameter_source("fps")
        is not ParameterSource.DEFAULT
    )

    from vsrcli.run.verify import verify

    with progress_bar(
        target.name, "frames", enabled=not (quiet or no_progress)
    ) as show:
        certificate = verify(
            source,
            target,
            options,
            fps_given=fps_given,
            threshold_db=threshold,
            on_progress=lambda share, frames: show(share, frames, f"{frames} frames"),
        )
    if as_json:
        print_json(certificate.as_dict())
    elif not quiet:
        title = (
            "everything holds"
            if certificate.ok
            else f"{len(certificate.failed)} of {len(certificate.checks)} checks fail; these hold"
        )
        print_facts(
            f"{target}: {title}",
            [(check.name, check.text) for check in certificate.checks if check.passed],
        )
    for check in certificate.failed:
        note(f"{check.name}: {check.text}")
    if not certificate.ok:
        raise click.exceptions.Exit(1)
