"""The log of a run, and its curves as a picture: loss and gain over bicubic by step."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

LOG_NAME = "log.csv"


def append_row(
    folder: Path,
    values: Mapping[str, float | str],
    gains: Mapping[str, Mapping[str, float]],
) -> None:
    """Add a row to ``log.csv`` in a run's folder, after those of earlier steps.

    The first one is that of step 0, which has no loss (NaN). An existing log keeps its columns.

    Args:
        folder: the run's.
        values: by column.
        gains: kinds of gain, each by degradation, dB.
    """
    row: dict[str, float | str] = {}
    for name, value in values.items():
        is_float = isinstance(value, float)
        row[name] = f"{value:.6g}" if is_float else value
    for kind, by_domain in gains.items():
        for domain, gain in by_domain.items():
            row[f"{kind}_{domain}_db"] = f"{gain:.4f}"
    path = folder / LOG_NAME
    columns, rows = _read_log(path)
    if not rows:
        columns = list(row)
    # a run that was killed after its last row comes here once more
    rows = [other for other in rows if int(other["step"]) < int(row["step"])]
    temporary = path.with_name(f".{LOG_NAME}.part")
    with temporary.open("w", newline="") as text:
        writer = csv.DictWriter(
            text,
            columns,
            restval="",
            extrasaction="ignore",
            lineterminator="\n",
        )
        writer.writeheader()
        writer.writerows([*rows, row])
    temporary.replace(path)


def _read_log(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """The columns of a log and its whole rows: of one that was cut off, what is there."""
    if not path.is_file():
        return [], []
    with path.open(newline="", errors="replace") as text:
        reader = csv.DictReader(text)
        rows = [row for row in reader if _is_whole(row)]
        return list(reader.fieldnames or ()), rows


def _is_whole(row: dict[str, str]) -> bool:
    """Whether a row has all columns, with numbers where the curves need them."""
    try:
        int(row["step"])
        for name, value in row.items():
            if name == "loss" or name.startswith("gain_"):
                float(value)
    except (KeyError, ValueError, TypeError, AttributeError):
        return False
    return None not in row.values()


def draw(folder: Path) -> Path | None:
    """Draw ``log.csv`` in a run's folder as ``curves.png`` beside it.

    Returns:
        The picture, or None if the log has nothing to draw yet.
    """
    rows = _read_log(folder / LOG_NAME)[1]
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
        if not name.startswith("gain_"):
            continue
        domain = name.removeprefix("gain_").removesuffix("_db")
        values = [float(row[name]) for row in rows]
        gains.plot(steps, values, marker=".", label=domain)
    gains.axhline(0, color="grey", linewidth=0.8)
    gains.set_ylabel("PSNR gain over bicubic, dB")
    gains.legend()
    losses = [float(row["loss"]) for row in rows]
    loss.plot(steps, losses, marker=".", color="tab:red")
    loss.set_ylabel("training loss (running mean, 0..1 units)")
    loss.set_xlabel("step")
    gains.grid(alpha=0.3)
    loss.grid(alpha=0.3)
    path = folder / "curves.png"
    temporary = folder / ".curves.part"
    figure.savefig(temporary, format="png", dpi=100)
    temporary.replace(path)
    return path
