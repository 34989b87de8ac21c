"""Recordings with sound, whose clocks begin anywhere, written one after the other into one file."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from clips import texture

RATE = 25
SOUND_RATE = 48_000
SIZE = (64, 48)


def write_recording(
    path: Path,
    *,
    begin: float = 0,
    seconds: float = 1,
    sound_seconds: float | None = None,
    sound_begin: float | None = None,
    video_times: list[float] | None = None,
    codecs: tuple[str, str] = ("mpeg2video", "mp2"),
    options: dict[str, str] | None = None,
    b_frames: int = 0,
) -> Path:
    """Write pictures and sound.

    Args:
        path: its ending names the container.
        begin: time of the first picture and sound.
        seconds: length of the pictures.
        sound_seconds: length of the sound, if it is another; 0: there is none.
        sound_begin: time of the first sound, if it is another.
        video_times: of the pictures, instead of even ones.
        codecs: of pictures and sound.
        options: of the muxer.
        b_frames: reordered pictures between others.
    """
    sound_seconds = seconds if sound_seconds is None else sound_seconds
    sound_begin = begin if sound_begin is None else sound_begin
    times = video_times or [n / RATE for n in range(round(seconds * RATE))]
    with av.open(str(path), "w", options=options or {}) as out:
        video: Any = out.add_stream(codecs[0], rate=RATE)
        video.width, video.height = SIZE
        video.pix_fmt = "yuv420p"
        video.codec_context.gop_size = 5
        video.codec_context.max_b_frames = b_frames
        unit = Fraction(1, 1000)
        video.codec_context.time_base = unit if video_times else Fraction(1, RATE)
        sound: Any = None
        if sound_seconds:
            sound = out.add_stream(codecs[1], rate=SOUND_RATE)
            sound.layout = "mono"
        packets = _moved(encode_pictures(video, times), begin)
        if sound is not None:
            packets += _moved(_tones(sound, sound_seconds), sound_begin)
        for packet in sorted(packets, key=_decoding_seconds):
            out.mux(packet)
    return path


def encode_pictures(stream: Any, times: list[float]) -> Iterator[Any]:
    """Packets of a moving pattern shown at these times, seconds."""
    unit = stream.codec_context.time_base
    for number, time in enumerate(times):
        luma = np.ascontiguousarray(texture(number, SIZE))
        picture = av.VideoFrame.from_ndarray(luma, format="gray")
        picture = picture.reformat(format="yuv420p")
        picture.pts = round(Fraction(time).limit_denominator(1000) / unit)
        picture.time_base = unit
        yield from stream.encode(picture)
    yield from stream.encode(None)


def _moved(packets: Iterator[Any], seconds: float) -> list[Any]:
    """Packets that begin later; encoders do not take all times."""
    moved = []
    for packet in packets:
        ticks = round(seconds / packet.time_base)
        packet.pts += ticks
        packet.dts += ticks
        moved.append(packet)
    return moved


def _tones(stream: Any, seconds: float) -> Iterator[Any]:
    context = stream.codec_context
    context.open(strict=False)
    size = context.frame_size or 1024
    for first in range(0, round(seconds * SOUND_RATE), size):
        tone = 8000 * np.sin(np.arange(first, first + size) / 17)
        samples = tone.astype(np.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = SOUND_RATE
        frame.pts = first
        frame.time_base = Fraction(1, SOUND_RATE)
        resampled = av.AudioResampler(context.format.name, "mono", SOUND_RATE)
        for converted in resampled.resample(frame):
            converted.pts = frame.pts
            converted.time_base = frame.time_base
            yield from stream.encode(converted)
    yield from stream.encode(None)


def _decoding_seconds(packet: Any) -> Fraction:
    ticks = packet.pts if packet.dts is None else packet.dts
    return Fraction(ticks * packet.time_base)


def join(path: Path, parts: list[Path]) -> Path:
    """Write files one after the other into one, as `cat` does."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path
