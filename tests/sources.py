"""Source files with several streams, and what plain PyAV reads from a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from clips import chapter

from vsrcli.encode.output import OutputVideo
from vsrcli.frame import ColorTags, Frame, PixelFormat, StreamInfo, VideoInfo

YUV420 = PixelFormat("yuv420p", 8, 1, 1, has_chroma=True)
AUDIO_RATE = 48000


def make_source(
    path: Path,
    *,
    muxer: str,
    audio: tuple[str, ...] = ("aac",),
    seconds: float = 1.0,
    subtitles: bool = False,
    chapters: bool = True,
) -> VideoInfo:
    """Write 64x48 video at 25 frames a second with audio tracks, and describe it.

    The tracks are French, then English.
    """
    with av.open(str(path), "w", format=muxer) as out:
        video = out.add_stream("mpeg4", rate=25)
        video.width = 64
        video.height = 48
        video.pix_fmt = "yuv420p"
        video.time_base = Fraction(1, 25)
        tracks: list[Any] = []
        for number, codec in enumerate(audio):
            track: Any = out.add_stream(codec, rate=AUDIO_RATE)
            track.layout = "mono"
            track.metadata["language"] = ("fre", "eng")[number % 2]
            track.metadata["title"] = f"Track {number}"
            tracks.append(track)
        text: Any = out.add_mux_stream("subrip") if subtitles else None
        out.metadata.update({"title": "A title", "artist": "Someone"})
        if chapters:
            half = round(500 * seconds)
            out.set_chapters([chapter(0, 0, half), chapter(1, half, 2 * half)])
        frames = round(25 * seconds)
        noises = [_Noise(track) for track in tracks]
        for number in range(frames):
            picture = av.VideoFrame(64, 48, "yuv420p")
            for plane in picture.planes:
                plane.update(bytes([40 + 3 * number % 180]) * plane.buffer_size)
            picture.pts = number
            picture.time_base = Fraction(1, 25)
            out.mux(video.encode(picture))
            for noise in noises:
                out.mux(noise.packets(Fraction(number + 1, 25)))
            if text is not None and number % 5 == 0:
                packet: Any = av.Packet(f"line {number}".encode())
                packet.stream = text
                packet.time_base = Fraction(1, 1000)
                packet.pts = packet.dts = number * 40
                packet.duration = 160
                out.mux(packet)
        out.mux(video.encode(None))
        for track in tracks:
            out.mux(track.encode(None))
    return describe(path)


class _Noise:
    """Noise for one track, encoded as far as the video has come."""

    def __init__(self, track: Any) -> None:
        self.track = track
        self.done = 0
        self.random = np.random.default_rng(track.index)

    def packets(self, seconds: Fraction) -> list[Any]:
        context = self.track.codec_context
        context.open(strict=False)
        size = context.frame_size or 1024
        kind = context.format.name
        packets: list[Any] = []
        while self.done < seconds * AUDIO_RATE:
            noise = self.random.normal(0, 0.05, size)
            samples = _samples_of(noise, kind)
            frame = av.AudioFrame(format=kind, layout="mono", samples=size)
            frame.planes[0].update(samples.tobytes())
            frame.sample_rate = AUDIO_RATE
            frame.pts = self.done
            frame.time_base = Fraction(1, AUDIO_RATE)
            packets += self.track.encode(frame)
            self.done += size
        return packets


def _samples_of(noise: Any, kind: str) -> Any:
    """Values of -1..1 as samples of an FFmpeg format: float, or integers of 16 or 32 bits."""
    if kind.startswith("flt"):
        return noise.astype(np.float32)
    dtype: Any = np.int32 if kind.startswith("s32") else np.int16
    return (noise * np.iinfo(dtype).max).astype(dtype)


def describe(path: Path) -> VideoInfo:
    """What the reader would say about such a file."""
    with av.open(str(path)) as source:
        streams = tuple(
            StreamInfo(
                s.index,
                s.type,
                s.codec_context.codec.canonical_name if s.codec_context else "",
                is_cover=bool(s.disposition & av.stream.Disposition.attached_pic),
            )
            for s in source.streams
        )
        video = source.streams.video[0]
        assert video.time_base is not None
        return VideoInfo(
            path=path,
            container=source.format.name,
            video=streams[video.index],
            streams=streams,
            width=64,
            height=48,
            pixel_format="yuv420p",
            format=YUV420,
            tags=ColorTags(),
            sample_aspect=None,
            rotation=0.0,
            interlaced=False,
            rate=Fraction(25),
            time_base=video.time_base,
            start=Fraction(source.start_time or 0, 1_000_000),
            duration=None,
            metadata=dict(source.metadata),
        )


def output_video(**changes: Any) -> OutputVideo:
    """A 128x96 output at 25 frames a second, changed as told."""
    plain: dict[str, Any] = {
        "width": 128,
        "height": 96,
        "format": YUV420,
        "tags": ColorTags(),
        "sample_aspect": None,
        "rotation": 0.0,
        "time_base": Fraction(1, 25),
        "rate": Fraction(25),
    }
    return OutputVideo(**{**plain, **changes})


def picture(number: int, video: OutputVideo) -> Frame:
    """A frame of the video's size and format with a moving ramp; its mean luma tells ``number``."""
    layout = video.format
    rows, columns = np.mgrid[: video.height, : video.width]
    scale = 1 << (layout.bits - 8)
    luma = (16 + 5 * (number % 40) + (rows + columns + 3 * number) % 20) * scale
    width, height = layout.chroma_size(video.width, video.height)
    chroma: list[Any] = []
    if layout.has_chroma:
        for value in (100, 150):
            plane = np.full((height, width), value * scale, layout.dtype)
            chroma.append(plane)
    return Frame(
        (luma.astype(layout.dtype), *chroma),
        layout,
        Fraction(number, 25),
        Fraction(1, 25),
    )


@dataclass
class Packed:
    """One stream as stored in a file: times and payloads of its packets, in decoding order."""

    kind: str
    codec: str
    times: list[Fraction] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)
    durations: list[Fraction] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    disposition: int = 0


def packets_of(path: Path) -> list[Packed]:
    """Everything that plain PyAV demuxes from a file, on the file's own clock."""
    with av.open(str(path)) as file:
        found = [
            Packed(
                s.type,
                s.codec_context.codec.canonical_name if s.codec_context else "",
                metadata=dict(s.metadata),
                disposition=int(s.disposition),
            )
            for s in file.streams
        ]
        for packet in file.demux():
            if packet.size:
                assert packet.pts is not None
                assert packet.time_base is not None
                stream = found[packet.stream_index]
                stream.times.append(packet.pts * packet.time_base)
                stream.durations.append((packet.duration or 0) * packet.time_base)
                stream.payloads.append(bytes(packet))
    return found
