"""``vsr upscale``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from vsrcli.cli.console import log_to_stderr, note, print_json, progress_bar, stderr
from vsrcli.cli.flags import option_flags, with_encoder
from vsrcli.errors import OptionError
from vsrcli.options import EncoderOptions, UpscaleOptions


@click.command("upscale", short_help="Double the resolution of a video.")
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
@option_flags(UpscaleOptions, EncoderOptions)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
@click.option("--no-progress", is_flag=True, help="Show no progress bar.")
@click.option("--json", "as_json", is_flag=True, help="Print a summary of the run as JSON on stdout.")
@click.option("-v", "--verbose", count=True, help="Say more; twice for everything.")
def command(source: Path, target: Path, quiet: bool, no_progress: bool, as_json: bool, verbose: int, **values: Any) -> None:
    """Double the resolution of the video IN and write it to OUT.

    Audio is copied. The output runs at 30 frames a second; `--fps source` keeps every frame of IN at its own time. OUT appears under its name only when
    everything went well.

    \b
    vsr upscale in.mp4 out.mp4
    vsr upscale in.mkv out.mkv --model 5-parallel --fps source --crf 18
    vsr upscale in.mp4 out.mp4 --model auto --budget 2h
    vsr upscale in.mp4 out.mp4 --start 1:30 --end 1:40 -y
    """
    log_to_stderr(0 if quiet else verbose)
    options = with_encoder(UpscaleOptions, values)
    if str(target) == "-" and (as_json or options.verify):
        raise OptionError(f"the video goes to standard output: {'--json' if as_json else '--verify'} needs an output that is a file")

    from vsrcli.run.pipeline import UpscaleProgress
    from vsrcli.run.upscale import upscale

    with progress_bar(source.name, "frames", enabled=not (quiet or no_progress)) as show:

        def on_progress(progress: UpscaleProgress) -> None:
            show(progress.share, progress.frames_upscaled, f"{progress.frames_out} frames")

        report = upscale(source, target, options, on_progress=on_progress, on_note=None if quiet else note)
    if as_json:
        print_json(asdict(report))
    if not (quiet or as_json):
        rate = report.frames_upscaled / report.seconds if report.seconds else 0.0
        stderr().print(
            f"vsr: {target}: {report.frames_out} frames of {report.width}x{report.height} in {report.seconds:.1f} s "
            f"({rate:.2f} frames/s upscaled, {report.model} on {report.device})",
            markup=False,
        )
