"""Something that is done from time to time while the main thread works."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

# The first line comes soon, so that whoever looks sees that it works.
_FIRST_SECONDS = 10.0
_EVERY_SECONDS = 60.0
_RETRY_SECONDS = 1.0


class Pace:
    """When the next line is due; one for several pieces of work gives no more than one a minute."""

    def __init__(self) -> None:
        """The first is due soon."""
        self._next = time.monotonic() + _FIRST_SECONDS

    def wait_seconds(self) -> float:
        """Until the next is due; 0 if it is."""
        return max(0.0, self._next - time.monotonic())

    def passed(self, *, was_told: bool) -> None:
        """It was due: there was something to tell, or not yet."""
        pause = _EVERY_SECONDS if was_told else _RETRY_SECONDS
        self._next = time.monotonic() + pause


class Ticker:
    """Calls a function, on a thread of its own, whenever a line is due; a context manager."""

    def __init__(self, pace: Pace, tell: Callable[[], bool]) -> None:
        """Take when, and what; the function says whether there was something to tell."""
        self._pace = pace
        self._tell = tell
        self._ended = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="vsr-progress", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._pace.wait_seconds()):
            was_told = True
            with suppress(OSError):  # whoever reads it may have gone
                was_told = self._tell()
            self._pace.passed(was_told=was_told)
