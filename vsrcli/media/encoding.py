"""One video encoder, opened for a container: frames in, packets with exact times and lengths out."""

from __future__ import annotations

import contextlib
import errno
import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.codec.context import Flags
from av.container import OutputContainer
from av.packet import Packet
from av.video.frame import PictureType
from av.video.stream import VideoStream

from vsrcli.errors import OutputError
from vsrcli.frame import Frame
from vsrcli.media.containers import container_of
from vsrcli.media.encoders import (
    encoder_of,
    encoder_settings,
    find_codec,
    is_full_range,
    is_hdr,
    open_quietly,
    resolve_codec,
)
from vsrcli.media.formats import choose_format
from vsrcli.media.output import OutputVideo
from vsrcli.media.pictures import PictureMaker
from vsrcli.media.pipe import StandardOutput
from vsrcli.media.sidedata import hdr_settings
from vsrcli.options import EncoderOptions

_IN_ORDER_FRAMES = 2
_LEAST_TIMESCALE = 90_000
_RANGES = {None: 0, "limited": 1, "full": 2}


class VideoEncoder:
    """An encoder as stream 0 of an output, whose header is not written yet.

    Attributes:
        container: what kind of file the packets are for.
        output: the file; None once ``close`` was called.
        stream: its stream 0.
        codec: FFmpeg's name of the encoder.
        format: pixel format that it is given.
        frames: frames encoded so far.
    """

    def __init__(
        self,
        target: Path,
        video: OutputVideo,
        options: EncoderOptions,
        sink: str | StandardOutput | io.BytesIO,
    ) -> None:
        """Open it.

        Args:
            target: the output that the packets are for, in the end; its ending names the container.
            video: what will be encoded.
            options: how.
            sink: what FFmpeg writes to.

        Raises:
            OutputError: encoder, option, pixel format or container refuse.
        """
        self._shown, self._video = target, video
        self.frames = 0
        self.container = container_of(target)
        options = resolve_codec(
            options,
            target,
            bits=video.format.bits,
            is_hdr=is_hdr(video.tags, video.hdr),
        )
        self.codec = find_codec(options.codec).name
        self.format, _ = choose_format(options, video.format)
        settings = encoder_settings(options)
        is_full = is_full_range(options.codec, video.tags, self.container)
        self._pictures = PictureMaker(
            video.format,
            self.format,
            video.tags,
            full_range=is_full,
            share=encoder_of(options.codec).copies_input,
        )
        self._durations: dict[int, int] = {}
        self.output: OutputContainer | None = None
        try:
            self.stream = self._open(options.codec, settings, is_full, sink)
        except BaseException:
            self.close()
            raise

    def encode(
        self, frame: Frame, tick: int, duration: int, *, ends_group: bool = False
    ) -> list[Packet[Any]]:
        """Encode one frame.

        Args:
            frame: of the video's size and format; its planes must not change afterwards.
            tick: output timestamp, in units of the video's ``time_base``; larger than the one before.
            duration: ticks.
            ends_group: whether no frame before this one may depend on one after it.

        Returns:
            The packets that are ready, in decoding order.

        Raises:
            av.FFmpegError, OSError: the encoder failed (see ``failure``).
            ValueError: the frame is of another size or format.
        """
        if (frame.width, frame.height, frame.format.name) != (
            self._video.width,
            self._video.height,
            self._video.format.name,
        ):
            raise ValueError(
                f"a frame of {frame.width}x{frame.height} {frame.format.name} does not belong to {self._video}"
            )
        picture = self._pictures.make(frame)
        picture.pts, picture.duration, picture.time_base = (
            tick,
            duration,
            self._video.time_base,
        )
        if ends_group:
            picture.pict_type = PictureType.P
        self._durations[tick] = duration
        packets = self._timed(self.stream.encode(picture))
        self.frames += 1
        return packets

    def flush(self) -> list[Packet[Any]]:
        """Bring out the packets that the encoder still holds.

        Raises:
            av.FFmpegError, OSError: it failed.
        """
        return self._timed(self.stream.encode(None))

    @property
    def extradata(self) -> bytes:
        """What a decoder has to know before the first packet; empty where the packets say it all."""
        return bytes(self.stream.codec_context.extradata or b"")

    def close(self) -> None:
        """Let go of the output, whatever state it is in; may be called more than once."""
        output, self.output = self.output, None
        if output is not None:
            with contextlib.suppress(av.FFmpegError, OSError, ValueError):
                output.close()

    def _timed(self, packets: list[Packet[Any]]) -> list[Packet[Any]]:
        for packet in packets:
            if self.codec == "libx265" and self.frames <= _IN_ORDER_FRAMES:
                packet.dts = packet.pts  # with so few it takes them from memory that nothing was written to; they stand in order
            if packet.pts is not None:
                packet.duration = self._durations.pop(packet.pts, packet.duration)
        return packets

    def _open(
        self,
        codec: str,
        settings: dict[str, str],
        is_full: bool,
        sink: str | StandardOutput | io.BytesIO,
    ) -> VideoStream:
        video, container = self._video, self.container
        opened: list[VideoStream] = []

        def add() -> None:
            output = av.open(
                sink,
                "w",
                format=container.muxer,
                container_options=self._container_options(),
            )
            self.output = output
            rate = (video.rate or Fraction(25)).limit_denominator(1_000_000)
            stream = output.add_stream(codec, rate=rate)
            if not isinstance(stream, VideoStream):
                raise ValueError(f"{codec} is no video encoder")
            opened.append(stream)

        reason = open_quietly(add)
        if reason is not None:
            raise OutputError(
                f"{self._shown}: {reason}: choose another --codec, or name the output .mkv"
            )
        stream = opened[0]
        context = stream.codec_context
        self._configure(stream, is_full)
        if video.tags.chroma_location is not None and (
            self.format.log2_chroma_w,
            self.format.log2_chroma_h,
        ) == (1, 1):
            settings.setdefault("chroma_sample_location", video.tags.chroma_location)
        if not container.reorders_frames:
            settings.setdefault(
                "bf", "0"
            )  # it has no place for the order of reordered frames
        for key, value in hdr_settings(video.hdr, codec).items():
            settings[key] = f"{value}:{settings[key]}" if key in settings else value
        context.options = dict(settings)
        reason = open_quietly(lambda: context.open(strict=False))
        if reason is not None:
            given = " ".join(f"-e {key}={value}" for key, value in settings.items())
            size = f"{self.format.name} {video.width}x{video.height}"
            raise OutputError(
                f"{self._shown}: {codec} cannot be opened for {size} with {given or 'its defaults'}: {reason}"
            )
        if context.options:
            unknown = ", ".join(context.options)
            raise OutputError(
                f"{self._shown}: {codec} does not know the option {unknown}: see `ffmpeg -h encoder={codec}`"
            )
        return stream

    def _container_options(self) -> dict[str, str]:
        options = dict(self.container.muxer_options)
        if self.container.timescale_option is not None:
            # the whole's length is written in these; in its milliseconds of old, the last frame would lose up to one
            unit = self._video.time_base.denominator
            options[self.container.timescale_option] = str(unit * -(-_LEAST_TIMESCALE // unit))
        return options

    def _configure(self, stream: VideoStream, is_full: bool) -> None:
        video, container, context = self._video, self.container, stream.codec_context
        context.width, context.height, context.pix_fmt = (
            video.width,
            video.height,
            self.format.name,
        )
        context.time_base = video.time_base
        context.flags |= Flags.frame_duration
        context.color_range = _RANGES[
            "full"
            if is_full
            else "limited"
            if video.tags.is_full_range
            else video.tags.range
        ]
        context.colorspace, context.color_primaries, context.color_trc = (
            video.tags.matrix,
            video.tags.primaries,
            video.tags.transfer,
        )
        if video.sample_aspect is not None:
            context.sample_aspect_ratio = video.sample_aspect
        codec_tag = container.codec_tags.get(context.codec.canonical_name)
        if codec_tag is not None:
            context.codec_tag = codec_tag
        if container.keeps_rotation and video.display_matrix is not None:
            stream.set_display_matrix(video.display_matrix)
        elif container.keeps_rotation and video.rotation:
            stream.set_display_rotation(video.rotation)


def failure(error: Exception, target: Path, codec: str) -> OutputError:
    """The error to raise in the place of FFmpeg's or the system's, while a file is written.

    Args:
        error: what came.
        target: the output, as the user named it.
        codec: the encoder.
    """
    number, folder = getattr(error, "errno", None), target.resolve().parent
    reason = getattr(error, "strerror", None) or str(error)
    if number == errno.ENOSPC:
        return OutputError(
            f"no space left on the disk of {folder} for {target}: free some, or choose another folder"
        )
    if number in (errno.EACCES, errno.EROFS, errno.EPERM):
        return OutputError(
            f"{target}: the folder {folder} is not writable ({reason}): choose another one"
        )
    return OutputError(f"{target}: cannot be written with {codec}: {reason}")
