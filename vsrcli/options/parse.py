"""Values with a notation of their own: lists of devices, parts of pictures.

Times are read by ``vsrcli.timing``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from vsrcli.errors import OptionError

_DEVICE = re.compile(r"(?P<device>cpu|cuda(?::\d+)?)(?:\*(?P<count>\d{1,3}))?")

_CROP = re.compile(
    r"(?P<width>\d{1,6})x(?P<height>\d{1,6})(?:\+(?P<x>\d{1,6})\+(?P<y>\d{1,6}))?"
)
_MIN_CROP_PX = 16
_ASPECT = re.compile(r"\d{1,6}(?:/\d{1,6}|\.\d{1,6})?")


@dataclass(frozen=True, slots=True)
class Crop:
    """A part of a picture, pixels.

    Attributes:
        width, height: its size.
        place: its first column and row; None: where there is most detail.
    """

    width: int
    height: int
    place: tuple[int, int] | None = None

    def __str__(self) -> str:
        size = f"{self.width}x{self.height}"
        return size if self.place is None else f"{size}+{self.place[0]}+{self.place[1]}"


def parse_crop(text: str) -> Crop | Literal["all"]:
    """Read ``640x360+100+50``, ``640x360`` or ``all``.

    Raises:
        OptionError: none of these, or too small.
    """
    if text.strip() == "all":
        return "all"
    match = _CROP.fullmatch(text.strip())
    if match is None:
        raise OptionError(
            f"{text!r} is no part of a picture: write WxH+X+Y (640x360+100+50), WxH or `all`"
        )
    width = int(match["width"])
    height = int(match["height"])
    if min(width, height) < _MIN_CROP_PX:
        raise OptionError(
            f"a part of {text} is too small: {_MIN_CROP_PX}x{_MIN_CROP_PX} or more"
        )
    place = None if match["x"] is None else (int(match["x"]), int(match["y"]))
    return Crop(width, height, place)


def parse_aspect(text: str) -> Fraction:
    """Read the shape of a pixel: ``16:11``, ``16/11`` or ``1.4545``.

    Raises:
        OptionError: none of these, or zero.
    """
    plain = text.strip().replace(":", "/")
    if _ASPECT.fullmatch(plain) and not re.search(r"/0+$", plain):
        aspect = Fraction(plain)
        if aspect:
            return aspect
    raise OptionError(f"{text!r} is no pixel aspect ratio: write N:D, such as 16:11")


def parse_devices(text: str) -> tuple[str, ...]:
    """Read ``cuda:0,cuda:1`` or ``cpu*2``.

    Raises:
        OptionError: not such a list, or devices of several kinds.
    """
    devices: list[str] = []
    for part in text.split(","):
        match = _DEVICE.fullmatch(part.strip())
        if match is None or match["count"] == "0":
            raise OptionError(
                f"--devices {text!r}: give a list such as cuda:0,cuda:1 or cpu*2"
            )
        count = int(match["count"] or 1)
        devices += [match["device"]] * count
    kinds = {device.partition(":")[0] for device in devices}
    if len(kinds) > 1:
        raise OptionError(
            f"--devices {text!r}: frames from cpu and cuda differ a little: "
            "give devices of one kind"
        )
    return tuple(devices)
