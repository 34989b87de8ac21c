"""A folder of numbered pictures into a video. Prints nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

from vsrcli.decode.probe import probe_file
from vsrcli.encode.encoder_table import encoder_of
from vsrcli.encode.encoders import choose_encoder, is_hdr
from vsrcli.encode.formats import choose_format
from vsrcli.encode.output import OutputVideo, aspect_losses, check_target
from vsrcli.encode.writer import VideoWriter
from vsrcli.errors import InputError, OptionError, OutputError
from vsrcli.frame import UNSPECIFIED, ColorTags, FileInfo, Frame, PixelFormat, VideoInfo
from vsrcli.images.folder_reader import FolderReader
from vsrcli.options import AssembleOptions, EncoderOptions
from vsrcli.paths import check_source, output_name, refuse_inputs
from vsrcli.picture.matrices import matrix_of
from vsrcli.picture.rgb import from_rgb
from vsrcli.pipeline.prefetch import Prefetch
from vsrcli.preflight.targets import resolve_target
from vsrcli.streams.stream_plan import StreamPlan, plan_streams
from vsrcli.timing import WHOLE, TimeRange

_FRAMES_AHEAD = 4
# Pictures and sound whose lengths differ by more than this probably do not belong together.
_MAX_DIFFERENCE_SECONDS = Fraction(1, 5)
_MAX_PLAYER_DEPTH = 10  # what hardware decodes
_SUBSAMPLING_NAMES = {(0, 0): "444", (1, 0): "422", (1, 1): "420"}


@dataclass(slots=True)
class AssembleReport:
    """What was assembled.

    Attributes:
        source, target: folder and file.
        width, height: size of the pictures.
        codec, pixel_format: of the video.
        frames: number of pictures.
        seconds: wall time.
        notes: lines for the user.
    """

    source: str
    target: str
    width: int
    height: int
    codec: str
    pixel_format: str
    frames: int = 0
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Plan:
    """How the video is encoded.

    Attributes:
        encoder: with a real encoder's name.
        layout: the layout that it is given.
        tags: the colours of the frames.
        matrix: from RGB to them, as code point of ITU-T H.273.
        notes, losses: lines for the user.
    """

    encoder: EncoderOptions
    layout: PixelFormat
    tags: ColorTags
    matrix: int = 0
    notes: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)


def assemble(
    source: str | Path,
    target: str | Path,
    options: AssembleOptions | None = None,
    *,
    on_progress: Callable[[float | None, int], None] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> AssembleReport:
    """Make a video of numbered pictures.

    Encoders made for players get YUV 4:2:0, limited range, by the matrix of the pictures'
    primaries, else BT.601 up to PAL's size and BT.709 beyond, and the video says so. Lossless ones
    (ffv1, png, qtrle, ...) keep RGB as it is; ``pix_fmt`` overrides both.

    Args:
        source: a folder; a gap in the numbering is an error.
        target: the output; its ending names the container.
        options: see ``AssembleOptions``.
        on_progress: called in this thread after each picture with the share that is done and the
            number of pictures.
        on_note: called with each line that the user should read.

    Raises:
        InputError: no sequence of pictures, or one of them cannot be read; no audio in
            ``audio_from``.
        OutputError: the target cannot be written; or (``strict``) something would be lost.
    """
    began = time.monotonic()
    source = Path(source)
    options = options or AssembleOptions()
    check_source(source)
    target = resolve_target(output_name(Path(target)), options.format)
    if not source.is_dir():
        raise InputError(f"{source} is not a folder: name one with numbered pictures")
    check_target(source, target, options.overwrite)
    if options.audio_from is not None:
        refuse_inputs(target, [Path(options.audio_from)])
    with FolderReader(
        source, rate=options.fps, value_range=options.value_range
    ) as reader:
        info = reader.info
        sound, streams = _plan_sound(options, target)
        plan = _plan_video(info, target, options)
        video = _output_video(info, plan, options)
        plan.losses += aspect_losses(target, plan.encoder.codec, video)
        begin = options.audio_start
        heard = WHOLE
        if begin is not None and info.duration is not None:
            heard = TimeRange(begin, begin + info.duration)
        if options.strict and plan.losses:
            raise OutputError(f"{target}: --strict allows no loss: {plan.losses[0]}")
        report = AssembleReport(
            source=str(source),
            target=str(target),
            width=info.width,
            height=info.height,
            codec=plan.encoder.codec,
            pixel_format=plan.layout.name,
        )
        with VideoWriter(
            target,
            video,
            plan.encoder,
            source=sound,
            plan=streams,
            time_range=heard,
            origin=heard.begin,
            overwrite=options.overwrite,
        ) as writer:
            lines = [
                *plan.notes,
                *plan.losses,
                *_sound_notes(sound, streams, info, heard),
            ]
            for line in lines:
                report.notes.append(line)
                if on_note is not None:
                    on_note(line)
            count = int((info.duration or 0) * options.fps)
            pictures = (_converted(frame, plan) for frame in reader)
            with Prefetch(pictures, _FRAMES_AHEAD, "pictures") as frames:
                for frame in frames:
                    writer.write(frame, report.frames, 1)
                    report.frames += 1
                    if on_progress is not None:
                        on_progress(report.frames / count, report.frames)
            writer.finish(report.frames)
    report.seconds = time.monotonic() - began
    return report


def _output_video(
    info: VideoInfo,
    plan: _Plan,
    options: AssembleOptions,
) -> OutputVideo:
    return OutputVideo(
        width=info.width,
        height=info.height,
        format=plan.layout,
        tags=plan.tags,
        sample_aspect=options.sar,
        rotation=0.0,
        time_base=1 / options.fps,
        rate=options.fps,
    )


def _converted(frame: Frame, plan: _Plan) -> Frame:
    if plan.layout.is_rgb or plan.layout == frame.format:
        return frame
    return from_rgb(frame, plan.layout, plan.tags, plan.matrix)


def _plan_video(
    info: VideoInfo,
    target: Path,
    options: AssembleOptions,
) -> _Plan:
    encoder, note = choose_encoder(
        options.encoder,
        target,
        bits=info.format.bits,
        is_hdr=is_hdr(info.tags, info.hdr),
    )
    is_for_players = encoder_of(encoder.codec).for_players
    if is_for_players and encoder.pix_fmt is None:
        layout, loss = _layout_for_players(info.format, encoder)
    else:
        layout, loss = _exact_layout(info.format, encoder)
    plan = _Plan(encoder, layout, info.tags)
    if note:
        plan.notes.append(note)
    if loss:
        plan.losses.append(loss)
    is_unchanged_gray = not layout.has_chroma and layout == info.format
    if layout.is_rgb or is_unchanged_gray:
        return plan
    untagged = replace(info.tags, matrix=UNSPECIFIED)
    plan.matrix = matrix_of(untagged, info.width, info.height)
    is_420 = layout.log2_chroma_w and layout.log2_chroma_h
    plan.tags = ColorTags(
        "limited",
        plan.matrix,
        info.tags.primaries,
        info.tags.transfer,
        "left" if is_420 else None,
    )
    # some encoders take the same samples in another order only
    pix_fmt = encoder.pix_fmt or choose_format(encoder, layout)[0].name
    plan.encoder = replace(encoder, pix_fmt=pix_fmt)
    return plan


def _layout_for_players(
    pictures: PixelFormat, encoder: EncoderOptions
) -> tuple[PixelFormat, str | None]:
    """4:2:0 that players decode, and a line if something is lost."""
    bits = min(pictures.bits, _MAX_PLAYER_DEPTH)
    chosen, _ = choose_format(encoder, _yuv("420", bits, alpha=pictures.has_alpha))
    lost = []
    if pictures.has_alpha and not chosen.has_alpha:
        lost.append("alpha")
    if chosen.bits < pictures.bits:
        lost.append(f"{pictures.bits - chosen.bits} bits of depth")
    and_loses = f" and loses {' and '.join(lost)}" if lost else ""
    layout = _planar(chosen)
    if pictures.is_rgb:
        return layout, (
            f"RGB becomes {chosen.name}{and_loses}: --pix-fmt yuv444p keeps the colours' "
            "resolution, few players show it; --codec ffv1 keeps all"
        )
    if lost:
        return layout, f"gray becomes {chosen.name}{and_loses}"
    return layout, None


def _exact_layout(
    pictures: PixelFormat, encoder: EncoderOptions
) -> tuple[PixelFormat, str | None]:
    """The layout that keeps most of the pictures, and a line if something is lost."""
    try:
        chosen, loss = choose_format(encoder, pictures)
        if chosen.is_rgb or (not pictures.is_rgb and not chosen.has_chroma):
            return pictures, loss
        if not pictures.is_rgb:
            return _planar(chosen), loss
    except OutputError:
        if not pictures.is_rgb:
            raise
    full_chroma = _yuv("444", pictures.bits, alpha=pictures.has_alpha)
    chosen, loss = choose_format(encoder, full_chroma)
    if loss is None and encoder.pix_fmt is None:
        loss = (
            f"{encoder.codec} takes no RGB: the output is {chosen.name}; "
            "--codec ffv1 keeps all"
        )
    return _planar(chosen), loss


def _planar(chosen: PixelFormat) -> PixelFormat:
    """The format with its samples in planes, if the encoder wants them in another order."""
    if PixelFormat.parse(chosen.name) is not None:
        return chosen
    sampling = (chosen.log2_chroma_w, chosen.log2_chroma_h)
    return _yuv(_SUBSAMPLING_NAMES[sampling], chosen.bits, alpha=False)


def _yuv(
    subsampling: str,
    bits: int,
    *,
    alpha: bool,
) -> PixelFormat:
    kind = "yuva" if alpha else "yuv"
    suffix = "" if bits == 8 else f"{bits}le"
    name = f"{kind}{subsampling}p{suffix}"
    layout = PixelFormat.parse(name)
    if layout is None:
        raise OutputError(f"no pixel format is called {name}")
    return layout


def _plan_sound(
    options: AssembleOptions, target: Path
) -> tuple[FileInfo | None, tuple[StreamPlan, ...]]:
    """The file of the sound, and what happens to its streams: only audio is copied."""
    if options.audio_from is None:
        return None, ()
    sound = probe_file(Path(options.audio_from))
    if not any(stream.kind == "audio" for stream in sound.streams):
        raise InputError(f"{options.audio_from} holds no audio: omit --audio-from")
    begin = options.audio_start
    if begin is not None and sound.duration is not None and begin >= sound.duration:
        raise OptionError(
            f"--audio-start {float(begin):g} is after the end of {options.audio_from}, "
            f"which lasts {float(sound.duration):.3f} s"
        )
    plan = []
    for item in plan_streams(sound, target, "copy"):
        if item.stream.kind != "audio":
            item = replace(item, action="drop", reason="not audio")
        plan.append(item)
    return sound, tuple(plan)


def _sound_notes(
    sound: FileInfo | None,
    plan: tuple[StreamPlan, ...],
    info: VideoInfo,
    heard: TimeRange,
) -> list[str]:
    if sound is None:
        return []
    lines = []
    for item in plan:
        stream = item.stream
        if stream.kind == "audio" and item.action != "copy":
            lines.append(f"audio stream {stream.index} ({stream.codec}): {item.reason}")
    if sound.duration is None or info.duration is None:
        return lines
    length = sound.duration - heard.begin
    is_longer = length > info.duration and heard.end is None
    is_different = abs(length - info.duration) > _MAX_DIFFERENCE_SECONDS
    if is_different and (is_longer or length < info.duration):
        lines.append(
            f"the pictures last {float(info.duration):.2f} s, "
            f"the sound {float(length):.2f} s: is --fps right?"
        )
    return lines
