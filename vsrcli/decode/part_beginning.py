"""The first pictures of a part of a file, and the decoder that has just given them."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from vsrcli.decode.input_file import find_video, open_input
from vsrcli.decode.picture_decoder import PictureDecoder
from vsrcli.decode.source_clock import continuous_packets_of

_FRAMES = 2
# A seek goes this far back; None: decoding begins with the file.
_RUN_UPS_SECONDS = (1, 10, None)


@dataclass(slots=True)
class PartBeginning:
    """What a part of a file begins with.

    Attributes:
        frames: the first ones of it that can be decoded, two at least unless there are fewer.
        context: their decoder, which knows their shape and colours.
    """

    frames: list[av.VideoFrame] = field(default_factory=list)
    context: Any = None


def read_part_beginning(
    path: Path,
    begin: Fraction,
    *,
    can_seek: bool,
) -> PartBeginning | None:
    """Decode the beginning of a part, in one thread: the decoder is not ahead of its pictures.

    Args:
        path: the file.
        begin: of the part, seconds on the file's own clock.
        can_seek: whether a time can be looked for.

    Returns:
        None if there is no picture from there on.

    Raises:
        InputError: the file cannot be opened any more.
    """
    for run_up in _RUN_UPS_SECONDS:
        if run_up is not None and not can_seek:
            continue
        landing = None if run_up is None else begin - run_up
        with contextlib.suppress(av.FFmpegError):
            part = _decode_from(path, landing, begin)
            if part is not None:
                return part if part.frames else None
    return None


def _decode_from(
    path: Path,
    landing: Fraction | None,
    begin: Fraction,
) -> PartBeginning | None:
    """Decode up to the first pictures of the part; None if a seek has landed behind its begin."""
    part = PartBeginning()
    has_come_before = landing is None
    with open_input(path) as container:
        stream = find_video(container, path)
        unit = stream.time_base or Fraction(1)
        if landing is not None:
            container.seek(int(landing / unit), stream=stream)
        decoder = PictureDecoder(
            path,
            stream,
            in_threads=False,
            on_packet=lambda: None,
            on_error=lambda packet, error: None,
        )
        part.context = decoder.context
        for packet in continuous_packets_of(container, stream):
            for picture in decoder.decode(packet):
                if picture.pts is None:
                    continue
                if picture.pts * unit < begin:
                    has_come_before = True
                elif has_come_before:
                    part.frames.append(picture)
                else:
                    return None
            if len(part.frames) >= _FRAMES:
                break
    return part if has_come_before else None
