"""The output file: encoded under a temporary name beside the target, checked, and renamed only when all of it is there."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
from av.codec.context import Flags
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from vsrcli.errors import OutputError
from vsrcli.frame import FileInfo, Frame
from vsrcli.media.copier import StreamCopier
from vsrcli.media.destination import FileDestination, PipeDestination
from vsrcli.media.encoders import (
    choose_format,
    container_of,
    encoder_of,
    encoder_settings,
    find_codec,
    is_full_range,
    is_hdr,
    open_quietly,
    resolve_codec,
)
from vsrcli.media.output import OutputVideo
from vsrcli.media.pictures import PictureMaker
from vsrcli.media.pipe import piped_container
from vsrcli.media.sidedata import hdr_settings
from vsrcli.media.streams import StreamPlan, demuxer_of
from vsrcli.options import EncoderOptions

_IN_ORDER_FRAMES = 2
_LEAST_TIMESCALE = 90_000
_RANGES = {None: 0, "limited": 1, "full": 2}


class _Span:
    """What the packets of a video cover in time, in their own units.

    MP4 keeps lengths in decoding order, and the whole's as their sum: where the frame decoded last is not the one shown last, its length has to be
    another than its own for the sum to be right.
    """

    def __init__(self) -> None:
        self._begin = self._end = self._first_dts = self._last_dts = 0
        self._last_duration = 0
        self._is_empty = True

    def add(self, packet: Packet[Any]) -> None:
        """Count a packet in, in decoding order."""
        pts, dts, duration = packet.pts or 0, packet.dts if packet.dts is not None else packet.pts or 0, packet.duration or 0
        if self._is_empty:
            self._begin, self._end, self._first_dts, self._is_empty = pts, pts + duration, dts, False
        self._begin, self._end = min(self._begin, pts), max(self._end, pts + duration)
        self._last_dts, self._last_duration = dts, duration

    @property
    def last_length(self) -> int:
        """What the packet decoded last has to last."""
        length = (self._end - self._begin) - (self._last_dts - self._first_dts)
        return length if length > 0 else self._last_duration


class VideoWriter:
    """Writes one file: the encoded video, and the streams copied from the source beside it.

    Everything that can be refused is refused by the constructor. The file has a hidden temporary name ending in ``.part`` until
    ``finish`` has checked it; ``abort``, and leaving the ``with`` block without ``finish``, remove it.

    Attributes:
        origin: source time that is output time 0, seconds; set it before the first ``write`` of a trimmed run.
        format: pixel format that the encoder is given.
        frames: frames written so far.
    """

    def __init__(
        self,
        target: Path,
        video: OutputVideo,
        encoder: EncoderOptions,
        *,
        source: FileInfo | None,
        plan: tuple[StreamPlan, ...] = (),
        start: Fraction | None = None,
        end: Fraction | None = None,
    ) -> None:
        """Open encoder and file, and write the header.

        Args:
            target: the file; its ending names the container.
            video: what will be written.
            encoder: how.
            source: the file whose streams, chapters and tags are carried over; None where there is none.
            plan: what happens to its streams.
            start: source time at which the output begins, seconds; None where nothing is cut off.
            end: source time at which copied streams end, seconds; None for their own end.

        Raises:
            OutputError: encoder, option, pixel format, container or folder refuse.
            InputError: the source cannot be opened any more.
        """
        self.origin = start or Fraction(0)
        self.frames = 0
        self._folder, self._shown, self._video = target.resolve().parent, target, video
        self._container = container_of(target)
        encoder = resolve_codec(encoder, target, bits=video.format.bits, is_hdr=is_hdr(video.tags, video.hdr))
        self._codec_name = find_codec(encoder.codec).name
        self.format, _ = choose_format(encoder, video.format)
        settings = encoder_settings(encoder)
        if not self._container.keeps_timestamps and (video.rate is None or video.rate * video.time_base != 1):
            raise OutputError(f"{target}: {self._container.format} keeps no timestamps: give a constant --fps, or name the output .mkv")
        is_full = is_full_range(encoder.codec, video.tags, self._container)
        self._pictures = PictureMaker(
            video.format, self.format, video.tags, full_range=is_full, share=encoder_of(encoder.codec).copies_input
        )
        self._durations: dict[int, int] = {}
        self._span = _Span()
        self._held: Packet[Any] | None = None
        self._copier: StreamCopier | None = None
        self._output: OutputContainer | None = None
        self._finished = False
        try:
            self._place: FileDestination | PipeDestination = FileDestination(target) if piped_container(target) is None else PipeDestination()
        except OSError as error:
            raise self._failure(error) from error
        try:
            self._stream = self._open_encoder(encoder.codec, settings, is_full)
            self._add_copies(source, plan, start, end)
        except BaseException:
            self.abort()
            raise

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if not self._finished:
            self.abort()

    def write(self, frame: Frame, tick: int, duration: int) -> None:
        """Encode one frame.

        Args:
            frame: of the video's size and format; its planes must not change afterwards.
            tick: output timestamp, in units of the video's ``time_base``; larger than the one before.
            duration: ticks.

        Raises:
            OutputError: the encoder failed, or the disk is full.
            ValueError: the frame is of another size or format.
        """
        if (frame.width, frame.height, frame.format.name) != (self._video.width, self._video.height, self._video.format.name):
            raise ValueError(f"a frame of {frame.width}x{frame.height} {frame.format.name} does not belong to {self._video}")
        if self._copier is not None:
            self._copier.origin = self.origin
        picture = self._pictures.make(frame)
        picture.pts, picture.duration, picture.time_base = tick, duration, self._video.time_base
        self._durations[tick] = duration
        self._try(lambda: self._mux(self._stream.encode(picture)))
        self.frames += 1

    def finish(self, expected_frames: int, check: Callable[[Path], None] | None = None) -> None:
        """Flush the encoder, copy what is left, check the file and give it its name.

        Args:
            expected_frames: how many frames the file must hold.
            check: called with the whole file under its temporary name; what it raises keeps the file from getting its own.

        Raises:
            OutputError: the file is not whole; nothing is left of it, and an existing target is as it was.
        """
        try:
            if not self.frames:
                raise OutputError(f"{self._shown}: there is no frame to write")
            self._try(self._flush)
            if self._place.part is not None:
                self._check(self._place.part, expected_frames)
                if check is not None:
                    check(self._place.part)
            self._place.publish()
        except OSError as error:
            self.abort()
            raise self._failure(error) from error
        except BaseException:
            self.abort()
            raise
        self._finished = True

    def abort(self) -> None:
        """Stop and leave nothing behind; may be called more than once, and does nothing after ``finish``."""
        if self._finished:
            return
        # removed before it is closed: closing writes a trailer, and moving the index to the front would read all of a long file again
        self._place.discard()
        if self._copier is not None:
            self._copier.close()
        if self._output is not None:
            output, self._output = self._output, None
            with contextlib.suppress(av.FFmpegError, OSError, ValueError):
                output.close()

    def _open_encoder(self, codec: str, settings: dict[str, str], is_full: bool) -> VideoStream:
        video, container = self._video, self._container
        opened: list[VideoStream] = []

        def add() -> None:
            output = av.open(self._place.sink, "w", format=container.format, container_options=self._container_options())
            self._output = output
            rate = (video.rate or Fraction(25)).limit_denominator(1_000_000)
            stream = output.add_stream(codec, rate=rate)
            if not isinstance(stream, VideoStream):
                raise ValueError(f"{codec} is no video encoder")
            opened.append(stream)

        reason = open_quietly(add)
        if reason is not None:
            raise OutputError(f"{self._shown}: {reason}: choose another --codec, or name the output .mkv")
        stream = opened[0]
        context = stream.codec_context
        self._configure(stream, is_full)
        if video.tags.chroma_location is not None and (self.format.log2_chroma_w, self.format.log2_chroma_h) == (1, 1):
            settings.setdefault("chroma_sample_location", video.tags.chroma_location)
        if container.format == "avi":
            settings.setdefault("bf", "0")  # it has no place for the order of reordered frames
        for key, value in hdr_settings(video.hdr, codec).items():
            settings[key] = f"{value}:{settings[key]}" if key in settings else value
        context.options = dict(settings)
        reason = open_quietly(lambda: context.open(strict=False))
        if reason is not None:
            given = " ".join(f"-e {key}={value}" for key, value in settings.items())
            size = f"{self.format.name} {video.width}x{video.height}"
            raise OutputError(f"{self._shown}: {codec} cannot be opened for {size} with {given or 'its defaults'}: {reason}")
        if context.options:
            unknown = ", ".join(context.options)
            raise OutputError(f"{self._shown}: {codec} does not know the option {unknown}: see `ffmpeg -h encoder={codec}`")
        return stream

    def _container_options(self) -> dict[str, str]:
        options = dict(self._container.options)
        if self._container.format in ("mp4", "mov"):
            # the whole's length is written in these; in its milliseconds of old, the last frame would lose up to one
            unit = self._video.time_base.denominator
            options["movie_timescale"] = str(unit * -(-_LEAST_TIMESCALE // unit))
        return options

    def _configure(self, stream: VideoStream, is_full: bool) -> None:
        video, container, context = self._video, self._container, stream.codec_context
        context.width, context.height, context.pix_fmt = video.width, video.height, self.format.name
        context.time_base = video.time_base
        context.flags |= Flags.frame_duration
        context.color_range = _RANGES["full" if is_full else "limited" if video.tags.is_full_range else video.tags.range]
        context.colorspace, context.color_primaries, context.color_trc = video.tags.matrix, video.tags.primaries, video.tags.transfer
        if video.sample_aspect is not None:
            context.sample_aspect_ratio = video.sample_aspect
        if container.format in ("mp4", "mov") and context.codec.canonical_name == "hevc":
            context.codec_tag = "hvc1"
        if container.keeps_rotation and video.display_matrix is not None:
            stream.set_display_matrix(video.display_matrix)
        elif container.keeps_rotation and video.rotation:
            stream.set_display_rotation(video.rotation)

    def _add_copies(self, source: FileInfo | None, plan: tuple[StreamPlan, ...], start: Fraction | None, end: Fraction | None) -> None:
        output = self._require_output()

        def begin() -> None:
            if source is not None:
                self._copier = StreamCopier(source, plan, output, self._container, start=start, end=end)
            output.start_encoding()

        reason = open_quietly(begin)
        if reason is not None:
            raise OutputError(f"{self._shown}: cannot be begun: {reason}: name the output .mkv, or give --audio none")

    def _require_output(self) -> OutputContainer:
        if self._output is None:
            raise OutputError(f"{self._shown}: the file is closed")
        return self._output

    def _mux(self, packets: list[Packet[Any]]) -> None:
        """Write packets of video behind what belongs before them; the very last one waits for ``_flush``."""
        for packet in packets:
            if self._codec_name == "libx265" and self.frames <= _IN_ORDER_FRAMES:
                packet.dts = packet.pts  # with so few it takes them from memory that nothing was written to; they stand in order
            if packet.pts is not None:
                packet.duration = self._durations.pop(packet.pts, packet.duration)
                self._span.add(packet)
            held, self._held = self._held, packet
            if held is not None:
                self._deliver(held)

    def _deliver(self, packet: Packet[Any]) -> None:
        output = self._require_output()
        time = packet.dts if packet.dts is not None else packet.pts
        if self._copier is not None and time is not None and packet.time_base is not None:
            output.mux(list(self._copier.until(time * packet.time_base)))
        output.mux(packet)

    def _flush(self) -> None:
        output = self._require_output()
        self._mux(self._stream.encode(None))
        if self._held is not None:
            if self._container.format in ("mp4", "mov"):
                self._held.duration = self._span.last_length
            self._deliver(self._held)
        if self._copier is not None:
            for packet in self._copier.until(None):
                output.mux(packet)
            self._copier.close()
        self._output = None
        output.close()

    def _check(self, part: Path, expected_frames: int) -> None:
        counts: dict[int, int] = {}
        try:
            with av.open(str(part), "r", format=demuxer_of(self._container)) as written:
                for packet in written.demux():
                    if packet.size:
                        counts[packet.stream_index] = counts.get(packet.stream_index, 0) + 1
        except (av.FFmpegError, OSError) as error:
            raise OutputError(f"{self._shown}: the written file cannot be read back ({error.strerror}): is the disk full?") from error
        if counts.get(0, 0) != expected_frames:
            raise OutputError(f"{self._shown}: {counts.get(0, 0)} of {expected_frames} frames arrived in the file: is the disk full?")
        delivered = {} if self._copier is None else self._copier.delivered
        for index, packets in delivered.items():
            if packets and not counts.get(index):
                raise OutputError(f"{self._shown}: stream {index} did not arrive in the file: try .mkv or --audio none")

    def _try(self, work: Callable[[], None]) -> None:
        try:
            work()
        except (av.FFmpegError, OSError) as error:
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> OutputError:
        number = getattr(error, "errno", None)
        reason = getattr(error, "strerror", None) or str(error)
        if number == errno.ENOSPC:
            return OutputError(f"no space left on the disk of {self._folder} for {self._shown}: free some, or choose another folder")
        if number in (errno.EACCES, errno.EROFS, errno.EPERM):
            return OutputError(f"{self._shown}: the folder {self._folder} is not writable ({reason}): choose another one")
        return OutputError(f"{self._shown}: cannot be written with {self._codec_name}: {reason}")
