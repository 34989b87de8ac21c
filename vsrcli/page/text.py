"""Text for a page."""

from __future__ import annotations

from html import escape

from vsrcli.wording import printable


def text_of(value: str) -> str:
    """Text as HTML: names can come from files of others."""
    return escape(printable(value))
