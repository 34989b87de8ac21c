"""Files of training packs: sequences of gray H.264, copied from a pack that exists or encoded.

A sequence is a list of access units, one a frame, as bytes in Annex B form. The first holds its own
headers and an IDR picture, so sequences of different origin can follow one another in one file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.bitstream import BitStreamFilterContext
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from vsrcli.clips.roundtrip import describe_gray, gray_encoder, gray_picture
from vsrcli.errors import InputError, OutputError

_RATE = 25  # frames a second; only players mind it
# without B-frames and scene cuts the packets of a sequence stand in the order of its frames
_OPTIONS = {
    "crf": "10",
    "preset": "medium",
    "x264-params": "bframes=0:scenecut=0:mbtree=0:psy=0",
}
# FFmpeg's decoder adds chroma where the stream has none
_PIXEL_FORMATS = ("gray", "yuvj420p")
_START_CODE = b"\0\0\1"
_SEI = 6  # type of NAL unit: x264's text on its settings, 600 bytes a sequence


def encode_sequence(clip: NDArray[np.uint8]) -> list[bytes]:
    """Encode a clip as training packs hold it: H.264, crf 10, one closed group without B-frames.

    Args:
        clip: (T, H, W) uint8, limited-range codes, H and W even.
    """
    encoder = gray_encoder(clip.shape[1], clip.shape[2], _OPTIONS)
    packets: list[Any] = []
    for number, plane in enumerate(clip):
        packets += encoder.encode(gray_picture(plane, number))
    packets += encoder.encode(None)
    return [without_sei(bytes(packet)) for packet in packets]


def can_copy(file: Path, length: int) -> bool:
    """Whether the packets of a pack can be copied: gray full-range H.264 in groups of ``length``.

    Args:
        file: a pack's video file.
        length: frames a sequence.
    """
    try:
        with av.open(str(file)) as container:
            stream = container.streams.video[0]
            context = stream.codec_context
            if context.name != "h264" or context.pix_fmt not in _PIXEL_FORMATS:
                return False
            if context.color_range != ColorRange.JPEG:
                return False
            shown: int | None = None
            packets = (packet for packet in container.demux(stream) if packet.size)
            for number, packet in enumerate(packets):
                if number % length == 0 and not packet.is_keyframe:
                    return False
                if packet.pts is None or (shown is not None and packet.pts <= shown):
                    return False
                shown = packet.pts
    except (av.FFmpegError, IndexError):
        return False
    return True


def copy_sequences(file: Path, chosen: Sequence[int], length: int) -> list[list[bytes]]:
    """Copy the packets of sequences, without decoding them.

    Args:
        file: a pack's video file that ``can_copy`` accepts.
        chosen: which sequences, from 0, in any order.
        length: frames a sequence.

    Raises:
        InputError: the file cannot be read, or ends before them.
    """
    wanted = set(chosen)
    found: dict[int, list[bytes]] = {sequence: [] for sequence in wanted}
    try:
        with av.open(str(file)) as container:
            stream = container.streams.video[0]
            to_annex_b = BitStreamFilterContext("h264_mp4toannexb", stream)
            packets = (packet for packet in container.demux(stream) if packet.size)
            for number, packet in enumerate(packets):
                sequence = number // length
                # the filter repeats the headers at each IDR picture
                units = b"".join(bytes(part) for part in to_annex_b.filter(packet))
                if sequence in wanted:
                    found[sequence].append(units)
    except av.FFmpegError as error:
        message = f"{file}: cannot be read ({error}); copy the training pack again"
        raise InputError(message) from error
    for sequence, packets_of_it in found.items():
        if len(packets_of_it) != length:
            message = (
                f"{file}: ends before sequence {sequence}; copy the training pack again"
            )
            raise InputError(message)
    return [found[sequence] for sequence in chosen]


def write_sequences(
    target: Path, height: int, width: int, sequences: Iterable[Sequence[bytes]]
) -> None:
    """Write the video file of a pack.

    Args:
        target: an mp4 file.
        height: of every frame, pixels.
        width: of every frame, pixels.
        sequences: access units as ``encode_sequence`` and ``copy_sequences`` give them.

    Raises:
        OutputError: the file cannot be written.
    """
    try:
        with av.open(str(target), "w", format="mp4") as container:
            # its encoder is never given a frame; the muxer takes the file's headers from it
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
    except OSError as error:  # FFmpeg's errors with an errno are OSErrors too
        message = f"{target}: cannot be written ({error.strerror or error}); check its free space"
        raise OutputError(message) from error
    except av.FFmpegError as error:
        message = f"{target}: cannot be encoded ({error}); this PyAV may lack libx264: reinstall av"
        raise OutputError(message) from error


def without_sei(units: bytes) -> bytes:
    """Access units in Annex B form without their supplemental information, which changes no frame.

    Args:
        units: NAL units, each behind a start code.
    """
    kept = []
    place = units.find(_START_CODE)
    while place >= 0:
        following = units.find(_START_CODE, place + len(_START_CODE))
        end = following if following >= 0 else len(units)
        # a unit never ends in a zero: those are the first byte of the next start code
        unit = units[place + len(_START_CODE) : end].rstrip(b"\0")
        if unit and unit[0] & 31 != _SEI:
            kept.append(b"\0" + _START_CODE + unit)
        place = following
    return b"".join(kept)
