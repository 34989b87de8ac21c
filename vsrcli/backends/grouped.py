"""Networks that see a window as overlapping groups of frames: what was made of a group is kept for the next window that holds it.

A group is known by its samples, so nobody above has to say which frame is which; and since a window always takes this way, with or without something
kept, the result has the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np

from vsrcli.backends import Float
from vsrcli.models import ModelSpec

T = TypeVar("T")


class Grouped(Generic[T]):
    """Runs windows group by group; keeps the groups of the last window (of a picture in tiles: of the last tile, which helps nothing).

    Args:
        spec: says how many frames are in a group.
        of_group: (B, group_frames, H, W) float32 to whatever the library makes of it.
        of_groups: these of all groups, and the middle frame (B, H, W), to the picture (B, 2H, 2W) float32.

    Attributes:
        asked, computed: groups so far, and those that were not there yet.
    """

    def __init__(self, spec: ModelSpec, of_group: Callable[[Float], T], of_groups: Callable[[list[T], Float], Float]) -> None:
        self._frames, self._radius, self._of_group, self._of_groups = spec.group_frames, spec.radius, of_group, of_groups
        self._kept: list[tuple[Float, T]] = []
        self.asked = self.computed = 0

    def run(self, windows: Float) -> Float:
        """As ``Backend.run``."""
        windows = np.array(windows, np.float32)  # a copy: what is kept must not change under us
        groups: list[tuple[Float, T]] = []
        for first in range(windows.shape[1] - self._frames + 1):
            frames = windows[:, first : first + self._frames]
            groups.append((frames, self._made_of(frames, [*groups, *self._kept])))
        self._kept = groups
        return self._of_groups([made for _, made in groups], windows[:, self._radius])

    def _made_of(self, frames: Float, known: list[tuple[Float, T]]) -> T:
        self.asked += 1
        for kept, made in known:
            if kept.shape == frames.shape and np.array_equal(kept, frames):
                return made
        self.computed += 1
        return self._of_group(frames)
