"""A benchmark as one self-contained HTML page: table, curves, frames to compare with a slider.

The template is ``page.html``; this module fills in the data.
"""

from __future__ import annotations

import base64
import json
import math
import re
import struct
import zlib
from dataclasses import dataclass
from html import escape as escape_html
from importlib.resources import files
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrcli.bench.report import BenchReport, BenchRow, Shot
from vsrcli.metrics.info import MetricInfo
from vsrcli.wording import printable

_MAX_POINTS = 2000
_GROUND_TRUTH = "ground truth"
_NO_FIGURE = "–"
_TEMPORAL_GAIN = "Temporal gain, dB"
_TEMPORAL_GAIN_NOTE = (
    "PSNR over that of the same network when it is given the middle frame five times, "
    "mean over frames"
)
_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of the table: its title, a figure per row, and the best figure if there is one."""

    title: str
    figures: list[str]
    best: str | None = None


def render(report: BenchReport, shots: list[Shot]) -> str:
    """Make the page.

    Args:
        report: the benchmark.
        shots: frames to show, each with every method's picture.

    Returns:
        HTML, with everything inline.
    """
    data = {
        "curves": _curves(report),
        "shots": [_shot_data(shot) for shot in shots],
    }
    figures = []
    for number, shot in enumerate(shots):
        figures.append(_shot(number, shot, report))
    parts = {
        "TITLE": _text(report.ground_truth),
        "FACTS": _facts(report),
        "TABLE": _table(report),
        "NOTES": _notes(report),
        "SHOTS": "".join(figures),
        "DATA": _script_json(data),
    }
    file = files("vsrcli.bench").joinpath("page.html")
    template = file.read_text(encoding="utf-8")
    return _PLACEHOLDER.sub(lambda match: parts[match[1]], template)


def _text(value: str) -> str:
    """Text for the page: names can come from files of others."""
    return escape_html(printable(value))


def _script_json(value: Any) -> str:
    """JSON that cannot end the script element it is in."""
    text = json.dumps(
        value,
        allow_nan=False,
        separators=(",", ":"),
    )
    for character in ("<", "\u2028", "\u2029"):
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _facts(report: BenchReport) -> str:
    facts = {
        "Low resolution": report.degradation,
        "Size": f"{report.width} × {report.height}",
        "Frames": f"{report.frames:,}",
        "Protocol": f"{report.protocol}, {report.crop} pixels left out at each border",
        "Data range": f"0..{report.data_range:g}",
    }
    items = []
    for name, value in facts.items():
        items.append(f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>")
    return "".join(items)


def _notes(report: BenchReport) -> str:
    """What the columns of the table mean, as list items."""
    notes = {metric.title: metric.note for metric in report.metrics}
    if _has_temporal_gain(report):
        notes[_TEMPORAL_GAIN] = _TEMPORAL_GAIN_NOTE
    items = []
    for title, note in notes.items():
        items.append(f"<li><b>{_text(title)}</b>: {_text(note)}</li>")
    return "".join(items)


def _has_temporal_gain(report: BenchReport) -> bool:
    return any(row.temporal_gain_db is not None for row in report.rows)


def _table(report: BenchReport) -> str:
    columns = _columns(report)
    titles = ["Method", *(column.title for column in columns)]
    head = [f'<th scope="col">{_text(title)}</th>' for title in titles]
    lines = []
    for number, row in enumerate(report.rows):
        cells = [f'<th scope="row">{_text(row.name)}</th>']
        for column in columns:
            figure = column.figures[number]
            mark = " class=best" if figure == column.best else ""
            cells.append(f"<td{mark}>{figure}</td>")
        mark = " class=baseline" if row.is_baseline else ""
        lines.append(f"<tr{mark}>{''.join(cells)}</tr>")
    return (
        f"<table><thead><tr>{''.join(head)}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table>"
    )


def _columns(report: BenchReport) -> list[_Column]:
    rows = report.rows
    columns = [_metric_column(report, metric) for metric in report.metrics]
    if any(row.gain_db is not None for row in rows):
        gains = [_figure(row.gain_db, "+.2f") for row in rows]
        columns.append(_Column("Gain over bicubic, dB", gains))
    if _has_temporal_gain(report):
        gains = [_figure(row.temporal_gain_db, "+z.2f") for row in rows]
        columns.append(_Column(_TEMPORAL_GAIN, gains))
    if any(row.frames_per_second is not None for row in rows):
        speeds = [_speed(row.frames_per_second) for row in rows]
        columns.append(_Column("Frames/s", speeds))
        memory = [_figure(row.peak_memory_mb, ".0f") for row in rows]
        columns.append(_Column("Peak memory, MB", memory))
    return columns


def _metric_column(report: BenchReport, metric: MetricInfo) -> _Column:
    """A metric's column; the best figure is text, so that figures that look equal are equal."""
    digits = f".{metric.digits}f"
    values = [row.means.get(metric.name, math.nan) for row in report.rows]
    figures = [_figure(value, digits) for value in values]
    known = [value for value in values if not math.isnan(value)]
    if len(known) < 2:
        return _Column(metric.title, figures)
    best = max(known) if metric.higher_is_better else min(known)
    return _Column(
        metric.title,
        figures,
        best=_figure(best, digits),
    )


