"""Decoding: a video file as an iterator of frames, with every frame, its exact time, its scene, and an account of damage."""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Generator, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Literal

import av
from av.video.stream import VideoStream

from vsrcli.errors import InputError
from vsrcli.frame import Damage, Frame, VideoInfo
from vsrcli.media.containers import AVI_DEMUXER
from vsrcli.media.decoding import Unpacker, deinterlaced, device_for
from vsrcli.media.probe import (
    decoder_of,
    delivered_format,
    find_video,
    open_input,
    probe,
    promised_end,
    tolerated_gap,
)
from vsrcli.media.scenes import CutDetector
from vsrcli.timing import WHOLE, TimeRange

log = logging.getLogger(__name__)

# A seek goes to this much before the first frame wanted, then, where too few frames come before that, to this much.
_RUN_UPS_SECONDS = (1, 10)
_REORDERED = ("h264", "hevc")
# Frames before the first one given that deinterlacing and cut detection remember.
_MEMORY = 3
# For one packet: longer than a sleeping disk or a network's hiccup.
_STALL_SECONDS = 60
# A timestamp that falls back further than this is a clock that began anew (joined recordings), not a frame out of order.
_RESTART_SECONDS = 1


class VideoReader:
    """The frames of a video file, once, in the order of presentation.

    A frame's time is its timestamp minus ``info.start``, exactly. A frame without a timestamp is given one average frame after the one before it; where
    the clock falls back by more than a second (recordings joined), it goes on from there as if it had not; smaller steps back are left as they are.

    Attributes:
        info: what is in the file.
        damage: what was wrong so far with the range asked for; complete when the iteration has ended.
    """

    def __init__(
        self,
        path: Path,
        *,
        time_range: TimeRange = WHOLE,
        context: int = 0,
        deinterlace: Literal["auto", "off", "field"] = "auto",
        strict: bool = False,
        keep_rgb: bool = False,
        hwaccel: Literal["auto", "none", "cuda"] = "none",
        allow_empty: bool = False,
    ) -> None:
        """Open a file.

        Args:
            path: the file.
            time_range: source times to give.
            context: frames to give before and after the range, where there are any; their times tell them apart.
            deinterlace: ``auto``: interlaced pictures go through FFmpeg's bwdif, one frame for each; ``field``: one for each field; ``off``: they stay.
            strict: whether the first damage raises.
            keep_rgb: whether RGB pictures stay planes of green, blue and red.
            hwaccel: decode on this kind of device, in software where there is none or it does not take the video.
            allow_empty: whether there may be no frame in the range.

        Raises:
            InputError: as ``probe``.
        """
        self.info: VideoInfo = probe(path, keep_rgb=keep_rgb)
        self.damage = Damage()
        self._path = path
        self._range = time_range
        self._context = context
        self._strict = strict
        self._deinterlace = deinterlace
        self._unwanted_damage = 0
        self._allow_empty = allow_empty
        self._busy_since: float | None = None
        self._reached = Fraction(0)
        self._sure_from: Fraction | None = None
        self._device = device_for(path, hwaccel)
        self._unpacker = Unpacker(self.info.pixel_format, self.info.format)
        self._frames: Generator[Frame] = self._wanted()

    def __iter__(self) -> Iterator[Frame]:
        return self._frames

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop decoding and close the file; while another thread iterates it is left open."""
        with contextlib.suppress(
            ValueError
        ):  # what Python says of a generator that runs
            self._frames.close()

    def stalled(self) -> InputError | None:
        """Asked from another thread than the one that iterates: an error where reading and decoding one packet has taken beyond all measure, or None.

        Some damage makes FFmpeg's decoders wait for themselves.
        """
        since = self._busy_since
        if since is None or monotonic() - since < _STALL_SECONDS:
            return None
        end = float(self._reached)
        return InputError(
            f"{self._path}: decoding hangs after {end:.3f} s of it: the file is damaged there; --end {end:.3f} takes what comes before"
        )

    def _wanted(self) -> Generator[Frame]:
        before: deque[Frame] = deque(maxlen=self._context)
        inside, after = 0, 0
        for frame in self._all():
            if frame.time < self._range.begin and self._range.start is not None:
                before.append(frame)
                continue
            if self._range.contains(frame.time):
                inside += 1
            elif after < self._context:
                after += 1
            else:
                break
            yield from before
            before.clear()
            yield frame
        if not inside and not self._allow_empty:
            asked = "" if self._range.is_whole else f" {self._range}"
            raise InputError(
                f"{self._path} gives no frame{asked}: the video lasts {_shown(self.info.duration)}"
            )

    def _all(self) -> Iterator[Frame]:
        start = self._range.begin
        spacing = 1 / self.info.rate if self.info.rate else Fraction(1, 25)
        for seconds in _RUN_UPS_SECONDS:
            run_up = max(Fraction(seconds), (self._context + _MEMORY + 1) * spacing)
            if run_up >= start:
                break
            with open_input(self._path, hwaccel=self._device) as container:
                frames = self._from(container, start - run_up)
                if frames is not None:
                    yield from frames
                    return
        with open_input(self._path, hwaccel=self._device) as container:
            yield from self._frames_of(container, find_video(container, self._path))

    def _from(self, container: Any, time: Fraction) -> Iterator[Frame] | None:
        """The frames from about ``time`` on, or None where too few of them, or damaged ones, come before the first wanted, or cuts cannot be told yet."""
        stream = find_video(container, self._path)
        try:
            container.seek(
                int((self.info.start + time) / self.info.time_base), stream=stream
            )
        except av.FFmpegError:
            return None  # raw streams cannot seek
        unwanted_damage = self._unwanted_damage
        frames = self._frames_of(container, stream, sought=True)
        head: deque[Frame] = deque(maxlen=self._context + _MEMORY)
        for frame in frames:
            if frame.time >= self._range.begin:
                # MPEG-TS lands late, and frames whose references lie before the landing are damaged
                is_enough = (
                    len(head) == head.maxlen
                    and unwanted_damage == self._unwanted_damage
                )
                is_enough = (
                    is_enough
                    and self._sure_from is not None
                    and self._sure_from <= head[_MEMORY - 1].time
                )
                return chain(head, (frame,), frames) if is_enough else None
            head.append(frame)
        return None

    def _frames_of(
        self, container: Any, stream: VideoStream, *, sought: bool = False
    ) -> Iterator[Frame]:
        stream.thread_type = "AUTO"
        pictures = self._decoded(container, stream)
        if self._deinterlace != "off":
            pictures = deinterlaced(pictures, per_field=self._deinterlace == "field")
        detector, bits = CutDetector(), self.info.format.bits
        self._sure_from = None
        spacing = 1 / self.info.rate if self.info.rate else Fraction(1, 25)
        time: Fraction | None = None
        end, restart = Fraction(0), Fraction(0)
        for picture in pictures:
            before = time
            if picture.pts is not None and picture.time_base is not None:
                time = picture.pts * picture.time_base - self.info.start + restart
                if before is not None and time < before - _RESTART_SECONDS:
                    log.warning(
                        "%s: its clock restarts at %.3f s", self._path, float(before)
                    )
                    restart += before + spacing - time
                    time = before + spacing
            elif sought and time is None:
                return  # where this is cannot be told
            else:
                time = Fraction(0) if time is None else time + spacing
            duration = (picture.duration or 0) * (picture.time_base or Fraction(0))
            end = max(end, time + (duration or spacing))
            self._reached = time
            planes = self._unpacker.planes(picture)
            is_cut = detector.is_cut(planes[0], bits)
            if detector.is_sure and self._sure_from is None:
                self._sure_from = time
            yield Frame(planes, self.info.format, time, duration, scene_cut=is_cut)
        if time is not None:
            self._note_missing_end(stream, end)

    def _decoded(self, container: Any, stream: VideoStream) -> Iterator[av.VideoFrame]:
        """Every frame that decodes, damage counted; where the demuxer gives up, what the decoder still holds comes out."""
        packets, decode = container.demux(stream), decoder_of(stream)
        # AVI holds the order of decoding alone: what FFmpeg makes of it for reordered frames runs to and fro
        by_order = (
            container.format.name == AVI_DEMUXER
            and stream.codec_context.codec.canonical_name in _REORDERED
        )
        while True:
            self._busy_since = monotonic()
            try:
                packet = next(packets, None)
            except av.FFmpegError as error:
                self._hurt(
                    "corrupt_packets", f"reading failed ({error.strerror})", None
                )
                packets, packet = iter(()), av.Packet()
                packet.stream = stream
            if packet is None:
                self._busy_since = None
                return
            if packet.is_corrupt:
                self._hurt("corrupt_packets", "a corrupt packet", packet.pts)
            try:
                pictures = decode(packet)
            except av.FFmpegError as error:
                self._hurt(
                    "corrupt_packets",
                    f"a packet that cannot be decoded ({error.strerror})",
                    packet.pts,
                )
                continue
            self._busy_since = None
            for picture in pictures:
                if picture.is_corrupt:
                    self._hurt("corrupt_frames", "a corrupt frame", picture.pts)
                self._check_unchanged(picture)
                if by_order:
                    picture.pts = picture.dts
                yield picture

    def _check_unchanged(self, picture: av.VideoFrame) -> None:
        before = (self.info.width, self.info.height, self.info.pixel_format)
        now = (picture.width, picture.height, picture.format.name)
        if self._device is not None:  # it gives the same samples in an order of its own
            before, now = (
                (*before[:2], self.info.format.name),
                (*now[:2], delivered_format(picture.format.name).name),
            )
        if now != before:
            time = float(
                (picture.pts or 0) * (picture.time_base or 0) - self.info.start
            )
            raise InputError(
                f"{self._path} changes from {before[0]}x{before[1]} {before[2]} to {now[0]}x{now[1]} {now[2]} at {time:.3f} s: "
                f"upscale its parts one by one, with --end {time:.3f} and --start {time:.3f}"
            )

    def _hurt(self, counter: str, what: str, pts: int | None) -> None:
        time = None if pts is None else pts * self.info.time_base - self.info.start
        if time is not None:
            is_wanted = time >= self._range.begin and self._range.contains(time)
            if not is_wanted:
                self._unwanted_damage += 1
                return
        setattr(self.damage, counter, getattr(self.damage, counter) + 1)
        if self._strict:
            raise InputError(
                f"{self._path} is damaged: {what}; without --strict the rest is upscaled"
            )

    def _note_missing_end(self, stream: VideoStream, end: Fraction) -> None:
        promised = promised_end(stream, self.info.start)
        missing = (
            Fraction(0)
            if promised is None
            else min(promised, self._range.end or promised) - end
        )
        if missing > tolerated_gap(self.info):
            self.damage.missing_seconds = float(missing)
            if self._strict:
                raise InputError(
                    f"{self._path} is damaged: its last {float(missing):.2f} s of video are missing; without --strict the rest is upscaled"
                )


def _shown(time: Fraction | None) -> str:
    return "an unknown time" if time is None else f"{float(time):.3f} s"
