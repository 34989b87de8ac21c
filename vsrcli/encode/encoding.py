"""One video encoder, opened for a container: frames in, packets with exact times out."""

from __future__ import annotations

import contextlib
import errno
import io
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
from av.codec.context import Flags
from av.container import OutputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.stream import VideoStream

from vsrcli.containers.advice import way_out
from vsrcli.containers.pipe import StandardOutput
from vsrcli.containers.quiet import open_quietly
from vsrcli.containers.table import container_of
from vsrcli.encode.caption_messages import caption_standard, with_captions
from vsrcli.encode.encoder_table import encoder_of
from vsrcli.encode.encoders import (
    encoder_settings,
    find_codec,
    is_full_range,
    is_hdr,
    resolve_codec,
    thread_count,
)
from vsrcli.encode.formats import choose_format
from vsrcli.encode.frame_converter import FrameConverter
from vsrcli.encode.hdr_options import hdr_settings
from vsrcli.encode.immersive import (
    STEREO_TAG,
    add_projected_stream,
    frame_packing,
    keeps_projection,
    stereo_carrier,
)
from vsrcli.encode.output import OutputVideo
from vsrcli.errors import OutputError
from vsrcli.frame import Frame
from vsrcli.options import EncoderOptions
from vsrcli.streams.apple_tags import muxer_options
from vsrcli.streams.trial_mux import takes_encoder

# Up to this many frames, libx265 gives no decoding times.
_FRAMES_IN_ORDER = 2
_MIN_TIMESCALE = 90_000
_MAX_RATE_DENOMINATOR = 1_000_000
_RANGE_NUMBERS = {None: 0, "limited": 1, "full": 2}

Sink = str | StandardOutput | io.BytesIO


