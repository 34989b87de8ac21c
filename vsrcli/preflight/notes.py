"""Lines for the user about a job: what is copied, converted, lost or decided."""

from __future__ import annotations

from pathlib import Path

from vsrcli.containers.advice import way_out
from vsrcli.containers.languages import UNDETERMINED
from vsrcli.containers.table import Container, container_of
from vsrcli.decode.delivered import is_rgb
from vsrcli.encode.caption_messages import caption_standard
from vsrcli.frame import (
    UNSPECIFIED,
    ColorTags,
    PixelFormat,
    StreamInfo,
    VideoInfo,
)
from vsrcli.options import UpscaleOptions
from vsrcli.streams.stream_plan import StreamPlan
from vsrcli.streams.stream_tags import global_tags, other_tags
from vsrcli.streams.trial_mux import stream_tags_that_fit, tags_that_fit
from vsrcli.wording import noun_for, plural

# Of a list that may be long, only so many are named.
_MAX_NAMED = 3
# H.273: BT.470 B/G and SMPTE 170M have the matrix of BT.601.
_BT601_MATRICES = (5, 6)

PICTURES_HOLD_NO_CAPTIONS = (
    "pictures hold no closed captions: those of the source are lost"
)


def stream_losses(
    info: VideoInfo, target: Path, streams: tuple[StreamPlan, ...]
) -> list[str]:
    """What is lost of the streams beside the video, and of chapters, tags and names."""
    lines = [_stream_line(plan) for plan in streams if plan.loses]
    container = container_of(target)
    labels, tags = _lost_labels(info, container, streams)
    count = len(labels) + len(tags)
    if not count:
        return lines

    def lost_count(other: Container) -> int:
        return sum(map(len, _lost_labels(info, other, streams)))

    advice = way_out(target, lambda other: not lost_count(other), "to keep them")
    if not advice:
        purpose = "to keep more of them"
        advice = way_out(target, lambda other: lost_count(other) < count, purpose)
    if tags:
        labels.append(f"the {noun_for(len(tags), 'tag')} {', '.join(tags)}")
    names = " and ".join(labels)
    lines.append(f"{container.name} has no place for {names}{advice}")
    return lines


def stream_notes(streams: tuple[StreamPlan, ...]) -> list[str]:
    """A line for all copied streams, and one for each converted or dropped one without a loss."""
    copied = [
        _short_name(plan.stream)
        for plan in streams
        if plan.action in ("copy", "attach")
    ]
    lines = []
    if copied:
        lines.append(f"copied: {noun_for(len(copied), 'stream')} {', '.join(copied)}")
    others = [plan for plan in streams if plan.action in ("convert", "drop")]
    lines += [_stream_line(plan) for plan in others if not plan.loses]
    return lines


def metadata_losses(info: VideoInfo, *, is_turned: bool) -> list[str]:
    """What is lost of the metadata that no output holds, or that no longer fits its pictures.

    Args:
        info: the source.
        is_turned: whether its pictures are turned.
    """
    lines = []
    if info.needs_dolby_vision:
        lines.append(
            "its colours are those of Dolby Vision alone (profile 5), which players show wrong "
            "without its metadata: convert the video to HDR10 first, such as with FFmpeg's filter "
            "libplacebo"
        )
    lines += [f"{item} is lost: no encoder here writes it" for item in info.uncarried]
    if is_turned:
        lines += [
            f"turned pictures are not marked as {name} any more: "
            "without --bake-rotation they are"
            for name in _immersive(info)
        ]
    return lines


def colour_note(info: VideoInfo, tags: ColorTags) -> str | None:
    """That a guess of players is tagged, since their guess would change; None if it is not.

    Args:
        info: the source.
        tags: of the output.
    """
    if info.format.is_rgb or is_rgb(info.pixel_format):
        return None
    if info.tags.matrix != UNSPECIFIED or tags.matrix == UNSPECIFIED:
        return None
    name = "BT.601" if tags.matrix in _BT601_MATRICES else "BT.709"
    return (
        "the source does not say what its colours are, and players guess by the size: "
        f"the output is tagged {name}, as they guess for {info.width}x{info.height}"
    )


def _immersive(info: VideoInfo) -> list[str]:
    """What a source is beyond an ordinary flat video."""
    names = []
    if info.stereo_mode is not None:
        names.append(f"two views ({info.stereo_mode.replace('_', ' ')})")
    if info.projection is not None:
        names.append("spherical video (360 degrees)")
    return names


def folder_notes(info: VideoInfo, pictures: PixelFormat) -> list[str]:
    """What to know of a folder of pictures that is made from a source."""
    lines = []
    is_converted = pictures.is_rgb and not info.format.is_rgb
    if is_converted and pictures.bits != info.format.bits:
        lines.append(
            f"the pictures have {pictures.bits} bits for the source's {info.format.bits}"
        )
    if info.rotation or info.display_matrix:
        lines.append(
            f"pictures hold no display rotation ({info.rotation:g} degrees): they are turned"
        )
    return lines


