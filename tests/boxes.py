"""Files whose headers say more than PyAV can write: Matroska elements and MP4 boxes put in."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

_SEGMENT = 0x18538067
_TRACKS = 0x1654AE6B
_TRACK_ENTRY = 0xAE
_VIDEO = 0xE0
# An index and a list of places, which would be wrong afterwards.
_DROPPED = (0x114D9B74, 0x1C53BB6B)
_NESTED_BOXES = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
_STSD_HEAD_BYTES = 8


def element(number: int, content: bytes | int) -> bytes:
    """A Matroska element; an integer is stored in four bytes."""
    if isinstance(content, int):
        content = content.to_bytes(4, "big")
    name = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return name + (len(content) | 1 << 56).to_bytes(8, "big") + content


def with_elements(
    path: Path,
    target: Path,
    *,
    video: bytes = b"",
    tracks: tuple[bytes, ...] = (),
) -> Path:
    """Copy a Matroska file with more elements.

    Args:
        path: the file.
        target: the copy.
        video: put into the description of the picture.
        tracks: put into the descriptions of the tracks, in their order.
    """
    left = list(tracks)

    def changed(number: int, content: bytes) -> bytes:
        if number in _DROPPED:
            return b""
        if number in (_SEGMENT, _TRACKS, _TRACK_ENTRY):
            content = b"".join(changed(*each) for each in _elements(content))
            if number == _TRACK_ENTRY and left:
                content += left.pop(0)
        elif number == _VIDEO:
            content += video
        return element(number, content)

    parts = [changed(*each) for each in _elements(path.read_bytes())]
    target.write_bytes(b"".join(parts))
    return target


def with_box(path: Path, target: Path, entry: bytes, box: bytes) -> Path:
    """Copy an MP4 file whose index is at its end, with one more box in a sample entry.

    Args:
        path: the file.
        target: the copy.
        entry: kind of the sample entry, such as ``b"avc1"``.
        box: what is added to it.
    """

    def changed(kind: bytes, content: bytes) -> bytes:
        if kind in _NESTED_BOXES:
            content = b"".join(changed(*each) for each in _boxes(content))
        elif kind == b"stsd":
            entries = b"".join(
                box_of(name, inner + box if name == entry else inner)
                for name, inner in _boxes(content[_STSD_HEAD_BYTES:])
            )
            content = content[:_STSD_HEAD_BYTES] + entries
        return box_of(kind, content)

    boxes = [changed(*each) for each in _boxes(path.read_bytes())]
    target.write_bytes(b"".join(boxes))
    return target


def box_of(kind: bytes, content: bytes) -> bytes:
    """An MP4 box."""
    return struct.pack(">I", len(content) + 8) + kind + content


def scrambled(data: bytes, pids: set[int]) -> bytes:
    """MPEG-TS with some streams scrambled.

    Args:
        data: packets of 188 bytes.
        pids: of the streams.
    """
    changed = bytearray(data)
    for start in range(0, len(changed), 188):
        pid = (changed[start + 1] & 31) << 8 | changed[start + 2]
        if pid not in pids:
            continue
        begin = start + 4
        if changed[start + 3] & 0x20:
            begin += 1 + changed[start + 4]
        changed[start + 3] |= 0x80
        for place in range(begin, start + 188):
            changed[place] ^= 0x5A + place % 7
    return bytes(changed)


def edit_packets(
    path: Path, target: Path, change: Callable[[int, bytes], bytes]
) -> Path:
    """Copy the only stream of a file, with other packets.

    Args:
        path: the file.
        target: the copy; its ending names the container.
        change: gets number and content of each packet, and gives what takes its place.
    """
    import av

    with av.open(str(path)) as source, av.open(str(target), "w") as output:
        stream = source.streams.video[0]
        copy = output.add_stream_from_template(stream)
        for number, packet in enumerate(source.demux(stream)):
            if not packet.size:
                continue
            edited = av.Packet(change(number, bytes(packet)))
            edited.pts = packet.pts
            edited.dts = packet.dts
            edited.duration = packet.duration
            edited.time_base = packet.time_base
            edited.is_keyframe = packet.is_keyframe
            edited.stream = copy
            output.mux(edited)
    return target


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(data):
        length = 9 - data[position].bit_length()
        number = int.from_bytes(data[position : position + length], "big")
        position += length
        length = 9 - data[position].bit_length()
        size = int.from_bytes(data[position : position + length], "big")
        size -= 1 << 7 * length
        position += length
        yield number, data[position : position + size]
        position += size


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 0
    while position < len(data):
        (size,) = struct.unpack(">I", data[position : position + 4])
        yield data[position + 4 : position + 8], data[position + 8 : position + size]
        position += size
