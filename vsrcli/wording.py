"""Nouns with their counts, for messages."""

from __future__ import annotations


def plural(count: int, noun: str) -> str:
    """A count with its noun: ``1 frame``, ``2 frames``."""
    return f"{count} {noun_for(count, noun)}"


def noun_for(count: int, noun: str) -> str:
    """A noun in singular or plural, by a count that is given elsewhere."""
    return noun if count == 1 else f"{noun}s"
