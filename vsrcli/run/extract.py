"""A video into a folder of numbered pictures. Prints nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np

from vsrcli.errors import InputError, OptionError
from vsrcli.frame import ColorTags, Frame, Plane, VideoInfo
from vsrcli.media.folder_writer import FolderWriter
from vsrcli.media.folders import FramePattern
from vsrcli.media.output import OutputVideo
from vsrcli.media.probe import probe
from vsrcli.media.reader import VideoReader
from vsrcli.options import ExtractOptions
from vsrcli.picture.orientation import Orientation
from vsrcli.picture.rgb import gray_layout, matrix_of, to_rgb
from vsrcli.run.pictures import picture_layout, picture_tags
from vsrcli.run.prefetch import Prefetch
from vsrcli.run.range_check import check_range
from vsrcli.run.targets import STANDARD_OUTPUT

_AHEAD = 4


@dataclass(slots=True)
class ExtractReport:
    """What was extracted: source and folder, size and depth of the pictures, how many, the source's rate, wall time, and lines for the user."""

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

    YUV becomes RGB by the tagged matrix and range, or by those that players assume; 8 bits stay 8, more become 16. RGB and gray are kept as they are.

    Args:
        source: a video file, or ``-``.
        target: the folder; it appears when everything went well.
        options: see ``ExtractOptions``.
        on_progress: called in this thread after each picture with the share that is done (None where unknown) and the number of pictures.
        on_note: called with each line that the user should read.

    Raises:
        InputError: the source is missing, no video, damaged beyond use, or of colours that cannot become RGB.
        OutputError: the folder cannot be written.
        OptionError: the range lies outside the source, or the pattern is none.
    """
    source, target, options = Path(source), Path(target), options or ExtractOptions()
    began = time.monotonic()
    if str(target) == STANDARD_OUTPUT:
        raise OptionError(
            "pictures go into a folder: name one; `vsr upscale IN -` writes a stream"
        )
    pattern = FramePattern.parse(options.pattern)
    info = probe(source, keep_rgb=not options.luma)
    check_range(info, options.range)
    with VideoReader(
        info,
        time_range=options.range,
        deinterlace=options.deinterlace,
        strict=options.strict,
    ) as reader:
        convert, video = _plan(info, options)
        report = ExtractReport(
            str(source),
            str(target),
            video.width,
            video.height,
            video.format.bits,
            None if info.rate is None else str(info.rate),
        )

        def note(line: str) -> None:
            report.notes.append(line)
            if on_note is not None:
                on_note(line)

        lengths: set[Fraction] = set()
        with FolderWriter(
            target, video, pattern=pattern, overwrite=options.overwrite
        ) as writer:
            for line in _notes(info, options):
                note(line)
            wanted = (frame for frame in reader if options.range.contains(frame.time))
            with Prefetch(
                map(convert, wanted), _AHEAD, "decode", stalled=reader.stalled
            ) as frames:
                for frame in frames:
                    writer.write(frame, report.frames, 1)
                    report.frames += 1
                    lengths.add(frame.duration)
                    if on_progress is not None:
                        share = options.range.share(frame.time, info.duration)
                        on_progress(share, report.frames)
            writer.finish(report.frames)
        if len(lengths) > 2:
            note(
                "the frames are not evenly spaced in time: pictures do not tell, and `vsr assemble` gives them a constant rate"
            )
        if reader.damage:
            note(f"{source} is damaged, the rest was extracted: {reader.damage}")
    report.seconds = time.monotonic() - began
    return report


def _plan(
    info: VideoInfo, options: ExtractOptions
) -> tuple[Callable[[Frame], Frame], OutputVideo]:
    turned = (
        None
        if info.display_matrix is None
        else Orientation.of_matrix(info.display_matrix)
    )
    bits = 8 if info.format.bits == 8 else 16
    layout, tags = (
        gray_layout(bits) if options.luma else picture_layout(info, bits),
        picture_tags(info),
    )
    if options.luma:
        tags = ColorTags(
            "full" if info.tags.is_full_range else "limited",
            primaries=tags.primaries,
            transfer=tags.transfer,
        )
    try:
        matrix = matrix_of(info.tags, info.width, info.height)
    except ValueError as error:
        raise InputError(f"{info.path}: {error}: --luma extracts its luma") from error

    def convert(frame: Frame) -> Frame:
        made = (
            _luma(frame, info, bits)
            if options.luma
            else to_rgb(frame, info.tags, matrix, bits)
        )
        return made if turned is None else turned.turn(made)

    width, height = (turned or Orientation()).size(info.width, info.height)
    return convert, OutputVideo(
        width, height, layout, tags, None, 0.0, info.time_base, info.rate
    )


def _luma(frame: Frame, info: VideoInfo, bits: int) -> Frame:
    """Luma codes alone; in 16 bits they keep their place in the range."""
    luma: Plane = frame.luma
    if bits > frame.format.bits:
        gain = (
            65535 / frame.format.peak
            if info.tags.is_full_range
            else 1 << (bits - frame.format.bits)
        )
        luma = np.rint(luma * gain).astype(np.uint16)
    return Frame(
        (luma,), gray_layout(bits), frame.time, frame.duration, frame.scene_cut
    )


def _notes(info: VideoInfo, options: ExtractOptions) -> list[str]:
    rate = "" if info.rate is None else f" --fps {info.rate}"
    sound = (
        f" --audio-from {info.path}"
        if any(stream.kind == "audio" for stream in info.streams)
        else ""
    )
    lines = (
        [f"`vsr assemble DIR OUT{rate}{sound}` makes a video of the pictures again"]
        if rate or sound
        else []
    )
    if info.interlaced and options.deinterlace != "off":
        lines.append(
            "the source is interlaced: it is deinterlaced (bwdif) first; --deinterlace off leaves its fields woven"
        )
    if info.display_matrix is not None:
        lines.append(
            f"pictures hold no display rotation ({info.rotation:g} degrees): they are turned"
        )
    if info.sample_aspect not in (None, 1):
        lines.append(
            f"pictures hold no pixel aspect ratio ({info.sample_aspect}): they look {'narrow' if (info.sample_aspect or 1) > 1 else 'wide'}"
        )
    return lines
