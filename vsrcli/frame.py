"""What a frame, its pixel format, its colour tags and a video are: the types that all else uses.

A frame is always planar: luma first, then the chroma planes, 8 bits in uint8 or 9..16 bits in the
low bits of uint16. Packed formats are unpacked where they are read. Times are exact fractions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.uint8] | NDArray[np.uint16]

# Code point 2 of ITU-T H.273: "unspecified" matrix, primaries or transfer.
UNSPECIFIED = 2

_SUBSAMPLING = {
    "444": (0, 0),
    "440": (0, 1),
    "422": (1, 0),
    "420": (1, 1),
    "411": (2, 0),
    "410": (2, 2),
}
_YUV = re.compile(r"yuv(?P<alpha>a)?j?(?P<sub>4\d\d)p(?P<bits>\d+)?(?:le)?")
_GRAY = re.compile(r"gray(?P<bits>\d+)?(?:le)?")
_GBR = re.compile(r"gbr(?P<alpha>a)?p(?P<bits>\d+)?(?:le)?")


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """A planar layout: luma and chroma, luma only, or RGB.

    Attributes:
        name: FFmpeg's name, such as ``yuv420p10le``.
        bits: significant bits of a sample, 8..16.
        log2_chroma_w, log2_chroma_h: binary logarithm of the chroma subsampling, as in FFmpeg's
            descriptors.
        has_chroma: False for gray.
        has_alpha: whether the last plane is opacity, of luma's size and in full range.
        is_rgb: the planes are green, blue, red; only extracting and assembling pictures handle such
            frames.
    """

    name: str
    bits: int
    log2_chroma_w: int
    log2_chroma_h: int
    has_chroma: bool
    has_alpha: bool = False
    is_rgb: bool = False

    @classmethod
    def parse(cls, name: str) -> PixelFormat | None:
        """Describe one of FFmpeg's pixel formats by its name.

        Returns:
            The layout, or None if it is not little-endian planar YUV, gray or RGB of integers.
        """
        gbr = _GBR.fullmatch(name)
        if gbr is not None:
            return cls(
                name=name,
                bits=int(gbr["bits"] or 8),
                log2_chroma_w=0,
                log2_chroma_h=0,
                has_chroma=True,
                has_alpha=bool(gbr["alpha"]),
                is_rgb=True,
            )
        gray = _GRAY.fullmatch(name)
        if gray is not None:
            return cls(
                name=name,
                bits=int(gray["bits"] or 8),
                log2_chroma_w=0,
                log2_chroma_h=0,
                has_chroma=False,
            )
        yuv = _YUV.fullmatch(name)
        if yuv is None or yuv["sub"] not in _SUBSAMPLING:
            return None
        log2_chroma_w, log2_chroma_h = _SUBSAMPLING[yuv["sub"]]
        return cls(
            name=name,
            bits=int(yuv["bits"] or 8),
            log2_chroma_w=log2_chroma_w,
            log2_chroma_h=log2_chroma_h,
            has_chroma=True,
            has_alpha=bool(yuv["alpha"]),
        )

    @property
    def opaque(self) -> PixelFormat:
        """The same layout without alpha."""
        name = self.name.replace("yuva", "yuv").replace("gbrap", "gbrp")
        return replace(self, name=name, has_alpha=False)

    @property
    def dtype(self) -> type[np.uint8] | type[np.uint16]:
        """Sample type: uint8 up to 8 bits, else uint16."""
        return np.uint8 if self.bits <= 8 else np.uint16

    @property
    def peak(self) -> int:
        """Largest code value, ``2**bits - 1``."""
        return (1 << self.bits) - 1

    def chroma_size(self, width: int, height: int) -> tuple[int, int]:
        """Return (width, height) of the chroma planes of a picture, rounded up as in FFmpeg."""
        chroma_width = -(-width >> self.log2_chroma_w)
        chroma_height = -(-height >> self.log2_chroma_h)
        return chroma_width, chroma_height


@dataclass(frozen=True, slots=True)
class ColorTags:
    """What a stream says about its colours; None or ``UNSPECIFIED`` where it says nothing.

    Attributes:
        range: ``limited`` (luma 16..235 at 8 bits), ``full`` (0..255), or None for untagged.
        matrix, primaries, transfer: code points of ITU-T H.273.
        chroma_location: ``left``, ``center``, ``topleft``, ``top``, ``bottomleft``, ``bottom``, or
            None for untagged.
    """

    range: Literal["limited", "full"] | None = None
    matrix: int = UNSPECIFIED
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    chroma_location: str | None = None

    @property
    def is_full_range(self) -> bool:
        """True for full-range codes; untagged video is limited range, as in every player."""
        return self.range == "full"


@dataclass(frozen=True, slots=True)
class MasteringDisplay:
    """The display that HDR video was graded on (SMPTE ST 2086).

    Some files state its primaries without its luminance, or the other way round.

    Attributes:
        red, green, blue, white: CIE 1931 (x, y); zeros if they are not stated.
        max_luminance, min_luminance: cd/m2; zeros if they are not stated.
    """

    red: tuple[Fraction, Fraction]
    green: tuple[Fraction, Fraction]
    blue: tuple[Fraction, Fraction]
    white: tuple[Fraction, Fraction]
    max_luminance: Fraction
    min_luminance: Fraction


@dataclass(frozen=True, slots=True)
class Hdr:
    """Static HDR metadata of a stream; what it does not have is None.

    Attributes:
        mastering: the grading display.
        content_light: brightest pixel and brightest frame average (MaxCLL, MaxFALL; CTA-861.3),
            cd/m2.
        dynamic: names of metadata that change from frame to frame and that no encoder here takes,
            such as ``Dolby Vision``.
    """

    mastering: MasteringDisplay | None = None
    content_light: tuple[int, int] | None = None
    dynamic: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.mastering or self.content_light or self.dynamic)


@dataclass(frozen=True, slots=True)
class Cropping:
    """How many luma pixels of the decoded pictures a container does not show, at each side."""

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0

    def __bool__(self) -> bool:
        return bool(self.left or self.top or self.right or self.bottom)


@dataclass(slots=True)
class Frame:
    """One picture and the time it belongs to.

    Attributes:
        planes: luma of shape (H, W), then chroma planes of ``format.chroma_size``, then alpha of
            shape (H, W), as ``format`` says; may be strided views; never written to.
        format: layout of the planes.
        time: presentation time in seconds, from the beginning of the file (its earliest stream).
        duration: how long the frame is displayed, seconds; 0 if the source does not say.
        scene_cut: True if the frame is the first of a new scene.
        captions: closed captions that come with it (see ``captions.py``); empty if there are none.
    """

    planes: tuple[Plane, ...]
    format: PixelFormat
    time: Fraction
    duration: Fraction = Fraction(0)
    scene_cut: bool = False
    captions: bytes = b""

    @property
    def chroma(self) -> tuple[Plane, ...]:
        """The chroma planes: two or none."""
        return self.planes[1:3] if self.format.has_chroma else ()

    @property
    def alpha(self) -> Plane | None:
        """Opacity, shape (H, W), or None."""
        return self.planes[-1] if self.format.has_alpha else None

    @property
    def luma(self) -> Plane:
        """Plane 0, shape (H, W)."""
        return self.planes[0]

    @property
    def height(self) -> int:
        """Rows of luma."""
        return int(self.planes[0].shape[0])

    @property
    def width(self) -> int:
        """Columns of luma."""
        return int(self.planes[0].shape[1])


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """One stream of a file.

    Attributes:
        index: FFmpeg's index.
        kind: ``video``, ``audio``, ``subtitle``, ``data`` or ``attachment``.
        codec: FFmpeg's name of the codec.
        language, title: tags, or None.
        detail: more for people, such as the number of channels.
        is_cover: whether it is a cover picture.
        is_encrypted: whether its packets are.
        tags: all of its tags.
    """

    index: int
    kind: str
    codec: str
    language: str | None = None
    title: str | None = None
    detail: str = ""
    is_cover: bool = False
    is_encrypted: bool = False
    tags: dict[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileInfo:
    """What vsr sees in a media file, with or without video.

    Attributes:
        path: the file.
        container: FFmpeg's name of the demuxer, such as ``mov,mp4,m4a,3gp,3g2,mj2``.
        video: the stream that would be upscaled; None if there is none.
        streams: all streams, ``video`` included.
        start: time of the file's earliest stream on the file's own clock, seconds (subtracted from
            every time).
        duration: seconds from ``start`` to the end, or None if unknown.
        metadata: global tags of the file.
        chapters: how many it has.
        restarts: where its clock restarts, seconds after ``start``; times go on there, as
            ``decode/source_clock.py`` says. Known before it is read only in some formats.
    """

    path: Path
    container: str
    video: StreamInfo | None
    streams: tuple[StreamInfo, ...]
    start: Fraction
    duration: Fraction | None
    metadata: dict[str, str] = field(default_factory=dict)
    chapters: int = 0
    restarts: tuple[Fraction, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoInfo(FileInfo):
    """What vsr sees in a video file, before decoding it.

    Attributes:
        video: the stream that would be upscaled.
        width, height: size of the frames in luma pixels, before rotation and aspect ratio.
        pixel_format: FFmpeg's name of the stored format (may be packed).
        format: the planar format that frames are delivered in.
        tags: colour tags.
        sample_aspect: pixel width / height, or None for untagged.
        rotation: display rotation in degrees, counter-clockwise, by FFmpeg's display matrix.
        interlaced: True if the stream or its first frames say so.
        rate: average frame rate (frames a second), or None if unknown.
        time_base: unit of the stream's timestamps, seconds.
        display_matrix: FFmpeg's display matrix, 9 numbers (it may mirror as well), or None.
        hdr: static HDR metadata.
        cropping: what is cut off the decoded pictures; ``width`` and ``height`` are without it.
        stereo_mode: how the two views of a stereoscopic video share its pictures, by Matroska's
            name, such as ``left_right``; None for ordinary video.
        projection: how spherical video is projected: the content of Matroska's element Projection;
            None for ordinary video.
        uncarried: phrases for the metadata that no output holds, such as ``the EXIF metadata``.
        needs_dolby_vision: whether only the metadata of Dolby Vision explains the colours (profile
            5 and the like): neither tags nor players without it show them right.
        has_captions: whether its first frames have closed captions.
    """

    video: StreamInfo
    width: int
    height: int
    pixel_format: str
    format: PixelFormat
    tags: ColorTags
    sample_aspect: Fraction | None
    rotation: float
    interlaced: bool
    rate: Fraction | None
    time_base: Fraction
    display_matrix: tuple[int, ...] | None = None
    hdr: Hdr = field(default_factory=Hdr)
    cropping: Cropping = Cropping()
    stereo_mode: str | None = None
    projection: bytes | None = None
    uncarried: tuple[str, ...] = ()
    needs_dolby_vision: bool = False
    has_captions: bool = False

    @property
    def decoded_size(self) -> tuple[int, int]:
        """Width and height of the decoded pictures, before cropping."""
        cropping = self.cropping
        width = self.width + cropping.left + cropping.right
        return width, self.height + cropping.top + cropping.bottom


@dataclass(slots=True)
class Damage:
    """What was wrong with a source, counted while it was read.

    Attributes:
        corrupt_packets: packets that the demuxer marked corrupt or the decoder refused.
        corrupt_frames: frames delivered although the decoder marked them corrupt.
        missing_seconds: how much earlier than the header promised the video ended, or 0.
    """

    corrupt_packets: int = 0
    corrupt_frames: int = 0
    missing_seconds: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.corrupt_packets or self.corrupt_frames or self.missing_seconds)

    def __str__(self) -> str:
        parts = []
        if self.corrupt_packets:
            parts.append(_count(self.corrupt_packets, "corrupt packet"))
        if self.corrupt_frames:
            parts.append(_count(self.corrupt_frames, "corrupt frame"))
        if self.missing_seconds:
            parts.append(f"{self.missing_seconds:.2f} s missing at the end")
        return ", ".join(parts) or "none"

    def since(self, before: Damage) -> Damage:
        """The damage found since the counts were ``before``."""
        return Damage(
            corrupt_packets=self.corrupt_packets - before.corrupt_packets,
            corrupt_frames=self.corrupt_frames - before.corrupt_frames,
            missing_seconds=self.missing_seconds - before.missing_seconds,
        )

    def as_dict(self) -> dict[str, Any]:
        """The counts, for JSON."""
        return {
            "corrupt_packets": self.corrupt_packets,
            "corrupt_frames": self.corrupt_frames,
            "missing_seconds": round(self.missing_seconds, 3),
        }


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
