"""Training clips: sequences of luma frames from the training pack, video files or folders of them, and the batches cut from them.

Everything about a batch follows from (seed, step) alone, so that an interrupted run continues exactly where it stopped.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vsrcli.errors import InputError
from vsrcli.training.degradation import DEGRADATIONS, Clip

log = logging.getLogger(__name__)

SEQUENCE = 7  # frames; the training pack's length, two more than a window so that the window can begin in three places
_TILE = 256  # pixels; larger pictures are cut into tiles of this size
_VIDEO_SUFFIXES = {".mp4", ".mkv", ".mov", ".webm", ".avi", ".m4v", ".ts", ".mpg", ".y4m"}


@dataclass(frozen=True)
class Sequences:
    """Clips of ``SEQUENCE`` luma frames.

    Attributes:
        clips: each (SEQUENCE, H, W), uint8, limited-range codes, H and W even.
        names: where each came from: file and scene.
    """

    clips: tuple[Clip, ...]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.clips)


def load(paths: Sequence[Path], *, shippable_only: bool = False) -> Sequences:
    """Read the clips of training packs, video files and folders of video files.

    Args:
        paths: files or folders. A video with a ``manifest.csv`` beside it that lists it is a training pack.
        shippable_only: of packs, take only the rows whose licence allows shipping weights.

    Raises:
        InputError: nothing usable is there.
    """
    clips: list[Clip] = []
    names: list[str] = []
    for path in paths:
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in _VIDEO_SUFFIXES) if path.is_dir() else [path]
        if not files:
            raise InputError(f"{path}: no video file in this folder to train on")
        for file in files:
            rows = _manifest(file)
            found, origin = _read_pack(file, rows, shippable_only) if rows else _read_video(file)
            clips += found
            names += origin
    if not clips:
        raise InputError(f"{', '.join(map(str, paths))}: no {SEQUENCE} consecutive frames of one scene to train on")
    return Sequences(tuple(clips), tuple(names))


def _manifest(file: Path) -> list[dict[str, str]]:
    manifest = file.with_name("manifest.csv")
    if not manifest.is_file():
        return []
    with manifest.open(newline="") as text:
        return [row for row in csv.DictReader(text) if row.get("split") == file.stem]


def _read_pack(file: Path, rows: list[dict[str, str]], shippable_only: bool) -> tuple[list[Clip], list[str]]:
    # OpenCV hands the luma codes through unchanged, and a training machine may have no PyAV
    capture = cv2.VideoCapture(str(file))
    clips, names = [], []
    try:
        for row in rows:
            frames = [capture.read()[1] for _ in range(SEQUENCE)]
            if any(frame is None for frame in frames):
                raise InputError(f"{file}: ends before its manifest does; copy the training pack again")
            if shippable_only and row["shippable"] != "1":
                continue
            clips.append(np.stack([frame[:, :, 0] for frame in frames]).astype(np.uint8))
            names.append(row.get("content_group", file.stem))
    finally:
        capture.release()
    return clips, names


def _read_video(file: Path) -> tuple[list[Clip], list[str]]:
    from vsrcli.media.reader import VideoReader

    clips: list[Clip] = []
    run: list[Clip] = []
    with VideoReader(file) as reader:
        bits, full = reader.info.format.bits, reader.info.tags.is_full_range
        for frame in reader:
            if frame.scene_cut:
                run.clear()
            run.append(_limited_codes(frame.luma, bits, full))
            if len(run) == SEQUENCE:
                clips += _tiles(np.stack(run))
                run.clear()
    return clips, [f"{file.name}#{index}" for index in range(len(clips))]


def _limited_codes(luma: NDArray[np.uint8] | NDArray[np.uint16], bits: int, full: bool) -> Clip:
    from vsrcli.picture.color import from_model, to_model

    return from_model(to_model(luma, bits, full, "limited"), 8, False, "limited").astype(np.uint8)


def _tiles(clip: Clip) -> list[Clip]:
    height, width = clip.shape[1] // 2 * 2, clip.shape[2] // 2 * 2
    return [
        np.ascontiguousarray(clip[:, top : min(top + _TILE, height), left : min(left + _TILE, width)])
        for top in range(0, max(height - _TILE // 2, 1), _TILE)
        for left in range(0, max(width - _TILE // 2, 1), _TILE)
    ]


@dataclass
class Batches:
    """Batches of (low-resolution window, high-resolution frame) patches.

    Attributes:
        sequences: where they come from.
        domain: key in ``DEGRADATIONS``.
        patch: side of the low-resolution patch, pixels.
        batch: patches a step.
        seed: of everything random.
        variants: how many differently degraded versions of a clip are made; each is kept after its first use.
        static_share: share of windows that show one frame five times, as at the ends of a clip and at cuts.
    """

    sequences: Sequences
    domain: str
    patch: int
    batch: int
    seed: int = 0
    variants: int = 4
    static_share: float = 0.05
    _degraded: dict[tuple[int, int], Clip] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        smallest = min(min(clip.shape[1:]) for clip in self.sequences.clips)
        if smallest < 2 * self.patch:
            raise InputError(f"the clips are too small ({smallest} pixels) for training patches of {2 * self.patch}: use larger ones")

    def low_resolution(self, index: int, variant: int) -> Clip:
        """Clip ``index`` after its domain's degradation, (SEQUENCE, H/2, W/2) uint8."""
        key = (index, variant)
        if key not in self._degraded:
            self._degraded[key] = DEGRADATIONS[self.domain](self.sequences.clips[index], (self.seed * 1_000_003 + index) * 101 + variant)
        return self._degraded[key]

    def at(self, step: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The batch of one step.

        Returns:
            Windows (batch, 1, 5, patch, patch) and frames (batch, 1, 2*patch, 2*patch), float32, limited-range codes.
        """
        rng = np.random.default_rng((self.seed, 1, step))
        pairs = [self._pair(step * self.batch + place, rng) for place in range(self.batch)]
        return np.stack([low for low, _ in pairs])[:, None], np.stack([high for _, high in pairs])[:, None]

    def _pair(self, position: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        epoch, place = divmod(position, len(self.sequences))
        index = int(np.random.default_rng((self.seed, 2, epoch)).permutation(len(self.sequences))[place])
        high, low = self.sequences.clips[index], self.low_resolution(index, epoch % self.variants)
        top, left = (int(rng.integers(size - self.patch + 1)) for size in low.shape[1:])
        centre = int(rng.integers(2, SEQUENCE - 2))
        order = np.full(5, centre) if rng.random() < self.static_share else np.arange(centre - 2, centre + 3)
        window = low[order, top : top + self.patch, left : left + self.patch]
        frame = high[centre, 2 * top : 2 * (top + self.patch), 2 * left : 2 * (left + self.patch)]
        mirrored, upside_down, transposed, reversed_ = rng.random(4) < 0.5
        if mirrored:
            window, frame = window[:, :, ::-1], frame[:, ::-1]
        if upside_down:
            window, frame = window[:, ::-1], frame[::-1]
        if transposed:
            window, frame = window.swapaxes(1, 2), frame.swapaxes(0, 1)
        if reversed_:
            window = window[::-1]
        return window.astype(np.float32), frame.astype(np.float32)


def validation_pairs(sequences: Sequences, domain: str, *, count: int, size: int) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """A fixed set of validation pairs, spread evenly over the sequences: the middle window of each and its true frame.

    Args:
        sequences: clips that are never trained on.
        domain: key in ``DEGRADATIONS``.
        count: how many sequences, at most.
        size: side of the middle part used, high-resolution pixels.

    Returns:
        Pairs of (5, h, w) and (2h, 2w), float32, limited-range codes.
    """
    step = Fraction(len(sequences), min(count, len(sequences)))
    pairs = []
    for index in (int(step * number) for number in range(min(count, len(sequences)))):
        clip = sequences.clips[index]
        top, left = (max(0, (side - size) // 4) for side in clip.shape[1:])
        low = DEGRADATIONS[domain](clip, 1000 + index)[1:6, top : top + size // 2, left : left + size // 2]
        high = clip[3, 2 * top : 2 * top + 2 * low.shape[1], 2 * left : 2 * left + 2 * low.shape[2]]
        pairs.append((low.astype(np.float32), high.astype(np.float32)))
    return pairs


def split_held_out(sequences: Sequences, share: float = 0.1) -> tuple[Sequences, Sequences]:
    """Cut the last ``share`` of the clips off for validation.

    Raises:
        InputError: too few clips to hold any out.
    """
    keep = len(sequences) - max(1, round(len(sequences) * share))
    if keep < 1:
        raise InputError(f"only {len(sequences)} training clip(s): too few to hold one out; give more footage or --val")
    cut = list(islice(zip(sequences.clips, sequences.names, strict=True), keep, None))
    return (
        Sequences(sequences.clips[:keep], sequences.names[:keep]),
        Sequences(tuple(clip for clip, _ in cut), tuple(name for _, name in cut)),
    )
