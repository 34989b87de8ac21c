"""Ctrl-C and the other signals that end a command.

The first Ctrl-C ends the work in order, the second asks to wait, the third ends at once.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

from vsrcli.cli.console import note

_Handler = Callable[[int, FrameType | None], None]

# One Ctrl-C ends the work in order, and one more is answered with a request to wait.
_MAX_INTERRUPTS = 2
_RETRY_SECONDS = 0.05
_STANDARD_ERROR = 2
_CURSOR = b"\x1b[?25h\n"

_interrupts = 0
_other_hook = sys.unraisablehook


def install() -> None:
    """Turn signals into exceptions in the main thread, which the work ends in order for."""
    global _interrupts, _other_hook
    _interrupts = 0
    _other_hook = sys.unraisablehook
    sys.unraisablehook = _report_unraisable
    _handle(signal.SIGINT, _interrupt)
    _handle(signal.SIGTERM, _terminate)
    _handle(signal.SIGHUP, _terminate)


def was_interrupted() -> bool:
    """Whether Ctrl-C came; an error after it is one of its consequences."""
    return bool(_interrupts)


def ignore() -> None:
    """Let the process end undisturbed, once its exit code is known."""
    sys.unraisablehook = _other_hook
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        _handle(number, _do_nothing)


def _do_nothing(number: int, frame: FrameType | None) -> None:
    pass


def _handle(number: signal.Signals, handler: _Handler) -> None:
    """Set a handler, unless the signal is ignored: by nohup, or in a shell's background job."""
    if signal.getsignal(number) != signal.SIG_IGN:
        signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    global _interrupts
    _interrupts += 1
    if _interrupts == 1:
        raise KeyboardInterrupt
    if _interrupts > _MAX_INTERRUPTS:
        _show_cursor()
        os._exit(128 + number)
    note("cleaning up; interrupt again to stop at once")


def _show_cursor() -> None:
    """Give the terminal its cursor back, which a progress bar hides, and a line of its own."""
    with suppress(OSError):
        if os.isatty(_STANDARD_ERROR):
            os.write(_STANDARD_ERROR, _CURSOR)


def _terminate(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # the work is already ending
    raise SystemExit(128 + number)


def _report_unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    """Repeat a Ctrl-C that came where Python passes no exception on, such as in a destructor."""
    if unraisable.exc_type is not KeyboardInterrupt:
        _other_hook(unraisable)
        return
    again = threading.Timer(_RETRY_SECONDS, _interrupt_again)
    again.daemon = True
    again.start()


def _interrupt_again() -> None:
    global _interrupts
    _interrupts = 0
    main_thread = threading.main_thread().ident
    if main_thread is not None:
        # unlike ``interrupt_main``, it also ends a wait of the system
        signal.pthread_kill(main_thread, signal.SIGINT)
