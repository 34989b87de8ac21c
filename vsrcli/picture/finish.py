"""A doubled frame from its doubled luma."""

from __future__ import annotations

from vsrcli.frame import ColorTags, Frame, Plane
from vsrcli.picture.chroma import upscale_alpha, upscale_chroma


def finish_frame(
    frame: Frame,
    luma: Plane,
    tags: ColorTags,
    siting: str | None = None,
) -> Frame:
    """Combine doubled luma with interpolated chroma and alpha.

    Args:
        frame: the source's.
        luma: its doubled luma, (2H, 2W).
        tags: tell the chroma siting of the result.
        siting: where the frame's chroma is; None: where ``tags`` say.

    Returns:
        A frame of twice the size, with the source frame's format, time and duration.
    """
    layout = frame.format
    width, height = layout.chroma_size(2 * frame.width, 2 * frame.height)
    planes = [luma]
    for plane in frame.chroma:
        doubled = upscale_chroma(
            plane,
            format=layout,
            location=siting or tags.chroma_location,
            out_location=tags.chroma_location,
            out_size=(height, width),
        )
        planes.append(doubled)
    if frame.alpha is not None:
        planes.append(upscale_alpha(frame.alpha, layout.peak))
    return Frame(
        tuple(planes),
        layout,
        frame.time,
        frame.duration,
        frame.scene_cut,
    )
