"""The most memory that the process held while something ran."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from pathlib import Path
from types import ModuleType, TracebackType

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")


class PeakMemory:
    """Measures the peak between entering and leaving a ``with`` block.

    Attributes:
        device: set to ``cuda...`` to measure the cards instead of the process.
        megabytes: the peak, in units of 10**6 bytes, of all cards together where they are measured.
            None where nobody says: only Linux does for the process, and only PyTorch for the cards.
    """

    def __init__(self) -> None:
        self.device = "cpu"
        self.megabytes: float | None = None

    def __enter__(self) -> PeakMemory:
        with suppress(OSError):
            _RESET.write_text("5")  # resets the process's high-water mark (proc(5))
        torch = _torch_with_cards()
        if torch is not None:
            for number in range(torch.cuda.device_count()):
                torch.cuda.reset_peak_memory_stats(number)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.device.startswith("cuda"):
            self.megabytes = _peak_of_cards()
            return
        try:
            found = re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text())
        except OSError:
            found = None
        self.megabytes = float(found[1]) * 1024 / 1e6 if found else None


def _torch_with_cards() -> ModuleType | None:
    """PyTorch, if this process has used a card with it; before, there is nothing to reset."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and torch.cuda.is_initialized() else None


def _peak_of_cards() -> float | None:
    torch = _torch_with_cards()
    if torch is None:
        return None
    cards = range(torch.cuda.device_count())
    peak = sum(torch.cuda.max_memory_allocated(number) for number in cards)
    return peak / 1e6 if peak else None  # ONNX Runtime allocates without PyTorch
