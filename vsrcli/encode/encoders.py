"""What video encoders take: their options for crf and preset, and what they write into a stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import av.codec
import av.logging
from av.video.codeccontext import VideoCodecContext

from vsrcli.containers.quiet import open_quietly
from vsrcli.containers.table import Container, container_of
from vsrcli.errors import OutputError
from vsrcli.frame import ColorTags, Hdr
from vsrcli.options import EncoderOptions

# Encoders get a thread for so many rows: more of them cost quality, and fewer cost time.
_ROWS_PER_THREAD = 90
_MAX_THREADS = 16

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
_X264_PRESETS = {name: name for name in _X264_NAMES}
_SVT_PRESETS = {
    "ultrafast": "12",
    "superfast": "11",
    "veryfast": "10",
    "faster": "9",
    "fast": "8",
    "medium": "6",
    "slow": "4",
    "slower": "3",
    "veryslow": "2",
    "placebo": "0",
}
_VPX_PRESETS = {
    "ultrafast": "8",
    "superfast": "7",
    "veryfast": "6",
    "faster": "5",
    "fast": "4",
    "medium": "2",
    "slow": "1",
    "slower": "1",
    "veryslow": "0",
    "placebo": "0",
}


@dataclass(frozen=True)
class Encoder:
    """How ``EncoderOptions`` reach one encoder.

    Attributes:
        crf: the option that takes ``crf``; None where there is none.
        preset: the option that takes ``preset``; None where there is none.
        presets: its value for each of x264's preset names; a number is passed as it is. Empty: the
            name itself is passed.
        fixed: options that are always set, unless the user sets them.
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

    crf: str | None = None
    preset: str | None = None
    presets: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, str] = field(default_factory=dict)
    copies_input: bool = False
    has_aspect: bool = False
    has_colours: bool = False
    range: Literal["limited", "full"] | None = None
    matrix: int | None = None
    looks_ahead: bool = False
    threads: int | None = None


_NVENC = Encoder(
    crf="cq",
    preset="preset",
    fixed={"rc": "vbr", "b": "0"},
    has_aspect=True,
    has_colours=True,
)
_QSV = Encoder(
    crf="global_quality",
    preset="preset",
    has_aspect=True,
    has_colours=True,
)
_PRORES = Encoder(has_colours=True, range="limited")
# MPEG-4 part 2 and JPEG: a constant quantiser of 2 (118 units each) instead of a bit rate.
_QUANTISED = {"flags": "+qscale", "global_quality": "236"}

ENCODERS: dict[str, Encoder] = {
    "libx264": Encoder(
        crf="crf",
        preset="preset",
        presets=_X264_PRESETS,
        copies_input=True,
        has_aspect=True,
        has_colours=True,
        looks_ahead=True,
    ),
    # x265 prints to stderr by itself unless it is told not to; its threads are whole frames, beside
    # those that share a frame
    "libx265": Encoder(
        crf="crf",
        preset="preset",
        presets=_X264_PRESETS,
        fixed={"x265-params": "log-level=none"},
        copies_input=True,
        has_aspect=True,
        has_colours=True,
        looks_ahead=True,
        threads=3,
    ),
    "libsvtav1": Encoder(
        crf="crf",
        preset="preset",
        presets=_SVT_PRESETS,
        copies_input=True,
        has_colours=True,
    ),
    # without b=0, libvpx takes crf as a bound within a small bit rate
    "libvpx-vp9": Encoder(
        crf="crf",
        preset="cpu-used",
        presets=_VPX_PRESETS,
        fixed={"b": "0", "row-mt": "1"},
        copies_input=True,
    ),
    # VP8 always needs a bit rate
    "libvpx": Encoder(
        crf="crf",
        preset="cpu-used",
        presets=_VPX_PRESETS,
        fixed={"b": "60M"},
        copies_input=True,
        range="limited",
    ),
    "h264_nvenc": _NVENC,
    "hevc_nvenc": _NVENC,
    "av1_nvenc": replace(_NVENC, has_aspect=False),
    "h264_qsv": _QSV,
    "hevc_qsv": _QSV,
    "mjpeg": Encoder(
        fixed=_QUANTISED,
        has_aspect=True,
        range="full",
        matrix=5,
    ),
    "mpeg4": Encoder(
        fixed=_QUANTISED,
        has_aspect=True,
        range="limited",
    ),
    "mpeg2video": Encoder(
        fixed=_QUANTISED,
        has_aspect=True,
        has_colours=True,
        range="limited",
    ),
    "prores_ks": _PRORES,
    "prores": _PRORES,
}

_SOFTWARE_TWINS = {
    "h264_nvenc": "libx264",
    "hevc_nvenc": "libx265",
    "av1_nvenc": "libsvtav1",
}

_HDR_TRANSFERS = (16, 18)  # SMPTE ST 2084 and ARIB STD-B67 in ITU-T H.273
_MAX_SDR_BITS = 8
_SUGGESTION = "try libx264, libx265, libsvtav1, libvpx-vp9 or ffv1"


def encoder_of(name: str) -> Encoder:
    """What is known of an encoder. One that is not listed has neither crf nor preset."""
    return ENCODERS.get(name, Encoder())


