"""``vsr upscale``."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsrcli.cli.console import log_to_stderr, note, print_json, progress_bar
from vsrcli.cli.flags import option_flags, with_encoder
from vsrcli.errors import OptionError
from vsrcli.options import BatchOptions, EncoderOptions, UpscaleOptions

if TYPE_CHECKING:
    from vsrcli.run.pipeline import UpscaleProgress, UpscaleReport


@click.command("upscale", short_help="Double the resolution of a video.")
@click.argument(
    "paths", metavar="IN OUT", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@option_flags(BatchOptions, UpscaleOptions, EncoderOptions)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
@click.option("--no-progress", is_flag=True, help="Show no progress bar.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print a summary of the run as JSON on stdout.",
)
@click.option("-v", "--verbose", count=True, help="Say more; twice for everything.")
def command(
    paths: tuple[Path, ...],
    quiet: bool,
    no_progress: bool,
    as_json: bool,
    verbose: int,
    **values: Any,
) -> None:
    """Double the resolution of the video IN and write it to OUT; or of many, with --out-dir.

    Audio is copied. The output runs at 30 frames a second; `--fps source` keeps every frame of IN at its own time. OUT appears under its name only when
    everything went well. After an interruption the same command goes on.

    \b
    vsr upscale in.mp4 out.mp4
    vsr upscale in.mkv out.mkv --model 5-parallel --fps source --crf 18
    vsr upscale in.mp4 out.mp4 --model auto --budget 2h
    vsr upscale in.mp4 out.mp4 --start 1:30 --end 1:40 -y
    vsr upscale a.mp4 b.mkv c.mov --out-dir big --skip-existing
    """
    log_to_stderr(0 if quiet else verbose)
    options, batch = (
        with_encoder(UpscaleOptions, values),
        BatchOptions(
            **{field.name: values[field.name] for field in fields(BatchOptions)}
        ),
    )
    shown = _Shown(quiet, quiet or no_progress, as_json)
    if batch.out_dir is not None:
        _many(paths, batch, options, shown)
        return
    if len(paths) != 2:
        raise click.UsageError(
            f"give IN and OUT ({len(paths)} names were given), or files and --out-dir DIR",
            click.get_current_context(),
        )
    if batch.skip_existing:
        raise OptionError("--skip-existing belongs to --out-dir")
    _one(*paths, options, shown)


@dataclass(frozen=True)
class _Shown:
    """What is to be seen on the terminal."""

    quiet: bool
    no_progress: bool
    as_json: bool


def _one(source: Path, target: Path, options: UpscaleOptions, shown: _Shown) -> None:
    if str(target) == "-" and (shown.as_json or options.verify):
        raise OptionError(
            f"the video goes to standard output: {'--json' if shown.as_json else '--verify'} needs an output that is a file"
        )

    from vsrcli.run.upscale import upscale

    with progress_bar(source.name, "frames", enabled=not shown.no_progress) as show:
        report = upscale(
            source,
            target,
            options,
            on_progress=_progress(show),
            on_note=None if shown.quiet else note,
        )
    if shown.as_json:
        print_json(asdict(report))
    elif not shown.quiet:
        note(f"{target}: {_summary(report)}")


def _many(
    sources: tuple[Path, ...],
    batch: BatchOptions,
    options: UpscaleOptions,
    shown: _Shown,
) -> None:
    from vsrcli.run.batch import BatchItem, upscale_all

    with ExitStack() as bars:

        def on_begin(source: Path, target: Path) -> Callable[[UpscaleProgress], None]:
            return _progress(
                bars.enter_context(
                    progress_bar(source.name, "frames", enabled=not shown.no_progress)
                )
            )

        def on_end(item: BatchItem) -> None:
            bars.close()
            if item.error is not None:
                note(f"error: {item.error}")
            elif not shown.quiet:
                note(
                    f"{item.target}: {'skipped, it is there already' if item.report is None else _summary(item.report)}"
                )

        items = upscale_all(
            sources,
            batch,
            options,
            on_begin=on_begin,
            on_note=None if shown.quiet else note,
            on_end=on_end,
        )
    failed = [item for item in items if item.error is not None]
    if shown.as_json:
        print_json(
            [
                {
                    "source": str(item.source),
                    "target": str(item.target),
                    "error": item.error,
                    "report": item.report and asdict(item.report),
                }
                for item in items
            ]
        )
    if not shown.quiet:
        skipped = sum(item.is_skipped for item in items)
        names = ", ".join(str(item.source) for item in failed)
        note(
            f"{len(items) - len(failed) - skipped} done, {skipped} skipped, {len(failed)} failed{f': {names}' if failed else ''}"
        )
    if failed:
        raise click.exceptions.Exit(1)


def _progress(
    show: Callable[[float | None, int, str], None],
) -> Callable[[UpscaleProgress], None]:
    return lambda progress: show(
        progress.share, progress.frames_upscaled, f"{progress.frames_out} frames"
    )


def _summary(report: UpscaleReport) -> str:
    rate = report.frames_computed / report.seconds if report.seconds else 0.0
    return (
        f"{report.frames_out} frames of {report.width}x{report.height} in {report.seconds:.1f} s "
        f"({rate:.2f} frames/s upscaled, {report.model} on {report.device})"
    )
