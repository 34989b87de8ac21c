"""Loading of training clips from packs, video files, frame folders, and folders of all these."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vsrcli.clips.degradation import Clip
from vsrcli.clips.pack_reader import manifest_rows, read_pack
from vsrcli.clips.sequences import (
    SEQUENCE,
    PackPlace,
    Sequences,
    Versions,
    split_held_out,
)
from vsrcli.errors import InputError
from vsrcli.frame import VideoInfo
from vsrcli.options import TrainOptions
from vsrcli.paths import check_source
from vsrcli.picture.color import from_model, rgb_to_luma, to_model

# Larger pictures are cut into tiles with this side, in pixels.
_TILE = 256
# Of a film too long to keep, clips are read at this many places; each takes a seek.
_SAMPLED_PLACES = 250
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


@dataclass
class _LoadedClips:
    """The clips loaded so far, with what is known about each: see ``Sequences``."""

    clips: list[Clip] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    versions: list[Versions] = field(default_factory=list)
    places: list[PackPlace | None] = field(default_factory=list)

    def add_pack(self, pack: Sequences) -> None:
        self.clips += pack.clips
        self.names += pack.names
        self.versions += pack.versions
        self.places += pack.places

    def add_footage(
        self,
        source: Path,
        clips: list[Clip],
    ) -> None:
        self.clips += clips
        for number in range(len(clips)):
            self.names.append(f"{source}#{number}")
        self.versions += [{}] * len(clips)
        self.places += [None] * len(clips)


def load(
    paths: Sequence[Path],
    *,
    shippable_only: bool = False,
    limit: int = 2000,
    whole: bool = False,
    domain: str | None = None,
) -> Sequences:
    """Read the clips of packs, video files, frame folders, and folders that hold any of these.

    Args:
        paths: files or folders. A video with a ``manifest.csv`` beside it that lists it is a
            training pack.
        shippable_only: of packs, take only the rows whose licence allows shipping weights.
        limit: maximum number of clips to keep of footage other than packs. Where there are more,
            they are spread over each file. A clip of full size takes 0.5 MB, and its four
            low-resolution versions as much again (for lite 5 MB).
        whole: keep large pictures whole instead of cutting them into tiles; each counts as that
            many clips.
        domain: also read the versions that packs hold for this domain; None for no versions.

    Raises:
        InputError: nothing usable is there, or a prepared pack is incomplete or damaged.
    """
    sources: list[Path] = []
    for path in paths:
        sources += _sources(path)
    loaded = _LoadedClips()
    used = 0  # clips of full tile size, packs included
    for index, source in enumerate(sources):
        rows = [] if source.is_dir() else manifest_rows(source)
        before = len(loaded.clips)
        if rows:
            loaded.add_pack(read_pack(source, rows, shippable_only, domain))
        else:
            remaining_sources = len(sources) - index
            share = max(1, (limit - used) // remaining_sources)
            loaded.add_footage(source, _read_footage(source, share, whole))
        for clip in loaded.clips[before:]:
            used += _tile_count(clip)
    if not loaded.clips:
        names = ", ".join(str(path) for path in paths)
        raise InputError(
            f"{names}: no {SEQUENCE} consecutive frames of one scene to train on"
        )
    return Sequences(
        clips=tuple(loaded.clips),
        names=tuple(loaded.names),
        versions=tuple(loaded.versions),
        places=tuple(loaded.places),
    )


def load_clips(
    options: TrainOptions,
    on_note: Callable[[str], None],
    *,
    whole: bool = False,
    domain: str | None = None,
) -> tuple[Sequences, Sequences]:
    """The clips to train on, and those to validate on.

    Args:
        options: where they are, and how many to keep.
        on_note: called with lines for people.
        whole: as in ``load``, for the clips to train on.
        domain: as in ``load``.

    Raises:
        InputError: nothing usable is there, or a prepared pack is incomplete or damaged.
    """
    training = load(
        [Path(path) for path in options.data],
        shippable_only=options.shippable,
        limit=options.clips,
        whole=whole,
        domain=domain,
    )
    if options.val:
        validation = load(
            [Path(path) for path in options.val],
            limit=options.clips,
            domain=domain,
        )
        return training, validation
    on_note("no --val: the last tenth of each file's clips is held out")
    return split_held_out(training)


def _sources(path: Path) -> list[Path]:
    """The video files and frame folders in ``path``, or ``path`` itself if it is a file."""
    from vsrcli.images.folders import is_frame_folder

    check_source(path)
    if not path.is_dir():
        return [path]
    sources = [path] if is_frame_folder(path) else []
    try:
        for item in path.rglob("*"):
            if item.is_dir() and is_frame_folder(item):
                sources.append(item)
            # not `elif`: a folder may be called NAME.mp4
            if item.suffix.lower() in _VIDEO_SUFFIXES:
                sources.append(item)
    except OSError as error:
        raise InputError(
            f"{error.filename}: cannot be read ({error.strerror}): "
            f"name the footage in {path} that can"
        ) from error
    if not sources:
        raise InputError(
            f"{path}: no video file and no pictures in this folder to train on"
        )
    return sorted(sources)


def _read_footage(
    source: Path,
    limit: int,
    whole: bool,
) -> list[Clip]:
    """The clips of a video file or frame folder that take as much memory as ``limit`` tiles."""
    clips = (
        _cut_into_clips(_folder_frames(source), source, whole)
        if source.is_dir()
        else _read_video(source, limit, whole)
    )
    if not clips:
        return []
    max_clips = max(1, limit // _tile_count(clips[0]))
    return _sample_evenly(clips, max_clips)


def _sample_evenly(clips: list[Clip], limit: int) -> list[Clip]:
    """At most ``limit`` of ``clips``, taken evenly."""
    if len(clips) <= limit:
        return clips
    return [clips[number * len(clips) // limit] for number in range(limit)]


def _folder_frames(folder: Path) -> Iterator[tuple[Clip, bool]]:
    """The luma of each picture, and whether a scene begins with it."""
    from vsrcli.images.folders import list_pictures
    from vsrcli.images.stills import read_picture
    from vsrcli.picture.scenes import CutDetector

    detector = CutDetector()
    for file in list_pictures(folder):
        picture = read_picture(file)
        if picture.dtype == np.float32:
            raise InputError(
                f"{file}: networks are trained on pictures of 8 or 16 bits, "
                "not on floating-point data"
            )
        # gray pictures hold luma codes as they are, like those of `vsr extract --luma`
        luma = picture
        if picture.ndim == 3:
            luma = _rounded(rgb_to_luma(picture))
        elif picture.dtype != np.uint8:
            luma = _rounded(picture / 257)
        yield luma, detector.is_cut(luma, 8)


def _rounded(values: NDArray[np.floating]) -> Clip:
    codes: Clip = np.rint(values).astype(np.uint8)
    return codes


def _read_video(
    file: Path,
    limit: int,
    whole: bool,
) -> list[Clip]:
    """The clips of a video file; of a long film, about ``limit``, read at places all over it."""
    from vsrcli.decode.probe import probe

    info = probe(file)
    duration = info.duration or Fraction(0)
    frame_count = int(duration * (info.rate or 0))
    columns = max(1, info.width // _TILE)
    rows = max(1, info.height // _TILE)
    fits_limit = frame_count // SEQUENCE * rows * columns <= 2 * limit
    is_short = frame_count < 4 * _SAMPLED_PLACES * SEQUENCE
    if fits_limit or is_short:
        return _cut_into_clips(_video_frames(info), file, whole)
    clips_per_place = max(1, -(-limit // _SAMPLED_PLACES))
    clips: list[Clip] = []
    for place in range(_SAMPLED_PLACES):
        start = duration * Fraction(2 * place + 1, 2 * _SAMPLED_PLACES)
        frames = _video_frames(info, start)
        sampled = _cut_into_clips(frames, file, whole, max_runs=1)
        clips += _sample_evenly(sampled, clips_per_place)
    return clips


def _video_frames(
    info: VideoInfo,
    start: Fraction | None = None,
) -> Iterator[tuple[Clip, bool]]:
    """The luma of each frame from ``start`` on, and whether a scene begins with it."""
    from vsrcli.decode.reader import VideoReader
    from vsrcli.timing import TimeRange

    with VideoReader(info, time_range=TimeRange(start=start)) as reader:
        bits = info.format.bits
        is_full_range = info.tags.is_full_range
        for frame in reader:
            luma = _limited_codes(frame.luma, bits, is_full_range)
            yield luma, frame.scene_cut


def _limited_codes(
    luma: NDArray[np.uint8] | NDArray[np.uint16],
    bits: int,
    is_full_range: bool,
) -> Clip:
    """Luma codes as 8-bit limited-range codes."""
    values = to_model(luma, bits, is_full_range, "limited")
    codes = from_model(values, 8, False, "limited")
    return codes.astype(np.uint8)


def _cut_into_clips(
    frames: Iterator[tuple[Clip, bool]],
    source: Path,
    whole: bool,
    max_runs: int | None = None,
) -> list[Clip]:
    """Cut frames into clips of one scene each: tiles of at most ``max_runs`` runs of frames.

    Each frame comes with whether a scene begins with it. A run is ``SEQUENCE`` consecutive frames.
    """
    side = None if whole else _TILE
    clips: list[Clip] = []
    run: list[Clip] = []
    run_count = 0
    for luma, is_cut in frames:
        if is_cut:
            run.clear()
        if run and luma.shape != run[-1].shape:
            raise InputError(
                f"{source}: its pictures change from {run[-1].shape[::-1]} to "
                f"{luma.shape[::-1]} pixels; train on one size at a time"
            )
        run.append(luma)
        if len(run) < SEQUENCE:
            continue
        clips += _tiles(np.stack(run), side)
        run.clear()
        run_count += 1
        if run_count == max_runs:
            break
    return clips


def _tiles(clip: Clip, side: int | None) -> list[Clip]:
    """Tiles of a clip, even in height and width; None for the whole picture as one tile."""
    height = clip.shape[1] // 2 * 2
    width = clip.shape[2] // 2 * 2
    if side is None:
        even = clip[:, :height, :width]
        return [np.ascontiguousarray(even)]
    # what is left at the bottom and right is kept only where it is half a tile or more
    max_top = max(height - side // 2, 1)
    max_left = max(width - side // 2, 1)
    tiles = []
    for top in range(0, max_top, side):
        for left in range(0, max_left, side):
            bottom = min(top + side, height)
            right = min(left + side, width)
            tile = clip[:, top:bottom, left:right]
            tiles.append(np.ascontiguousarray(tile))
    return tiles


def _tile_count(clip: Clip) -> int:
    """How many clips of full tile size take as much memory as ``clip``, 1 or more."""
    pixels = int(clip[0].size)
    return max(1, pixels // _TILE**2)
