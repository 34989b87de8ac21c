"""Words of messages: nouns with their counts, and text of others made harmless."""

from __future__ import annotations

import unicodedata

# Control characters (they move the cursor, or make a second line of one), separators of lines and
# paragraphs, and halves of characters, which stand for bytes that are no text.
_HIDDEN_CATEGORIES = ("Cc", "Zl", "Zp", "Cs")
# Embeddings, overrides and isolates: they change the order of what follows.
_BIDIRECTIONAL = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# Letters that nobody sees.
_FIRST_INVISIBLE = 0xE0000
_LAST_INVISIBLE = 0xE007F


def printable(text: str) -> str:
    """A text from a file, a name or an error, fit to stand in a line of a terminal or a page.

    Returns:
        The same, with ``\\x1b`` and the like for characters that control a terminal, begin a new
        line, change the order of others, or are invisible letters.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        _escaped(letter) if _is_hidden(letter) else letter for letter in text
    )


def _is_hidden(letter: str) -> bool:
    if unicodedata.category(letter) in _HIDDEN_CATEGORIES:
        return True
    if letter in _BIDIRECTIONAL:
        return True
    return _FIRST_INVISIBLE <= ord(letter) <= _LAST_INVISIBLE


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape", "surrogatepass").decode("ascii")


def plural(count: int, noun: str) -> str:
    """A count with its noun: ``1 frame``, ``2 frames``."""
    return f"{count} {noun_for(count, noun)}"


def noun_for(count: int, noun: str) -> str:
    """A noun in singular or plural, by a count that is given elsewhere."""
    return noun if count == 1 else f"{noun}s"
