"""``vsr train``."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsrcli.cli.command import Command
from vsrcli.cli.console import (
    log_to_stderr,
    note,
    print_json,
)
from vsrcli.cli.flags import (
    json_summary_flag,
    no_progress_flag,
    option_flags,
    quiet_flag,
    verbose_flag,
)
from vsrcli.cli.progress import ShowProgress, progress_bar
from vsrcli.options import TrainOptions
from vsrcli.wording import plural

if TYPE_CHECKING:
    from vsrcli.clips.prepare import PrepareReport
    from vsrcli.training.plan import Progress


@click.command("train", cls=Command)
@option_flags(TrainOptions)
@quiet_flag
@no_progress_flag
@json_summary_flag
@verbose_flag
def command(
    quiet: bool,
    no_progress: bool,
    as_json: bool,
    verbose: int,
    **values: Any,
) -> None:
    """Train a network, and report its gain over bicubic on held-out clips.

    It starts from scratch or from a checkpoint. Ctrl-C saves the run; `--resume DIR` continues
    exactly where it stopped.

    A machine without PyAV can train on packs alone. Make one elsewhere with `--prepare DIR`: it
    holds the clips, and degraded versions of them for the video domain.

    \b
    vsr train --data footage/ --out run --time 2h
    vsr train --data mine.mp4 --init video --out run --time 10m
    vsr train --resume run --time 3h
    vsr train --prepare pack --data footage/
    """
    log_to_stderr(0 if quiet else verbose)
    options = TrainOptions(**values)
    shows_progress = not (quiet or no_progress)
    if options.prepare is not None:
        _prepare(options, as_json, quiet, shows_progress)
    else:
        _train(options, as_json, quiet, shows_progress)


def _train(
    options: TrainOptions,
    as_json: bool,
    quiet: bool,
    shows_progress: bool,
) -> None:
    from vsrcli.training.job import train

    with progress_bar("training", "steps", enabled=shows_progress) as show:
        display = _ProgressDisplay(show, notes=not quiet)
        report = train(options, display.update, _ignore if quiet else note)
    if as_json:
        print_json(asdict(report))
    elif not quiet:
        note(f"use it with: vsr upscale IN OUT --model {report.best}")


class _ProgressDisplay:
    """Shows a running training in the progress bar, and its validations as notes."""

    def __init__(self, show: ShowProgress, *, notes: bool) -> None:
        self._show = show
        self._notes = notes
        self._gain = ""  # by the last validation

    def update(self, progress: Progress) -> None:
        """Show a report of the training."""
        if progress.gain_db:
            first_gain = next(iter(progress.gain_db.values()))
            self._gain = f"{first_gain:+.2f} dB over bicubic"
        loss = "" if math.isnan(progress.loss) else f"loss {progress.loss:.4f}"
        texts = [text for text in (loss, self._gain) if text]
        self._show(progress.share, progress.step, ", ".join(texts))
        if progress.gain_db is not None and self._notes:
            note(
                f"step {progress.step}, {progress.seconds:.0f} s: "
                f"over bicubic {_gains(progress)}"
            )


def _gains(progress: Progress) -> str:
    temporal_gains = progress.temporal_gain_db or {}
    texts = []
    for domain, gain in (progress.gain_db or {}).items():
        temporal = temporal_gains.get(domain, 0.0)
        texts.append(f"{gain:+.3f} dB on {domain} (temporal {temporal:+.3f})")
    return ", ".join(texts)


def _ignore(line: str) -> None:
    del line


def _prepare(
    options: TrainOptions,
    as_json: bool,
    quiet: bool,
    shows_progress: bool,
) -> None:
    from vsrcli.clips.prepare import prepare

    with progress_bar("preparing", "versions", enabled=shows_progress) as show:

        def on_progress(done: int, total: int) -> None:
            show(done / total, done, total=total)

        report = prepare(options, on_progress, _ignore if quiet else note)
    if as_json:
        print_json(asdict(report))
    elif not quiet:
        _print_prepared(report)


def _print_prepared(report: PrepareReport) -> None:
    """Say what a pack holds and how to train from it."""
    folder = Path(report.folder)
    total = sum(report.files.values())
    note(f"wrote {folder} in {report.seconds:.0f} s, {total / 1e6:.1f} MB:")
    for name, size in sorted(report.files.items()):
        note(f"  {name} {size / 1e6:.2f} MB")
    clips = plural(report.training_clips, "clip")
    versions = plural(report.variants, "degraded version")
    note(
        f"{clips} to train on, {versions} of each; "
        f"{report.validation_clips} to validate on"
    )
    train = folder / "train.mp4"
    val = folder / "val.mp4"
    note(
        f"train from it with: vsr train --data {train} --val {val} --out DIR --time 2h"
    )
