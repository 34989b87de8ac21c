"""Decoding: a video file as an iterator of frames with exact times, scene cuts and damage."""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Generator, Iterator
from fractions import Fraction
from itertools import chain
from time import monotonic
from typing import Any, Literal

import av
from av.packet import Packet
from av.video.stream import VideoStream

from vsrcli.containers.pipe import seal_input
from vsrcli.decode.caption_reader import CaptionReader
from vsrcli.decode.completeness import promised_end, tolerated_gap
from vsrcli.decode.decoding import PictureClock, Unpacker, deinterlaced, device_for
from vsrcli.decode.delivered import delivered_format
from vsrcli.decode.encryption import check_clear
from vsrcli.decode.input_file import find_video, open_input
from vsrcli.decode.metadata import MetadataWatch
from vsrcli.decode.picture_decoder import PictureDecoder
from vsrcli.decode.source_clock import continuous_packets_of
from vsrcli.errors import InputError
from vsrcli.frame import Damage, Frame, VideoInfo
from vsrcli.frame_io import FrameSource
from vsrcli.picture.scenes import CutDetector
from vsrcli.timing import WHOLE, TimeRange, cut_time

log = logging.getLogger(__name__)

# A seek goes this far back from the first frame wanted; if too few frames come before that, the
# next one goes further back.
_RUN_UPS_SECONDS = (1, 10)
# Frames before the first one given that deinterlacing and cut detection remember.
_MEMORY = 3
# For one packet: longer than a sleeping disk or a network's hiccup.
_STALL_SECONDS = 60


