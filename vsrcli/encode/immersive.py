"""Stereoscopic and spherical video: who says of an output that it is, and how encoders are told.

The two views of a stereoscopic video share a picture, in a way that Matroska has a name for.
Matroska says which one, except beside a pixel aspect ratio, where FFmpeg writes a wrong size to be
shown. H.264 can say it as well (frame packing arrangement).
"""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Literal

import av
from av.codec.context import Flags
from av.container import OutputContainer
from av.video.stream import VideoStream

from vsrcli.containers.table import MATROSKA_DEMUXER, Container
from vsrcli.decode.stream_header import (
    SEGMENT,
    TRACK_ENTRY,
    TRACKS,
    VIDEO,
    element,
    elements,
)
from vsrcli.encode.encoder_table import encoder_of

STEREO_TAG = "stereo_mode"
# FFmpeg halves the size to be shown of these.
_HALVED = ("left_right", "right_left", "top_bottom", "bottom_top")
# No upscaled picture keeps the views apart.
_INTERLEAVED = ("checkerboard", "row_interleaved", "col_interleaved")
# Frame packing arrangements of H.264 that x264 writes.
_FRAME_PACKINGS = {"left_right": "3", "top_bottom": "4", "block_lr": "5"}

# Matroska's names of codecs, by the encoders that FFmpeg chooses for them.
_CODEC_IDS = {
    "libx264": b"V_MPEG4/ISO/AVC",
    "libx265": b"V_MPEGH/ISO/HEVC",
    "libvpx-vp9": b"V_VP9",
    "ffv1": b"V_FFV1",
}
# Element numbers of EBML and Matroska (RFC 8794 and 9559).
_EBML = 0x1A45DFA3
_DOC_TYPE = 0x4282
_DOC_TYPE_VERSION = 0x4287
_DOC_TYPE_READ_VERSION = 0x4285
_INFO = 0x1549A966
_MUXING_APP = 0x4D80
_WRITING_APP = 0x5741
_TRACK_NUMBER = 0xD7
_TRACK_UID = 0x73C5
_TRACK_TYPE = 0x83
_CODEC_ID = 0x86
_PIXEL_WIDTH = 0xB0
_PIXEL_HEIGHT = 0xBA
_CLUSTER = 0x1F43B675
_TIMESTAMP = 0xE7
_PROJECTION = 0x7670
_POSES = (0x7673, 0x7674, 0x7675)
_ONE = b"\x01"


def is_interleaved(stereo_mode: str) -> bool:
    """Whether the two views alternate within a picture, by rows, columns or squares."""
    return stereo_mode.startswith(_INTERLEAVED)


def stereo_carrier(
    stereo_mode: str | None,
    sample_aspect: Fraction | None,
    codec: str,
    container: Container,
) -> Literal["container", "encoder"] | None:
    """Who says of an output how its two views share the pictures; None: nobody.

    Args:
        stereo_mode: Matroska's name; None: there are no two views.
        sample_aspect: pixel width / height.
        codec: the encoder, by FFmpeg's name.
        container: of the output.
    """
    if stereo_mode is None or is_interleaved(stereo_mode):
        return None
    writes_aspect = container.keeps_aspect or encoder_of(codec).has_aspect
    is_wrong = (
        stereo_mode in _HALVED and writes_aspect and sample_aspect not in (None, 1)
    )
    if container.holds_stereo_mode(stereo_mode) and not is_wrong:
        return "container"
    if codec == "libx264" and stereo_mode in _FRAME_PACKINGS:
        return "encoder"
    return None


def frame_packing(stereo_mode: str) -> str:
    """The value of x264's parameter for views that share a picture."""
    return _FRAME_PACKINGS[stereo_mode]


def keeps_projection(
    projection: bytes,
    codec: str,
    container: Container,
    *,
    is_turned: bool,
) -> bool:
    """Whether an output can say how its pictures are projected.

    Args:
        projection: as ``VideoInfo.projection``.
        codec: the encoder, by FFmpeg's name.
        container: of the output.
        is_turned: whether the output has a display rotation, too.
    """
    if codec not in _CODEC_IDS:
        return False
    if container.projections == "level":
        return not any(number in _POSES for number, _ in elements(projection))
    # Matroska has one place for both
    return container.projections == "all" and not is_turned


def add_projected_stream(
    output: OutputContainer,
    projection: bytes,
    codec: str,
    rate: Fraction,
) -> VideoStream:
    """Add the stream of an encoder to an output, with a projection.

    PyAV takes a projection from the stream of a file in no other way.

    Args:
        output: its header is not written yet.
        projection: as ``VideoInfo.projection``.
        codec: the encoder, one for which ``keeps_projection`` holds.
        rate: frames a second.

    Returns:
        The stream, as ``add_stream`` makes it. Its time base is not set.

    Raises:
        ValueError, av.FFmpegError: the output does not take the codec.
    """
    content = io.BytesIO(_template(projection, _CODEC_IDS[codec]))
    with av.open(content, format=MATROSKA_DEMUXER) as template:
        stream = output.add_stream_from_template(
            template.streams.video[0],
            opaque=False,
        )
    context = stream.codec_context
    if context.codec.name != codec:
        raise ValueError(f"FFmpeg chooses {context.codec.name} for {codec}")
    context.framerate = rate
    context.bit_rate = 0
    context.flags |= Flags.global_header
    return stream


def _template(projection: bytes, codec_id: bytes) -> bytes:
    """A Matroska file with a stream of a codec and nothing but a projection."""
    head = element(_DOC_TYPE, b"matroska")
    head += element(_DOC_TYPE_VERSION, b"\x04")
    head += element(_DOC_TYPE_READ_VERSION, b"\x02")
    picture = element(_PIXEL_WIDTH, b"\x10")
    picture += element(_PIXEL_HEIGHT, b"\x10")
    picture += element(_PROJECTION, projection)
    track = element(_TRACK_NUMBER, _ONE)
    track += element(_TRACK_UID, _ONE)
    track += element(_TRACK_TYPE, _ONE)
    track += element(_CODEC_ID, codec_id)
    track += element(VIDEO, picture)
    info = element(_MUXING_APP, b"vsr") + element(_WRITING_APP, b"vsr")
    segment = element(_INFO, info)
    segment += element(TRACKS, element(TRACK_ENTRY, track))
    # without a cluster, FFmpeg takes the file for cut off
    segment += element(_CLUSTER, element(_TIMESTAMP, b"\x00"))
    return element(_EBML, head) + element(SEGMENT, segment)