def _speed(frames_per_second: float | None) -> str:
    is_fast = frames_per_second is not None and frames_per_second >= 100
    return _figure(frames_per_second, ".0f" if is_fast else ".3g")


def _figure(value: float | None, digits: str) -> str:
    if value is None or math.isnan(value):
        return _NO_FIGURE
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return format(value, digits).replace("-", "−")


def _curves(report: BenchReport) -> dict[str, Any]:
    frames = _drawn_frames(report)
    positions = report.positions
    metrics: list[dict[str, Any]] = []
    for metric in report.metrics:
        if _is_complete(report, metric):
            curves = [_curve(row, metric, frames) for row in report.rows]
            metrics.append(
                {
                    "title": metric.title,
                    "digits": metric.digits,
                    "rows": curves,
                }
            )
    return {
        "unit": "s" if report.has_times else "frame",
        "frames": frames,
        "x": [round(positions[frame], 4) for frame in frames],
        "metrics": metrics,
    }


def _is_complete(report: BenchReport, metric: MetricInfo) -> bool:
    """Whether every method has a value for every frame."""
    for row in report.rows:
        values = row.per_frame.get(metric.name, [])
        if len(values) != report.frames:
            return False
    return True


def _drawn_frames(report: BenchReport) -> list[int]:
    """Frames to draw: all of a short clip; of a long one the worst of each stretch.

    The worst frame is that of the last method by the first metric.
    """
    if report.frames <= _MAX_POINTS:
        return list(range(report.frames))
    metric = report.metrics[0]
    last_row = report.rows[-1]
    values = np.array(last_row.per_frame[metric.name], np.float64)
    if not metric.higher_is_better:
        values = -values
    values[np.isnan(values)] = np.inf
    bounds = np.linspace(0, report.frames, _MAX_POINTS + 1)
    bounds = bounds.astype(int)
    frames = []
    for start, stop in pairwise(bounds):
        worst = start + values[start:stop].argmin()
        frames.append(int(worst))
    return frames


def _curve(
    row: BenchRow,
    metric: MetricInfo,
    frames: list[int],
) -> dict[str, Any]:
    values = row.per_frame[metric.name]
    points: list[float | None] = []
    for frame in frames:
        value = values[frame]
        if math.isfinite(value):
            points.append(float(f"{value:.6g}"))
        else:
            points.append(None)
    return {
        "name": printable(row.name),
        "baseline": row.is_baseline,
        "y": points,
    }


