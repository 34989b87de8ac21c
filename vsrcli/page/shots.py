"""Pictures of one frame, any two of which can be compared with a slider."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrcli.images.stills import encode_picture
from vsrcli.page.text import text_of
from vsrcli.wording import printable

_ZOOMS = {0: "Fit", 1: "1×", 2: "2×", 4: "4×"}
# A third smaller than PNG, and every browser shows it.
_LOSSLESS = ".webp"

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class View:
    """One picture of a frame.

    Attributes:
        name: of the method that made it.
        pixels: (H, W, 3) R, G, B, or (H, W) gray; full range.
        figure: what is said about it beside the name; may be empty.
    """

    name: str
    pixels: Bytes
    figure: str = ""


@dataclass(frozen=True, slots=True)
class Shot:
    """One frame as pictures of one size.

    Attributes:
        title: such as ``worst frame (57, 2.28 s)``.
        views: the pictures, at least one.
        left: number of the view that is on the left at first.
        right: likewise.
        note: a remark on the pictures, or nothing.
        pixel_aspect: width / height of a pixel.
    """

    title: str
    views: Sequence[View]
    left: int = 0
    right: int = -1
    note: str = ""
    pixel_aspect: Fraction = Fraction(1)

    @property
    def display_size(self) -> tuple[int, int]:
        """Width and height as displayed, in square pixels: the longer side of a pixel counts."""
        height, width = self.views[0].pixels.shape[:2]
        if self.pixel_aspect >= 1:
            return round(width * self.pixel_aspect), height
        return width, round(height / self.pixel_aspect)


def figure_of(number: int, shot: Shot) -> str:
    """The element of a shot, as HTML; its pictures are in the page's data."""
    names = [view.name for view in shot.views]
    width, height = shot.display_size
    note = f"<small>{text_of(shot.note)}</small>" if shot.note else ""
    zooms = []
    for zoom, name in _ZOOMS.items():
        pressed = "false" if zoom else "true"
        zooms.append(
            f'<button type="button" data-zoom="{zoom}" aria-pressed="{pressed}">{name}</button>'
        )
    parts = [
        f'<figure class="shot" data-shot="{number}">',
        f"<figcaption>{text_of(shot.title)}{note}</figcaption>",
        '<div class="choices">',
        _choice("Left", names, shot.left),
        _choice("Right", names, shot.right),
        f'<span class="zooms" role="group" aria-label="Size">{"".join(zooms)}</span>',
        "</div>",
        '<div class="stage fit">',
        '<div class="view" tabindex="0" role="region" aria-label="The two pictures">',
        f'<div class="compare" style="--width:{width};--height:{height}">',
        '<img class="right" alt="" draggable="false">',
        '<img class="left" alt="" draggable="false">',
        '</div></div><span class="bar"></span></div>',
        '<input class="divide" type="range" min="0" max="100" value="50" step="0.1" ',
        'aria-label="Divide between left and right picture">',
        '<div class="names">',
        '<span class="left-name"></span><span class="right-name"></span>',
        "</div></figure>",
    ]
    return "".join(parts)


def pictures_of(shot: Shot) -> list[dict[str, Any]]:
    """Name, picture and figure of every view, for the page's data."""
    return [
        {
            "name": printable(view.name),
            "src": _data_uri(view.pixels),
            "figure": printable(view.figure),
        }
        for view in shot.views
    ]


def _choice(
    side: str,
    names: list[str],
    chosen: int,
) -> str:
    """The list to choose a side's picture from."""
    options = []
    for number, name in enumerate(names):
        mark = " selected" if number == chosen % len(names) else ""
        options.append(f"<option value={number}{mark}>{text_of(name)}</option>")
    return (
        f'<label>{side}<select data-side="{side.lower()}">'
        f"{''.join(options)}</select></label>"
    )


def _data_uri(pixels: Bytes) -> str:
    encoded = base64.b64encode(encode_picture(pixels, _LOSSLESS)).decode()
    return f"data:image/webp;base64,{encoded}"
