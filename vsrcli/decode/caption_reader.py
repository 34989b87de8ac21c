"""Closed captions of a file: those of its decoded pictures, and whether its packets hold any."""

from __future__ import annotations

import re
from fractions import Fraction
from itertools import islice
from typing import Any

import av

from vsrcli.captions import TRIPLET_BYTES
from vsrcli.containers.pipe import is_standard_input
from vsrcli.decode.input_file import find_video, open_input
from vsrcli.decode.sidedata import side_data_of
from vsrcli.frame import VideoInfo

# The identifier of ATSC A/53 and the kind cc_data; then come the number of triplets with flags, a
# byte that says nothing, and the triplets.
_IDENTIFIER = b"GA94\x03"
_HEADER_BYTES = len(_IDENTIFIER) + 2
_COUNT_MASK = 31
_PROCESS_CC_DATA = 0x40
# What keeps start codes out of units of these codecs.
_ESCAPED = re.compile(b"\x00\x00\x03(?=[\x00-\x03])")
_ESCAPING_CODECS = ("h264", "hevc")
_CODECS = ("h264", "hevc", "mpeg1video", "mpeg2video", "av1")
_SEARCHED_SECONDS = 10
_MAX_SEARCHED_PACKETS = 2000


def captions_of(picture: av.VideoFrame) -> bytes:
    """Closed captions that come with a picture (see ``captions.py``); empty if there are none."""
    for name, content in side_data_of(picture):
        if name == "A53_CC":
            return content
    return b""


def captions_in(content: bytes, codec: str) -> bytes:
    """Closed captions in a packet of video (ATSC A/53, part 4), without decoding it.

    Args:
        content: of the packet.
        codec: canonical name of its codec.
    """
    captions = b""
    place = content.find(_IDENTIFIER)
    while place >= 0:
        # as long as it can be with every third byte escaped
        message = content[place : place + 2 * (_HEADER_BYTES + 3 * _COUNT_MASK)]
        if codec in _ESCAPING_CODECS:
            message = _ESCAPED.sub(b"\x00\x00", message)
        flags = message[_HEADER_BYTES - 2] if len(message) > _HEADER_BYTES else 0
        if flags & _PROCESS_CC_DATA:
            size = TRIPLET_BYTES * (flags & _COUNT_MASK)
            captions += message[_HEADER_BYTES : _HEADER_BYTES + size]
        place = content.find(_IDENTIFIER, place + 1)
    return captions


def has_captions(info: VideoInfo, begin: Fraction = Fraction(0)) -> bool:
    """Whether a video has closed captions, as far as it is known without decoding it.

    Args:
        info: the video.
        begin: where to look, seconds; the packets of ten seconds are searched.

    Raises:
        InputError: the file cannot be opened any more.
    """
    is_file = info.path.is_file() and not is_standard_input(info.path)
    can_be_searched = is_file and info.video.codec in _CODECS
    if not can_be_searched or (info.has_captions and not begin):
        return info.has_captions
    with open_input(info.path) as container:
        try:
            return _search(container, info, begin)
        except av.FFmpegError:
            return False  # damaged: the work tells of captions that come


def _search(container: Any, info: VideoInfo, begin: Fraction) -> bool:
    stream = find_video(container, info.path)
    if begin:
        timestamp = int((info.start + begin) / info.time_base)
        container.seek(timestamp, stream=stream)
    end = begin + _SEARCHED_SECONDS
    for packet in islice(container.demux(stream), _MAX_SEARCHED_PACKETS):
        time = begin
        if packet.pts is not None:
            time = packet.pts * info.time_base - info.start
        if time > end:
            return False
        if time >= begin and captions_in(bytes(packet), info.video.codec):
            return True
    return False


class PictureMark:
    """Marks a picture that is split into its fields: both come out of the filter with it."""


class CaptionReader:
    """Reads the closed captions of pictures in presentation order, those of each picture once."""

    def __init__(self) -> None:
        self._mark: object = None

    def read(self, picture: av.VideoFrame) -> bytes:
        """The captions of the next picture.

        Both fields of a picture have its captions; only the first one gives them.
        """
        mark = picture.opaque
        if isinstance(mark, PictureMark):
            if mark is self._mark:
                return b""
            self._mark = mark
        return captions_of(picture)
