"""Words of messages: nouns with their counts, times and rates, and text of others made harmless."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from datetime import datetime

# Control characters (they move the cursor, or make a second line of one), separators of lines and
# paragraphs, and halves of characters, which stand for bytes that are no text.
_HIDDEN_CATEGORIES = ("Cc", "Zl", "Zp", "Cs")
# Embeddings, overrides and isolates: they change the order of what follows.
_BIDIRECTIONAL = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# Letters that nobody sees.
_FIRST_INVISIBLE = 0xE0000
_LAST_INVISIBLE = 0xE007F
_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
# Up to these lengths the smaller unit says something, seconds.
_LONGEST_IN_SECONDS = 100
_LONGEST_WITH_MINUTES = 10 * _HOUR
_LONGEST_IN_HOURS = 2 * _DAY
_LONGEST_WITH_HOURS = 10 * _DAY
_WEEK_DAYS = 7
_YEAR_DAYS = 365
# Slower than this, a frame's time reads better than a rate.
_SLOWEST_RATE_SECONDS = 10


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


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """What to add to an unknown word: the known one that is most like it.

    Returns:
        `` (did you mean 'delta'?)``, or nothing if none is like it.
    """
    from difflib import get_close_matches

    spellings = {name.lower(): name for name in known}
    matches = get_close_matches(word.lower(), spellings, n=1)
    return f" (did you mean {spellings[matches[0]]!r}?)" if matches else ""


def duration_text(seconds: float) -> str:
    """A length of time in words, as exact as a reader needs it.

    Args:
        seconds: not negative.

    Returns:
        ``0.4 s``, ``45 s``, ``12 min``, ``3 h 20 min``, ``15 h``, ``3 days 4 h``, ``12 days``.
    """
    if seconds < 10:
        return f"{round(seconds, 1):g} s"
    if round(seconds) < _LONGEST_IN_SECONDS:
        return f"{round(seconds)} s"
    minutes = round(seconds / _MINUTE)
    if minutes < _HOUR // _MINUTE:
        return f"{minutes} min"
    if minutes * _MINUTE < _LONGEST_WITH_MINUTES:
        return _two_units(minutes, 60, "h", "min")
    hours = round(seconds / _HOUR)
    if hours * _HOUR < _LONGEST_IN_HOURS:
        return f"{hours} h"
    if hours * _HOUR < _LONGEST_WITH_HOURS:
        return _two_units(hours, 24, "days", "h")
    return f"{round(seconds / _DAY):,} days"


def clock_text(seconds: float) -> str:
    """A time of a video: ``7.04 s``, ``1:30.50``, ``1:02:03.50``."""
    hundredths = round(100 * seconds)
    minutes, rest = divmod(hundredths, 6000)
    if not minutes:
        return f"{rest / 100:.2f} s"
    hours, minutes = divmod(minutes, 60)
    if not hours:
        return f"{minutes}:{rest / 100:05.2f}"
    return f"{hours}:{minutes:02}:{rest / 100:05.2f}"


def bytes_text(size: int) -> str:
    """A size as the user reads it: ``0.4 MB``, ``5.1 GB``."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def moment_text(moment: datetime, now: datetime) -> str:
    """A time to come, by the clock and, if it is not today, by the calendar.

    Returns:
        ``16:40``, ``Sat 14:05``, ``Mon 14 Dec 09:00``, ``14 Dec 2027``.
    """
    days = (moment.date() - now.date()).days
    if not days:
        return f"{moment:%H:%M}"
    if days < _WEEK_DAYS:
        return f"{moment:%a %H:%M}"
    if moment.year == now.year or days < _YEAR_DAYS // 2:
        return f"{moment:%a} {moment.day} {moment:%b %H:%M}"
    return f"{moment.day} {moment:%b %Y}"


def rate_text(seconds_per_frame: float) -> str:
    """How fast frames come: ``24 frames/s``, ``0.14 frames/s``, ``25 s a frame``."""
    if seconds_per_frame > _SLOWEST_RATE_SECONDS:
        return f"{duration_text(seconds_per_frame)} a frame"
    rate = 1 / max(seconds_per_frame, 1e-6)
    if rate >= 10:
        return f"{rate:,.0f} frames/s"
    return f"{rate:.2g} frames/s"


def _two_units(count: int, size: int, large: str, small: str) -> str:
    """A count of a small unit in terms of one that is ``size`` times larger."""
    whole, rest = divmod(count, size)
    return f"{whole} {large} {rest} {small}" if rest else f"{whole} {large}"
