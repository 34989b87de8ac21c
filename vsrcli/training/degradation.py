"""What makes the low-resolution input of a training pair: one pure function of a clip and a seed for each domain.

All take and return limited-range luma codes: clip (T, H, W) uint8 with even H and W -> (T, H/2, W/2) uint8.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vsrcli.picture.resize import Float, Kernel, half

Clip = NDArray[np.uint8]
Degradation = Callable[[Clip, int], Clip]
RoundTrip = Callable[
    [Clip, float], Clip
]  # (clip, crf) -> what a codec makes of the clip


def clean(clip: Clip, seed: int) -> Clip:
    """Antialiased bicubic half-sizing (MATLAB ``imresize``, a = -0.5), rounded; ``seed`` changes nothing."""
    del seed
    return _codes(np.stack([half_clean(frame) for frame in clip]))


def blur3(clip: Clip, seed: int) -> Clip:
    """The report's: Gaussian blur of sigma 3 at high resolution, then half size (2x2 mean); ``seed`` changes nothing."""
    del seed
    return _codes(np.stack([half_blurred(frame) for frame in clip]))


def half_clean(plane: NDArray[Any]) -> Float:
    """``clean`` of one plane (H, W) of any scale, not rounded: float32 (H/2, W/2)."""
    return half(plane.astype(np.float32))


def half_blurred(plane: NDArray[Any]) -> Float:
    """``blur3`` of one plane (H, W) of any scale, not rounded: float32 (H/2, W/2)."""
    return half(cv2.GaussianBlur(plane.astype(np.float32), (0, 0), 3.0), "nearest")


def video(clip: Clip, seed: int, round_trip: RoundTrip | None = None) -> Clip:
    """Ordinary footage.

    Gaussian blur of sigma 0..0.8 at high resolution; half size by antialiased bicubic, Lanczos or the mean of 2x2 pixels; for half of
    the clips Gaussian noise of sigma 0..2 grey levels; then the whole sequence through x264 at crf 16..28. One clip in four is spared all this and stays as
    ``clean`` makes it, so that pristine sources are served too.

    ``round_trip`` takes x264's place, so that a caller can keep what is encoded. It is not called for
    a clip that is spared.
    """
    rng = np.random.default_rng(seed)
    if rng.random() < 0.25:
        return clean(clip, seed)
    sigma, noise, crf = (
        rng.uniform(0, 0.8),
        rng.uniform(0, 2) * (rng.random() < 0.5),
        rng.uniform(16, 28),
    )
    kernels: tuple[Kernel, ...] = (
        "bicubic",
        "lanczos",
        "nearest",
    )  # the last, stretched, is the mean of 2x2 pixels
    kernel = kernels[rng.integers(3)]
    frames = []
    for frame in clip:
        picture = frame.astype(np.float32)
        if sigma > 0.1:
            picture = cv2.GaussianBlur(picture, (0, 0), sigma)
        picture = half(picture, kernel)
        frames.append(
            picture + rng.normal(0, noise, picture.shape) if noise else picture
        )
    return (round_trip or _x264_round_trip)(_codes(np.stack(frames)), crf)


def _x264_round_trip(clip: Clip, crf: float) -> Clip:
    # imported here: a machine that trains on the other domains needs no FFmpeg
    from vsrcli.media.roundtrip import x264_round_trip

    return x264_round_trip(clip, crf=crf)


def compressed(crf: float) -> Degradation:
    """``clean``, then the whole sequence through x264 at ``crf``: for tests of what compression costs."""

    def degrade(clip: Clip, seed: int) -> Clip:
        return _x264_round_trip(clean(clip, seed), crf)

    return degrade


DEGRADATIONS: dict[str, Degradation] = {"video": video, "clean": clean, "blur3": blur3}
SEEDED = frozenset({"video"})  # those whose result depends on the seed


def _codes(clip: NDArray[np.floating]) -> Clip:
    codes: Clip = np.clip(np.rint(clip), 0, 255).astype(np.uint8)
    return codes
