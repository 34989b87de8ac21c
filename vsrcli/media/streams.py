"""What happens to each stream of the source that is not the picture: decided before the work starts."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Stream

from vsrcli.frame import FileInfo, StreamInfo
from vsrcli.media.containers import QUICKTIME_DEMUXER, Container, container_of
from vsrcli.media.convert import TEXT_CODECS, Sound, audio_encoder, can_decode
from vsrcli.media.encoders import open_quietly
from vsrcli.media.pipe import is_standard_input
from vsrcli.media.probe import open_input
from vsrcli.timing import round_half_away

_SAMPLE_PACKETS = 3
_SAMPLE_BYTES = 16 << 20
# A longer pause between packets of sound is not the jitter of a clock.
_PAUSE_SECONDS = Fraction(1, 50)
# Longest delay of an encoder that a file hides before its start.
_PRIMING_SECONDS = Fraction(1, 10)


@dataclass(frozen=True)
class StreamPlan:
    """What happens to one stream of the source.

    Attributes:
        stream: which.
        action: ``upscale`` the picture, ``copy`` the packets, ``convert`` them to ``codec``, ``attach`` the file or cover, or ``drop`` it.
        reason: why, one phrase for the user.
        codec: what it is converted to, by its canonical name.
        loses: whether something is lost that the user did not give up himself.
    """

    stream: StreamInfo
    action: Literal["upscale", "copy", "convert", "attach", "drop"]
    reason: str
    codec: str | None = None
    loses: bool = False


def plan_streams(
    info: FileInfo, target: Path | str, audio: Literal["copy", "none"]
) -> tuple[StreamPlan, ...]:
    """Decide what happens to each stream. Whether the container takes a stream is found out by putting its first packets into one in
    memory and reading them back.

    Args:
        info: the source.
        target: the output's name; its ending names the container.
        audio: ``copy`` all tracks, or ``none``.

    Returns:
        One plan for each stream, in the source's order.

    Raises:
        OutputError: the target's ending names no container.
        InputError: the source cannot be opened.
    """
    container = container_of(target)
    wanted = {
        s.index
        for s in info.streams
        if container.holds_streams
        and (s.kind == "subtitle" or (s.kind == "audio" and audio == "copy"))
    }
    refused: set[int] = set()
    broken: set[int] = set()
    converted: dict[int, str | None] = {}
    if wanted:
        with open_input(info.path) as source:
            packets = _first_packets(source, wanted)
            refused = {
                index
                for index in wanted
                if not _is_taken(source.streams[index], packets[index], container)
            }
            if not container.keeps_timestamps:
                broken = _with_pauses(
                    info,
                    {
                        index
                        for index in wanted - refused
                        if source.streams[index].type == "audio"
                    },
                )
            converted = {
                index: _converted(source.streams[index], container)
                for index in refused | broken
            }
    return tuple(
        _plan(stream, info, container, audio, refused | broken, converted, broken)
        for stream in info.streams
    )


def _plan(
    stream: StreamInfo,
    info: FileInfo,
    container: Container,
    audio: Literal["copy", "none"],
    refused: set[int],
    converted: dict[int, str | None],
    broken: set[int],
) -> StreamPlan:
    name = container.name
    if info.video is not None and stream.index == info.video.index:
        return StreamPlan(stream, "upscale", "the picture")
    if stream.kind == "audio" and audio == "none":
        return StreamPlan(stream, "drop", "--audio none")
    if not container.holds_streams:
        return StreamPlan(
            stream, "drop", f"{name} holds nothing but the picture", loses=True
        )
    if stream.is_cover or stream.kind == "attachment":
        return _plan_attachment(stream, container)
    if stream.kind not in ("audio", "subtitle"):
        return _plan_other(stream, info, container)
    if stream.index not in refused:
        return StreamPlan(stream, "copy", "copied as it is")
    codec = converted.get(stream.index)
    if codec is None:
        return StreamPlan(
            stream,
            "drop",
            f"{name} does not take {stream.codec or 'this'} {_WORDS[stream.kind]}: name the output .mkv to keep it",
            loses=True,
        )
    if stream.kind == "audio":
        why = (
            "has no place for pauses between packets of sound"
            if stream.index in broken
            else f"does not take {stream.codec} audio"
        )
        return StreamPlan(
            stream, "convert", f"{name} {why}; .mkv would copy it", codec, loses=True
        )
    is_styled = stream.codec in ("ass", "ssa")
    lost = ", its styles are lost; .mkv would copy it" if is_styled else ""
    return StreamPlan(
        stream,
        "convert",
        f"{name} does not take {stream.codec} subtitles{lost}",
        codec,
        loses=is_styled,
    )


def _plan_other(stream: StreamInfo, info: FileInfo, container: Container) -> StreamPlan:
    if stream.kind == "video":
        return StreamPlan(
            stream, "drop", "only one video stream is upscaled", loses=True
        )
    # mov writes chapters and the timecode as tracks as well; FFmpeg makes these anew from what it read
    if (
        stream.detail == "bin_data"
        and info.chapters
        and QUICKTIME_DEMUXER in info.container
        and container.keeps_chapters
    ):
        return StreamPlan(
            stream, "drop", "it holds the chapters, which are carried as such"
        )
    if stream.detail == "timecode" and container.keeps_timecode:
        return StreamPlan(stream, "drop", "the timecode is carried as the picture's")
    return StreamPlan(
        stream, "drop", f"{stream.kind} streams are not carried", loses=True
    )


_WORDS = {"audio": "audio", "subtitle": "subtitles"}


def _plan_attachment(stream: StreamInfo, container: Container) -> StreamPlan:
    what = "cover picture" if stream.is_cover else "attached file"
    if container.covers is not None if stream.is_cover else container.holds_attachments:
        return StreamPlan(stream, "attach", f"{what}, byte for byte")
    return StreamPlan(
        stream,
        "drop",
        f"{container.name} has no place for {'a' if stream.is_cover else 'an'} {what}: name the output .mkv to keep it",
        loses=True,
    )


def sound_for(stream: Stream, container: Container) -> Sound | None:
    """How a refused sound track is encoded for a container; None where nothing can be made of it."""
    if not can_decode(stream):
        return None
    return next(
        (
            sound
            for codec in container.audio_codecs
            if (sound := audio_encoder(stream, codec)) is not None
        ),
        None,
    )


def _converted(stream: Stream, container: Container) -> str | None:
    """What a refused stream becomes, by its codec's canonical name; None where nothing can be made of it."""
    if stream.type == "audio":
        sound = sound_for(stream, container)
        return None if sound is None else sound.codec
    codec = (
        stream.codec_context.codec.canonical_name
        if stream.codec_context is not None
        else ""
    )
    return container.text_codec if codec in TEXT_CODECS else None


