"""The threads: same items as without them, errors with their traceback, nothing left behind."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsrcli.pipeline.prefetch import Prefetch, side_by_side


def _threads() -> list[str]:
    return [
        thread.name
        for thread in threading.enumerate()
        if thread.name.startswith("vsr-")
    ]


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
    with (
        pytest.raises(ValueError, match="from within") as caught,
        Prefetch(failing(), depth) as ahead,
    ):
        for item in ahead:
            seen.append(item)  # noqa: PERF402  # the error must come after the item
    assert seen == [1]
    assert "failing" in [
        frame.name for frame in traceback.extract_tb(caught.value.__traceback__)
    ]
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


# -- work side by side


Item = tuple[int, Callable[[], int]]


class Source:
    """A generator of items to work on, and what became of it.

    Attributes:
        drawn: items so far.
        thread: where they were drawn.
        is_closed: whether it ended, by itself or closed.
    """

    def __init__(
        self, work: Callable[[int], int], count: int, fail_at: int | None = None
    ) -> None:
        self.drawn = 0
        self.thread = ""
        self.is_closed = False
        self._work = work
        self._count = count
        self._fail_at = fail_at

    def items(self) -> Iterator[Item]:
        try:
            self.thread = threading.current_thread().name
            for number in range(self._count):
                if number == self._fail_at:
                    raise ValueError("from the source")
                self.drawn += 1
                yield number, partial(self._work, number)
        finally:
            self.is_closed = True


def _late(number: int) -> int:
    """The later an item, the sooner it is done."""
    time.sleep(max(0.0, 0.02 - 0.004 * number))
    return number * number


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 3, 17])
def test_work_side_by_side_comes_in_order(threads: int, count: int) -> None:
    source = Source(_late, count)
    results = list(side_by_side(source.items(), threads, "work"))
    assert results == [(number, number * number) for number in range(count)]
    assert source.is_closed
    assert _threads() == []


def test_as_many_work_at_once_as_there_are_threads() -> None:
    together = threading.Barrier(3, timeout=10)  # broken, it raises

    def wait(number: int) -> int:
        assert threading.current_thread().name.startswith("vsr-work")
        return together.wait()

    results = [result for _, result in side_by_side(Source(wait, 6).items(), 3, "work")]
    assert sorted(results) == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_at_most_two_items_more_than_threads_are_drawn_ahead(threads: int) -> None:
    source = Source(_late, 40)
    results = side_by_side(source.items(), threads, "work")
    for taken in range(1, 20):
        next(results)
        assert source.drawn - taken + 1 <= threads + 2
    assert source.drawn > 20
    assert source.thread == threading.current_thread().name
    results.close()


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_failed_work_is_raised_in_its_place_with_its_traceback(threads: int) -> None:
    def fail_at_four(number: int) -> int:
        if number == 4:
            raise ValueError("from within")
        return _late(number)

    source = Source(fail_at_four, 40)
    seen = []
    with pytest.raises(ValueError, match="from within") as caught:
        for item, _ in side_by_side(source.items(), threads, "work"):
            seen.append(item)  # the error must come after the items
    assert seen == [0, 1, 2, 3]
    frames = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert "fail_at_four" in frames
    assert source.is_closed
    assert _threads() == []


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_a_failing_source_is_raised_with_its_traceback(threads: int) -> None:
    source = Source(_late, 40, fail_at=10)
    seen = []
    with pytest.raises(ValueError, match="from the source") as caught:
        for item, result in side_by_side(source.items(), threads, "work"):
            seen.append(item)
            assert result == item * item
    assert seen == list(range(10)), "what was drawn before is lost"
    frames = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert "items" in frames
    assert _threads() == []


@pytest.mark.parametrize("taken", [0, 1, 3])
def test_closed_early_it_leaves_no_thread_and_closes_the_source(taken: int) -> None:
    source = Source(_late, 40)
    results = side_by_side(source.items(), 2, "work")
    for _ in range(taken):
        next(results)
    results.close()
    assert source.drawn < 40
    assert source.is_closed == bool(
        taken
    )  # a generator that never began has nothing to close
    assert _threads() == []


def test_an_interrupt_among_work_side_by_side_leaves_no_thread() -> None:
    source = Source(_late, 40)
    results = side_by_side(source.items(), 2, "work")
    with pytest.raises(KeyboardInterrupt), Prefetch(results, 2) as ahead:
        for _ in ahead:
            raise KeyboardInterrupt
    assert source.is_closed
    assert _threads() == []
