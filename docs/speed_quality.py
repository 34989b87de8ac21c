"""Draw docs/speed-quality.svg from benchmarks/RESULTS.md: python docs/speed_quality.py.

The data are the rows of the table "Speed beside quality". A full dot is a network's gain on clean
sources, a ring its gain on compressed ones.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "RESULTS.md"
PICTURE = Path(__file__).with_name("speed-quality.svg")

WIDTH = 760
HEIGHT = 440
LEFT = 62
RIGHT = 734
TOP = 62
BOTTOM = 384
SLOWEST = 0.08
MAX_GAIN_DB = 5.0
# below, marks have their names beside them
CROWDED_BELOW_DB = 1.0
COLORS = {
    "bicubic": "#6e7781",
    "lanczos": "#6e7781",
    "delta": "#0b6bcb",
    "5-parallel": "#8250df",
    "lite": "#c2410c",
    "previous": "#3f7d20",
}


@dataclass(frozen=True)
class Method:
    """A row of the table.

    Attributes:
        name: of a network or an interpolation.
        speed: in units of Delta's.
        clean: gain on clean sources in dB, or None.
        compressed: gain on sources compressed at crf 23 in dB, or None.
    """

    name: str
    speed: float
    clean: float | None
    compressed: float | None


def _gain(cell: str) -> float | None:
    return None if cell == "-" else float(cell)


def methods() -> list[Method]:
    """The rows of the table "Speed beside quality"."""
    section = RESULTS.read_text().split("\n## Speed beside quality\n")[1]
    section = section.split("\n## ")[0]
    cell = r" (\S+) \|"
    found = []
    for row in re.findall(rf"^\|{5 * cell}$", section, re.MULTILINE):
        name, _, speed, clean, compressed = row
        if name in COLORS:
            found.append(Method(name, float(speed), _gain(clean), _gain(compressed)))
    return found


def _x(speed: float, fastest: float) -> float:
    share = math.log(speed / SLOWEST) / math.log(fastest / SLOWEST)
    return LEFT + share * (RIGHT - LEFT)


def _y(gain: float) -> float:
    return BOTTOM - gain / MAX_GAIN_DB * (BOTTOM - TOP)


def _text(x: float, y: float, text: str, anchor: str = "middle", more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{text}</text>'


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="#d0d7de"/>'


def _axes(fastest: float) -> list[str]:
    parts = []
    for gain in range(int(MAX_GAIN_DB) + 1):
        parts.append(_line(LEFT, _y(gain), RIGHT, _y(gain)))
        parts.append(
            _text(LEFT - 8, _y(gain) + 4, f"{gain:+d}" if gain else "0", "end")
        )
    power = math.ceil(math.log10(SLOWEST))
    while 10**power <= fastest:
        x = _x(10**power, fastest)
        parts.append(_line(x, TOP, x, BOTTOM))
        parts.append(_text(x, BOTTOM + 18, f"{10**power:g}"))
        power += 1
    middle = (LEFT + RIGHT) / 2
    parts.append(_text(middle, BOTTOM + 40, "speed on a CPU (Delta = 1)"))
    turned = f' transform="rotate(-90 18 {(TOP + BOTTOM) / 2:.0f})"'
    label = "dB over bicubic"
    parts.append(_text(18, (TOP + BOTTOM) / 2, label, more=turned))
    return parts


def _marks(method: Method, fastest: float) -> list[str]:
    x = _x(method.speed, fastest)
    color = COLORS[method.name]
    parts = []
    for gain, fill in ((method.clean, color), (method.compressed, "#ffffff")):
        if gain is not None:
            parts.append(
                f'<circle cx="{x:.1f}" cy="{_y(gain):.1f}" r="6" fill="{fill}" '
                f'stroke="{color}" stroke-width="2.5"/>'
            )
    highest = method.clean or 0.0
    bold = f' font-weight="600" fill="{color}"'
    if highest < CROWDED_BELOW_DB:
        parts.append(_text(x + 13, _y(highest) + 4, method.name, "start", bold))
    else:
        parts.append(_text(x, _y(highest) - 13, method.name, more=bold))
    return parts


def _legend() -> list[str]:
    dot = 'r="6" stroke="#1f2328" stroke-width="2.5"'
    return [
        f'<circle cx="{LEFT + 8}" cy="42" fill="#1f2328" {dot}/>',
        _text(LEFT + 22, 46, "clean source", "start"),
        f'<circle cx="{LEFT + 138}" cy="42" fill="#ffffff" {dot}/>',
        _text(LEFT + 152, 46, "compressed source (x264, crf 23)", "start"),
    ]


def draw(found: list[Method]) -> str:
    """The picture as SVG; its own background makes it readable on any page."""
    fastest = 8 * max(method.speed for method in found)
    title = _text(
        LEFT,
        24,
        "Speed and quality",
        "start",
        ' font-size="16" font-weight="600"',
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="13" '
        'fill="#1f2328">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="8" fill="#ffffff"/>',
        title,
        *_legend(),
        *_axes(fastest),
    ]
    for method in found:
        parts += _marks(method, fastest)
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    PICTURE.write_text(draw(methods()))
