"""Text subtitles that a container refuses are converted: lines of one codec into another."""

from __future__ import annotations

import re
from collections.abc import Iterator

# Canonical names of the codecs that can be read.
TEXT_CODECS = (
    "subrip",
    "ass",
    "ssa",
    "mov_text",
    "webvtt",
    "text",
)

# Players of mov_text take their styles from this: with less of a header, text is black on black.
TEXT_HEADER = b"""[Script Info]
ScriptType: v4.00+
PlayResX: 384
PlayResY: 288

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, \
Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, \
Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""

_MAX_MOV_TEXT_BYTES = 65535
_ASS_FIELDS_BEFORE_TEXT = 8
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_SIMPLE_TAG = re.compile(r"</?[biu]>")
_TIME_TAG = re.compile(r"<[\d:.]+>")
_OVERRIDES = re.compile(r"\{[^{}]*\}")
_STYLE = re.compile(r"\\([biu])(\d+)(?=\\|\}|$)")
_DRAWING = re.compile(
    r"\{[^{}]*\\p[1-9][^{}]*\}.*?(?=\{[^{}]*\\p0[^{}]*\}|$)",
    re.DOTALL,
)
_ENTITIES = (
    ("&lt;", "<"),
    ("&gt;", ">"),
    ("&nbsp;", "\u00a0"),
    ("&lrm;", "\u200e"),
    ("&rlm;", "\u200f"),
    ("&amp;", "&"),
)


def read_text(codec: str, payload: bytes) -> str:
    """The words of one line of subtitles, with only ``<b>``, ``<i>``, ``<u>`` for their style.

    Args:
        codec: one of ``TEXT_CODECS``.
        payload: the packet, as FFmpeg demuxes it.
    """
    if codec == "mov_text":
        length = int.from_bytes(payload[:2], "big")
        payload = payload[2 : 2 + length]
        if payload[:2] in (b"\xfe\xff", b"\xff\xfe"):
            return _unify_newlines(payload.decode("utf-16", "replace"))
    text = payload.decode("utf-8", "replace").strip("\0")
    if codec in ("ass", "ssa"):
        text = _from_ass(text.split(",", _ASS_FIELDS_BEFORE_TEXT)[-1])
    elif codec == "subrip":
        text = _keep_simple_tags(_OVERRIDES.sub(_without_override, text))
    elif codec == "webvtt":
        text = _keep_simple_tags(_TIME_TAG.sub("", text))
        for entity, character in _ENTITIES:
            text = text.replace(entity, character)
    return _unify_newlines(text)


def write_text(codec: str, text: str) -> bytes:
    """One line as a packet of ``mov_text``, ``webvtt`` or ``subrip``.

    A line without words becomes a space, since a packet may not be empty.
    """
    if codec == "mov_text":
        plain = _SIMPLE_TAG.sub("", text)
        content = (plain.encode() or b" ")[:_MAX_MOV_TEXT_BYTES]
        content = content.decode("utf-8", "ignore").encode()
        return len(content).to_bytes(2, "big") + content
    if codec == "webvtt":
        text = _escape(text)
        text = re.sub(r"\n{2,}", "\n", text)  # an empty line would end it
    return text.encode() or b" "


def _escape(text: str) -> str:
    """Text for WebVTT: what is not a simple tag is escaped."""
    escaped = ""
    # the pattern's group puts the tags at odd places
    for number, part in enumerate(re.split(f"({_SIMPLE_TAG.pattern})", text)):
        if number % 2 == 0:
            part = part.replace("&", "&amp;")
            part = part.replace("<", "&lt;")
            part = part.replace(">", "&gt;")
        escaped += part
    return escaped


class OverlapMerger:
    """Merges overlapping lines for a track that has one line at a time, such as mov_text.

    Lines that are on screen together become one line of several rows for as long as they are.
    """

    def __init__(self) -> None:
        # end and words of the lines on screen
        self._on_screen: list[tuple[int, str]] = []
        self._time = 0

    def add(
        self,
        begin: int,
        end: int,
        text: str,
    ) -> Iterator[tuple[int, int, str]]:
        """Add the next line, and give the lines that are complete by then.

        Args:
            begin: when it appears, in any unit; not before the line added last.
            end: when it disappears.
            text: its words.

        Yields:
            Lines to be written: begin, end, words.
        """
        yield from self._lines_before(begin)
        self._time = max(self._time, begin)
        self._on_screen.append((max(end, self._time + 1), text))

    def flush(self) -> Iterator[tuple[int, int, str]]:
        """The lines that are left at the end."""
        yield from self._lines_before(None)

    def _lines_before(self, time: int | None) -> Iterator[tuple[int, int, str]]:
        while self._on_screen and (time is None or self._time < time):
            stop = min(end for end, _ in self._on_screen)
            if time is not None:
                stop = min(stop, time)
            rows = [text for _, text in self._on_screen if text]
            yield self._time, stop, "\n".join(rows)
            self._time = stop
            self._on_screen = [line for line in self._on_screen if line[0] > stop]


def _unify_newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").strip("\n")


def _without_override(match: re.Match[str]) -> str:
    """Nothing for an override of ASS, which SubRip may contain; other text in braces stays."""
    return "" if match[0].startswith("{\\") else match[0]


def _keep_simple_tags(text: str) -> str:
    def simplify(match: re.Match[str]) -> str:
        tag = match[0].lower()
        return tag if _SIMPLE_TAG.fullmatch(tag) else ""

    return _TAG.sub(simplify, text)


def _from_ass(text: str) -> str:
    """Text of ASS: drawings are left out, and overrides become simple tags or nothing."""
    open_tags: list[str] = []

    def tags_of(match: re.Match[str]) -> str:
        tags = ""
        for name, value in _STYLE.findall(match[0]):
            is_on = value != "0"
            if is_on and name not in open_tags:
                open_tags.append(name)
                tags += f"<{name}>"
            elif not is_on and name in open_tags:
                open_tags.remove(name)
                tags += f"</{name}>"
        return tags

    text = _OVERRIDES.sub(tags_of, _DRAWING.sub("", text))
    for name in reversed(open_tags):
        text += f"</{name}>"
    text = text.replace("\\N", "\n")
    text = text.replace("\\n", "\n")
    return text.replace("\\h", "\u00a0")
