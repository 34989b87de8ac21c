"""``vsr bench``."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsrcli.cli.console import log_to_stderr, note, print_table, progress_bar
from vsrcli.cli.flags import option_flags
from vsrcli.errors import OptionError, OutputError
from vsrcli.options import BenchOptions

if TYPE_CHECKING:
    from vsrcli.bench.report import BenchReport, BenchRow

_GAINS = ("over bicubic dB", "temporal gain dB")


@click.command("bench", short_help="Score networks or results against ground truth.")
@click.argument(
    "truths", metavar="GT...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@option_flags(BenchOptions)
@click.option(
    "--json",
    "json_file",
    metavar="FILE",
    help="Write everything as JSON; - for stdout.",
)
@click.option(
    "--csv",
    "csv_file",
    metavar="FILE",
    help="Write every frame's figures as CSV; - for stdout.",
)
@click.option(
    "--plot",
    "plot_file",
    metavar="FILE.png",
    help="Draw the curves of all methods over the frames.",
)
@click.option(
    "--html",
    "html_file",
    metavar="FILE.html",
    help="Write a page of its own: table, curves, worst and median frame to compare.",
)
@click.option(
    "--overwrite", "-y", is_flag=True, help="Replace such files if they exist."
)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but results and errors.")
@click.option("--no-progress", is_flag=True, help="Show no progress bar.")
@click.option("-v", "--verbose", count=True, help="Say more; twice for everything.")
def command(
    truths: tuple[Path, ...],
    overwrite: bool,
    quiet: bool,
    no_progress: bool,
    verbose: int,
    **values: Any,
) -> None:
    """Score networks and plain interpolation on the ground truth GT: videos, folders of frames (PNG, TIFF), or a training pack.

    Each GT is halved, doubled again by every method through the code of `vsr upscale`, and compared with itself; or its low-resolution version is given with
    --lr; or a result of any tool is scored with --compare.

    \b
    vsr bench film.mp4 --frames 50
    vsr bench film.mp4 -m delta -m run/best.safetensors --degrade crf:23 --html report.html
    vsr bench frames/ --protocol report --degrade blur3
    vsr bench --compare result.mp4 original.mp4 --metrics psnr,ssim
    """
    log_to_stderr(0 if quiet else verbose)
    outputs = {
        kind: values.pop(f"{kind}_file") for kind in ("json", "csv", "plot", "html")
    }
    options = BenchOptions(**values)
    if len(truths) > 1 and (options.lr or options.compare):
        raise OptionError(
            "--lr and --compare belong to one ground truth: give one GT, or run them one by one"
        )
    _check_outputs(outputs, len(truths), overwrite)

    from vsrcli.bench.benchmark import Bench
    from vsrcli.bench.progress import BenchProgress

    benches = [Bench(truth, options) for truth in truths]
    reports: list[BenchReport] = []
    for bench in benches:
        with progress_bar(
            bench.path.name, "frames", enabled=not (quiet or no_progress)
        ) as show:

            def on_progress(
                progress: BenchProgress,
                show: Callable[[float | None, int, str], None] = show,
            ) -> None:
                show(progress.share, progress.frames, progress.method)

            reports.append(bench.run(on_progress))
        if "-" not in outputs.values():
            _print(reports[-1])
    if len(reports) > 1 and "-" not in outputs.values():
        _print_mean(reports)
    if outputs["json"]:
        everything = [report.as_json() for report in reports]
        _deliver(
            outputs["json"],
            json.dumps(
                everything if len(everything) > 1 else everything[0],
                indent=1,
                allow_nan=False,
            )
            + "\n",
        )
    if outputs["csv"]:
        _deliver(outputs["csv"], _csv(reports))
    if outputs["plot"]:
        from vsrcli.bench.plot import plot

        _deliver(outputs["plot"], plot(reports[0]))
    if outputs["html"]:
        from vsrcli.bench.page import render

        _deliver(outputs["html"], render(reports[0], benches[0].shots(reports[0])))
    for file in outputs.values():
        if file and file != "-" and not quiet:
            note(f"wrote {file}")


def _check_outputs(
    outputs: dict[str, str | None], truths: int, overwrite: bool
) -> None:
    if truths > 1 and (outputs["plot"] or outputs["html"]):
        raise OptionError(
            "--plot and --html show one ground truth: give one GT, or run them one by one"
        )
    if sum(file == "-" for file in outputs.values()) > 1 or "-" in (
        outputs["plot"],
        outputs["html"],
    ):
        raise OptionError("only one of --json and --csv can go to stdout (-)")
    for kind, file in outputs.items():
        if file is None or file == "-":
            continue
        if not Path(file).parent.is_dir():
            raise OutputError(
                f"--{kind} {file}: there is no folder {Path(file).parent}"
            )
        if Path(file).is_dir():
            raise OutputError(f"--{kind} {file}: this is a folder; name a file")
        if Path(file).exists() and not overwrite:
            raise OutputError(
                f"--{kind} {file} exists: name another file, or replace it with -y"
            )


def _deliver(file: str, content: str | bytes) -> None:
    if file == "-" and isinstance(content, str):
        sys.stdout.write(content)
        return
    data = content.encode() if isinstance(content, str) else content
    temporary = Path(file).with_name(f".{Path(file).name}.part")
    try:
        temporary.write_bytes(data)
        temporary.replace(file)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OutputError(f"{file}: cannot be written: {error.strerror}") from error


def _csv(reports: list[BenchReport]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [metric.name for metric in reports[0].metrics]
    writer.writerow(["ground_truth", "method", "frame", "time", *names])
    for report in reports:
        for row in report.rows:
            for frame, time in enumerate(report.times):
                writer.writerow(
                    [
                        report.ground_truth,
                        row.name,
                        frame,
                        f"{time:.6f}",
                        *(f"{row.per_frame[name][frame]:.9g}" for name in names),
                    ]
                )
    return text.getvalue()


def _print(report: BenchReport) -> None:
    count = f"{report.frames} frame{'' if report.frames == 1 else 's'}"
    inner = f"{report.width}x{report.height}, {count}, {report.degradation}; protocol {report.protocol}, crop {report.crop}"
    header = [
        "method",
        *(metric.title for metric in report.metrics),
        *_GAINS,
        "frames/s",
        "peak MB",
    ]
    rows = [_cells(report, row) for row in report.rows]
    if all(row.gain_db is None for row in report.rows):
        header = header[:-4]
        rows = [row[:-4] for row in rows]
    print_table(f"{report.ground_truth}: {inner}", header, rows)


def _cells(report: BenchReport, row: BenchRow) -> list[str]:
    figures = [
        _shown(row.means[metric.name], f".{metric.digits}f")
        for metric in report.metrics
    ]
    gain = "" if row.gain_db is None else _shown(row.gain_db, "+.2f")
    temporal = (
        "" if row.temporal_gain_db is None else _shown(row.temporal_gain_db, "+z.2f")
    )
    rate = (
        ""
        if row.frames_per_second is None
        else f"{row.frames_per_second:{'.0f' if row.frames_per_second >= 100 else '.3g'}}"
    )
    memory = "" if row.peak_memory_mb is None else f"{row.peak_memory_mb:.0f}"
    return [row.name, *figures, gain, temporal, rate, memory]


def _print_mean(reports: list[BenchReport]) -> None:
    first = reports[0]
    header = ["method", *(metric.title for metric in first.metrics), *_GAINS]
    rows = []
    for place, row in enumerate(first.rows):
        same = [report.rows[place] for report in reports]
        figures = [
            _shown(
                sum(each.means[metric.name] for each in same) / len(same),
                f".{metric.digits}f",
            )
            for metric in first.metrics
        ]
        gains = [each.gain_db for each in same if each.gain_db is not None]
        gain = _shown(sum(gains) / len(gains), "+.2f") if gains else ""
        gains = [
            each.temporal_gain_db for each in same if each.temporal_gain_db is not None
        ]
        temporal = _shown(sum(gains) / len(gains), "+z.2f") if gains else ""
        rows.append([row.name, *figures, gain, temporal])
    print_table(f"mean of {len(reports)} ground truths", header, rows)


def _shown(value: float, digits: str) -> str:
    if math.isfinite(value):
        return f"{value:{digits}}"
    return "inf" if value > 0 else "-inf" if math.isinf(value) else "-"
