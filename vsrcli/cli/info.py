"""``vsr info``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsrcli.cli.command import Command
from vsrcli.cli.console import print_facts, print_json
from vsrcli.cli.flags import FileName
from vsrcli.containers.languages import is_known
from vsrcli.wording import duration_text, rate_text

if TYPE_CHECKING:
    from vsrcli.frame import Cropping, Hdr, VideoInfo


@click.command("info", cls=Command)
@click.argument("source", metavar="FILE", type=FileName())
@click.option(
    "--to",
    "target",
    metavar="OUT",
    type=FileName(),
    help="Plan the streams for this output.  [default: FILE's own kind, or .mkv]",
)
@click.option(
    "--cost",
    is_flag=True,
    help="Also time every network: what upscaling would take here. Takes some seconds for each.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(source: Path, target: Path | None, cost: bool, as_json: bool) -> None:
    """Show what vsr sees in the video FILE, and what `vsr upscale` would do with each stream.

    \b
    vsr info film.mkv
    vsr info film.mkv --cost
    vsr info film.mkv --to film-x2.mp4 --json
    """
    description = _describe(source, target)
    if cost:
        description["costs"] = _describe_costs(source, description["target_suffix"])
    if as_json:
        print_json(description)
    else:
        print_facts(str(source), _facts(description))


def _facts(description: dict[str, Any]) -> list[tuple[str, str]]:
    facts = []
    for name, value in description["video"].items():
        text = "not specified" if value is None else str(value)
        facts.append((name.replace("_", " "), text))
    missing = description["missing_seconds"]
    if missing:
        facts.append(("damage", f"the last {missing:.2f} s are missing"))
    restarts = description["clock_restarts_seconds"]
    if restarts:
        times = ", ".join(f"{time:.3f} s" for time in restarts)
        facts.append(("clock", f"restarts at {times}: recordings follow each other"))
    suffix = description["target_suffix"]
    for stream in description["streams"]:
        plan = f"to {suffix}: {fate_of_stream(stream)} ({stream['reason']})"
        facts.append((f"stream {stream['index']}", f"{about_stream(stream)}; {plan}"))
    costs = description.get("costs", ())
    facts += [(f"cost of {cost['model']}", _cost_text(cost)) for cost in costs]
    return facts


def _describe_costs(source: Path, suffix: str) -> list[dict[str, Any]]:
    from vsrcli.jobs.costs import costs

    # beside the source: a name that is not its own, which nothing is written to
    target = source.with_name(f"{source.stem}-x2{suffix}")
    return [asdict(cost) for cost in costs(source, target)]


def _cost_text(cost: dict[str, Any]) -> str:
    if cost["error"] is not None:
        return str(cost["error"])
    speed = f"{rate_text(cost['seconds_per_frame'])} here ({cost['engine']})"
    if cost["seconds"] is None:
        return speed
    return f"about {duration_text(cost['seconds'])}, {speed}"


def about_stream(stream: dict[str, Any]) -> str:
    """What a stream is, in a few words."""
    parts = [stream["kind"], stream["codec"], stream["detail"]]
    if is_known(stream["language"]):
        parts.append(stream["language"])
    return " ".join(str(part) for part in parts if part)


def fate_of_stream(stream: dict[str, Any]) -> str:
    """What happens to a stream, in a word or two."""
    if stream["becomes"] is None:
        return str(stream["action"])
    return f"{stream['action']} to {stream['becomes']}"


def _describe(source: Path, target: Path | None) -> dict[str, Any]:
    from vsrcli.containers.table import DEFAULT_SUFFIX, can_be_written
    from vsrcli.decode.completeness import completeness
    from vsrcli.decode.probe import probe
    from vsrcli.streams.stream_plan import plan_streams

    info = probe(source)
    if target is None:
        suffix = source.suffix.lower() if can_be_written(source) else DEFAULT_SUFFIX
        target = source.with_suffix(suffix)
    plans = {plan.stream.index: plan for plan in plan_streams(info, target, "copy")}
    streams = []
    for stream in info.streams:
        plan = plans[stream.index]
        streams.append(
            {
                "index": stream.index,
                "kind": stream.kind,
                "codec": stream.codec,
                "language": stream.language,
                "title": stream.title,
                "detail": stream.detail,
                "action": plan.action,
                "becomes": plan.codec,
                "reason": plan.reason,
                "loses": plan.loses,
            }
        )
    return {
        "file": str(source),
        "video": _describe_video(info),
        "missing_seconds": float(completeness(info).missing),
        "clock_restarts_seconds": [float(time) for time in info.restarts],
        "metadata": info.metadata,
        "target_suffix": target.suffix,
        "streams": streams,
    }


def _describe_video(info: VideoInfo) -> dict[str, Any]:
    from vsrcli.decode.caption_reader import has_captions

    aspect = info.sample_aspect
    rate = info.rate
    duration = info.duration
    return {
        "container": info.container,
        "codec": info.video.codec,
        "size": f"{info.width}x{info.height}",
        "upscaled_size": f"{2 * info.width}x{2 * info.height}",
        "pixel_format": info.pixel_format,
        "range": info.tags.range,
        "matrix": info.tags.matrix,
        "primaries": info.tags.primaries,
        "transfer": info.tags.transfer,
        "chroma_location": info.tags.chroma_location,
        "hdr": _describe_hdr(info.hdr),
        "needs_dolby_vision": info.needs_dolby_vision,
        "sample_aspect": None if aspect is None else str(aspect),
        "cropped": _describe_cropping(info.cropping),
        "stereo": info.stereo_mode,
        "spherical": info.projection is not None,
        "not_carried": ", ".join(info.uncarried) or None,
        "rotation": info.rotation,
        "mirrored": _is_mirrored(info.display_matrix),
        "interlaced": info.interlaced,
        "closed_captions": has_captions(info),
        "frame_rate": None if rate is None else str(rate),
        "time_base": str(info.time_base),
        "start_seconds": float(info.start),
        "duration_seconds": None if duration is None else float(duration),
    }


def _is_mirrored(matrix: tuple[int, ...] | None) -> bool:
    if matrix is None:
        return False
    determinant = matrix[0] * matrix[4] - matrix[1] * matrix[3]
    return determinant < 0


def _describe_cropping(cropping: Cropping) -> str | None:
    if not cropping:
        return None
    sides = {
        "left": cropping.left,
        "top": cropping.top,
        "right": cropping.right,
        "bottom": cropping.bottom,
    }
    return ", ".join(f"{width} {side}" for side, width in sides.items() if width)


def _describe_hdr(hdr: Hdr) -> str | None:
    parts = []
    if hdr.mastering is not None:
        darkest = float(hdr.mastering.min_luminance)
        brightest = float(hdr.mastering.max_luminance)
        luminance = f"{darkest:g} to {brightest:g} cd/m2"
        parts.append(f"graded on {luminance if brightest else 'a known display'}")
    if hdr.content_light is not None:
        pixel, frame_average = hdr.content_light
        parts.append(f"MaxCLL {pixel}, MaxFALL {frame_average} cd/m2")
    parts += hdr.dynamic
    return "; ".join(parts) or None