class VideoReader(FrameSource):
    """The frames of a video file, once, in presentation order.

    A frame's time is its timestamp minus ``info.start``, exactly. A frame without a timestamp comes
    one average frame after the one before it. Where the source's clock restarts (recordings
    joined), the time goes on, as ``source_clock.py`` says.

    Attributes:
        info: what is in the file.
        damage: what was wrong so far in the range asked for; complete when the iteration has ended.
        metadata: notices metadata that begins late and that no output holds.
    """

    def __init__(
        self,
        info: VideoInfo,
        *,
        time_range: TimeRange = WHOLE,
        context: int = 0,
        deinterlace: Literal["auto", "off", "field"] = "auto",
        strict: bool = False,
        hwaccel: Literal["auto", "none", "cuda"] = "none",
        allow_empty: bool = False,
        is_last_reader: bool = False,
    ) -> None:
        """Prepare to decode; frames are read when they are asked for.

        Args:
            info: the file, as ``probe`` describes it. RGB stays RGB if it was probed with
                ``keep_rgb``.
            time_range: source times to give.
            context: number of frames to give before and after the range, if there are any; their
                times tell them apart.
            deinterlace: ``auto``: interlaced pictures go through FFmpeg's bwdif, which makes one
                frame of each; ``field``: one frame of each field; ``off``: they stay as they are.
            strict: whether the first damage raises.
            hwaccel: decode on this kind of device, or in software if there is none or it does not
                take the video.
            allow_empty: whether the range may hold no frame.
            is_last_reader: whether nobody opens the source again after the first frame: then
                standard input is forgotten as it is read.
        """
        self.info = info
        self.damage = Damage()
        self._path = info.path
        self._range = time_range
        self._context = context
        self._deinterlace = deinterlace
        self._strict = strict
        self._allow_empty = allow_empty
        self._is_last_reader = is_last_reader
        self._spacing = 1 / info.rate if info.rate else Fraction(1, 25)
        self._damage_outside = 0
        self._busy_since: float | None = None
        self._reached = Fraction(0)
        self._sure_from: Fraction | None = None
        self._has_restarted = False
        self._device = device_for(info.path, hwaccel)
        self._unpacker = Unpacker(
            info.pixel_format,
            info.format,
            info.cropping,
            is_full_range=info.tags.is_full_range,
        )
        self.metadata = MetadataWatch(info, strict=strict)
        self._first_time: Fraction | None = None
        self._ahead: deque[Frame] = deque()
        # frames before the range: those to give, and those after a seek
        self._before: deque[Frame] = deque(maxlen=context)
        self._landed: deque[Frame] = deque(maxlen=context + _MEMORY)
        self._decoded = self._within_range()
        self._frames = self._delivered()

    def __iter__(self) -> Iterator[Frame]:
        return self._frames

    def first_time(self) -> Fraction:
        """See ``FrameSource.first_time``."""
        while self._first_time is None:
            frame = next(self._decoded, None)
            if frame is None:
                raise self._no_frame()
            self._ahead.append(frame)
        return self._first_time

    def close(self) -> None:
        """Stop decoding and close the file; while another thread iterates, it stays open."""
        with contextlib.suppress(ValueError):  # Python's answer while a generator runs
            self._frames.close()
            self._decoded.close()

    def stalled(self) -> InputError | None:
        """See ``FrameSource.stalled``: some damage makes FFmpeg's decoders wait for themselves."""
        since = self._busy_since
        if since is None or monotonic() - since < _STALL_SECONDS:
            return None
        end = float(self._reached)
        return InputError(
            f"{self._path}: decoding hangs after {end:.3f} s: the file is damaged there; "
            f"--end {end:.3f} takes what comes before"
        )

    def _delivered(self) -> Generator[Frame]:
        """The frames that were decoded ahead, then the others."""
        for frame in chain(_drained(self._ahead), self._decoded):
            if self._is_last_reader:
                seal_input(self._path)
            yield frame

    def _within_range(self) -> Generator[Frame]:
        """The frames of the range, and the context around it."""
        before = self._before
        after = 0
        for frame in self._from_before_range():
            if self._range.start is not None and frame.time < self._range.start:
                before.append(frame)
                continue
            if not self._range.contains(frame.time):
                if after == self._context:
                    break
                after += 1
            elif self._first_time is None:
                self._first_time = frame.time
            yield from before
            before.clear()
            yield frame
        if self._first_time is None and not self._allow_empty:
            raise self._no_frame()

    def _no_frame(self) -> InputError:
        asked = "" if self._range.is_whole else f" {self._range}"
        duration = self.info.duration
        length = "an unknown time" if duration is None else f"{float(duration):.3f} s"
        return InputError(
            f"{self._path} gives no frame{asked}: the video lasts {length}"
        )

    def _from_before_range(self) -> Iterator[Frame]:
        """The frames from well before the range, or from the beginning of the file."""
        begin = self._range.begin
        # FFmpeg finds a time by halving the file, which needs a clock that never restarts
        run_ups = () if self.info.restarts else _RUN_UPS_SECONDS
        for seconds in run_ups:
            frames_long = (self._context + _MEMORY + 1) * self._spacing
            run_up = max(Fraction(seconds), frames_long)
            if run_up >= begin:
                break
            with open_input(self._path, hwaccel=self._device) as container:
                frames = self._frames_from(container, begin - run_up)
                if frames is not None:
                    yield from frames
                    return
        with open_input(self._path, hwaccel=self._device) as container:
            yield from self._frames_of(container, find_video(container, self._path))

    def _frames_from(self, container: Any, time: Fraction) -> Iterator[Frame] | None:
        """The frames from about ``time`` on.

        None if too few of them come before the range, or damaged ones, or cuts are not sure yet.
        """
        stream = find_video(container, self._path)
        timestamp = int((self.info.start + time) / self.info.time_base)
        try:
            container.seek(timestamp, stream=stream)
        except av.FFmpegError:
            return None  # raw streams cannot seek
        damage_outside = self._damage_outside
        frames = self._frames_of(container, stream, sought=True)
        head = self._landed
        head.clear()
        for frame in frames:
            if frame.time < self._range.begin:
                head.append(frame)
                continue
            is_long = len(head) == head.maxlen
            # MPEG-TS lands late, and frames whose references come before the landing are damaged
            is_whole = damage_outside == self._damage_outside
            if not is_long or not is_whole or self._sure_from is None:
                return None
            if self._sure_from > head[_MEMORY - 1].time:
                return None
            return chain(tuple(head), (frame,), frames)
        return None

    def _frames_of(
        self,
        container: Any,
        stream: VideoStream,
        *,
        sought: bool = False,
    ) -> Iterator[Frame]:
        pictures = self._pictures_of(container, stream)
        if self._deinterlace != "off":
            pictures = deinterlaced(pictures, per_field=self._deinterlace == "field")
        detector = CutDetector()
        caption_reader = CaptionReader()
        clock = PictureClock(self.info.start, self._spacing)
        self._sure_from = None
        end = Fraction(0)
        for picture in pictures:
            if sought and clock.time is None and picture.pts is None:
                return  # nothing says where this is
            time = clock.advance(picture)
            unit = picture.time_base or Fraction(0)
            duration = (picture.duration or 0) * unit
            end = max(end, time + (duration or self._spacing))
            self._reached = time
            planes = self._unpacker.planes(picture)
            is_cut = detector.is_cut(planes[0], self.info.format.bits)
            if detector.is_sure and self._sure_from is None:
                self._sure_from = time
            yield Frame(
                planes,
                self.info.format,
                time,
                duration,
                scene_cut=is_cut,
                captions=caption_reader.read(picture),
            )
        if clock.time is not None:
            self._note_missing_end(stream, end)

    def _pictures_of(
        self, container: Any, stream: VideoStream
    ) -> Iterator[av.VideoFrame]:
        """Every picture that decodes; damage is counted.

        Where the demuxer gives up, what the decoder still holds comes out.
        """
        packets = continuous_packets_of(container, stream, self._note_restart)
        decoder = PictureDecoder(
            self._path,
            stream,
            device=self._device,
            on_packet=self._note_work,
            on_error=self._count_error,
        )
        with contextlib.closing(decoder):
            while True:
                self._note_work()
                try:
                    packet = next(packets, None)
                except av.FFmpegError as error:
                    self._count_packet(f"reading failed ({error.strerror})", pts=None)
                    packets = iter(())
                    packet = Packet()
                    packet.stream = stream
                if packet is None:
                    self._busy_since = None
                    return
                if packet.is_corrupt:
                    self._count_packet("a corrupt packet", packet.pts)
                if packet.size and not self._is_outside(packet.pts):
                    check_clear(packet, self.info)
                for picture in decoder.decode(packet):
                    self._busy_since = None
                    if picture.is_corrupt:
                        self._count_frame(picture.pts)
                    if self._is_as_expected(picture):
                        if not self._is_outside(picture.pts):
                            self.metadata.check(picture)
                        yield picture
                    elif self._is_before_range(picture.pts):
                        self._before.clear()
                        self._landed.clear()
                    else:
                        return
                self._busy_since = None

    def _note_work(self) -> None:
        self._busy_since = monotonic()

    def _is_as_expected(self, picture: av.VideoFrame) -> bool:
        """Whether a picture has the size and format of the range; outside it, it need not.

        Raises:
            InputError: it has not, and is in the range.
        """
        expected_format = self.info.pixel_format
        actual_format = picture.format.name
        if self._device is not None:
            # a device gives the same samples in an order of its own
            expected_format = self.info.format.name
            actual_format = delivered_format(actual_format).name
        width, height = self.info.decoded_size
        expected = f"{width}x{height} {expected_format}"
        actual = f"{picture.width}x{picture.height} {actual_format}"
        if actual.replace("yuvj", "yuv") == expected.replace("yuvj", "yuv"):
            return True
        if self._is_outside(picture.pts):
            return False
        own_time = (picture.pts or 0) * (picture.time_base or 0)
        cut = cut_time(own_time - self.info.start)
        raise InputError(
            f"{self._path} changes from {expected} to {actual} at {cut} s: "
            f"`vsr upscale` and `vsr extract` take its parts, with --end {cut} and --start {cut}"
        )

    def _count_error(self, packet: Packet[Any], error: av.FFmpegError) -> None:
        reason = f"a packet that cannot be decoded ({error.strerror})"
        self._count_packet(reason, packet.pts)

    def _note_restart(self, time: Fraction) -> None:
        self._has_restarted = True
        if not self.info.restarts:  # else it was said before
            seconds = float(time - self.info.start)
            log.warning("%s: its clock restarts at %.3f s", self._path, seconds)

    def _count_packet(self, reason: str, pts: int | None) -> None:
        if self._is_outside(pts):
            self._damage_outside += 1
            return
        self.damage.corrupt_packets += 1
        self._refuse(reason)

    def _count_frame(self, pts: int | None) -> None:
        if self._is_outside(pts):
            self._damage_outside += 1
            return
        self.damage.corrupt_frames += 1
        self._refuse("a corrupt frame")

    def _is_outside(self, pts: int | None) -> bool:
        if pts is None:
            return False
        time = pts * self.info.time_base - self.info.start
        return self._is_before_range(pts) or not self._range.contains(time)

    def _is_before_range(self, pts: int | None) -> bool:
        if pts is None:
            return False
        return pts * self.info.time_base - self.info.start < self._range.begin

    def _refuse(self, reason: str) -> None:
        if self._strict:
            raise InputError(
                f"{self._path} is damaged: {reason}; without --strict the rest is upscaled"
            )

    def _note_missing_end(self, stream: VideoStream, end: Fraction) -> None:
        promised = promised_end(stream, self.info.start)
        expected = self._range.end_within(promised)
        if promised is None or expected is None or self._has_restarted:
            return
        missing = expected - end
        if missing > tolerated_gap(self.info):
            self.damage.missing_seconds = float(missing)
            self._refuse(f"its last {float(missing):.2f} s of video are missing")


def _drained(frames: deque[Frame]) -> Iterator[Frame]:
    while frames:
        yield frames.popleft()