def _first_packets(
    source: InputContainer, wanted: set[int]
) -> dict[int, list[Packet[Any]]]:
    packets: dict[int, list[Packet[Any]]] = {index: [] for index in wanted}
    for stream in source.streams:
        if stream.index not in wanted:
            stream.discard = Discard.all
    read = 0
    try:
        for packet in source.demux():
            if (
                packet.size
                and packet.stream_index in packets
                and len(packets[packet.stream_index]) < _SAMPLE_PACKETS
            ):
                packets[packet.stream_index].append(packet)
            read += packet.size
            missing = [
                index
                for index, found in packets.items()
                if len(found) < _SAMPLE_PACKETS
            ]
            if not missing or read > _SAMPLE_BYTES:
                break
    except av.FFmpegError:
        pass  # damage further on is the reader's to report; what came so far is enough to try
    return packets


def _with_pauses(info: FileInfo, tracks: set[int]) -> set[int]:
    """Which sound tracks begin late or have gaps: where packets follow each other without timestamps, what comes after would be heard too early."""
    ends = dict.fromkeys(tracks, info.start)
    found: set[int] = set()
    if is_standard_input(info.path):
        return found
    with open_input(info.path) as source, contextlib.suppress(av.FFmpegError):
        for packet in source.demux(
            [stream for stream in source.streams if stream.index in tracks]
        ):
            if (
                packet.stream_index in tracks
                and packet.pts is not None
                and packet.time_base is not None
            ):
                begin = packet.pts * packet.time_base
                if begin - ends[packet.stream_index] > _PAUSE_SECONDS:
                    found.add(packet.stream_index)
                ends[packet.stream_index] = max(
                    ends[packet.stream_index],
                    begin + (packet.duration or 0) * packet.time_base,
                )
    return found


