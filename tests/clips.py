"""Small clips with known content, made with PyAV, for tests of reading and cutting."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from vsrcli.frame import Frame, PixelFormat

_GRAY = PixelFormat("gray", 8, 0, 0, has_chroma=False)


def frames_at(times: list[Fraction], last: Fraction = Fraction(0)) -> list[Frame]:
    """Tiny black frames at these times; each lasts until the next, the last one ``last``."""
    black = np.zeros((2, 2), np.uint8)
    ends = [*times[1:], times[-1] + last]
    frames = []
    for time, end in zip(times, ends, strict=True):
        frames.append(Frame((black,), _GRAY, time, end - time))
    return frames


def texture(number: int, size: tuple[int, int]) -> Any:
    """Frame ``number`` of a smooth moving pattern: shape (H, W), uint8, 20..200.

    ``size`` is (W, H).
    """
    width, height = size
    rows, columns = np.mgrid[:height, :width]
    down = 50 * np.sin((rows + number) / 5)
    across = 40 * np.sin((columns + 2 * number) / 7)
    return (110 + down + across).astype(np.uint8)


def chapter(number: int, start: int, end: int) -> Any:
    """Chapter ``number`` as PyAV takes it; ``start`` and ``end`` in milliseconds."""
    return {
        "id": number + 1,
        "start": start,
        "end": end,
        "time_base": Fraction(1, 1000),
        "metadata": {"title": f"Chapter {number}"},
    }


def write_clip(
    path: Path,
    *,
    frames: int = 30,
    size: tuple[int, int] = (64, 48),
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    times: list[int] | None = None,
    muxer: str | None = None,
    scenes: int = 1,
    gop: int = 8,
    options: dict[str, str] | None = None,
    rotation: float = 0,
    sample_aspect: tuple[int, int] | None = None,
    matrix: int | None = None,
    pictures: list[Any] | None = None,
) -> Path:
    """Encode a moving pattern at 25 frames a second, or at ``times`` in milliseconds.

    Each of ``scenes`` has another picture.

    ``pictures`` (arrays of shape (H, W), or (H, W, 3) for RGB) take the pattern's place.
    """
    os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 reads it once in a process
    if pictures is not None:
        frames = len(pictures)
        size = pictures[0].shape[1::-1]
    is_mp4 = path.suffix in (".mp4", ".mov")
    muxing = {"movflags": "+faststart"} if is_mp4 else {}
    with av.open(str(path), "w", format=muxer, options=muxing) as container:
        stream: Any = container.add_stream(codec, rate=25, options=options or {})
        stream.width, stream.height = size
        stream.pix_fmt = pix_fmt
        stream.codec_context.gop_size = gop
        base = Fraction(1, 1000) if times else Fraction(1, 25)
        stream.codec_context.time_base = base
        if matrix is not None:
            stream.codec_context.colorspace = matrix
        if sample_aspect is not None:
            stream.codec_context.sample_aspect_ratio = Fraction(*sample_aspect)
        if rotation:
            stream.set_display_rotation(rotation)
        for number in range(frames):
            content = texture(number, size) if pictures is None else pictures[number]
            if scenes > 1 and number * scenes // frames % 2:
                content = 255 - np.roll(content[:, ::-1] // 2, 9, axis=0)
            stored = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(content),
                format="gray" if content.ndim == 2 else "rgb24",
            )
            picture = stored.reformat(format=pix_fmt)
            picture.pts = times[number] if times else number
            picture.time_base = base
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path
