"""The shape of a video's pictures as its container and bitstream describe it.

Cropping, the packing of two views, and the projection of spherical video.
"""

from __future__ import annotations

from collections.abc import Sequence

import av
from av.video.stream import VideoStream

from vsrcli.decode import sidedata
from vsrcli.decode.stream_header import StreamHeader, elements
from vsrcli.frame import Cropping, PixelFormat

# Element numbers of Matroska (RFC 9559).
_CROP_BOTTOM = 0x54AA
_CROP_TOP = 0x54BB
_CROP_LEFT = 0x54CC
_CROP_RIGHT = 0x54DD
_PROJECTION = 0x7670
_PROJECTION_TYPE = 0x7671
_ADDITION_CONTENT = 0x41ED
# FFmpeg writes a display rotation as a projection of this type.
_RECTANGULAR = b"\0"
_STEREO_TAG = "stereo_mode"
_ORDINARY = "mono"
# Of the configuration record of Dolby Vision (version 1.0): where profile and compatibility are.
_DOVI_BYTES = 5
_DOVI_INCOMPATIBLE_PROFILE = 5
_DOVI_AV1_PROFILE = 10


def cropping_of(
    header: StreamHeader,
    size: tuple[int, int],
    layout: PixelFormat,
    *,
    interlaced: bool,
) -> Cropping:
    """What the container does not show of the decoded pictures.

    Left and top are rounded down so that chroma samples, and fields, stay where they are.

    Args:
        header: of the stream.
        size: width and height of the decoded pictures.
        layout: of the frames.
        interlaced: whether the pictures are.
    """
    across = 1 << layout.log2_chroma_w
    down = (1 << layout.log2_chroma_h) * (2 if interlaced else 1)
    cropping = Cropping(
        left=header.number(_CROP_LEFT) // across * across,
        top=header.number(_CROP_TOP) // down * down,
        right=header.number(_CROP_RIGHT),
        bottom=header.number(_CROP_BOTTOM),
    )
    width, height = size
    is_possible = (
        cropping.left + cropping.right < width
        and cropping.top + cropping.bottom < height
    )
    return cropping if is_possible else Cropping()


def projection_of(header: StreamHeader) -> bytes | None:
    """How spherical video is projected: the content of Matroska's element Projection, or None."""
    content = header.content(_PROJECTION)
    if content is None:
        return None
    kind = dict(elements(content)).get(_PROJECTION_TYPE, _RECTANGULAR)
    return None if kind == _RECTANGULAR else content


def stereo_mode_of(stream: VideoStream, frames: Sequence[av.VideoFrame]) -> str | None:
    """How the two views of a stereoscopic video share its pictures, by Matroska's name.

    The container's own description counts, else that of the first frames.
    """
    tags = {key.lower(): value for key, value in stream.metadata.items()}
    named = tags.get(_STEREO_TAG)
    if named is not None:
        return None if named == _ORDINARY else named
    modes = (sidedata.stereo_mode(frame) for frame in frames)
    return next((mode for mode in modes if mode is not None), None)


def needs_dolby_vision(header: StreamHeader, frames: Sequence[av.VideoFrame]) -> bool:
    """Whether only the metadata of Dolby Vision explains the colours (profile 5 and the like)."""
    for record in header.contents(_ADDITION_CONTENT):
        if len(record) < _DOVI_BYTES:
            continue
        profile = record[2] >> 1
        compatibility = record[4] >> 4
        is_av1 = profile == _DOVI_AV1_PROFILE and compatibility == 0
        if profile == _DOVI_INCOMPATIBLE_PROFILE or is_av1:
            return True
    return any(sidedata.needs_dolby_vision(frame) for frame in frames)
