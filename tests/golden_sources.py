"""Sources of the commands in `golden.py`: small, and the same on every machine.

Nothing here may change, nor may it use what other tests use: the recordings depend on it.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

WIDTH = 64
HEIGHT = 48
FRAMES = 24
CUT = 12
FROZEN = range(4, 11)
DEEP_FRAMES = 12
# Which frame of the doubled video shows something else.
WRONG_FRAME = 9

AUDIO_RATE = 8000
STILL_WIDTH = 40
STILL_HEIGHT = 32

# The planes of a 4:2:0 frame.
Planes = list[Any]

_FRAME_TIME = Fraction(1, 25)
_MILLISECOND = Fraction(1, 1000)
_SUBTITLE_HEADER = b"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


def write_sources(folder: Path) -> None:
    """Write all sources into a new folder.

    `clip.mp4` has sound, subtitles, chapters, a cut, frozen frames, and pixels that are not square;
    `deep.mkv` has 10 bits, colour tags, a rotation and irregular times; `doubled.mkv` is the clip
    at twice the size with one wrong frame and no sound; `frames/` holds PNG pictures.
    """
    folder.mkdir()
    pictures = [_picture(number) for number in range(FRAMES)]
    _write_clip(folder / "clip.mp4", pictures)
    _write_deep(folder / "deep.mkv", pictures[:DEEP_FRAMES])
    _write_doubled(folder / "doubled.mkv", pictures)
    _write_frames(folder / "frames")


def _picture(number: int) -> Planes:
    """The planes of a frame, uint8: a texture that changes and a square that moves.

    It is computed with integers only, and curved everywhere: on a straight ramp interpolation gives
    values halfway between two codes, which processors round differently.
    """
    if number in FROZEN:
        number = FROZEN[0]
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    texture = _quadratic(rows, columns, (3, 5, 7)) // 16
    luma = 40 + (texture + 5 * number) % 140
    if number >= CUT:
        luma = 235 - luma
    top = 8 + number
    left = 4 + 2 * number % 40
    luma[top : top + 9, left : left + 12] = 210

    rows, columns = np.mgrid[:HEIGHT:2, :WIDTH:2]
    texture = _quadratic(rows, columns, (11, 13, 3)) // 32
    blue = 100 + (texture + 2 * number) % 50
    red = 150 - (texture * 3 // 2 + number) % 40
    return [
        luma.astype(np.uint8),
        blue.astype(np.uint8),
        red.astype(np.uint8),
    ]


def _quadratic(rows: Any, columns: Any, factors: tuple[int, int, int]) -> Any:
    """A quadratic form of the coordinates."""
    down, across, mixed = factors
    result = down * rows * rows
    result += across * columns * columns
    result += mixed * rows * columns
    return result


def _as_frame(planes: Planes, pixel_format: str) -> av.VideoFrame:
    height, width = planes[0].shape
    rows = height * 3 // 2
    samples = np.concatenate([plane.ravel() for plane in planes])
    array = samples.reshape(rows, width)
    return av.VideoFrame.from_ndarray(array, format=pixel_format)


def _add_video(
    container: Any,
    codec: str,
    *,
    scale: int = 1,
    pixel_format: str = "yuv420p",
    time_base: Fraction = _FRAME_TIME,
    options: dict[str, str] | None = None,
) -> Any:
    stream = container.add_stream(
        codec,
        rate=25,
        options=options or {},
    )
    stream.width = scale * WIDTH
    stream.height = scale * HEIGHT
    stream.pix_fmt = pixel_format
    stream.time_base = time_base
    stream.codec_context.time_base = time_base
    stream.codec_context.thread_count = 1
    return stream


def _encode(container: Any, stream: Any, planes: Planes, time: int) -> None:
    """Encode a frame; ``time`` is in units of the stream's time base."""
    frame = _as_frame(planes, stream.pix_fmt)
    frame.pts = time
    frame.time_base = stream.codec_context.time_base
    container.mux(stream.encode(frame))


def _write_clip(path: Path, pictures: list[Planes]) -> None:
    with av.open(str(path), "w") as container:
        video = _add_lossless_h264(container)
        audio = _add_audio(container)
        text: Any = container.add_stream("mov_text")
        text.codec_context.subtitle_header = _SUBTITLE_HEADER
        text.metadata["language"] = "eng"
        container.metadata["title"] = "A golden clip"
        container.metadata["artist"] = "Someone"
        container.set_chapters(
            [
                _chapter(0, "Texture"),
                _chapter(1, "Inverted texture"),
            ]
        )
        for number, planes in enumerate(pictures):
            _encode(container, video, planes, number)
        container.mux(video.encode(None))
        container.mux(audio.encode(_sound()))
        container.mux(audio.encode(None))
        _mux_text(container, text, 120, b"First line")
        _mux_text(container, text, 560, b"Second line")


