"""What a network is shown of a training clip: its frames, or those sampled along their motion.

Motion is compensated once for each clip, not at each step: kept are the planes of every window that
a clip can show, in every order and with any neighbour missing; a step picks some by their numbers.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vsrcli.models import NEIGHBOUR_PLANES, PHASES, ModelSpec
from vsrcli.picture.motion import Motion
from vsrcli.training.data import SEQUENCE
from vsrcli.training.degradation import Clip

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

_BITS = 8
_RADIUS = 2
# The middle frame of the first window, and how many windows a clip holds.
_FIRST_CENTRE = _RADIUS
_CENTRES = SEQUENCE - 2 * _RADIUS
# Of a window: frame t, then each frame of the window as its neighbour.
_PLANES_OF_CENTRE = 1 + NEIGHBOUR_PLANES * (2 * _RADIUS + 1)


class ClipPlanes(Protocol):
    """How clips are kept for a network, and which of their planes it is shown."""

    count: int  # planes kept of a clip

    def of_clip(self, clip: Clip) -> Clip:
        """What is kept: (count, H, W) uint8, from frames (SEQUENCE, H, W) uint8."""
        ...

    def numbers(
        self, frames: Integers, mirrored: Flags, upside_down: Flags, transposed: Flags
    ) -> Integers:
        """Which of the planes kept a patch shows: (B, planes of the network).

        Args:
            frames: (B, 5), the frames of the window; the middle one is upscaled.
            mirrored: (B,), whether the patch is turned left to right, first.
            upside_down: (B,), whether it is turned top to bottom, next.
            transposed: (B,), whether its rows become its columns, last.
        """
        ...


def clip_planes(spec: ModelSpec) -> ClipPlanes:
    """How clips are kept for a network."""
    return MotionPlanes() if spec.is_motion_compensated else FramePlanes()


class FramePlanes:
    """The frames themselves; keeps ``ClipPlanes``."""

    count = SEQUENCE

    def of_clip(self, clip: Clip) -> Clip:
        """See ``ClipPlanes.of_clip``."""
        return clip

    def numbers(
        self, frames: Integers, mirrored: Flags, upside_down: Flags, transposed: Flags
    ) -> Integers:
        """See ``ClipPlanes.numbers``."""
        return frames


class MotionPlanes:
    """Frames, and their neighbours as ``picture.motion`` samples them; keeps ``ClipPlanes``."""

    count = _CENTRES * _PLANES_OF_CENTRE

    def of_clip(self, clip: Clip) -> Clip:
        """See ``ClipPlanes.of_clip``."""
        motion = Motion(_BITS)
        frames = list(clip)
        planes = []
        for centre in range(_FIRST_CENTRE, _FIRST_CENTRE + _CENTRES):
            window = frames[centre - _RADIUS : centre + _RADIUS + 1]
            moving = motion.planes(motion.window(window))
            at_rest = motion.planes(motion.window([frames[centre]] * len(window)))
            before = NEIGHBOUR_PLANES * _RADIUS
            planes += [frames[centre][None], moving[:before]]
            planes += [at_rest[:NEIGHBOUR_PLANES], moving[before + 1 :]]
        kept: Clip = np.concatenate(planes)
        return kept

    def numbers(
        self, frames: Integers, mirrored: Flags, upside_down: Flags, transposed: Flags
    ) -> Integers:
        """See ``ClipPlanes.numbers``."""
        centre = frames[:, _RADIUS]
        first = (centre - _FIRST_CENTRE) * _PLANES_OF_CENTRE
        turned = _turned_phases(mirrored, upside_down, transposed)
        distance = np.full((len(frames), 1), PHASES)
        shown = np.concatenate((turned, distance), axis=1)
        columns = []
        for place in range(frames.shape[1]):
            if place == _RADIUS:
                columns.append(first[:, None])
                continue
            offset = frames[:, place] - centre + _RADIUS
            columns.append((first + 1 + NEIGHBOUR_PLANES * offset)[:, None] + shown)
        return np.concatenate(columns, axis=1)


def _turned_phases(mirrored: Flags, upside_down: Flags, transposed: Flags) -> Integers:
    """Where each phase of a turned patch was before it was turned: (B, PHASES)."""
    down, right = np.divmod(np.arange(PHASES), 2)
    is_transposed = transposed[:, None]
    rows = np.where(is_transposed, right, down)
    columns = np.where(is_transposed, down, right)
    rows = np.where(upside_down[:, None], 1 - rows, rows)
    columns = np.where(mirrored[:, None], 1 - columns, columns)
    return 2 * rows + columns
