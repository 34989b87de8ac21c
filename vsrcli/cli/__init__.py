"""The command ``vsr``: its subcommands, and the one place that turns errors into exit codes.

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted (143 when terminated).
"""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from types import FrameType

import click

from vsrcli._version import __version__
from vsrcli.cli.console import note
from vsrcli.errors import OptionError, VsrError
from vsrcli.paths import reason_of

# Commands and their summaries. Each is `command` in the module of its name in this package.
COMMANDS: dict[str, str] = {
    "upscale": "Double the resolution of a video.",
    "verify": "Check an upscaled video against its source.",
    "extract": "Write the frames of a video as numbered pictures.",
    "assemble": "Make a video from numbered pictures.",
    "info": "Show what vsr sees in a video.",
    "models": "List the networks and their weights.",
    "demo": "Make a short test clip.",
    "bench": "Score networks or results against ground truth.",
    "train": "Train a network on your own footage.",
    "export": "Write a network as an ONNX file.",
}

# One Ctrl-C ends the work in order, and one more is answered with a request to wait.
_MAX_INTERRUPTS = 2


class _Commands(click.Group):
    """The subcommands of ``COMMANDS``; a command's module is imported only to run it.

    Each module brings in libraries that take longer to import than ``vsr --help`` may take.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"vsrcli.cli.{cmd_name}")
        command: click.Command = module.command
        command.short_help = COMMANDS[cmd_name]
        return command

    def format_commands(
        self,
        ctx: click.Context,
        formatter: click.HelpFormatter,
    ) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=_Commands,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 120,
    },
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
        arguments: as after ``vsr``; those of the process if None.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # file names need not be valid text
            stream.reconfigure(errors="backslashreplace")
    _handle_signal(signal.SIGINT, _interrupt)
    _handle_signal(signal.SIGTERM, _terminate)
    _handle_signal(signal.SIGHUP, _terminate)
    sys.exit(_run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    """Run the command line; returns the exit code."""
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
        missing = (error.name or "").partition(".")[0]
        if missing != "av":
            raise
        # only what reads or writes video files imports it: a machine for training may lack it
        note(
            "error: PyAV, which reads and writes video, "
            f"cannot be loaded ({error}): pip install av"
        )
        return 1
    except MemoryError:
        note(
            "error: the machine has no memory left: try --tile 256, or end other programs; "
            "finished work is kept"
        )
        return 1
    except BrokenPipeError:
        # whoever read the output is gone; keep the interpreter's last flush from failing again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        # where nothing says more, the system does
        name = "" if error.filename is None else f"{error.filename}: "
        note(f"error: {name}{reason_of(error)}")
        return 1
    except (KeyboardInterrupt, click.Abort):
        note("interrupted")
        return 130
    # click returns what ``Exit`` was raised with, or what the command returned
    return status if isinstance(status, int) else 0


_Handler = Callable[[int, FrameType | None], None]


def _handle_signal(number: signal.Signals, handler: _Handler) -> None:
    """Set a handler, unless the signal is ignored: by nohup, or in a shell's background job."""
    if signal.getsignal(number) != signal.SIG_IGN:
        signal.signal(number, handler)


_interrupts = 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    """The first Ctrl-C ends the work in order, the second asks to wait, the third ends at once."""
    global _interrupts
    _interrupts += 1
    if _interrupts == 1:
        raise KeyboardInterrupt
    if _interrupts > _MAX_INTERRUPTS:
        os._exit(128 + number)
    note("cleaning up; once more ends at once")


def _terminate(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # the work is already ending
    raise SystemExit(128 + number)
