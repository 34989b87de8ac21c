"""ADTS, the framing of AAC in transport streams: a header before each frame (ISO/IEC 13818-7)."""

from __future__ import annotations

from typing import Any

from av.packet import Packet

_SYNC = 0xFFF0
_SYNC_MASK = 0xFFF6
_HEADER_BYTES = 7
_HEADER_BYTES_WITH_CRC = 9
_SAMPLING_RATES = 13


def without_header(payload: bytes) -> bytes:
    """A frame of AAC without the header of ADTS; anything else as it is.

    A raw frame of AAC never begins with twelve ones, which would be its end.
    """
    if not _has_header(payload):
        return payload
    has_crc = payload[1] & 1 == 0
    return payload[_HEADER_BYTES_WITH_CRC if has_crc else _HEADER_BYTES :]


def lacks_header(packet: Packet[Any]) -> bool:
    """Whether a packet of AAC is a torn piece: muxers that store raw frames refuse it.

    Such pieces are where a transport stream was cut. Streams of raw frames have a header of their
    own instead.
    """
    context = packet.stream.codec_context
    if context is None or context.name != "aac" or context.extradata:
        return False
    return packet.size > 0 and not _has_header(bytes(packet))


def _has_header(payload: bytes) -> bool:
    if len(payload) < _HEADER_BYTES_WITH_CRC:
        return False
    sync = int.from_bytes(payload[:2], "big") & _SYNC_MASK
    sampling_rate = payload[2] >> 2 & 15
    is_valid = sampling_rate < _SAMPLING_RATES
    return sync == _SYNC and is_valid and _frame_bytes(payload) >= _HEADER_BYTES


def _frame_bytes(payload: bytes) -> int:
    """How long the header says that the frame is."""
    return (payload[3] & 3) << 11 | payload[4] << 3 | payload[5] >> 5
