"""Clips with closed captions, and what plain PyAV reads of them."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from clips import texture

PADDING = b"\xfa\x00\x00"
_START = b"\x00\x00\x01"


def numbered(frame: int, count: int = 3) -> bytes:
    """Captions that tell their frame: both fields of CEA-608, CEA-708, and padding at the end."""
    kinds = (0xFC, 0xFD, 0xFF, *(count - 3) * (0xFE,))
    data = bytes([frame >> 8, frame & 255])
    return b"".join(bytes([kind]) + data for kind in kinds[:count]) + PADDING


def write_captioned(
    path: Path,
    captions: list[bytes],
    *,
    rate: int = 30,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    is_still: bool = False,
    rotation: int = 0,
) -> Path:
    """Encode a moving pattern of 64x48 pixels whose frames come with these captions."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate, options=options or {})
        stream.width = 64
        stream.height = 48
        stream.pix_fmt = pix_fmt
        stream.codec_context.gop_size = 8
        if rotation:
            stream.set_display_rotation(rotation)
        packets = []
        for number in range(len(captions)):
            content = texture(0 if is_still else number, (64, 48))
            picture = av.VideoFrame.from_ndarray(content, format="gray")
            picture = picture.reformat(format=pix_fmt)
            picture.pts = number
            picture.time_base = Fraction(1, rate)
            packets += stream.encode(picture)
        packets += stream.encode(None)
        for packet in packets:
            number = round(packet.pts * packet.time_base * rate)
            content = _with_message(bytes(packet), captions[number], codec)
            changed: Any = av.Packet(content)
            changed.pts = packet.pts
            changed.dts = packet.dts
            changed.time_base = packet.time_base
            changed.is_keyframe = packet.is_keyframe
            changed.stream = stream
            container.mux(changed)
    return path


def _with_message(content: bytes, captions: bytes, codec: str) -> bytes:
    """An encoded frame with a message before its first slice."""
    if not captions:
        return content
    data = b"GA94\x03" + bytes([0x40 | len(captions) // 3, 0xFF]) + captions + b"\xff"
    if codec == "mpeg2video":
        place = re.search(rb"\x00\x00\x01[\x01-\xaf]", content)
        assert place is not None
        unit = _START + b"\xb2" + data
    else:
        payload = b"\xb5\x00\x31" + data
        first_slice = rb"[\x01\x21\x41\x61\x25\x45\x65]"
        header = b"\x06"
        if codec == "libx265":
            first_slice = rb"[\x00-\x3e]"
            header = b"\x4e\x01"
        place = re.search(rb"\x00\x00\x01" + first_slice, content)
        assert place is not None
        unit = header + b"\x04" + bytes([len(payload)]) + payload + b"\x80"
        unit = _START + re.sub(rb"\x00\x00(?=[\x00-\x03])", b"\x00\x00\x03", unit)
    return content[: place.start()] + unit + content[place.start() :]


def write_caption_track(path: Path, frames: int) -> Path:
    """A video of QuickTime with CEA-608 as a track of its own; its last packet has no length."""
    rate = 30
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=rate)
        stream.width = 64
        stream.height = 48
        stream.pix_fmt = "yuv420p"
        track: Any = container.add_mux_stream("eia_608")
        for number in range(frames):
            picture = av.VideoFrame.from_ndarray(texture(number, (64, 48)), "gray")
            container.mux(stream.encode(picture.reformat(format="yuv420p")))
            packet: Any = av.Packet(numbered(number)[:3])
            packet.stream = track
            packet.time_base = Fraction(1, rate)
            packet.pts = packet.dts = number
            packet.duration = int(number < frames - 1)
            container.mux(packet)
        container.mux(stream.encode(None))
    # its edit list hides that packet: let it show a second more
    content = path.read_bytes()
    place = content.rindex(b"elst") + 12
    shown = int.from_bytes(content[place : place + 4], "big") + 1000
    path.write_bytes(content[:place] + shown.to_bytes(4, "big") + content[place + 4 :])
    return path


def captions_in(path: Path) -> list[bytes]:
    """The captions of each frame, in order."""
    with av.open(str(path)) as container:
        return [_captions_of(frame) for frame in container.decode(video=0)]


def _captions_of(frame: Any) -> bytes:
    return b"".join(
        bytes(item) for item in frame.side_data if item.type.name == "A53_CC"
    )


def channels(captions: list[bytes]) -> tuple[bytes, bytes, bytes]:
    """All that the two fields of CEA-608 and CEA-708 hold, without padding."""
    found = (bytearray(), bytearray(), bytearray())
    triplets = np.frombuffer(b"".join(captions), np.uint8).reshape(-1, 3)
    for first, *data in triplets.tolist():
        if first & 4:
            found[min(first & 3, 2)].extend([first & 7, *data])
    first_field, second_field, cea_708 = (bytes(channel) for channel in found)
    return first_field, second_field, cea_708
