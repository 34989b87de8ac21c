"""A lossy encode and decode in memory: what a compressed source looks like to the network in training and in benchmarks."""

from __future__ import annotations

import io

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
    frames, height, width = clip.shape
    padded = np.pad(clip, ((0, 0), (0, height % 2), (0, width % 2)), mode="edge")
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="nut") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": str(crf), "preset": preset, "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = padded.shape[2], padded.shape[1], "gray"
        for picture in padded:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="gray")))
        container.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer, "r") as container:
        decoded = [
            np.ndarray((height, width), np.uint8, buffer=memoryview(frame.planes[0]), strides=(frame.planes[0].line_size, 1)).copy()
            for frame in container.decode(video=0)
        ]
    if len(decoded) != frames:
        raise InputError(f"x264 gave back {len(decoded)} of {frames} frames at crf {crf:g}")
    return np.stack(decoded)
