"""Ctrl-C and SIGTERM between steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Defers Ctrl-C and SIGTERM to the end of the current step, so that only whole steps are saved.

    A second signal is not deferred. Outside a step both signals work as they did before.

    Attributes:
        is_step_broken: whether a signal came through in the middle of a step. The half step must
            not be saved.
    """

    def __init__(self) -> None:
        self.is_step_broken = False
        self._is_deferring = False
        self._deferred: tuple[int, FrameType | None] | None = None
        self._previous_handlers: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        # Python lets only the main thread set handlers
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                previous = signal.signal(number, self._handle)
                self._previous_handlers[number] = previous
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous_handlers.items():
            signal.signal(number, handler)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Surround a step with this: a signal that arrives meanwhile is raised at its end."""
        self._is_deferring = True
        try:
            yield
        finally:
            self._is_deferring = False
        if self._deferred is not None:
            self._pass_on(*self._deferred)

    def _handle(
        self,
        number: int,
        frame: FrameType | None,
    ) -> None:
        if self._is_deferring and self._deferred is None:
            self._deferred = (number, frame)
            return
        self.is_step_broken = self._is_deferring
        self._pass_on(number, frame)

    def _pass_on(
        self,
        number: int,
        frame: FrameType | None,
    ) -> None:
        """Do what the signal did before."""
        previous = self._previous_handlers[number]
        if callable(previous):
            previous(number, frame)
            return
        if previous == signal.SIG_DFL:
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            raise SystemExit(128 + number)
