"""``vsr train --prepare``: a training pack with degraded versions, for machines without PyAV.

The folder holds, for ``train`` and ``val``, a video file, and a stream and an index of the degraded
versions (``vsrcli/training/prepared.py`` describes them), and one manifest for both.
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

from vsrcli.errors import InputError, OptionError, OutputError
from vsrcli.media.destination import sync
from vsrcli.media.packs import (
    can_copy,
    copy_sequences,
    encode_sequence,
    without_sei,
    write_sequences,
)
from vsrcli.media.roundtrip import x264_round_trip
from vsrcli.options import TrainOptions
from vsrcli.training.data import (
    SEQUENCE,
    VALIDATION_SEED,
    PackPlace,
    Sequences,
    load,
    manifest_rows,
    read_pack,
    split_held_out,
)
from vsrcli.training.degradation import Clip, video
from vsrcli.training.prepared import (
    Version,
    checksum,
    index_file,
    stream_file,
    write_index,
)

_DOMAIN = "video"  # the one degradation that needs PyAV
_UNFINISHED = ".unfinished"  # the folder's files lie there until all are whole
_MANIFEST = "manifest.csv"

Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class PrepareReport:
    """What was prepared.

    Attributes:
        folder: where it lies.
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
        options: ``prepare`` and what it is made of.
        on_progress: called with how many degraded versions are made, and how many there will be.
        on_note: called with lines for people.

    Raises:
        InputError: no usable clips.
        OptionError: the folder lies among the footage, which it would become part of.
        OutputError: the folder holds other things, or cannot be written to.
    """
    started = time.monotonic()
    folder = Path(str(options.prepare))
    for path in map(Path, (*options.data, *options.val)):
        if path.is_dir() and folder.resolve().is_relative_to(path.resolve()):
            raise OptionError(
                f"--prepare {folder} lies in {path}: name a folder outside the footage"
            )
    with _unfinished_folder(folder) as unfinished:
        try:
            parts = _parts(options, on_note)
        except OSError as error:
            name = error.filename or ", ".join(options.data)
            raise InputError(
                f"{name}: cannot be read ({error.strerror or error})"
            ) from error
        total = len(parts["train"]) * options.variants + len(parts["val"])
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
                part_rows = _rows(part, name)
                clips = _write_pack(file, part, part_rows, pool)
                seeds = _seeds(name, len(part), options.variants)
                _write_versions(file, clips, seeds, pool, count_version)
                # what was written has to be read as the training machine will read it
                read_pack(file, part_rows, False, _DOMAIN)
                rows += part_rows
            _write_manifest(unfinished / _MANIFEST, rows)
        finally:
            pool.shutdown(cancel_futures=True)
        files = _publish(unfinished, folder)
    return PrepareReport(
        folder=str(folder),
        files={file.name: file.stat().st_size for file in files},
        training_clips=len(parts["train"]),
        validation_clips=len(parts["val"]),
        variants=options.variants,
        seconds=time.monotonic() - started,
    )


@contextmanager
def _unfinished_folder(folder: Path) -> Iterator[Path]:
    """A folder inside ``folder`` to write to, removed at the end; refuse what is in the way."""
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file: name a folder with --prepare")
    unfinished = folder / _UNFINISHED
    existed = folder.is_dir()
    try:
        others = (
            [file for file in folder.iterdir() if file != unfinished] if existed else []
        )
        if others and not index_file(folder / "train.mp4", _DOMAIN).exists():
            raise OutputError(
                f"{folder} holds other things than a prepared pack ({others[0].name}): "
                "name a new folder with --prepare"
            )
        shutil.rmtree(unfinished, ignore_errors=True)  # a killed run leaves it
        unfinished.mkdir(parents=True)
    except OSError as error:
        raise OutputError(
            f"{folder}: no pack can be written there ({error.strerror}): name another folder"
        ) from error
    try:
        yield unfinished
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be written to ({error.strerror or error}); check its free space"
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        if not existed:
            with suppress(OSError):  # it is not empty, as it should be
                folder.rmdir()


def _parts(
    options: TrainOptions, on_note: Callable[[str], None]
) -> dict[str, Sequences]:
    """The clips to train on and those to validate on, all of one size in each part."""
    training = load(
        [Path(path) for path in options.data],
        shippable_only=options.shippable,
        limit=options.clips,
    )
    if options.val:
        validation = load([Path(path) for path in options.val], limit=options.clips)
    else:
        on_note("no --val: the last tenth of each file's clips is held out")
        training, validation = split_held_out(training)
    training = _of_one_size(training, "training", on_note)
    validation = _of_one_size(validation, "validation", on_note)
    count = min(options.val_count or len(validation), len(validation))
    spread = [number * len(validation) // count for number in range(count)]
    return {"train": training, "val": validation.subset(spread)}


def _of_one_size(
    part: Sequences, name: str, on_note: Callable[[str], None]
) -> Sequences:
    """The clips of the most frequent size: a video file has one size."""
    sizes = Counter(clip.shape for clip in part.clips)
    shape, count = sizes.most_common(1)[0]
    if count < len(part):
        on_note(
            f"{len(part) - count} of {len(part)} {name} clips are left out: "
            f"a prepared pack holds one size, here {shape[2]}x{shape[1]}"
        )
    return part.subset(
        [index for index, clip in enumerate(part.clips) if clip.shape == shape]
    )


def _rows(part: Sequences, name: str) -> list[Row]:
    """The manifest's rows: those of the pack that a clip comes from, or new ones."""
    rows_of = cache(manifest_rows)
    rows = []
    for origin, place in zip(part.names, part.places, strict=True):
        if place is None:
            # --shippable never leaves out footage that is given as it is, so it must not later
            rows.append({"split": name, "shippable": "1", "content_group": origin})
        else:
            rows.append(rows_of(place.file)[place.sequence] | {"split": name})
    return rows


