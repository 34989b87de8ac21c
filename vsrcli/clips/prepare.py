"""``vsr train --prepare``: a training pack with degraded versions, for machines without PyAV.

The folder holds, for ``train`` and ``val``, a video file, and a stream and an index of the degraded
versions (described in ``prepared.py``), and one manifest for both.
"""

from __future__ import annotations

import csv
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from itertools import chain, groupby
from pathlib import Path

import numpy as np

from vsrcli.clips.data import load_clips
from vsrcli.clips.degradation import Clip, video
from vsrcli.clips.pack_reader import MANIFEST_NAME, manifest_rows, read_pack
from vsrcli.clips.packs import (
    can_copy,
    copy_sequences,
    encode_sequence,
    without_sei,
    write_sequences,
)
from vsrcli.clips.prepared import (
    Version,
    checksum,
    index_file,
    stream_file,
    write_index,
)
from vsrcli.clips.roundtrip import x264_round_trip
from vsrcli.clips.sequences import (
    SEQUENCE,
    VALIDATION_SEED,
    PackPlace,
    Sequences,
)
from vsrcli.encode.atomic_file import sync
from vsrcli.errors import InputError, OptionError, OutputError
from vsrcli.options import TrainOptions
from vsrcli.paths import output_name, refuse_inputs

# The one degradation that needs PyAV.
_DOMAIN = "video"
# The folder inside the pack's that holds the files until all of them are complete.
_UNFINISHED = ".unfinished"

Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class PrepareReport:
    """What was prepared.

    Attributes:
        folder: where it is.
        files: name of each file, and its size in bytes.
        training_clips: how many clips there are to train on.
        validation_clips: how many clips there are to validate on.
        variants: degraded versions of each training clip; a validation clip has one.
        seconds: how long it took.
    """

    folder: str
    files: dict[str, int]
    training_clips: int
    validation_clips: int
    variants: int
    seconds: float


def prepare(
    options: TrainOptions,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    on_note: Callable[[str], None] = lambda line: None,
) -> PrepareReport:
    """Write a prepared pack to the folder ``options.prepare``.

    Args:
        options: ``prepare`` and the footage to take.
        on_progress: called with how many degraded versions are made, and how many there will be.
        on_note: called with lines for people.

    Raises:
        InputError: no usable clips.
        OptionError: the folder is inside the footage, which it would become part of.
        OutputError: the folder holds other things, or cannot be written to.
    """
    started = time.monotonic()
    folder = output_name(Path(str(options.prepare)))
    _refuse_folder_in_footage(folder, options)
    with _unfinished_folder(folder) as unfinished:
        for name in ("train.mp4", "val.mp4"):
            refuse_inputs(folder / name, map(Path, (*options.data, *options.val)))
        parts = _load_parts(options, on_note)
        training_versions = len(parts["train"]) * options.variants
        total = training_versions + len(parts["val"])
        threads = options.threads or os.cpu_count() or 1
        pool = ThreadPoolExecutor(threads, thread_name_prefix="vsr-prepare")
        rows: list[Row] = []
        done = 0

        def count_version() -> None:
            nonlocal done
            done += 1
            on_progress(done, total)

        try:
            for name, part in parts.items():
                file = unfinished / f"{name}.mp4"
                part_rows = _manifest_rows(part, name)
                clips = _write_pack(file, part, part_rows, pool)
                seeds = _seeds(name, len(part), options.variants)
                _write_versions(file, clips, seeds, pool, count_version)
                # make sure that the training machine can read what was written
                read_pack(file, part_rows, False, _DOMAIN)
                rows += part_rows
            _write_manifest(unfinished / MANIFEST_NAME, rows)
        finally:
            pool.shutdown(cancel_futures=True)
        files = _publish(unfinished, folder)
        sizes = {file.name: file.stat().st_size for file in files}
    return PrepareReport(
        folder=str(folder),
        files=sizes,
        training_clips=len(parts["train"]),
        validation_clips=len(parts["val"]),
        variants=options.variants,
        seconds=time.monotonic() - started,
    )


