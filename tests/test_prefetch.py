"""The prefetch thread: same items as without it, errors with their traceback, nothing left behind."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsrcli.run.prefetch import Prefetch


def _threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("vsr-")]


@given(st.lists(st.integers()), st.integers(0, 5))
def test_same_items_in_order(items: list[int], depth: int) -> None:
    with Prefetch(iter(items), depth) as ahead:
        assert list(ahead) == items
    assert _threads() == []


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_error_reaches_the_consumer_with_its_traceback(depth: int) -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("from within")

    seen = []
    with pytest.raises(ValueError, match="from within") as caught, Prefetch(failing(), depth) as ahead:
        for item in ahead:
            seen.append(item)  # noqa: PERF402  # the error must come after the item
    assert seen == [1]
    assert "failing" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert _threads() == []


@pytest.mark.parametrize("depth", [0, 2])
def test_early_end_closes_the_source(depth: int) -> None:
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    with Prefetch(endless(), depth) as ahead:
        for _ in ahead:
            break
    assert closed.is_set()
    assert _threads() == []


def test_runs_ahead_but_not_too_far() -> None:
    made: list[int] = []

    def counting() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    with Prefetch(counting(), 3) as ahead:
        next(iter(ahead))
        deadline = time.monotonic() + 5
        while len(made) < 5 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.1)
        # one taken, three in the queue, one in hand
        assert len(made) == 5


def test_interrupt_in_the_consumer_leaves_no_thread() -> None:
    with pytest.raises(KeyboardInterrupt), Prefetch(iter(range(1000)), 2) as ahead:
        for _ in ahead:
            raise KeyboardInterrupt
    assert _threads() == []


def test_close_twice() -> None:
    ahead = Prefetch(iter([1, 2, 3]), 1)
    ahead.close()
    ahead.close()
    assert _threads() == []
