"""``vsr upscale --dry-run``: what would happen, on stdout."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsrcli.cli.console import print_facts, print_json
from vsrcli.cli.info import about_stream, fate_of_stream
from vsrcli.cli.progress import progress_bar
from vsrcli.options import BatchOptions, UpscaleOptions
from vsrcli.wording import bytes_text, duration_text, moment_text, plural

if TYPE_CHECKING:
    from vsrcli.jobs.dry_run import DryRun
    from vsrcli.jobs.dry_run_batch import DryItem


def show_dry_run(
    source: Path,
    target: Path,
    options: UpscaleOptions,
    *,
    as_json: bool,
    progress: bool,
) -> None:
    """Show what a run would do; writes nothing."""
    from vsrcli.jobs.dry_run import dry_run

    with progress_bar(source.name, "frames", enabled=progress):
        found = dry_run(source, target, options)
    if as_json:
        print_json(found.as_dict())
    else:
        print_facts(_title(source, target), _facts(found))


def show_dry_batch(
    sources: tuple[Path, ...],
    batch: BatchOptions,
    options: UpscaleOptions,
    *,
    as_json: bool,
    progress: bool,
) -> None:
    """Show what a batch would do, file by file and in all; writes nothing."""
    from vsrcli.jobs.dry_run_batch import dry_run_all

    items: list[DryItem] = []
    found = dry_run_all(sources, batch, options)
    for number, source in enumerate(sources, start=1):
        place = (number, len(sources))
        with progress_bar(source.name, "frames", enabled=progress, place=place):
            item = next(found)
        items.append(item)
        if not as_json:
            print_facts(_title(item.source, item.target), _item_facts(item))
    if as_json:
        print_json([_item_as_json(item) for item in items])
    else:
        print_facts("in all", _total_facts(items))
    if any(item.error is not None for item in items):
        raise click.exceptions.Exit(1)


def _title(source: Path, target: Path) -> str:
    return f"{source} to {target}: nothing is written"


def _facts(found: DryRun) -> list[tuple[str, str]]:
    from vsrcli.estimate.outlook import speed_text, time_text

    described = found.as_dict()
    outlook = found.outlook
    engine = found.engine
    facts = [
        ("source", _source_text(described)),
        ("output", _output_text(described)),
    ]
    for stream in described["streams"]:
        fate = f"{fate_of_stream(stream)} ({stream['reason']})"
        facts.append((f"stream {stream['index']}", f"{about_stream(stream)}: {fate}"))
    facts.append(("frames", _frames_text(described)))
    if found.segments:
        done = f", {found.segments_done} are done" if found.segments_done else ""
        facts.append(("segments", f"{found.segments:,}{done}"))
    weights = "" if engine.domain is None else f" ({engine.domain} weights)"
    runs_on = f"{engine.backend} on {engine.device}, {engine.precision}"
    facts.append(("network", f"{engine.model}{weights}, {runs_on}"))
    facts.append(("speed", speed_text(outlook)))
    facts.append(("time", time_text(outlook, datetime.now())))
    if found.comparison is not None:
        facts.append(("faster", found.comparison))
    facts.append(("output size", _size_text(found)))
    facts.append(("disk", _disk_text(found)))
    facts += [("note", line) for line in found.notes]
    return facts


def _source_text(described: dict[str, Any]) -> str:
    source = described["input"]
    size = f"{source['width']}x{source['height']}"
    return f"{source['codec']} {size}, {_rate(source['frame_rate'])}, {_length(source['seconds'])}"


def _output_text(described: dict[str, Any]) -> str:
    output = described["output"]
    size = f"{output['width']}x{output['height']}"
    parts = [f"{output['codec'] or 'pictures'} {size}"]
    if output["pixel_format"] is not None:
        parts.append(output["pixel_format"])
    if output["crf"] is not None:
        parts.append(f"crf {output['crf']:g}")
    if output["preset"] is not None:
        parts.append(f"preset {output['preset']}")
    parts.append(_rate(output["frame_rate"]))
    return ", ".join(parts)


def _rate(rate: str | None) -> str:
    if rate is None:
        return "an unknown rate"
    if rate == "source":
        return "at the source's times"
    return f"{float(Fraction(rate)):.6g} frames/s"


def _length(seconds: float | None) -> str:
    return "of unknown length" if seconds is None else duration_text(seconds)


def _frames_text(described: dict[str, Any]) -> str:
    if described["frames_in"] is None:
        return "an unknown number"
    parts = [f"{described['frames_in']:,} in"]
    if described["frames_left_out"]:
        parts.append(f"{described['frames_left_out']:,} left out")
    parts.append(f"{described['frames_to_compute']:,} to compute")
    if described["frames_done"]:
        parts.append(f"{described['frames_done']:,} of them done by an earlier run")
    if described["frames_repeated"]:
        parts.append(f"{described['frames_repeated']:,} repeated")
    parts.append(f"{described['frames_out']:,} out")
    return ", ".join(parts)


def _size_text(found: DryRun) -> str:
    from vsrcli.estimate.outlook import size_text

    if found.outlook.output_bytes is None:
        return size_text(found.outlook)
    way = "from typical sizes"
    if found.outlook.output_is_sampled:
        way = "from some of its frames, encoded"
    return f"{size_text(found.outlook)}, {way}"


def _disk_text(found: DryRun) -> str:
    free = found.disk_free_bytes
    if free is None:
        return "none: the output is a pipe"
    needed = found.outlook.disk_bytes
    if needed is None:
        return f"{bytes_text(free)} are free"
    return f"up to {bytes_text(needed)} while it works, {bytes_text(free)} are free"


def _item_facts(item: DryItem) -> list[tuple[str, str]]:
    if item.found is not None:
        return _facts(item.found)
    if item.error is not None:
        return [("error", item.error)]
    return [("skipped", "it already exists")]


def _total_facts(items: Sequence[DryItem]) -> list[tuple[str, str]]:
    outlooks = [item.found.outlook for item in items if item.found is not None]
    failed = sum(item.error is not None for item in items)
    skipped = len(items) - len(outlooks) - failed
    facts = [
        (
            "files",
            f"{len(outlooks)} to upscale, {skipped} skipped, {failed} that cannot be",
        )
    ]
    unknown = sum(outlook.seconds is None for outlook in outlooks)
    seconds = sum(outlook.seconds or 0.0 for outlook in outlooks)
    size = sum(outlook.output_bytes or 0 for outlook in outlooks)
    now = datetime.now()
    ends = now + timedelta(seconds=min(seconds, 3e9))
    without = (
        f", without {plural(unknown, 'file')} of unknown length" if unknown else ""
    )
    facts.append(
        (
            "time",
            f"about {duration_text(seconds)}, ends {moment_text(ends, now)}{without}",
        )
    )
    facts.append(("output size", f"about {bytes_text(size)}{without}"))
    return facts


def _item_as_json(item: DryItem) -> dict[str, Any]:
    return {
        "source": str(item.source),
        "target": str(item.target),
        "error": item.error,
        "run": None if item.found is None else item.found.as_dict(),
    }
