"""Windows of 2*radius + 1 neighbours around every item of a stream.

The ends are replicated, and no window crosses a scene cut.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def windows(
    items: Iterable[T],
    radius: int,
    is_cut: Callable[[T], bool],
) -> Iterator[tuple[T, ...]]:
    """Yield one window for every item, in order, centred on it.

    Where a neighbour does not exist or belongs to another scene, the nearest item of the centre's
    scene replaces it. The window of an item is yielded as soon as ``radius`` further items were
    drawn; at most 2*radius + 1 items are held.

    Args:
        items: the stream.
        radius: items on each side, 0 or more.
        is_cut: True for the first item of a new scene; asked once per item.

    Yields:
        Tuples of 2*radius + 1 items; index ``radius`` is the item itself.

    Raises:
        ValueError: a negative radius.
    """
    if radius < 0:
        raise ValueError(f"radius {radius}: it is 0 or more")
    return _slide(items, radius, is_cut)


def _slide(
    items: Iterable[T],
    radius: int,
    is_cut: Callable[[T], bool],
) -> Iterator[tuple[T, ...]]:
    source = iter(items)
    held: deque[tuple[int, T]] = deque()  # (scene, item)
    scene = 0
    centre = 0
    exhausted = False
    while True:
        while not exhausted and len(held) <= centre + radius:
            try:
                item = next(source)
            except StopIteration:
                exhausted = True
                break
            scene += is_cut(item)
            held.append((scene, item))
            del item
        if centre == len(held):
            return
        yield _window(held, centre, radius)
        if centre == radius:
            held.popleft()
        else:
            centre += 1


def _window(held: deque[tuple[int, T]], centre: int, radius: int) -> tuple[T, ...]:
    scene = held[centre][0]
    first = centre
    while first > 0 and held[first - 1][0] == scene:
        first -= 1
    last = centre
    while last + 1 < len(held) and held[last + 1][0] == scene:
        last += 1
    window: list[T] = []
    for index in range(centre - radius, centre + radius + 1):
        nearest = min(max(index, first), last)
        _, item = held[nearest]
        window.append(item)
    return tuple(window)
