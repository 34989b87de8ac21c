"""One picture in a file: PNG and TIFF read and written with all their bits, and what PNG says of its colours."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vsrcli.errors import InputError, OutputError
from vsrcli.frame import UNSPECIFIED, ColorTags

WRITABLE_SUFFIXES = (".png", ".tif", ".tiff")
_PNG_START = b"\x89PNG\r\n\x1a\n"
_IDENTITY = 0


def read_picture(file: Path, *, keep_alpha: bool = False) -> NDArray[Any]:
    """Read one picture.

    Args:
        file: PNG, TIFF, JPEG, WebP or BMP.
        keep_alpha: whether alpha is wanted as a fourth channel.

    Returns:
        (H, W) for gray, (H, W, 3) in the order R, G, B, or (H, W, 4) with alpha; uint8, uint16 or float32, as stored.

    Raises:
        InputError: missing, damaged, or no picture.
    """
    try:
        data = np.frombuffer(file.read_bytes(), np.uint8)
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from error
    try:
        picture = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    except cv2.error:
        picture = None
    if picture is None:
        raise InputError(f"{file}: damaged, or no picture of a known kind")
    if picture.dtype not in (np.uint8, np.uint16, np.float32):
        raise InputError(
            f"{file}: its samples are {picture.dtype}; 8 or 16 bits or 32-bit float are possible"
        )
    if picture.ndim == 2:
        return np.asarray(picture)
    if picture.shape[2] == 2:
        return np.ascontiguousarray(picture[:, :, 0])
    if keep_alpha and picture.shape[2] == 4:
        return np.ascontiguousarray(picture[:, :, [2, 1, 0, 3]])
    return np.ascontiguousarray(picture[:, :, 2::-1])


def encode_picture(
    picture: NDArray[Any], suffix: str, tags: ColorTags | None = None
) -> bytes:
    """Make the content of a picture file.

    Args:
        picture: as ``read_picture`` gives it.
        suffix: ``.png``, ``.tif`` or ``.tiff``; 32-bit float needs one of the latter.
        tags: colours to write into a PNG: primaries and transfer, and the range of gray. RGB is full range.

    Raises:
        OutputError: the kind of file cannot hold such a picture.
    """
    turned = (
        picture
        if picture.ndim == 2
        else picture[:, :, [2, 1, 0, 3][: picture.shape[2]]]
    )
    try:
        done, data = cv2.imencode(suffix, np.ascontiguousarray(turned))
    except cv2.error as error:
        raise OutputError(
            f"a {suffix} picture of {picture.shape[1]}x{picture.shape[0]} {picture.dtype} cannot be made: {error}"
        ) from error
    if not done:
        raise OutputError(
            f"a {suffix} picture of {picture.shape[1]}x{picture.shape[0]} {picture.dtype} cannot be made"
        )
    content = data.tobytes()
    return content if tags is None or suffix != ".png" else _with_colours(content, tags)


def _with_colours(png: bytes, tags: ColorTags) -> bytes:
    """Put a ``cICP`` chunk (PNG, third edition) behind the header; none where it would say nothing."""
    if (
        tags.primaries == UNSPECIFIED
        and tags.transfer == UNSPECIFIED
        and tags.range != "limited"
    ):
        return png
    body = b"cICP" + bytes(
        (tags.primaries, tags.transfer, _IDENTITY, tags.range != "limited")
    )
    chunk = (
        struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    )
    header_end = len(_PNG_START) + 25
    return png[:header_end] + chunk + png[header_end:]


def read_tags(file: Path) -> ColorTags:
    """What a PNG says of its colours in a ``cICP`` chunk: range, primaries and transfer; the other kinds of file, and most PNGs, say nothing.

    Raises:
        InputError: missing or unreadable.
    """
    try:
        with file.open("rb") as opened:
            if opened.read(len(_PNG_START)) != _PNG_START:
                return ColorTags()
            while len(start := opened.read(8)) == 8:
                length, kind = struct.unpack(">I4s", start)
                if kind == b"cICP" and length == 4:
                    primaries, transfer, _, is_full = opened.read(4)
                    return ColorTags(
                        "full" if is_full else "limited",
                        UNSPECIFIED,
                        primaries,
                        transfer,
                    )
                if kind == b"IDAT":
                    break
                opened.seek(length + 4, 1)
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read: {error}") from error
    return ColorTags()
