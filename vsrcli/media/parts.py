"""Parts of an output: the encoded video of one stretch of time as a file of packets, and the joining of such files without encoding anew.

A part holds what muxers need and containers would round or drop: exact times and lengths, flags, side data. Layout, all integers little-endian: the magic,
the encoder's extradata with its length before it, then the packets in decoding order, each a ``_PACKET`` followed by its side data (``_SIDE``, name,
content) and its content.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import av
from av.packet import Packet, PacketSideData, packet_sidedata_type_from_literal

from vsrcli.errors import OutputError
from vsrcli.frame import Frame
from vsrcli.media.atomic_file import AtomicFile
from vsrcli.media.encoders import encoder_of
from vsrcli.media.encoding import VideoEncoder, failure
from vsrcli.media.output import OutputVideo
from vsrcli.options import EncoderOptions

_MAGIC = b"vsrpart1"
_LENGTH = struct.Struct("<I")
_PACKET = struct.Struct(
    "<qqqIBB"
)  # pts, dts, duration, size, flags, count of side data
_SIDE = struct.Struct("<BI")
_KEY = 1
_NOT_KEPT = ("quality_stats",)
# More frames than any encoder holds back.
_MOST_AHEAD = 400


@dataclass(frozen=True, slots=True)
class PartFacts:
    """What a finished part is.

    Attributes:
        frames: packets in it.
        size: bytes.
        sha256: of the whole file, hexadecimal.
    """

    frames: int
    size: int
    sha256: str


class PartWriter:
    """Encodes frames into a part, which has its name only when it is whole and safe on the disk."""

    def __init__(
        self, path: Path, target: Path, video: OutputVideo, encoder: EncoderOptions
    ) -> None:
        """Open the encoder and the file.

        Args:
            path: the part.
            target: the output that it will be a part of; its ending names the container.
            video: as for ``VideoWriter``.
            encoder: the same.

        Raises:
            OutputError: the encoder or the folder refuse.
        """
        self._shown, self._unit, self._finished = target, video.time_base, False
        self._encoder = VideoEncoder(target, video, encoder, io.BytesIO())
        self._hash, self.frames, self._size = hashlib.sha256(), 0, 0
        self._looks_ahead = encoder_of(self._encoder.codec).looks_ahead
        self._held: tuple[Frame, int, int] | None = None
        self._last_tick: int | None = None
        self._wanted = 0
        try:
            self._place = AtomicFile(path)
            self._file = Path(str(self._place.sink)).open("wb")  # noqa: SIM115  # closed by finish and abort
        except OSError as error:
            self._encoder.close()
            raise failure(error, target, self._encoder.codec) from error
        extradata = self._encoder.extradata
        self._put(_MAGIC + _LENGTH.pack(len(extradata)) + extradata)

    def __enter__(self) -> PartWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.abort()

    def write(self, frame: Frame, tick: int, duration: int) -> None:
        """Encode one frame; as ``VideoWriter.write``."""
        held, self._held = self._held, (frame, tick, duration)
        if held is not None:
            self._encode(*held)

    def finish(self) -> PartFacts:
        """Flush the encoder, wait for the disk, and give the part its name.

        Raises:
            OutputError: the encoder failed, or the disk is full.
        """
        if self._held is not None:
            self._encode(*self._held, ends_group=self._looks_ahead)
            if self._looks_ahead:
                self._follow_up(*self._held)
        try:
            if self._last_tick is None or self.frames < self._wanted:
                self._put_packets(self._encoder.flush())
            self._encoder.close()
            self._file.flush()
            self._file.close()
            self._place.commit()
        except (av.FFmpegError, OSError) as error:
            raise failure(error, self._shown, self._encoder.codec) from error
        self._finished = True
        return PartFacts(self.frames, self._size, self._hash.hexdigest())

    def abort(self) -> None:
        """Leave nothing behind; does nothing after ``finish``."""
        if not self._finished:
            self._finished = True
            self._place.discard()
            with contextlib.suppress(
                OSError
            ):  # a full disk refuses what was still to be written, which nobody wants any more
                self._file.close()
            self._encoder.close()

    def _encode(
        self, frame: Frame, tick: int, duration: int, *, ends_group: bool = False
    ) -> None:
        try:
            packets = self._encoder.encode(frame, tick, duration, ends_group=ends_group)
        except (av.FFmpegError, OSError) as error:
            raise failure(error, self._shown, self._encoder.codec) from error
        self._put_packets(packets)

    def _follow_up(self, frame: Frame, tick: int, duration: int) -> None:
        """Show the encoder the last frame standing still, until all before it have come out: it shall not think that the film ends here."""
        self._last_tick, self._wanted = tick, self._encoder.frames
        for number in range(1, _MOST_AHEAD):
            if self.frames == self._wanted:
                return
            self._encode(frame, tick + number * max(1, duration), duration)

    def _put_packets(self, packets: list[Packet[Any]]) -> None:
        for packet in packets:
            if (
                packet.pts is not None
                and self._last_tick is not None
                and packet.pts > self._last_tick
            ):
                continue
            if packet.pts is None or packet.time_base != self._unit:
                raise OutputError(
                    f"{self._shown}: {self._encoder.codec} gives packets without a time: --segment 0 writes them in one go"
                )
            side = [
                item
                for item in packet.iter_sidedata()
                if item.data_type not in _NOT_KEPT
            ]
            dts = packet.pts if packet.dts is None else packet.dts
            self._put(
                _PACKET.pack(
                    packet.pts,
                    dts,
                    packet.duration or 0,
                    packet.size,
                    _KEY * packet.is_keyframe,
                    len(side),
                )
            )
            for item in side:
                name = item.data_type.encode()
                self._put(_SIDE.pack(len(name), item.data_size) + name + bytes(item))
            self._put(bytes(packet))
            self.frames += 1

    def _put(self, content: bytes) -> None:
        try:
            self._file.write(content)
        except OSError as error:
            raise failure(error, self._shown, self._encoder.codec) from error
        self._hash.update(content)
        self._size += len(content)


@dataclass(frozen=True, slots=True)
class _Record:
    """One packet as it stands in a part: times in ticks, where its side data and content begin, their sizes."""

    pts: int
    dts: int
    duration: int
    flags: int
    side: tuple[tuple[str, bytes], ...]
    content: bytes


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
        OutputError: this is no part.
    """
    with path.open("rb") as file:
        return _header(path, file)


