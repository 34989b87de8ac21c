"""Counts and their nouns."""

from __future__ import annotations

import pytest

from vsrcli.wording import clock_text, noun_for, plural


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 frames"), (1, "1 frame"), (2, "2 frames")]
)
def test_a_noun_follows_its_count(count: int, text: str) -> None:
    assert plural(count, "frame") == text
    assert text.endswith(noun_for(count, "frame"))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.00 s"),
        (7.036, "7.04 s"),
        (59.999, "1:00.00"),
        (90.5, "1:30.50"),
        (3723.5, "1:02:03.50"),
    ],
)
def test_times_of_a_video(seconds: float, text: str) -> None:
    assert clock_text(seconds) == text
