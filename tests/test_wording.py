"""Counts and their nouns."""

from __future__ import annotations

import pytest

from vsrcli.wording import noun_for, plural


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 frames"), (1, "1 frame"), (2, "2 frames")]
)
def test_a_noun_follows_its_count(count: int, text: str) -> None:
    assert plural(count, "frame") == text
    assert text.endswith(noun_for(count, "frame"))
