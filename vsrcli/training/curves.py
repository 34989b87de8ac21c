"""The curves of a run as a picture: loss and gain over bicubic by step."""

from __future__ import annotations

import csv
from pathlib import Path

from vsrcli.training.trainer import LOG_NAME


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
            gains.plot(steps, [float(row[name]) for row in rows], marker=".", label=name.removeprefix("gain_").removesuffix("_db"))
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
