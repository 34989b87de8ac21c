"""The ground floor: what a frame, its pixel format, its colour and a video are, in numpy and exact fractions.

Everything above (media, picture, backends, run) speaks in these types. A frame is always planar: luma first, then the
chroma planes, 8 bits in uint8 or 9..16 bits in the low bits of uint16. Packed formats are unpacked where they are read.
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

# Code point 2 of ITU-T H.273 stands for "unspecified" in matrix, primaries and transfer alike.
UNSPECIFIED = 2

_SUBSAMPLING = {
    "444": (0, 0),
    "440": (0, 1),
    "422": (1, 0),
    "420": (1, 1),
    "411": (2, 0),
    "410": (2, 2),
}
_PLANAR = re.compile(
    r"yuv(?P<a>a)?j?(?P<sub>4\d\d)p(?P<bits>\d+)?(?:le)?|gray(?P<gray>\d+)?(?:le)?|gbr(?P<rgba>a)?p(?P<rgb>\d+)?(?:le)?"
)


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """A planar layout: luma and chroma, luma only, or RGB.

    Attributes:
        name: FFmpeg's name of it, such as ``yuv420p10le``.
        bits: significant bits of a sample, 8..16.
        log2_chroma_w, log2_chroma_h: binary logarithm of the chroma subsampling, as in FFmpeg's descriptors.
        has_chroma: False for gray.
        has_alpha: whether a plane of opacity, of luma's size and full range, comes last.
        is_rgb: the planes are green, blue, red; only extracting and assembling pictures handle such frames.
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
        """Describe FFmpeg's planar format ``name``, or return None for one that is not little-endian planar YUV, gray or RGB of whole numbers."""
        match = _PLANAR.fullmatch(name)
        if match is None:
            return None
        if name.startswith("gbr"):
            return cls(
                name,
                int(match["rgb"] or 8),
                0,
                0,
                has_chroma=True,
                has_alpha=bool(match["rgba"]),
                is_rgb=True,
            )
        if match["sub"] is None:
            return cls(name, int(match["gray"] or 8), 0, 0, has_chroma=False)
        if match["sub"] not in _SUBSAMPLING:
            return None
        return cls(
            name,
            int(match["bits"] or 8),
            *_SUBSAMPLING[match["sub"]],
            has_chroma=True,
            has_alpha=bool(match["a"]),
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
        """Return (width, height) in samples of a chroma plane of a picture of that size, rounded up as FFmpeg does."""
        return -(-width >> self.log2_chroma_w), -(-height >> self.log2_chroma_h)


@dataclass(frozen=True, slots=True)
class ColorTags:
    """What a stream says about its colours; None or ``UNSPECIFIED`` where it says nothing (and nothing is invented).

    Attributes:
        range: ``limited`` (luma 16..235 at 8 bits), ``full`` (0..255), or None for untagged.
        matrix, primaries, transfer: code points of ITU-T H.273.
        chroma_location: ``left``, ``center``, ``topleft``, ``top``, ``bottomleft``, ``bottom``, or None for untagged.
    """

    range: Literal["limited", "full"] | None = None
    matrix: int = UNSPECIFIED
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    chroma_location: str | None = None

    @property
    def is_full_range(self) -> bool:
        """True for full-range codes; untagged video is limited range, as every player takes it."""
        return self.range == "full"


@dataclass(frozen=True, slots=True)
class MasteringDisplay:
    """The display that HDR video was graded on (SMPTE ST 2086).

    Attributes:
        red, green, blue, white: CIE 1931 (x, y).
        max_luminance, min_luminance: cd/m2.
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
        content_light: brightest pixel and brightest frame average (MaxCLL, MaxFALL; CTA-861.3), cd/m2.
        dynamic: names of metadata that change from frame to frame and that no encoder here takes, such as ``Dolby Vision``.
    """

    mastering: MasteringDisplay | None = None
    content_light: tuple[int, int] | None = None
    dynamic: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.mastering or self.content_light or self.dynamic)


