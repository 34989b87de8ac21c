"""A source with everything in it, and outputs that are taken apart and put together again with one thing broken."""

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
from clips import texture

RATE = 25
SIZE = (96, 64)
FRAMES = 30
HDR10 = "log-level=none:hdr10=1:repeat-headers=1:master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50):max-cll=1000,400"
_MATRIX_270 = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)


def rich_source(path: Path, *, hdr: bool = False, subtitles: bool = True) -> Path:
    """1.2 s of 96x64 at 25 frames a second, BT.601 colours, wide pixels, turned, two audio tracks, a subtitle, chapters and tags."""
    with av.open(str(path), "w") as out:
        kind = "yuv420p10le" if hdr else "yuv420p"
        options = (
            {"x265-params": HDR10, "crf": "4", "preset": "ultrafast"}
            if hdr
            else {"crf": "4", "preset": "ultrafast"}
        )
        video: Any = out.add_stream(
            "libx265" if hdr else "libx264", rate=RATE, options=options
        )
        video.width, video.height, video.pix_fmt = *SIZE, kind
        context = video.codec_context
        context.sample_aspect_ratio, context.time_base = (
            Fraction(4, 3),
            Fraction(1, RATE),
        )
        (
            context.color_range,
            context.colorspace,
            context.color_primaries,
            context.color_trc,
        ) = (1, 9, 9, 16) if hdr else (1, 6, 6, 6)
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
        out.set_chapters([
            {"id": n + 1, "start": a, "end": b, "time_base": Fraction(1, 1000), "metadata": {"title": f"Chapter {n}"}}
            for n, (a, b) in enumerate([(0, 500), (500, 1200)])
        ])  # fmt: skip
        for number in range(FRAMES):
            picture = av.VideoFrame.from_ndarray(
                content(number), format="rgb24"
            ).reformat(format=kind)
            picture.pts, picture.time_base = number, Fraction(1, RATE)
            out.mux(video.encode(picture))
            if lines is not None and number % 10 == 0:
                packet: Any = av.Packet(f"line {number}".encode())
                packet.stream, packet.time_base = lines, Fraction(1, 1000)
                packet.pts = packet.dts = number * 40
                packet.duration = 300
                out.mux(packet)
        for number, track in enumerate(tracks):
            _sound(out, track, number)
        out.mux(video.encode(None))
    return path


def content(number: int) -> Any:
    """Picture ``number``: waves, noise that moves along, and colours that turn; shape (64, 96, 3), uint8."""
    waves = texture(3 * number, SIZE).astype(np.float32)
    noise = (
        np.random.default_rng(5)
        .normal(0, 25, (SIZE[1] // 4, 200 + SIZE[0] // 4))
        .astype(np.float32)
    )
    grain = np.kron(
        noise[:, number : number + SIZE[0] // 4], np.ones((4, 4), np.float32)
    )
    tint = 30 * np.sin(number / 8 + np.arange(3) * 2)
    return np.clip((waves + grain)[..., None] + tint, 0, 255).astype(np.uint8)


def _sound(out: Any, track: Any, seed: int) -> None:
    context = track.codec_context
    context.open(strict=False)
    random = np.random.default_rng(seed)
    for number in range(FRAMES * 48000 // RATE // context.frame_size):
        frame = av.AudioFrame(
            format=context.format.name, layout="mono", samples=context.frame_size
        )
        frame.planes[0].update(
            random.normal(0, 0.1, context.frame_size).astype(np.float32).tobytes()
        )
        frame.sample_rate, frame.pts, frame.time_base = (
            48000,
            number * context.frame_size,
            Fraction(1, 48000),
        )
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
    """One packet of another stream: number of the stream among its kind, payload, and times in milliseconds."""

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
    """Take a Matroska file apart, let ``damage`` change its parts, and put it together again, its video encoded anew, close to lossless."""
    with av.open(str(source)) as file:
        parts, templates = _take_apart(file)
        damage(parts)
        _put_together(target, parts, templates)
    return target


def _take_apart(file: Any) -> tuple[Parts, dict[tuple[str, int], Any]]:
    names: dict[int, tuple[str, int]] = {}
    for stream in file.streams:
        names[stream.index] = (
            stream.type,
            sum(kind == stream.type for kind, _ in names.values()),
        )
    video = file.streams.video[0]
    context = video.codec_context
    is_hdr = context.name == "hevc"
    parts = Parts(
        pictures=[], packets=[], chapters=file.chapters(), tags={key: value for key, value in file.metadata.items() if key != "ENCODER"},
        stream_tags={names[s.index]: {key: value for key, value in s.metadata.items() if key != "DURATION"} for s in file.streams},
        flags={names[s.index]: int(s.disposition) for s in file.streams},
        pix_fmt=context.pix_fmt, codec="libx265" if is_hdr else "libx264", aspect=video.sample_aspect_ratio,
        colours=[int(context.color_range), int(context.colorspace), int(context.color_primaries), int(context.color_trc)],
        options={"x265-params": HDR10, "crf": "1", "preset": "ultrafast"} if is_hdr else {"crf": "1", "preset": "ultrafast"},
    )  # fmt: skip
    for packet in file.demux():
        if packet.stream.type == "video":
            parts.pictures += [_shown(picture) for picture in packet.decode()]
        elif packet.size:
            kind, track = names[packet.stream.index]
            parts.packets.append(
                Other(kind, track, bytes(packet), packet.pts, packet.duration)
            )
    return parts, {names[s.index]: s for s in file.streams}


def _shown(picture: Any) -> Shown:
    planes = []
    for number, plane in enumerate(picture.planes):
        dtype = np.uint16 if picture.format.components[0].bits > 8 else np.uint8
        wide, high = (
            (picture.width, picture.height)
            if number == 0
            else (-(-picture.width // 2), -(-picture.height // 2))
        )
        planes.append(
            np.ndarray(
                (high, wide),
                dtype,
                memoryview(plane),
                strides=(plane.line_size, np.dtype(dtype).itemsize),
            ).copy()
        )
    return Shown(planes, picture.pts, picture.duration)


def _put_together(
    target: Path, parts: Parts, templates: dict[tuple[str, int], Any]
) -> None:
    with av.open(str(target), "w", format="matroska") as out:
        video: Any = out.add_stream(parts.codec, rate=RATE, options=parts.options)
        height, width = parts.pictures[0].planes[0].shape
        video.width, video.height, video.pix_fmt = width, height, parts.pix_fmt
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
            picture.pts, picture.duration, picture.time_base = (
                shown.time,
                shown.duration,
                Fraction(1, 1000),
            )
            out.mux(video.encode(picture))
        out.mux(video.encode(None))
        for other in parts.packets:
            if (other.kind, other.track) in made:
                packet: Any = av.Packet(other.payload)
                packet.stream, packet.time_base = (
                    made[other.kind, other.track],
                    Fraction(1, 1000),
                )
                packet.pts = packet.dts = other.pts
                packet.duration = other.duration
                out.mux(packet)
