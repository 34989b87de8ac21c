"""Options of the output's encoder."""

from __future__ import annotations

from dataclasses import dataclass

from vsrcli.options.declare import option
from vsrcli.options.encoder_files import refuse_encoder_files


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderOptions:
    """How the output video is encoded."""

    codec: str = option(
        "auto",
        "Encoder, by FFmpeg's name (libx264, libx265, libsvtav1, libvpx-vp9, ffv1, "
        "...); `auto` suits the source and OUT.",
        group="Output",
        flags=("--codec", "-c"),
    )
    crf: float = option(
        16.0,
        "Constant quality: lower is better and larger.",
        group="Output",
        is_common=True,
    )
    preset: str = option(
        "medium",
        "Speed of the encoder, if it has presets.",
        group="Output",
    )
    pix_fmt: str | None = option(
        None,
        "Pixel format.  [default: the source's, if possible]",
        group="Output",
    )
    extra: tuple[tuple[str, str], ...] = option(
        (),
        "Another option of the encoder, such as -e tune=film; repeatable.",
        group="Output",
        flags=("-e",),
        metavar="KEY=VALUE",
    )

    def __post_init__(self) -> None:
        for key, value in self.extra:
            refuse_encoder_files(key, value)
