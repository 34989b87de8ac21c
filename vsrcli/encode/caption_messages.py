"""Closed captions put into encoded video, as messages that decoders give back with the frame.

H.264 and HEVC hold them in SEI messages (ITU-T H.264 and H.265, annex D: user data registered by
ITU-T T.35), AV1 in metadata of the same kind, MPEG-2 in user data of a picture, all with the
content of ATSC A/53, part 4. They are added to the packets of any encoder of these standards, so
that they do not depend on what it supports.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import Any, Literal

import av
from av.packet import Packet

from vsrcli.captions import MAX_TRIPLETS, TRIPLET_BYTES
from vsrcli.encode.encoders import find_codec
from vsrcli.errors import OutputError

Standard = Literal["h264", "hevc", "mpeg2video", "av1"]
# Where a unit begins, and where the header in it does.
_Unit = tuple[int, int]

_STANDARDS: dict[str, Standard] = {
    "h264": "h264",
    "hevc": "hevc",
    "mpeg2video": "mpeg2video",
    "av1": "av1",
}
# Country (United States) and provider (ATSC).
_ATSC = b"\xb5\x00\x31"
# Identifier, and the kind: cc_data.
_CC_DATA = b"GA94\x03"
_PROCESS_CC_DATA = 0x40
_MARKER = b"\xff"
_MARKER_BITS = 0xF8
_STOP_BIT = b"\x80"

# H.264, HEVC and MPEG-2: units come behind start codes; the first two can have sizes instead.
_START_CODE = b"\x00\x00\x01"
_SIZE = struct.Struct(">I")
_H264_SEI = b"\x06"
_HEVC_PREFIX_SEI = 39
_REGISTERED_USER_DATA = 4
_MPEG2_USER_DATA = b"\xb2"
# Within a unit, two zeros and one of these would look like a start code.
_FORBIDDEN = re.compile(b"\x00\x00(?=[\x00-\x03])")

# AV1: types of units, flags of their headers, and the type of metadata.
_FRAMES = (3, 6)
_METADATA = 5
_HAS_SIZE = 2
_HAS_EXTENSION = 4
_METADATA_T35 = b"\x04"


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
        packet: one frame, as an encoder gives it.
        captions: triplets of cc_data; more than the standard gives one frame go into several
            messages.
        standard: of the packet.

    Returns:
        A new packet with the same times and side data.

    Raises:
        OutputError: the packet has another form than the standard's.
    """
    content = bytes(packet)
    place = _place_of_picture(content, standard)
    if place is None:
        raise OutputError(
            "closed captions cannot be put into the packets that the encoder writes: "
            "omit the -e option that changes their form"
        )
    units = _units_of(captions, content, place, standard)
    begin, _ = place
    changed: Any = av.Packet(content[:begin] + units + content[begin:])
    changed.pts = packet.pts
    changed.dts = packet.dts
    changed.duration = packet.duration
    changed.time_base = packet.time_base
    changed.stream = packet.stream
    changed.is_keyframe = packet.is_keyframe
    for side_data in packet.iter_sidedata():
        changed.set_sidedata(side_data)
    return changed  # type: ignore[no-any-return]


def _place_of_picture(content: bytes, standard: Standard) -> _Unit | None:
    """The first unit that is part of a picture; None if there is none."""
    if standard == "av1":
        units = _units_of_av1(content)
    elif _has_sizes(content):
        units = _units_behind_sizes(content)
    else:
        units = _units_behind_start_codes(content)
    for begin, header in units:
        if _is_picture(content[header], standard):
            return begin, header
    return None


def _is_picture(header: int, standard: Standard) -> bool:
    """Whether a unit is part of a picture, by the first byte of its header."""
    match standard:
        case "h264":
            return 1 <= header & 0x1F <= 5
        case "hevc":
            return header >> 1 & 0x3F < 32
        case "mpeg2video":
            return 0x01 <= header <= 0xAF
        case "av1":
            return header >> 3 & 0xF in _FRAMES


def _units_behind_start_codes(content: bytes) -> Iterator[_Unit]:
    place = content.find(_START_CODE)
    while 0 <= place < len(content) - len(_START_CODE):
        has_long_code = content[place - 1 : place] == b"\x00"
        header = place + len(_START_CODE)
        yield place - has_long_code, header
        place = content.find(_START_CODE, header)


def _units_behind_sizes(content: bytes) -> Iterator[_Unit]:
    place = 0
    while place + _SIZE.size < len(content):
        yield place, place + _SIZE.size
        (size,) = _SIZE.unpack_from(content, place)
        place += _SIZE.size + size


def _has_sizes(content: bytes) -> bool:
    """Whether units come behind sizes. One can look like a start code, but not all together."""
    end = 0
    for begin, header in _units_behind_sizes(content):
        (size,) = _SIZE.unpack_from(content, begin)
        end = header + size
    return end == len(content)


def _units_of_av1(content: bytes) -> Iterator[_Unit]:
    place = 0
    while place < len(content):
        yield place, place
        header = content[place]
        if not header & _HAS_SIZE:
            return
        place += 2 if header & _HAS_EXTENSION else 1
        size = 0
        for number, byte in enumerate(content[place : place + 8]):
            size |= (byte & 0x7F) << 7 * number
            if byte < 0x80:
                place += number + 1
                break
        place += size


def _units_of(
    captions: bytes,
    content: bytes,
    place: _Unit,
    standard: Standard,
) -> bytes:
    """The units that go before a picture."""
    if standard == "mpeg2video":
        start = _START_CODE + _MPEG2_USER_DATA
        marked = _with_all_markers(captions)
        return b"".join(start + data for data in _user_data(marked))
    if standard == "av1":
        return b"".join(_av1_metadata(data) for data in _user_data(captions))
    header = _H264_SEI
    if standard == "hevc":
        # of the temporal layer that the picture is in
        _, picture = place
        header = bytes([_HEVC_PREFIX_SEI << 1, content[picture + 1] & 7])
    messages = b""
    for data in _user_data(captions):
        payload = _ATSC + data
        messages += bytes([_REGISTERED_USER_DATA, len(payload)]) + payload
    unit = _FORBIDDEN.sub(b"\x00\x00\x03", header + messages + _STOP_BIT)
    if _has_sizes(content):
        return _SIZE.pack(len(unit)) + unit
    return b"\x00" + _START_CODE + unit


def _user_data(captions: bytes) -> Iterator[bytes]:
    size = MAX_TRIPLETS * TRIPLET_BYTES
    for begin in range(0, len(captions), size):
        part = captions[begin : begin + size]
        flags = bytes([_PROCESS_CC_DATA | len(part) // TRIPLET_BYTES])
        yield _CC_DATA + flags + _MARKER + part + _MARKER


def _av1_metadata(data: bytes) -> bytes:
    content = _METADATA_T35 + _ATSC + data + _STOP_BIT
    header = bytes([_METADATA << 3 | _HAS_SIZE, len(content)])
    return header + content


def _with_all_markers(captions: bytes) -> bytes:
    """The captions with all marker bits set: in MPEG-2 nothing else keeps start codes out."""
    marked = bytearray(captions)
    firsts = marked[::TRIPLET_BYTES]
    marked[::TRIPLET_BYTES] = bytes(byte | _MARKER_BITS for byte in firsts)
    return bytes(marked)