def _is_taken(stream: Stream, packets: list[Packet[Any]], container: Container) -> bool:
    """Whether the container takes the stream's packets and gives them back as the same codec."""
    codec = stream.codec_context.name if stream.codec_context is not None else ""
    if not codec or container.is_unsupported(codec):
        return False
    buffer = io.BytesIO()

    def write() -> None:
        with av.open(buffer, "w", format=container.muxer) as out:
            copy = out.add_stream_from_template(stream)
            out.start_encoding()
            for packet in packets:
                packet.stream = copy
                out.mux(packet)

    def read() -> None:
        buffer.seek(0)
        with av.open(buffer, "r", format=container.demuxer) as back:
            found = back.streams[0]
            if found.codec_context is None or found.codec_context.name != codec:
                raise ValueError("comes back as something else")
            if not any(packet.size for packet in back.demux(found)):
                raise ValueError("nothing comes back")

    if open_quietly(write) is not None:
        return False
    return not packets or open_quietly(read) is None


def is_cut_off(packet: Packet[Any], start: Fraction, container: Container) -> bool:
    """Whether a packet that a player of the source leaves out would be heard in this container.

    That is what an edit list hides, where the container has none (an encoder's delay before the start stays), and where it keeps no timestamps what is
    less than half behind the start: it would push back what follows.

    Args:
        packet: as the source gives it.
        start: of the source's clock (``FileInfo.start``), seconds.
        container: what it would be written to.
    """
    if container.hides_samples or packet.pts is None or packet.time_base is None:
        return False
    begin = packet.pts * packet.time_base - start
    length = (packet.duration or 0) * packet.time_base
    if not container.keeps_timestamps and begin + length / 2 <= 0:
        return True
    return packet.is_discard and (begin >= 0 or begin + length <= -_PRIMING_SECONDS)


def lead_of(
    info: FileInfo, copied: set[int], container: Container, shift: Fraction
) -> Fraction:
    """By how much a container moves all packets, but no chapters, where copied sound begins before output time 0: a trial in memory shows.

    Args:
        info: the source.
        copied: its sound tracks, by index.
        container: what is written.
        shift: time of the source's clock that is output time 0, seconds.

    Returns:
        Seconds, 0 or more.

    Raises:
        InputError: the source cannot be opened.
    """
    early: list[Packet[Any]] = []
    waiting, read = set(copied), 0
    if not waiting:
        return Fraction(0)
    with open_input(info.path) as source, contextlib.suppress(av.FFmpegError):
        for packet in source.demux(
            [stream for stream in source.streams if stream.index in waiting]
        ):
            if (
                packet.stream_index in waiting
                and packet.pts is not None
                and packet.time_base is not None
            ):
                if is_cut_off(packet, info.start, container):
                    continue
                waiting.discard(packet.stream_index)
                if packet.pts * packet.time_base < shift:
                    early.append(packet)
            read += packet.size
            if not waiting or read > _SAMPLE_BYTES:
                break
        return max(
            (_moved_by(container, packet, shift) for packet in early),
            default=Fraction(0),
        )
    return Fraction(0)


def _moved_by(container: Container, packet: Packet[Any], shift: Fraction) -> Fraction:
    """How much later a packet comes back than it was written; not where the container knows of the encoder's delay."""
    buffer = io.BytesIO()
    moved: list[Fraction] = []
    pts, unit = packet.pts or 0, packet.time_base or Fraction(1, av.time_base)
    ticks = round_half_away(shift / unit)

    def try_it() -> None:
        with av.open(buffer, "w", format=container.muxer) as out:
            copy = out.add_stream_from_template(packet.stream)
            out.start_encoding()
            packet.stream = copy
            packet.pts = packet.dts = pts - ticks
            out.mux(packet)
        buffer.seek(0)
        with av.open(buffer, "r", format=container.demuxer) as back:
            moved.extend(
                found.pts * found.time_base - (pts - ticks) * unit
                for found in back.demux()
                if found.pts is not None and found.time_base is not None
            )

    open_quietly(try_it)
    return max(Fraction(0), moved[0]) if moved else Fraction(0)
