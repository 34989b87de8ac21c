"""The command ``vsr``: its subcommands, and the one place that turns errors into exit codes.

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted (143 when terminated).
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module

import click

from vsrcli._version import __version__
from vsrcli.cli import signals
from vsrcli.cli.command import settings_options
from vsrcli.cli.console import note
from vsrcli.cli.hints import no_command, usage_text
from vsrcli.errors import OptionError, OutputError, VsrError
from vsrcli.paths import reason_of

# Commands and their summaries. Each is `command` in the module of its name in this package.
COMMANDS: dict[str, str] = {
    "upscale": "Double the resolution of a video.",
    "preview": "Show some frames of a video, interpolated and upscaled.",
    "verify": "Check an upscaled video against its source.",
    "extract": "Write the frames of a video as numbered pictures.",
    "assemble": "Make a video from numbered pictures.",
    "info": "Show what vsr sees in a video.",
    "models": "List the networks and their weights.",
    "config": "Show your own defaults, and where each comes from.",
    "demo": "Make a short test clip.",
    "bench": "Score networks or results against ground truth.",
    "train": "Train a network on your own footage.",
    "export": "Write a network as an ONNX file.",
}


_FAILED = 1
_WRONG_USAGE = 2
_INTERRUPTED = 130

_STANDARD_OUTPUT = 1
_STANDARD_ERROR = 2


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

    def resolve_command(
        self,
        ctx: click.Context,
        args: list[str],
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        is_option = name.startswith("-") and name != "-"
        if name not in COMMANDS and not is_option and not ctx.resilient_parsing:
            raise click.UsageError(no_command(args, COMMANDS), ctx)
        return super().resolve_command(ctx, args)

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


group.params += settings_options(is_hidden=False)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit the process.

    Args:
        arguments: as after ``vsr``; those of the process if None.
    """
    _open_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # file names need not be valid text
            stream.reconfigure(errors="backslashreplace")
    try:
        signals.install()
        status = _run(arguments)
    except KeyboardInterrupt:  # between two lines of what handles it
        status = _note_interruption()
    finally:
        signals.ignore()
    sys.exit(status)


def _open_standard_streams() -> None:
    """Open what the caller has closed, lest the next file that is opened take its place.

    What is written there is lost; but standard output, where the video may go, refuses it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            mode = os.O_WRONLY if number == _STANDARD_ERROR else os.O_RDONLY
            os.open(os.devnull, mode)  # takes the lowest number that is free
    if sys.stdout is None:
        sys.stdout = os.fdopen(_STANDARD_OUTPUT, "w")
    if sys.stderr is None:
        sys.stderr = os.fdopen(_STANDARD_ERROR, "w")


def _run(arguments: Sequence[str] | None) -> int:
    """Run the command line; returns the exit code."""
    try:
        status = group.main(args=arguments, prog_name="vsr", standalone_mode=False)
        _flush()
    except (KeyboardInterrupt, click.Abort):
        return _note_interruption()
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except Exception as error:
        # what a library makes of Ctrl-C, in the middle of its import for example
        if signals.was_interrupted():
            return _note_interruption()
        return _explain(error)
    # click returns what ``Exit`` was raised with, or what the command returned
    return status if isinstance(status, int) else 0


def _flush() -> None:
    """Write what is left of the results.

    Raises:
        OutputError: standard output takes nothing.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _discard_output()
        raise OutputError(
            f"standard output cannot be written: {reason_of(error)}"
        ) from error


def _discard_output() -> None:
    """Let the interpreter's last flush go nowhere, lest it fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _note_interruption() -> int:
    note("interrupted")
    return _INTERRUPTED


def _explain(error: Exception) -> int:
    """Print an error in one line; returns the exit code.

    Raises:
        Exception: the error, if it is a fault of the program.
    """
    if isinstance(error, click.ClickException):
        _show_click_error(error)
        return _WRONG_USAGE if isinstance(error, click.UsageError) else _FAILED
    if isinstance(error, BrokenPipeError):
        _discard_output()  # whoever read it is gone
        return _FAILED
    if isinstance(error, OSError) and error.filename is None:
        try:
            _flush()
        except OutputError as refusal:
            error = refusal
    text = _message(error)
    if text is None:
        raise error
    note(f"error: {text}")
    return _WRONG_USAGE if isinstance(error, OptionError) else _FAILED


def _show_click_error(error: click.ClickException) -> None:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        sys.stderr.write(f"{error.format_message()}\n")
    elif isinstance(error, click.UsageError):
        note(f"error: {usage_text(error)}")
    else:
        note(f"error: {error.format_message()}")


def _message(error: Exception) -> str | None:
    """What the user is told of an error; None for a fault of the program."""
    if isinstance(error, VsrError):
        return str(error)
    if isinstance(error, MemoryError):
        return (
            "the machine has no memory left: try --tile 256, or end other programs; "
            "finished work is kept"
        )
    if isinstance(error, OSError):
        # where nothing says more, the system does
        name = "" if error.filename is None else f"{error.filename}: "
        return f"{name}{reason_of(error)}"
    if isinstance(error, ImportError) and (error.name or "").partition(".")[0] == "av":
        # only what reads or writes video files imports it: a machine for training may lack it
        return f"PyAV, which reads and writes video, cannot be loaded ({error}): pip install av"
    return None
