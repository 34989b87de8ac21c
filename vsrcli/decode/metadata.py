"""What a source carries besides its pictures that no output holds: a closed list.

Whatever is neither carried nor known to be harmless has a phrase, a kind of side data that nobody
knows included: what is unknown counts as lost.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator
from itertools import chain
from typing import Any

import av
from av.packet import Packet

from vsrcli.decode.sidedata import (
    DYNAMIC_HDR,
    hdr_metadata,
    side_data_of,
    stereo_mode,
)
from vsrcli.errors import InputError
from vsrcli.frame import VideoInfo

log = logging.getLogger(__name__)

# Read elsewhere, carried and compared.
_CARRIED = {
    "A53_CC",
    "DISPLAYMATRIX",
    "MASTERING_DISPLAY_METADATA",
    "CONTENT_LIGHT_LEVEL",
    "SPHERICAL",
}
# About the coding (a group's timecode numbers its pictures), hints to encoders, grain that is in
# the pictures already, or of sound.
_HARMLESS = {
    "GOP_TIMECODE",
    "MOTION_VECTORS",
    "VIDEO_ENC_PARAMS",
    "REGIONS_OF_INTEREST",
    "VIDEO_HINT",
    "FILM_GRAIN_PARAMS",
    "MATRIXENCODING",
    "DOWNMIX_INFO",
    "REPLAYGAIN",
    "SKIP_SAMPLES",
    "AUDIO_SERVICE_TYPE",
}
_PHRASES = {
    "ICC_PROFILE": "the ICC profile",
    "S12M_TIMECODE": "the timecode of each frame",
    "DETECTION_BBOXES": "the list of detected objects",
    "AMBIENT_VIEWING_ENVIRONMENT": "the ambient viewing environment",
    "LCEVC": "the enhancement layer (LCEVC)",
    "VIEW_ID": "the other view (MV-HEVC)",
    "REFERENCE_DISPLAYS_3D": "the description of 3D reference displays",
    "EXIF": "the EXIF metadata",
}
# What x264 and x265 write about themselves.
_ENCODER_BANNERS = {
    bytes.fromhex("dc45e9bde6d948b7962cd820d923eeef"),
    bytes.fromhex("2ca2de09b51747dbbb55a4fe7fc2fc4e"),
}
_UUID_BYTES = 16
# Active formats (ETSI TS 101 154, annex B) that show all of the picture.
_WHOLE_FORMATS = (0, 8)
# AVPanScan: a number, width and height in 16ths of a pixel, then three positions (x, y).
_PAN_SCAN = struct.Struct("=3i6h")
_PAN_SCAN_UNIT = 16

# Side data of packets that is about coding and transport, or comes out with the frames.
_HARMLESS_IN_PACKETS = {
    "palette",
    "new_extradata",
    "param_change",
    "h263_mb_info",
    "display_matrix",
    "stereo_3d",
    "quality_stats",
    "fallback_track",
    "cpb_properties",
    "skip_samples",
    "strings_metadata",
    "metadata_update",
    "mpegts_stream_id",
    "mastering_display_metadata",
    "spherical",
    "content_light_level",
    "a53_cc",
    "encryption_init_info",
    "encryption_info",
    "afd",
    "icc_profile",
    "dovi_conf",
    "s12m_timecode",
    "dynamic_hdr10_plus",
    "ambient_viewing_environment",
    "frame_cropping",
    "lcevc",
    "3d_reference_displays",
    "rtcp_sr",
}
_PACKET_PHRASES = {"prft": "the producer's reference times"}
_BLOCK_ADDITION = "matroska_block_additional"
# Additions to Matroska's blocks begin with their number: alpha has 1, HDR10+ and the like 4.
_READ_ADDITIONS = (1, 4)
_ADDITION_NUMBER_BYTES = 8


class MetadataWatch:
    """Notices metadata that no output holds and that the first frames do not have.

    Attributes:
        late: a phrase for each, in order.
        is_silent: whether nothing is logged.
    """

    def __init__(self, info: VideoInfo, *, strict: bool) -> None:
        """Begin before the first frame.

        Args:
            info: the source; what it names is known already.
            strict: whether the first one raises.
        """
        self.late: list[str] = []
        self.is_silent = False
        self._info = info
        self._known = set(info.uncarried)
        self._strict = strict

    def check(self, frame: av.VideoFrame) -> None:
        """Look at a decoded frame.

        Raises:
            InputError: metadata would be lost, and ``strict`` was given.
        """
        for phrase in chain(uncarried_by(frame), self._unlike_beginning(frame)):
            if phrase in self._known:
                continue
            self._known.add(phrase)
            self.late.append(phrase)
            time = (frame.pts or 0) * (frame.time_base or 0) - self._info.start
            line = f"{self._info.path}: from {float(time):.3f} s on, {phrase} is lost"
            if self._strict:
                raise InputError(f"{line}: without --strict, the rest is upscaled")
            if not self.is_silent:
                log.warning("%s", line)

    def _unlike_beginning(self, frame: av.VideoFrame) -> Iterator[str]:
        """What is carried as the first frames have it, and a later one has otherwise."""
        mode = stereo_mode(frame)
        if mode is not None and mode != self._info.stereo_mode:
            yield f"that its pictures hold two views ({mode.replace('_', ' ')})"
        hdr = hdr_metadata(frame)
        if hdr.mastering is not None and hdr.mastering != self._info.hdr.mastering:
            yield "a mastering display that differs from that of the first frames"
        light = hdr.content_light
        if light is not None and light != self._info.hdr.content_light:
            yield "a content light level that differs from that of the first frames"


def uncarried_by(frame: av.VideoFrame) -> Iterator[str]:
    """A phrase for each thing in the side data of a frame that no output holds."""
    for name, content in side_data_of(frame):
        if name in DYNAMIC_HDR:
            yield f"the {DYNAMIC_HDR[name]} metadata of each frame"
        elif name == "STEREO3D":
            # the packed views are carried
            if any(content[:4]) and stereo_mode(frame) is None:
                yield "the description of its two views"
        elif name == "AFD":
            if content[:1] and content[0] & 0xF not in _WHOLE_FORMATS:
                yield "the active format description"
        elif name == "PANSCAN":
            if _pans(content, frame):
                yield "the window for narrower screens (pan and scan)"
        elif name == "SEI_UNREGISTERED":
            if content[:_UUID_BYTES] not in _ENCODER_BANNERS:
                yield "the user data in its bitstream"
        elif name not in _CARRIED and name not in _HARMLESS:
            yield _PHRASES.get(name, f"side data that vsr does not know ({name})")


def uncarried_by_packet(packet: Packet[Any]) -> Iterator[str]:
    """A phrase for each thing in the side data of a packet that no output holds."""
    for item in packet.iter_sidedata():
        try:
            name: str = item.data_type
        except IndexError:  # PyAV has no name for it
            name = "of a new type"
        if name == _BLOCK_ADDITION:
            number = int.from_bytes(bytes(item)[:_ADDITION_NUMBER_BYTES], "big")
            if number not in _READ_ADDITIONS:
                yield f"the additions to its blocks (number {number})"
        elif name not in _HARMLESS_IN_PACKETS:
            yield _PACKET_PHRASES.get(name, f"side data of packets ({name})")


def _pans(content: bytes, frame: av.VideoFrame) -> bool:
    """Whether a window for pan and scan is smaller than the picture."""
    if len(content) < _PAN_SCAN.size:
        return bool(content)
    _, width, height, *_ = _PAN_SCAN.unpack(content[: _PAN_SCAN.size])
    if not width or not height:
        return False
    is_narrower: bool = width < frame.width * _PAN_SCAN_UNIT
    is_lower: bool = height < frame.height * _PAN_SCAN_UNIT
    return is_narrower or is_lower
