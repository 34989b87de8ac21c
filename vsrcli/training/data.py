"""Training clips: sequences of luma frames from the training pack, video files, frame folders, or folders of all these."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vsrcli.errors import InputError
from vsrcli.picture.color import from_model, rgb_to_luma, to_model
from vsrcli.training import prepared
from vsrcli.training.degradation import DEGRADATIONS, Clip, Degradation

log = logging.getLogger(__name__)

SEQUENCE = 7  # frames; the training pack's length, two more than a window so that the window can begin in three places
VALIDATION_SEED = (
    1000  # of the degradation of the first validation clip; the next has the next
)
_TILE = 256  # pixels; larger pictures are cut into tiles of this size
_PLACES = 250  # of a film too long to keep, so many places are read, each a seek
_VIDEO_SUFFIXES = {
    ".mp4",
    ".mkv",
    ".mov",
    ".webm",
    ".avi",
    ".m4v",
    ".ts",
    ".mpg",
    ".y4m",
}


@dataclass(frozen=True)
class PackPlace:
    """Where a clip lies in a training pack: its file, and which of its sequences it is, from 0."""

    file: Path
    sequence: int


@dataclass(frozen=True)
class Sequences:
    """Clips of ``SEQUENCE`` luma frames.

    Attributes:
        clips: each (SEQUENCE, H, W), uint8, limited-range codes, H and W even.
        names: where each came from: ``FILE#NUMBER``, or its scene's name in a training pack.
        versions: for each clip, its prepared degraded versions by domain, in the order of their
            variants, each (SEQUENCE, H/2, W/2) uint8. No versions at all: nothing is prepared.
        places: for each clip, where it lies in a training pack; None for other footage.
    """

    clips: tuple[Clip, ...]
    names: tuple[str, ...]
    versions: tuple[Mapping[str, tuple[Clip, ...]], ...] = ()
    places: tuple[PackPlace | None, ...] = ()

    def __len__(self) -> int:
        return len(self.clips)

    def subset(self, indices: Sequence[int]) -> Sequences:
        """The clips of these indices, in this order, with all that is known of them."""
        return Sequences(
            tuple(self.clips[index] for index in indices),
            tuple(self.names[index] for index in indices),
            tuple(self.versions[index] for index in indices) if self.versions else (),
            tuple(self.places[index] for index in indices) if self.places else (),
        )

    def variants(self, domain: str) -> int | None:
        """How many prepared versions every clip has for ``domain``; None if any clip has none."""
        count = min(
            (len(versions.get(domain, ())) for versions in self.versions), default=0
        )
        return count or None

    def low_resolution(self, domain: str, index: int, variant: int, seed: int) -> Clip:
        """The degraded version of a clip: the prepared one where there is one, else made here.

        Args:
            domain: key in ``DEGRADATIONS``.
            index: which clip.
            variant: which of its prepared versions, modulo their number.
            seed: of the degradation, where no version is prepared.

        Returns:
            (SEQUENCE, H/2, W/2) uint8, limited-range codes.

        Raises:
            InputError: no version is prepared, and the degradation needs PyAV, which is missing.
        """
        prepared_versions = (
            self.versions[index].get(domain, ()) if self.versions else ()
        )
        if prepared_versions:
            return prepared_versions[variant % len(prepared_versions)]
        try:
            return DEGRADATIONS[domain](self.clips[index], seed)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] != "av":
                raise
            raise InputError(
                f"this machine has no PyAV, so the `{domain}` domain needs a prepared pack: make one "
                "on a machine that has it, with `vsr train --prepare`, and give it with --data and --val"
            ) from error


def load(
    paths: Sequence[Path],
    *,
    shippable_only: bool = False,
    limit: int = 2000,
    whole: bool = False,
    domain: str | None = None,
) -> Sequences:
    """Read the clips of training packs, video files, frame folders, and folders that hold any of these.

    Args:
        paths: files or folders. A video with a ``manifest.csv`` beside it that lists it is a training pack.
        shippable_only: of packs, take only the rows whose licence allows shipping weights.
        limit: most clips to keep of footage other than packs (a clip of full size takes 0.5 MB, its
            four low-resolution versions as much again, for lite 5 MB);
            where there would be more, they are spread over each file.
        whole: leave large pictures whole instead of cutting them into tiles; each counts as that many clips.
        domain: read the versions that packs hold prepared for this domain, too; None for no versions.

    Raises:
        InputError: nothing usable is there, or a prepared pack is incomplete or damaged.
    """
    sources = [source for path in paths for source in _sources(path)]
    clips: list[Clip] = []
    names: list[str] = []
    versions: list[Mapping[str, tuple[Clip, ...]]] = []
    places: list[PackPlace | None] = []
    used = 0
    for left, source in zip(range(len(sources), 0, -1), sources, strict=True):
        rows = [] if source.is_dir() else manifest_rows(source)
        if rows:
            pack = read_pack(source, rows, shippable_only, domain)
            found = list(pack.clips)
            origin = list(pack.names)
            versions += pack.versions
            places += pack.places
        else:
            share = max(1, (limit - used) // left)
            found = (
                _read_folder(source, whole)
                if source.is_dir()
                else _read_video(source, share, whole)
            )
            found = _spread(
                found, max(1, share // _tile_count(found[0])) if found else 1
            )
            origin = [f"{source}#{index}" for index in range(len(found))]
            versions += [{}] * len(found)
            places += [None] * len(found)
        used += sum(map(_tile_count, found))
        clips += found
        names += origin
    if not clips:
        raise InputError(
            f"{', '.join(map(str, paths))}: no {SEQUENCE} consecutive frames of one scene to train on"
        )
    return Sequences(tuple(clips), tuple(names), tuple(versions), tuple(places))


def _sources(path: Path) -> list[Path]:
    """The video files and frame folders that ``path`` means."""
    from vsrcli.media.folders import is_frame_folder

    if not path.is_dir():
        return [path]
    found = [
        folder
        for folder in [path, *(item for item in path.rglob("*") if item.is_dir())]
        if is_frame_folder(folder)
    ]
    found += [
        file for file in path.rglob("*") if file.suffix.lower() in _VIDEO_SUFFIXES
    ]
    if not found:
        raise InputError(
            f"{path}: no video file and no pictures in this folder to train on"
        )
    return sorted(found)


def _spread(clips: list[Clip], limit: int) -> list[Clip]:
    """At most ``limit`` of ``clips``, evenly taken."""
    return (
        clips
        if len(clips) <= limit
        else [clips[index * len(clips) // limit] for index in range(limit)]
    )


def is_pack(file: Path) -> bool:
    """Whether a manifest beside ``file`` lists its sequences."""
    return bool(manifest_rows(file))


def manifest_rows(file: Path) -> list[dict[str, str]]:
    """The rows of the manifest beside ``file`` that list its sequences; none where it is no pack.

    Raises:
        InputError: prepared versions lie beside the file, but no manifest lists it.
    """
    manifest = file.with_name("manifest.csv")
    rows = []
    if manifest.is_file():
        with manifest.open(newline="") as text:
            rows = [
                row for row in csv.DictReader(text) if row.get("split") == file.stem
            ]
    if not rows and prepared.has_versions(file):
        # the manifest is written last: without it, the file would pass for ordinary footage
        raise InputError(
            f"{file}: was not prepared to the end, or {manifest.name} was not copied with it; "
            "prepare the folder again with `vsr train --prepare`"
        )
    return rows


def read_pack(
    file: Path,
    rows: Sequence[Mapping[str, str]],
    shippable_only: bool,
    domain: str | None = None,
) -> Sequences:
    """Read the sequences of one file of a training pack.

    Args:
        file: the video file.
        rows: its rows of the manifest, one for each sequence.
        shippable_only: take only the rows whose licence allows shipping weights.
        domain: read the versions prepared for this domain, too.

    Raises:
        InputError: the file ends before its manifest does, or its prepared versions are damaged.
    """
    # OpenCV hands the luma codes through unchanged, and a training machine may have no PyAV
    capture = cv2.VideoCapture(str(file))
    clips = []
    try:
        for _ in rows:
            frames = [capture.read()[1] for _ in range(SEQUENCE)]
            if any(frame is None for frame in frames):
                raise InputError(
                    f"{file}: ends before its manifest does; copy the training pack again"
                )
            clips.append(
                np.stack([frame[:, :, 0] for frame in frames]).astype(np.uint8)
            )
    finally:
        capture.release()
    names = [row.get("content_group", file.stem) for row in rows]
    versions: list[Mapping[str, tuple[Clip, ...]]] = [{}] * len(clips)
    if domain is not None:
        versions = [
            {domain: lows} if lows else {}
            for lows in prepared.read_versions(file, domain, clips)
        ]
    places = [PackPlace(file, sequence) for sequence in range(len(clips))]
    everything = Sequences(tuple(clips), tuple(names), tuple(versions), tuple(places))
    if not shippable_only:
        return everything
    return everything.subset(
        [place for place, row in enumerate(rows) if row.get("shippable") == "1"]
    )


def _read_folder(folder: Path, whole: bool) -> list[Clip]:
    from vsrcli.media.folders import list_pictures
    from vsrcli.media.scenes import CutDetector
    from vsrcli.media.stills import read_picture

    def frames() -> Iterator[tuple[Clip, bool]]:
        detector = CutDetector()
        for file in list_pictures(folder):
            picture = read_picture(file)
            if picture.dtype == np.float32:
                raise InputError(
                    f"{file}: networks are trained on pictures of 8 or 16 bits, not on floating-point data"
                )
            if picture.ndim == 3:
                luma = np.rint(rgb_to_luma(picture)).astype(np.uint8)
            else:
                # gray pictures hold luma codes as they are, like those of `vsr extract --luma`
                luma = (
                    picture
                    if picture.dtype == np.uint8
                    else np.rint(picture / 257).astype(np.uint8)
                )
            yield luma, detector.is_cut(luma, 8)

    return _runs(frames(), folder, whole)


def _read_video(file: Path, limit: int, whole: bool) -> list[Clip]:
    from vsrcli.media.probe import probe
    from vsrcli.media.reader import VideoReader
    from vsrcli.timing import TimeRange

    def frames(start: Fraction | None = None) -> Iterator[tuple[Clip, bool]]:
        with VideoReader(file, time_range=TimeRange(start=start)) as reader:
            bits, full = reader.info.format.bits, reader.info.tags.is_full_range
            for frame in reader:
                yield _limited_codes(frame.luma, bits, full), frame.scene_cut

    info = probe(file)
    count = int((info.duration or 0) * (info.rate or 0))
    tiles = max(1, info.width // _TILE) * max(1, info.height // _TILE)
    if count // SEQUENCE * tiles <= 2 * limit or count < 4 * _PLACES * SEQUENCE:
        return _runs(frames(), file, whole)
    clips: list[Clip] = []
    for place in range(_PLACES):
        found = _runs(
            frames((info.duration or 0) * (2 * place + 1) / Fraction(2 * _PLACES)),
            file,
            whole,
            runs=1,
        )
        clips += _spread(found, max(1, -(-limit // _PLACES)))
    return clips


def _runs(
    frames: Iterator[tuple[Clip, bool]],
    source: Path,
    whole: bool,
    runs: int | None = None,
) -> list[Clip]:
    """Cut frames, each with whether a scene begins there, into clips of ``SEQUENCE`` frames of one scene, at most ``runs`` of whole pictures."""
    clips: list[Clip] = []
    run: list[Clip] = []
    for luma, is_cut in frames:
        if is_cut:
            run.clear()
        if run and luma.shape != run[-1].shape:
            raise InputError(
                f"{source}: its pictures change from {run[-1].shape[::-1]} to {luma.shape[::-1]} pixels; train on one size at a time"
            )
        run.append(luma)
        if len(run) == SEQUENCE:
            clips += _tiles(np.stack(run), None if whole else _TILE)
            run.clear()
            if runs is not None and (runs := runs - 1) == 0:
                break
    return clips


def _limited_codes(
    luma: NDArray[np.uint8] | NDArray[np.uint16], bits: int, full: bool
) -> Clip:
    return from_model(
        to_model(luma, bits, full, "limited"), 8, False, "limited"
    ).astype(np.uint8)


def _tiles(clip: Clip, side: int | None) -> list[Clip]:
    height, width = clip.shape[1] // 2 * 2, clip.shape[2] // 2 * 2
    if side is None:
        return [np.ascontiguousarray(clip[:, :height, :width])]
    return [
        np.ascontiguousarray(
            clip[:, top : min(top + side, height), left : min(left + side, width)]
        )
        for top in range(0, max(height - side // 2, 1), side)
        for left in range(0, max(width - side // 2, 1), side)
    ]


def _tile_count(clip: Clip) -> int:
    """How many clips of full tile size take as much memory as ``clip``, 1 or more."""
    return max(1, int(clip[0].size) // _TILE**2)


def validation_pairs(
    sequences: Sequences, domain: str | Degradation, *, count: int, size: int
) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """A fixed set of validation pairs, spread evenly over the sequences: the middle window of each and its true frame.

    Args:
        sequences: clips that are never trained on.
        domain: key in ``DEGRADATIONS``, or a degradation.
        count: how many sequences, at most.
        size: side of the middle part used, high-resolution pixels.

    Returns:
        Pairs of (5, h, w) and (2h, 2w), float32, limited-range codes.
    """

    def degraded(index: int) -> Clip:
        seed = VALIDATION_SEED + index
        if isinstance(domain, str):
            return sequences.low_resolution(domain, index, 0, seed)
        return domain(sequences.clips[index], seed)

    step = Fraction(len(sequences), min(count, len(sequences)))
    pairs = []
    for index in (int(step * number) for number in range(min(count, len(sequences)))):
        clip = sequences.clips[index]
        top, left = (max(0, (side - size) // 4) for side in clip.shape[1:])
        low = degraded(index)[1:6, top : top + size // 2, left : left + size // 2]
        high = clip[
            3,
            2 * top : 2 * top + 2 * low.shape[1],
            2 * left : 2 * left + 2 * low.shape[2],
        ]
        pairs.append((low.astype(np.float32), high.astype(np.float32)))
    return pairs


def split_held_out(
    sequences: Sequences, share: float = 0.1
) -> tuple[Sequences, Sequences]:
    """Cut the last ``share`` of each file's clips off for validation; of training packs, the last scenes.

    Raises:
        InputError: too few clips to hold any out.
    """
    files: dict[str, list[int]] = {}
    for index, name in enumerate(sequences.names):
        file, separator, _ = name.rpartition("#")
        files.setdefault(file if separator else "", []).append(index)
    held: set[int] = set()
    for file, indices in files.items():
        first = len(indices) - max(1, round(len(indices) * share))
        if (
            not file
        ):  # a scene of a pack goes to one side as a whole, unless it is the only one
            scene = next(
                place
                for place, index in enumerate(indices)
                if sequences.names[index] == sequences.names[indices[first]]
            )
            first = scene or first
        if first > 0:
            held.update(indices[first:])
    if not held:
        raise InputError(
            f"only {len(sequences)} training clip(s): too few to hold one out; give more footage or --val"
        )

    def part(is_held: bool) -> Sequences:
        chosen = [
            index for index in range(len(sequences)) if (index in held) == is_held
        ]
        return sequences.subset(chosen)

    return part(False), part(True)
