"""From packets to pictures, without losing one to the threads of the decoder.

FFmpeg decodes several pictures at once. An error of one packet then comes out of a later call or,
at the end of a file, out of none. PyAV throws away the pictures of that call: at the end, all that
the threads still hold, as many as the machine has cores. So the packets since the last keyframe are
kept. After an error they are decoded again in a single thread, where each error belongs to its
packet, up to the next keyframe.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import av
from av.codec.context import ThreadType
from av.codec.hwaccel import HWAccel
from av.packet import Packet
from av.video.stream import VideoStream

from vsrcli.containers.pipe import is_standard_input
from vsrcli.containers.table import ASF_DEMUXER, AVI_DEMUXER, MATROSKA_DEMUXER
from vsrcli.decode.input_file import (
    codec_name,
    decoder_of,
    find_video,
    open_input,
)

# Packets without a keyframe between them are not kept beyond this: decoding then goes on after an
# error as well as it can.
_MAX_KEPT_BYTES = 1 << 28
# What encoders write about themselves into the first packet of MPEG-4; p for packed.
_PACKED = re.compile(rb"DivX\d+\D+\d+p")
_MAX_HEADER_BYTES = 1000
_NO_CODEC_TAG = "\0\0\0\0"


class PictureDecoder:
    """Decodes the packets of one pass over a video.

    Where a file holds the times of decoding alone, FFmpeg's guess of the others goes back and
    forth: there, the ``pts`` of a picture is its ``dts``.
    """

    def __init__(
        self,
        path: Path,
        stream: VideoStream,
        *,
        device: HWAccel | None = None,
        in_threads: bool = True,
        on_packet: Callable[[], None],
        on_error: Callable[[Packet[Any], av.FFmpegError], None],
    ) -> None:
        """Prepare to decode.

        Args:
            path: the file, which is opened again after an error.
            stream: of the open file; its decoder is not used yet.
            device: what decodes.
            in_threads: whether several pictures may be decoded at once.
            on_packet: called before each packet is decoded.
            on_error: called once with each packet that cannot be decoded.
        """
        self._path = path
        self._on_packet = on_packet
        self._on_error = on_error
        # a pipe cannot be opened again, and a device needs no threads: there, threads share one
        # picture at a time, and none is lost
        is_file = device is None and not is_standard_input(path)
        self._can_go_back = in_threads and is_file
        threads = None
        if in_threads:
            threads = ThreadType.AUTO if is_file else ThreadType.SLICE
        self._threaded = _context_of(stream, threads)
        self._uses_dts = holds_decoding_times(path, stream)
        self._single: Any = None
        self._context = self._threaded
        self._files = ExitStack()
        self._next_number = 0
        self._last_reported = -1
        self._kept: deque[tuple[int, Packet[Any]]] = deque()
        self._kept_bytes = 0
        self._is_keeping = self._can_go_back
        self._keyframes: set[int] = set()
        # how many pictures of each kept packet were given
        self._given: Counter[int] = Counter()
        # those that come out again after going back
        self._repeated: Counter[int] = Counter()
        self._gave_keyframe = False

    @property
    def context(self) -> Any:
        """FFmpeg's decoder."""
        return self._context

    def close(self) -> None:
        """Let the decoder's threads finish, and close what was opened after an error.

        A thread that drops a packet's mark waits for Python's lock, and whoever frees the decoder
        holds it while waiting for the threads. Flushing waits for them without it.
        """
        for context in (self._threaded, self._single):
            if context is not None:
                context.flush_buffers()
        self._files.close()

    def decode(self, packet: Packet[Any]) -> Iterator[av.VideoFrame]:
        """The pictures that a packet completes; the empty packet at the end gives the last ones."""
        number = self._next_number
        self._next_number += 1
        self._keep(number, packet)
        self._gave_keyframe = False
        is_single = self._context is self._single
        try:
            pictures = self._send(number, packet)
        except av.FFmpegError as error:
            if self._kept and not is_single:
                yield from self._decode_again(self._single_context())
            else:
                self._report(number, packet, error)
            return
        if not packet.size and not is_single and self._lacks_some(pictures):
            # the threads are silent about some errors at the end
            yield from self._decode_again(self._single_context())
            return
        yield from self._give(pictures)
        if is_single and self._gave_keyframe and packet.size:
            yield from self._decode_again(self._threaded)

    def _send(self, number: int, packet: Packet[Any]) -> list[av.VideoFrame]:
        """The pictures that come out for a packet, without those that were given before."""
        self._on_packet()
        # PyAV finds it again by its address: a number itself would be shared with other packets
        packet.opaque = (number,)
        pictures = []
        for picture in self._context.decode(packet):
            origin = _number_of(picture)
            if self._repeated[origin]:
                self._repeated[origin] -= 1
            else:
                pictures.append(picture)
        return pictures

    def _keep(self, number: int, packet: Packet[Any]) -> None:
        if packet.is_keyframe and packet.size:
            self._is_keeping = self._can_go_back
            self._keyframes.add(number)
        if not self._is_keeping:
            return
        self._kept.append((number, packet))
        self._kept_bytes += packet.size
        if self._kept_bytes > _MAX_KEPT_BYTES:
            self._is_keeping = False
            self._forget_before(self._next_number)

    def _lacks_some(self, last_pictures: list[av.VideoFrame]) -> bool:
        """Whether kept packets have given no picture, the last ones included."""
        numbers = {_number_of(picture) for picture in last_pictures}
        return any(
            packet.size and number not in numbers and not self._given[number]
            for number, packet in self._kept
        )

    def _give(self, pictures: list[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        for picture in pictures:
            number = _number_of(picture)
            self._given[number] += 1
            if number in self._keyframes:
                # whatever comes before it in presentation order has been given as well
                self._forget_before(number)
                self._gave_keyframe = True
            if self._uses_dts:
                picture.pts = picture.dts
            yield picture

    def _decode_again(self, context: Any) -> Iterator[av.VideoFrame]:
        """Decode the kept packets with another decoder, and give what was not given before."""
        self._context = context
        context.flush_buffers()
        self._repeated = self._given.copy()
        for number, packet in list(self._kept):
            try:
                pictures = self._send(number, packet)
            except av.FFmpegError as error:
                if context is not self._single:
                    yield from self._decode_again(self._single_context())
                    return
                self._report(number, packet, error)
                continue
            yield from self._give(pictures)

    def _single_context(self) -> Any:
        if self._single is None:
            container = self._files.enter_context(open_input(self._path))
            stream = find_video(container, self._path)
            self._single = _context_of(stream, None)
        return self._single

    def _report(
        self,
        number: int,
        packet: Packet[Any],
        error: av.FFmpegError,
    ) -> None:
        if number > self._last_reported:
            self._last_reported = number
            self._on_error(packet, error)

    def _forget_before(self, number: int) -> None:
        while self._kept and self._kept[0][0] < number:
            _, packet = self._kept.popleft()
            self._kept_bytes -= packet.size
        self._keyframes = {each for each in self._keyframes if each > number}
        self._given = Counter(
            {each: count for each, count in self._given.items() if each >= number}
        )


def _context_of(stream: VideoStream, threads: ThreadType | None) -> Any:
    """A stream's decoder, which gives each picture the number of its packet.

    Args:
        stream: of an open file.
        threads: how they share the work; None: a single one.
    """
    context = decoder_of(stream)
    context.copy_opaque = True
    if threads is None:
        context.thread_count = 1
    else:
        context.thread_type = threads
    return context


def holds_decoding_times(path: Path, stream: VideoStream) -> bool:
    """Whether the packets of a stream say when they are decoded, not when they are presented."""
    demuxer = stream.container.format.name
    if demuxer in (AVI_DEMUXER, ASF_DEMUXER):
        return True
    # streams from AVI have kept its names of codecs (V_MS/VFW/FOURCC)
    is_matroska = MATROSKA_DEMUXER in demuxer
    if is_matroska and stream.codec_context.codec_tag != _NO_CODEC_TAG:
        return True
    return codec_name(stream) == "mpeg4" and _has_packed_frames(path)


def _has_packed_frames(path: Path) -> bool:
    """Whether MPEG-4 is packed as in AVI: two pictures in one packet, none in the next.

    Whatever container it is copied to, times stay those of AVI.
    """
    if is_standard_input(path):
        return False
    with open_input(path) as container, contextlib.suppress(av.FFmpegError):
        stream = find_video(container, path)
        for packet in container.demux(stream):
            content = bytes(packet)[:_MAX_HEADER_BYTES]
            return _PACKED.search(content) is not None
    return False


def _number_of(picture: av.VideoFrame) -> int:
    """The number of the packet that a picture comes from; -1 where its decoder does not say."""
    mark: Any = picture.opaque
    return -1 if mark is None else int(mark[0])
