"""What a container does with streams and tags, found out by writing a little of it in memory."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Any

import av
from av.packet import Packet
from av.stream import Stream

from vsrcli.containers.quiet import open_quietly
from vsrcli.containers.table import Container
from vsrcli.decode.input_file import codec_name, open_input
from vsrcli.frame import FileInfo
from vsrcli.streams.apple_tags import names_option
from vsrcli.streams.source_packets import (
    SAMPLE_BYTES,
    begin_of,
    must_be_skipped,
    packets_of,
)
from vsrcli.streams.stream_tags import global_tags, is_same_value, storable_tags
from vsrcli.timing import round_half_away

_TRIAL_SIDE = 16
_TRIAL_FORMAT = "yuv420p"


def takes_stream(
    stream: Stream,
    packets: list[Packet[Any]],
    container: Container,
) -> bool:
    """Whether a container takes a stream.

    The container's table says which codecs it takes; the trial confirms that this stream of the
    codec can be written. Only a codec that is in no table is read back as well: what FFmpeg makes
    of a few packets is no proof (it takes MP2 in MPEG-TS for MP3).

    Args:
        stream: of an open source.
        packets: its first ones; they are changed.
        container: what they would be written to.
    """
    codec = codec_name(stream)
    is_taken = container.takes(codec)
    if not codec or is_taken is False:
        return False
    buffer = io.BytesIO()

    def write() -> None:
        with av.open(buffer, "w", format=container.muxer) as output:
            copy = output.add_stream_from_template(stream)
            output.start_encoding()
            for packet in packets:
                packet.stream = copy
                output.mux(packet)

    def read() -> None:
        buffer.seek(0)
        with av.open(buffer, "r", format=container.demuxer) as written:
            copy = written.streams[0]
            if codec_name(copy) != codec:
                raise ValueError("it comes back as another codec")
            if not any(packet.size for packet in written.demux(copy)):
                raise ValueError("nothing comes back")

    if open_quietly(write) is not None:
        return False
    return is_taken is True or not packets or open_quietly(read) is None


def measure_lead(
    info: FileInfo,
    tracks: set[int],
    container: Container,
    shift: Fraction,
) -> Fraction:
    """By how much a container delays all packets, but not the chapters.

    Some do so where copied sound begins before output time 0.

    Args:
        info: the source.
        tracks: indices of the audio tracks that are copied.
        container: what is written.
        shift: time of the source's clock that is output time 0, seconds.

    Returns:
        Seconds, 0 or more.

    Raises:
        InputError: the source cannot be opened.
    """
    if not tracks:
        return Fraction(0)
    early: list[Packet[Any]] = []
    waiting = set(tracks)
    bytes_read = 0
    with open_input(info.path) as source:
        for packet, begin in packets_of(source, tracks):
            index = packet.stream_index
            if index in waiting and not must_be_skipped(packet, info.start, container):
                waiting.discard(index)
                if begin < shift:
                    early.append(packet)
            bytes_read += packet.size
            if not waiting or bytes_read > SAMPLE_BYTES:
                break
        delays = [_measure_delay(container, packet, shift) for packet in early]
    return max(delays, default=Fraction(0))


def _measure_delay(
    container: Container,
    packet: Packet[Any],
    shift: Fraction,
) -> Fraction:
    """How much later a packet comes back than it was written.

    It is 0 where the container stores the encoder's delay.
    """
    buffer = io.BytesIO()
    delays: list[Fraction] = []
    unit = packet.time_base or Fraction(1, av.time_base)
    pts = (packet.pts or 0) - round_half_away(shift / unit)

    def write_and_read() -> None:
        with av.open(buffer, "w", format=container.muxer) as output:
            copy = output.add_stream_from_template(packet.stream)
            output.start_encoding()
            packet.stream = copy
            packet.pts = pts
            packet.dts = pts
            output.mux(packet)
        buffer.seek(0)
        with av.open(buffer, "r", format=container.demuxer) as written:
            times = [begin_of(copied) for copied in written.demux()]
            delays.extend(time - pts * unit for time in times if time is not None)

    open_quietly(write_and_read)
    return max(Fraction(0), delays[0]) if delays else Fraction(0)


def tags_that_fit(container: Container, tags: dict[str, str]) -> dict[str, str]:
    """Which global tags a container gives back with the same meaning.

    Args:
        container: what they would be written to.
        tags: those of the source.

    Returns:
        Names as the source has them, values as the container gives them back.
    """
    written = _tags_given_back(container, storable_tags(tags, container))
    kept = {}
    for key, value in tags.items():
        actual = written.get(key.lower())
        if actual is not None and is_same_value(key, value, actual):
            kept[key] = actual
    return kept


def stream_tags_that_fit(container: Container, tags: dict[str, str]) -> dict[str, str]:
    """Which tags of a stream a container gives back, as ``tags_that_fit`` for global ones."""
    written = _tags_given_back(
        container, storable_tags(tags, container), of_stream=True
    )
    kept = {}
    for key, value in tags.items():
        actual = written.get(key.lower())
        if actual is not None and is_same_value(key, value, actual):
            kept[key] = actual
    return kept


def _tags_given_back(
    container: Container, tags: dict[str, str], *, of_stream: bool = False
) -> dict[str, str]:
    """What a container gives back of tags of the file or of a stream; names in lower case."""
    buffer = io.BytesIO()
    given_back: dict[str, str] = {}

    def write_and_read() -> None:
        names = () if of_stream else tags
        options = names_option(container, names)
        with av.open(
            buffer,
            "w",
            format=container.muxer,
            container_options=options,
        ) as output:
            stream: Any = output.add_stream(container.trial_codec, rate=25)
            stream.width = _TRIAL_SIDE
            stream.height = _TRIAL_SIDE
            stream.pix_fmt = _TRIAL_FORMAT
            holder = stream if of_stream else output
            holder.metadata.update(tags)
            picture = av.VideoFrame(_TRIAL_SIDE, _TRIAL_SIDE, _TRIAL_FORMAT)
            output.mux(stream.encode(picture))
            output.mux(stream.encode(None))
        buffer.seek(0)
        with av.open(buffer) as written:
            found = written.streams[0] if of_stream else written
            for key, value in global_tags(dict(found.metadata)).items():
                given_back[key.lower()] = value

    open_quietly(write_and_read)
    return given_back


def takes_encoder(container: Container, encoder: str) -> bool:
    """Whether a container takes what a video encoder makes.

    Args:
        container: what would be written.
        encoder: FFmpeg's name.
    """

    def add() -> None:
        with av.open(io.BytesIO(), "w", format=container.muxer) as output:
            output.add_stream(encoder, rate=25)

    return open_quietly(add) is None
