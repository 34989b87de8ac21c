"""A source with everything in it, and outputs taken apart and rebuilt with one thing broken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.codec.context import Flags
from av.stream import Disposition
from clips import chapter, texture

RATE = 25
SIZE = (96, 64)
FRAMES = 30
_MASTER_DISPLAY = (
    "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
)
HDR10 = (
    "log-level=none:hdr10=1:repeat-headers=1"
    f":master-display={_MASTER_DISPLAY}:max-cll=1000,400"
)
_MATRIX_270 = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)


def rich_source(path: Path, *, hdr: bool = False, subtitles: bool = True) -> Path:
    """Encode 1.2 s of 96x64 at 25 frames a second, with all that a file can carry.

    BT.601 colours, wide pixels, a rotation, two audio tracks, a subtitle, chapters and tags.
    """
    with av.open(str(path), "w") as out:
        kind = "yuv420p10le" if hdr else "yuv420p"
        codec = "libx265" if hdr else "libx264"
        options = {"crf": "4", "preset": "ultrafast"}
        if hdr:
            options["x265-params"] = HDR10
        video: Any = out.add_stream(codec, rate=RATE, options=options)
        video.width, video.height = SIZE
        video.pix_fmt = kind
        context = video.codec_context
        context.sample_aspect_ratio = Fraction(4, 3)
        context.time_base = Fraction(1, RATE)
        context.color_range = 1
        context.colorspace = 9 if hdr else 6
        context.color_primaries = 9 if hdr else 6
        context.color_trc = 16 if hdr else 6
        video.set_display_matrix(_MATRIX_270)
        video.metadata["title"] = "Pictures"
        tracks: list[Any] = []
        for language in ("fra", "eng"):
            track: Any = out.add_stream("aac", rate=48000)
            track.layout = "mono"
            track.metadata.update({"language": language, "title": f"Sound {language}"})
            tracks.append(track)
        tracks[0].disposition = Disposition.default
        lines: Any = out.add_mux_stream("subrip") if subtitles else None
        out.metadata.update({"title": "A title", "artist": "Someone"})
        out.set_chapters([chapter(0, 0, 500), chapter(1, 500, 1200)])
        for number in range(FRAMES):
            rgb = av.VideoFrame.from_ndarray(content(number), format="rgb24")
            picture = rgb.reformat(format=kind)
            picture.pts = number
            picture.time_base = Fraction(1, RATE)
            out.mux(video.encode(picture))
            if lines is not None and number % 10 == 0:
                packet: Any = av.Packet(f"line {number}".encode())
                packet.stream = lines
                packet.time_base = Fraction(1, 1000)
                packet.pts = packet.dts = number * 40
                packet.duration = 300
                out.mux(packet)
        for number, track in enumerate(tracks):
            _sound(out, track, number)
        out.mux(video.encode(None))
    return path


def content(number: int) -> Any:
    """Picture ``number``: waves, moving noise, and changing colours; (64, 96, 3), uint8."""
    width, height = SIZE
    waves = texture(3 * number, SIZE).astype(np.float32)
    random = np.random.default_rng(5)
    noise = random.normal(0, 25, (height // 4, 200 + width // 4)).astype(np.float32)
    visible = noise[:, number : number + width // 4]
    grain = np.kron(visible, np.ones((4, 4), np.float32))
    tint = 30 * np.sin(number / 8 + np.arange(3) * 2)
    return np.clip((waves + grain)[..., None] + tint, 0, 255).astype(np.uint8)


def _sound(out: Any, track: Any, seed: int) -> None:
    context = track.codec_context
    context.open(strict=False)
    random = np.random.default_rng(seed)
    size = context.frame_size
    for number in range(FRAMES * 48000 // RATE // size):
        frame = av.AudioFrame(format=context.format.name, layout="mono", samples=size)
        noise = random.normal(0, 0.1, size).astype(np.float32)
        frame.planes[0].update(noise.tobytes())
        frame.sample_rate = 48000
        frame.pts = number * size
        frame.time_base = Fraction(1, 48000)
        out.mux(track.encode(frame))
    out.mux(track.encode(None))


@dataclass
class Shown:
    """One picture of a file: its planes, and when it is shown, milliseconds."""

    planes: list[Any]
    time: int
    duration: int


@dataclass
class Other:
    """One packet of another stream: the stream's number among its kind, times in milliseconds."""

    kind: str
    track: int
    payload: bytes
    pts: int
    duration: int


@dataclass
class Parts:
    """A file taken apart; whoever breaks it changes this in place."""

    pictures: list[Shown]
    packets: list[Other]
    chapters: list[Any]
    tags: dict[str, str]
    stream_tags: dict[tuple[str, int], dict[str, str]]
    flags: dict[tuple[str, int], int]
    pix_fmt: str
    codec: str
    aspect: Fraction | None
    colours: list[int]
    matrix: tuple[int, ...] | None = _MATRIX_270
    options: dict[str, str] = field(default_factory=dict)