class VideoEncoder:
    """An encoder as stream 0 of an output, whose header is not written yet.

    Attributes:
        container: what kind of file the packets are for.
        output: the file; None after ``close``.
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
        sink: Sink,
        tags: Iterable[str] = (),
    ) -> None:
        """Open it.

        Args:
            target: the output that the packets are for; its ending names the container.
            video: what will be encoded.
            options: how to encode it.
            sink: what FFmpeg writes to.
            tags: names of the tags that the file will have.

        Raises:
            OutputError: encoder, option, pixel format or container refuse.
        """
        self.frames = 0
        self.container = container_of(target)
        self._target = target
        self._muxing = muxer_options(self.container, tags)
        self._video = video
        options = resolve_codec(
            options,
            target,
            bits=video.format.bits,
            is_hdr=is_hdr(video.tags, video.hdr),
        )
        self.codec = find_codec(options.codec).name
        self.format, _ = choose_format(options, video.format)
        self._is_full_range = is_full_range(options.codec, video.tags, self.container)
        self._converter = FrameConverter(
            video.format,
            self.format,
            video.tags,
            full_range=self._is_full_range,
            share=encoder_of(options.codec).copies_input,
        )
        self._durations: dict[int, int] = {}
        self._caption_standard = caption_standard(self.codec)
        self._captions: dict[int, bytes] = {}
        self.output: OutputContainer | None = None
        try:
            self.stream = self._add_stream(options.codec, sink)
            self._configure()
            self._open(options)
        except BaseException:
            self.close()
            raise

    def encode(
        self,
        frame: Frame,
        tick: int,
        duration: int,
        *,
        ends_group: bool = False,
    ) -> list[Packet[Any]]:
        """Encode one frame.

        Args:
            frame: of the video's size and format; its planes must not change afterwards.
            tick: output timestamp, in units of the video's ``time_base``; larger than the one
                before.
            duration: ticks.
            ends_group: whether no frame before this one may depend on one after it.

        Returns:
            The packets that are ready, in decoding order.

        Raises:
            av.FFmpegError, OSError: the encoder failed (see ``failure``).
            ValueError: the frame is of another size or format.
        """
        video = self._video
        actual = (frame.width, frame.height, frame.format.name)
        if actual != (video.width, video.height, video.format.name):
            raise ValueError(
                f"a frame of {frame.width}x{frame.height} {frame.format.name} "
                f"does not belong to {video}"
            )
        picture = self._converter.convert(frame)
        picture.pts = tick
        picture.duration = duration
        picture.time_base = video.time_base
        if ends_group:
            picture.pict_type = PictureType.P
        self._durations[tick] = duration
        if frame.captions and self._caption_standard is not None:
            self._captions[tick] = frame.captions
        packets = self._with_times(self.stream.encode(picture))
        self.frames += 1
        return packets

    def flush(self) -> list[Packet[Any]]:
        """The packets that the encoder still holds.

        Raises:
            av.FFmpegError, OSError: it failed.
        """
        return self._with_times(self.stream.encode(None))

    @property
    def extradata(self) -> bytes:
        """What a decoder has to know before the first packet; empty if the packets say it all."""
        return bytes(self.stream.codec_context.extradata or b"")

    def close(self) -> None:
        """Close the output, whatever state it is in; may be called more than once."""
        output = self.output
        self.output = None
        if output is not None:
            with contextlib.suppress(av.FFmpegError, OSError, ValueError):
                output.close()

    def _with_times(self, packets: list[Packet[Any]]) -> list[Packet[Any]]:
        for packet in packets:
            if self.codec == "libx265" and self.frames <= _FRAMES_IN_ORDER:
                # with so few frames, it takes decoding times from memory that nothing was written
                # to; the frames are in order
                packet.dts = packet.pts
            if packet.pts is not None:
                packet.duration = self._durations.pop(packet.pts, packet.duration)
        return [self._with_captions(packet) for packet in packets]

    def _with_captions(self, packet: Packet[Any]) -> Packet[Any]:
        if self._caption_standard is None or packet.pts not in self._captions:
            return packet
        captions = self._captions.pop(packet.pts)
        return with_captions(packet, captions, self._caption_standard)

    def _add_stream(self, codec: str, sink: Sink) -> VideoStream:
        added: list[VideoStream] = []
        rate = self._video.rate or Fraction(25)
        rate = rate.limit_denominator(_MAX_RATE_DENOMINATOR)
        projection = self._kept_projection(codec)
        options = self._muxer_options()
        if projection is not None:
            # MP4's muxer writes it with this only
            options["strict"] = "unofficial"

        def add() -> None:
            self.output = av.open(
                sink,
                "w",
                format=self.container.muxer,
                container_options=options,
            )
            if projection is None:
                stream = self.output.add_stream(codec, rate=rate)
            else:
                stream = add_projected_stream(self.output, projection, codec, rate)
                stream.time_base = self._video.time_base
            if not isinstance(stream, VideoStream):
                raise ValueError(f"{codec} is not a video encoder")
            added.append(stream)

        reason = open_quietly(add)
        if reason is not None:
            advice = way_out(
                self._target,
                lambda other: takes_encoder(other, codec),
                others=("choose another --codec",),
            )
            raise OutputError(f"{self._target}: {reason}{advice}")
        return added[0]

    def _kept_projection(self, codec: str) -> bytes | None:
        video = self._video
        if video.projection is None:
            return None
        is_turned = video.display_matrix is not None
        is_kept = keeps_projection(
            video.projection,
            codec,
            self.container,
            is_turned=is_turned,
        )
        return video.projection if is_kept else None

    def _muxer_options(self) -> dict[str, str]:
        options = dict(self._muxing)
        timescale_option = self.container.timescale_option
        if timescale_option is not None:
            # the file's total duration is written in this unit; in milliseconds, the default, the
            # last frame would lose up to one
            unit = self._video.time_base.denominator
            multiple = -(-_MIN_TIMESCALE // unit)
            options[timescale_option] = str(unit * multiple)
        return options

    def _configure(self) -> None:
        """Tell the encoder, and the stream, what the video is."""
        video = self._video
        context = self.stream.codec_context
        context.width = video.width
        context.height = video.height
        context.pix_fmt = self.format.name
        context.time_base = video.time_base
        context.flags |= Flags.frame_duration
        context.color_range = _RANGE_NUMBERS[self._range_tag()]
        context.colorspace = video.tags.matrix
        context.color_primaries = video.tags.primaries
        context.color_trc = video.tags.transfer
        if video.sample_aspect is not None:
            context.sample_aspect_ratio = video.sample_aspect
        if self._stereo_carrier() == "container" and video.stereo_mode is not None:
            self.stream.metadata[STEREO_TAG] = video.stereo_mode
        codec_tag = self.container.codec_tags.get(context.codec.canonical_name)
        if codec_tag is not None:
            context.codec_tag = codec_tag
        if self.container.keeps_rotation and video.display_matrix is not None:
            self.stream.set_display_matrix(video.display_matrix)
        elif self.container.keeps_rotation and video.rotation:
            self.stream.set_display_rotation(video.rotation)

    def _range_tag(self) -> str | None:
        """The range of the encoded codes; not tagged if the frames are not, unless it is full."""
        if self._is_full_range:
            return "full"
        tags = self._video.tags
        return "limited" if tags.is_full_range else tags.range

    def _stereo_carrier(self) -> Literal["container", "encoder"] | None:
        video = self._video
        return stereo_carrier(
            video.stereo_mode,
            video.sample_aspect,
            self.codec,
            self.container,
        )

    def _open(self, options: EncoderOptions) -> None:
        context: VideoCodecContext = self.stream.codec_context
        codec = options.codec
        settings = self._settings(options)
        context.thread_count = thread_count(codec, self._video.height)
        context.options = dict(settings)
        reason = open_quietly(lambda: context.open(strict=False))
        if reason is not None:
            given = " ".join(f"-e {key}={value}" for key, value in settings.items())
            size = f"{self.format.name} {self._video.width}x{self._video.height}"
            raise OutputError(
                f"{self._target}: {codec} cannot be opened for {size} "
                f"with {given or 'its defaults'}: {reason}"
            )
        if context.options:
            unknown = ", ".join(context.options)
            raise OutputError(
                f"{self._target}: {codec} does not know the option {unknown}: "
                f"see `ffmpeg -h encoder={codec}`"
            )

    def _settings(self, options: EncoderOptions) -> dict[str, str]:
        """The encoder's own options."""
        settings = encoder_settings(options)
        location = self._video.tags.chroma_location
        is_420 = (self.format.log2_chroma_w, self.format.log2_chroma_h) == (1, 1)
        if location is not None and is_420:
            settings.setdefault("chroma_sample_location", location)
        if not self.container.reorders_frames:
            settings.setdefault("bf", "0")
        for key, value in self._described(options.codec):
            given = settings.get(key)
            settings[key] = value if given is None else f"{value}:{given}"
        return settings

    def _described(self, codec: str) -> Iterator[tuple[str, str]]:
        """The encoder's options that describe the video in the stream itself."""
        yield from hdr_settings(self._video.hdr, codec).items()
        mode = self._video.stereo_mode
        if mode is not None and self._stereo_carrier() == "encoder":
            yield "x264-params", f"frame-packing={frame_packing(mode)}"


def failure(
    error: Exception,
    target: Path,
    codec: str,
) -> OutputError:
    """The error to raise instead of FFmpeg's or the system's, while a file is written.

    Args:
        error: what was raised.
        target: the output, as the user named it.
        codec: the encoder.
    """
    number = getattr(error, "errno", None)
    folder = target.resolve().parent
    reason = getattr(error, "strerror", None) or str(error)
    if number == errno.ENOSPC:
        return OutputError(
            f"no space left on the disk of {folder} for {target}: "
            "free some, or choose another folder"
        )
    if number == errno.EEXIST:
        return OutputError(
            f"{target}: another program has made a file of that name in the meantime; "
            "-y replaces it"
        )
    if number in (errno.EACCES, errno.EROFS, errno.EPERM):
        return OutputError(
            f"{target}: the folder {folder} is not writable ({reason}): choose another one"
        )
    return OutputError(f"{target}: cannot be written with {codec}: {reason}")
