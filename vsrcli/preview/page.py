"""A preview as a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vsrcli.frame import VideoInfo
from vsrcli.page.document import Document
from vsrcli.page.shots import Shot
from vsrcli.page.table import Column, table_of
from vsrcli.picture.display import is_tone_mapped
from vsrcli.wording import duration_text

_NO_FIGURE = "–"
# Shorter times have two digits.
_LONG_SECONDS = 9.95


@dataclass(frozen=True, slots=True)
class PreviewMethod:
    """A way to double the film.

    Attributes:
        name: ``bicubic``, ``delta:video``, or the name of a file.
        engine: what runs it, such as ``openvino, cpu``; empty for interpolation.
        seconds_per_frame: of whole frames on this machine; None for interpolation.
        film_seconds: what the network alone would take for the film; None where unknown.
    """

    name: str
    engine: str = ""
    seconds_per_frame: float | None = None
    film_seconds: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "engine": self.engine,
            "seconds_per_frame": self.seconds_per_frame,
            "film_seconds": self.film_seconds,
        }

    @property
    def cost(self) -> str:
        """Seconds a frame, in words."""
        if self.seconds_per_frame is None:
            return _NO_FIGURE
        if self.seconds_per_frame >= _LONG_SECONDS:
            return duration_text(self.seconds_per_frame)
        return f"{self.seconds_per_frame:.2g} s"

    @property
    def film(self) -> str:
        """What the film takes, in words."""
        if self.film_seconds is None:
            return _NO_FIGURE
        return f"at least {duration_text(self.film_seconds)}"


def render(
    info: VideoInfo,
    size: tuple[int, int],
    methods: Sequence[PreviewMethod],
    shots: Sequence[Shot],
) -> str:
    """Make the page.

    Args:
        info: the film.
        size: width and height of its pictures, turned, not doubled.
        methods: interpolation first.
        shots: the frames.
    """
    width, height = size
    facts = {
        "Pictures": f"{width} × {height} → {2 * width} × {2 * height}",
        "Frames shown": str(len(shots)),
    }
    engines = [method.engine for method in methods if method.engine]
    if engines:
        facts["Computed with"] = "; ".join(dict.fromkeys(engines))
    if is_tone_mapped(info.tags):
        facts["Colours"] = "HDR, shown here for an ordinary display"
    table = table_of(
        [method.name for method in methods],
        [
            Column("A frame takes", [method.cost for method in methods]),
            Column("The whole video", [method.film for method in methods]),
        ],
        baselines=[not method.engine for method in methods],
        title="Methods",
    )
    document = Document(
        command="vsr preview",
        title=info.path.name,
        facts=facts,
        sections=[table],
        shots=shots,
    )
    return document.render()
