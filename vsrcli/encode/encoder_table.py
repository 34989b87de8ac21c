"""What is known of video encoders: one record for each, and the short names that mean them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from vsrcli.options.encoder import Quality


@dataclass(frozen=True)
class Scale:
    """The scale on which an encoder takes a constant quality; lower values are better.

    Attributes:
        option: the encoder's option that takes it.
        low: the best quality.
        high: the worst.
    """

    option: str
    low: float = 0
    high: float = 51


@dataclass(frozen=True)
class Presets:
    """How an encoder takes speed presets.

    Attributes:
        option: the encoder's option that takes them.
        values: the option's value for each name.
        low, high: the numbers that it takes as well.
    """

    option: str
    values: Mapping[str, str]
    low: int
    high: int


@dataclass(frozen=True)
class Level:
    """What a ``Quality`` means for an encoder.

    Attributes:
        crf: on the encoder's scale.
        preset: one of its presets; None where it has none.
    """

    crf: float
    preset: str | None = None


@dataclass(frozen=True)
class Encoder:
    """How ``EncoderOptions`` reach one encoder.

    Attributes:
        crf: the scale of ``crf``; None where there is none.
        preset: the presets that it takes; None where there are none.
        levels: crf and preset by quality; the default is ``balanced``.
        names: values of further options, where another one is refused late or noisily.
        quality_hint: what sets the quality instead of crf.
        fixed: options that are always set, unless the user sets them.
        for_players: it is used for videos to be watched, so RGB becomes YUV 4:2:0.
        copies_input: it takes pictures of any alignment and keeps no reference to them, so that
            planes can be handed over without a copy.
        has_aspect: its own header carries the sample aspect ratio.
        has_colours: its own header carries range, matrix, primaries and transfer.
        range: the only range of codes that its decoders know; None: the one that it is told.
        matrix: the only matrix that its decoders know, a code point of ITU-T H.273 (chroma is then
            centred as well); None: the one that it is told.
        looks_ahead: it spends fewer bits on frames that nothing seems to follow, and can end a
            group of frames at any frame.
        threads: how many it gets, whatever the size of the picture; None: by its height.
    """

    crf: Scale | None = None
    preset: Presets | None = None
    levels: Mapping[Quality, Level] = field(default_factory=dict)
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    quality_hint: str | None = None
    fixed: Mapping[str, str] = field(default_factory=dict)
    for_players: bool = False
    copies_input: bool = False
    has_aspect: bool = False
    has_colours: bool = False
    range: Literal["limited", "full"] | None = None
    matrix: int | None = None
    looks_ahead: bool = False
    threads: int | None = None


_X264_NAMES = (
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
    "placebo",
)
_QSV_NAMES = ("veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
_NVENC_NAMES = (
    *("default", "fast", "medium", "slow"),
    *("p1", "p2", "p3", "p4", "p5", "p6", "p7"),
    *("hp", "hq", "bd", "ll", "llhq", "llhp", "lossless", "losslesshp"),
)


def _same(names: tuple[str, ...]) -> dict[str, str]:
    return {name: name for name in names}


def _numbered(*numbers: int) -> dict[str, str]:
    """A number for each of x264's names."""
    return dict(zip(_X264_NAMES, map(str, numbers), strict=True))


_X264_PRESETS = Presets("preset", _same(_X264_NAMES), 0, 9)
_SVT_PRESETS = Presets(
    "preset",
    _numbered(12, 11, 10, 9, 8, 6, 4, 3, 2, 0),
    -2,
    13,
)
_VPX_VALUES = _numbered(8, 7, 6, 5, 4, 2, 1, 1, 0, 0)
_AOM_VALUES = _numbered(8, 8, 7, 6, 5, 4, 3, 2, 1, 0)
_X264_LEVELS: dict[Quality, Level] = {
    "high": Level(12, "slow"),
    "balanced": Level(16, "medium"),
    "small": Level(22, "slow"),
}
_X265_LEVELS: dict[Quality, Level] = {
    "high": Level(12, "slow"),
    "balanced": Level(16, "medium"),
    "small": Level(24, "slow"),
}
# AV1 and VP9 count to 63
_AV1_LEVELS: dict[Quality, Level] = {
    "high": Level(10, "slow"),
    "balanced": Level(16, "medium"),
    "small": Level(32, "medium"),
}
_VP9_LEVELS: dict[Quality, Level] = {
    "high": Level(10, "medium"),
    "balanced": Level(16, "medium"),
    "small": Level(32, "medium"),
}
_QUANTISER_LEVELS: dict[Quality, Level] = {
    "high": Level(1),
    "balanced": Level(2),
    "small": Level(5),
}

