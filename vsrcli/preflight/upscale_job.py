"""What a run will do, decided before the work starts: what happens to streams, time and colour."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

from vsrcli.containers.advice import way_out
from vsrcli.containers.pipe import is_standard_input, piped_container
from vsrcli.containers.table import Container, container_of
from vsrcli.decode.caption_reader import has_captions
from vsrcli.decode.changes import Change
from vsrcli.decode.delivered import is_rgb
from vsrcli.encode.encoders import (
    choose_encoder,
    is_full_range,
    is_hdr,
)
from vsrcli.encode.formats import choose_format
from vsrcli.encode.output import OutputVideo, check_target, kept_in
from vsrcli.errors import OptionError, OutputError
from vsrcli.frame import VideoInfo
from vsrcli.images.folders import check_folder_target
from vsrcli.options import EncoderOptions, UpscaleOptions
from vsrcli.picture.orientation import Orientation
from vsrcli.preflight.change_check import (
    change_losses,
    change_notes,
    changes_within,
)
from vsrcli.preflight.notes import (
    caption_loss,
    clock_note,
    colour_note,
    folder_losses,
    folder_notes,
    interlace_note,
    metadata_losses,
    stream_losses,
    stream_notes,
)
from vsrcli.preflight.output_video import format_losses, output_video, time_base
from vsrcli.preflight.pictures import Conversion, Pictures, describe, plan_conversion
from vsrcli.preflight.range_check import check_range
from vsrcli.preflight.rate_check import rate_note, refuse_drops
from vsrcli.preflight.targets import is_folder_target, resolve_target
from vsrcli.streams.stream_plan import StreamPlan, plan_streams
from vsrcli.timing import Schedule, TimeRange, output_time_base

Rate = Fraction | Literal["source"]


@dataclass(frozen=True, slots=True)
class UpscaleJob:
    """Everything that is decided before the work starts.

    Attributes:
        source: what is read.
        target: what is written; a pipe's name instead of ``-``.
        info: the source as it is stored.
        streams: what happens to each of its streams.
        time_range: source times to upscale.
        time_base: unit of the source frames' times, seconds.
        fps: the output's rate.
        fill: whether the output shows the first frame before its time too, since its container
            keeps no timestamps.
        video: the output's video stream, as frames are given to the writer.
        promised: the same as the file will describe it, without what encoder and container cannot
            keep.
        encoder: how it is encoded, with a real encoder's name.
        conversion: what is done to frames before the network and after it.
        pictures: how the pictures of a folder are named.
        notes: lines for the user.
        losses: the notes that tell of a loss.
        caption_loss: the line that tells of lost closed captions, if there are any; None: the
            output holds them.
        changes: of the source, which the output does not have.
        origin: source time that is output time 0, seconds; with ``--start``, known as soon as the
            first frame is decoded (see ``origin.py``).
        first_time: time of the first frame in the range, seconds; None if nothing needs it.
    """

    source: Path
    target: Path
    info: VideoInfo
    streams: tuple[StreamPlan, ...]
    time_range: TimeRange
    time_base: Fraction
    fps: Rate
    fill: bool
    video: OutputVideo
    promised: OutputVideo
    encoder: EncoderOptions
    conversion: Conversion
    pictures: Pictures
    notes: tuple[str, ...]
    losses: tuple[str, ...]
    caption_loss: str | None
    changes: tuple[Change, ...] = ()
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


def prepare(
    source: Path,
    target: Path,
    options: UpscaleOptions,
    *,
    is_dry: bool = False,
    makes_folder: bool = False,
) -> UpscaleJob:
    """Check source, target and options against each other, before anything expensive.

    Args:
        source: a file, a folder of pictures, or ``-``.
        target: a file, a folder of pictures, or ``-``.
        options: as the user gave them.
        is_dry: whether nothing may be removed.
        makes_folder: whether the run makes the output's folder if it is missing.

    Raises:
        InputError: the source is missing, not a video, or cut off before the time range ends.
        OutputError: the target cannot be written; or (``strict``) something would be lost.
        OptionError: the range is outside the source, or options do not belong together.
    """
    target = resolve_target(target, options.format)
    if options.verify:
        _check_verifiable(source, target)
    to_folder = is_folder_target(target)
    if not to_folder:
        check_target(
            source,
            target,
            options.overwrite,
            is_dry=is_dry,
            makes_folder=makes_folder,
        )
    info, pictures = describe(source, options)
    if to_folder:
        _check_folder(source, target, pictures, options)
    check_range(info, options.range)
    changes = changes_within(info, options.range)
    turns_pictures = options.bake_rotation or to_folder
    orientation = None
    if turns_pictures and info.display_matrix:
        orientation = Orientation.of_matrix(info.display_matrix)
    conversion = plan_conversion(info, orientation, to_folder=to_folder)
    video = output_video(info, options, conversion)
    if to_folder:
        plan = _plan_folder(info, target, video, options)
    else:
        is_turned = orientation is not None
        plan = _plan_file(info, target, video, options, is_turned=is_turned)
    plan.losses += change_losses(options.range, changes)
    plan.notes += change_notes(changes)
    _lose_captions(plan, info, options, to_folder=to_folder)
    if options.strict and plan.losses:
        raise OutputError(f"{target}: --strict allows no loss: {plan.losses[0]}")
    refuse_drops(info, options, target)
    for note in (
        rate_note(info, options),
        interlace_note(info, options),
        clock_note(info),
    ):
        if note is not None:
            plan.notes.append(note)
    unit = time_base(info, options)
    return UpscaleJob(
        source=source,
        target=target,
        info=info,
        streams=plan.streams,
        time_range=options.range,
        time_base=unit,
        fps=plan.fps,
        fill=not to_folder and not container_of(target).keeps_timestamps,
        video=replace(video, time_base=output_time_base(plan.fps, unit)),
        promised=plan.promised,
        encoder=plan.encoder,
        conversion=conversion,
        pictures=pictures,
        notes=(*plan.notes, *plan.losses),
        losses=tuple(plan.losses),
        caption_loss=plan.caption_loss,
        changes=changes,
    )


@dataclass(slots=True)
class _OutputPlan:
    """What depends on the kind of output."""

    encoder: EncoderOptions
    fps: Rate
    promised: OutputVideo
    streams: tuple[StreamPlan, ...] = ()
    notes: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    caption_loss: str | None = None


def _check_verifiable(source: Path, target: Path) -> None:
    source_is_file = not source.is_dir() and not is_standard_input(source)
    target_is_file = not is_folder_target(target) and piped_container(target) is None
    if not source_is_file or not target_is_file:
        raise OptionError(
            "--verify compares one file with another: folders and pipes cannot be read again"
        )


def _check_folder(
    source: Path, target: Path, pictures: Pictures, options: UpscaleOptions
) -> None:
    if source.exists() and target.exists() and target.samefile(source):
        raise OutputError(f"{target} is the input itself: name another folder")
    check_folder_target(target, pictures.pattern, options.overwrite, source)


def _plan_folder(
    info: VideoInfo,
    target: Path,
    video: OutputVideo,
    options: UpscaleOptions,
) -> _OutputPlan:
    return _OutputPlan(
        encoder=options.encoder,
        fps=options.rate,
        promised=video,
        notes=[
            f"the output is a folder of pictures: {target}",
            *folder_notes(info, video.format),
        ],
        losses=folder_losses(info, options),
    )


def _plan_file(
    info: VideoInfo,
    target: Path,
    video: OutputVideo,
    options: UpscaleOptions,
    *,
    is_turned: bool,
) -> _OutputPlan:
    container = container_of(target)
    encoder, encoder_note = choose_encoder(
        options.encoder,
        target,
        bits=info.format.bits,
        is_hdr=is_hdr(info.tags, info.hdr),
    )
    pixel_losses, encoder = format_losses(info, video, encoder)
    written_format = choose_format(encoder, video.format)[0]
    promised, other_losses = kept_in(target, encoder.codec, written_format, video)
    plan = _OutputPlan(
        encoder=encoder,
        fps=options.rate,
        promised=promised,
        losses=[
            *pixel_losses,
            *other_losses,
            *metadata_losses(info, is_turned=is_turned),
        ],
    )
    colours = colour_note(info, promised.tags)
    if colours is not None:
        plan.notes.append(colours)
    if encoder_note:
        plan.notes.append(encoder_note)
    if is_rgb(info.pixel_format) and not pixel_losses:
        plan.notes.append(
            f"RGB goes through luma and chroma: the output is {promised.format.name} (BT.709)"
        )
    _note_range(plan, video, container)
    _keep_rate(plan, video, target)
    if not info.path.is_dir():
        plan.streams = plan_streams(info, target, options.audio)
        plan.notes += stream_notes(plan.streams)
        plan.losses += stream_losses(info, target, plan.streams)
    return plan


def _lose_captions(
    plan: _OutputPlan,
    info: VideoInfo,
    options: UpscaleOptions,
    *,
    to_folder: bool,
) -> None:
    """Name closed captions as lost where the output cannot hold them."""
    plan.caption_loss = caption_loss(None if to_folder else plan.encoder.codec)
    if plan.caption_loss is None:
        return
    plan.promised = replace(plan.promised, keeps_captions=False)
    if has_captions(info, options.range.begin):
        plan.losses.append(plan.caption_loss)


def _note_range(plan: _OutputPlan, video: OutputVideo, container: Container) -> None:
    codec = plan.encoder.codec
    is_full = is_full_range(codec, video.tags, container)
    if is_full != video.tags.is_full_range:
        name = "full" if is_full else "limited"
        plan.notes.append(
            f"{codec} in {container.name} is always {name} range: "
            "luma and chroma codes are converted"
        )


def _keep_rate(plan: _OutputPlan, video: OutputVideo, target: Path) -> None:
    """Give the output a constant rate if its container keeps no timestamps."""
    container = container_of(target)
    if plan.fps != "source" or video.rate is None or container.keeps_timestamps:
        return
    plan.fps = video.rate
    advice = way_out(target, lambda other: other.keeps_timestamps, "to keep them")
    plan.losses.append(
        f"{container.name} keeps no timestamps, and the output runs at a constant "
        f"{float(plan.fps):.6g} frames/s, however the source's frames are spaced{advice}"
    )
