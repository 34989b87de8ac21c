"""A source frame beside its doubled one, for a look at a run that is at work."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vsrcli.frame import ColorTags, Frame, PixelFormat, Plane
from vsrcli.picture.display import displayed
from vsrcli.picture.matrices import BT709, matrix_of

Bytes = NDArray[np.uint8]

# Of both pictures together, pixels.
MAX_WIDTH = 3840
MAX_HEIGHT = 2160
_PNG_START_BYTES = 33  # the signature, and the chunk of the header
_FASTEST = 1
# Tells such a file from a user's own: PNG keeps texts, each with a keyword.
_TEXT = b"tEXtSoftware\x00vsr: the latest frame"
_CHUNK = (
    struct.pack(">I", len(_TEXT) - 4) + _TEXT + struct.pack(">I", zlib.crc32(_TEXT))
)


def side_by_side(source: Frame, result: Frame, tags: ColorTags) -> Bytes:
    """Put a source frame, enlarged by bicubic interpolation, to the left of its result.

    Args:
        source: luma and chroma, or gray.
        result: of twice the size, in the same format.
        tags: the colours of both; a matrix that cannot be inverted is taken for BT.709.

    Returns:
        (H, W, 3) in the order R, G, B, or (H, W) for gray: as an ordinary display shows them, with
        the line of pixels between them left out, and smaller than ``result`` where they would be
        wider than ``MAX_WIDTH`` together, or higher than ``MAX_HEIGHT``.

    Raises:
        ValueError: OpenCV cannot resize such a picture.
    """
    try:
        matrix = matrix_of(tags, source.width, source.height)
    except ValueError:
        matrix = BT709
    scale = min(1.0, MAX_WIDTH / 2 / result.width, MAX_HEIGHT / result.height)
    width = max(1, round(scale * result.width))
    height = max(1, round(scale * result.height))
    pictures = [
        displayed(_fitted(frame, width, height), tags, matrix)
        for frame in (source, result)
    ]
    return np.concatenate(pictures, axis=1)


def as_png(picture: Bytes) -> bytes:
    """The content of a file that ``is_side_by_side`` knows again.

    Args:
        picture: as ``side_by_side`` gives it.
    """
    if picture.ndim == 3:
        picture = np.ascontiguousarray(picture[:, :, ::-1])
    _, data = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, _FASTEST])
    content = data.tobytes()
    return content[:_PNG_START_BYTES] + _CHUNK + content[_PNG_START_BYTES:]


def is_side_by_side(path: Path) -> bool:
    """Whether a file was made by ``as_png``.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(_PNG_START_BYTES + len(_CHUNK))
    return start[_PNG_START_BYTES:] == _CHUNK


def _fitted(frame: Frame, width: int, height: int) -> Frame:
    """A frame of another size, without alpha, and with chroma of that size if it has any."""
    layout = frame.format
    count = 3 if layout.has_chroma else 1
    planes = [_resized(plane, width, height, layout) for plane in frame.planes[:count]]
    whole = replace(layout, log2_chroma_w=0, log2_chroma_h=0, has_alpha=False)
    return replace(frame, planes=tuple(planes), format=whole)


def _resized(plane: Plane, width: int, height: int, layout: PixelFormat) -> Plane:
    is_smaller = plane.shape[1] > width
    how = cv2.INTER_AREA if is_smaller else cv2.INTER_CUBIC
    resized: Any = plane
    if plane.shape != (height, width):
        try:
            resized = cv2.resize(plane, (width, height), interpolation=how)
        except cv2.error as error:
            raise ValueError(str(error)) from error
    clipped: Plane = np.minimum(resized, layout.peak).astype(plane.dtype)
    return clipped
