"""Sources that change in the middle, are packed as in AVI, or are damaged, made with PyAV."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from clips import texture

_VOP = b"\0\0\1\xb6"
_P_PICTURE = 1
_B_PICTURE = 2
# Of its time, a picture of MPEG-4 at 25 frames a second says so many bits.
_TIME_BITS = 5


@dataclass
class Part:
    """Some frames of one encoder."""

    frames: int = 10
    size: tuple[int, int] = (64, 48)
    pix_fmt: str = "yuv420p"
    aspect: Fraction = Fraction(1)
    matrix: int = 2
    options: dict[str, str] = field(default_factory=dict)


def join(
    path: Path,
    parts: list[Part],
    *,
    codec: str,
    rate: int = 25,
    gop: int = 8,
    pictures: Callable[[int, tuple[int, int]], Any] = texture,
) -> Path:
    """Write parts one after the other into one stream, each with headers of its own in the stream.

    Args:
        path: the file.
        parts: what to write.
        codec: the encoder.
        rate: frames per second.
        gop: distance of keyframes.
        pictures: luma codes of a frame, by its number and size.
    """
    unit = Fraction(1, rate)
    first = 0
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream(codec, rate=rate)
        stream.width, stream.height = parts[0].size
        stream.pix_fmt = parts[0].pix_fmt
        stream.time_base = unit
        for part in parts:
            for packet in _encode(part, codec, rate, gop, pictures, first):
                packet.pts += first
                packet.dts = None if packet.dts is None else packet.dts + first
                packet.stream = stream
                packet.time_base = unit
                out.mux(packet)
            first += part.frames
    return path


def _encode(
    part: Part,
    codec: str,
    rate: int,
    gop: int,
    pictures: Callable[[int, tuple[int, int]], Any],
    first: int,
) -> list[Any]:
    context: Any = av.CodecContext.create(codec, "w")
    context.width, context.height = part.size
    context.pix_fmt = part.pix_fmt
    context.time_base = Fraction(1, rate)
    context.framerate = Fraction(rate)
    context.gop_size = gop
    context.sample_aspect_ratio = part.aspect
    context.colorspace = part.matrix
    context.options = part.options
    packets = []
    for number in range(part.frames):
        picture = av.VideoFrame(*part.size, part.pix_fmt)
        for plane in picture.planes:
            plane.update(bytes([128]) * plane.buffer_size)
        luma = picture.planes[0]
        width, height = part.size
        rows: Any = np.ndarray((height, luma.line_size), np.uint8, memoryview(luma))
        rows[:, :width] = pictures(first + number, part.size)
        picture.pts = number
        packets += context.encode(picture)
    return packets + list(context.encode(None))


def packed_avi(path: Path, frames: int = 21) -> Path:
    """MPEG-4 with B-frames, packed as DivX and XviD do.

    A B-frame is in the packet of the P-frame before it; an empty picture stands in its place.
    """
    part = Part(frames=frames, options={"bf": "1", "b_strategy": "0", "q": "3"})
    payloads = [
        bytes(packet) for packet in _encode(part, "mpeg4", 25, 10, texture, first=0)
    ]
    begin = payloads[0].index(_VOP)
    banner = b"\0\0\1\xb2DivX503b1393p\0"
    payloads[0] = payloads[0][:begin] + banner + payloads[0][begin:]
    packets = []
    number = 0
    while number < len(payloads):
        payload = payloads[number]
        following = payloads[number + 1] if number + 1 < len(payloads) else b""
        is_pair = _kind(payload) == _P_PICTURE and _kind(following) == _B_PICTURE
        if is_pair:
            packets += [payload + following, _empty_picture(payload)]
        else:
            packets.append(payload)
        number += 2 if is_pair else 1
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("mpeg4", rate=25)
        stream.width, stream.height = part.size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.codec_tag = "XVID"
        for place, payload in enumerate(packets):
            packet = av.Packet(payload)
            packet.pts = packet.dts = place
            packet.time_base = Fraction(1, 25)
            packet.is_keyframe = _kind(payload) == 0
            packet.stream = stream
            out.mux(packet)
    return path


def _kind(payload: bytes) -> int | None:
    """What the first picture of a packet is: 0 for an I-frame."""
    place = payload.find(_VOP)
    return None if place < 0 else payload[place + 4] >> 6


def _empty_picture(p_picture: bytes) -> bytes:
    """A picture that says it is not coded, at the time of another one."""
    begin = p_picture.index(_VOP) + len(_VOP)
    bits = "".join(f"{byte:08b}" for byte in p_picture[begin : begin + 3])
    whole_seconds = bits.index("0", 2) + 1
    header = bits[: whole_seconds + 1 + _TIME_BITS] + "10" + "0"
    header += "1" * (-len(header) % 8)
    content = bytes(
        int(header[place : place + 8], 2) for place in range(0, len(header), 8)
    )
    return _VOP + content


def copied(source: Path, target: Path, *, damaged: int | None = None) -> Path:
    """Copy the packets of a video into another container.

    Args:
        source: the file.
        target: the new one.
        damaged: number of a packet, from the end if negative, that is made undecodable.
    """
    with av.open(str(source)) as file, av.open(str(target), "w") as out:
        video = file.streams.video[0]
        stream = out.add_stream_from_template(video)
        packets = [packet for packet in file.demux(video) if packet.size]
        for number, packet in enumerate(packets):
            if damaged is not None and number == damaged % len(packets):
                broken: Any = av.Packet(b"\xff" * 8 + bytes(packet)[8:])
                broken.pts = packet.pts
                broken.dts = packet.dts
                broken.duration = packet.duration
                broken.time_base = packet.time_base
                broken.is_keyframe = packet.is_keyframe
                packet = broken
            packet.stream = stream
            out.mux(packet)
    return target