_NVENC = Encoder(
    crf=Scale("cq", low=1),
    preset=Presets("preset", _same(_NVENC_NAMES), 0, 18),
    levels=_X265_LEVELS,
    fixed={"rc": "vbr", "b": "0"},
    for_players=True,
    has_aspect=True,
    has_colours=True,
)
_QSV = Encoder(
    crf=Scale("global_quality", low=1),
    preset=Presets("preset", _same(_QSV_NAMES), 0, 7),
    levels=_X265_LEVELS,
    for_players=True,
    has_aspect=True,
    has_colours=True,
)
_PRORES = Encoder(
    quality_hint="-e profile=hq (or proxy, lt, standard, 4444)",
    has_colours=True,
    range="limited",
)
# MPEG-4 part 2, MPEG-2 and JPEG: a constant quantiser instead of a bit rate. Pictures ask for the
# best one, so that the smallest that is allowed is the one that they get.
_QUANTISED = Encoder(
    crf=Scale("qmin", low=1, high=31),
    levels=_QUANTISER_LEVELS,
    fixed={"flags": "+qscale", "global_quality": "236"},
    has_aspect=True,
    range="limited",
)

ENCODERS: dict[str, Encoder] = {
    "libx264": Encoder(
        crf=Scale("crf"),
        preset=_X264_PRESETS,
        levels=_X264_LEVELS,
        # x264 prints to stderr what it does not know of these
        names={
            "tune": (
                *("film", "animation", "grain", "stillimage", "psnr", "ssim"),
                *("fastdecode", "zerolatency"),
            ),
            "profile": ("baseline", "main", "high", "high10", "high422", "high444"),
        },
        for_players=True,
        copies_input=True,
        has_aspect=True,
        has_colours=True,
        looks_ahead=True,
    ),
    # x265 prints to stderr by itself unless it is told not to; its threads are whole frames, beside
    # those that share a frame
    "libx265": Encoder(
        crf=Scale("crf"),
        preset=_X264_PRESETS,
        levels=_X265_LEVELS,
        fixed={"x265-params": "log-level=none"},
        for_players=True,
        copies_input=True,
        has_aspect=True,
        has_colours=True,
        looks_ahead=True,
        threads=3,
    ),
    # FFmpeg takes 0 for no crf at all
    "libsvtav1": Encoder(
        crf=Scale("crf", low=1, high=63),
        preset=_SVT_PRESETS,
        levels=_AV1_LEVELS,
        for_players=True,
        copies_input=True,
        has_colours=True,
    ),
    "libaom-av1": Encoder(
        crf=Scale("crf", high=63),
        preset=Presets("cpu-used", _AOM_VALUES, 0, 8),
        levels=_AV1_LEVELS,
        fixed={"b": "0", "row-mt": "1"},
        for_players=True,
        has_colours=True,
    ),
    # without b=0, libvpx takes crf as a bound within a small bit rate
    "libvpx-vp9": Encoder(
        crf=Scale("crf", high=63),
        preset=Presets("cpu-used", _VPX_VALUES, -8, 8),
        levels=_VP9_LEVELS,
        fixed={"b": "0", "row-mt": "1"},
        for_players=True,
        copies_input=True,
    ),
    # VP8 always needs a bit rate
    "libvpx": Encoder(
        crf=Scale("crf", low=4, high=63),
        preset=Presets("cpu-used", _VPX_VALUES, -16, 16),
        levels=_VP9_LEVELS,
        fixed={"b": "60M"},
        for_players=True,
        copies_input=True,
        range="limited",
    ),
    "h264_nvenc": _NVENC,
    "hevc_nvenc": _NVENC,
    "av1_nvenc": replace(
        _NVENC,
        crf=Scale("cq", low=1, high=63),
        levels=_AV1_LEVELS,
        has_aspect=False,
    ),
    "h264_qsv": _QSV,
    "hevc_qsv": _QSV,
    "mjpeg": replace(_QUANTISED, range="full", matrix=5),
    "mpeg4": _QUANTISED,
    "mpeg2video": replace(_QUANTISED, has_colours=True),
    "prores_ks": _PRORES,
    "prores": _PRORES,
}

# Names of formats and of libraries, in lower case and without dots and dashes. The first encoder
# that this FFmpeg has is meant.
SHORT_NAMES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("h264", "avc", "x264"), ("libx264",)),
    **dict.fromkeys(("h265", "hevc", "x265"), ("libx265",)),
    **dict.fromkeys(("av1", "svtav1"), ("libsvtav1", "libaom-av1")),
    "aom": ("libaom-av1",),
    "vp8": ("libvpx",),
    "vp9": ("libvpx-vp9",),
    "prores": ("prores_ks", "prores"),
    "mpeg2": ("mpeg2video",),
    "jpeg": ("mjpeg",),
}
SOFTWARE_TWINS = {
    "h264_nvenc": "libx264",
    "hevc_nvenc": "libx265",
    "av1_nvenc": "libsvtav1",
}


def encoder_of(name: str) -> Encoder:
    """What is known of an encoder. One that is not listed has neither crf nor preset."""
    return ENCODERS.get(name, Encoder())
