"""The command ``vsr``: its subcommands, and the one place where errors become a line and an exit code.

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted (143 when terminated).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from types import FrameType

import click

from vsrcli._version import __version__
from vsrcli.cli.console import note
from vsrcli.errors import OptionError, VsrError

COMMANDS: dict[str, str] = {
    "upscale": "vsrcli.cli.upscale",
    "verify": "vsrcli.cli.verify",
    "extract": "vsrcli.cli.extract",
    "assemble": "vsrcli.cli.assemble",
    "info": "vsrcli.cli.info",
    "models": "vsrcli.cli.models",
    "demo": "vsrcli.cli.demo",
    "bench": "vsrcli.cli.bench",
    "train": "vsrcli.cli.train",
    "export": "vsrcli.cli.export",
}


class _Commands(click.Group):
    """The subcommands of ``COMMANDS``; a command's module is imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(COMMANDS[cmd_name]).command
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, "-V", "--version", prog_name="vsr")
def group() -> None:
    """Double the resolution of videos with small networks that look at five frames at once.

    \b
    vsr demo clip.mp4                 make a short test clip
    vsr upscale clip.mp4 big.mp4      double its size
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit the process.

    Args:
        arguments: as after ``vsr``; those of the process where None.
    """
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(_run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    try:
        group.main(args=arguments, prog_name="vsr", standalone_mode=False)
    except click.UsageError as error:
        error.show()
        return 2
    except click.ClickException as error:
        error.show()
        return 1
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except OptionError as error:
        note(f"error: {error}")
        return 2
    except VsrError as error:
        note(f"error: {error}")
        return 1
    except BrokenPipeError:
        # whoever read our output has gone; keep the interpreter from failing again at its last flush
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (KeyboardInterrupt, click.Abort):
        note("interrupted")
        return 130
    return 0


def _terminate(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
