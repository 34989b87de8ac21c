"""Degraded versions prepared beside a training pack: their files, and how they are read.

Reading needs no PyAV (``pack_decoder.py``). Beside ``NAME.mp4`` are, for each prepared domain:

``NAME.DOMAIN.h264``
    An Annex B stream of low-resolution clips of ``SEQUENCE`` gray frames. Each clip begins with its
    own headers and an IDR picture, so that it decodes as it did when it was made.
``NAME.DOMAIN.json``
    ``format``: 1. ``clips``: the CRC-32 of each high-resolution clip of the pack. ``versions``: for
    each degraded version, in the order of the stream, its ``clip`` (from 0), its ``variant`` (from
    0), whether it is ``coded`` in the stream or is what ``clean`` makes of the clip, and the
    ``crc32`` of its bytes.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vsrcli.clips.degradation import DEGRADATIONS, Clip, clean
from vsrcli.clips.pack_decoder import PackDecoder
from vsrcli.errors import InputError

_FORMAT = 1
_ADVICE = "prepare the folder again with `vsr train --prepare`"


@dataclass(frozen=True, slots=True)
class Version:
    """One degraded version of a clip, as the index lists it.

    Attributes:
        clip: which clip of the pack, from 0.
        variant: which of its versions, from 0.
        coded: whether its frames are in the stream; if not, it is what ``clean`` makes of the clip.
        crc32: checksum of its bytes, (SEQUENCE, H/2, W/2) uint8 in C order.
    """

    clip: int
    variant: int
    coded: bool
    crc32: int


def index_file(pack: Path, domain: str) -> Path:
    """Where the versions of a pack's clips are listed."""
    return pack.with_name(f"{pack.stem}.{domain}.json")


def stream_file(pack: Path, domain: str) -> Path:
    """Where the coded versions of a pack's clips are kept."""
    return pack.with_name(f"{pack.stem}.{domain}.h264")


def has_versions(pack: Path) -> bool:
    """Whether an index of prepared versions is beside ``pack``, for any domain."""
    return any(index_file(pack, domain).is_file() for domain in DEGRADATIONS)


def checksum(clip: Clip) -> int:
    """CRC-32 of a clip's bytes in C order."""
    return zlib.crc32(np.ascontiguousarray(clip).data)


def write_index(
    file: Path,
    clips: Sequence[int],
    versions: Sequence[Version],
) -> None:
    """Write an index.

    Args:
        file: its path.
        clips: CRC-32 of each high-resolution clip of the pack.
        versions: in the order in which the stream holds those that are coded.

    Raises:
        OSError: the file cannot be written.
    """
    index = {
        "format": _FORMAT,
        "clips": list(clips),
        "versions": [asdict(version) for version in versions],
    }
    text = json.dumps(index, separators=(",", ":"))
    file.write_text(text + "\n")


def read_versions(
    pack: Path,
    domain: str,
    clips: Sequence[Clip],
) -> list[tuple[Clip, ...]]:
    """Read the prepared versions of a pack's clips.

    Args:
        pack: the pack's video file.
        domain: key in ``DEGRADATIONS``.
        clips: all clips of the pack in its order, each (SEQUENCE, H, W) uint8.

    Returns:
        For each clip its versions in the order of their variants, each (SEQUENCE, H/2, W/2) uint8;
        empty tuples if none are prepared for this domain.

    Raises:
        InputError: the files are damaged, or were not made for these clips.
    """
    file = index_file(pack, domain)
    if not file.is_file():
        return [() for _ in clips]
    checksums, versions = _read_index(file)
    if len(checksums) != len(clips):
        raise _damaged(
            file,
            f"lists {len(checksums)} clips, but {pack.name} has {len(clips)}",
        )
    for number, (clip, crc32) in enumerate(zip(clips, checksums, strict=True)):
        if checksum(clip) != crc32:
            raise _damaged(pack, f"clip {number} is not the one that was prepared")
    stream = stream_file(pack, domain)
    decoded = _decode(stream, versions, clips)
    by_clip: list[list[Clip]] = [[] for _ in clips]
    for version, low in zip(versions, decoded, strict=True):
        if checksum(low) != version.crc32:
            raise _damaged(
                stream,
                f"version {version.variant} of clip {version.clip} "
                "does not decode as prepared",
            )
        by_clip[version.clip].append(low)
    return [tuple(lows) for lows in by_clip]


def _read_index(file: Path) -> tuple[list[int], list[Version]]:
    """The checksums of the pack's clips, and the versions."""
    try:
        index: dict[str, Any] = json.loads(file.read_text())
        if index["format"] != _FORMAT:
            raise InputError(
                f"{file}: written by another version of vsr; {_ADVICE}, with this version"
            )
        checksums: list[int] = index["clips"]
        versions = [Version(**entry) for entry in index["versions"]]
        _check_order(versions, len(checksums))
    except (
        OSError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
    ) as error:
        raise _damaged(file, "is not an index of prepared clips") from error
    return checksums, versions


def _check_order(
    versions: list[Version],
    clip_count: int,
) -> None:
    """Raise ``ValueError`` unless the variants of each clip are numbered from 0 in their order."""
    counts = [0] * clip_count
    for version in versions:
        if version.variant != counts[version.clip]:
            raise ValueError(
                f"variant {version.variant} of clip {version.clip}: out of order"
            )
        counts[version.clip] += 1


def _decode(
    stream: Path,
    versions: Sequence[Version],
    clips: Sequence[Clip],
) -> Iterator[Clip]:
    """Yield each version, from the stream or computed again; check the stream's length."""
    if not any(version.coded for version in versions):
        for version in versions:
            yield clean(clips[version.clip], 0)
        return
    with PackDecoder(stream) as decoder:
        for version in versions:
            clip = clips[version.clip]
            if not version.coded:
                yield clean(clip, 0)
                continue
            low = _decode_half_size(decoder, clip)
            if low is None:
                raise _damaged(
                    stream,
                    f"ends at clip {version.clip}, or holds other frames",
                )
            yield low
        if decoder.read() is not None:
            raise _damaged(stream, "holds more frames than its index lists")


def _decode_half_size(
    decoder: PackDecoder,
    clip: Clip,
) -> Clip | None:
    """The next version, of half the size of ``clip``; None if the stream ends or does not fit."""
    frame_count = clip.shape[0]
    height = clip.shape[1] // 2
    width = clip.shape[2] // 2
    shape = (frame_count, height, width)
    low = np.empty(shape, np.uint8)
    for place in range(frame_count):
        plane = decoder.read()
        if plane is None:
            return None
        # a side of odd length was padded by one pixel for the encoder
        if plane.shape[0] < height or plane.shape[1] < width:
            return None
        low[place] = plane[:height, :width]
    return low


def _damaged(file: Path, what: str) -> InputError:
    return InputError(f"{file}: {what}; {_ADVICE}, or copy it again")
