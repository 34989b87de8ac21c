"""Files of training packs: sequences of gray H.264, copied from an existing pack or encoded.

A sequence is a list of access units, one per frame, as bytes in Annex B form. The first holds its
own headers and an IDR picture, so sequences of different origin can follow one another in a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.bitstream import BitStreamFilterContext
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from vsrcli.clips.roundtrip import describe_gray, gray_encoder, gray_picture
from vsrcli.decode.confined import open_confined
from vsrcli.errors import InputError, OutputError

_RATE = 25  # frames per second; it matters to players only
# Without B-frames and scene cuts, the packets of a sequence are in the order of its frames.
_OPTIONS = {
    "crf": "10",
    "preset": "medium",
    "x264-params": "bframes=0:scenecut=0:mbtree=0:psy=0",
}
# FFmpeg's decoder adds chroma if the stream has none.
_PIXEL_FORMATS = ("gray", "yuvj420p")
_START_CODE = b"\0\0\1"
# Type of the NAL unit with supplemental information: x264's settings as text, 600 bytes a sequence.
_SEI = 6


def encode_sequence(clip: NDArray[np.uint8]) -> list[bytes]:
    """Encode a clip as training packs hold it: H.264, crf 10, one closed group without B-frames.

    Args:
        clip: (T, H, W) uint8, limited-range codes, H and W even.
    """
    _, height, width = clip.shape
    encoder = gray_encoder(height, width, _OPTIONS)
    packets: list[Any] = []
    for number, plane in enumerate(clip):
        packets += encoder.encode(gray_picture(plane, number))
    packets += encoder.encode(None)
    return [without_sei(bytes(packet)) for packet in packets]


def can_copy(file: Path, length: int) -> bool:
    """Whether the packets of a pack can be copied: gray full-range H.264 in groups of ``length``.

    Args:
        file: a pack's video file.
        length: frames per sequence.
    """
    try:
        with open_confined(file) as container:
            stream = container.streams.video[0]
            if not _is_gray_h264(stream.codec_context):
                return False
            previous_pts: int | None = None
            for number, packet in enumerate(_packets(container, stream)):
                begins_sequence = number % length == 0
                if begins_sequence and not packet.is_keyframe:
                    return False
                if packet.pts is None:
                    return False
                if previous_pts is not None and packet.pts <= previous_pts:
                    return False
                previous_pts = packet.pts
    except (av.FFmpegError, IndexError):
        return False
    return True


def _is_gray_h264(context: Any) -> bool:
    if context.name != "h264" or context.pix_fmt not in _PIXEL_FORMATS:
        return False
    return bool(context.color_range == ColorRange.JPEG)


def _packets(container: Any, stream: Any) -> Iterator[Any]:
    """The packets of a stream, without the empty one at its end."""
    return (packet for packet in container.demux(stream) if packet.size)


def copy_sequences(
    file: Path,
    numbers: Sequence[int],
    length: int,
) -> list[list[bytes]]:
    """Copy the packets of sequences, without decoding them.

    Args:
        file: a pack's video file that ``can_copy`` accepts.
        numbers: which sequences, from 0, in any order.
        length: frames per sequence.

    Raises:
        InputError: the file cannot be read, or ends before them.
    """
    sequences: dict[int, list[bytes]] = {number: [] for number in numbers}
    try:
        with open_confined(file) as container:
            stream = container.streams.video[0]
            to_annex_b = BitStreamFilterContext("h264_mp4toannexb", stream)
            for place, packet in enumerate(_packets(container, stream)):
                # The filter repeats the headers at each IDR picture, so it must see all packets.
                units = b"".join(bytes(part) for part in to_annex_b.filter(packet))
                number = place // length
                if number in sequences:
                    sequences[number].append(units)
    except av.FFmpegError as error:
        raise InputError(
            f"{file}: cannot be read ({error}); copy the training pack again"
        ) from error
    for number, units_of_frames in sequences.items():
        if len(units_of_frames) != length:
            raise InputError(
                f"{file}: ends before sequence {number}; copy the training pack again"
            )
    return [sequences[number] for number in numbers]


def write_sequences(
    target: Path,
    height: int,
    width: int,
    sequences: Iterable[Sequence[bytes]],
) -> None:
    """Write the video file of a pack.

    Args:
        target: an mp4 file.
        height: of every frame, pixels.
        width: of every frame, pixels.
        sequences: access units from ``encode_sequence`` or ``copy_sequences``.

    Raises:
        OutputError: the file cannot be written.
    """
    try:
        with av.open(str(target), "w", format="mp4") as container:
            # This encoder gets no frames: the muxer takes the file's headers from it.
            stream: Any = container.add_stream("libx264", rate=_RATE, options=_OPTIONS)
            describe_gray(stream.codec_context, height, width)
            stream.time_base = Fraction(1, _RATE)
            number = 0
            for sequence in sequences:
                for place, units in enumerate(sequence):
                    packet = av.Packet(units)
                    packet.stream = stream
                    packet.time_base = Fraction(1, _RATE)
                    packet.pts = number
                    packet.dts = number
                    packet.duration = 1
                    packet.is_keyframe = place == 0
                    container.mux(packet)
                    number += 1
    except OSError as error:  # includes FFmpeg's errors with an errno
        reason = error.strerror or error
        raise OutputError(
            f"{target}: cannot be written ({reason}); check its free space"
        ) from error
    except av.FFmpegError as error:
        raise OutputError(
            f"{target}: cannot be encoded ({error}); "
            "this PyAV may lack libx264: reinstall av"
        ) from error


def without_sei(units: bytes) -> bytes:
    """Access units in Annex B form without their supplemental information, which changes no frame.

    Args:
        units: NAL units, each after a start code.
    """
    kept = []
    start = units.find(_START_CODE)
    while start >= 0:
        payload = start + len(_START_CODE)
        following = units.find(_START_CODE, payload)
        end = following if following >= 0 else len(units)
        # a unit never ends in a zero: that is the first byte of the next start code
        unit = units[payload:end].rstrip(b"\0")
        if unit and unit[0] & 31 != _SEI:
            kept.append(b"\0" + _START_CODE + unit)
        start = following
    return b"".join(kept)
