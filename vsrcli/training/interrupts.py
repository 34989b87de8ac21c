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
    """Holds Ctrl-C and SIGTERM back until the step at work is done, so that what is saved then is a whole step.

    A second one is not held back. Outside of a step both do what they did before.

    Attributes:
        is_step_broken: whether one came through in the middle of a step, whose half must not be saved.
    """

    def __init__(self) -> None:
        self.is_step_broken = False
        self._is_held = False
        self._waiting: tuple[int, FrameType | None] | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            self._before = {
                number: signal.signal(number, self._note) for number in _SIGNALS
            }
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """A step: what comes meanwhile is raised at its end."""
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False
        if self._waiting is not None:
            self._pass_on(*self._waiting)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._is_held and self._waiting is None:
            self._waiting = number, frame
            return
        self.is_step_broken = self._is_held
        self._pass_on(number, frame)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        before = self._before[number]
        if callable(before):
            before(number, frame)
        elif before == signal.SIG_DFL:
            raise (
                KeyboardInterrupt
                if number == signal.SIGINT
                else SystemExit(128 + number)
            )
