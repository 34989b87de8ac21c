"""What video encoders and containers take: option names, presets, pixel formats, file name endings."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import av.codec
import av.logging
from av.video.codeccontext import VideoCodecContext

from vsrcli.errors import OutputError
from vsrcli.frame import ColorTags, Hdr
from vsrcli.media.containers import Container, container_of
from vsrcli.options import EncoderOptions

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
    "ultrafast": "12", "superfast": "11", "veryfast": "10", "faster": "9", "fast": "8", "medium": "6", "slow": "4", "slower": "3",
    "veryslow": "2", "placebo": "0",
}  # fmt: skip
_VPX_PRESETS = {
    "ultrafast": "8", "superfast": "7", "veryfast": "6", "faster": "5", "fast": "4", "medium": "2", "slow": "1", "slower": "1",
    "veryslow": "0", "placebo": "0",
}  # fmt: skip


@dataclass(frozen=True)
class Encoder:
    """How ``EncoderOptions`` reach one encoder.

    Attributes:
        crf: the option that takes ``crf``; None where there is none.
        preset: the option that takes ``preset``; None where there is none.
        presets: its value for each of x264's preset names; a number is passed as it is. Empty: the name itself is passed.
        fixed: options that are always set, unless the user sets them.
        copies_input: it takes pictures of any alignment and keeps none of them, so that planes may be handed over without a copy.
        has_aspect: its own header carries the sample aspect ratio.
        has_colours: its own header carries range, matrix, primaries and transfer.
        range: the only range of codes that its decoders know; None: what it is told.
        matrix: the only matrix that its decoders know, a code point of ITU-T H.273 (chroma then is centred as well); None: what it is told.
        looks_ahead: it spends fewer bits on frames that nothing seems to follow; and told to, it ends a group of frames at any one.
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


_NVENC = Encoder(
    "cq", "preset", fixed={"rc": "vbr", "b": "0"}, has_aspect=True, has_colours=True
)
_QSV = Encoder("global_quality", "preset", has_aspect=True, has_colours=True)
# MPEG-4 part 2 and JPEG pictures: a constant quantiser of 2 (118 units each) instead of a bit rate.
_QUANTISED = {"flags": "+qscale", "global_quality": "236"}

ENCODERS: dict[str, Encoder] = {
    "libx264": Encoder(
        "crf",
        "preset",
        _X264_PRESETS,
        copies_input=True,
        has_aspect=True,
        has_colours=True,
        looks_ahead=True,
    ),
    # x265 prints to stderr by itself unless it is told not to
    "libx265": Encoder(
        "crf",
        "preset",
        _X264_PRESETS,
        {"x265-params": "log-level=none"},
        copies_input=True,
        has_aspect=True,
        has_colours=True,
        looks_ahead=True,
    ),
    "libsvtav1": Encoder(
        "crf", "preset", _SVT_PRESETS, copies_input=True, has_colours=True
    ),
    # without b=0 libvpx takes crf for a bound within a small bit rate; VP8 always needs a bit rate
    "libvpx-vp9": Encoder(
        "crf", "cpu-used", _VPX_PRESETS, {"b": "0", "row-mt": "1"}, copies_input=True
    ),
    "libvpx": Encoder(
        "crf",
        "cpu-used",
        _VPX_PRESETS,
        {"b": "60M"},
        copies_input=True,
        range="limited",
    ),
    "h264_nvenc": _NVENC,
    "hevc_nvenc": _NVENC,
    "av1_nvenc": Encoder("cq", "preset", fixed=_NVENC.fixed, has_colours=True),
    "h264_qsv": _QSV,
    "hevc_qsv": _QSV,
    "mjpeg": Encoder(fixed=_QUANTISED, has_aspect=True, range="full", matrix=5),
    "mpeg4": Encoder(fixed=_QUANTISED, has_aspect=True, range="limited"),
    "mpeg2video": Encoder(
        fixed=_QUANTISED, has_aspect=True, has_colours=True, range="limited"
    ),
    "prores_ks": Encoder(has_colours=True, range="limited"),
    "prores": Encoder(has_colours=True, range="limited"),
}

_SOFTWARE_TWINS = {
    "h264_nvenc": "libx264",
    "hevc_nvenc": "libx265",
    "av1_nvenc": "libsvtav1",
}

_HDR_TRANSFERS = (16, 18)  # SMPTE ST 2084 and ARIB STD-B67 in ITU-T H.273


def encoder_of(name: str) -> Encoder:
    """Return what is known of an encoder; for an unlisted one, that it has neither crf nor preset."""
    return ENCODERS.get(name, Encoder())


