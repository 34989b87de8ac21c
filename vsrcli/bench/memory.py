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
        device: set to ``cuda...`` to measure the GPUs instead of the process.
        megabytes: the peak, in units of 10**6 bytes, over all GPUs together if they are measured.
            None where it is unknown: only Linux reports it for the process, and only PyTorch for
            the GPUs.
    """

    def __init__(self) -> None:
        self.device = "cpu"
        self.megabytes: float | None = None

    def __enter__(self) -> PeakMemory:
        with suppress(OSError):
            _RESET.write_text("5")  # resets the process's high-water mark (proc(5))
        torch = _torch_with_gpus()
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
            self.megabytes = _peak_of_gpus()
        else:
            self.megabytes = _peak_of_process()


def _peak_of_process() -> float | None:
    try:
        status = _STATUS.read_text()
    except OSError:
        return None
    match = re.search(r"VmHWM:\s+(\d+) kB", status)
    if match is None:
        return None
    return float(match[1]) * 1024 / 1e6


def _torch_with_gpus() -> ModuleType | None:
    """PyTorch, if this process has used a GPU with it; before, there is nothing to reset."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    return torch


def _peak_of_gpus() -> float | None:
    torch = _torch_with_gpus()
    if torch is None:
        return None
    numbers = range(torch.cuda.device_count())
    peak: int = sum(torch.cuda.max_memory_allocated(number) for number in numbers)
    if peak == 0:  # ONNX Runtime allocates without PyTorch
        return None
    return peak / 1e6
