"""Which streams of a file are encrypted: FFmpeg decodes these to gray pictures and to noise.

MP4 says so with each packet (ISO/IEC 23001-7), Matroska in the description of a track, MPEG-TS in
the header of each of its packets. Only the first is known to PyAV, so the others are read here.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from av.container import InputContainer
from av.packet import Packet

from vsrcli.containers.table import MATROSKA_DEMUXER
from vsrcli.decode.stream_header import SEGMENT, TRACK_ENTRY, TRACKS, elements
from vsrcli.errors import InputError
from vsrcli.frame import VideoInfo
from vsrcli.timing import cut_time

# What the user is told of encrypted video.
ENCRYPTED = "its video is encrypted (copy protection): vsr needs a copy that plays without a key"
_TS_DEMUXER = "mpegts"
_MATROSKA_KEY_TAG = "enc_key_id"
# Element numbers of Matroska (RFC 9559).
_CONTENT_ENCODINGS = 0x6D80
_CONTENT_ENCODING = 0x6240
_CONTENT_ENCRYPTION = 0x5035
# MP4's kind of an encrypted video track, and of the box that says how (ISO/IEC 14496-12).
_MP4_ENCRYPTED_VIDEO = b"encv"
_MP4_PROTECTION = b"sinf"
# Enough for the description of the tracks, and for some packets of each stream.
_MAX_BYTES_READ = 1 << 21
# ISO/IEC 13818-1: bytes of a packet, plain, with a timestamp before it, with a checksum behind it.
_TS_PACKET_BYTES = (188, 192, 204)
_TS_SYNC = 0x47
_TS_HEADER_BYTES = 4
_TS_SCRAMBLED = 0xC0
_TS_HAS_PAYLOAD = 0x10
_TS_CHECKED_PACKETS = 5


def is_encrypted(packet: Packet[Any]) -> bool:
    """Whether MP4 says of a packet that it is encrypted."""
    return packet.has_sidedata("encryption_info")


def is_encrypted_mp4(path: Path) -> bool:
    """Whether a file that FFmpeg cannot open has an encrypted video track of MP4."""
    with path.open("rb") as file:
        beginning = file.read(_MAX_BYTES_READ)
    return _MP4_ENCRYPTED_VIDEO in beginning and _MP4_PROTECTION in beginning


def check_clear(packet: Packet[Any], info: VideoInfo) -> None:
    """Refuse a packet of the video that is encrypted, after others that were not.

    Raises:
        InputError: it is.
    """
    if not is_encrypted(packet):
        return
    cut = cut_time((packet.pts or 0) * info.time_base - info.start)
    raise InputError(
        f"{info.path}: its video is encrypted (copy protection) from {cut} s on: "
        f"--end {cut} takes what comes before"
    )


def encrypted_streams(container: InputContainer, path: Path) -> set[int]:
    """Indices of the streams that are encrypted by what Matroska or MPEG-TS say.

    Args:
        container: the file, opened.
        path: the file; a pipe's content is not read here.
    """
    encrypted = {
        stream.index
        for stream in container.streams
        if _MATROSKA_KEY_TAG in stream.metadata
    }
    name = container.format.name
    if not path.is_file() or not (MATROSKA_DEMUXER in name or name == _TS_DEMUXER):
        return encrypted
    with path.open("rb") as file:
        beginning = file.read(_MAX_BYTES_READ)
    if name == _TS_DEMUXER:
        scrambled = _scrambled_programs(beginning)
        return {stream.index for stream in container.streams if stream.id in scrambled}
    return encrypted | _encrypted_tracks(beginning)


def _encrypted_tracks(data: bytes) -> set[int]:
    """Numbers of the Matroska tracks, from zero, whose packets are encrypted."""
    tracks: list[bytes] = []
    for description in _inside(_inside([data], SEGMENT), TRACKS):
        tracks += _inside([description], TRACK_ENTRY)
    encrypted = set()
    for number, track in enumerate(tracks):
        encodings = _inside(_inside([track], _CONTENT_ENCODINGS), _CONTENT_ENCODING)
        if _inside(encodings, _CONTENT_ENCRYPTION):
            encrypted.add(number)
    return encrypted


def _inside(contents: list[bytes], wanted: int) -> list[bytes]:
    """The contents of the elements of that number in some others."""
    return [
        content
        for outer in contents
        for number, content in elements(outer)
        if number == wanted
    ]


def _scrambled_programs(data: bytes) -> set[int]:
    """Identifiers (PID) of MPEG-TS of which no packet is in the clear."""
    size, first = _ts_packets(data)
    scrambled: Counter[int] = Counter()
    clear: Counter[int] = Counter()
    for start in range(first, len(data) - _TS_HEADER_BYTES, size):
        sync, high, low, flags = data[start : start + _TS_HEADER_BYTES]
        if sync != _TS_SYNC or not flags & _TS_HAS_PAYLOAD:
            continue
        pid = (high & 0x1F) << 8 | low
        counter = scrambled if flags & _TS_SCRAMBLED else clear
        counter[pid] += 1
    return set(scrambled) - set(clear)


def _ts_packets(data: bytes) -> tuple[int, int]:
    """Bytes of a packet of MPEG-TS, and where the first one begins."""
    for size in _TS_PACKET_BYTES:
        for first in range(size):
            places = range(first, first + _TS_CHECKED_PACKETS * size, size)
            if all(data[place : place + 1] == bytes([_TS_SYNC]) for place in places):
                return size, first
    return _TS_PACKET_BYTES[0], 0
