"""A folder of numbered pictures into a video. Prints nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

from vsrcli.errors import InputError, OutputError
from vsrcli.frame import UNSPECIFIED, ColorTags, FileInfo, Frame, PixelFormat, VideoInfo
from vsrcli.media.encoders import encoder_of, is_hdr, resolve_codec, without_nvidia
from vsrcli.media.folder_reader import FolderReader
from vsrcli.media.formats import choose_format
from vsrcli.media.output import OutputVideo, check_target
from vsrcli.media.probe import probe_file
from vsrcli.media.stream_plan import StreamPlan, plan_streams
from vsrcli.media.writer import VideoWriter
from vsrcli.options import AssembleOptions, EncoderOptions
from vsrcli.picture.rgb import from_rgb, matrix_of
from vsrcli.run.prefetch import Prefetch
from vsrcli.run.targets import resolve_target

_AHEAD = 4
_APART_SECONDS = Fraction(1, 5)
_PLAYERS_DEPTH = 10  # most that hardware decodes


@dataclass(slots=True)
class AssembleReport:
    """What was assembled: folder and file, size, encoder and pixel format, how many pictures, wall time, and lines for the user."""

    source: str
    target: str
    width: int
    height: int
    codec: str
    pixel_format: str
    frames: int = 0
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)


def assemble(
    source: str | Path,
    target: str | Path,
    options: AssembleOptions | None = None,
    *,
    on_progress: Callable[[float | None, int], None] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> AssembleReport:
    """Make a video of numbered pictures.

    Encoders made for players get YUV 4:2:0, limited range, by the matrix of the pictures' primaries, else BT.601 up to PAL's size and BT.709 beyond, and the
    video says so. Lossless ones (ffv1, png, qtrle, ...) keep RGB as it is; ``pix_fmt`` overrides both.

    Args:
        source: a folder; a gap in the numbering is an error.
        target: the output; its ending names the container.
        options: see ``AssembleOptions``.
        on_progress: called in this thread after each picture with the share that is done and the number of pictures.
        on_note: called with each line that the user should read.

    Raises:
        InputError: no sequence of pictures, or one of them cannot be read; no audio in ``audio_from``.
        OutputError: the target cannot be written; or (``strict``) something would be lost.
    """
    source, target, options = (
        Path(source),
        resolve_target(Path(target), (options or AssembleOptions()).format),
        options or AssembleOptions(),
    )
    began = time.monotonic()
    if not source.is_dir():
        raise InputError(f"{source} is no folder: name one with numbered pictures")
    check_target(source, target, options.overwrite)
    reader = FolderReader(source, rate=options.fps, value_range=options.value_range)
    info = reader.info
    sound, plan = _sound(options, target)
    encoder, layout, tags, matrix, notes, losses = _plan(info, target, options)
    if options.strict and losses:
        raise OutputError(f"{target}: --strict allows no loss: {losses[0]}")
    video = OutputVideo(
        info.width, info.height, layout, tags, None, 0.0, 1 / options.fps, options.fps
    )
    report = AssembleReport(
        str(source), str(target), info.width, info.height, encoder.codec, layout.name
    )
    with VideoWriter(target, video, encoder, source=sound, plan=plan) as writer:
        for line in (*notes, *losses, *_sound_notes(sound, plan, info)):
            report.notes.append(line)
            if on_note is not None:
                on_note(line)

        def convert(frame: Frame) -> Frame:
            return (
                frame
                if layout.is_rgb or layout == frame.format
                else from_rgb(frame, layout, tags, matrix)
            )

        count = int((info.duration or 0) * options.fps)
        with Prefetch(map(convert, reader), _AHEAD, "pictures") as frames:
            for frame in frames:
                writer.write(frame, report.frames, 1)
                report.frames += 1
                if on_progress is not None:
                    on_progress(report.frames / count, report.frames)
        writer.finish(report.frames)
    report.seconds = time.monotonic() - began
    return report


def _plan(
    info: VideoInfo, target: Path, options: AssembleOptions
) -> tuple[EncoderOptions, PixelFormat, ColorTags, int, list[str], list[str]]:
    """Encoder, what it is given, its colours, the matrix, and lines for the user: notes and losses."""
    encoder = resolve_codec(
        options.encoder,
        target,
        bits=info.format.bits,
        is_hdr=is_hdr(info.tags, info.hdr),
    )
    encoder, line = without_nvidia(encoder)
    notes, losses = [line] if line else [], []
    is_for_players = (
        encoder_of(encoder.codec).crf is not None and encoder.pix_fmt is None
    )
    layout, loss = _layout(info.format, encoder, is_for_players=is_for_players)
    losses += [loss] if loss else []
    if layout.is_rgb or (not layout.has_chroma and layout == info.format):
        return encoder, layout, info.tags, 0, notes, losses
    matrix = matrix_of(replace(info.tags, matrix=UNSPECIFIED), info.width, info.height)
    location = "left" if layout.log2_chroma_w and layout.log2_chroma_h else None
    tags = ColorTags(
        "limited", matrix, info.tags.primaries, info.tags.transfer, location
    )
    pix_fmt = encoder.pix_fmt or layout.name
    return replace(encoder, pix_fmt=pix_fmt), layout, tags, matrix, notes, losses


def _layout(
    pictures: PixelFormat, encoder: EncoderOptions, *, is_for_players: bool
) -> tuple[PixelFormat, str | None]:
    """What the encoder is given, and a line where something is lost."""
    if is_for_players:
        bits = min(pictures.bits, _PLAYERS_DEPTH)
        alpha = "a" if pictures.has_alpha else ""
        layout = _parsed(f"yuv{alpha}420p{'' if bits == 8 else f'{bits}le'}")
        chosen = choose_format(encoder, layout)[0]
        lost = ["alpha"] if pictures.has_alpha and not chosen.has_alpha else []
        lost += (
            [f"{pictures.bits - chosen.bits} bits of depth"]
            if chosen.bits < pictures.bits
            else []
        )
        said = f" and loses {' and '.join(lost)}" if lost else ""
        if not pictures.is_rgb:
            return _planar(
                chosen
            ), f"gray becomes {chosen.name}{said}" if lost else None
        return (
            _planar(chosen),
            f"RGB becomes {chosen.name}{said}: --pix-fmt yuv444p keeps the colours' resolution, few players show it; --codec ffv1 keeps all",
        )
    try:
        chosen, loss = choose_format(encoder, pictures)
        if chosen.is_rgb or not pictures.is_rgb:
            return (
                pictures if chosen.is_rgb or not chosen.has_chroma else _planar(chosen)
            ), loss
    except OutputError:
        if not pictures.is_rgb:
            raise
    depth = "" if pictures.bits == 8 else f"{pictures.bits}le"
    chosen, loss = choose_format(
        encoder, _parsed(f"yuv{'a' * pictures.has_alpha}444p{depth}")
    )
    return _planar(chosen), loss or (
        None
        if encoder.pix_fmt
        else f"{encoder.codec} takes no RGB: the output is {chosen.name}; --codec ffv1 keeps all"
    )


def _planar(chosen: PixelFormat) -> PixelFormat:
    """The format with its samples in planes, where the encoder wants them in another order."""
    if PixelFormat.parse(chosen.name) is not None:
        return chosen
    sampling = {(0, 0): "444", (1, 0): "422", (1, 1): "420"}[
        chosen.log2_chroma_w, chosen.log2_chroma_h
    ]
    return _parsed(f"yuv{sampling}p{'' if chosen.bits == 8 else f'{chosen.bits}le'}")


def _parsed(name: str) -> PixelFormat:
    layout = PixelFormat.parse(name)
    if layout is None:
        raise OutputError(f"no pixel format is called {name}")
    return layout


def _sound(
    options: AssembleOptions, target: Path
) -> tuple[FileInfo | None, tuple[StreamPlan, ...]]:
    if options.audio_from is None:
        return None, ()
    found = probe_file(Path(options.audio_from))
    if not any(stream.kind == "audio" for stream in found.streams):
        raise InputError(
            f"{options.audio_from} holds no audio: leave --audio-from away"
        )
    plan = plan_streams(found, target, "copy")
    return found, tuple(
        item
        if item.stream.kind == "audio"
        else replace(item, action="drop", reason="not audio")
        for item in plan
    )


def _sound_notes(
    sound: FileInfo | None, plan: tuple[StreamPlan, ...], info: VideoInfo
) -> list[str]:
    lines = [
        f"audio stream {item.stream.index} ({item.stream.codec}): {item.reason}"
        for item in plan
        if item.stream.kind == "audio" and item.action != "copy"
    ]
    if (
        sound is not None
        and sound.duration is not None
        and info.duration is not None
        and abs(sound.duration - info.duration) > _APART_SECONDS
    ):
        lines.append(
            f"the pictures last {float(info.duration):.2f} s, the sound {float(sound.duration):.2f} s: is --fps right?"
        )
    return lines
