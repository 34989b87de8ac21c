"""What a file holds beside its pictures, for the certificate: every packet's time and digest, streams, chapters, tags."""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
from array import array
from fractions import Fraction
from itertools import islice
from typing import Any

import av
import numpy as np
from av.stream import AttachmentStream, Disposition

from vsrcli.frame import VideoInfo
from vsrcli.media.containers import Container
from vsrcli.media.copier import content_tags
from vsrcli.media.encoders import open_quietly
from vsrcli.media.probe import find_video, open_input, promised_end
from vsrcli.media.streams import is_cut_off
from vsrcli.quality.certificate import NO_TIME, Chapter, Evidence, Track

_ADTS_SYNC, _ADTS_MASK = 0xFFF0, 0xFFF6
_ADTS_HEADER, _ADTS_WITH_SUM = 7, 9
_LANGUAGE_SUFFIX = re.compile(r"-[a-z]{3}$")
_MOST_SILENT_PACKETS = 16
_EMPTY_TEXT = b"\0\0"  # what mp4 fills the time between two lines with


def collect(info: VideoInfo, container: Container | None = None) -> Evidence:
    """Read every packet of a file once; nothing is decoded.

    Args:
        info: the file. Payloads of its main video are not digested.
        container: what it was carried into: packets that are not (``is_cut_off``) are left out; None: all count.

    Returns:
        All streams in the file's order.

    Raises:
        InputError: it cannot be opened any more.
    """
    with open_input(info.path) as opened:
        notes = [_Notes(stream, info) for stream in opened.streams]
        packets = opened.demux()
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError:
                break  # a damaged rest: what came before it is what is there
            if packet is None:
                break
            if packet.size and not (
                container is not None and is_cut_off(packet, info.start, container)
            ):
                notes[packet.stream_index].add(packet)
        chapters = tuple(_chapter(chapter, info.start) for chapter in opened.chapters())
        end = promised_end(find_video(opened, info.path), info.start)
        return Evidence(
            tuple(note.track() for note in notes),
            chapters,
            described(dict(opened.metadata)),
            end,
        )


def _chapter(found: Any, start: Fraction) -> Chapter:
    unit = found["time_base"]
    return Chapter(
        found["start"] * unit - start,
        found["end"] * unit - start,
        found["metadata"].get("title", ""),
    )


def described(tags: dict[str, str]) -> dict[str, str]:
    """The tags that describe the content, not the file, each once: mov says some again with a language behind the name."""
    kept = content_tags(tags, handler_names=False)
    return {
        key: value
        for key, value in kept.items()
        if key != "creation_time"
        and _LANGUAGE_SUFFIX.sub("", key) not in kept.keys() - {key}
    }


def tags_that_fit(container: Container, tags: dict[str, str]) -> dict[str, str]:
    """What a container gives back of global tags, as a trial in memory shows; names in its own spelling."""
    buffer = io.BytesIO()
    kept: dict[str, str] = {}

    def try_it() -> None:
        with av.open(buffer, "w", format=container.muxer) as out:
            stream: Any = out.add_stream(container.trial_codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
            out.metadata.update(tags)
            out.mux(stream.encode(av.VideoFrame(16, 16, "yuv420p")))
            out.mux(stream.encode(None))
        buffer.seek(0)
        with av.open(buffer) as back:
            kept.update(described(dict(back.metadata)))

    open_quietly(try_it)
    return kept


def payload_sum(
    info: VideoInfo, container: Container, index: int, packets: slice
) -> str:
    """The sha256 of the payloads of some packets of one stream, one after the other.

    Args:
        info: the file.
        container: as for ``collect``.
        index: the stream's.
        packets: which, counted as in ``Track.times``.

    Raises:
        InputError: the file cannot be opened any more.
    """
    total = hashlib.sha256()
    with open_input(info.path) as opened:
        packets_there = (
            packet for packet in opened.demux(opened.streams[index]) if packet.size
        )
        payloads = (
            bytes(packet)
            for packet in packets_there
            if not is_cut_off(packet, info.start, container)
        )
        for payload in islice(payloads, packets.start, packets.stop):
            total.update(payload)
    return total.hexdigest()


def sound_begins(info: VideoInfo, index: int) -> Fraction:
    """When the first samples of a sound track come out of its decoder, seconds: some keep those of the first packets to themselves.

    Raises:
        InputError: the file cannot be opened any more.
    """
    with open_input(info.path) as opened, contextlib.suppress(av.FFmpegError):
        for packet in islice(opened.demux(opened.streams[index]), _MOST_SILENT_PACKETS):
            frames: list[Any] = list(packet.decode())
            for frame in frames:
                if frame.pts is not None and frame.time_base is not None:
                    return Fraction(frame.pts * frame.time_base - info.start)
    return Fraction(0)


class _Notes:
    """What is remembered of one stream while its packets go by: 24 bytes each."""

    def __init__(self, stream: Any, info: VideoInfo) -> None:
        self._stream, self._start = stream, info.start
        self._is_video = stream.index == info.video.index
        self._codec = (
            info.streams[stream.index].codec if stream.index < len(info.streams) else ""
        )
        self._times, self._lengths, self._digests = array("q"), array("q"), array("Q")
        self._sum = hashlib.sha256()

    def add(self, packet: Any) -> None:
        payload = b"" if self._is_video else _unframed(bytes(packet), self._codec)
        if self._codec == "mov_text" and payload == _EMPTY_TEXT:
            return
        self._times.append(NO_TIME if packet.pts is None else packet.pts)
        self._lengths.append(packet.duration or 0)
        self._digests.append(
            int.from_bytes(hashlib.sha256(payload).digest()[:8], "little")
        )
        self._sum.update(payload)

    def track(self) -> Track:
        stream, tags = self._stream, dict(self._stream.metadata)
        content = bytes(stream.data) if isinstance(stream, AttachmentStream) else None
        return Track(
            index=stream.index,
            kind=stream.type,
            codec=self._codec,
            unit=stream.time_base or Fraction(1, 1000),
            start=self._start,
            times=np.array(self._times, np.int64),
            lengths=np.array(self._lengths, np.int64),
            digests=np.array(self._digests, np.uint64),
            sha256=self._sum.hexdigest()
            if content is None
            else hashlib.sha256(content).hexdigest(),
            channels=stream.codec_context.channels
            if stream.type == "audio" and stream.codec_context is not None
            else 0,
            is_cover=bool(stream.disposition & Disposition.attached_pic),
            file_name=tags.get("filename"),
            language=tags.get("language") or tags.get("LANGUAGE"),
            title=content_tags(tags, handler_names=False).get("title"),
            disposition=int(stream.disposition),
        )


def _unframed(payload: bytes, codec: str) -> bytes:
    """AAC without the ADTS header that MPEG-TS puts before each frame (a raw frame never begins with twelve ones: that would be its end)."""
    if (
        codec != "aac"
        or len(payload) < _ADTS_WITH_SUM
        or int.from_bytes(payload[:2], "big") & _ADTS_MASK != _ADTS_SYNC
    ):
        return payload
    length = (payload[3] & 3) << 11 | payload[4] << 3 | payload[5] >> 5
    if length != len(payload):
        return payload
    return payload[_ADTS_HEADER if payload[1] & 1 else _ADTS_WITH_SUM :]
