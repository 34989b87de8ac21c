"""The log of a run, and its curves as a picture: loss and gain over bicubic by step."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

LOG_NAME = "log.csv"


def append_row(
    folder: Path,
    facts: Mapping[str, float | str],
    gains: Mapping[str, Mapping[str, float]],
) -> None:
    """Add a row to ``log.csv`` of a run's folder.

    Args:
        folder: the run's.
        facts: values by column.
        gains: kinds of gain, each by degradation, dB. A log that is there keeps its own columns.
    """
    row = {
        name: f"{value:.6g}" if isinstance(value, float) else value
        for name, value in facts.items()
    }
    for kind, by_domain in gains.items():
        row |= {
            f"{kind}_{domain}_db": f"{gain:.4f}" for domain, gain in by_domain.items()
        }
    path = folder / LOG_NAME
    columns = list(row)
    if path.is_file() and path.stat().st_size:
        with path.open(newline="") as text:
            columns = next(csv.reader(text))
    with path.open("a", newline="") as text:
        writer = csv.DictWriter(
            text, columns, restval="", extrasaction="ignore", lineterminator="\n"
        )
        if not text.tell():
            writer.writeheader()
        writer.writerow(row)


def draw(folder: Path) -> Path | None:
    """Draw ``log.csv`` of a run's folder as ``curves.png`` beside it.

    Returns:
        The picture, or None where the log has nothing to draw yet.
    """
    log = folder / LOG_NAME
    if not log.is_file():
        return None
    with log.open(newline="") as text:
        rows = list(csv.DictReader(text))
    if not rows:
        return None
    # imported here: it takes a second, and most runs of vsr draw nothing
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    steps = [int(row["step"]) for row in rows]
    figure = Figure(figsize=(8, 6), layout="constrained")
    FigureCanvasAgg(figure)
    gains, loss = figure.subplots(2, 1, sharex=True)
    for name in rows[0]:
        if name.startswith("gain_"):
            gains.plot(
                steps,
                [float(row[name]) for row in rows],
                marker=".",
                label=name.removeprefix("gain_").removesuffix("_db"),
            )
    gains.axhline(0, color="grey", linewidth=0.8)
    gains.set_ylabel("PSNR gain over bicubic, dB")
    gains.legend()
    loss.plot(steps, [float(row["loss"]) for row in rows], marker=".", color="tab:red")
    loss.set_ylabel("training loss (running mean, 0..1 units)")
    loss.set_xlabel("step")
    for axes in (gains, loss):
        axes.grid(alpha=0.3)
    temporary, path = folder / ".curves.part", folder / "curves.png"
    figure.savefig(temporary, format="png", dpi=100)
    temporary.replace(path)
    return path
