from __future__ import annotations

import weakref
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsrcli.picture.windows import windows

Item = tuple[int, bool]


def naive(items: list[Item], radius: int) -> list[tuple[Item, ...]]:
    """Cut the list into scenes first, then clamp indices inside each."""
    scenes: list[list[Item]] = []
    for item in items:
        if item[1] or not scenes:
            scenes.append([])
        scenes[-1].append(item)
    return [
        tuple(
            scene[min(max(i + offset, 0), len(scene) - 1)]
            for offset in range(-radius, radius + 1)
        )
        for scene in scenes
        for i in range(len(scene))
    ]


streams = st.lists(st.booleans(), max_size=30).map(lambda cuts: list(enumerate(cuts)))


@settings(deadline=None)
@given(streams, st.integers(0, 4))
def test_equals_the_naive_form(items: list[Item], radius: int) -> None:
    assert list(windows(items, radius, lambda item: item[1])) == naive(items, radius)


@settings(deadline=None)
@given(streams, st.integers(0, 3))
def test_looks_ahead_by_the_radius_only(items: list[Item], radius: int) -> None:
    drawn = 0

    def source() -> Iterator[Item]:
        nonlocal drawn
        for item in items:
            drawn += 1
            yield item

    for i, _ in enumerate(windows(source(), radius, lambda item: item[1])):
        assert drawn == min(i + radius + 1, len(items))


@settings(deadline=None)
@given(streams)
def test_asks_about_every_item_once(items: list[Item]) -> None:
    asked: list[int] = []

    def is_cut(item: Item) -> bool:
        asked.append(item[0])
        return item[1]

    for _ in windows(items, 2, is_cut):
        pass
    assert asked == list(range(len(items)))


@pytest.mark.parametrize("radius", [0, 1, 2])
def test_holds_no_more_than_a_window(radius: int) -> None:
    class Heavy:
        pass

    alive: weakref.WeakSet[Heavy] = weakref.WeakSet()
    most = 0

    def source() -> Iterator[Heavy]:
        nonlocal most
        for _ in range(50):
            most = max(most, len(alive))
            item = Heavy()
            alive.add(item)
            yield item
            del item

    stream = windows(source(), radius, lambda _: False)
    while next(stream, None) is not None:
        pass
    assert most <= 2 * radius  # the rest of the window is the item about to be drawn


def test_an_error_of_the_source_passes_through() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(windows(source(), 2, lambda _: False))


def test_negative_radius() -> None:
    with pytest.raises(ValueError, match="-1"):
        windows([1], -1, lambda _: False)
