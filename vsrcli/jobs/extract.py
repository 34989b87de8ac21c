"""A video into a folder of numbered pictures. Prints nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from vsrcli.decode.probe import probe
from vsrcli.decode.reader import VideoReader
from vsrcli.encode.output import OutputVideo
from vsrcli.errors import InputError, OptionError
from vsrcli.frame import ColorTags, Frame, Plane, VideoInfo
from vsrcli.images.folder_writer import FolderWriter
from vsrcli.images.folders import FramePattern, check_folder_target, leftover_note
from vsrcli.options import ExtractOptions
from vsrcli.paths import check_source, output_name
from vsrcli.picture.matrices import BT709
from vsrcli.picture.orientation import Orientation
from vsrcli.picture.rgb import gray_layout, to_rgb
from vsrcli.pipeline.prefetch import Prefetch
from vsrcli.preflight.assemble_hint import assemble_hint
from vsrcli.preflight.change_check import (
    change_losses,
    change_notes,
    changes_within,
)
from vsrcli.preflight.notes import PICTURES_HOLD_NO_CAPTIONS, clock_note, picture_losses
from vsrcli.preflight.pictures import (
    matrix_to_rgb,
    picture_layout,
    picture_tags,
)
from vsrcli.preflight.range_check import check_range
from vsrcli.preflight.targets import STANDARD_OUTPUT

_FRAMES_AHEAD = 4
_PEAK_16_BITS = 65535
_UNEVEN = (
    "the frames are not evenly spaced in time: pictures do not tell, and `vsr assemble` gives them "
    "a constant rate"
)


@dataclass(slots=True)
class ExtractReport:
    """What was extracted.

    Attributes:
        source, target: video and folder.
        width, height, bits: size and depth of the pictures.
        rate: of the source, frames per second; None where unknown.
        frames: number of pictures.
        seconds: wall time.
        notes: lines for the user.
    """

    source: str
    target: str
    width: int
    height: int
    bits: int
    rate: str | None
    frames: int = 0
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)


def extract(
    source: str | Path,
    target: str | Path,
    options: ExtractOptions | None = None,
    *,
    on_progress: Callable[[float | None, int], None] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> ExtractReport:
    """Write every frame of a video as a picture.

    YUV is converted to RGB by the tagged matrix and range, or by those that players assume; 8 bits
    stay 8, more become 16. RGB and gray are kept as they are.

    Args:
        source: a video file, or ``-``.
        target: the folder; it appears when it is complete.
        options: see ``ExtractOptions``.
        on_progress: called in this thread after each picture with the share that is done (None
            where unknown) and the number of pictures.
        on_note: called with each line that the user should read.

    Raises:
        InputError: the source is missing, not a video, damaged beyond use, or of colours that
            cannot be converted to RGB.
        OutputError: the folder cannot be written.
        OptionError: the range is outside the source, or the pattern is not one.
    """
    began = time.monotonic()
    source = Path(source)
    target = output_name(Path(target))
    options = options or ExtractOptions()
    if str(target) == STANDARD_OUTPUT:
        raise OptionError(
            "pictures go into a folder: name one; `vsr upscale IN -` writes a stream"
        )
    pattern = FramePattern.parse(options.pattern)
    check_source(source)
    check_folder_target(target, pattern, options.overwrite, source)
    info = probe(
        source,
        keep_rgb=not options.luma,
        start=options.start,
    )
    check_range(info, options.range)
    changes = changes_within(info, options.range)
    losses = change_losses(options.range, changes)
    if options.strict and losses:
        raise InputError(f"{source}: --strict allows no loss: {losses[0]}")
    convert, video = _plan(info, options)
    report = ExtractReport(
        source=str(source),
        target=str(target),
        width=video.width,
        height=video.height,
        bits=video.format.bits,
        rate=None if video.rate is None else str(video.rate),
    )

    def note(line: str | None) -> None:
        if line is None:
            return
        report.notes.append(line)
        if on_note is not None:
            on_note(line)

    with VideoReader(
        info,
        time_range=options.range,
        deinterlace=options.deinterlace,
        strict=options.strict,
        is_last_reader=True,
    ) as reader:
        pictures = (
            convert(frame) for frame in reader if options.range.contains(frame.time)
        )
        with (
            FolderWriter(
                target,
                video,
                pattern=pattern,
                overwrite=options.overwrite,
            ) as writer,
            Prefetch(
                pictures,
                _FRAMES_AHEAD,
                "decode",
                stalled=reader.stalled,
            ) as frames,
        ):
            for line in (
                *_notes(info, options, video),
                *change_notes(changes),
                *losses,
            ):
                note(line)
            durations: set[Fraction] = set()
            for frame in frames:
                if not report.frames:
                    note(_hint(info, target, options, video, frame.time))
                if frame.captions and PICTURES_HOLD_NO_CAPTIONS not in report.notes:
                    note(PICTURES_HOLD_NO_CAPTIONS)
                writer.write(frame, report.frames, 1)
                report.frames += 1
                durations.add(frame.duration)
                if on_progress is not None:
                    share = options.range.share(frame.time, info.duration)
                    on_progress(share, report.frames)
            writer.finish(report.frames)
        note(leftover_note(target, pattern, range(1, report.frames + 1)))
        note(_UNEVEN if len(durations) > 2 else None)
        if reader.damage:
            note(f"{source} is damaged, the rest was extracted: {reader.damage}")
    report.seconds = time.monotonic() - began
    return report


def _plan(
    info: VideoInfo, options: ExtractOptions
) -> tuple[Callable[[Frame], Frame], OutputVideo]:
    """What makes a picture of a frame, and the pictures as a video."""
    orientation = Orientation()
    if info.display_matrix is not None:
        orientation = Orientation.of_matrix(info.display_matrix)
    bits = 8 if info.format.bits == 8 else 16
    layout = picture_layout(info, bits)
    tags = picture_tags(info)
    if options.luma:
        layout = gray_layout(bits)
        tags = ColorTags(
            "full" if info.tags.is_full_range else "limited",
            primaries=tags.primaries,
            transfer=tags.transfer,
        )
    try:
        matrix = BT709 if options.luma else matrix_to_rgb(info)
    except ValueError as error:
        raise InputError(f"{info.path}: {error}: --luma extracts its luma") from error

    def convert(frame: Frame) -> Frame:
        picture = (
            _luma(frame, info, bits)
            if options.luma
            else to_rgb(frame, info.tags, matrix, bits)
        )
        return picture if info.display_matrix is None else orientation.turn(picture)

    width, height = orientation.size(info.width, info.height)
    video = OutputVideo(
        width=width,
        height=height,
        format=layout,
        tags=tags,
        sample_aspect=orientation.aspect(info.sample_aspect),
        rotation=0.0,
        time_base=info.time_base,
        rate=_rate(info, options),
    )
    return convert, video


def _rate(info: VideoInfo, options: ExtractOptions) -> Fraction | None:
    """Pictures per second; twice the source's rate if each field becomes one."""
    splits_fields = options.deinterlace == "field" and bool(info.interlaced)
    return info.rate * 2 if info.rate is not None and splits_fields else info.rate


