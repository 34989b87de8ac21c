"""``vsr bench``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsrcli.cli.bench_tables import as_csv, print_mean, print_report
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
from vsrcli.errors import OptionError, OutputError
from vsrcli.options import BenchOptions
from vsrcli.paths import is_folder, output_name, refuse_inputs

if TYPE_CHECKING:
    from vsrcli.bench.benchmark import Bench
    from vsrcli.bench.progress import BenchProgress
    from vsrcli.bench.report import BenchReport

_STDOUT = "-"
# kind of output -> file, _STDOUT, or None if it is not requested
_Outputs = dict[str, str | None]


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
    outputs: _Outputs = {
        "json": json_file,
        "csv": csv_file,
        "plot": plot_file,
        "html": html_file,
    }
    _check_outputs(outputs, len(truths), overwrite)

    from vsrcli.bench.benchmark import Bench

    prints_tables = _STDOUT not in outputs.values()
    benches = [Bench(truth, options) for truth in truths]
    for file in _files(outputs).values():
        for bench in benches:
            refuse_inputs(Path(file), bench.inputs)
    reports: list[BenchReport] = []
    for bench in benches:
        name = bench.path.name
        with progress_bar(name, "frames", enabled=not (quiet or no_progress)) as show:
            report = _run(bench, show)
        reports.append(report)
        if prints_tables:
            print_report(report)
    if prints_tables and len(reports) > 1:
        print_mean(reports)
    _write_outputs(outputs, benches, reports)
    if not quiet:
        for file in _files(outputs).values():
            note(f"wrote {file}")


def _run(bench: Bench, show: ShowProgress) -> BenchReport:
    def on_progress(progress: BenchProgress) -> None:
        show(progress.share, progress.frames, progress.method)

    return bench.run(on_progress)


def _files(outputs: _Outputs) -> dict[str, str]:
    """Those outputs that are files."""
    return {kind: file for kind, file in outputs.items() if file and file != _STDOUT}


def _check_outputs(outputs: _Outputs, truths: int, overwrite: bool) -> None:
    pictures = (outputs["plot"], outputs["html"])
    if truths > 1 and any(pictures):
        raise OptionError(
            "--plot and --html show one ground truth: "
            "give one GT, or run them one by one"
        )
    to_stdout = list(outputs.values()).count(_STDOUT)
    if to_stdout > 1 or _STDOUT in pictures:
        raise OptionError("only one of --json and --csv can go to stdout (-)")
    for kind, file in outputs.items():
        if file is None or file == _STDOUT:
            continue
        path = output_name(Path(file))
        if not is_folder(path.parent):
            raise OutputError(f"--{kind} {file}: there is no folder {path.parent}")
        if path.is_dir():
            raise OutputError(f"--{kind} {file}: this is a folder; name a file")
        if path.exists() and not path.is_file():
            raise OutputError(
                f"--{kind} {file}: this is not a regular file: name another; - is stdout"
            )
        if path.exists() and not overwrite:
            raise OutputError(
                f"--{kind} {file} exists: name another file, or replace it with -y"
            )


def _write_outputs(
    outputs: _Outputs,
    benches: Sequence[Bench],
    reports: Sequence[BenchReport],
) -> None:
    if outputs["json"]:
        _write(outputs["json"], _as_json(reports))
    if outputs["csv"]:
        _write(outputs["csv"], as_csv(reports))
    if outputs["plot"]:
        from vsrcli.bench.plot import plot

        _write(outputs["plot"], plot(reports[0]))
    if outputs["html"]:
        from vsrcli.bench.page import render

        shots = benches[0].shots(reports[0])
        _write(outputs["html"], render(reports[0], shots))


def _as_json(reports: Sequence[BenchReport]) -> str:
    """One report as an object, several as a list."""
    entries: list[Any] = [report.as_json() for report in reports]
    value = entries if len(entries) > 1 else entries[0]
    return json.dumps(value, indent=1, allow_nan=False) + "\n"


def _write(file: str, content: str | bytes) -> None:
    """Write to a file, which gets its name when it is whole, or to stdout."""
    if file == _STDOUT and isinstance(content, str):
        sys.stdout.write(content)
        return
    data = content.encode() if isinstance(content, str) else content
    path = Path(file).resolve()  # of a link, what it leads to
    temporary = path.with_name(f".{path.name}.part")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OutputError(f"{file}: cannot be written: {error.strerror}") from error
