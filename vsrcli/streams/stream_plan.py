"""What happens to each stream of the source, decided before the work starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from av.container import InputContainer
from av.stream import Stream

from vsrcli.containers.advice import better_name, way_out
from vsrcli.containers.table import QUICKTIME_DEMUXER, Container, container_of
from vsrcli.decode.input_file import codec_name, open_input
from vsrcli.decode.stream_analysis import MAX_ANALYSED_BYTES, is_unknown
from vsrcli.frame import FileInfo, StreamInfo
from vsrcli.streams.apple_tags import are_apple_tags
from vsrcli.streams.audio_settings import (
    AudioSettings,
    can_decode,
    choose_audio_settings,
)
from vsrcli.streams.source_packets import (
    first_packets,
    streams_with_packets,
    tracks_with_pauses,
)
from vsrcli.streams.subtitle_text import TEXT_CODECS
from vsrcli.streams.trial_mux import takes_stream

# How a kind of stream is called in messages.
_KIND_WORDS = {"audio": "audio", "subtitle": "subtitles"}


@dataclass(frozen=True)
class StreamPlan:
    """What happens to one stream of the source.

    Attributes:
        stream: which.
        action: ``upscale`` the pictures, ``copy`` the packets, ``convert`` them to ``codec``,
            ``attach`` the file or cover, or ``drop`` the stream.
        reason: why, one phrase for the user.
        codec: what it is converted to, by its canonical name.
        channels: of converted sound, else 0.
        loses: whether something is lost that the user did not choose to lose.
    """

    stream: StreamInfo
    action: Literal["upscale", "copy", "convert", "attach", "drop"]
    reason: str
    codec: str | None = None
    channels: int = 0
    loses: bool = False


def plan_streams(
    info: FileInfo,
    target: Path | str,
    audio: Literal["copy", "none"],
) -> tuple[StreamPlan, ...]:
    """Decide what happens to each stream.

    Whether the container takes a stream is found out by a trial in memory.

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
    kinds = {"subtitle"}
    if audio == "copy":
        kinds.add("audio")
    indices = {stream.index for stream in info.streams if stream.kind in kinds}
    trials = _Trials()
    if indices and container.holds_streams:
        with open_input(info.path) as source:
            trials = _try_streams(
                info,
                source,
                indices,
                container,
            )
    planner = _Planner(
        info,
        target,
        audio,
        trials,
    )
    return tuple(planner.plan(stream) for stream in info.streams)


class _Conversion(NamedTuple):
    """What a stream is converted to: the codec's canonical name, and the channels of sound."""

    codec: str
    channels: int = 0


@dataclass(frozen=True, slots=True)
class _Trials:
    """What trials say of audio and subtitle streams.

    Attributes:
        conversions: what a stream that cannot be copied is converted to, by its index; None where
            it cannot be converted.
        paused: indices of audio tracks that cannot be copied because of their pauses.
        unknown: what is known of streams that FFmpeg cannot describe, by index: whether they have
            packets at all.
    """

    conversions: dict[int, _Conversion | None] = field(default_factory=dict)
    paused: set[int] = field(default_factory=set)
    unknown: dict[int, bool] = field(default_factory=dict)


def _try_streams(
    info: FileInfo,
    source: InputContainer,
    indices: set[int],
    container: Container,
) -> _Trials:
    unknown = {index for index in indices if is_unknown(source.streams[index])}
    known = indices - unknown
    packets = first_packets(source, known)
    refused = set()
    taken_audio = set()
    for index in known:
        stream = source.streams[index]
        if not takes_stream(stream, packets[index], container):
            refused.add(index)
        elif stream.type == "audio":
            taken_audio.add(index)
    paused: set[int] = set()
    if not container.keeps_timestamps:
        paused = tracks_with_pauses(info, taken_audio)
    conversions = {
        index: _conversion(source.streams[index], container)
        for index in refused | paused
    }
    with_packets = streams_with_packets(info, unknown)
    return _Trials(
        conversions,
        paused,
        {index: index in with_packets for index in unknown},
    )


def _conversion(stream: Stream, container: Container) -> _Conversion | None:
    """What a stream can be converted to; None where it cannot."""
    if stream.type == "audio":
        settings = audio_settings_for(stream, container)
        if settings is None:
            return None
        return _Conversion(settings.codec, settings.channels)
    if container.text_codec is None or codec_name(stream) not in TEXT_CODECS:
        return None
    return _Conversion(container.text_codec)


def audio_settings_for(stream: Stream, container: Container) -> AudioSettings | None:
    """How a refused audio track is encoded for a container; None where it cannot be."""
    if not can_decode(stream):
        return None
    for codec in container.audio_codecs:
        settings = choose_audio_settings(stream, codec)
        if settings is not None:
            return settings
    return None


