"""Options of the output's encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from vsrcli.options.check import check_choices
from vsrcli.options.declare import option
from vsrcli.options.encoder_files import refuse_encoder_files

Quality = Literal["high", "balanced", "small"]

# Encoders that most sources and players suit; any other of FFmpeg's will do.
CODECS = (
    *("auto", "h264", "hevc", "av1", "vp9", "libx264", "libx265", "libsvtav1"),
    *("libvpx-vp9", "ffv1", "prores_ks", "h264_nvenc", "hevc_nvenc", "av1_nvenc"),
)
# Of libx264 and libx265, from the fastest to the smallest file.
PRESETS = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast", "medium"),
    *("slow", "slower", "veryslow", "placebo"),
)
DEFAULT_QUALITY: Quality = "balanced"


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderOptions:
    """How the output video is encoded.

    Raises:
        OptionError: no such quality, or an option that makes the encoder use files of its own.
    """

    codec: str = option(
        "auto",
        "Encoder: h264, hevc, av1, vp9, or by FFmpeg's name (libx264, ffv1, ...); "
        "`auto` chooses by source and OUT.",
        group="Output",
        flags=("--codec", "-c"),
        suggestions=CODECS,
        metavar="NAME",
    )
    quality: Quality | None = option(
        None,
        "Sets --crf and --preset as suits the encoder.  [default: balanced]",
        group="Output",
        is_common=True,
        choices=get_args(Quality),
    )
    crf: float | None = option(
        None,
        "Constant quality; lower: better quality, larger file.  [default: 16, mostly]",
        group="Output",
        is_common=True,
        metavar="N",
    )
    preset: str | None = option(
        None,
        "Speed of the encoder, if it has presets.  [default: medium]",
        group="Output",
        suggestions=PRESETS,
        metavar="NAME",
    )
    pix_fmt: str | None = option(
        None,
        "Pixel format.  [default: the source's, if possible]",
        group="Output",
        metavar="FORMAT",
    )
    extra: tuple[tuple[str, str], ...] = option(
        (),
        "Another option of the encoder, such as -e tune=film; repeatable.",
        group="Output",
        flags=("-e",),
        metavar="KEY=VALUE",
    )

    def __post_init__(self) -> None:
        check_choices(self, "quality")
        for key, value in self.extra:
            refuse_encoder_files(key, value)
