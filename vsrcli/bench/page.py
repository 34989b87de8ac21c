"""A benchmark as one HTML page that needs nothing beside itself: table, curves, frames to compare with a slider.

The page's form stands in ``page.html``; here its data are put in.
"""

from __future__ import annotations

import base64
import json
import math
import struct
import zlib
from html import escape
from importlib.resources import files
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrcli.bench.report import BenchReport, BenchRow, Shot
from vsrcli.metrics.info import MetricInfo

_MOST_POINTS = 2000
_TEMPORAL_GAIN = "PSNR over that of the same network when it is shown the middle frame five times, mean over frames"


def render(report: BenchReport, shots: list[Shot]) -> str:
    """Make the page.

    Args:
        report: the benchmark.
        shots: frames to show, each with every method's picture.

    Returns:
        HTML, with everything inline.
    """
    facts = (
        ("Low resolution", report.degradation), ("Size", f"{report.width} × {report.height}"), ("Frames", f"{report.frames:,}"),
        ("Protocol", f"{report.protocol}, {report.crop} pixels left out at each border"),
        ("Data range", f"0..{report.data_range:g}"),
    )  # fmt: skip
    parts = {
        "TITLE": escape(report.ground_truth),
        "FACTS": "".join(
            f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
            for name, value in facts
        ),
        "TABLE": _table(report),
        "NOTES": "".join(
            f"<li><b>{escape(title)}</b>: {escape(note)}</li>"
            for title, note in _notes(report)
        ),
        "SHOTS": "".join(
            _shot(number, shot, report) for number, shot in enumerate(shots)
        ),
        "DATA": _script_json(
            {"curves": _curves(report), "shots": [_shot_data(shot) for shot in shots]}
        ),
    }
    page = files("vsrcli.bench").joinpath("page.html").read_text(encoding="utf-8")
    head, *rest = page.split("{{")
    return head + "".join(
        parts[name] + text for name, text in (piece.split("}}", 1) for piece in rest)
    )


def _script_json(value: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    return (
        json.dumps(value, allow_nan=False, separators=(",", ":"))
        .replace("<", "\\u003c")
        .replace("\u2028", "\\u2028")
        .replace("\u2029", "\\u2029")
    )


def _has_temporal_gain(report: BenchReport) -> bool:
    return any(row.temporal_gain_db is not None for row in report.rows)


def _notes(report: BenchReport) -> list[tuple[str, str]]:
    """Titles of columns, and what stands in them."""
    notes = [(metric.title, metric.note) for metric in report.metrics]
    return (
        [*notes, ("Temporal gain, dB", _TEMPORAL_GAIN)]
        if _has_temporal_gain(report)
        else notes
    )


def _table(report: BenchReport) -> str:
    has_gain = any(row.gain_db is not None for row in report.rows)
    has_temporal_gain = _has_temporal_gain(report)
    has_speed = any(row.frames_per_second is not None for row in report.rows)
    titles = ["Method", *(metric.title for metric in report.metrics)]
    titles += ["Gain over bicubic, dB"] if has_gain else []
    titles += ["Temporal gain, dB"] if has_temporal_gain else []
    titles += ["Frames/s", "Peak memory, MB"] if has_speed else []
    best = {metric.name: _best(report, metric) for metric in report.metrics}
    lines = []
    for row in report.rows:
        cells = [
            f"<td{' class=best' if figure == best[metric.name] else ''}>{figure}</td>"
            for metric, figure in (
                (metric, _figure(row.means.get(metric.name), f".{metric.digits}f"))
                for metric in report.metrics
            )
        ]
        if has_gain:
            cells.append(f"<td>{_figure(row.gain_db, '+.2f')}</td>")
        if has_temporal_gain:
            cells.append(f"<td>{_figure(row.temporal_gain_db, '+z.2f')}</td>")
        if has_speed:
            speed = _figure(
                row.frames_per_second,
                ".0f" if (row.frames_per_second or 0) >= 100 else ".3g",
            )
            cells += [
                f"<td>{speed}</td>",
                f"<td>{_figure(row.peak_memory_mb, '.0f')}</td>",
            ]
        lines.append(
            f'<tr{" class=baseline" if row.is_baseline else ""}><th scope="row">{escape(row.name)}</th>{"".join(cells)}</tr>'
        )
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in titles)
    return (
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    )


def _best(report: BenchReport, metric: MetricInfo) -> str | None:
    """The best figure as it is shown, so that equal ones look equal."""
    values = [
        row.means[metric.name]
        for row in report.rows
        if not math.isnan(row.means.get(metric.name, math.nan))
    ]
    if len(values) < 2:
        return None
    return _figure(
        max(values) if metric.higher_is_better else min(values), f".{metric.digits}f"
    )


