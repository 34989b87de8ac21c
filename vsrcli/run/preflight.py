"""What will happen, decided before the work starts: what becomes of every stream, of time, colour and shape; what is lost, and whether that is allowed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

from vsrcli.errors import InputError, OptionError, OutputError
from vsrcli.frame import PixelFormat, StreamInfo, VideoInfo
from vsrcli.frame_io import FrameSink, FrameSource
from vsrcli.media.containers import DEFAULT_PIPED, Container, container_of
from vsrcli.media.encoders import (
    encoder_of,
    is_full_range,
    is_hdr,
    resolve_codec,
    without_nvidia,
)
from vsrcli.media.folder_reader import FolderReader
from vsrcli.media.folder_writer import FolderWriter
from vsrcli.media.folders import check_folder_target
from vsrcli.media.formats import choose_format
from vsrcli.media.output import OutputVideo, check_target, kept_in
from vsrcli.media.pipe import is_standard_input, output_pipe, piped_container
from vsrcli.media.probe import completeness, is_rgb
from vsrcli.media.reader import VideoReader
from vsrcli.media.stream_plan import StreamPlan, plan_streams
from vsrcli.media.stream_tags import global_tags
from vsrcli.media.trial_mux import tags_that_fit
from vsrcli.media.writer import VideoWriter
from vsrcli.options import EncoderOptions, UpscaleOptions
from vsrcli.picture.orientation import Orientation
from vsrcli.run.pictures import (
    Conversion,
    Pictures,
    describe,
    folder_rate,
    picture_layout,
    picture_tags,
    plan_conversion,
)
from vsrcli.timing import Schedule, TimeRange, output_time_base

STANDARD_OUTPUT = "-"


@dataclass(frozen=True, slots=True)
class Job:
    """Everything that is decided before the work starts.

    Attributes:
        source, target: what is read and written; ``-`` has become a pipe's name.
        info: the source as it is stored.
        streams: what happens to each of its streams.
        time_range: source times to upscale.
        time_base: unit of the source frames' times, seconds.
        fps: the output's rate.
        fill: whether the output shows the first frame before its time too, since its container keeps no timestamps.
        video: the output's video stream, as frames are given to the writer.
        promised: the same as the file will describe it: what encoder and container cannot keep is left out.
        encoder: how it is encoded, with a real encoder's name.
        conversion: what is done to frames before the network and after.
        pictures: how the pictures of a folder are called.
        notes: lines for the user.
        losses: those of them that tell of something lost.
        origin: source time that is output time 0, seconds; with ``--start`` known as soon as the first frame is decoded (``run/origin.py``).
        first_time: time of the first frame in the range, seconds; None where nothing needs it.
    """

    source: Path
    target: Path
    info: VideoInfo
    streams: tuple[StreamPlan, ...]
    time_range: TimeRange
    time_base: Fraction
    fps: Fraction | Literal["source"]
    fill: bool
    video: OutputVideo
    promised: OutputVideo
    encoder: EncoderOptions
    conversion: Conversion
    pictures: Pictures
    notes: tuple[str, ...]
    losses: tuple[str, ...]
    origin: Fraction = Fraction(0)
    first_time: Fraction | None = None

    def schedule(self) -> Schedule:
        """Which frames are shown when, for one pass over them."""
        return Schedule(
            self.fps,
            time_base=self.time_base,
            time_range=self.time_range,
            origin=self.origin,
            fill=self.fill,
            first_time=self.first_time,
        )

    @property
    def is_folder(self) -> bool:
        """Whether the source is a folder of pictures."""
        return self.source.is_dir()


def prepare(source: Path, target: Path, options: UpscaleOptions) -> Job:
    """Check source, target and options against each other, before anything expensive.

    Args:
        source: a file, a folder of pictures, or ``-``.
        target: the same.
        options: as the user gave them.

    Raises:
        InputError: the source is missing, no video, or cut off before the range asked for ends.
        OutputError: the target cannot be written; or (``strict``) something would be lost.
        OptionError: the range lies outside the source, or options do not belong together.
    """
    target = named(target, options.format)
    to_folder = is_folder_target(target)
    if options.verify and (
        to_folder
        or source.is_dir()
        or is_standard_input(source)
        or piped_container(target)
    ):
        raise OptionError(
            "--verify holds one file against another: folders and pipes cannot be read again"
        )
    if not to_folder:
        check_target(source, target, options.overwrite)
    info, pictures = describe(source, options)
    if to_folder:
        _check_folder(source, target, pictures, options)
    check_range(info, options.range)
    turned = (options.bake_rotation or to_folder) and info.display_matrix is not None
    conversion = plan_conversion(
        info,
        Orientation.of_matrix(info.display_matrix)
        if turned and info.display_matrix
        else None,
        to_folder=to_folder,
    )
    video = output_video(info, options, conversion)
    plan = (
        _plan_folder(info, target, video, options)
        if to_folder
        else _plan_file(info, source, target, video, options)
    )
    if options.strict and plan.losses:
        raise OutputError(f"{target}: --strict allows no loss: {plan.losses[0]}")
    notes = [
        *plan.notes,
        *(
            line
            for line in (_rate_note(info, options.fps), _interlace_note(info, options))
            if line
        ),
    ]
    fill = not to_folder and not container_of(target).keeps_timestamps
    unit = time_base(info, options)
    video = replace(video, time_base=output_time_base(plan.fps, unit))
    return Job(
        source=source,
        target=target,
        info=info,
        streams=plan.streams,
        time_range=options.range,
        time_base=unit,
        fps=plan.fps,
        fill=fill,
        video=video,
        promised=plan.promised,
        encoder=plan.encoder,
        conversion=conversion,
        pictures=pictures,
        notes=(*notes, *plan.losses),
        losses=tuple(plan.losses),
    )


@dataclass(slots=True)
class _Plan:
    """What depends on the kind of output."""

    encoder: EncoderOptions
    fps: Fraction | Literal["source"]
    promised: OutputVideo
    streams: tuple[StreamPlan, ...] = ()
    notes: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)


def _plan_file(
    info: VideoInfo,
    source: Path,
    target: Path,
    video: OutputVideo,
    options: UpscaleOptions,
) -> _Plan:
    encoder = resolve_codec(
        options.encoder,
        target,
        bits=info.format.bits,
        is_hdr=is_hdr(info.tags, info.hdr),
    )
    encoder, line = without_nvidia(encoder)
    format_losses, encoder = _format_losses(info, video, encoder)
    promised, other_losses = kept_in(
        target, encoder.codec, choose_format(encoder, video.format)[0], video
    )
    plan = _Plan(
        encoder,
        options.fps,
        promised,
        notes=[line] if line else [],
        losses=[*format_losses, *other_losses],
    )
    if is_rgb(info.pixel_format) and not format_losses:
        plan.notes.append(
            f"RGB goes through luma and chroma: the output is {promised.format.name} (BT.709)"
        )
    container = container_of(target)
    if is_full_range(encoder.codec, video.tags, container) != video.tags.is_full_range:
        only = "limited" if video.tags.is_full_range else "full"
        plan.notes.append(
            f"{encoder.codec} in {container.name} is always {only} range: luma and chroma codes are converted"
        )
    if (
        plan.fps == "source"
        and video.rate is not None
        and not container.keeps_timestamps
    ):
        plan.fps = video.rate
        plan.losses.append(
            f"{container.name} keeps no timestamps: the output runs at a constant {float(plan.fps):.6g} frames/s, whatever the source's frames "
            "are apart; name the output .mkv to keep them"
        )
    if not source.is_dir():
        plan.streams = plan_streams(info, target, options.audio)
        plan.notes += _stream_notes(plan.streams)
        plan.losses += [_stream_line(item) for item in plan.streams if item.loses]
        plan.losses += _labels_lost(info, container, plan.streams)
    return plan


def _plan_folder(
    info: VideoInfo, target: Path, video: OutputVideo, options: UpscaleOptions
) -> _Plan:
    plan = _Plan(
        options.encoder,
        options.fps,
        video,
        notes=[f"the output is a folder of pictures: {target}"],
    )
    if (
        video.format.is_rgb
        and not info.format.is_rgb
        and info.format.bits not in (8, 16)
    ):
        plan.notes.append(
            f"the pictures have 16 bits for the source's {info.format.bits}"
        )
    if info.rotation or info.display_matrix:
        plan.notes.append(
            f"pictures hold no display rotation ({info.rotation:g} degrees): they are turned"
        )
    tracks = sum(stream.kind == "audio" for stream in info.streams)
    if tracks and options.audio != "none":
        plan.losses.append(
            f"a folder of pictures holds no sound: {tracks} audio track{'s' * (tracks > 1)} left out; `vsr assemble --audio-from` brings it back"
        )
    if info.sample_aspect not in (None, 1):
        plan.losses.append(
            f"pictures hold no pixel aspect ratio ({info.sample_aspect})"
        )
    return plan


def open_reader(
    job: Job,
    options: UpscaleOptions,
    context: int,
    *,
    within: TimeRange | None = None,
) -> FrameSource:
    """Open the source of a job.

    Args:
        job: what to do.
        options: the run's.
        context: frames to give before and after the range asked for.
        within: a part of that range, in which there may be no frame; None: all of it.

    Raises:
        InputError: it cannot be opened any more.
    """
    time_range = within or options.range
    if job.is_folder:
        return FolderReader(
            job.source,
            rate=folder_rate(options),
            time_range=time_range,
            context=context,
            value_range=options.value_range,
        )
    return VideoReader(
        job.info,
        time_range=time_range,
        context=context,
        deinterlace=options.deinterlace,
        strict=options.strict,
        hwaccel=options.hwaccel,
        allow_empty=within is not None,
    )


def open_writer(job: Job, options: UpscaleOptions) -> FrameSink:
    """Open the target of a job.

    Args:
        job: what to do, with its origin.
        options: the run's.

    Raises:
        OutputError: it refuses.
    """
    if not is_folder_target(job.target):
        return open_file_writer(job)
    pictures = job.pictures
    return FolderWriter(
        job.target,
        job.video,
        pattern=pictures.pattern,
        first=pictures.first,
        overwrite=options.overwrite,
        value_range=pictures.value_range,
    )


def open_file_writer(job: Job, folder: Path | None = None) -> VideoWriter:
    """Open the target of a job, where it is a file or a pipe.

    Args:
        job: what to do, with its origin.
        folder: where the file is until it is complete; None: beside the target.

    Raises:
        OutputError: it refuses.
    """
    source = None if job.is_folder else job.info
    return VideoWriter(
        job.target,
        job.video,
        job.encoder,
        source=source,
        plan=job.streams,
        time_range=job.time_range,
        origin=job.origin,
        folder=folder,
    )


def is_folder_target(target: Path) -> bool:
    """Whether an output is a folder of pictures: one that is there, or a name without an ending."""
    return target.is_dir() or (
        not target.suffix
        and target.name not in ("", STANDARD_OUTPUT)
        and ":" not in target.name
    )


def named(target: Path, container: str | None) -> Path:
    """The name that an output goes by in the program: that of a pipe in the place of ``-``.

    Raises:
        OptionError: a container was asked for, and the target is no pipe.
    """
    if str(target) == STANDARD_OUTPUT:
        return output_pipe(container or DEFAULT_PIPED)
    if container is not None:
        raise OptionError(
            f"--format {container} is for standard output: the ending of {target} names its container"
        )
    return target


def _labels_lost(
    info: VideoInfo, container: Container, streams: tuple[StreamPlan, ...]
) -> list[str]:
    """Chapters, tags, and names of streams that the container has no place for."""
    lost = (
        [f"the {info.chapters} chapter{'s' * (info.chapters > 1)}"]
        if info.chapters and not container.keeps_chapters
        else []
    )
    tags = global_tags(info.metadata)
    fitting = {key.lower() for key in tags_that_fit(container, tags)} if tags else set()
    if any(plan.stream.detail == "timecode" and not plan.loses for plan in streams):
        fitting.add("timecode")
    missing = [key for key in tags if key.lower() not in fitting]
    lost += (
        [f"the tag{'s' * (len(missing) > 1)} {', '.join(missing)}"] if missing else []
    )
    kept = [plan.stream for plan in streams if plan.action != "drop"]
    lost += (
        ["titles of streams"]
        if any(stream.title for stream in kept) and not container.keeps_titles
        else []
    )
    languages = sorted(
        {
            str(stream.language)
            for stream in kept
            if not container.keeps_language(stream.language)
        }
    )
    lost += (
        [f"the language{'s' * (len(languages) > 1)} {', '.join(languages)}"]
        if languages
        else []
    )
    return (
        [
            f"{container.name} has no place for {' and '.join(lost)}: name the output .mkv to keep them"
        ]
        if lost
        else []
    )


def _check_folder(
    source: Path, target: Path, pictures: Pictures, options: UpscaleOptions
) -> None:
    if source.exists() and target.exists() and target.samefile(source):
        raise OutputError(f"{target} is the input itself: name another folder")
    check_folder_target(target, pictures.pattern, options.overwrite)


def time_base(info: VideoInfo, options: UpscaleOptions) -> Fraction:
    """Unit of the times at which a source's frames are shown, seconds: half the source's where each field becomes a frame."""
    return (
        info.time_base / 2
        if options.deinterlace == "field" and info.interlaced
        else info.time_base
    )


def output_video(
    info: VideoInfo, options: UpscaleOptions, conversion: Conversion
) -> OutputVideo:
    """What the output of a source should be, where encoder and container keep everything."""
    rate = info.rate if options.fps == "source" else options.fps
    if (
        options.fps == "source"
        and rate is not None
        and options.deinterlace == "field"
        and info.interlaced
    ):
        rate *= 2
    turned = conversion.orientation or Orientation()
    width, height = turned.size(2 * info.width, 2 * info.height)
    is_baked = conversion.orientation is not None
    if conversion.bits is None:
        layout, tags = turned.layout(conversion.layout or info.format), conversion.tags
    else:
        layout, tags = picture_layout(info, conversion.bits), picture_tags(info)
    return OutputVideo(
        width=width, height=height, format=layout, tags=tags, sample_aspect=turned.aspect(info.sample_aspect),
        rotation=0.0 if is_baked else info.rotation, display_matrix=None if is_baked else info.display_matrix, time_base=info.time_base, rate=rate,
        hdr=info.hdr,
    )  # fmt: skip


def _format_losses(
    info: VideoInfo, video: OutputVideo, encoder: EncoderOptions
) -> tuple[list[str], EncoderOptions]:
    """What the encoder cannot keep of the pixels; and the encoder, told to halve the chroma of RGB where it is made for players."""
    if (
        is_rgb(info.pixel_format)
        and encoder.pix_fmt is None
        and encoder_of(encoder.codec).crf is not None
    ):
        halved = PixelFormat.parse(video.format.name.replace("444", "420"))
        if halved is not None:
            chosen = choose_format(encoder, halved)[0]
            lost = (
                " and loses alpha"
                if video.format.has_alpha and not chosen.has_alpha
                else ""
            )
            line = f"RGB becomes {chosen.name} (BT.709){lost}: --pix-fmt yuv444p keeps the colours' resolution, few players show it; --codec ffv1 keeps all"
            return [line], replace(encoder, pix_fmt=chosen.name)
    loss = choose_format(encoder, video.format)[1]
    return ([] if loss is None else [loss]), encoder


def _stream_line(plan: StreamPlan) -> str:
    stream = plan.stream
    name = " ".join(
        part for part in (stream.kind, stream.codec, stream.language) if part
    )
    done = {"drop": "left out", "convert": f"converted to {plan.codec}"}.get(
        plan.action, plan.action
    )
    return f"stream {stream.index} ({name}) is {done}: {plan.reason}"


def _stream_notes(streams: tuple[StreamPlan, ...]) -> list[str]:
    """One line for all that is carried as it is, one for each stream that is not and is no loss."""

    def shown(stream: StreamInfo) -> str:
        return " ".join(
            part
            for part in (
                str(stream.index),
                stream.codec or stream.kind,
                stream.language,
            )
            if part
        )

    carried = [
        shown(plan.stream) for plan in streams if plan.action in ("copy", "attach")
    ]
    lines = (
        [f"copied: stream{'s' * (len(carried) > 1)} {', '.join(carried)}"]
        if carried
        else []
    )
    return lines + [
        _stream_line(plan)
        for plan in streams
        if plan.action in ("convert", "drop") and not plan.loses
    ]


def check_range(info: VideoInfo, time_range: TimeRange) -> None:
    """Refuse a range of time that the source does not have.

    Raises:
        OptionError: it begins after the end.
        InputError: the source is cut off before the range ends.
    """
    start = time_range.start
    if start is not None and info.duration is not None and start >= info.duration:
        raise OptionError(
            f"--start {float(start):g} is after the end of {info.path} ({float(info.duration):.3f} s)"
        )
    if info.path.is_dir() or is_standard_input(info.path):
        return
    found = completeness(info)
    if found.missing and (time_range.end is None or time_range.end > found.present):
        promised = float(info.duration or 0)
        raise InputError(
            f"{info.path} is cut off: {float(found.present):.2f} s of the {promised:.2f} s its header promises are there; "
            f"get it whole, or take what is there with --end {float(found.present):.2f}"
        )


def _rate_note(info: VideoInfo, fps: Fraction | str) -> str | None:
    if fps == "source" or info.rate == fps:
        return None
    rate = (
        "an unknown rate" if info.rate is None else f"{float(info.rate):.6g} frames/s"
    )
    return f"the source runs at {rate}, the output at {float(Fraction(fps)):.6g}: --fps source keeps every frame and its timestamp"


def _interlace_note(info: VideoInfo, options: UpscaleOptions) -> str | None:
    if not info.interlaced:
        return None
    if options.deinterlace == "off":
        return (
            "the source is interlaced and is not deinterlaced: moving edges will comb"
        )
    each = (
        "each field becomes a frame"
        if options.deinterlace == "field"
        else "each picture becomes a frame"
    )
    return f"the source is interlaced: it is deinterlaced (bwdif) first, {each}; --deinterlace off leaves its fields woven"
