"""``vsr upscale``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsrcli.cli.command import Command
from vsrcli.cli.console import log_to_stderr, note, print_json, record
from vsrcli.cli.dry_run import show_dry_batch, show_dry_run
from vsrcli.cli.flags import (
    FileName,
    as_typed,
    dry_run_flag,
    field_values,
    json_summary_flag,
    log_flag,
    no_progress_flag,
    option_flags,
    quiet_flag,
    verbose_flag,
    with_encoder,
)
from vsrcli.cli.progress import progress_bar, show_frames
from vsrcli.cli.run_log import facts, run_log
from vsrcli.errors import OptionError
from vsrcli.options import BatchOptions, EncoderOptions, UpscaleOptions
from vsrcli.wording import plural

if TYPE_CHECKING:
    from vsrcli.jobs.batch import BatchItem
    from vsrcli.pipeline.upscale_report import UpscaleReport


@click.command("upscale", cls=Command)
@click.argument(
    "paths",
    metavar="IN OUT",
    nargs=-1,
    required=True,
    type=FileName(),
)
@option_flags(UpscaleOptions, EncoderOptions, BatchOptions)
@dry_run_flag
@quiet_flag
@no_progress_flag
@json_summary_flag
@verbose_flag
@log_flag
def command(
    paths: tuple[Path, ...],
    quiet: bool,
    no_progress: bool,
    as_json: bool,
    verbose: int,
    log: Path | None,
    dry_run: bool,
    **values: Any,
) -> None:
    """Double the resolution of the video IN and write it to OUT, or of several with --out-dir.

    Audio is copied. The output runs at 30 frames a second; `--fps source` keeps every frame of IN
    at its own time. OUT appears only once it is complete. To continue after an interruption, run
    the same command again.

    \b
    vsr upscale in.mp4 out.mp4
    vsr upscale in.mp4 out.mp4 --dry-run
    vsr upscale in.mkv out.mkv --model 5-parallel --fps source --crf 18
    vsr upscale in.mp4 out.mp4 --model auto --budget 2h
    vsr upscale in.mp4 out.mp4 --start 1:30 --end 1:40 -y
    vsr upscale a.mp4 b.mkv c.mov --out-dir big --skip-existing
    """
    log_to_stderr(0 if quiet else verbose)
    options = with_encoder(UpscaleOptions, values)
    batch = BatchOptions(**field_values(BatchOptions, values))
    display = _Display(
        quiet=quiet,
        progress=not (quiet or no_progress),
        as_json=as_json,
        log=log,
    )
    if batch.out_dir is not None and dry_run:
        show_dry_batch(
            paths, batch, options, as_json=as_json, progress=display.progress
        )
        return
    if batch.out_dir is not None:
        _upscale_many(paths, batch, options, display)
        return
    if len(paths) != 2:
        given = "1 name was" if len(paths) == 1 else f"{len(paths)} names were"
        raise click.UsageError(
            f"give IN and OUT ({given} given), or files and --out-dir DIR",
            click.get_current_context(),
        )
    if batch.skip_existing:
        raise OptionError("--skip-existing belongs to --out-dir")
    source, target = paths

    from vsrcli.jobs.typed_target import check_typed_target

    check_typed_target(source, as_typed(target))
    if dry_run:
        show_dry_run(
            source, target, options, as_json=as_json, progress=display.progress
        )
        return
    _upscale_one(source, target, options, display)


@dataclass(frozen=True)
class _Display:
    """What to print."""

    quiet: bool
    progress: bool
    as_json: bool
    log: Path | None

    @property
    def is_silent(self) -> bool:
        """Whether nobody sees the lines for the user."""
        return self.quiet and self.log is None


def _upscale_one(
    source: Path,
    target: Path,
    options: UpscaleOptions,
    display: _Display,
) -> None:
    if str(target) == "-" and (display.as_json or options.verify):
        flag = "--json" if display.as_json else "--verify"
        raise OptionError(
            f"the video goes to standard output: {flag} needs an output that is a file"
        )

    from vsrcli.jobs.upscale import upscale

    say = record if display.quiet else note
    with run_log(display.log, [source], [target]):
        with progress_bar(source.name, "frames", enabled=display.progress) as show:
            report = upscale(
                source,
                target,
                options,
                on_progress=lambda progress: show_frames(show, progress),
                on_note=None if display.is_silent else say,
            )
        record(facts(report))
        say_result = record if display.as_json else say
        say_result(f"{target}: {_summary(report)}")
    if display.as_json:
        print_json(asdict(report))


def _upscale_many(
    sources: tuple[Path, ...],
    batch: BatchOptions,
    options: UpscaleOptions,
    display: _Display,
) -> None:
    from vsrcli.cli.batch_display import BatchDisplay
    from vsrcli.jobs.batch import target_for, upscale_all

    folder = Path(batch.out_dir or "")
    targets = [target_for(source, folder) for source in sources]
    shown = BatchDisplay(_summary, quiet=display.quiet, progress=display.progress)
    with run_log(display.log, sources, targets), shown:
        items = upscale_all(sources, batch, options, shown)
        shown.sum_up(items)
    if display.as_json:
        print_json([_item_as_json(item) for item in items])
    if any(item.error is not None for item in items):
        raise click.exceptions.Exit(1)


def _item_as_json(item: BatchItem) -> dict[str, Any]:
    return {
        "source": str(item.source),
        "target": str(item.target),
        "error": item.error,
        "report": item.report and asdict(item.report),
    }


def _summary(report: UpscaleReport) -> str:
    rate = report.frames_computed / report.seconds if report.seconds else 0.0
    frames = plural(report.frames_out, "frame")
    from_before = report.frames_resumed + report.frames_recalled
    resumed = f"{plural(from_before, 'frame')} resumed, " if from_before else ""
    return (
        f"{frames} of {report.width}x{report.height} in {report.seconds:.1f} s "
        f"({resumed}{rate:.2f} frames/s upscaled, {report.model} on {report.device})"
    )