def encoder_settings(options: EncoderOptions) -> dict[str, str]:
    """Translate the options into those of the encoder.

    Args:
        options: as the user gave them; crf and preset are ignored where they are the defaults and the encoder has none.

    Returns:
        The encoder's own options.

    Raises:
        OutputError: crf or preset was given for an encoder without it, or the preset does not exist.
    """
    encoder, defaults = encoder_of(options.codec), EncoderOptions()
    settings = dict(encoder.fixed)
    if encoder.crf is not None:
        settings[encoder.crf] = f"{options.crf:g}"
    elif options.crf != defaults.crf:
        raise OutputError(
            f"{options.codec} has no crf (it was given {options.crf:g}): leave --crf away, or set its own with -e KEY=VALUE"
        )
    if encoder.preset is not None:
        settings[encoder.preset] = _preset(options, encoder)
    elif options.preset != defaults.preset:
        raise OutputError(
            f"{options.codec} has no preset (it was given {options.preset!r}): leave --preset away"
        )
    for key, value in options.extra:
        settings[key] = (
            f"{settings[key]}:{value}"
            if key == "x265-params" and key in settings
            else value
        )
    return settings


def _preset(options: EncoderOptions, encoder: Encoder) -> str:
    if not encoder.presets or options.preset.lstrip("-").isdigit():
        return options.preset
    if options.preset not in encoder.presets:
        raise OutputError(
            f"{options.codec} has no preset {options.preset!r}: choose from {', '.join(encoder.presets)}, or a number"
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
        raise OutputError(
            f"unknown video encoder {name!r}: try libx264, libx265, libsvtav1, libvpx-vp9 or ffv1"
        ) from error
    if codec.type != "video":
        raise OutputError(
            f"{name!r} is no video encoder but one for {codec.type}: try libx264, libx265, libsvtav1, libvpx-vp9 or ffv1"
        )
    return codec


def says_colours(codec: str, container: Container) -> bool:
    """Whether range, matrix, primaries and transfer are written down, by the encoder or the container."""
    return container.keeps_colours or encoder_of(codec).has_colours


def is_full_range(codec: str, tags: ColorTags, container: Container) -> bool:
    """Whether the encoder is given full-range codes for frames of those tags: not where nothing would say that they are."""
    only = encoder_of(codec).range
    if (
        only is None
        and not says_colours(codec, container)
        and not container.keeps_range
    ):
        only = "limited"
    return tags.is_full_range if only is None else only == "full"


def is_hdr(tags: ColorTags, hdr: Hdr) -> bool:
    """Whether video is high dynamic range: by its transfer function (PQ, HLG) or its metadata."""
    return tags.transfer in _HDR_TRANSFERS or bool(hdr)


def resolve_codec(
    options: EncoderOptions, target: Path | str, *, bits: int, is_hdr: bool
) -> EncoderOptions:
    """Put a real encoder in the place of ``auto``.

    Args:
        options: as the user gave them.
        target: the output; its ending names the container.
        bits: of the source's samples.
        is_hdr: whether its transfer function or its metadata are those of HDR.

    Returns:
        The options with an encoder of FFmpeg's name.

    Raises:
        OutputError: the output's ending names no container.
    """
    if options.codec != "auto":
        return options
    container = container_of(target)
    if container.default_codec is not None:
        return replace(options, codec=container.default_codec)
    return replace(options, codec="libx265" if bits > 8 or is_hdr else "libx264")


def without_nvidia(options: EncoderOptions) -> tuple[EncoderOptions, str | None]:
    """Put the software encoder of the same standard in the place of an NVENC one that cannot be opened here.

    Returns:
        The options, and a line for the user where they were changed.
    """
    twin = _SOFTWARE_TWINS.get(options.codec)
    if twin is None:
        return options, None

    def open_it() -> None:
        context = av.CodecContext.create(options.codec, "w")
        if not isinstance(context, VideoCodecContext):
            raise ValueError(f"{options.codec} is no video encoder")
        context.width, context.height, context.pix_fmt, context.time_base = (
            640,
            480,
            "yuv420p",
            Fraction(1, 25),
        )
        context.open(strict=False)

    reason = open_quietly(open_it)
    if reason is None:
        return options, None
    preset = (
        options.preset if options.preset in _X264_PRESETS else EncoderOptions().preset
    )
    return replace(
        options, codec=twin, preset=preset
    ), f"{options.codec} does not work here ({reason}): {twin} encodes instead"


def open_quietly(open_it: Callable[[], None]) -> str | None:
    """Run something that opens an encoder or writes a header, without a word on stderr.

    Args:
        open_it: raises ``av.FFmpegError``, ``ValueError`` or ``OSError`` when it is refused.

    Returns:
        None when it went well, else the library's own reason.
    """
    os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 knows no other way to be told
    before = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture() as logs:
            open_it()
    except PermissionError as error:
        said = [text.strip() for _, _, text in logs]
        return said[0] if said else f"{error.strerror} (no NVIDIA GPU or driver here)"
    except (av.FFmpegError, ValueError, OSError) as error:
        said = [text.strip() for _, _, text in logs if text.strip()]
        return said[0] if said else str(getattr(error, "strerror", None) or error)
    finally:
        av.logging.set_level(before)
    return None
