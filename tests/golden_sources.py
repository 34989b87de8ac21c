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

SIZE = (64, 48)
PICTURE_SIZE = (40, 32)
FRAMES = 24
CUT = 12
FROZEN = range(4, 11)
DEEP_FRAMES = 12
AUDIO_RATE = 8000
# Which frame of the doubled video shows something else.
WRONG_FRAME = 9

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


def _picture(number: int) -> list[Any]:
    """The planes of a 4:2:0 frame, uint8: a texture that changes and a square that moves.

    It is computed with integers only, and curved everywhere: on a straight ramp interpolation gives
    values halfway between two codes, which processors round differently.
    """
    if number in FROZEN:
        number = FROZEN[0]
    width, height = SIZE
    rows, columns = np.mgrid[:height, :width]
    texture = (3 * rows**2 + 5 * columns**2 + 7 * rows * columns) // 16
    luma = 40 + (texture + 5 * number) % 140
    if number >= CUT:
        luma = 235 - luma
    top = 8 + number
    left = 4 + 2 * number % 40
    luma[top : top + 9, left : left + 12] = 210
    rows = rows[::2, ::2]
    columns = columns[::2, ::2]
    texture = (11 * rows**2 + 13 * columns**2 + 3 * rows * columns) // 32
    blue = 100 + (texture + 2 * number) % 50
    red = 150 - (texture * 3 // 2 + number) % 40
    return [plane.astype(np.uint8) for plane in (luma, blue, red)]


def _as_frame(planes: list[Any], pixel_format: str) -> av.VideoFrame:
    """A frame of 4:2:0 planes."""
    stacked = np.concatenate([plane.ravel() for plane in planes])
    height, width = planes[0].shape
    array = stacked.reshape(height * 3 // 2, width)
    return av.VideoFrame.from_ndarray(array, format=pixel_format)


def _add_video(
    container: Any,
    codec: str,
    size: tuple[int, int],
    pixel_format: str = "yuv420p",
    time_base: Fraction = _FRAME_TIME,
    options: dict[str, str] | None = None,
) -> Any:
    stream = container.add_stream(codec, rate=25, options=options or {})
    stream.width = size[0]
    stream.height = size[1]
    stream.pix_fmt = pixel_format
    stream.time_base = time_base
    stream.codec_context.time_base = time_base
    stream.codec_context.thread_count = 1
    return stream


def _write_clip(path: Path, pictures: list[list[Any]]) -> None:
    with av.open(str(path), "w") as container:
        lossless = {"qp": "0", "preset": "ultrafast", "g": "8"}
        video = _add_video(container, "libx264", SIZE, options=lossless)
        video.codec_context.sample_aspect_ratio = Fraction(4, 3)
        video.codec_context.color_range = 1  # limited
        video.codec_context.color_primaries = 6  # BT.601, 525 lines
        video.codec_context.color_trc = 6  # the same
        video.codec_context.colorspace = 6  # the same
        audio = _add_audio(container)
        text: Any = container.add_stream("mov_text")
        text.codec_context.subtitle_header = _SUBTITLE_HEADER
        text.metadata["language"] = "eng"
        container.metadata.update({"title": "A golden clip", "artist": "Someone"})
        container.set_chapters(
            [_chapter(1, 0, 480, "Texture"), _chapter(2, 480, 960, "Inverted texture")]
        )
        for number, planes in enumerate(pictures):
            frame = _as_frame(planes, "yuv420p")
            frame.pts = number
            frame.time_base = _FRAME_TIME
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        container.mux(audio.encode(_sound()))
        container.mux(audio.encode(None))
        for begin, words in ((120, b"First line"), (560, b"Second line")):
            packet: Any = av.Packet(len(words).to_bytes(2, "big") + words)
            packet.stream = text
            packet.time_base = _MILLISECOND
            packet.pts = begin
            packet.dts = begin
            packet.duration = 320
            container.mux(packet)


def _add_audio(container: Any) -> Any:
    """A FLAC track; without linear prediction its encoder computes with integers only."""
    audio = container.add_stream("flac", rate=AUDIO_RATE, options={"lpc_type": "fixed"})
    audio.layout = "mono"
    audio.format = "s16"
    audio.metadata["language"] = "fre"
    return audio


def _sound() -> av.AudioFrame:
    """As long as the clip: a sawtooth with a slower one on it."""
    samples = np.arange(AUDIO_RATE * FRAMES // 25)
    wave = (samples * 97) % 4001 + (samples * 5) % 2003 - 3000
    frame = av.AudioFrame.from_ndarray(
        wave.astype(np.int16)[None],
        format="s16",
        layout="mono",
    )
    frame.sample_rate = AUDIO_RATE
    frame.pts = 0
    frame.time_base = Fraction(1, AUDIO_RATE)
    return frame


def _chapter(number: int, begin: int, end: int, title: str) -> Any:
    return {
        "id": number,
        "start": begin,
        "end": end,
        "time_base": _MILLISECOND,
        "metadata": {"title": title},
    }


def _write_deep(path: Path, pictures: list[list[Any]]) -> None:
    with av.open(str(path), "w") as container:
        video = _add_video(container, "ffv1", SIZE, "yuv420p10le", _MILLISECOND)
        video.set_display_rotation(90)
        context = video.codec_context
        context.color_range = 1  # limited
        context.color_primaries = 9  # BT.2020
        context.color_trc = 14  # BT.2020, 10 bits
        context.colorspace = 9  # BT.2020, non-constant luminance
        for number, planes in enumerate(pictures):
            codes = [plane.astype(np.uint16) * 4 + number % 4 for plane in planes]
            frame = _as_frame(codes, "yuv420p10le")
            frame.pts = number * 40 + 7 * (number % 3)
            frame.time_base = _MILLISECOND
            container.mux(video.encode(frame))
        container.mux(video.encode(None))


def _write_doubled(path: Path, pictures: list[list[Any]]) -> None:
    width, height = SIZE
    with av.open(str(path), "w") as container:
        video = _add_video(container, "ffv1", (2 * width, 2 * height))
        for number, planes in enumerate(pictures):
            doubled = [plane.repeat(2, axis=0).repeat(2, axis=1) for plane in planes]
            if number == WRONG_FRAME:
                doubled[0] = 255 - doubled[0]
            frame = _as_frame(doubled, "yuv420p")
            frame.pts = number
            frame.time_base = _FRAME_TIME
            container.mux(video.encode(frame))
        container.mux(video.encode(None))


def _write_frames(folder: Path) -> None:
    """RGB pictures."""
    folder.mkdir()
    width, height = PICTURE_SIZE
    rows, columns = np.mgrid[:height, :width]
    for number in range(DEEP_FRAMES):
        red = 30 + ((rows**2 + 3 * rows * columns) // 5 + 4 * number) % 190
        green = 40 + ((columns**2 + 5 * rows**2) // 7 + 2 * number) % 170
        blue = 200 - ((5 * columns**2 + rows * columns) // 9 + number) % 180
        picture = np.stack([blue, green, red], axis=2)
        name = folder / f"frame{number + 1:06d}.png"
        if not cv2.imwrite(str(name), picture.astype(np.uint8)):
            raise OSError(f"{name}: cannot be written")
