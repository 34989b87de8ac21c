"""``vsr info``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vsrcli.cli.console import print_facts, print_json
from vsrcli.frame import Hdr


@click.command("info", short_help="Show what vsr sees in a video.")
@click.argument("source", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "target",
    metavar="OUT",
    type=click.Path(path_type=Path),
    help="Judge streams for this output.  [default: FILE's own kind, or .mkv]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(source: Path, target: Path | None, as_json: bool) -> None:
    """Show what vsr sees in the video FILE, and what `vsr upscale` would do with each of its streams.

    \b
    vsr info film.mkv
    vsr info film.mkv --to film-x2.mp4 --json
    """
    found = _describe(source, target)
    if as_json:
        print_json(found)
        return
    facts = [
        (name.replace("_", " "), "not said" if value is None else str(value))
        for name, value in found["video"].items()
    ]
    if found["missing_seconds"]:
        facts.append(
            ("damage", f"the last {found['missing_seconds']:.2f} s are missing")
        )
    for stream in found["streams"]:
        about = " ".join(
            str(part)
            for part in (
                stream["kind"],
                stream["codec"],
                stream["detail"],
                stream["language"],
            )
            if part
        )
        does = (
            stream["action"]
            if stream["becomes"] is None
            else f"{stream['action']} to {stream['becomes']}"
        )
        facts.append(
            (
                f"stream {stream['index']}",
                f"{about}; to {found['target_suffix']}: {does} ({stream['reason']})",
            )
        )
    print_facts(str(source), facts)


def _mirrors(matrix: tuple[int, ...]) -> bool:
    return matrix[0] * matrix[4] < matrix[1] * matrix[3]


def _hdr(hdr: Hdr) -> str | None:
    parts = []
    if hdr.mastering is not None:
        parts.append(
            f"graded on {float(hdr.mastering.min_luminance):g} to {float(hdr.mastering.max_luminance):g} cd/m2"
        )
    if hdr.content_light is not None:
        parts.append("MaxCLL {}, MaxFALL {} cd/m2".format(*hdr.content_light))
    return "; ".join([*parts, *hdr.dynamic]) or None


def _describe(source: Path, target: Path | None) -> dict[str, Any]:
    from vsrcli.media.encoders import CONTAINERS
    from vsrcli.media.probe import completeness, probe
    from vsrcli.media.streams import plan_streams

    info = probe(source)
    suffix = (
        target.suffix
        if target is not None
        else (source.suffix.lower() if source.suffix.lower() in CONTAINERS else ".mkv")
    )
    output = target or source.with_suffix(suffix)
    plan = {each.stream.index: each for each in plan_streams(info, output, "copy")}
    return {
        "file": str(source),
        "video": {
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
            "hdr": _hdr(info.hdr),
            "sample_aspect": None
            if info.sample_aspect is None
            else str(info.sample_aspect),
            "rotation": info.rotation,
            "mirrored": info.display_matrix is not None
            and _mirrors(info.display_matrix),
            "interlaced": info.interlaced,
            "frame_rate": None if info.rate is None else str(info.rate),
            "time_base": str(info.time_base),
            "start_seconds": float(info.start),
            "duration_seconds": None if info.duration is None else float(info.duration),
        },
        "missing_seconds": float(completeness(info).missing),
        "metadata": info.metadata,
        "target_suffix": suffix,
        "streams": [
            {
                "index": stream.index,
                "kind": stream.kind,
                "codec": stream.codec,
                "language": stream.language,
                "title": stream.title,
                "detail": stream.detail,
                "action": plan[stream.index].action,
                "becomes": plan[stream.index].codec,
                "reason": plan[stream.index].reason,
                "loses": plan[stream.index].loses,
            }
            for stream in info.streams
        ],
    }