def _add_lossless_h264(container: Any) -> Any:
    options = {
        "qp": "0",
        "preset": "ultrafast",
        "g": "8",
    }
    video = _add_video(container, "libx264", options=options)
    context = video.codec_context
    context.sample_aspect_ratio = Fraction(4, 3)
    context.color_range = 1  # limited
    context.color_primaries = 6  # BT.601, 525 lines
    context.color_trc = 6  # the same
    context.colorspace = 6  # the same
    return video


def _add_audio(container: Any) -> Any:
    """A FLAC track; without linear prediction its encoder computes with integers only."""
    audio = container.add_stream(
        "flac",
        rate=AUDIO_RATE,
        options={"lpc_type": "fixed"},
    )
    audio.layout = "mono"
    audio.format = "s16"
    audio.metadata["language"] = "fre"
    return audio


def _sound() -> av.AudioFrame:
    """As long as the clip: two sawtooths."""
    samples = np.arange(AUDIO_RATE * FRAMES // 25)
    fast = samples * 97 % 4001
    slow = samples * 5 % 2003
    wave = (fast + slow - 3000).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(
        wave.reshape(1, -1),
        format="s16",
        layout="mono",
    )
    frame.sample_rate = AUDIO_RATE
    frame.pts = 0
    frame.time_base = Fraction(1, AUDIO_RATE)
    return frame


def _mux_text(container: Any, stream: Any, begin: int, words: bytes) -> None:
    """Write a line of subtitles that begins at a time in milliseconds."""
    length = len(words).to_bytes(2, "big")
    packet: Any = av.Packet(length + words)
    packet.stream = stream
    packet.time_base = _MILLISECOND
    packet.pts = begin
    packet.dts = begin
    packet.duration = 320
    container.mux(packet)


def _chapter(number: int, title: str) -> Any:
    """One half of the clip."""
    return {
        "id": number + 1,
        "start": 480 * number,
        "end": 480 * (number + 1),
        "time_base": _MILLISECOND,
        "metadata": {"title": title},
    }


def _write_deep(path: Path, pictures: list[Planes]) -> None:
    with av.open(str(path), "w") as container:
        video = _add_video(
            container,
            "ffv1",
            pixel_format="yuv420p10le",
            time_base=_MILLISECOND,
        )
        video.set_display_rotation(90)
        context = video.codec_context
        context.color_range = 1  # limited
        context.color_primaries = 9  # BT.2020
        context.color_trc = 14  # BT.2020, 10 bits
        context.colorspace = 9  # BT.2020, non-constant luminance
        for number, planes in enumerate(pictures):
            phase = number % 4
            codes = [4 * plane.astype(np.uint16) + phase for plane in planes]
            jitter = 7 * (number % 3)
            _encode(container, video, codes, 40 * number + jitter)
        container.mux(video.encode(None))


def _write_doubled(path: Path, pictures: list[Planes]) -> None:
    with av.open(str(path), "w") as container:
        video = _add_video(container, "ffv1", scale=2)
        for number, planes in enumerate(pictures):
            doubled = [_double(plane) for plane in planes]
            if number == WRONG_FRAME:
                doubled[0] = 255 - doubled[0]
            _encode(container, video, doubled, number)
        container.mux(video.encode(None))


def _double(plane: Any) -> Any:
    wide = plane.repeat(2, axis=1)
    return wide.repeat(2, axis=0)


def _write_frames(folder: Path) -> None:
    """RGB pictures."""
    folder.mkdir()
    rows, columns = np.mgrid[:STILL_HEIGHT, :STILL_WIDTH]
    red_texture = _quadratic(rows, columns, (1, 0, 3)) // 5
    green_texture = _quadratic(rows, columns, (5, 1, 0)) // 7
    blue_texture = _quadratic(rows, columns, (0, 5, 1)) // 9
    for number in range(DEEP_FRAMES):
        red = 30 + (red_texture + 4 * number) % 190
        green = 40 + (green_texture + 2 * number) % 170
        blue = 200 - (blue_texture + number) % 180
        picture = np.dstack([blue, green, red])
        name = folder / f"frame{number + 1:06d}.png"
        is_written = cv2.imwrite(str(name), picture.astype(np.uint8))
        if not is_written:
            raise OSError(f"{name}: cannot be written")
