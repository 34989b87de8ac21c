"""The most memory that the process held while something ran."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")


class PeakMemory:
    """Measures the peak between entering and leaving a ``with`` block.

    Attributes:
        device: set to ``cuda...`` to measure the card instead of the process.
        megabytes: the peak, in units of 10**6 bytes; None where the system does not say (only Linux does, for the process).
    """

    def __init__(self) -> None:
        self.device = "cpu"
        self.megabytes: float | None = None

    def __enter__(self) -> PeakMemory:
        with suppress(OSError):
            _RESET.write_text("5")  # resets the process's high-water mark (proc(5))
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_available():
            for number in range(torch.cuda.device_count()):
                torch.cuda.reset_peak_memory_stats(number)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        torch = sys.modules.get("torch")
        if self.device.startswith("cuda") and torch is not None:
            self.megabytes = torch.cuda.max_memory_allocated(self.device) / 1e6
            return
        try:
            found = re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text())
        except OSError:
            found = None
        self.megabytes = float(found[1]) * 1024 / 1e6 if found else None