def _refuse_folder_in_footage(folder: Path, options: TrainOptions) -> None:
    resolved = folder.resolve()
    for name in (*options.data, *options.val):
        path = Path(name)
        is_inside = resolved.is_relative_to(path.resolve())
        if path.is_dir() and is_inside:
            raise OptionError(
                f"--prepare {folder} is in {path}: name a folder outside the footage"
            )


@contextmanager
def _unfinished_folder(folder: Path) -> Iterator[Path]:
    """A folder inside ``folder`` to write to, removed at the end."""
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file: name a folder with --prepare")
    unfinished = folder / _UNFINISHED
    existed = folder.is_dir()
    try:
        if existed:
            _refuse_other_content(folder)
        shutil.rmtree(unfinished, ignore_errors=True)  # a killed run leaves it
        unfinished.mkdir(parents=True)
    except OSError as error:
        raise OutputError(
            f"{folder}: no pack can be written there ({error.strerror}): name another folder"
        ) from error
    try:
        yield unfinished
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(
            f"{folder}: cannot be written to ({reason}); check its free space"
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        if not existed:
            with suppress(OSError):  # it is not empty, as it should be
                folder.rmdir()


def _refuse_other_content(folder: Path) -> None:
    """Raise ``OutputError`` if a folder holds anything but a prepared pack."""
    others = [file for file in folder.iterdir() if file.name != _UNFINISHED]
    is_pack = index_file(folder / "train.mp4", _DOMAIN).exists()
    if others and not is_pack:
        raise OutputError(
            f"{folder} holds other things than a prepared pack ({others[0].name}): "
            "name a new folder with --prepare"
        )


def _load_parts(
    options: TrainOptions,
    on_note: Callable[[str], None],
) -> dict[str, Sequences]:
    """The clips to train on and those to validate on, all of one size in each part."""
    try:
        training, validation = load_clips(options, on_note)
    except OSError as error:
        name = error.filename or ", ".join(options.data)
        reason = error.strerror or error
        raise InputError(f"{name}: cannot be read ({reason})") from error
    training = _of_one_size(training, "training", on_note)
    validation = _of_one_size(validation, "validation", on_note)
    count = len(validation)
    if options.val_count is not None:
        count = min(count, options.val_count)
    spread = [number * len(validation) // count for number in range(count)]
    return {
        "train": training,
        "val": validation.subset(spread),
    }


def _of_one_size(
    part: Sequences,
    name: str,
    on_note: Callable[[str], None],
) -> Sequences:
    """The clips of the most frequent size: a video file has one size."""
    sizes = Counter(clip.shape for clip in part.clips)
    shape, count = sizes.most_common(1)[0]
    if count < len(part):
        on_note(
            f"{len(part) - count} of {len(part)} {name} clips are left out: "
            f"a prepared pack holds one size, here {shape[2]}x{shape[1]}"
        )
    fitting = []
    for index, clip in enumerate(part.clips):
        if clip.shape == shape:
            fitting.append(index)
    return part.subset(fitting)


def _manifest_rows(part: Sequences, name: str) -> list[Row]:
    """A row for each clip: that of the pack it comes from, or a new one."""
    rows_of = cache(manifest_rows)
    rows: list[Row] = []
    for origin, place in zip(part.names, part.places, strict=True):
        # --shippable never leaves out ordinary footage, so it must not do so here either
        row = {
            "split": name,
            "shippable": "1",
            "content_group": origin,
        }
        if place is not None:
            pack_rows = rows_of(place.file)
            row = pack_rows[place.sequence] | {"split": name}
        rows.append(row)
    return rows


def _write_pack(
    file: Path,
    part: Sequences,
    rows: Sequence[Row],
    pool: ThreadPoolExecutor,
) -> tuple[Clip, ...]:
    """Write a pack's video file, and return its clips as they are read from it."""
    # with an index beside it, a video without a manifest is refused from the beginning
    index_file(file, _DOMAIN).touch()
    height, width = part.clips[0].shape[1:]
    origins = _copyable_places(part)
    packets = _packets(part, origins, pool)
    write_sequences(file, height, width, packets)
    written = read_pack(file, rows, False).clips
    for place, source, clip in zip(origins, part.clips, written, strict=True):
        if place is not None and not np.array_equal(source, clip):
            raise InputError(
                f"{place.file}: sequence {place.sequence} changes when its packets are copied; "
                "copy the training pack again"
            )
    return written


def _copyable_places(part: Sequences) -> list[PackPlace | None]:
    """For each clip, the place in a pack to copy its packets from; None if it must be encoded."""
    can_copy_file = cache(lambda file: can_copy(file, SEQUENCE))
    places = []
    for place in part.places:
        is_copyable = place is not None and can_copy_file(place.file)
        places.append(place if is_copyable else None)
    return places


def _packets(
    part: Sequences,
    origins: Sequence[PackPlace | None],
    pool: ThreadPoolExecutor,
) -> Iterator[list[bytes]]:
    """The packets of each clip, in the order of the clips."""

    def file_of(pair: tuple[Clip, PackPlace | None]) -> Path | None:
        place = pair[1]
        return None if place is None else place.file

    clips_and_places = zip(part.clips, origins, strict=True)
    for file, group in groupby(clips_and_places, file_of):
        pairs = list(group)
        if file is None:
            clips = [clip for clip, _ in pairs]
            yield from pool.map(encode_sequence, clips)
        else:
            places = [place for _, place in pairs if place is not None]
            numbers = [place.sequence for place in places]
            yield from copy_sequences(file, numbers, SEQUENCE)


def _seeds(
    name: str,
    clip_count: int,
    variants: int,
) -> list[list[int]]:
    """For each clip the seeds of its versions: those that training and validation use."""
    if name == "val":
        return [[VALIDATION_SEED + index] for index in range(clip_count)]
    # as ``Batches`` counts for --seed 0
    seeds = []
    for index in range(clip_count):
        first = index * 101
        seeds.append(list(range(first, first + variants)))
    return seeds


def _write_versions(
    file: Path,
    clips: Sequence[Clip],
    seeds: Sequence[Sequence[int]],
    pool: ThreadPoolExecutor,
    on_done: Callable[[], None],
) -> None:
    """Write the stream and index of a pack's degraded versions; call ``on_done`` after each."""
    numbers = []
    for index, clip_seeds in enumerate(seeds):
        numbers += [(index, variant) for variant in range(len(clip_seeds))]

    def degrade(number: tuple[int, int]) -> tuple[int, bytes]:
        index, variant = number
        return _degrade(clips[index], seeds[index][variant])

    degraded = pool.map(degrade, numbers)
    versions = []
    with stream_file(file, _DOMAIN).open("wb") as stream:
        for number, (crc32, packets) in zip(numbers, degraded, strict=True):
            index, variant = number
            stream.write(packets)
            version = Version(
                clip=index,
                variant=variant,
                coded=bool(packets),
                crc32=crc32,
            )
            versions.append(version)
            on_done()
    write_index(index_file(file, _DOMAIN), list(map(checksum, clips)), versions)


def _degrade(clip: Clip, seed: int) -> tuple[int, bytes]:
    """The checksum of a degraded version, and its packets; no packets if it stays ``clean``."""
    packets: list[bytes] = []

    def round_trip(low: Clip, crf: float) -> Clip:
        return x264_round_trip(low, crf=crf, on_packet=packets.append)

    low = video(clip, seed, round_trip)
    return checksum(low), without_sei(b"".join(packets))


def _write_manifest(file: Path, rows: Sequence[Row]) -> None:
    """Write the rows with all columns that any of them has."""
    columns = list(dict.fromkeys(chain.from_iterable(rows)))
    with file.open("w", newline="") as text:
        writer = csv.DictWriter(text, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def _publish(unfinished: Path, folder: Path) -> list[Path]:
    """Move the files to their folder, the manifest last: without it, nothing there is loaded."""
    (folder / MANIFEST_NAME).unlink(missing_ok=True)
    files = sorted(unfinished.iterdir(), key=_publishing_order)
    for file in files:
        sync(file)
        file.replace(folder / file.name)
    sync(folder)
    return [folder / file.name for file in files]


def _publishing_order(file: Path) -> tuple[bool, bool, str]:
    # indexes come first: they mark the folder as a pack, and a video beside one is refused until
    # it has a manifest
    return (
        file.name == MANIFEST_NAME,
        file.suffix != ".json",
        file.name,
    )