def _hint(
    info: VideoInfo,
    target: Path,
    options: ExtractOptions,
    video: OutputVideo,
    first_time: Fraction,
) -> str | None:
    """How to make a video of the pictures again."""
    return assemble_hint(
        info,
        target,
        rate=video.rate,
        first_time=first_time,
        is_cut=options.end is not None,
        aspect=video.sample_aspect,
    )


def _luma(
    frame: Frame,
    info: VideoInfo,
    bits: int,
) -> Frame:
    """Luma codes alone; in 16 bits they keep their place in the range."""
    luma: Plane = frame.luma
    extra_bits = bits - frame.format.bits
    if extra_bits > 0:
        gain: float = 1 << extra_bits
        if info.tags.is_full_range:
            gain = _PEAK_16_BITS / frame.format.peak
        luma = np.rint(luma * gain).astype(np.uint16)
    return replace(frame, planes=(luma,), format=gray_layout(bits))


def _notes(info: VideoInfo, options: ExtractOptions, video: OutputVideo) -> list[str]:
    lines = []
    restarts = clock_note(info)
    if restarts is not None:
        lines.append(restarts)
    if info.interlaced and options.deinterlace != "off":
        lines.append(
            "the source is interlaced: it is deinterlaced (bwdif) first; "
            "--deinterlace off leaves the fields interlaced"
        )
    if info.display_matrix is not None:
        lines.append(
            f"pictures hold no display rotation ({info.rotation:g} degrees): they are turned"
        )
    aspect = video.sample_aspect
    if aspect is not None and aspect != 1:
        look = "narrow" if aspect > 1 else "wide"
        lines.append(
            f"pictures hold no pixel aspect ratio ({aspect}): they look {look}"
        )
    lines += picture_losses(info)
    return lines
