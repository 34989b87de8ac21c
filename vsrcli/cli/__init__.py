"""The command ``vsr``: its subcommands, and the one place where errors become a line and an exit code.

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted (143 when terminated).
"""

from __future__ import annotations

import io
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

_PATIENT_INTERRUPTS = 2

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


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
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
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(
                errors="backslashreplace"
            )  # names of files may be no text at all
    for number, handler in (
        (signal.SIGINT, _interrupt),
        (signal.SIGTERM, _terminate),
        (signal.SIGHUP, _terminate),
    ):
        if (
            signal.getsignal(number) != signal.SIG_IGN
        ):  # as nohup, and shells for what runs in the background, set it
            signal.signal(number, handler)
    sys.exit(_run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    try:
        status = group.main(args=arguments, prog_name="vsr", standalone_mode=False)
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
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "av":
            raise
        # only what reads or writes video files imports it: a machine for training may have none
        note(
            f"error: PyAV, which reads and writes video, cannot be loaded ({error}): pip install av"
        )
        return 1
    except MemoryError:
        note(
            "error: the machine has no memory left: try --tile 256, or end other programs; what is finished is kept"
        )
        return 1
    except BrokenPipeError:
        # whoever read our output has gone; keep the interpreter from failing again at its last flush
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (KeyboardInterrupt, click.Abort):
        note("interrupted")
        return 130
    return (
        status if isinstance(status, int) else 0
    )  # click hands on what ``Exit`` was raised with


_interrupts = 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    """The first Ctrl-C ends the work in order, the second is told to wait, the third ends at once."""
    global _interrupts
    _interrupts += 1
    if _interrupts == 1:
        raise KeyboardInterrupt
    if _interrupts > _PATIENT_INTERRUPTS:
        os._exit(128 + number)
    note("cleaning up; once more ends at once")


def _terminate(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # it is being done
    raise SystemExit(128 + number)
