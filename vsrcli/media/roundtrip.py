"""A lossy encode and decode in memory: what a compressed source looks like to the network in training and in benchmarks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from vsrcli.errors import InputError


def x264_round_trip(clip: NDArray[np.uint8], *, crf: float, preset: str = "veryfast") -> NDArray[np.uint8]:
    """Encode a luma clip with x264 and decode it again.

    Args:
        clip: shape (T, H, W), uint8, limited-range luma codes.
        crf: x264's constant rate factor.
        preset: x264's preset.

    Returns:
        The same shape and type.

    Raises:
        InputError: the codec gave back another number of frames.
    """
    decoded = list(x264_stream(iter(clip), crf=crf, preset=preset))
    if len(decoded) != len(clip):
        raise InputError(f"x264 gave back {len(decoded)} of {len(clip)} frames at crf {crf:g}")
    return np.stack(decoded)


def x264_stream(frames: Iterator[NDArray[np.uint8]], *, crf: float, preset: str = "veryfast") -> Iterator[NDArray[np.uint8]]:
    """The same for a stream of luma planes of one size: each comes back in its turn, a few dozen frames (the encoder's lookahead) late.

    Args:
        frames: planes (H, W), uint8.
        crf: x264's constant rate factor.
        preset: x264's preset.

    Yields:
        As many planes of the same shape.
    """
    encoder: Any = None
    decoder: Any = av.CodecContext.create("h264", "r")
    height = width = 0
    for number, frame in enumerate(frames):
        if encoder is None:
            height, width = frame.shape
            encoder = av.CodecContext.create("libx264", "w")
            encoder.width, encoder.height, encoder.pix_fmt = width + width % 2, height + height % 2, "gray"
            encoder.framerate, encoder.time_base = Fraction(25), Fraction(1, 25)
            encoder.options = {"crf": str(crf), "preset": preset, "threads": "1"}
        picture = av.VideoFrame.from_ndarray(np.pad(frame, ((0, height % 2), (0, width % 2)), mode="edge"), format="gray")
        picture.pts = number
        for packet in encoder.encode(picture):
            yield from _planes(decoder.decode(packet), height, width)
    if encoder is not None:
        for packet in encoder.encode(None):
            yield from _planes(decoder.decode(packet), height, width)
        yield from _planes(decoder.decode(None), height, width)


def _planes(pictures: Iterable[Any], height: int, width: int) -> Iterator[NDArray[np.uint8]]:
    for picture in pictures:
        yield np.ndarray((height, width), np.uint8, buffer=memoryview(picture.planes[0]), strides=(picture.planes[0].line_size, 1)).copy()
