"""``vsr train``."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from vsrcli.cli.console import log_to_stderr, note, print_json, progress_bar
from vsrcli.cli.flags import option_flags
from vsrcli.options import TrainOptions


@click.command("train", short_help="Train a network on your own footage.")
@option_flags(TrainOptions)
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
    quiet: bool, no_progress: bool, as_json: bool, verbose: int, **values: Any
) -> None:
    """Train a network, from scratch or from a checkpoint, and report its gain over bicubic on clips held out.

    Ctrl-C saves the run; `--resume DIR` goes on exactly where it stopped.

    A machine without PyAV can train on packs alone. Make one elsewhere with `--prepare DIR`: it holds
    the clips, and degraded versions of them for the video domain.

    \b
    vsr train --data footage/ --out run --time 2h
    vsr train --data mine.mp4 --init video --out run --time 10m
    vsr train --resume run --time 3h
    vsr train --prepare pack --data footage/
    """
    log_to_stderr(0 if quiet else verbose)
    options = TrainOptions(**values)
    if options.prepare is not None:
        _prepare(options, as_json=as_json, quiet=quiet, no_progress=no_progress)
        return

    from vsrcli.training.plan import Progress
    from vsrcli.training.run import train

    with progress_bar("training", "steps", enabled=not (quiet or no_progress)) as show:
        gain = ""

        def on_progress(progress: Progress) -> None:
            nonlocal gain
            if progress.gain_db:
                gain = f", {next(iter(progress.gain_db.values())):+.2f} dB over bicubic"
            loss = "" if math.isnan(progress.loss) else f"loss {progress.loss:.4f}"
            show(progress.share, progress.step, f"{loss}{gain}".removeprefix(", "))
            if progress.gain_db is not None and not quiet:
                temporal = progress.temporal_gain_db or {}
                gains = ", ".join(
                    f"{value:+.3f} dB on {domain} (temporal {temporal.get(domain, 0.0):+.3f})"
                    for domain, value in progress.gain_db.items()
                )
                note(
                    f"step {progress.step}, {progress.seconds:.0f} s: over bicubic {gains}"
                )

        report = train(options, on_progress, (lambda line: None) if quiet else note)
    if as_json:
        print_json(asdict(report))
    elif not quiet:
        note(f"use it with: vsr upscale IN OUT --model {report.best}")


def _prepare(
    options: TrainOptions, *, as_json: bool, quiet: bool, no_progress: bool
) -> None:
    """Write a prepared pack, and say what it holds and how to train from it."""
    from vsrcli.training.prepare import prepare

    def ignore(line: str) -> None:
        del line

    with progress_bar(
        "preparing", "versions", enabled=not (quiet or no_progress)
    ) as show:

        def on_progress(done: int, total: int) -> None:
            show(done / total, done, f"{done} of {total} degraded versions")

        report = prepare(options, on_progress, ignore if quiet else note)
    if as_json:
        print_json(asdict(report))
    elif not quiet:
        total = sum(report.files.values())
        note(f"wrote {report.folder} in {report.seconds:.0f} s, {total / 1e6:.1f} MB:")
        for name, size in sorted(report.files.items()):
            note(f"  {name} {size / 1e6:.2f} MB")
        plural = "" if report.variants == 1 else "s"
        versions = f"{report.variants} degraded version{plural}"
        note(
            f"{report.training_clips} clips to train on, {versions} of each; "
            f"{report.validation_clips} to validate on"
        )
        train = Path(report.folder) / "train.mp4"
        val = Path(report.folder) / "val.mp4"
        note(
            f"train from it with: vsr train --data {train} --val {val} --out DIR --time 2h"
        )
