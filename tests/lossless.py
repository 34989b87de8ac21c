"""A lossless run in segments, and what two of its outputs are compared by."""

from __future__ import annotations

import zlib
from fractions import Fraction
from pathlib import Path

import av

from vsrcli.decode.probe import probe
from vsrcli.decode.reader import VideoReader
from vsrcli.options import EncoderOptions, UpscaleOptions

LOSSLESS = UpscaleOptions(segment=0.3, encoder=EncoderOptions(codec="ffv1"))

Content = list[tuple[Fraction, Fraction, list[int]]]
PacketTimes = tuple[int, Fraction, Fraction, Fraction]


def content(path: Path) -> Content:
    """Time, duration and checksums of the planes of every decoded frame."""
    found = []
    with VideoReader(probe(path)) as reader:
        for frame in reader:
            sums = [zlib.crc32(plane.tobytes()) for plane in frame.planes]
            found.append((frame.time, frame.duration, sums))
    return found


def packets(path: Path) -> list[PacketTimes]:
    """Stream, times of presentation and decoding, and duration of every packet, sorted."""
    found = []
    with av.open(str(path)) as container:
        for packet in container.demux():
            if not packet.size or packet.time_base is None:
                continue
            if packet.pts is None or packet.dts is None:
                continue
            pts = packet.pts * packet.time_base
            dts = packet.dts * packet.time_base
            duration = (packet.duration or 0) * packet.time_base
            found.append((packet.stream_index, pts, dts, duration))
    return sorted(found)
