"""The planes that a network takes of a training clip: its frames, or frames moved along the motion.

Motion is compensated once for each clip, not at each step. What is kept are the planes of every
window in a clip, in every order and with any neighbour missing; a step selects some by number.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vsrcli.clips.degradation import Clip
from vsrcli.clips.sequences import SEQUENCE
from vsrcli.models import NEIGHBOUR_PLANES, PHASES, ModelSpec
from vsrcli.picture.motion import Motion

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

_BITS = 8
_RADIUS = 2
_WINDOW = 2 * _RADIUS + 1
# The middle frame of the first window, and how many windows a clip holds.
_FIRST_CENTRE = _RADIUS
_CENTRES = SEQUENCE - 2 * _RADIUS
# For one window: frame t, then each frame of the window as its neighbour.
_PLANES_PER_CENTRE = 1 + NEIGHBOUR_PLANES * _WINDOW


class ClipPlanes(Protocol):
    """How clips are kept for a network, and which of their planes it takes.

    Attributes:
        count: planes kept of a clip.
    """

    count: int

    def compute(self, clip: Clip) -> Clip:
        """What is kept of a clip: (count, H, W) uint8, from frames (SEQUENCE, H, W) uint8."""
        ...

    def plane_numbers(
        self,
        frames: Integers,
        mirrored: Flags,
        upside_down: Flags,
        transposed: Flags,
    ) -> Integers:
        """Which of the kept planes the network takes of each patch: (B, planes of the network).

        Args:
            frames: (B, 5), the frames of the window; the middle one is upscaled.
            mirrored: (B,), whether the patch is flipped left to right, first.
            upside_down: (B,), whether it is flipped top to bottom, next.
            transposed: (B,), whether its rows and columns are swapped, last.
        """
        ...


def clip_planes(spec: ModelSpec) -> ClipPlanes:
    """How clips are kept for a network."""
    if spec.is_motion_compensated:
        return MotionPlanes()
    return FramePlanes()


class FramePlanes:
    """The frames themselves; implements ``ClipPlanes``."""

    count = SEQUENCE

    def compute(self, clip: Clip) -> Clip:
        """See ``ClipPlanes.compute``."""
        return clip

    def plane_numbers(
        self,
        frames: Integers,
        mirrored: Flags,
        upside_down: Flags,
        transposed: Flags,
    ) -> Integers:
        """See ``ClipPlanes.plane_numbers``."""
        return frames


class MotionPlanes:
    """Frames, and their neighbours as ``Motion`` samples them; implements ``ClipPlanes``."""

    count = _CENTRES * _PLANES_PER_CENTRE

    def compute(self, clip: Clip) -> Clip:
        """See ``ClipPlanes.compute``."""
        motion = Motion(_BITS)
        frames = list(clip)
        before = NEIGHBOUR_PLANES * _RADIUS
        planes = []
        for centre in range(_FIRST_CENTRE, _FIRST_CENTRE + _CENTRES):
            frame = frames[centre]
            window = frames[centre - _RADIUS : centre + _RADIUS + 1]
            moving = motion.planes(motion.window(window))
            # a missing neighbour is replaced by frame t itself
            static = motion.planes(motion.window([frame] * _WINDOW))
            planes.append(frame[None])
            planes.append(moving[:before])
            planes.append(static[:NEIGHBOUR_PLANES])
            planes.append(moving[before + 1 :])
        kept: Clip = np.concatenate(planes)
        return kept

    def plane_numbers(
        self,
        frames: Integers,
        mirrored: Flags,
        upside_down: Flags,
        transposed: Flags,
    ) -> Integers:
        """See ``ClipPlanes.plane_numbers``."""
        centre = frames[:, _RADIUS]
        first = (centre - _FIRST_CENTRE) * _PLANES_PER_CENTRE
        # the planes of a neighbour: its phases, then the distance that it was moved
        phases = _turned_phases(mirrored, upside_down, transposed)
        distance = np.full((len(frames), 1), PHASES)
        neighbour_planes = np.concatenate((phases, distance), axis=1)
        columns = []
        for place in range(_WINDOW):
            if place == _RADIUS:
                columns.append(first[:, None])
                continue
            offset = frames[:, place] - centre + _RADIUS
            first_of_neighbour = first + 1 + NEIGHBOUR_PLANES * offset
            columns.append(first_of_neighbour[:, None] + neighbour_planes)
        return np.concatenate(columns, axis=1)


def _turned_phases(
    mirrored: Flags,
    upside_down: Flags,
    transposed: Flags,
) -> Integers:
    """Where each phase of a turned patch was before it was turned: (B, PHASES)."""
    down, right = np.divmod(np.arange(PHASES), 2)
    is_transposed = transposed[:, None]
    rows = np.where(is_transposed, right, down)
    columns = np.where(is_transposed, down, right)
    is_upside_down = upside_down[:, None]
    is_mirrored = mirrored[:, None]
    rows = np.where(is_upside_down, 1 - rows, rows)
    columns = np.where(is_mirrored, 1 - columns, columns)
    return 2 * rows + columns
