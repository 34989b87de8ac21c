"""What the video of an output should be; the work and the verification both follow it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from vsrcli.decode.delivered import is_rgb
from vsrcli.encode.encoder_table import encoder_of
from vsrcli.encode.formats import choose_format
from vsrcli.encode.output import OutputVideo
from vsrcli.frame import PixelFormat, VideoInfo
from vsrcli.options import EncoderOptions, UpscaleOptions
from vsrcli.picture.matrices import tags_for_size
from vsrcli.picture.orientation import Orientation
from vsrcli.preflight.pictures import Conversion, picture_layout, picture_tags
from vsrcli.preflight.rate_check import source_rate, splits_fields


def time_base(info: VideoInfo, options: UpscaleOptions) -> Fraction:
    """Unit of the frames' times, seconds: half the source's if each field becomes a frame."""
    return info.time_base / 2 if splits_fields(info, options) else info.time_base


def output_video(
    info: VideoInfo, options: UpscaleOptions, conversion: Conversion
) -> OutputVideo:
    """What the output of a source should be if encoder and container keep everything."""
    turned = conversion.orientation or Orientation()
    width, height = turned.size(2 * info.width, 2 * info.height)
    if conversion.bits is None:
        layout = turned.layout(conversion.layout or info.format)
        tags = conversion.tags
        if layout.has_chroma:
            tags = tags_for_size(
                tags,
                (info.width, info.height),
                (width, height),
            )
    else:
        layout = picture_layout(info, conversion.bits)
        tags = picture_tags(info)
    is_baked = conversion.orientation is not None
    return OutputVideo(
        width=width,
        height=height,
        format=layout,
        tags=tags,
        sample_aspect=turned.aspect(info.sample_aspect),
        rotation=0.0 if is_baked else info.rotation,
        display_matrix=None if is_baked else info.display_matrix,
        time_base=info.time_base,
        rate=_output_rate(info, options),
        hdr=info.hdr,
        stereo_mode=None if is_baked else info.stereo_mode,
        projection=None if is_baked else info.projection,
    )


def format_losses(
    info: VideoInfo, video: OutputVideo, encoder: EncoderOptions
) -> tuple[list[str], EncoderOptions]:
    """What the encoder cannot keep of the pixels.

    Returns:
        A line for each loss; and the encoder's options. An encoder made for players gets RGB with
        halved chroma.
    """
    is_for_players = encoder_of(encoder.codec).for_players
    if is_rgb(info.pixel_format) and encoder.pix_fmt is None and is_for_players:
        halved = PixelFormat.parse(video.format.name.replace("444", "420"))
        if halved is not None:
            chosen = choose_format(encoder, halved)[0]
            loses_alpha = video.format.has_alpha and not chosen.has_alpha
            alpha = " and loses alpha" if loses_alpha else ""
            line = (
                f"RGB becomes {chosen.name} (BT.709){alpha}: --pix-fmt yuv444p keeps the "
                "colours' resolution, but few players show it; --codec ffv1 keeps everything"
            )
            return [line], replace(encoder, pix_fmt=chosen.name)
    loss = choose_format(encoder, video.format)[1]
    return ([] if loss is None else [loss]), encoder


def _output_rate(info: VideoInfo, options: UpscaleOptions) -> Fraction | None:
    return source_rate(info, options) if options.rate == "source" else options.rate
