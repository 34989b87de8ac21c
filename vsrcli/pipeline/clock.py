"""How long a stage works."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TypeVar

T = TypeVar("T")


class Clock:
    """Adds up the time inside its ``with`` blocks; used by one thread.

    Attributes:
        seconds: wall time so far.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._began = 0.0

    def __enter__(self) -> Clock:
        self._began = time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.seconds += time.perf_counter() - self._began

    def each(self, items: Iterable[T]) -> Iterator[T]:
        """Pass items on, counting the time it takes to get each."""
        source = iter(items)
        try:
            while True:
                with self:
                    try:
                        item = next(source)
                    except StopIteration:
                        return
                yield item
        finally:
            close = getattr(source, "close", None)
            if callable(close):
                close()
