"""Training packs: a video file of clips, and a ``manifest.csv`` beside it that lists them."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from vsrcli.clips import prepared
from vsrcli.clips.degradation import Clip
from vsrcli.clips.pack_decoder import PackDecoder
from vsrcli.clips.sequences import SEQUENCE, PackPlace, Sequences, Versions
from vsrcli.errors import InputError

MANIFEST_NAME = "manifest.csv"


def is_pack(file: Path) -> bool:
    """Whether a manifest beside ``file`` lists its sequences."""
    return bool(manifest_rows(file))


def manifest_rows(file: Path) -> list[dict[str, str]]:
    """The rows of the manifest beside ``file`` that list its sequences; none if it is not a pack.

    Raises:
        InputError: prepared versions are beside the file, but no manifest lists it.
    """
    manifest = file.with_name(MANIFEST_NAME)
    rows = []
    if manifest.is_file():
        with manifest.open(newline="") as text:
            listed = csv.DictReader(text)
            rows = [row for row in listed if row.get("split") == file.stem]
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
        domain: also read the versions prepared for this domain.

    Raises:
        InputError: the file ends before its manifest does, or its prepared versions are damaged.
    """
    clips = _decode(file, len(rows))
    versions: list[Versions] = [{}] * len(clips)
    if domain is not None:
        versions = [
            {domain: lows} if lows else {}
            for lows in prepared.read_versions(file, domain, clips)
        ]
    names = [row.get("content_group", file.stem) for row in rows]
    places = [PackPlace(file, number) for number in range(len(clips))]
    everything = Sequences(
        clips=tuple(clips),
        names=tuple(names),
        versions=tuple(versions),
        places=tuple(places),
    )
    if not shippable_only:
        return everything
    shippable = []
    for index, row in enumerate(rows):
        if row.get("shippable") == "1":
            shippable.append(index)
    return everything.subset(shippable)


def _decode(file: Path, count: int) -> list[Clip]:
    """The first ``count`` clips of a pack's video file."""
    clips: list[Clip] = []
    with PackDecoder(file) as decoder:
        for _ in range(count):
            planes = []
            for _ in range(SEQUENCE):
                plane = decoder.read()
                if plane is None:
                    raise InputError(
                        f"{file}: ends before its manifest does; "
                        "copy the training pack again"
                    )
                planes.append(plane)
            clips.append(np.stack(planes))
    return clips