def folder_losses(info: VideoInfo, options: UpscaleOptions) -> list[str]:
    """What a folder of pictures cannot hold."""
    lines = []
    tracks = sum(stream.kind == "audio" for stream in info.streams)
    if tracks and options.audio != "none":
        lines.append(
            f"a folder of pictures holds no sound: {plural(tracks, 'audio track')} left out"
        )
    if info.sample_aspect not in (None, 1):
        lines.append(f"pictures hold no pixel aspect ratio ({info.sample_aspect})")
    return lines + picture_losses(info)


def picture_losses(info: VideoInfo) -> list[str]:
    """What pictures do not say of the video that they are from."""
    names = [f"pictures are not marked as {name}" for name in _immersive(info)]
    lost = [f"{item} is lost: pictures do not hold it" for item in info.uncarried]
    return names + lost


def caption_loss(codec: str | None) -> str | None:
    """The line that tells that closed captions are lost; None if the output holds them.

    Args:
        codec: FFmpeg's name of the encoder; None for a folder of pictures.
    """
    if codec is None:
        return PICTURES_HOLD_NO_CAPTIONS
    if caption_standard(codec) is not None:
        return None
    return (
        f"{codec} holds no closed captions: those of the source are lost; "
        "--codec libx264 in an .mp4 or .mkv keeps them"
    )


def clock_note(info: VideoInfo) -> str | None:
    """Where the source's clock restarts, as far as that is known before it is read; else None."""
    if not info.restarts:
        return None
    times = ", ".join(f"{float(time):.3f} s" for time in info.restarts[:_MAX_NAMED])
    more = len(info.restarts) - _MAX_NAMED
    if more > 0:
        times += f" and {plural(more, 'more time')}"
    return f"its clock restarts at {times}: the recordings in it follow each other without a gap"


def interlace_note(info: VideoInfo, options: UpscaleOptions) -> str | None:
    """What happens to interlaced pictures; None if there are none."""
    if not info.interlaced:
        return None
    if options.deinterlace == "off":
        return (
            "the source is interlaced and is not deinterlaced: moving edges will comb"
        )
    unit = "field" if options.deinterlace == "field" else "picture"
    return (
        f"the source is interlaced: it is deinterlaced (bwdif) first, each {unit} becomes a "
        "frame; --deinterlace off leaves the fields interlaced"
    )


def _lost_labels(
    info: VideoInfo, container: Container, streams: tuple[StreamPlan, ...]
) -> tuple[list[str], list[str]]:
    """What the container has no place for: chapters and names of streams; and tags."""
    lost = []
    if info.chapters and not container.keeps_chapters:
        lost.append(f"the {plural(info.chapters, 'chapter')}")
    kept = [plan.stream for plan in streams if plan.action != "drop"]
    if not container.keeps_titles and any(stream.title for stream in kept):
        lost.append("titles of streams")
    for stream in kept:
        missing = _lost_stream_tags(container, stream)
        if missing:
            tags = f"{noun_for(len(missing), 'tag')} {', '.join(missing)}"
            lost.append(f"the {tags} of stream {stream.index}")
    languages = {
        str(stream.language)
        for stream in kept
        if not container.keeps_language(stream.language)
    }
    if languages:
        names = ", ".join(sorted(languages))
        lost.append(f"the {noun_for(len(languages), 'language')} {names}")
    return lost, _lost_tags(info, container, streams)


def _lost_stream_tags(container: Container, stream: StreamInfo) -> list[str]:
    tags = other_tags(stream.tags)
    if not tags or stream.kind == "attachment" or stream.is_cover:
        return []
    fitting = stream_tags_that_fit(container, tags)
    return [name for name in tags if name not in fitting]


def _lost_tags(
    info: VideoInfo, container: Container, streams: tuple[StreamPlan, ...]
) -> list[str]:
    tags = global_tags(info.metadata)
    if not tags:
        return []
    fitting = tags_that_fit(container, tags)
    carried = set()
    for plan in streams:
        if plan.stream.detail == "timecode" and not plan.loses:
            carried.add("timecode")
    return [key for key in tags if key not in fitting and key.lower() not in carried]


def _stream_line(plan: StreamPlan) -> str:
    stream = plan.stream
    words = (stream.kind, stream.codec, stream.language)
    name = " ".join(word for word in words if word)
    fates = {"drop": "left out", "convert": f"converted to {plan.codec}"}
    fate = fates.get(plan.action, plan.action)
    return f"stream {stream.index} ({name}) is {fate}: {plan.reason}"


def _short_name(stream: StreamInfo) -> str:
    name = (stream.codec or stream.kind).upper()
    is_known = stream.language not in (None, "", UNDETERMINED)
    details = f"{name}, {stream.language}" if is_known else name
    return f"{stream.index} ({details})"
