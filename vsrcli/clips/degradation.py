"""How the low-resolution input of a training pair is made: a pure function for each domain.

Each takes a clip and a seed. All take and return limited-range luma codes:
clip (T, H, W) uint8 with even H and W -> (T, H/2, W/2) uint8.
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
# (clip, crf) -> the clip after it was encoded and decoded
RoundTrip = Callable[[Clip, float], Clip]

# ``nearest``, widened to half size, is the mean of 2x2 pixels.
_KERNELS: tuple[Kernel, ...] = (
    "bicubic",
    "lanczos",
    "nearest",
)


def clean(clip: Clip, seed: int) -> Clip:
    """Antialiased bicubic half size (MATLAB ``imresize``, a = -0.5), rounded.

    ``seed`` has no effect.
    """
    del seed
    return _codes([half_clean(frame) for frame in clip])


def blur3(clip: Clip, seed: int) -> Clip:
    """The report's: Gaussian blur of sigma 3 at high resolution, then half size (2x2 mean).

    ``seed`` has no effect.
    """
    del seed
    return _codes([half_blurred(frame) for frame in clip])


def half_clean(plane: NDArray[Any]) -> Float:
    """``clean`` for one plane (H, W) of any scale, not rounded: float32 (H/2, W/2)."""
    return half(plane.astype(np.float32))


def half_blurred(plane: NDArray[Any]) -> Float:
    """``blur3`` for one plane (H, W) of any scale, not rounded: float32 (H/2, W/2)."""
    return half(_blurred(plane, sigma=3.0), "nearest")


def video(
    clip: Clip,
    seed: int,
    round_trip: RoundTrip | None = None,
) -> Clip:
    """Ordinary footage.

    1. Gaussian blur of sigma 0..0.8 at high resolution.
    2. Half size by antialiased bicubic, Lanczos or the mean of 2x2 pixels.
    3. For half of the clips, Gaussian noise of sigma 0..2 grey levels.
    4. The whole sequence through x264 at crf 16..28.

    One clip in four skips all this and stays as ``clean`` makes it, so that the network also learns
    from pristine sources.

    ``round_trip`` replaces x264, so that a caller can keep what is encoded. It is not called for a
    clip that stays clean.
    """
    rng = np.random.default_rng(seed)
    if rng.random() < 0.25:
        return clean(clip, seed)
    return _footage(clip, rng, (16, 28), round_trip)


def compressed(
    clip: Clip,
    seed: int,
    round_trip: RoundTrip | None = None,
) -> Clip:
    """Heavily compressed footage: ``video`` at crf 26..40, and no clip stays clean."""
    rng = np.random.default_rng(seed)
    return _footage(clip, rng, (26, 40), round_trip)


def _footage(
    clip: Clip,
    rng: np.random.Generator,
    crf_range: tuple[float, float],
    round_trip: RoundTrip | None,
) -> Clip:
    """The four steps of ``video``, with crf in this range."""
    # the order of the draws decides what a seed means: prepared packs depend on it
    sigma = rng.uniform(0, 0.8)
    noise = rng.uniform(0, 2)
    has_noise = rng.random() < 0.5
    crf = rng.uniform(*crf_range)
    kernel = _KERNELS[rng.integers(len(_KERNELS))]
    frames = []
    for frame in clip:
        picture = frame.astype(np.float32)
        if sigma > 0.1:
            picture = _blurred(picture, sigma)
        picture = half(picture, kernel)
        if has_noise:
            grain = rng.normal(0, noise, picture.shape)
            picture = picture + grain
        frames.append(picture)
    if round_trip is None:
        round_trip = _x264_round_trip
    return round_trip(_codes(frames), crf)


def at_crf(crf: float) -> Degradation:
    """``clean``, then the whole sequence through x264 at ``crf``.

    It is there to measure what compression costs.
    """

    def degrade(clip: Clip, seed: int) -> Clip:
        return _x264_round_trip(clean(clip, seed), crf)

    return degrade


DEGRADATIONS: dict[str, Degradation] = {
    "video": video,
    "clean": clean,
    "blur3": blur3,
    "compressed": compressed,
}
# Degradations whose result depends on the seed.
SEEDED = frozenset({"video", "compressed"})


def _x264_round_trip(clip: Clip, crf: float) -> Clip:
    # imported here: a machine that trains on the other domains needs no PyAV
    from vsrcli.clips.roundtrip import x264_round_trip

    return x264_round_trip(clip, crf=crf)


def _blurred(plane: NDArray[Any], sigma: float) -> Float:
    """Gaussian blur of a plane (H, W): float32."""
    values = plane.astype(np.float32)
    # a kernel of size 0 is as large as sigma needs
    blurred = cv2.GaussianBlur(values, (0, 0), sigma)
    return blurred.astype(np.float32, copy=False)


def _codes(frames: list[NDArray[np.floating]]) -> Clip:
    """Planes as one clip of rounded codes."""
    rounded = np.rint(np.stack(frames))
    clipped = np.clip(rounded, 0, 255)
    codes: Clip = clipped.astype(np.uint8)
    return codes
