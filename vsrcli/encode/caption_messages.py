"""Closed captions put into encoded video, as messages that decoders give back with the frame.

H.264 and HEVC hold them in SEI messages (ITU-T H.264 and H.265, annex D: user data registered by
ITU-T T.35), AV1 in metadata of the same kind, MPEG-2 in user data of a picture, all with the
content of ATSC A/53, part 4. They are added to the packets of any encoder of these standards, so
that they do not depend on what it supports.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal

import av
from av.packet import Packet

from vsrcli.captions import MAX_TRIPLETS, TRIPLET_BYTES
from vsrcli.encode.encoders import find_codec
from vsrcli.errors import OutputError

Standard = Literal["h264", "hevc", "mpeg2video", "av1"]

_STANDARDS: dict[str, Standard] = {
    "h264": "h264",
    "hevc": "hevc",
    "mpeg2video": "mpeg2video",
    "av1": "av1",
}
_START_CODE = b"\x00\x00\x01"
# Country (United States) and provider (ATSC).
_ATSC = b"\xb5\x00\x31"
# Identifier, and the kind: cc_data.
_CC_DATA = b"GA94\x03"
_PROCESS_CC_DATA = 0x40
_MARKER = b"\xff"
_MARKER_BITS = 0xF8
_REGISTERED_USER_DATA = 4
_STOP_BIT = b"\x80"
# AV1: types of units (OBUs), the flags in their headers, and the type of metadata.
_FRAME_HEADER = 3
_METADATA = 5
_FRAME = 6
_HAS_SIZE = 2
_HAS_EXTENSION = 4
_METADATA_T35 = b"\x04"
# Within a unit, two zeros and one of these would look like a start code.
_FORBIDDEN = re.compile(b"\x00\x00(?=[\x00-\x03])")


def caption_standard(codec: str) -> Standard | None:
    """The standard by which the packets of an encoder hold closed captions; None if they do not.

    Args:
        codec: FFmpeg's name of the encoder.

    Raises:
        OutputError: there is none of that name.
    """
    return _STANDARDS.get(find_codec(codec).canonical_name)


def with_captions(
    packet: Packet[Any],
    captions: bytes,
    standard: Standard,
) -> Packet[Any]:
    """A packet with closed captions.

    Args:
        packet: one frame, as an encoder gives it: units behind start codes, or for AV1 with sizes.
        captions: triplets of cc_data; more than the standard gives one frame go into several
            messages.
        standard: of the packet.

    Returns:
        A new packet with the same times and side data.

    Raises:
        OutputError: the packet is not made of such units.
    """
    content = bytes(packet)
    place = _place_of_picture(content, standard)
    if place is None:
        raise OutputError(
            "the encoder writes packets that closed captions cannot be put into: "
            "omit the -e option that changes their form"
        )
    units = _units_of(captions, content, place, standard)
    changed: Any = av.Packet(content[:place] + units + content[place:])
    changed.pts = packet.pts
    changed.dts = packet.dts
    changed.duration = packet.duration
    changed.time_base = packet.time_base
    changed.stream = packet.stream
    changed.is_keyframe = packet.is_keyframe
    for side_data in packet.iter_sidedata():
        changed.set_sidedata(side_data)
    return changed  # type: ignore[no-any-return]


def _place_of_picture(content: bytes, standard: Standard) -> int | None:
    """Where the first slice or frame begins, start code included; None if there is none."""
    if standard == "av1":
        return _place_of_frame(content)
    if not content.startswith((_START_CODE, b"\x00" + _START_CODE)):
        return None
    place = content.find(_START_CODE)
    while place >= 0:
        header = content[place + 3 : place + 4]
        if header and _is_slice(header[0], standard):
            has_long_code = content[place - 1 : place] == b"\x00"
            return place - has_long_code
        place = content.find(_START_CODE, place + 3)
    return None


def _place_of_frame(content: bytes) -> int | None:
    """The same for AV1."""
    place = 0
    while place < len(content):
        header = content[place]
        if header >> 3 & 0xF in (_FRAME_HEADER, _FRAME):
            return place
        if not header & _HAS_SIZE:
            return None
        size_at = place + 2 if header & _HAS_EXTENSION else place + 1
        size = 0
        for number, byte in enumerate(content[size_at : size_at + 8]):
            size |= (byte & 0x7F) << 7 * number
            if byte < 0x80:
                size_at += number + 1
                break
        place = size_at + size
    return None


def _is_slice(header: int, standard: Standard) -> bool:
    """Whether the first byte of a unit is that of a part of a picture."""
    if standard == "h264":
        return 1 <= header & 0x1F <= 5
    if standard == "hevc":
        return header >> 1 & 0x3F < 32
    return 0x01 <= header <= 0xAF


def _units_of(
    captions: bytes,
    content: bytes,
    place: int,
    standard: Standard,
) -> bytes:
    """The units that go before the first slice, which begins at ``place``."""
    if standard == "mpeg2video":
        units = [
            _START_CODE + b"\xb2" + data for data in _without_start_codes(captions)
        ]
        return b"".join(units)
    if standard == "av1":
        return b"".join(_metadata_unit(data) for data in _user_data(captions))
    header = b"\x06"
    if standard == "hevc":
        # prefix SEI, of the temporal layer that the picture is in
        slice_header = content.index(_START_CODE, place) + 3
        header = bytes([39 << 1, content[slice_header + 1] & 7])
    messages = b""
    for data in _user_data(captions):
        payload = _ATSC + data
        messages += bytes([_REGISTERED_USER_DATA, len(payload)]) + payload
    unit = _FORBIDDEN.sub(b"\x00\x00\x03", header + messages + _STOP_BIT)
    return b"\x00" + _START_CODE + unit


def _metadata_unit(data: bytes) -> bytes:
    content = _METADATA_T35 + _ATSC + data + _STOP_BIT
    header = bytes([_METADATA << 3 | _HAS_SIZE, len(content)])
    return header + content


def _user_data(captions: bytes) -> Iterator[bytes]:
    size = MAX_TRIPLETS * TRIPLET_BYTES
    for begin in range(0, len(captions), size):
        part = captions[begin : begin + size]
        flags = bytes([_PROCESS_CC_DATA | len(part) // TRIPLET_BYTES])
        yield _CC_DATA + flags + _MARKER + part + _MARKER


def _without_start_codes(captions: bytes) -> Iterator[bytes]:
    """User data with all marker bits set: in MPEG-2 nothing else keeps start codes out."""
    marked = bytearray(captions)
    marked[::TRIPLET_BYTES] = bytes(
        byte | _MARKER_BITS for byte in marked[::TRIPLET_BYTES]
    )
    return _user_data(bytes(marked))
