"""Rows, limits and failures of the checks on a card (benchmarks/card_report.py).

`python benchmarks/card_checks.py` is what runs them.
"""

from __future__ import annotations

import gc
import json
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import torch
from card_parts import planes_for

from vsrcli.backends import Float
from vsrcli.models.checkpoint import load
from vsrcli.models.weights import locate

PEAK = 255.0
Value = str | int | float | bool


@dataclass(frozen=True)
class Limit:
    """How far a result may be from the processor's in float32.

    Attributes:
        largest: difference, grey levels.
        psnr: at least, dB.
    """

    largest: float
    psnr: float


LIMITS = {"fp32": Limit(1e-3, 100.0), "fp16": Limit(1.5, 60.0)}


@cache
def reference(
    model: str,
    domain: str,
    batch: int,
    size: tuple[int, int],
) -> Float:
    """The network's own result for ``planes_for`` on the processor, in float32."""
    network = load(locate(model, domain))[0]
    planes = torch.from_numpy(planes_for(model, batch, *size))[:, None]
    with torch.inference_mode():
        result: Float = network(planes)[:, 0].numpy()
    return result


def compare(
    result: Float,
    expected: Float,
    limit: Limit,
) -> tuple[dict[str, Value], str]:
    """Measure the differences; the text says what is wrong with them, or is empty."""
    difference = np.abs(result.astype(np.float64) - expected)
    largest = float(difference.max())
    error = max(float(np.mean(np.square(difference))), 1e-20)
    psnr = float(10 * np.log10(PEAK**2 / error))
    values: dict[str, Value] = {
        "largest": largest,
        "p999": float(np.quantile(difference, 0.999)),
        "psnr": psnr,
    }
    # A comparison with NaN is false.
    if not largest <= limit.largest:
        return values, f"{largest:.4g} grey levels, at most {limit.largest}"
    if not psnr >= limit.psnr:
        return values, f"{psnr:.1f} dB, at least {limit.psnr}"
    return values, ""


class Skipped(Exception):
    """A check cannot run here; the text says why."""


@dataclass
class Report:
    """Rows as they come, on standard output and in a file.

    Attributes:
        path: of the file, or None.
        seconds: after which no speed check begins.
    """

    path: Path | None
    seconds: float
    rows: list[dict[str, Value]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)

    @property
    def elapsed(self) -> float:
        """Seconds so far."""
        return time.monotonic() - self._began

    @property
    def failures(self) -> list[dict[str, Value]]:
        """The rows that failed."""
        return [row for row in self.rows if row.get("failed")]

    def add(self, check: str, *, failed: str = "", **values: Value) -> None:
        """Add a row; ``failed`` says why, or is empty."""
        row: dict[str, Value] = {"check": check, **values}
        if failed:
            row["failed"] = failed
        print(f"[{self.elapsed:5.1f}] {as_text(row)}", flush=True)
        self.rows.append({"seconds": round(self.elapsed, 1), **row})
        self.write()

    def skip(self, label: str, reason: str) -> None:
        """Name a check that is left out."""
        print(f"[{self.elapsed:5.1f}] skipped: {label}: {reason}", flush=True)
        self.skipped.append(f"{label}: {reason}")
        self.write()

    def write(self) -> None:
        """Write the file as it is now."""
        if self.path is None:
            return
        content = {
            "seconds": round(self.elapsed, 1),
            "failures": len(self.failures),
            "skipped": self.skipped,
            "rows": self.rows,
        }
        # renamed into place: whoever ends this early still finds a whole file
        unfinished = self.path.with_name(f"{self.path.name}.part")
        unfinished.write_text(json.dumps(content, indent=1) + "\n")
        unfinished.replace(self.path)


def as_text(row: Mapping[str, Value]) -> str:
    parts = []
    for name, value in row.items():
        text = f"{value:.4g}" if isinstance(value, float) else str(value)
        parts.append(text if name == "check" else f"{name} {text}")
    return "  ".join(parts)


@dataclass(frozen=True)
class Check:
    """One check of the list.

    Attributes:
        name: one of ``NAMES``.
        label: tells it from the others of that name.
        run: does it and adds its rows.
        is_speed: whether it is left out when time is short.
    """

    name: str
    label: str
    run: Callable[[Report], None]
    is_speed: bool = False


def attempt(check: Check, report: Report, on_card: bool) -> None:
    """Run a check; an error of any kind becomes a failed row."""
    label = f"{check.name} {check.label}".strip()
    if check.is_speed and report.elapsed > report.seconds:
        report.skip(label, f"after {report.seconds:g} seconds")
        return
    try:
        check.run(report)
    except Skipped as reason:
        report.skip(label, str(reason))
    except Exception as error:
        traceback.print_exc(limit=4)
        first_line = (str(error).splitlines() or [""])[0]
        failed = f"{type(error).__name__}: {first_line}"
        report.add(check.name, label=check.label, failed=failed)
    gc.collect()
    if on_card:
        # Once the card has failed, every call raises again.
        with suppress(RuntimeError):
            torch.cuda.empty_cache()