def times_of(path: Path) -> list[tuple[int, int]]:
    """Presentation and decoding time of each packet of a part, ticks, in decoding order.

    Raises:
        OutputError: this is no part, or it is damaged.
    """
    return [(record.pts, record.dts) for record in _records(path, skip=True)]


def joined(paths: Sequence[Path], unit: Fraction) -> Iterator[Packet[Any]]:
    """The packets of parts one behind the other, with decoding times as one encoder would have given them.

    Args:
        paths: the parts, in order of time.
        unit: of their ticks, seconds.

    Raises:
        OutputError: one is no part, or is damaged.
    """
    decoding = iter(decoding_times([times_of(path) for path in paths]))
    for path in paths:
        for record in _records(path):
            packet: Any = av.Packet(record.content)
            packet.pts, packet.dts, packet.duration, packet.time_base = (
                record.pts,
                next(decoding),
                record.duration,
                unit,
            )
            packet.is_keyframe = bool(record.flags & _KEY)
            for name, content in record.side:
                side: Any = PacketSideData(
                    packet_sidedata_type_from_literal(name), len(content)
                )  # type: ignore[call-arg, arg-type]
                side.update(content)
                packet.set_sidedata(side)
            yield packet


def decoding_times(parts: Sequence[Sequence[tuple[int, int]]]) -> list[int]:
    """Decoding times for parts joined: those of x264 and others, the presentation times in order, so many frames late as any part needs.

    Each part's own begin before its first frame, by so much as its first frames are apart, and would overlap where frames are not evenly spaced.

    Args:
        parts: (presentation, decoding) times of packets in decoding order; every part ends before the next begins.

    Returns:
        For each packet, rising, and not later than its presentation time.
    """
    delay = 0
    for part in parts:
        order = sorted(pts for pts, _ in part)
        rank = {pts: number for number, pts in enumerate(order)}
        needed = max(
            (number - rank[pts] for number, (pts, _) in enumerate(part)), default=0
        )
        early = sum(dts < order[0] for _, dts in part)
        delay = max(delay, needed, early)
    shown = [pts for part in parts for pts in sorted(pts for pts, _ in part)]
    if not delay or not shown:
        return shown
    spacing = shown[1] - shown[0] if len(shown) > 1 else 1
    lead = (
        shown[delay] - shown[0]
        if len(shown) > delay
        else (delay - len(shown) + 1) * spacing + shown[-1] - shown[0]
    )
    return [shown[number] - lead for number in range(min(delay, len(shown)))] + shown[
        : max(0, len(shown) - delay)
    ]


def _header(path: Path, file: BinaryIO) -> bytes:
    start = file.read(len(_MAGIC) + _LENGTH.size)
    if len(start) < len(_MAGIC) + _LENGTH.size or not start.startswith(_MAGIC):
        raise OutputError(f"{path} is no part of a video: --restart begins anew")
    return _read(path, file, *_LENGTH.unpack(start[len(_MAGIC) :]))


def _records(path: Path, *, skip: bool = False) -> Iterator[_Record]:
    """The packets of a part; without contents where ``skip``."""
    with path.open("rb") as file:
        _header(path, file)
        while head := file.read(_PACKET.size):
            if len(head) < _PACKET.size:
                raise OutputError(f"{path} is damaged: --restart begins anew")
            pts, dts, duration, size, flags, count = _PACKET.unpack(head)
            side = []
            for _ in range(count):
                length, bytes_long = _SIDE.unpack(_read(path, file, _SIDE.size))
                side.append(
                    (
                        _read(path, file, length).decode("ascii", "replace"),
                        _read(path, file, bytes_long),
                    )
                )
            if skip:
                file.seek(size, os.SEEK_CUR)
            yield _Record(
                pts,
                dts,
                duration,
                flags,
                tuple(side),
                b"" if skip else _read(path, file, size),
            )


def _read(path: Path, file: BinaryIO, size: int) -> bytes:
    """Exactly so many bytes; a size beyond the file's is refused before memory is asked for."""
    if size > os.fstat(file.fileno()).st_size - file.tell():
        raise OutputError(f"{path} is damaged: --restart begins anew")
    return file.read(size)
