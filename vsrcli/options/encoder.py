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
        "Video encoder, by FFmpeg's name (libx264, libx265, libsvtav1, libvpx-vp9, ffv1, "
        "prores_ks, hevc_nvenc, ...); `auto` picks libx264, libx265 for more than 8 bits and "
        "HDR, libvpx-vp9 for .webm.",
        flags=("--codec", "-c"),
    )
    crf: float = option(
        16.0,
        "Constant quality, for encoders that have it; lower: better quality, larger file.",
    )
    preset: str = option(
        "medium",
        "Speed preset, for encoders that have it.",
    )
    pix_fmt: str | None = option(
        None,
        "Pixel format of the output.  [default: the source's, if the encoder takes it]",
    )
    extra: tuple[tuple[str, str], ...] = option(
        (),
        "Another encoder option, such as -e tune=film; repeatable.",
        flags=("-e",),
        metavar="KEY=VALUE",
    )

    def __post_init__(self) -> None:
        for key, value in self.extra:
            refuse_encoder_files(key, value)
