"""What an output should be: its video stream, its name, and what its container cannot keep."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

from vsrcli.containers.advice import SHAPE_SUFFIXES, way_out
from vsrcli.containers.pipe import piped_container
from vsrcli.containers.table import Container, container_of
from vsrcli.encode.atomic_file import remove_abandoned
from vsrcli.encode.encoder_table import encoder_of
from vsrcli.encode.encoders import is_full_range, writes_colours
from vsrcli.encode.hdr_options import kept_hdr
from vsrcli.encode.immersive import is_interleaved, keeps_projection, stereo_carrier
from vsrcli.errors import OutputError
from vsrcli.frame import UNSPECIFIED, ColorTags, Hdr, PixelFormat
from vsrcli.streams.trial_mux import takes_encoder

# H.273: BT.470 B/G and BT.601 have the same matrix under two numbers.
_BT601_MATRICES = (5, 6)


@dataclass(frozen=True)
class OutputVideo:
    """The video stream to be written.

    Attributes:
        width, height: luma pixels.
        format: layout of the frames that are given to ``VideoWriter.write``.
        tags: their colours.
        sample_aspect: pixel width / height; None for untagged.
        rotation: display rotation in degrees, counter-clockwise.
        display_matrix: the same as FFmpeg's 9 numbers, which may mirror as well; None: ``rotation``
            says all.
        hdr: static HDR metadata.
        stereo_mode: how two views share a picture, as in ``VideoInfo``.
        projection: of spherical video, as in ``VideoInfo``.
        time_base: unit of the ticks, seconds.
        rate: frames per second, exact or average; None where unknown.
        keeps_captions: whether closed captions of frames are written.
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
    stereo_mode: str | None = None
    projection: bytes | None = None
    keeps_captions: bool = True


def check_target(
    source: Path,
    target: Path,
    overwrite: bool,
    *,
    is_dry: bool = False,
    makes_folder: bool = False,
) -> None:
    """Refuse a target that cannot be written, before anything is read.

    Hidden files that earlier runs on it left when they were killed are removed.

    Args:
        source: the input file.
        target: the output file.
        overwrite: whether an existing file may be replaced.
        is_dry: whether nothing may be removed.
        makes_folder: whether the run makes the folder if it is missing.

    Raises:
        OutputError: unknown ending, the input itself, a folder, existing, or in a folder that is
            missing or not writable.
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
    if makes_folder and not folder.exists():
        return
    if not folder.is_dir():
        raise OutputError(f"{target}: there is no folder {folder}: make it first")
    if not is_dry:
        remove_abandoned(target)
    if target.exists():
        _check_existing(source, target, overwrite)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(
            f"{target}: the folder {folder} is not writable: choose another one"
        )


def _check_existing(
    source: Path,
    target: Path,
    overwrite: bool,
) -> None:
    if source.exists() and target.samefile(source):
        raise OutputError(f"{target} is the input itself: name another output")
    if not stat.S_ISREG(target.stat().st_mode):
        raise OutputError(f"{target} is not a regular file: name another output")
    if not overwrite:
        raise OutputError(f"{target} exists; -y replaces it")


def kept_in(
    target: Path,
    codec: str,
    chosen: PixelFormat,
    video: OutputVideo,
) -> tuple[OutputVideo, list[str]]:
    """What container and encoder keep of a video.

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
    kept = replace(video, format=chosen)
    losses: list[str] = []
    kept = _keep_colours(
        kept,
        target,
        codec,
        container,
        losses,
    )
    kept = _keep_matrix(kept, codec, video.tags.matrix, losses)
    kept = _keep_rotation(
        kept,
        target,
        codec,
        losses,
    )
    kept = _keep_hdr(kept, codec, losses)
    kept = _keep_aspect(
        kept,
        target,
        codec,
        losses,
    )
    kept = _keep_stereo(kept, codec, container, losses)
    kept = _keep_projection(kept, codec, container, losses)
    return kept, losses


def aspect_losses(target: Path, codec: str, video: OutputVideo) -> list[str]:
    """A line if encoder and container cannot keep the shape of pixels.

    Args:
        target: the output; its ending names the container.
        codec: FFmpeg's name of the encoder.
        video: what is to be written.
    """
    losses: list[str] = []
    _keep_aspect(video, target, codec, losses)
    return losses