@dataclass(frozen=True, slots=True)
class _Planner:
    """Plans streams one by one, once the trials are made."""

    info: FileInfo
    target: Path | str
    audio: Literal["copy", "none"]
    trials: _Trials

    @property
    def container(self) -> Container:
        """The container that the target names."""
        return container_of(self.target)

    def plan(self, stream: StreamInfo) -> StreamPlan:
        name = self.container.name
        if self.info.video is not None and stream.index == self.info.video.index:
            return StreamPlan(stream, "upscale", "the picture")
        if stream.kind == "audio" and self.audio == "none":
            return StreamPlan(stream, "drop", "--audio none")
        if not self.container.holds_streams:
            return _loss(stream, f"{name} holds nothing but the picture")
        if stream.is_encrypted:
            return _loss(stream, "it is encrypted (copy protection)")
        if stream.is_cover or stream.kind == "attachment":
            return self._plan_attachment(stream)
        if stream.kind not in _KIND_WORDS:
            return self._plan_other(stream)
        if stream.index in self.trials.unknown:
            return self._plan_unknown(stream)
        if stream.index not in self.trials.conversions:
            return StreamPlan(stream, "copy", "copied as it is")
        return self._plan_refused(stream)

    def _plan_unknown(self, stream: StreamInfo) -> StreamPlan:
        """What happens to a stream of which FFmpeg knows no more than the codec."""
        if self.trials.unknown[stream.index]:
            reason = "its packets do not say what they hold: encrypted or damaged"
            return _loss(stream, reason)
        if self.info.path.stat().st_size <= MAX_ANALYSED_BYTES:
            return StreamPlan(stream, "drop", "it has no packets")
        megabytes = MAX_ANALYSED_BYTES >> 20
        return _loss(
            stream,
            f"it has no packets in the first {megabytes} MB: to keep what comes later, "
            "cut what comes before with `ffmpeg -ss`",
        )

    def _plan_attachment(self, stream: StreamInfo) -> StreamPlan:
        what = "cover picture" if stream.is_cover else "attached file"
        if self._holds_attachment(self.container, stream):
            return StreamPlan(stream, "attach", f"{what}, byte for byte")
        article = "a" if stream.is_cover else "an"
        has_place = stream.is_cover and self.container.covers is not None
        beside = " beside Apple's tags" if has_place else ""
        advice = way_out(
            self.target,
            lambda container: self._holds_attachment(container, stream),
            "to keep it",
        )
        return _loss(
            stream,
            f"{self.container.name} has no place for {article} {what}{beside}{advice}",
        )

    def _holds_attachment(self, container: Container, stream: StreamInfo) -> bool:
        if not stream.is_cover:
            return container.holds_attachments
        if container.covers == "stream":
            # its muxer writes a cover among the tags, but not where they are stored by name
            return not are_apple_tags(container, self.info.metadata)
        return container.covers is not None

    def _plan_other(self, stream: StreamInfo) -> StreamPlan:
        if stream.kind == "video":
            return _loss(stream, "only one video stream is upscaled")
        if self._holds_chapters(stream) and self.container.keeps_chapters:
            reason = "it holds the chapters, which are carried as such"
            return StreamPlan(stream, "drop", reason)
        if stream.detail == "timecode" and self.container.keeps_timecode:
            reason = "the timecode is carried as the picture's"
            return StreamPlan(stream, "drop", reason)
        return _loss(stream, f"{stream.kind} streams are not carried")

    def _holds_chapters(self, stream: StreamInfo) -> bool:
        """Whether it is the track in which mov stores the chapters again."""
        is_from_mov = QUICKTIME_DEMUXER in self.info.container
        has_chapters = bool(self.info.chapters)
        return stream.detail == "bin_data" and is_from_mov and has_chapters

    def _plan_refused(self, stream: StreamInfo) -> StreamPlan:
        conversion = self.trials.conversions[stream.index]
        reason = self._refusal(stream)
        if conversion is None:
            advice = way_out(self.target, partial(_takes, stream), "to keep it")
            return _loss(stream, f"{reason}{advice}")
        loses = True
        if stream.kind == "subtitle":
            loses = stream.codec in ("ass", "ssa")
            if loses:
                reason += ", its styles are lost"
        elif stream.index in self.trials.paused:
            reason = f"{self.container.name} has no place for pauses between packets of sound"
        better = better_name(self.target, partial(_takes, stream))
        if loses and better is not None:
            reason += f"; {better} would copy it"
        return StreamPlan(
            stream,
            "convert",
            reason,
            conversion.codec,
            conversion.channels,
            loses=loses,
        )

    def _refusal(self, stream: StreamInfo) -> str:
        """Why the container does not take a stream."""
        if not stream.codec:
            return "FFmpeg has no decoder for it, so its packets cannot be carried"
        kind = _KIND_WORDS[stream.kind]
        reason = f"{self.container.name} does not take {stream.codec} {kind}"
        why = self.container.avoided_codecs.get(stream.codec)
        return reason if why is None else f"{reason} ({why})"


def _takes(stream: StreamInfo, container: Container) -> bool:
    """Whether a container's table has a stream's codec."""
    return container.keeps_timestamps and container.takes(stream.codec) is True


def _loss(stream: StreamInfo, reason: str) -> StreamPlan:
    return StreamPlan(
        stream,
        "drop",
        reason,
        loses=True,
    )
