"""``vsr bench``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsrcli.cli.bench_outputs import (
    STDOUT,
    Outputs,
    check_endings,
    check_outputs,
    files_of,
    write_outputs,
)
from vsrcli.cli.bench_tables import print_mean, print_report
from vsrcli.cli.command import Command, Option
from vsrcli.cli.console import log_to_stderr, note
from vsrcli.cli.flags import (
    TEXT,
    FileName,
    no_progress_flag,
    option_flags,
    verbose_flag,
)
from vsrcli.cli.progress import ShowProgress, progress_bar
from vsrcli.errors import OptionError
from vsrcli.options import BenchOptions
from vsrcli.paths import refuse_inputs

if TYPE_CHECKING:
    from vsrcli.bench.benchmark import Bench
    from vsrcli.bench.progress import BenchProgress
    from vsrcli.bench.report import BenchReport


@click.command("bench", cls=Command)
@click.argument(
    "truths",
    metavar="GT...",
    nargs=-1,
    required=True,
    type=FileName(),
)
@option_flags(BenchOptions)
@click.option(
    "--json",
    "json_file",
    cls=Option,
    group="Output",
    type=TEXT,
    metavar="FILE",
    help="Write everything as JSON; - for stdout.",
)
@click.option(
    "--csv",
    "csv_file",
    cls=Option,
    group="Output",
    type=TEXT,
    metavar="FILE",
    help="Write every frame's figures as CSV; - for stdout.",
)
@click.option(
    "--plot",
    "plot_file",
    cls=Option,
    group="Output",
    type=TEXT,
    metavar="FILE.png",
    help="Draw the curves of all methods over the frames.",
)
@click.option(
    "--html",
    "html_file",
    cls=Option,
    group="Output",
    type=TEXT,
    metavar="FILE.html",
    help="Write a self-contained page: table, curves, worst and median frame to compare.",
)
@click.option(
    "--overwrite",
    "-y",
    cls=Option,
    group="Output",
    is_flag=True,
    help="Replace these files if they exist.",
)
@click.option(
    "-q",
    "--quiet",
    is_flag=True,
    help="Print results and errors only.",
)
@no_progress_flag
@verbose_flag
def command(
    truths: tuple[Path, ...],
    json_file: str | None,
    csv_file: str | None,
    plot_file: str | None,
    html_file: str | None,
    overwrite: bool,
    quiet: bool,
    no_progress: bool,
    verbose: int,
    **values: Any,
) -> None:
    """Score networks and plain interpolation on the ground truth GT.

    A GT is a video, a folder of frames (PNG, TIFF), or a training pack. It is halved, doubled
    again with every method by the code of `vsr upscale`, and the result is compared with the
    original. --lr gives the low-resolution version instead of making it; --compare scores the
    result of any tool.

    \b
    vsr bench film.mp4 --frames 50
    vsr bench film.mp4 -m delta -m run/best.safetensors --degrade crf:23 --html report.html
    vsr bench frames/ --protocol report --degrade blur3
    vsr bench --compare result.mp4 original.mp4 --metrics psnr,ssim
    """
    log_to_stderr(0 if quiet else verbose)
    options = BenchOptions(**values)
    if len(truths) > 1 and (options.lr or options.compare):
        raise OptionError(
            "--lr and --compare belong to one ground truth: "
            "give one GT, or run them one by one"
        )
    outputs: Outputs = {
        "json": json_file,
        "csv": csv_file,
        "plot": plot_file,
        "html": html_file,
    }
    check_outputs(outputs, len(truths), overwrite=overwrite)

    from vsrcli.bench.benchmark import Bench

    prints_tables = STDOUT not in outputs.values()
    benches = [Bench(truth, options) for truth in truths]
    for file in files_of(outputs).values():
        for bench in benches:
            refuse_inputs(Path(file), bench.inputs)
    check_endings(outputs)
    reports: list[BenchReport] = []
    for number, bench in enumerate(benches, start=1):
        with progress_bar(
            bench.path.name,
            "frames",
            enabled=not (quiet or no_progress),
            place=(number, len(benches)),
        ) as show:
            report = _run(bench, show)
        reports.append(report)
        if prints_tables:
            print_report(report)
    if prints_tables and len(reports) > 1:
        print_mean(reports)
    write_outputs(outputs, benches, reports, overwrite=overwrite)
    if not quiet:
        for file in files_of(outputs).values():
            note(f"wrote {file}")


def _run(bench: Bench, show: ShowProgress) -> BenchReport:
    def on_progress(progress: BenchProgress) -> None:
        show(progress.share, progress.frames, progress.method)

    return bench.run(on_progress)
