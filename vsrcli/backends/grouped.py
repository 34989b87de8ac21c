"""Networks that make something of single frames, or of overlapping groups of them, first: what was made is kept for the next windows that hold them.

A group is known by its samples and its role (``ModelSpec.group_roles``), so nobody above has to say which frame is which; and since a window always takes
this way, with or without something kept, the result has the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from vsrcli.backends import Float
from vsrcli.models import ModelSpec

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Made(Generic[T]):
    frames: Float
    role: int
    result: T

    def is_of(self, frames: Float, role: int) -> bool:
        # the middle row tells most pictures apart
        middle = frames.shape[-2] // 2
        return (
            self.role == role
            and self.frames.shape == frames.shape
            and np.array_equal(self.frames[..., middle, :], frames[..., middle, :])
            and np.array_equal(self.frames, frames)
        )


class Grouped(Generic[T]):
    """Runs windows group by group; keeps so many results that a frame which leaves the window is still known from when it entered.

    That is for one picture, or for several parts of one. Of a picture in tiles the same tile of the last frame is not found again.

    Args:
        spec: says how many frames are in a group, and the groups' roles.
        of_group: a role and (B, group_frames, H, W) float32, to whatever the library makes of it.
        of_groups: these of all groups, and the middle frame (B, H, W), to the picture (B, 2H - 2 trim, 2W - 2 trim) float32.

    Attributes:
        asked, computed: groups so far, and those that were not there yet.
    """

    def __init__(
        self,
        spec: ModelSpec,
        of_group: Callable[[int, Float], T],
        of_groups: Callable[[list[T], Float], Float],
    ) -> None:
        self._spec, self._of_group, self._of_groups = spec, of_group, of_groups
        # between a frame's entering and its leaving in the same role, every place of the window has had a new group in every role
        self._windows = len(set(spec.group_roles))
        self._largest = 0  # a window's samples
        self._kept: list[_Made[T]] = []  # the one used last comes first
        self.asked = self.computed = 0

    def run(self, windows: Float) -> Float:
        """As ``Backend.run``."""
        self._largest = max(self._largest, windows.size)
        results = [
            self._made_of(
                windows[:, first : first + self._spec.group_frames], role
            ).result
            for first, role in enumerate(self._spec.group_roles)
        ]
        return self._of_groups(results, windows[:, self._spec.radius])

    def _made_of(self, frames: Float, role: int) -> _Made[T]:
        self.asked += 1
        found = next((made for made in self._kept if made.is_of(frames, role)), None)
        if found is None:
            self.computed += 1
            frames = np.array(
                frames, np.float32
            )  # a copy: what is kept must not change under us
            found = _Made(frames, role, self._of_group(role, frames))
        self._kept = [found, *(made for made in self._kept if made is not found)]
        room = (
            self._windows
            * len(self._spec.group_roles)
            * self._spec.group_frames
            * self._largest
            // self._spec.frames
        )
        while sum(made.frames.size for made in self._kept) > room:
            self._kept.pop()
        return found
