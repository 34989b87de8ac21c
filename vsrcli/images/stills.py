"""One picture in a file: PNG and TIFF with all their bits, and the colours that PNG states."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from vsrcli.errors import InputError, OutputError
from vsrcli.frame import UNSPECIFIED, ColorTags
from vsrcli.paths import open_regular

WRITABLE_SUFFIXES = (".png", ".tif", ".tiff")
_PNG_START = b"\x89PNG\r\n\x1a\n"
# The first chunk, IHDR: length and kind, 13 bytes of content, and the sum.
_PNG_HEADER_BYTES = 25
_PNG_CHUNK_START = struct.Struct(">I4s")
_PNG_CHECKSUM_BYTES = 4
_RGB_MATRIX = 0
# Of WebP's qualities, what is above 100 means without any loss.
_SETTINGS = {".webp": [cv2.IMWRITE_WEBP_QUALITY, 101]}
# OpenCV's order of channels is blue, green, red, alpha.
_SWAPPED = [2, 1, 0, 3]


def read_picture(file: Path, *, keep_alpha: bool = False) -> NDArray[Any]:
    """Read one picture.

    Args:
        file: PNG, TIFF, JPEG, WebP or BMP.
        keep_alpha: whether alpha is wanted as a fourth channel.

    Returns:
        (H, W) for gray, (H, W, 3) in the order R, G, B, or (H, W, 4) with alpha; uint8, uint16 or
        float32, as stored.

    Raises:
        InputError: missing, damaged, or not a picture.
    """
    try:
        with open_regular(file) as opened:
            data = np.frombuffer(opened.read(), np.uint8)
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from error
    picture = None
    if data.size:
        try:
            picture = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
        except cv2.error:
            picture = None
    if picture is None:
        raise InputError(f"{file}: damaged, or not a picture of a known kind")
    if picture.dtype not in (np.uint8, np.uint16, np.float32):
        raise InputError(
            f"{file}: its samples are {picture.dtype}; "
            "8 or 16 bits or 32-bit float are possible"
        )
    if picture.ndim == 2:
        return np.asarray(picture)
    channels = picture.shape[2]
    if channels == 2:
        return np.ascontiguousarray(picture[:, :, 0])
    if keep_alpha and channels == 4:
        return np.ascontiguousarray(picture[:, :, _SWAPPED])
    return np.ascontiguousarray(picture[:, :, 2::-1])


def encode_picture(
    picture: NDArray[Any],
    suffix: str,
    tags: ColorTags | None = None,
) -> bytes:
    """Make the content of a picture file.

    Args:
        picture: as ``read_picture`` gives it.
        suffix: ``.png``, ``.tif``, ``.tiff`` or ``.webp`` (lossless; 8 bits); 32-bit float needs
            one of the two in the middle.
        tags: colours to write into a PNG: primaries and transfer, and the range of gray. RGB is
            full range.

    Raises:
        OutputError: the kind of file cannot hold such a picture.
    """
    if picture.ndim == 3:
        channels = picture.shape[2]
        picture = picture[:, :, _SWAPPED[:channels]]
    height, width = picture.shape[:2]
    problem = f"a {suffix} picture of {width}x{height} {picture.dtype} cannot be made"
    try:
        is_encoded, data = cv2.imencode(
            suffix, np.ascontiguousarray(picture), _SETTINGS.get(suffix, [])
        )
    except cv2.error as error:
        raise OutputError(f"{problem}: {error}") from error
    if not is_encoded:
        raise OutputError(problem)
    content = data.tobytes()
    if tags is None or suffix != ".png":
        return content
    return _with_colours(content, tags)


def _with_colours(png: bytes, tags: ColorTags) -> bytes:
    """Put a ``cICP`` chunk (PNG, third edition) after the header, if it would say anything."""
    is_full_range = tags.range != "limited"
    if is_full_range and tags.primaries == tags.transfer == UNSPECIFIED:
        return png
    values = bytes((tags.primaries, tags.transfer, _RGB_MATRIX, is_full_range))
    body = b"cICP" + values
    chunk = struct.pack(">I", len(values))
    chunk += body
    chunk += struct.pack(">I", zlib.crc32(body))
    header_end = len(_PNG_START) + _PNG_HEADER_BYTES
    return png[:header_end] + chunk + png[header_end:]


def read_tags(file: Path) -> ColorTags:
    """What a PNG says of its colours in a ``cICP`` chunk: range, primaries and transfer.

    Other kinds of file, and most PNGs, say nothing.

    Raises:
        InputError: missing or unreadable.
    """
    try:
        with open_regular(file) as opened:
            return _read_tags(opened)
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read: {error}") from error


def _read_tags(png: BinaryIO) -> ColorTags:
    if png.read(len(_PNG_START)) != _PNG_START:
        return ColorTags()
    while len(start := png.read(_PNG_CHUNK_START.size)) == _PNG_CHUNK_START.size:
        length, kind = _PNG_CHUNK_START.unpack(start)
        if kind == b"cICP" and length == 4:
            primaries, transfer, _, is_full_range = png.read(length)
            return ColorTags(
                "full" if is_full_range else "limited",
                primaries=primaries,
                transfer=transfer,
            )
        if kind == b"IDAT":
            break
        png.seek(length + _PNG_CHECKSUM_BYTES, os.SEEK_CUR)
    return ColorTags()