def _keep_colours(
    video: OutputVideo,
    target: Path,
    codec: str,
    container: Container,
    losses: list[str],
) -> OutputVideo:
    tags = video.tags
    if is_full_range(codec, tags, container) != tags.is_full_range:
        tags = replace(tags, range="limited" if tags.is_full_range else "full")
    if writes_colours(codec, container):
        return replace(video, tags=tags)
    kept = ColorTags(
        tags.range if container.keeps_range else None,
        chroma_location=tags.chroma_location,
    )
    code_points = {tags.matrix, tags.primaries, tags.transfer}
    if tags.range != kept.range or code_points != {UNSPECIFIED}:
        where = "--format matroska" if piped_container(target) else "an .mkv"
        losses.append(
            f"{codec} in {container.name} loses the colour tags: {where} keeps them, "
            "or tell the program that reads it"
        )
    return replace(video, tags=kept)


def _keep_matrix(
    video: OutputVideo,
    codec: str,
    source_matrix: int,
    losses: list[str],
) -> OutputVideo:
    """Some encoders know one matrix only."""
    only = encoder_of(codec).matrix
    if only is None or not video.format.has_chroma:
        return video
    if source_matrix not in (UNSPECIFIED, *_BT601_MATRICES):
        losses.append(
            f"{codec} always means the colours of BT.601: those of the source will be "
            "slightly wrong; choose another --codec"
        )
    tags = replace(video.tags, matrix=only, chroma_location=None)
    return replace(video, tags=tags)


def _keep_rotation(
    video: OutputVideo,
    target: Path,
    codec: str,
    losses: list[str],
) -> OutputVideo:
    container = container_of(target)
    is_rotated = video.rotation or video.display_matrix
    if not is_rotated or container.keeps_rotation:
        return video
    advice = way_out(
        target,
        lambda other: other.keeps_rotation and takes_encoder(other, codec),
        "to keep it",
        others=("turn the pictures with --bake-rotation",),
        suffixes=SHAPE_SUFFIXES,
    )
    losses.append(
        f"{container.name} cannot hold the display rotation of {video.rotation:g} degrees{advice}"
    )
    return replace(video, rotation=0.0, display_matrix=None)


def _keep_hdr(
    video: OutputVideo,
    codec: str,
    losses: list[str],
) -> OutputVideo:
    kept = kept_hdr(video.hdr, codec)
    if kept != video.hdr:
        lost = []
        if kept.mastering is None and video.hdr.mastering is not None:
            lost.append("mastering display")
        if kept.content_light is None and video.hdr.content_light is not None:
            lost.append("content light level")
        losses.append(
            f"{codec} cannot write the HDR10 metadata ({', '.join(lost)}): libx265 does"
        )
    return replace(video, hdr=kept)


def _keep_aspect(
    video: OutputVideo,
    target: Path,
    codec: str,
    losses: list[str],
) -> OutputVideo:
    container = container_of(target)
    is_kept = container.keeps_aspect or encoder_of(codec).has_aspect
    if is_kept or video.sample_aspect in (None, 1):
        return video
    advice = way_out(
        target,
        lambda other: other.keeps_aspect and takes_encoder(other, codec),
        "to keep it",
        suffixes=SHAPE_SUFFIXES,
    )
    losses.append(
        f"{codec} in {container.name} loses the pixel aspect ratio {video.sample_aspect}{advice}"
    )
    return replace(video, sample_aspect=None)


def _keep_stereo(
    video: OutputVideo,
    codec: str,
    container: Container,
    losses: list[str],
) -> OutputVideo:
    mode = video.stereo_mode
    carrier = stereo_carrier(mode, video.sample_aspect, codec, container)
    if mode is None or carrier is not None:
        return video
    name = mode.replace("_", " ")
    if is_interleaved(mode):
        losses.append(
            f"its two views alternate within each picture ({name}): upscaled together, they mix; "
            "separate them first"
        )
    else:
        losses.append(
            f"{codec} in {container.name} cannot say that the pictures hold two views ({name}): "
            "libx264 in an .mkv says most, or choose the view mode in the player"
        )
    return replace(video, stereo_mode=None)


def _keep_projection(
    video: OutputVideo,
    codec: str,
    container: Container,
    losses: list[str],
) -> OutputVideo:
    if video.projection is None:
        return video
    is_turned = video.display_matrix is not None
    if keeps_projection(video.projection, codec, container, is_turned=is_turned):
        return video
    losses.append(
        f"{codec} in {container.name} cannot say that this is spherical video (360 degrees): "
        "libx264 and libx265 in an .mkv do, with no display rotation"
    )
    return replace(video, projection=None)
