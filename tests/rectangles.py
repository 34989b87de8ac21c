"""Training clips that need no FFmpeg."""

from __future__ import annotations

import numpy as np

from vsrcli.clips.sequences import SEQUENCE, Sequences


def moving_rectangles(count: int = 3, size: int = 48) -> Sequences:
    """Sharp rectangles that move: bicubic leaves something to gain. ``size`` x ``size`` pixels."""
    rng = np.random.default_rng(5)
    clips = []
    for _ in range(count):
        clip = np.full((SEQUENCE, size, size), 90, np.uint8)
        for _ in range(12):
            top, left, height, width = rng.integers(0, size, 4)
            speed_y, speed_x = rng.integers(-2, 3, 2)
            grey = rng.integers(20, 230)
            for time, picture in enumerate(clip):
                y = max(0, top + time * speed_y)
                x = max(0, left + time * speed_x)
                picture[y : y + height // 3 + 2, x : x + width // 3 + 2] = grey
        clips.append(clip)
    return Sequences(tuple(clips), tuple("abcdefgh"[:count]))