@dataclass(slots=True)
class Frame:
    """One picture and the time it belongs to.

    Attributes:
        planes: luma of shape (H, W), then chroma planes of ``format.chroma_size``, then alpha of shape (H, W), as ``format`` says; may be strided views;
            never written to.
        format: layout of the planes.
        time: presentation time in seconds, counted from the beginning of the file (its earliest stream).
        duration: how long the frame is shown, seconds; 0 where the source does not say.
        scene_cut: True when the frame is the first of a new scene.
    """

    planes: tuple[Plane, ...]
    format: PixelFormat
    time: Fraction
    duration: Fraction = Fraction(0)
    scene_cut: bool = False

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
    """One stream of a file: FFmpeg's index, kind (``video``, ``audio``, ``subtitle``, ``data``, ``attachment``), codec name
    and the tags people look for.
    """

    index: int
    kind: str
    codec: str
    language: str | None = None
    title: str | None = None
    detail: str = ""
    is_cover: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FileInfo:
    """What vsr sees in a media file, with or without video.

    Attributes:
        path: the file.
        container: FFmpeg's name of the demuxer, such as ``mov,mp4,m4a,3gp,3g2,mj2``.
        video: the stream that would be upscaled; None where there is none.
        streams: all streams, ``video`` included.
        start: time of the file's earliest stream on the file's own clock, seconds (subtracted from every time).
        duration: seconds from ``start`` to the end, or None where unknown.
        metadata: global tags of the file.
        chapters: how many it has.
    """

    path: Path
    container: str
    video: StreamInfo | None
    streams: tuple[StreamInfo, ...]
    start: Fraction
    duration: Fraction | None
    metadata: dict[str, str] = field(default_factory=dict)
    chapters: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoInfo(FileInfo):
    """What vsr sees in a video file, before decoding it.

    Attributes:
        video: the stream that would be upscaled.
        width, height: stored size in luma pixels, before rotation and aspect ratio.
        pixel_format: FFmpeg's name of the stored format (may be packed).
        format: the planar format that frames are delivered in.
        tags: colour tags.
        sample_aspect: pixel width / height, or None for untagged.
        rotation: display rotation in degrees, counter-clockwise, as FFmpeg's display matrix says.
        display_matrix: that matrix, 9 numbers as FFmpeg has them (it may mirror as well), or None.
        hdr: static HDR metadata.
        interlaced: True when the stream says so or its first frames do.
        rate: average frame rate (frames a second), or None where unknown.
        time_base: unit of the stream's timestamps, seconds.
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


@dataclass(slots=True)
class Damage:
    """What was wrong with a source, counted while it was read.

    Attributes:
        corrupt_packets: packets that the demuxer marked corrupt or the decoder refused.
        corrupt_frames: frames delivered although the decoder marked them corrupt.
        missing_seconds: how much earlier than the header promised the video ended; 0 where it did not.
    """

    corrupt_packets: int = 0
    corrupt_frames: int = 0
    missing_seconds: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.corrupt_packets or self.corrupt_frames or self.missing_seconds)

    def __str__(self) -> str:
        parts = (
            [f"{self.corrupt_packets} corrupt packets"] if self.corrupt_packets else []
        )
        parts += (
            [f"{self.corrupt_frames} corrupt frames"] if self.corrupt_frames else []
        )
        parts += (
            [f"{self.missing_seconds:.2f} s missing at the end"]
            if self.missing_seconds
            else []
        )
        return ", ".join(parts) or "none"

    def since(self, before: Damage) -> Damage:
        """What was found after ``before`` was."""
        return Damage(
            self.corrupt_packets - before.corrupt_packets,
            self.corrupt_frames - before.corrupt_frames,
            self.missing_seconds - before.missing_seconds,
        )

    def as_dict(self) -> dict[str, Any]:
        """The counts, for JSON."""
        return {
            "corrupt_packets": self.corrupt_packets,
            "corrupt_frames": self.corrupt_frames,
            "missing_seconds": round(self.missing_seconds, 3),
        }
