"""Decoding: a video file as an iterator of frames, with every frame, its exact time, its scene, and an account of damage."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Generator, Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
from av.filter import Graph
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream

from vsrcli.errors import InputError
from vsrcli.frame import Damage, Frame, Plane, VideoInfo
from vsrcli.media.probe import find_video, is_rgb, open_input, probe
from vsrcli.media.scenes import CutDetector

log = logging.getLogger(__name__)

# Decoding starts this much earlier than the first frame wanted, so that context frames and the cut detector's memory are there.
_RUN_UP_SECONDS = 1
_TOLERATED_GAP_SECONDS = Fraction(1, 2)


class VideoReader:
    """The frames of a video file, once, in the order of presentation.

    Attributes:
        info: what is in the file.
        damage: what was wrong so far; complete when the iteration has ended.
    """

    def __init__(
        self, path: Path, *, start: Fraction | None = None, end: Fraction | None = None, context: int = 0, deinterlace: bool = True, strict: bool = False
    ) -> None:
        """Open a file.

        Args:
            path: the file.
            start: first time wanted, seconds; None for the beginning.
            end: time before which to stop, seconds; None for the end.
            context: frames to give before ``start`` and from ``end`` on, where there are any; their times tell them apart.
            deinterlace: whether interlaced pictures go through FFmpeg's bwdif, one frame for each.
            strict: whether the first damage raises.

        Raises:
            InputError: as ``probe``.
        """
        self.info: VideoInfo = probe(path)
        self.damage = Damage()
        self._path, self._start, self._end, self._context, self._strict = path, start, end, context, strict
        self._deinterlace = deinterlace and self.info.interlaced
        self._frames: Generator[Frame] = self._wanted()
        self._is_rgb = is_rgb(self.info.pixel_format)

    def __iter__(self) -> Iterator[Frame]:
        return self._frames

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Stop decoding and close the file; must not be called while another thread iterates."""
        self._frames.close()

    def _wanted(self) -> Generator[Frame]:
        before: deque[Frame] = deque(maxlen=self._context)
        after = 0
        for frame in self._all():
            if self._start is not None and frame.time < self._start:
                before.append(frame)
                continue
            yield from before
            before.clear()
            if self._end is not None and frame.time >= self._end:
                if after == self._context:
                    return
                after += 1
            yield frame

    def _all(self) -> Iterator[Frame]:
        run_up = None if self._start is None else self.info.start + self._start - _RUN_UP_SECONDS
        if run_up is not None and run_up > self.info.start:
            with open_input(self._path) as container:
                stream = find_video(container, self._path)
                container.seek(int(run_up / self.info.time_base), stream=stream)
                frames = self._frames_of(container, stream)
                first = next(frames, None)
                if first is not None and first.time + self.info.start <= run_up + _RUN_UP_SECONDS / 2:
                    yield first
                    yield from frames
                    return
            log.info("%s: seeking came out late, so it is decoded from the beginning", self._path)
            self.damage = Damage()
        with open_input(self._path) as container:
            yield from self._frames_of(container, find_video(container, self._path))

    def _frames_of(self, container: Any, stream: VideoStream) -> Iterator[Frame]:
        stream.thread_type = "AUTO"
        pictures = self._decoded(container, stream)
        if self._deinterlace:
            pictures = _deinterlaced(pictures)
        detector: CutDetector | None = None
        time, spacing = None, 1 / self.info.rate if self.info.rate else Fraction(1, 25)
        for picture in pictures:
            if picture.pts is not None and picture.time_base is not None:
                time = picture.pts * picture.time_base - self.info.start
            else:
                time = Fraction(0) if time is None else time + spacing
            if detector is None:
                detector = CutDetector(picture)
            duration = (picture.duration or 0) * (picture.time_base or Fraction(0))
            yield Frame(self._planes(picture), self.info.format, time, duration, scene_cut=detector.is_cut(picture))
        self._note_missing_end(stream, time, spacing)

    def _decoded(self, container: Any, stream: VideoStream) -> Iterator[av.VideoFrame]:
        """Every frame that decodes, damage counted; stops where the demuxer gives up."""
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError as error:
                self._hurt("corrupt_packets", f"reading failed ({error.strerror})")
                return
            if packet is None:
                return
            if packet.is_corrupt:
                self._hurt("corrupt_packets", "a corrupt packet")
            try:
                pictures = packet.decode()
            except av.FFmpegError as error:
                self._hurt("corrupt_packets", f"a packet that cannot be decoded ({error.strerror})")
                continue
            for picture in pictures:
                if picture.is_corrupt:
                    self._hurt("corrupt_frames", "a corrupt frame")
                self._check_unchanged(picture)
                yield picture

    def _check_unchanged(self, picture: av.VideoFrame) -> None:
        before = (self.info.width, self.info.height, self.info.pixel_format)
        now = (picture.width, picture.height, picture.format.name)
        if now != before:
            time = float((picture.pts or 0) * (picture.time_base or 0) - self.info.start)
            raise InputError(
                f"{self._path} changes from {before[0]}x{before[1]} {before[2]} to {now[0]}x{now[1]} {now[2]} at {time:.3f} s: "
                f"upscale its parts one by one, with --end {time:.3f} and --start {time:.3f}"
            )

    def _hurt(self, counter: str, what: str) -> None:
        setattr(self.damage, counter, getattr(self.damage, counter) + 1)
        if self._strict:
            raise InputError(f"{self._path} is damaged: {what}; without --strict the rest is upscaled")

    def _note_missing_end(self, stream: VideoStream, last: Fraction | None, spacing: Fraction) -> None:
        if not stream.duration or stream.time_base is None or last is None:
            return
        promised = (stream.start_time or 0) * stream.time_base + stream.duration * stream.time_base - self.info.start
        missing = promised - (last + spacing)
        if missing > max(_TOLERATED_GAP_SECONDS, 2 * spacing):
            self.damage.missing_seconds = float(missing)
            if self._strict:
                raise InputError(f"{self._path} is damaged: its last {float(missing):.2f} s of video are missing; without --strict the rest is upscaled")

    def _planes(self, picture: av.VideoFrame) -> tuple[Plane, ...]:
        layout = self.info.format
        if picture.format.name.replace("yuvj", "yuv") != layout.name:
            if self._is_rgb:
                picture = picture.reformat(format=layout.name, dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)
            else:
                picture = picture.reformat(format=layout.name)
        shapes = [(picture.height, picture.width)]
        if layout.has_chroma:
            shapes += 2 * [layout.chroma_size(picture.width, picture.height)[::-1]]
        itemsize = np.dtype(layout.dtype).itemsize
        return tuple(
            np.ndarray(shape, layout.dtype, buffer=memoryview(plane), strides=(plane.line_size, itemsize))
            for shape, plane in zip(shapes, picture.planes, strict=False)
        )


def _deinterlaced(pictures: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """Weave the fields of interlaced pictures into whole frames, one for one; progressive ones pass untouched."""
    graph: Graph | None = None
    for picture in pictures:
        if graph is None:
            graph = Graph()
            source = graph.add_buffer(width=picture.width, height=picture.height, format=picture.format, time_base=picture.time_base)
            filtered, sink = graph.add("bwdif", "mode=send_frame:deint=interlaced"), graph.add("buffersink")
            source.link_to(filtered)
            filtered.link_to(sink)
            graph.configure()
        graph.push(picture)
        yield from _pull(graph)
    if graph is not None:
        graph.push(None)
        yield from _pull(graph)


def _pull(graph: Graph) -> Iterator[Any]:
    while True:
        try:
            yield graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return
