"""Parts of an output: the encoded video of a segment as a file of packets.

A part holds what muxers need and containers would round or drop: exact times and durations, flags,
side data. All integers are little-endian. The file is the magic, the length of the encoder's
extradata, the extradata, then the packets in decoding order. A packet is a ``_PACKET``, its side
data (each a ``_SIDE_DATA``, its name and its content), and its content.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import av
from av.packet import Packet

from vsrcli.encode.atomic_file import AtomicFile
from vsrcli.encode.encoder_table import encoder_of
from vsrcli.encode.encoding import VideoEncoder, failure
from vsrcli.encode.output import OutputVideo
from vsrcli.errors import OutputError
from vsrcli.frame import Frame
from vsrcli.options import EncoderOptions

_MAGIC = b"vsrpart1"
_LENGTH = struct.Struct("<I")
# Pts, dts, duration, size, flags, number of side data.
_PACKET = struct.Struct("<qqqIBB")
# Lengths of name and content.
_SIDE_DATA = struct.Struct("<BI")
_KEYFRAME_FLAG = 1
_NOT_KEPT = ("quality_stats",)
# More frames than any encoder holds back.
_MAX_HELD_FRAMES = 400


@dataclass(frozen=True, slots=True)
class PartFacts:
    """What is known of a finished part.

    Attributes:
        frames: packets in it.
        size: bytes.
        sha256: of the whole file, hexadecimal.
    """

    frames: int
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class PartPacket:
    """One packet of a part.

    Attributes:
        pts, dts, duration: ticks.
        is_keyframe: whether decoding can begin here.
        side_data: names and contents.
        content: the encoded frame; empty if it was skipped while reading.
    """

    pts: int
    dts: int
    duration: int
    is_keyframe: bool
    side_data: tuple[tuple[str, bytes], ...]
    content: bytes

    def pack(self) -> bytes:
        """The packet as it is stored."""
        chunks = [
            _PACKET.pack(
                self.pts,
                self.dts,
                self.duration,
                len(self.content),
                _KEYFRAME_FLAG if self.is_keyframe else 0,
                len(self.side_data),
            )
        ]
        for name, data in self.side_data:
            encoded_name = name.encode()
            chunks.append(_SIDE_DATA.pack(len(encoded_name), len(data)))
            chunks.append(encoded_name)
            chunks.append(data)
        chunks.append(self.content)
        return b"".join(chunks)


class PartWriter:
    """Encodes frames into a part, which gets its name when it is complete and safe on the disk."""

    def __init__(
        self,
        path: Path,
        target: Path,
        video: OutputVideo,
        encoder: EncoderOptions,
    ) -> None:
        """Open the encoder and the file.

        Args:
            path: the part.
            target: the output that it will be a part of; its ending names the container.
            video: as for ``VideoWriter``.
            encoder: as for ``VideoWriter``.

        Raises:
            OutputError: the encoder or the folder refuse.
        """
        self.frames = 0
        self._target = target
        self._time_base = video.time_base
        self._is_finished = False
        self._encoder = VideoEncoder(target, video, encoder, io.BytesIO())
        self._looks_ahead = encoder_of(self._encoder.codec).looks_ahead
        self._hash = hashlib.sha256()
        self._size = 0
        self._held: tuple[Frame, int, int] | None = None
        self._last_tick: int | None = None
        self._frame_count = 0
        try:
            self._atomic_file = AtomicFile(path, overwrite=True)
            self._file = self._atomic_file.part.open("wb")
        except OSError as error:
            self._encoder.close()
            raise failure(error, target, self._encoder.codec) from error
        extradata = self._encoder.extradata
        self._put(_MAGIC + _LENGTH.pack(len(extradata)) + extradata)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.abort()

    def write(
        self,
        frame: Frame,
        tick: int,
        duration: int,
    ) -> None:
        """Encode one frame; as ``VideoWriter.write``."""
        held = self._held
        self._held = (frame, tick, duration)
        if held is not None:
            self._encode(*held)

    def finish(self, captions: bytes = b"") -> PartFacts:
        """Flush the encoder, wait for the disk, and give the part its name.

        Args:
            captions: more closed captions for the last frame.

        Raises:
            OutputError: the encoder failed, or the disk is full.
        """
        if self._held is not None:
            frame, tick, duration = self._held
            last = replace(frame, captions=frame.captions + captions)
            self._encode(last, tick, duration, ends_group=self._looks_ahead)
            if self._looks_ahead:
                self._repeat_last_frame(replace(frame, captions=b""), tick, duration)
        self._try(self._close_file)
        self._is_finished = True
        return PartFacts(self.frames, self._size, self._hash.hexdigest())

    def abort(self) -> None:
        """Leave nothing behind; has no effect after ``finish``."""
        if self._is_finished:
            return
        self._is_finished = True
        self._atomic_file.discard()
        # a full disk refuses what is still buffered, which nobody needs any more
        with contextlib.suppress(OSError):
            self._file.close()
        self._encoder.close()

    def _close_file(self) -> None:
        if self._last_tick is None or self.frames < self._frame_count:
            self._put_packets(self._encoder.flush())
        self._encoder.close()
        self._file.flush()
        self._file.close()
        self._atomic_file.commit()

    def _encode(
        self,
        frame: Frame,
        tick: int,
        duration: int,
        *,
        ends_group: bool = False,
    ) -> None:
        def encode() -> None:
            packets = self._encoder.encode(
                frame,
                tick,
                duration,
                ends_group=ends_group,
            )
            self._put_packets(packets)

        self._try(encode)

    def _repeat_last_frame(
        self,
        frame: Frame,
        tick: int,
        duration: int,
    ) -> None:
        """Show the encoder a still until all frames have come out.

        Otherwise it would encode the last ones as the end of the film.
        """
        self._last_tick = tick
        self._frame_count = self._encoder.frames
        step = max(1, duration)
        for number in range(1, _MAX_HELD_FRAMES):
            if self.frames == self._frame_count:
                return
            self._encode(frame, tick + number * step, duration)

    def _put_packets(self, packets: list[Packet[Any]]) -> None:
        for packet in packets:
            pts = packet.pts
            if pts is None or packet.time_base != self._time_base:
                raise OutputError(
                    f"{self._target}: {self._encoder.codec} gives packets without a time: "
                    "--segment 0 writes them in one go"
                )
            if self._last_tick is not None and pts > self._last_tick:
                continue  # of the still
            stored = PartPacket(
                pts=pts,
                dts=pts if packet.dts is None else packet.dts,
                duration=packet.duration or 0,
                is_keyframe=bool(packet.is_keyframe),
                side_data=_side_data_of(packet),
                content=bytes(packet),
            )
            self._put(stored.pack())
            self.frames += 1

    def _put(self, content: bytes) -> None:
        self._try(lambda: self._file.write(content))
        self._hash.update(content)
        self._size += len(content)

    def _try(self, work: Callable[[], object]) -> None:
        try:
            work()
        except (av.FFmpegError, OSError) as error:
            raise failure(error, self._target, self._encoder.codec) from error


def _side_data_of(packet: Packet[Any]) -> tuple[tuple[str, bytes], ...]:
    kept = [item for item in packet.iter_sidedata() if item.data_type not in _NOT_KEPT]
    return tuple((item.data_type, bytes(item)) for item in kept)


def hash_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def extradata_of(path: Path) -> bytes:
    """The extradata of the encoder that wrote a part.

    Raises:
        OutputError: the file is not a part.
    """
    with path.open("rb") as file:
        return _read_header(path, file)


def packets_of(path: Path, *, skip_contents: bool = False) -> Iterator[PartPacket]:
    """The packets of a part, in decoding order.

    Raises:
        OutputError: the file is not a part, or it is damaged.
    """
    with path.open("rb") as file:
        _read_header(path, file)
        while head := file.read(_PACKET.size):
            if len(head) < _PACKET.size:
                raise _damaged(path)
            pts, dts, duration, size, flags, side_count = _PACKET.unpack(head)
            side_data = [_read_side_data(path, file) for _ in range(side_count)]
            content = b""
            if skip_contents:
                file.seek(size, os.SEEK_CUR)
            else:
                content = _read(path, file, size)
            yield PartPacket(
                pts=pts,
                dts=dts,
                duration=duration,
                is_keyframe=bool(flags & _KEYFRAME_FLAG),
                side_data=tuple(side_data),
                content=content,
            )


def _read_header(path: Path, file: BinaryIO) -> bytes:
    """Read up to the first packet; returns the extradata."""
    size = len(_MAGIC) + _LENGTH.size
    start = file.read(size)
    if len(start) < size or not start.startswith(_MAGIC):
        raise OutputError(
            f"{path} is not a part of a video: the same command makes it again"
        )
    (length,) = _LENGTH.unpack(start[len(_MAGIC) :])
    return _read(path, file, length)


def _read_side_data(path: Path, file: BinaryIO) -> tuple[str, bytes]:
    head = _read(path, file, _SIDE_DATA.size)
    name_length, length = _SIDE_DATA.unpack(head)
    name = _read(path, file, name_length).decode("ascii", "replace")
    return name, _read(path, file, length)


def _read(
    path: Path,
    file: BinaryIO,
    size: int,
) -> bytes:
    """Exactly ``size`` bytes; more than the file has are refused before memory is taken."""
    left = os.fstat(file.fileno()).st_size - file.tell()
    if size > left:
        raise _damaged(path)
    return file.read(size)


def _damaged(path: Path) -> OutputError:
    return OutputError(f"{path} is damaged: the same command makes it again")