def _write_pack(
    file: Path, part: Sequences, rows: Sequence[Row], pool: ThreadPoolExecutor
) -> tuple[Clip, ...]:
    """Write a pack's video file, and return its clips as they are read from it."""
    # with an index beside it, a video without a manifest is refused from the beginning
    index_file(file, _DOMAIN).touch()
    height, width = part.clips[0].shape[1:]
    copied = _copyable(part)
    write_sequences(file, height, width, _packets(part, copied, pool))
    written = read_pack(file, rows, False).clips
    for place, source, clip in zip(copied, part.clips, written, strict=True):
        if place is not None and not np.array_equal(source, clip):
            raise InputError(
                f"{place.file}: sequence {place.sequence} changes when its packets are copied; "
                "copy the training pack again"
            )
    return written


def _copyable(part: Sequences) -> list[PackPlace | None]:
    """For each clip, the place in a pack that its packets are copied from; None: it is encoded."""
    can_copy_file = cache(lambda file: can_copy(file, SEQUENCE))
    return [
        place if place is not None and can_copy_file(place.file) else None
        for place in part.places
    ]


def _packets(
    part: Sequences, copied: Sequence[PackPlace | None], pool: ThreadPoolExecutor
) -> Iterator[list[bytes]]:
    """The packets of each clip, in the order of the clips."""
    clips_and_places = zip(part.clips, copied, strict=True)
    for file, group in groupby(clips_and_places, lambda pair: pair[1] and pair[1].file):
        pairs = list(group)
        if file is None:
            yield from pool.map(encode_sequence, [clip for clip, _ in pairs])
        else:
            numbers = [place.sequence for _, place in pairs if place is not None]
            yield from copy_sequences(file, numbers, SEQUENCE)


def _seeds(name: str, clips: int, variants: int) -> list[list[int]]:
    """For each clip the seeds of its versions: those that training and validation use."""
    if name == "val":
        return [[VALIDATION_SEED + index] for index in range(clips)]
    # as vsrcli/training/batches.py counts for --seed 0
    return [
        [index * 101 + variant for variant in range(variants)] for index in range(clips)
    ]


def _write_versions(
    file: Path,
    clips: Sequence[Clip],
    seeds: Sequence[Sequence[int]],
    pool: ThreadPoolExecutor,
    on_done: Callable[[], None],
) -> None:
    """Write the stream and index of a pack's degraded versions; call ``on_done`` after each."""
    numbers = [
        (index, variant)
        for index, own in enumerate(seeds)
        for variant in range(len(own))
    ]
    made = pool.map(
        lambda number: _degrade(clips[number[0]], seeds[number[0]][number[1]]), numbers
    )
    versions = []
    with stream_file(file, _DOMAIN).open("wb") as stream:
        for (index, variant), (crc32, coded) in zip(numbers, made, strict=True):
            stream.write(coded)
            versions.append(Version(index, variant, bool(coded), crc32))
            on_done()
    write_index(index_file(file, _DOMAIN), [checksum(clip) for clip in clips], versions)


def _degrade(clip: Clip, seed: int) -> tuple[int, bytes]:
    """The checksum of a degraded version, and its packets; no packets where it stays ``clean``."""
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
    (folder / _MANIFEST).unlink(missing_ok=True)
    files = sorted(unfinished.iterdir(), key=_place_in_order)
    for file in files:
        sync(file)
        file.replace(folder / file.name)
    sync(folder)
    return [folder / file.name for file in files]


def _place_in_order(file: Path) -> tuple[bool, bool, str]:
    # a folder is known by an index, and a video without a manifest is refused because of one, so
    # indexes come first
    return file.name == _MANIFEST, file.suffix != ".json", file.name
