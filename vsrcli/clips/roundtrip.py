"""Encode with x264 and decode again, in memory: how a compressed source reaches the network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import chain
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from vsrcli.errors import InputError


def x264_round_trip(
    clip: NDArray[np.uint8],
    *,
    crf: float,
    preset: str = "veryfast",
    on_packet: Callable[[bytes], None] | None = None,
) -> NDArray[np.uint8]:
    """Encode a luma clip with x264 and decode it again.

    Args:
        clip: shape (T, H, W), uint8, limited-range luma codes.
        crf: x264's constant rate factor.
        preset: x264's preset.
        on_packet: called with the bytes of each packet, Annex B with headers, in decoding order.

    Returns:
        The same shape and type.

    Raises:
        InputError: the codec gave back another number of frames.
    """
    decoded = list(x264_stream(iter(clip), crf=crf, preset=preset, on_packet=on_packet))
    if len(decoded) != len(clip):
        raise InputError(
            f"x264 gave back {len(decoded)} of {len(clip)} frames at crf {crf:g}"
        )
    return np.stack(decoded)


def x264_stream(
    frames: Iterator[NDArray[np.uint8]],
    *,
    crf: float,
    preset: str = "veryfast",
    on_packet: Callable[[bytes], None] | None = None,
) -> Iterator[NDArray[np.uint8]]:
    """Encode a stream of luma planes of one size with x264 and decode it again.

    Planes come back in order, a few dozen frames late: the encoder looks ahead.

    Args:
        frames: planes (H, W), uint8.
        crf: x264's constant rate factor.
        preset: x264's preset.
        on_packet: called with the bytes of each packet, Annex B with headers, in decoding order.

    Yields:
        As many planes of the same shape.
    """
    first = next(frames, None)
    if first is None:
        return
    height, width = first.shape
    encoder = gray_encoder(height, width, {"crf": str(crf), "preset": preset})
    decoder: Any = av.CodecContext.create("h264", "r")

    def decode(packets: Iterable[Any]) -> Iterator[NDArray[np.uint8]]:
        for packet in packets:
            if on_packet is not None:
                on_packet(bytes(packet))
            yield from _planes(decoder.decode(packet), height, width)

    for number, frame in enumerate(chain([first], frames)):
        picture = gray_picture(frame, number)
        yield from decode(encoder.encode(picture))
    yield from decode(encoder.encode(None))
    yield from _planes(decoder.decode(None), height, width)


def gray_encoder(height: int, width: int, options: dict[str, str]) -> Any:
    """An x264 encoder of gray pictures that gives Annex B packets; it pads odd sides by a pixel."""
    encoder: Any = av.CodecContext.create("libx264", "w")
    describe_gray(encoder, height, width)
    encoder.options = {"threads": "1"} | options
    return encoder


def describe_gray(encoder: Any, height: int, width: int) -> None:
    """Set an encoder up for gray pictures at 25 frames per second."""
    encoder.height = height + height % 2
    encoder.width = width + width % 2
    encoder.pix_fmt = "gray"
    encoder.framerate = Fraction(25)
    encoder.time_base = Fraction(1, 25)
    # only a tag: without it, OpenCV stretches the codes when it decodes them
    encoder.color_range = ColorRange.JPEG


def gray_picture(plane: NDArray[np.uint8], number: int) -> av.VideoFrame:
    """A plane (H, W) as frame ``number`` for ``gray_encoder``; odd sides repeat the last pixel."""
    height, width = plane.shape
    padded = np.pad(plane, ((0, height % 2), (0, width % 2)), mode="edge")
    picture = av.VideoFrame.from_ndarray(padded, format="gray")
    picture.pts = number
    return picture


def _planes(
    pictures: Iterable[Any], height: int, width: int
) -> Iterator[NDArray[np.uint8]]:
    for picture in pictures:
        luma = picture.planes[0]
        view = np.ndarray(
            (height, width),
            np.uint8,
            buffer=memoryview(luma),
            strides=(luma.line_size, 1),
        )
        yield view.copy()
