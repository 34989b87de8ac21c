"""Side data of decoded frames, read from FFmpeg's structures."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
from av.sidedata.sidedata import Type

from vsrcli.frame import Hdr, MasteringDisplay

DYNAMIC_HDR = {
    "DOVI_RPU_BUFFER": "Dolby Vision",
    "DOVI_METADATA": "Dolby Vision",
    "DYNAMIC_HDR_PLUS": "HDR10+",
    "DYNAMIC_HDR_VIVID": "HDR Vivid",
}
# FFmpeg's types that PyAV does not know yet.
_LATER_TYPES = {
    28: "LCEVC",
    29: "VIEW_ID",
    30: "REFERENCE_DISPLAYS_3D",
    31: "EXIF",
}
# Ten AVRational: red, green, blue, white (x, y), darkest, brightest; then whether there are
# primaries and luminances.
_MASTERING = struct.Struct("=20i2I")
_IDENTITY = (65536, 0, 0, 0, 65536, 0, 0, 0, 1073741824)
_MATRIX_BYTES = 36
_CONTENT_LIGHT_BYTES = 8
# AVStereo3D: its type and flags, of which the first says that the right or lower view comes first.
_STEREO = struct.Struct("=2i")
_IS_INVERTED = 1
# Matroska's names of AVStereo3DType, with the left or upper view first and the other way round.
_STEREO_MODES = {
    1: ("left_right", "right_left"),
    2: ("top_bottom", "bottom_top"),
    3: ("block_lr", "block_rl"),
    4: ("checkerboard_lr", "checkerboard_rl"),
    6: ("row_interleaved_lr", "row_interleaved_rl"),
    7: ("col_interleaved_lr", "col_interleaved_rl"),
}
# AVDOVIMetadata begins with the offset of its header. There, the profile of the RPU is the byte 4,
# and whether the base layer has full range the byte 10.
_DOVI_OFFSET = struct.Struct("=Q")
_DOVI_PROFILE = 4
_DOVI_FULL_RANGE = 10


def _type_of(kind: type[Type], number: object) -> Type:
    """A type that PyAV does not know; without it, no side data of the frame could be read."""
    member: Any = object.__new__(kind)
    member._name_ = _LATER_TYPES.get(int(str(number)), f"TYPE_{number}")
    member._value_ = number
    return member  # type: ignore[no-any-return]


Type._missing_ = classmethod(_type_of)  # type: ignore[assignment]


def side_data_of(frame: av.VideoFrame) -> Iterator[tuple[str, bytes]]:
    """FFmpeg's name and the content of each item of side data; ``TYPE_n`` for a new kind."""
    # PyAV iterates over the items, whatever its type annotation says
    items: Any = frame.side_data
    for item in items:
        yield item.type.name, bytes(item)


def display_matrix(frame: av.VideoFrame) -> tuple[int, ...] | None:
    """FFmpeg's display matrix of a decoded frame.

    Returns:
        9 numbers, or None where there is none, or it changes nothing or leaves no picture.
    """
    for name, content in side_data_of(frame):
        if name == "DISPLAYMATRIX":
            matrix = struct.unpack("=9i", content[:_MATRIX_BYTES])
            area = matrix[0] * matrix[4] - matrix[1] * matrix[3]
            return None if matrix == _IDENTITY or not area else matrix
    return None


def rotation_of(frame: av.VideoFrame) -> float:
    """How a decoded frame is displayed, in degrees, counter-clockwise."""
    return 0.0 if display_matrix(frame) is None else float(frame.rotation)


def captions_of(frame: av.VideoFrame) -> bytes:
    """Closed captions of a decoded frame (cc_data of CTA-708), or nothing."""
    for name, content in side_data_of(frame):
        if name == "A53_CC":
            return content
    return b""


def hdr_metadata(frame: av.VideoFrame) -> Hdr:
    """HDR metadata of a decoded frame. Zeros, which leave a value open, count as absent."""
    mastering = None
    content_light = None
    dynamic = []
    for name, content in side_data_of(frame):
        if name == "MASTERING_DISPLAY_METADATA":
            mastering = _read_mastering(content)
        elif name == "CONTENT_LIGHT_LEVEL":
            values = struct.unpack("=2I", content[:_CONTENT_LIGHT_BYTES])
            brightest, average = values
            content_light = (brightest, average) if any(values) else None
        elif name in DYNAMIC_HDR and DYNAMIC_HDR[name] not in dynamic:
            dynamic.append(DYNAMIC_HDR[name])
    return Hdr(mastering, content_light, tuple(dynamic))


def stereo_mode(frame: av.VideoFrame) -> str | None:
    """How two views share a picture, by Matroska's name; None: not at all, or it has no name."""
    for name, content in side_data_of(frame):
        if name == "STEREO3D" and len(content) >= _STEREO.size:
            kind, flags = _STEREO.unpack(content[: _STEREO.size])
            modes = _STEREO_MODES.get(kind)
            return None if modes is None else modes[flags & _IS_INVERTED]
    return None


def needs_dolby_vision(frame: av.VideoFrame) -> bool:
    """Whether a frame's colours are those of Dolby Vision alone (profile 5: IPT, full range).

    As in FFmpeg's ``ff_dovi_guess_profile_hevc``.
    """
    for name, content in side_data_of(frame):
        if name == "DOVI_METADATA" and len(content) >= _DOVI_OFFSET.size:
            (offset,) = _DOVI_OFFSET.unpack(content[: _DOVI_OFFSET.size])
            header = content[offset : offset + _DOVI_FULL_RANGE + 1]
            if len(header) > _DOVI_FULL_RANGE:
                return header[_DOVI_PROFILE] == 0 and header[_DOVI_FULL_RANGE] == 1
    return False


def _read_mastering(content: bytes) -> MasteringDisplay | None:
    if len(content) < _MASTERING.size:
        return None
    *numbers, has_primaries, has_luminance = _MASTERING.unpack(
        content[: _MASTERING.size]
    )
    numerators = numbers[::2]
    denominators = numbers[1::2]
    known = 8 * [has_primaries] + 2 * [has_luminance]
    values = [
        Fraction(numerator, denominator) if is_known and denominator else Fraction(0)
        for numerator, denominator, is_known in zip(
            numerators,
            denominators,
            known,
            strict=True,
        )
    ]
    if not any(values):
        return None
    return MasteringDisplay(
        red=(values[0], values[1]),
        green=(values[2], values[3]),
        blue=(values[4], values[5]),
        white=(values[6], values[7]),
        max_luminance=values[9],
        min_luminance=values[8],
    )
