"""The only threads of the program: a generator run ahead of its consumer, work side by side."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

S = TypeVar("S")
T = TypeVar("T")

_POLL_SECONDS = 0.1
_ASK_SECONDS = 1.0
# Longer than one picture takes anywhere. A thread that does not answer hangs in a library or on a
# disk, and is left behind until the process ends.
_PATIENCE_SECONDS = 60.0

log = logging.getLogger(__name__)


class Prefetch(Generic[T]):
    """Iterate ``source`` in a thread of its own, at most ``depth`` items ahead.

    Order and items are those of ``source``. What it raises is raised in the consumer, with its
    traceback. ``close`` (or leaving the ``with`` block) stops the producer, drains the queue and
    joins the thread, so that none is left behind on an error, an early break or Ctrl-C. ``source``
    is closed in its own thread if it is a generator. With ``depth`` 0 everything runs in the
    consumer's thread: the oracle in tests.
    """

    def __init__(
        self,
        source: Iterable[T],
        depth: int,
        name: str = "prefetch",
        *,
        stalled: Callable[[], Exception | None] = lambda: None,
    ) -> None:
        """Begin.

        Args:
            source: what to iterate.
            depth: items ahead.
            name: of the thread.
            stalled: called now and then while nothing comes. It returns None, or the error to raise
                because nothing will come; then the thread is left behind.
        """
        self._source = source
        self._stalled = stalled
        self._hangs = False
        self._stop = threading.Event()
        self._ended = False
        self._queue: queue.Queue[T | _End] | None = None
        self._thread: threading.Thread | None = None
        if depth > 0:
            self._queue = queue.Queue(depth)
            self._thread = threading.Thread(
                target=self._produce, name=f"vsr-{name}", daemon=True
            )
            self._thread.start()

    def __iter__(self) -> Iterator[T]:
        if self._queue is None:
            yield from self._source
            return
        while not self._ended:
            item = self._next_item(self._queue)
            if isinstance(item, _End):
                self._ended = True
                if item.error is not None:
                    raise item.error
                return
            yield item

    def _next_item(self, items: queue.Queue[T | _End]) -> T | _End:
        while True:
            try:
                return items.get(timeout=_ASK_SECONDS)
            except queue.Empty:
                error = self._stalled()
            if error is not None:
                self._hangs = True
                raise error

    def __enter__(self) -> Prefetch[T]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the producer and wait for its thread; may be called more than once."""
        self._stop.set()
        if self._thread is None or self._queue is None:
            _close(self._source)
            return
        until = time.monotonic() + _PATIENCE_SECONDS
        while self._thread.is_alive():
            if self._hangs or time.monotonic() > until:
                log.warning(
                    "the thread %s does not answer: it is left behind",
                    self._thread.name,
                )
                self._ended = True
                return
            try:
                self._queue.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                continue
        self._thread.join()
        self._ended = True

    def _produce(self) -> None:
        error: BaseException | None = None
        try:
            for item in self._source:
                if not self._put(item):
                    break
        except BaseException as caught:  # whatever it was, it belongs to the consumer
            error = caught
        try:
            _close(self._source)
        except BaseException as caught:
            error = error or caught
        self._put(_End(error))

    def _put(self, item: T | _End) -> bool:
        while self._queue is not None and not self._stop.is_set():
            try:
                self._queue.put(item, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
            return True
        return False


def side_by_side(
    items: Iterable[tuple[S, Callable[[], T]]],
    threads: int,
    name: str,
) -> Generator[tuple[S, T]]:
    """Work on items with several threads, at most one more item ahead than there are threads.

    Args:
        items: each with its work; taken in the caller's thread, in order. Closed at the end if it
            is a generator.
        threads: number of threads.
        name: of the threads.

    Yields:
        Each item and the result of its work, in the order of the items. What the work raises is
        raised in its place, and what taking an item raises comes after the items taken before.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix=f"vsr-{name}")
    waiting: deque[tuple[S, Future[T]]] = deque()
    source = iter(items)
    failure: Exception | None = None
    is_ended = False
    try:
        while not is_ended:
            try:
                item, work = next(source)
                waiting.append((item, pool.submit(work)))
            except StopIteration:
                is_ended = True
            except Exception as error:
                failure = error
                is_ended = True
            max_waiting = 0 if is_ended else threads + 1
            while len(waiting) > max_waiting:
                first, future = waiting.popleft()
                yield first, future.result()
        if failure is not None:
            raise failure
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        _close(items)


class _End:
    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def _close(source: object) -> None:
    close = getattr(source, "close", None)
    if callable(close):
        close()
