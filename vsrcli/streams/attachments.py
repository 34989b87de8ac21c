"""Attached files and cover pictures, carried byte for byte."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import OutputContainer
from av.packet import Packet
from av.stream import AttachmentStream, Stream

from vsrcli.containers.table import Container
from vsrcli.decode.input_file import open_input

_UNKNOWN_TYPE = "application/octet-stream"
# MIME type and file name of a cover picture, by its codec's canonical name.
_COVER_TYPES = {
    "mjpeg": ("image/jpeg", "cover.jpg"),
    "png": ("image/png", "cover.png"),
    "webp": ("image/webp", "cover.webp"),
    "bmp": ("image/bmp", "cover.bmp"),
}
_COVER_UNIT = Fraction(1, 90_000)


def add_file(stream: AttachmentStream, output: OutputContainer) -> None:
    """Add an attached file of the source to an output whose header is not written yet."""
    output.add_attachment(
        stream.name or f"attachment{stream.index}",
        stream.mimetype or _UNKNOWN_TYPE,
        bytes(stream.data),
    )


def add_cover(
    path: Path,
    stream: Stream,
    codec: str,
    output: OutputContainer,
    container: Container,
) -> Packet[Any] | None:
    """Add a cover picture to an output whose header is not written yet.

    Args:
        path: the source.
        stream: the cover in it.
        codec: canonical name of the picture's codec.
        output: the file.
        container: what kind it is.

    Returns:
        The packet to be written after the header; None where the cover becomes an attachment.
    """
    picture = _read_cover(path, stream.index)
    if container.covers == "attachment":
        mime_type, name = _COVER_TYPES.get(codec, (_UNKNOWN_TYPE, "cover"))
        output.add_attachment(
            stream.metadata.get("filename", name),
            stream.metadata.get("mimetype", mime_type),
            picture,
        )
        return None
    copy = output.add_stream_from_template(stream)
    copy.disposition = stream.disposition
    packet: Packet[Any] = av.Packet(picture)
    packet.stream = copy
    packet.time_base = copy.time_base or _COVER_UNIT
    return packet


def _read_cover(path: Path, index: int) -> bytes:
    with open_input(path) as source:
        for packet in source.demux(source.streams[index]):
            if packet.size:
                return bytes(packet)
    return b""