def rebuild(source: Path, target: Path, damage: Callable[[Parts], None]) -> Path:
    """Take a Matroska file apart, let ``damage`` change its parts, and rebuild it.

    The video is encoded again, almost without loss.
    """
    with av.open(str(source)) as file:
        parts, templates = _take_apart(file)
        damage(parts)
        _put_together(target, parts, templates)
    return target


def _take_apart(file: Any) -> tuple[Parts, dict[tuple[str, int], Any]]:
    names: dict[int, tuple[str, int]] = {}
    for stream in file.streams:
        earlier = sum(kind == stream.type for kind, _ in names.values())
        names[stream.index] = (stream.type, earlier)
    video = file.streams.video[0]
    context = video.codec_context
    is_hdr = context.name == "hevc"
    options = {"crf": "1", "preset": "ultrafast"}
    if is_hdr:
        options["x265-params"] = HDR10
    parts = Parts(
        pictures=[],
        packets=[],
        chapters=file.chapters(),
        tags=_without(file.metadata, "ENCODER"),
        stream_tags={
            names[stream.index]: _without(stream.metadata, "DURATION")
            for stream in file.streams
        },
        flags={names[stream.index]: int(stream.disposition) for stream in file.streams},
        pix_fmt=context.pix_fmt,
        codec="libx265" if is_hdr else "libx264",
        aspect=video.sample_aspect_ratio,
        colours=[
            int(context.color_range),
            int(context.colorspace),
            int(context.color_primaries),
            int(context.color_trc),
        ],
        options=options,
    )
    for packet in file.demux():
        if packet.stream.type == "video":
            parts.pictures += [_shown(picture) for picture in packet.decode()]
        elif packet.size:
            kind, track = names[packet.stream.index]
            parts.packets.append(
                Other(kind, track, bytes(packet), packet.pts, packet.duration)
            )
    return parts, {names[s.index]: s for s in file.streams}


def _without(tags: dict[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in tags.items() if key != name}


def _shown(picture: Any) -> Shown:
    is_deep = picture.format.components[0].bits > 8
    dtype = np.dtype(np.uint16 if is_deep else np.uint8)
    planes = []
    for number, plane in enumerate(picture.planes):
        width = picture.width
        height = picture.height
        if number > 0:
            width = -(-width // 2)
            height = -(-height // 2)
        view: Any = np.ndarray(
            (height, width),
            dtype,
            memoryview(plane),
            strides=(plane.line_size, dtype.itemsize),
        )
        planes.append(view.copy())
    return Shown(planes, picture.pts, picture.duration)


def _put_together(
    target: Path, parts: Parts, templates: dict[tuple[str, int], Any]
) -> None:
    with av.open(str(target), "w", format="matroska") as out:
        video: Any = out.add_stream(parts.codec, rate=RATE, options=parts.options)
        height, width = parts.pictures[0].planes[0].shape
        video.width = width
        video.height = height
        video.pix_fmt = parts.pix_fmt
        context = video.codec_context
        context.time_base = Fraction(1, 1000)
        context.flags |= Flags.frame_duration
        if parts.aspect is not None:
            context.sample_aspect_ratio = parts.aspect
        (
            context.color_range,
            context.colorspace,
            context.color_primaries,
            context.color_trc,
        ) = parts.colours
        if parts.matrix is not None:
            video.set_display_matrix(parts.matrix)
        made: dict[tuple[str, int], Any] = {("video", 0): video}
        for name, template in templates.items():
            if name in parts.stream_tags and name not in made:
                made[name] = out.add_stream_from_template(template)
        for name, stream in made.items():
            stream.metadata.update(parts.stream_tags[name])
            stream.disposition = parts.flags[name]
        out.metadata.update(parts.tags)
        if parts.chapters:
            out.set_chapters(parts.chapters)
        for shown in parts.pictures:
            picture = av.VideoFrame(width, height, parts.pix_fmt)
            for plane, values in zip(picture.planes, shown.planes, strict=True):
                view = np.ndarray(
                    values.shape,
                    values.dtype,
                    memoryview(plane),
                    strides=(plane.line_size, values.itemsize),
                )
                view[:] = values
            picture.pts = shown.time
            picture.duration = shown.duration
            picture.time_base = Fraction(1, 1000)
            out.mux(video.encode(picture))
        out.mux(video.encode(None))
        for other in parts.packets:
            if (other.kind, other.track) in made:
                packet: Any = av.Packet(other.payload)
                packet.stream = made[other.kind, other.track]
                packet.time_base = Fraction(1, 1000)
                packet.pts = packet.dts = other.pts
                packet.duration = other.duration
                out.mux(packet)
