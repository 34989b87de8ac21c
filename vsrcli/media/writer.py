"""The output file: encoded under a temporary name beside the target, checked, and renamed only when all of it is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

import av
from av.container import OutputContainer
from av.packet import Packet

from vsrcli.errors import OutputError
from vsrcli.frame import FileInfo, Frame
from vsrcli.media.containers import container_of
from vsrcli.media.copier import StreamCopier
from vsrcli.media.destination import FileDestination, PipeDestination
from vsrcli.media.encoders import find_codec, open_quietly
from vsrcli.media.encoding import VideoEncoder, failure
from vsrcli.media.output import OutputVideo
from vsrcli.media.pipe import piped_container
from vsrcli.media.streams import StreamPlan
from vsrcli.options import EncoderOptions
from vsrcli.timing import WHOLE, TimeRange


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
        pts, dts, duration = (
            packet.pts or 0,
            packet.dts if packet.dts is not None else packet.pts or 0,
            packet.duration or 0,
        )
        if self._is_empty:
            self._begin, self._end, self._first_dts, self._is_empty = (
                pts,
                pts + duration,
                dts,
                False,
            )
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
        time_range: TimeRange = WHOLE,
        folder: Path | None = None,
    ) -> None:
        """Open encoder and file, and write the header.

        Args:
            target: the file; its ending names the container.
            video: what will be written.
            encoder: how.
            source: the file whose streams, chapters and tags are carried over; None where there is none.
            plan: what happens to its streams.
            time_range: source times that the output has; copied streams are cut by it.
            folder: where the file lies until it is whole, on the same disk; None: beside the target.

        Raises:
            OutputError: encoder, option, pixel format, container or folder refuse.
            InputError: the source cannot be opened any more.
        """
        self.origin = time_range.begin
        self.frames = 0
        self._shown = target
        self._container = container_of(target)
        self._codec_name = encoder.codec
        if not self._container.keeps_timestamps and (
            video.rate is None or video.rate * video.time_base != 1
        ):
            raise OutputError(
                f"{target}: {self._container.name} keeps no timestamps: give a constant --fps, or name the output .mkv"
            )
        if encoder.codec != "auto":
            find_codec(encoder.codec)
        self._span = _Span()
        self._held: Packet[Any] | None = None
        self._copier: StreamCopier | None = None
        self._encoder: VideoEncoder | None = None
        self._finished = self._is_spliced = False
        try:
            self._place: FileDestination | PipeDestination = (
                FileDestination(target, folder)
                if piped_container(target) is None
                else PipeDestination()
            )
        except OSError as error:
            raise failure(error, target, self._codec_name) from error
        try:
            self._encoder = VideoEncoder(target, video, encoder, self._place.sink)
            self._codec_name, self.format = self._encoder.codec, self._encoder.format
            self._add_copies(source, plan, time_range)
        except BaseException:
            self.abort()
            raise

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
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
        encoder = self._opened()
        self._try(lambda: self._mux(encoder.encode(frame, tick, duration)))
        self.frames += 1

    def splice(self, packets: Iterable[Packet[Any]]) -> None:
        """Write video that is encoded already, by an encoder of the same settings; then nothing else may be written.

        Args:
            packets: one for each frame, in decoding order, with rising ``dts``.

        Raises:
            OutputError: the disk is full, or refuses.
        """
        stream, self._is_spliced = self._opened().stream, True

        def put() -> None:
            for packet in packets:
                packet.stream = stream
                self._mux([packet])
                self.frames += 1

        self._try(put)

    def finish(
        self, expected_frames: int, check: Callable[[Path], None] | None = None
    ) -> None:
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
            raise failure(error, self._shown, self._codec_name) from error
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
        if self._encoder is not None:
            self._encoder.close()

    def _add_copies(
        self,
        source: FileInfo | None,
        plan: tuple[StreamPlan, ...],
        time_range: TimeRange,
    ) -> None:
        output = self._output()

        def begin() -> None:
            if source is not None:
                self._copier = StreamCopier(
                    source, plan, output, self._container, time_range=time_range
                )
            output.start_encoding()

        reason = open_quietly(begin)
        if reason is not None:
            raise OutputError(
                f"{self._shown}: cannot be begun: {reason}: name the output .mkv, or give --audio none"
            )

    def _opened(self) -> VideoEncoder:
        if self._encoder is None:
            raise OutputError(f"{self._shown}: the file is closed")
        return self._encoder

    def _output(self) -> OutputContainer:
        output = self._opened().output
        if output is None:
            raise OutputError(f"{self._shown}: the file is closed")
        return output

    def _mux(self, packets: list[Packet[Any]]) -> None:
        """Write packets of video behind what belongs before them; the very last one waits for ``_flush``."""
        for packet in packets:
            if packet.pts is not None:
                self._span.add(packet)
            held, self._held = self._held, packet
            if held is not None:
                self._deliver(held)

    def _deliver(self, packet: Packet[Any]) -> None:
        output = self._output()
        time = packet.dts if packet.dts is not None else packet.pts
        if (
            self._copier is not None
            and time is not None
            and packet.time_base is not None
        ):
            self._copier.origin = self.origin
            output.mux(list(self._copier.until(time * packet.time_base)))
        output.mux(packet)

    def _flush(self) -> None:
        output = self._output()
        if not self._is_spliced:
            self._mux(self._opened().flush())
        if self._held is not None:
            if self._container.sums_durations:
                self._held.duration = self._span.last_length
            self._deliver(self._held)
        if self._copier is not None:
            for packet in self._copier.until(None):
                output.mux(packet)
            self._copier.close()
        self._opened().output = None
        output.close()

    def _check(self, part: Path, expected_frames: int) -> None:
        counts: dict[int, int] = {}
        try:
            with av.open(str(part), "r", format=self._container.demuxer) as written:
                for packet in written.demux():
                    if packet.size:
                        counts[packet.stream_index] = (
                            counts.get(packet.stream_index, 0) + 1
                        )
        except (av.FFmpegError, OSError) as error:
            raise OutputError(
                f"{self._shown}: the written file cannot be read back ({error.strerror}): is the disk full?"
            ) from error
        if counts.get(0, 0) != expected_frames:
            raise OutputError(
                f"{self._shown}: {counts.get(0, 0)} of {expected_frames} frames arrived in the file: is the disk full?"
            )
        delivered = {} if self._copier is None else self._copier.delivered
        for index, packets in delivered.items():
            if packets and not counts.get(index):
                raise OutputError(
                    f"{self._shown}: stream {index} did not arrive in the file: try .mkv or --audio none"
                )

    def _try(self, work: Callable[[], None]) -> None:
        try:
            work()
        except (av.FFmpegError, OSError) as error:
            raise failure(error, self._shown, self._codec_name) from error
