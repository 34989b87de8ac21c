"""How the figures of a metric are presented."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """How a metric is presented.

    Attributes:
        name: what users type, such as ``psnr``.
        title: with its unit, such as ``PSNR dB``.
        higher_is_better: False for errors.
        digits: decimals to print.
        note: one line on the definition in use (window, crop, data range).
    """

    name: str
    title: str
    higher_is_better: bool
    digits: int
    note: str
