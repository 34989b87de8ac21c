"""Writes the demonstration clip of ``picture/demo_clip.py`` as H.264 and AAC."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from numpy.typing import NDArray

from vsrcli.containers.table import container_of
from vsrcli.encode.atomic_file import AtomicFile, remove_abandoned
from vsrcli.errors import OptionError, OutputError
from vsrcli.paths import output_name
from vsrcli.picture.demo_clip import cut_index, demo_frames, demo_tone, frame_count
from vsrcli.picture.drawing import Rgb

if TYPE_CHECKING:
    from av.container import OutputContainer

_SUFFIXES = (".mp4", ".mov", ".mkv")
_SAMPLE_RATE = 48_000


def write_demo(
    path: Path,
    *,
    seconds: float = 3.0,
    size: tuple[int, int] = (256, 144),
    rate: int | Fraction = 30,
    overwrite: bool = False,
) -> Fraction:
    """Write the demonstration clip: two scenes, a cut between them, and a tone that changes there.

    H.264 (crf 12), yuv420p, tagged BT.709 limited range, and AAC. The file gets its name only when
    it is complete.

    Args:
        path: target, ``.mp4``, ``.mov`` or ``.mkv``.
        seconds: length, at least two frames.
        size: (width, height), even, from 32x32.
        rate: frames a second.
        overwrite: replace an existing file.

    Returns:
        Time of the first frame of the second scene, seconds.

    Raises:
        OptionError: size, length or rate make no sense.
        OutputError: the file exists, its ending is another one, or it cannot be written.
    """
    width, height = size
    if min(size) < 32 or width % 2 or height % 2:
        raise OptionError(
            f"demo of {width}x{height} pixels: give even sides from 32 on"
        )
    if not (0 < seconds <= 600 and 0 < rate <= 240):
        raise OptionError(
            f"demo of {seconds:g} s at {float(rate):g} frames/s: "
            "give at most 600 s and 240 frames/s, both above 0"
        )
    rate = Fraction(rate)
    count = frame_count(seconds, float(rate))
    cut = cut_index(count) / rate
    pictures = demo_frames(seconds, size, float(rate))
    tone = demo_tone(float(count / rate), float(cut), _SAMPLE_RATE)
    with (
        _whole_file(path, overwrite) as partial,
        av.open(str(partial), "w", format=container_of(path).muxer) as container,
    ):
        _encode(container, pictures, tone, size, rate)
    return cut


@contextmanager
def _whole_file(path: Path, overwrite: bool) -> Iterator[Path]:
    """A temporary file beside ``path``: renamed when the block ends well, else removed."""
    output_name(path)
    if path.suffix.lower() not in _SUFFIXES:
        raise OutputError(
            f"{path}: the demo is written as {', '.join(_SUFFIXES)}: choose such an ending"
        )
    try:
        if path.is_dir():
            raise OutputError(
                f"{path} is a folder: give a file name such as {path / 'demo.mp4'}"
            )
        remove_abandoned(path)
        if path.exists() and not overwrite:
            raise OutputError(
                f"{path} exists: choose another name, or -y to replace it"
            )
        if not path.parent.is_dir():
            raise OutputError(
                f"{path}: the folder {path.parent} does not exist: make it first"
            )
        file = AtomicFile(path, overwrite=overwrite)
        try:
            yield file.part
            file.commit()
        finally:
            file.discard()
    except OSError as error:  # FFmpeg's errors with an errno are OSErrors too
        raise OutputError(
            f"{path} cannot be written: {error.strerror or error}: "
            "check the folder's permissions and free space"
        ) from error
    except av.FFmpegError as error:
        raise OutputError(
            f"{path} cannot be encoded: {error}: "
            "this PyAV may lack libx264 or AAC; reinstall the package av"
        ) from error


def _encode(
    container: OutputContainer,
    pictures: Iterator[Rgb],
    tone: NDArray[np.float32],
    size: tuple[int, int],
    rate: Fraction,
) -> None:
    """Write pictures and sound, a second of each in turn so that the file is interleaved."""
    video = container.add_stream(
        "libx264", rate=rate, options={"crf": "12", "preset": "veryfast"}
    )
    video.width, video.height = size
    video.pix_fmt = "yuv420p"
    video.codec_context.time_base = 1 / rate
    video.codec_context.color_range = ColorRange.MPEG
    video.codec_context.colorspace = Colorspace.ITU709
    video.codec_context.color_primaries = ColorPrimaries.BT709
    video.codec_context.color_trc = ColorTrc.BT709
    audio = container.add_stream("aac", rate=_SAMPLE_RATE, layout="mono")
    sent = 0
    for index, picture in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )
        frame.pts = index
        frame.time_base = 1 / rate
        container.mux(video.encode(frame))
        due = round((index + 1) * _SAMPLE_RATE / rate)
        chunk = av.AudioFrame.from_ndarray(
            tone[None, sent:due], format="fltp", layout="mono"
        )
        chunk.sample_rate = _SAMPLE_RATE
        chunk.pts = sent
        chunk.time_base = Fraction(1, _SAMPLE_RATE)
        container.mux(audio.encode(chunk))
        sent = due
    container.mux(video.encode(None))
    container.mux(audio.encode(None))