def _figure(value: float | None, digits: str) -> str:
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return format(value, digits).replace("-", "−")


def _curves(report: BenchReport) -> dict[str, Any]:
    is_time = len(report.times) > 1 and all(
        before < after for before, after in pairwise(report.times)
    )
    places = (
        report.times if is_time else [float(number) for number in range(report.frames)]
    )
    keep = _kept(report)
    return {
        "unit": "s" if is_time else "frame",
        "frames": keep,
        "x": [round(places[frame], 4) for frame in keep],
        "metrics": [
            {
                "title": metric.title,
                "digits": metric.digits,
                "rows": [_points(row, metric, keep) for row in report.rows],
            }
            for metric in report.metrics
            if all(
                len(row.per_frame.get(metric.name, ())) == report.frames
                for row in report.rows
            )
        ],
    }


def _kept(report: BenchReport) -> list[int]:
    """Frames drawn: all of a short clip; of a long one, from each stretch the frame where the last method is worst."""
    if report.frames <= _MOST_POINTS:
        return list(range(report.frames))
    row = report.rows[-1]
    metric = report.metrics[0]
    values = np.asarray(row.per_frame[metric.name], np.float64) * (
        1 if metric.higher_is_better else -1
    )
    values = np.where(np.isnan(values), np.inf, values)
    bounds = np.linspace(0, report.frames, _MOST_POINTS + 1).astype(int)
    return [
        int(start + values[start:stop].argmin()) for start, stop in pairwise(bounds)
    ]


def _points(row: BenchRow, metric: MetricInfo, keep: list[int]) -> dict[str, Any]:
    values = row.per_frame[metric.name]
    return {
        "name": row.name,
        "baseline": row.is_baseline,
        "y": [
            float(f"{values[frame]:.6g}") if math.isfinite(values[frame]) else None
            for frame in keep
        ],
    }


def _shot(number: int, shot: Shot, report: BenchReport) -> str:
    names = [*shot.pictures, "ground truth"]
    networks = [
        row.name for row in report.rows if not row.is_baseline and row.name in shot.psnr
    ]
    left = "bicubic" if "bicubic" in shot.pictures else names[0]
    right = max(networks, key=lambda name: shot.psnr[name]) if networks else names[-1]
    right = names[-1] if right == left else right  # a result that is compared alone

    def choice(side: str, chosen: str) -> str:
        options = "".join(
            f"<option value={place}{' selected' if name == chosen else ''}>{escape(name)}</option>"
            for place, name in enumerate(names)
        )
        return f'<label>{side}<select data-side="{side.lower()}">{options}</select></label>'

    height, width = shot.truth.shape
    note = f"<small>{escape(shot.note)}</small>" if shot.note else ""
    return (
        f'<figure class="shot" data-shot="{number}"><figcaption>{escape(shot.title)}{note}</figcaption><div class="choices">{choice("Left", left)}'
        f'{choice("Right", right)}<label class="zoom"><input type="checkbox" data-zoom>Enlarge</label></div>'
        f'<div class="view"><div class="compare" style="--ratio:{width}/{height};--width:{width}px"><img class="right" alt=""><img class="left" alt="">'
        '<span class="bar"></span><input type="range" min="0" max="100" value="50" step="0.1" aria-label="Divide between left and right picture"></div></div>'
        '<div class="names"><span class="left-name"></span><span class="right-name"></span></div></figure>'
    )


def _shot_data(shot: Shot) -> list[dict[str, Any]]:
    pictures = [
        {
            "name": name,
            "src": _data_uri(picture, shot.full_range),
            "psnr": shot.psnr[name] if math.isfinite(shot.psnr[name]) else None,
        }
        for name, picture in shot.pictures.items()
    ]
    return [
        *pictures,
        {
            "name": "ground truth",
            "src": _data_uri(shot.truth, shot.full_range),
            "psnr": None,
        },
    ]


def _data_uri(luma: NDArray[np.uint8], full_range: bool) -> str:
    shown = (
        luma
        if full_range
        else np.clip((luma.astype(np.float32) - 16) * (255 / 219) + 0.5, 0, 255).astype(
            np.uint8
        )
    )
    return "data:image/png;base64," + base64.b64encode(_png(shown)).decode()


def _png(gray: NDArray[np.uint8]) -> bytes:
    """An 8-bit gray PNG (ISO/IEC 15948), each row as the difference to the one above."""
    height, width = gray.shape
    rows = np.empty((height, width + 1), np.uint8)
    rows[:, 0] = 2
    rows[0, 1:] = gray[0]
    rows[1:, 1:] = gray[1:] - gray[:-1]

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data))
            + kind
            + data
            + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows.tobytes(), 9))
        + chunk(b"IEND", b"")
    )
