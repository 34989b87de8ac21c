"""The output file: encoded under a temporary name, checked, and renamed when it is complete."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream

from vsrcli.containers.advice import way_out
from vsrcli.containers.pipe import PipedOutput, piped_container
from vsrcli.containers.quiet import open_quietly
from vsrcli.containers.table import container_of
from vsrcli.encode.atomic_file import AtomicFile
from vsrcli.encode.encoders import find_codec
from vsrcli.encode.encoding import VideoEncoder, failure
from vsrcli.encode.output import OutputVideo
from vsrcli.errors import OutputError
from vsrcli.frame import FileInfo, Frame
from vsrcli.frame_io import FrameSink
from vsrcli.options import EncoderOptions
from vsrcli.streams.copier import StreamCopier
from vsrcli.streams.source_packets import decoding_time
from vsrcli.streams.stream_plan import StreamPlan
from vsrcli.streams.trial_mux import takes_encoder
from vsrcli.timing import WHOLE, TimeRange


class _PacketSpan:
    """The time that the packets of a video cover, in their own units.

    MP4 stores durations in decoding order, and the total as their sum. If the frame decoded last is
    not the one shown last, it needs another duration than its own for the sum to be right.
    """

    def __init__(self) -> None:
        self._begin: int | None = None
        self._end = 0
        self._first_dts = 0
        self._last_dts = 0
        self._last_duration = 0

    def add(self, packet: Packet[Any]) -> None:
        """Count a packet, in decoding order."""
        pts = packet.pts or 0
        dts = pts if packet.dts is None else packet.dts
        duration = packet.duration or 0
        if self._begin is None:
            self._begin = pts
            self._end = pts + duration
            self._first_dts = dts
        self._begin = min(self._begin, pts)
        self._end = max(self._end, pts + duration)
        self._last_dts = dts
        self._last_duration = duration

    @property
    def last_duration(self) -> int:
        """The duration that the packet decoded last must have."""
        length = self._end - (self._begin or 0)
        length -= self._last_dts - self._first_dts
        return length if length > 0 else self._last_duration


class VideoWriter(FrameSink):
    """Writes one file: the encoded video, and the streams copied from the source.

    The constructor refuses everything that can be refused. The file has a hidden temporary name
    ending in ``.part`` until ``finish`` has checked it; ``abort``, and leaving the ``with`` block
    without ``finish``, remove it.

    Attributes:
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
        time_range: TimeRange = WHOLE,
        origin: Fraction = Fraction(0),
        folder: Path | None = None,
        overwrite: bool = False,
    ) -> None:
        """Open encoder and file, and write the header.

        Args:
            target: the file; its ending names the container.
            video: what will be written.
            encoder: how to encode it.
            source: the file whose streams, chapters and tags are copied; None if there is none.
            plan: what happens to its streams.
            time_range: source times that the output has; copied streams are cut by it.
            origin: source time that is output time 0, seconds.
            folder: where the file is until it is complete, as for ``AtomicFile``.
            overwrite: whether a file that has the name by then is replaced.

        Raises:
            OutputError: encoder, option, pixel format, container or folder refuse.
            InputError: the source cannot be opened any more.
        """
        self.frames = 0
        self._target = target
        self._container = container_of(target)
        self._codec_name = encoder.codec
        self._plan = plan
        has_constant_rate = video.rate is not None and video.rate * video.time_base == 1
        if not self._container.keeps_timestamps and not has_constant_rate:
            advice = way_out(
                target,
                lambda other: other.keeps_timestamps,
                others=("give a constant --fps",),
            )
            name = self._container.name
            raise OutputError(f"{target}: {name} keeps no timestamps{advice}")
        if encoder.codec != "auto":
            find_codec(encoder.codec)
        self._span = _PacketSpan()
        self._held: Packet[Any] | None = None
        self._copier: StreamCopier | None = None
        self._encoder: VideoEncoder | None = None
        self._is_finished = False
        self._is_spliced = False
        self._file = self._create_file(folder, overwrite)
        try:
            tags = () if source is None else source.metadata
            self._encoder = VideoEncoder(target, video, encoder, self._file.sink, tags)
            self._codec_name = self._encoder.codec
            self.format = self._encoder.format
            self._begin(source, plan, time_range, origin)
        except BaseException:
            self.abort()
            raise

    def write(
        self,
        frame: Frame,
        tick: int,
        duration: int,
    ) -> None:
        """Encode one frame; see ``FrameSink.write``."""
        encoder = self._open_encoder()
        self._try(lambda: self._mux(encoder.encode(frame, tick, duration)))
        self.frames += 1

    def splice(self, packets: Iterable[Packet[Any]]) -> None:
        """Write video that is already encoded, by an encoder of the same settings, and no frame.

        Args:
            packets: one for each frame, in decoding order, with increasing ``dts``.

        Raises:
            OutputError: the disk is full, or refuses.
        """
        stream = self._open_encoder().stream
        self._is_spliced = True

        def mux_all() -> None:
            for packet in packets:
                packet.stream = stream
                self._mux([packet])
                self.frames += 1

        self._try(mux_all)

    def finish(
        self, expected_frames: int, check: Callable[[Path], None] | None = None
    ) -> None:
        """Flush the encoder, copy what is left, check the file and give it its name.

        See ``FrameSink.finish``.
        """
        try:
            if not self.frames:
                raise OutputError(f"{self._target}: there is no frame to write")
            self._try(self._flush)
            if self._file.part is not None:
                self._check(self._file.part, expected_frames)
                if check is not None:
                    check(self._file.part)
            self._file.commit()
        except OSError as error:
            self.abort()
            raise failure(error, self._target, self._codec_name) from error
        except BaseException:
            self.abort()
            raise
        self._is_finished = True

    def abort(self) -> None:
        """Stop and leave nothing behind; has no effect after ``finish``."""
        if self._is_finished:
            return
        # removed before it is closed: closing writes a trailer, and moving the index to the front
        # would read all of a long file again
        self._file.discard()
        if self._copier is not None:
            self._copier.close()
        if self._encoder is not None:
            self._encoder.close()

    def _create_file(
        self, folder: Path | None, overwrite: bool
    ) -> AtomicFile | PipedOutput:
        if piped_container(self._target) is not None:
            return PipedOutput()
        try:
            return AtomicFile(self._target, folder, overwrite=overwrite)
        except OSError as error:
            raise failure(error, self._target, self._codec_name) from error

    def _begin(
        self,
        source: FileInfo | None,
        plan: tuple[StreamPlan, ...],
        time_range: TimeRange,
        origin: Fraction,
    ) -> None:
        """Add the copied streams, and write the header."""
        output = self._open_output()

        def begin() -> None:
            if source is not None:
                self._copier = StreamCopier(
                    source,
                    plan,
                    output,
                    self._container,
                    time_range=time_range,
                    origin=origin,
                )
            output.start_encoding()

        reason = open_quietly(begin)
        if reason is not None:
            raise OutputError(
                f"{self._target}: cannot be started: {reason}{self._advice()}"
            )

    def _advice(self) -> str:
        """What to do where a stream is refused though its container should take it."""
        has_audio = any(
            item.stream.kind == "audio" and item.action in ("copy", "convert")
            for item in self._plan
        )
        return way_out(
            self._target,
            lambda other: takes_encoder(other, self._codec_name),
            others=("give --audio none",) if has_audio else (),
            suffixes=(".mkv",),
        )

    def _open_encoder(self) -> VideoEncoder:
        if self._encoder is None:
            raise OutputError(f"{self._target}: the file is closed")
        return self._encoder

    def _open_output(self) -> OutputContainer:
        output = self._open_encoder().output
        if output is None:
            raise OutputError(f"{self._target}: the file is closed")
        return output

    def _mux(self, packets: list[Packet[Any]]) -> None:
        """Write video packets, each after the copied packets of earlier times.

        The last one waits for ``_flush``.
        """
        for packet in packets:
            if packet.pts is not None:
                self._span.add(packet)
            held = self._held
            self._held = packet
            if held is not None:
                self._deliver(held)

    def _deliver(self, packet: Packet[Any]) -> None:
        output = self._open_output()
        ticks = packet.pts if packet.dts is None else packet.dts
        unit = packet.time_base
        if ticks is not None and unit is not None:
            self._copy_until(output, ticks * unit)
        output.mux(packet)

    def _copy_until(self, output: OutputContainer, seconds: Fraction | None) -> None:
        """Write the copied packets that come before a time; None: all that are left."""
        if self._copier is None:
            return
        for packet in self._copier.until(seconds):
            time = decoding_time(packet)
            stream = packet.stream
            try:
                output.mux(packet)
            except (av.ArgumentError, av.InvalidDataError) as error:
                raise self._refusal(stream, time, str(error.strerror)) from error

    def _refusal(
        self, stream: Stream, time: Fraction | None, reason: str
    ) -> OutputError:
        """The error where the container refuses a packet that is carried."""
        if stream.type == "audio":
            advice = ": --audio none leaves the sound out"
        else:
            advice = way_out(self._target, lambda container: container.holds_streams)
        when = "" if time is None else f" at {float(time):.3f} s"
        context = stream.codec_context
        codec = stream.type if context is None else f"{stream.type}, {context.name}"
        return OutputError(
            f"{self._target}: {self._container.name} refuses a packet{when} "
            f"of stream {stream.index} ({codec}; {reason}){advice}"
        )

    def _flush(self) -> None:
        encoder = self._open_encoder()
        output = self._open_output()
        if not self._is_spliced:
            self._mux(encoder.flush())
        if self._held is not None:
            if self._container.sums_durations:
                self._held.duration = self._span.last_duration
            self._deliver(self._held)
        self._copy_until(output, None)
        if self._copier is not None:
            self._copier.close()
        encoder.output = None
        output.close()

    def _check(self, part: Path, expected_frames: int) -> None:
        """Read the file back, and compare the number of frames and streams."""
        packets: Counter[int] = Counter()
        try:
            with av.open(str(part), "r", format=self._container.demuxer) as written:
                for packet in written.demux():
                    if packet.size:
                        packets[packet.stream_index] += 1
        except (av.FFmpegError, OSError) as error:
            raise OutputError(
                f"{self._target}: the written file cannot be read back ({error.strerror}): "
                "is the disk full?"
            ) from error
        if packets[0] != expected_frames:
            raise OutputError(
                f"{self._target}: {packets[0]} of {expected_frames} frames arrived in the file: "
                "is the disk full?"
            )
        delivered = {} if self._copier is None else self._copier.delivered
        for index, count in delivered.items():
            if count and not packets[index]:
                raise OutputError(
                    f"{self._target}: stream {index} did not arrive in the file"
                    f"{self._advice()}"
                )

    def _try(self, work: Callable[[], None]) -> None:
        try:
            work()
        except (av.FFmpegError, OSError) as error:
            raise failure(error, self._target, self._codec_name) from error
