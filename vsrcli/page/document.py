"""A page from its parts. The template is ``page.html``; everything is inline."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from vsrcli.page.shots import Shot, figure_of, pictures_of
from vsrcli.page.text import text_of

_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")


@dataclass(frozen=True, slots=True)
class Document:
    """What a page shows.

    Attributes:
        command: what made it, such as ``vsr bench``.
        title: what it is about: the name of a file, for example.
        facts: name -> value, shown at the top.
        sections: HTML between the facts and the pictures.
        shots: pictures to compare.
        data: for the script, beside the pictures; JSON.
        style, script: of the sections.
    """

    command: str
    title: str
    facts: Mapping[str, str]
    sections: Sequence[str] = ()
    shots: Sequence[Shot] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    style: str = ""
    script: str = ""

    def render(self) -> str:
        """The page, as HTML."""
        figures = [figure_of(number, shot) for number, shot in enumerate(self.shots)]
        pictures = [pictures_of(shot) for shot in self.shots]
        parts = {
            "COMMAND": text_of(self.command),
            "TITLE": text_of(self.title),
            "FACTS": _facts(self.facts),
            "SECTIONS": "\n".join(self.sections),
            "SHOTS": "".join(figures),
            "DATA": _script_json({**self.data, "shots": pictures}),
            "STYLE": self.style,
            "SCRIPT": self.script,
        }
        file = files("vsrcli.page").joinpath("page.html")
        template = file.read_text(encoding="utf-8")
        return _PLACEHOLDER.sub(lambda match: parts[match[1]], template)


def _facts(facts: Mapping[str, str]) -> str:
    items = []
    for name, value in facts.items():
        items.append(f"<div><dt>{text_of(name)}</dt><dd>{text_of(value)}</dd></div>")
    return "".join(items)


def _script_json(value: Any) -> str:
    """JSON that cannot end the script element it is in."""
    text = json.dumps(
        value,
        allow_nan=False,
        separators=(",", ":"),
    )
    for character in ("<", "\u2028", "\u2029"):
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
