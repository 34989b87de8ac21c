"""Keeps the features of frames, or of groups of adjacent frames, for the next windows.

Some networks first encode single frames, or overlapping groups of them, by themselves. A group is
identified by its samples and its role (``ModelSpec.group_roles``), so no caller has to say which
frame is which. A window always goes this way, whether or not its features are in the cache, so the
result has the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from vsrcli.backends import Float
from vsrcli.models import ModelSpec

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class _Entry(Generic[T]):
    """The features of a group in a role."""

    frames: Float
    role: int
    features: T

    def matches(self, frames: Float, role: int) -> bool:
        if self.role != role or self.frames.shape != frames.shape:
            return False
        # The middle row alone tells most pictures apart.
        is_same_row = np.array_equal(_middle_row(self.frames), _middle_row(frames))
        return is_same_row and np.array_equal(self.frames, frames)


def _middle_row(frames: Float) -> Float:
    row = frames.shape[-2] // 2
    return frames[..., row, :]


class FeatureCache(Generic[T]):
    """Runs windows group by group, and keeps the features of a frame while it is in the window.

    It works for one picture, or for several parts of one. It is too small for a picture in tiles:
    the features of a tile are dropped before the same tile of the next frame comes.

    Args:
        spec: number of frames in a group, and the groups' roles.
        encode_group: from a role and (B, group_frames, H, W) float32 to features, in whatever form
            the library has them.
        fuse_groups: from the features of all groups and the middle frame (B, H, W) to the picture
            (B, 2H - 2 trim, 2W - 2 trim) float32.

    Attributes:
        requested: number of groups so far.
        computed: number of those that were not in the cache.
    """

    def __init__(
        self,
        spec: ModelSpec,
        encode_group: Callable[[int, Float], T],
        fuse_groups: Callable[[list[T], Float], Float],
    ) -> None:
        self._spec = spec
        self._encode_group = encode_group
        self._fuse_groups = fuse_groups
        # A frame leaves the window in the role in which it entered it. The cache must hold all that
        # is computed in between: a group for each position of the window, in each role.
        self._max_windows = len(set(spec.group_roles))
        self._largest_window = 0  # samples
        self._entries: list[_Entry[T]] = []  # the most recently used first
        self.requested = 0
        self.computed = 0

    def run(self, windows: Float) -> Float:
        """As ``Backend.run``."""
        self._largest_window = max(self._largest_window, windows.size)
        spec = self._spec
        features: list[T] = []
        for first, role in enumerate(spec.group_roles):
            end = first + spec.group_frames
            group = windows[:, first:end]
            features.append(self._features(group, role))
        middle = windows[:, spec.radius]
        return self._fuse_groups(features, middle)

    def _features(self, frames: Float, role: int) -> T:
        self.requested += 1
        entry = self._find(frames, role)
        if entry is None:
            self.computed += 1
            # a copy: the caller may overwrite its array
            copied = np.array(frames, np.float32)
            features = self._encode_group(role, copied)
            entry = _Entry(copied, role, features)
        else:
            self._entries.remove(entry)
        self._entries.insert(0, entry)
        self._drop_old_entries()
        return entry.features

    def _find(self, frames: Float, role: int) -> _Entry[T] | None:
        for entry in self._entries:
            if entry.matches(frames, role):
                return entry
        return None

    def _drop_old_entries(self) -> None:
        spec = self._spec
        max_groups = self._max_windows * len(spec.group_roles)
        max_frames = max_groups * spec.group_frames
        max_samples = max_frames * self._largest_window // spec.frames
        samples = sum(entry.frames.size for entry in self._entries)
        while samples > max_samples:
            oldest = self._entries.pop()
            samples -= oldest.frames.size
