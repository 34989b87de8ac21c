"""Choosing a video encoder, and turning ``EncoderOptions`` into its own options."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import av.codec
import av.logging
from av.video.codeccontext import VideoCodecContext

from vsrcli.containers.quiet import open_quietly
from vsrcli.containers.table import Container, container_of
from vsrcli.encode.encoder_table import (
    ENCODERS,
    SHORT_NAMES,
    SOFTWARE_TWINS,
    Encoder,
    encoder_of,
)
from vsrcli.errors import OptionError
from vsrcli.frame import ColorTags, Hdr
from vsrcli.options import EncoderOptions
from vsrcli.options.encoder import DEFAULT_QUALITY
from vsrcli.streams.trial_mux import takes_encoder
from vsrcli.wording import did_you_mean

# Encoders get a thread for so many rows: more of them cost quality, and fewer cost time.
_ROWS_PER_THREAD = 90
_MAX_THREADS = 16

_HDR_TRANSFERS = (16, 18)  # SMPTE ST 2084 and ARIB STD-B67 in ITU-T H.273
_MAX_SDR_BITS = 8
_WHOLE_NUMBER = re.compile(r"-?\d{1,3}")
# Encoders that are suggested where no name is near.
_SUGGESTED = ("libx264", "libx265", "libsvtav1", "libvpx-vp9", "ffv1")


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


def settled(options: EncoderOptions) -> EncoderOptions:
    """Replace the quality by the crf and the preset that it means for an encoder.

    Args:
        options: with FFmpeg's name of an encoder. crf and preset that are given stay as they are.

    Returns:
        The options with a crf and a preset, as far as the encoder has them, and no quality.

    Raises:
        OptionError: the encoder has no crf, preset or quality and was given one, or not that value.
    """
    encoder = encoder_of(options.codec)
    quality = options.quality or DEFAULT_QUALITY
    if encoder.crf is None and quality != DEFAULT_QUALITY:
        raise OptionError(
            f"{options.codec} has no crf for --quality {quality} to set: "
            f"{_way_out(options.codec, '--quality')}"
        )
    level = encoder.levels.get(quality)
    crf = options.crf
    preset = options.preset
    if level is not None:
        crf = level.crf if crf is None else crf
        preset = level.preset if preset is None else preset
    options = replace(options, crf=crf, preset=preset, quality=None)
    _check_crf(options, encoder)
    _check_preset(options, encoder)
    _check_names(options, encoder)
    return options


def encoder_settings(options: EncoderOptions) -> dict[str, str]:
    """Translate the options into those of the encoder.

    Args:
        options: with FFmpeg's name of an encoder.

    Returns:
        The encoder's own options.

    Raises:
        OptionError: see ``settled``.
    """
    options = settled(options)
    encoder = encoder_of(options.codec)
    settings = dict(encoder.fixed)
    if encoder.crf is not None:
        settings[encoder.crf.option] = f"{options.crf:g}"
    if encoder.preset is not None:
        preset = str(options.preset)
        settings[encoder.preset.option] = encoder.preset.values.get(preset, preset)
    for key, value in options.extra:
        if key == "x265-params" and key in settings:
            settings[key] += f":{value}"
        else:
            settings[key] = value
    return settings


def _way_out(codec: str, flag: str) -> str:
    """What to do where an encoder has no crf."""
    encoder = encoder_of(codec)
    if encoder.quality_hint is not None:
        return f"omit {flag}; {encoder.quality_hint} sets its quality"
    found = av.codec.Codec(codec, "w")
    if found.lossless and not found.lossy:
        return f"omit {flag}, it is lossless"
    return (
        f"omit {flag}, or set what it has with -e KEY=VALUE "
        f"(see `ffmpeg -h encoder={codec}`)"
    )


def _check_crf(options: EncoderOptions, encoder: Encoder) -> None:
    scale = encoder.crf
    if scale is None:
        if options.crf is not None:
            raise OptionError(
                f"{options.codec} has no crf that vsr knows of (it was given "
                f"{options.crf:g}): {_way_out(options.codec, '--crf')}"
            )
        return
    for flag, value in _given(options, "--crf", f"{options.crf:g}", scale.option):
        try:
            is_inside = scale.low <= float(value) <= scale.high
        except ValueError:
            is_inside = False
        if not is_inside:
            raise OptionError(
                f"{flag} makes no sense: {options.codec} takes {scale.low:g} (best quality) "
                f"to {scale.high:g} (smallest file)"
            )


def _given(
    options: EncoderOptions,
    flag: str,
    value: str,
    key: str,
) -> Iterator[tuple[str, str]]:
    """A value as it was given: by its own flag, and as an option of the encoder."""
    yield f"{flag} {value}", value
    for name, other in options.extra:
        if name == key:
            yield f"-e {key}={other}", other


def _check_preset(options: EncoderOptions, encoder: Encoder) -> None:
    presets = encoder.preset
    if presets is None:
        if options.preset is not None:
            raise OptionError(
                f"{options.codec} has no preset that vsr knows of (it was given "
                f"{options.preset!r}): omit --preset"
            )
        return
    preset = str(options.preset)
    for flag, value in _given(options, "--preset", preset, presets.option):
        is_name = value in presets.values
        is_number = _WHOLE_NUMBER.fullmatch(value) is not None
        if is_name or (is_number and presets.low <= int(value) <= presets.high):
            continue
        raise OptionError(
            f"{flag}: {options.codec} has no preset {value!r}: choose from "
            f"{', '.join(presets.values)}, or a number from {presets.low} to {presets.high}"
        )


def _check_names(options: EncoderOptions, encoder: Encoder) -> None:
    for key, value in options.extra:
        known = encoder.names.get(key)
        if known is None:
            continue
        for name in value.replace(",", " ").replace("+", " ").split() or [""]:
            if name not in known:
                raise OptionError(
                    f"-e {key}={value}: {options.codec} has no {key} {name!r}: "
                    f"choose from {', '.join(known)}"
                )


def encoder_name(name: str) -> str:
    """FFmpeg's name of an encoder for the name of a format or a library, such as ``h265``."""
    plain = name.lower().replace(".", "").replace("-", "")
    candidates = SHORT_NAMES.get(plain, ())
    found = [candidate for candidate in candidates if _exists(candidate)]
    return next(iter((*found, *candidates)), name)