def thread_count(name: str, height: int) -> int:
    """How many threads an encoder gets.

    What libx264 and others write depends on it. Left to themselves, they count the processor cores
    that they may use, and segments of several workers or machines would differ from those of one.

    Args:
        name: FFmpeg's name of the encoder.
        height: of the video, pixels.
    """
    fixed = encoder_of(name).threads
    if fixed is not None:
        return fixed
    return min(max(1, height // _ROWS_PER_THREAD), _MAX_THREADS)


def encoder_settings(options: EncoderOptions) -> dict[str, str]:
    """Translate the options into those of the encoder.

    Args:
        options: as the user gave them. crf and preset are ignored where they are the defaults and
            the encoder has none.

    Returns:
        The encoder's own options.

    Raises:
        OutputError: crf or preset was given for an encoder without it, or there is no such preset.
    """
    encoder = encoder_of(options.codec)
    defaults = EncoderOptions()
    settings = dict(encoder.fixed)
    if encoder.crf is not None:
        settings[encoder.crf] = f"{options.crf:g}"
    elif options.crf != defaults.crf:
        raise OutputError(
            f"{options.codec} has no crf (it was given {options.crf:g}): "
            "omit --crf, or set its own with -e KEY=VALUE"
        )
    if encoder.preset is not None:
        settings[encoder.preset] = _preset(options, encoder)
    elif options.preset != defaults.preset:
        raise OutputError(
            f"{options.codec} has no preset (it was given {options.preset!r}): "
            "omit --preset"
        )
    for key, value in options.extra:
        if key == "x265-params" and key in settings:
            settings[key] += f":{value}"
        else:
            settings[key] = value
    return settings


def _preset(options: EncoderOptions, encoder: Encoder) -> str:
    is_number = options.preset.lstrip("-").isdigit()
    if is_number or not encoder.presets:
        return options.preset
    if options.preset not in encoder.presets:
        names = ", ".join(encoder.presets)
        raise OutputError(
            f"{options.codec} has no preset {options.preset!r}: "
            f"choose from {names}, or a number"
        )
    return encoder.presets[options.preset]


def find_codec(name: str) -> av.codec.Codec:
    """Look up a video encoder.

    Raises:
        OutputError: there is none of that name.
    """
    try:
        codec = av.codec.Codec(name, "w")
    except (ValueError, av.FFmpegError) as error:
        raise OutputError(f"unknown video encoder {name!r}: {_SUGGESTION}") from error
    if codec.type != "video":
        raise OutputError(
            f"{name!r} is not a video encoder but one for {codec.type}: {_SUGGESTION}"
        )
    return codec


def writes_colours(codec: str, container: Container) -> bool:
    """Whether encoder or container write range, matrix, primaries and transfer."""
    return container.keeps_colours or encoder_of(codec).has_colours


def is_full_range(
    codec: str,
    tags: ColorTags,
    container: Container,
) -> bool:
    """Whether the encoder is given full-range codes for frames of those tags.

    Not where the file has no place to say that they are.
    """
    only = encoder_of(codec).range
    if only is not None:
        return only == "full"
    writes_range = writes_colours(codec, container) or container.keeps_range
    return writes_range and tags.is_full_range


def is_hdr(tags: ColorTags, hdr: Hdr) -> bool:
    """Whether video is high dynamic range: by its transfer function (PQ, HLG) or its metadata."""
    return tags.transfer in _HDR_TRANSFERS or bool(hdr)


def resolve_codec(
    options: EncoderOptions,
    target: Path | str,
    *,
    bits: int,
    is_hdr: bool,
) -> EncoderOptions:
    """Replace ``auto`` by a real encoder.

    Args:
        options: as the user gave them.
        target: the output; its ending names the container.
        bits: of the source's samples.
        is_hdr: whether its transfer function or its metadata are those of HDR.

    Returns:
        The options with FFmpeg's name of an encoder.

    Raises:
        OutputError: the output's ending names no container.
    """
    if options.codec != "auto":
        return options
    codec = container_of(target).default_codec
    if codec is None:
        needs_x265 = bits > _MAX_SDR_BITS or is_hdr
        codec = "libx265" if needs_x265 else "libx264"
    return replace(options, codec=codec)


def without_nvidia(options: EncoderOptions) -> tuple[EncoderOptions, str | None]:
    """Replace an NVENC encoder that cannot be opened here by the software one of its standard.

    Returns:
        The options, and a line for the user if they were changed.
    """
    software = _SOFTWARE_TWINS.get(options.codec)
    if software is None:
        return options, None
    reason = open_quietly(lambda: _open_encoder(options.codec))
    if reason is None:
        return options, None
    preset = options.preset
    if preset not in _X264_PRESETS:
        preset = EncoderOptions().preset
    changed = replace(options, codec=software, preset=preset)
    return (
        changed,
        f"{options.codec} does not work here ({reason}): {software} encodes instead",
    )


def _open_encoder(codec: str) -> None:
    """Open an encoder for a small picture.

    Raises:
        ValueError, OSError, av.FFmpegError: it cannot be opened.
    """
    context = av.CodecContext.create(codec, "w")
    if not isinstance(context, VideoCodecContext):
        raise ValueError(f"{codec} is not a video encoder")
    context.width = 640
    context.height = 480
    context.pix_fmt = "yuv420p"
    context.time_base = Fraction(1, 25)
    context.open(strict=False)