def _shot(
    number: int,
    shot: Shot,
    report: BenchReport,
) -> str:
    """The frame's element; its pictures are in the page's data."""
    names = [*shot.pictures, _GROUND_TRUTH]
    left, right = _chosen_pictures(shot, report)
    height, width = shot.truth.shape
    note = f"<small>{_text(shot.note)}</small>" if shot.note else ""
    parts = [
        f'<figure class="shot" data-shot="{number}">',
        f"<figcaption>{_text(shot.title)}{note}</figcaption>",
        '<div class="choices">',
        _choice("Left", names, left),
        _choice("Right", names, right),
        '<label class="zoom"><input type="checkbox" data-zoom>Enlarge</label>',
        "</div>",
        '<div class="view">',
        f'<div class="compare" style="--ratio:{width}/{height};--width:{width}px">',
        '<img class="right" alt=""><img class="left" alt="">',
        '<span class="bar"></span>',
        '<input type="range" min="0" max="100" value="50" step="0.1" ',
        'aria-label="Divide between left and right picture">',
        "</div></div>",
        '<div class="names">',
        '<span class="left-name"></span><span class="right-name"></span>',
        "</div></figure>",
    ]
    return "".join(parts)


def _chosen_pictures(shot: Shot, report: BenchReport) -> tuple[str, str]:
    """Which pictures are on the left and on the right at first."""
    left = "bicubic"
    if left not in shot.pictures:
        left = next(iter(shot.pictures), _GROUND_TRUTH)
    networks = []
    for row in report.rows:
        is_network = not row.is_baseline
        if is_network and row.name in shot.psnr:
            networks.append(row.name)
    if not networks:
        return left, _GROUND_TRUTH
    right = max(networks, key=shot.psnr.__getitem__)
    if right == left:  # a result that is compared on its own
        right = _GROUND_TRUTH
    return left, right


def _choice(
    side: str,
    names: list[str],
    chosen: str,
) -> str:
    """The list to choose a side's picture from."""
    options = []
    for number, name in enumerate(names):
        mark = " selected" if name == chosen else ""
        options.append(f"<option value={number}{mark}>{_text(name)}</option>")
    return (
        f'<label>{side}<select data-side="{side.lower()}">'
        f"{''.join(options)}</select></label>"
    )


def _shot_data(shot: Shot) -> list[dict[str, Any]]:
    """Name, picture and PSNR of every method, and of the ground truth."""
    data: list[dict[str, Any]] = []
    for name, picture in shot.pictures.items():
        figure = shot.psnr[name]
        data.append(
            {
                "name": printable(name),
                "src": _data_uri(picture, shot.full_range),
                "psnr": figure if math.isfinite(figure) else None,
            }
        )
    data.append(
        {
            "name": _GROUND_TRUTH,
            "src": _data_uri(shot.truth, shot.full_range),
            "psnr": None,
        }
    )
    return data


def _data_uri(luma: Bytes, full_range: bool) -> str:
    gray = luma if full_range else _as_full_range(luma)
    encoded = base64.b64encode(_png(gray)).decode()
    return f"data:image/png;base64,{encoded}"


def _as_full_range(luma: Bytes) -> Bytes:
    gray = luma.astype(np.float32) - 16
    gray *= 255 / 219
    codes: Bytes = np.clip(gray + 0.5, 0, 255).astype(np.uint8)
    return codes


def _png(gray: Bytes) -> bytes:
    """An 8-bit gray PNG (ISO/IEC 15948), each row as the difference from the one above."""
    height, width = gray.shape
    rows = np.empty((height, width + 1), np.uint8)
    rows[:, 0] = 2
    rows[0, 1:] = gray[0]
    rows[1:, 1:] = gray[1:] - gray[:-1]
    pixels = zlib.compress(rows.tobytes(), 9)
    bit_depth = 8
    no_further_options = bytes(4)
    header = struct.pack(">IIB", width, height, bit_depth)
    chunks = [
        b"\x89PNG\r\n\x1a\n",
        _png_chunk(b"IHDR", header + no_further_options),
        _png_chunk(b"IDAT", pixels),
        _png_chunk(b"IEND", b""),
    ]
    return b"".join(chunks)


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    length = struct.pack(">I", len(data))
    crc = zlib.crc32(kind + data)
    checksum = struct.pack(">I", crc)
    return length + kind + data + checksum
