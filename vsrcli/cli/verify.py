"""``vsr verify``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsrcli.cli.command import Command, Option
from vsrcli.cli.console import (
    log_to_stderr,
    note,
    print_facts,
    print_json,
)
from vsrcli.cli.flags import NUMBER, FileName, no_progress_flag, option_flags
from vsrcli.cli.progress import progress_bar
from vsrcli.options import UpscaleOptions
from vsrcli.options.verify import DEFAULT_THRESHOLD_DB
from vsrcli.wording import plural

if TYPE_CHECKING:
    from vsrcli.verification.verification_report import VerificationReport

# The options of ``vsr upscale`` that say what the output should be.
_OPTIONS = (
    "fps",
    "start",
    "end",
    "duration",
    "audio",
    "deinterlace",
    "bake_rotation",
)


def _upscale_flags(command: Any) -> Any:
    """Decorate a command with the flags of ``_OPTIONS``."""
    command = option_flags(UpscaleOptions)(command)
    unused = set(UpscaleOptions.__dataclass_fields__).difference(_OPTIONS)
    parameters = command.__click_params__
    command.__click_params__ = [
        parameter for parameter in parameters if parameter.name not in unused
    ]
    return command


@click.command("verify", cls=Command)
@click.argument("source", metavar="IN", type=FileName())
@click.argument("target", metavar="OUT", type=FileName())
@_upscale_flags
@click.option(
    "--threshold",
    cls=Option,
    group="Safety",
    type=NUMBER,
    default=DEFAULT_THRESHOLD_DB,
    show_default=True,
    metavar="DB",
    help="PSNR of the halved OUT against IN at which a frame always passes.",
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print everything as JSON on stdout.",
)
@click.option(
    "-q",
    "--quiet",
    is_flag=True,
    help="Print only what fails.",
)
@no_progress_flag
def command(
    source: Path,
    target: Path,
    threshold: float,
    as_json: bool,
    quiet: bool,
    no_progress: bool,
    **values: Any,
) -> None:
    """Check that OUT holds everything of IN, at twice the size.

    It checks the time and the picture of every frame, every copied packet, the offset between sound
    and picture, colours, HDR metadata, rotation, chapters, tags and attachments.

    Give the options that OUT was made with. Without --fps, a file made with `--fps source`
    or at another constant rate passes as well. Each failed check is one line on stderr. The exit
    code is 0 only if all checks pass.

    \b
    vsr verify in.mp4 out.mp4
    vsr verify in.mkv out.mkv --fps source --json
    vsr verify in.mp4 out.mp4 --start 1:30 --end 1:40
    """
    log_to_stderr(0)
    options = UpscaleOptions(**values)

    from vsrcli.verification.verify import verify

    with progress_bar(
        target.name,
        "frames",
        enabled=not (quiet or no_progress),
    ) as show:
        report = verify(
            source,
            target,
            options,
            threshold_db=threshold,
            on_progress=show,
        )
    if as_json:
        print_json(report.as_dict())
    elif not quiet:
        _print_passed(target, report)
    for check in report.failed:
        note(f"{check.name}: {check.text}")
    if not report.ok:
        raise click.exceptions.Exit(1)


def _print_passed(target: Path, report: VerificationReport) -> None:
    checks = report.checks
    passed = [(check.name, check.text) for check in checks if check.passed]
    title = "all checks pass"
    if report.failed:
        failed = len(report.failed)
        verb = "fails" if failed == 1 else "fail"
        title = f"{failed} of {plural(len(checks), 'check')} {verb}; these pass"
    print_facts(f"{target}: {title}", passed)