def find_codec(name: str, target: Path | str | None = None) -> av.codec.Codec:
    """Look up a video encoder.

    Args:
        name: FFmpeg's, or a short one.
        target: the output that it is for, whose ending names the container.

    Raises:
        OptionError: there is none of that name.
    """
    try:
        codec = av.codec.Codec(encoder_name(name), "w")
    except (ValueError, av.FFmpegError) as error:
        raise OptionError(
            f"unknown video encoder {name!r}{_suggestion(name, target)}"
        ) from error
    if codec.type != "video":
        raise OptionError(
            f"{name!r} is not a video encoder but one for {codec.type}"
            f"{_suggestion('', target)}"
        )
    return codec


def _suggestion(name: str, target: Path | str | None) -> str:
    """What may have been meant, and what the container takes."""
    encoders = list(filter(_exists, dict.fromkeys((*_SUGGESTED, *ENCODERS))))
    shorts = [short for short in SHORT_NAMES if encoder_name(short) in encoders]
    near = did_you_mean(name, (*encoders, *shorts)) if name else ""
    if target is None:
        return f"{near}: try {', '.join(_SUGGESTED)}"
    container = container_of(target)
    fitting = [each for each in encoders if takes_encoder(container, each)]
    return f"{near}: {container.name} takes {', '.join(fitting)}"


def _exists(name: str) -> bool:
    try:
        av.codec.Codec(name, "w")
    except (ValueError, av.FFmpegError):
        return False
    return True


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
    """Replace ``auto`` and short names by a real encoder.

    Args:
        options: as the user gave them.
        target: the output; its ending names the container.
        bits: of the source's samples.
        is_hdr: whether its transfer function or its metadata are those of HDR.

    Returns:
        The options with FFmpeg's name of an encoder.

    Raises:
        OutputError: the output's ending names no container.
        OptionError: there is no encoder of that name.
    """
    if options.codec != "auto":
        return replace(options, codec=find_codec(options.codec, target).name)
    codec = container_of(target).default_codec
    if codec is None:
        needs_x265 = bits > _MAX_SDR_BITS or is_hdr
        codec = "libx265" if needs_x265 else "libx264"
    return replace(options, codec=codec)


def choose_encoder(
    options: EncoderOptions,
    target: Path | str,
    *,
    bits: int,
    is_hdr: bool,
) -> tuple[EncoderOptions, str | None]:
    """Choose the encoder that is used on this machine, and its crf and preset.

    Args:
        options: as the user gave them.
        target: the output; its ending names the container.
        bits: of the source's samples.
        is_hdr: whether its transfer function or its metadata are those of HDR.

    Returns:
        The options with everything settled, and a line for the user if another encoder than theirs
        is used.

    Raises:
        OutputError: the output's ending names no container.
        OptionError: there is no such encoder, or it does not take its options.
    """
    resolved = resolve_codec(options, target, bits=bits, is_hdr=is_hdr)
    working, note = without_nvidia(resolved)
    return settled(working), note


def without_nvidia(options: EncoderOptions) -> tuple[EncoderOptions, str | None]:
    """Replace an NVENC encoder that cannot be opened here by the software one of its standard.

    Returns:
        The options, and a line for the user if they were changed.
    """
    software = SOFTWARE_TWINS.get(options.codec)
    if software is None:
        return options, None
    reason = open_quietly(lambda: _open_encoder(options.codec))
    if reason is None:
        return options, None
    presets = encoder_of(software).preset
    is_known = presets is not None and options.preset in presets.values
    preset = options.preset if is_known else None
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
