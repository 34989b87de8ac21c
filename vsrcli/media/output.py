"""What an output is to be: its video stream, whether its name can be, and what its container and encoder cannot keep."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

from vsrcli.errors import OutputError
from vsrcli.frame import UNSPECIFIED, ColorTags, Hdr, PixelFormat
from vsrcli.media.containers import container_of
from vsrcli.media.encoders import encoder_of, is_full_range, writes_colours
from vsrcli.media.pipe import piped_container
from vsrcli.media.sidedata import hdr_settings

_SAME_AS_601 = (5, 6)  # H.273: BT.470 B/G and BT.601, one matrix under two numbers


@dataclass(frozen=True)
class OutputVideo:
    """The video stream to be written.

    Attributes:
        width, height: luma pixels.
        format: layout of the frames that are given to ``VideoWriter.write``.
        tags: their colours.
        sample_aspect: pixel width / height; None for untagged.
        rotation: display rotation in degrees, counter-clockwise.
        display_matrix: the same as FFmpeg's 9 numbers, which may mirror as well; None: ``rotation`` says all.
        hdr: static HDR metadata.
        time_base: unit of the ticks, seconds.
        rate: frames a second, exact or average; None where unknown.
    """

    width: int
    height: int
    format: PixelFormat
    tags: ColorTags
    sample_aspect: Fraction | None
    rotation: float
    time_base: Fraction
    rate: Fraction | None
    display_matrix: tuple[int, ...] | None = None
    hdr: Hdr = field(default_factory=Hdr)


def check_target(source: Path, target: Path, overwrite: bool) -> None:
    """Refuse a target that cannot be, before anything is read.

    Args:
        source: the input file.
        target: the output file.
        overwrite: whether an existing file may be replaced.

    Raises:
        OutputError: unknown ending, the input itself, a folder, existing, or in a folder that is missing or not writable.
    """
    if piped_container(target) is not None:
        container_of(target)
        return
    try:
        folder = target.resolve().parent
    except (OSError, RuntimeError) as error:
        raise OutputError(
            f"{target}: its name leads in a circle of links: name another output"
        ) from error
    if target.is_dir():
        raise OutputError(f"{target} is a folder: name a file in it")
    container_of(target)
    if not folder.is_dir():
        raise OutputError(f"{target}: there is no folder {folder}: make it first")
    if target.exists():
        if source.exists() and target.samefile(source):
            raise OutputError(f"{target} is the input itself: name another output")
        if not stat.S_ISREG(target.stat().st_mode):
            raise OutputError(f"{target} is no regular file: name another output")
        if not overwrite:
            raise OutputError(f"{target} exists; -y replaces it")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(
            f"{target}: the folder {folder} is not writable: choose another one"
        )


def kept_in(
    target: Path, codec: str, chosen: PixelFormat, video: OutputVideo
) -> tuple[OutputVideo, list[str]]:
    """What of a video container and encoder keep.

    Args:
        target: the output; its ending names the container.
        codec: the encoder, by FFmpeg's name.
        chosen: the pixel format that it is given.
        video: what is to be written.

    Returns:
        The video as the file will describe it, and a line for each loss of shape or light.

    Raises:
        OutputError: the target's ending names no container.
    """
    container = container_of(target)
    tags = video.tags
    if is_full_range(codec, tags, container) != tags.is_full_range:
        tags = replace(tags, range="limited" if tags.is_full_range else "full")
    kept = replace(video, format=chosen, tags=tags)
    notes: list[str] = []
    if not writes_colours(codec, container):
        kept = replace(
            kept,
            tags=ColorTags(
                tags.range if container.keeps_range else None,
                chroma_location=tags.chroma_location,
            ),
        )
        if (tags.matrix, tags.primaries, tags.transfer) != (UNSPECIFIED,) * 3 or (
            tags.range is not None and not container.keeps_range
        ):
            where = "--format matroska" if piped_container(target) else "an .mkv"
            notes.append(
                f"{codec} in {container.name} loses the colour tags: {where} keeps them, or tell the program that reads it"
            )
    if (only := encoder_of(codec).matrix) is not None and chosen.has_chroma:
        kept = replace(kept, tags=replace(kept.tags, matrix=only, chroma_location=None))
        if tags.matrix not in (UNSPECIFIED, *_SAME_AS_601):
            notes.append(
                f"{codec} always means the colours of BT.601: those of the source will be shown slightly wrong; choose another --codec"
            )
    if (video.rotation or video.display_matrix) and not container.keeps_rotation:
        kept = replace(kept, rotation=0.0, display_matrix=None)
        notes.append(
            f"{container.name} cannot hold the display rotation of {video.rotation:g} degrees: name the output .mp4 to keep it, or turn the "
            "pictures with --bake-rotation"
        )
    if (video.hdr.mastering or video.hdr.content_light) and not hdr_settings(
        video.hdr, codec
    ):
        kept = replace(kept, hdr=Hdr())
        notes.append(
            f"{codec} cannot write the HDR10 metadata (mastering display, content light level): libx265 does"
        )
    if video.hdr.dynamic:
        notes.append(
            f"the {' and '.join(video.hdr.dynamic)} metadata of each frame is lost: no encoder here writes it"
        )
    if video.sample_aspect not in (None, 1) and not (
        container.keeps_aspect or encoder_of(codec).has_aspect
    ):
        kept = replace(kept, sample_aspect=None)
        notes.append(
            f"{codec} in {container.name} loses the pixel aspect ratio {video.sample_aspect}: name the output .mp4 to keep it"
        )
    return kept, notes
